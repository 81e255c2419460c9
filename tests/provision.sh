#!/bin/sh
# Installs the real servers and tools that tests talk to (Debian packages), where this user may and they are missing.
# Without them the tests that need them skip and say so.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing="$missing $2"; }
need chromium chromium
need logger bsdutils
need rsyslogd rsyslog
need /usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so rsyslog-gnutls
need /usr/lib/postgresql/15/bin/postgres postgresql-15
need /usr/share/fonts/opentype/noto fonts-noto-cjk
need java openjdk-17-jre-headless
need mvn maven
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "tests that need these Debian packages will skip:$missing"
    exit 0
fi
echo "installing for the tests:$missing"
apt-get update -q >/dev/null
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
