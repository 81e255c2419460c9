#!/bin/sh
# Installs the real servers and tools that tests talk to (Debian 12 packages), where this user may and they are missing.
# Without them the tests that need them skip and say so. Running it again does nothing.
set -eu
cd "$(dirname "$0")/.."
cache=.cache/debian

install=""
quietly() { output=$("$@" 2>&1) || { echo "$output" >&2; exit 1; }; }
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || install="$install $2"; }
need chromium chromium
need logger bsdutils
need rsyslogd rsyslog
need /usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so rsyslog-gnutls
need /usr/lib/postgresql/15/bin/postgres postgresql-15
need /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc fonts-noto-cjk
need /usr/sbin/clickhouse-server clickhouse-server
need java openjdk-17-jre-headless
need mvn maven
need pdftotext poppler-utils
need runuser util-linux
need systemd-analyze systemd

# syslog-ng may not be installed beside rsyslog, and of Prometheus only promtool is wanted: these are unpacked into a folder, not installed.
unpack=""
[ -x "$cache/usr/sbin/syslog-ng" ] || unpack="$unpack syslog-ng-core"
[ -x "$cache/usr/bin/promtool" ] || unpack="$unpack prometheus"
for library in libivykis0 libpcre3 libnet1 libglib2.0-0 libjson-c5 libwrap0; do
    dpkg -s "$library" >/dev/null 2>&1 || install="$install $library" # what syslog-ng links
done

[ -z "$install$unpack" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "tests that need these Debian packages will skip:$install$unpack"
    exit 0
fi
echo "installing for the tests:$install$unpack"
quietly apt-get update -q
if [ -n "$install" ]; then
    mkdir -p /usr/share/man/man1 # slim images have none, and Java's package links into it
    # No service is to start by itself (RUNLEVEL=1): tests run their own, on their own ports.
    # shellcheck disable=SC2086
    quietly env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $install
fi
for package in $unpack; do
    mkdir -p "$cache"
    folder=$(mktemp -d)
    (cd "$folder" && quietly apt-get download -q -o APT::Sandbox::User=root "$package")
    case $package in
    prometheus) dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -x -C "$cache" ./usr/bin/promtool ;;
    *) dpkg -x "$folder"/*.deb "$cache" ;;
    esac
    rm -r "$folder"
done
