#!/bin/sh
# Writes deploy/.env, what compose.yaml asks for, with secrets made here: sh deploy/make-env.sh TLS_FOLDER
# TLS_FOLDER holds server.pem, server.key and client-ca.pem, readable by user 10001. An .env that exists is never overwritten.
set -eu
[ $# = 1 ] || { echo "usage: sh deploy/make-env.sh TLS_FOLDER" >&2; exit 2; }
tls=$(cd "$1" && pwd)
file=$(dirname "$0")/.env
[ ! -e "$file" ] || { echo "$file is already there; it holds the only copy of the passwords, so it stays" >&2; exit 1; }
for needed in server.pem server.key client-ca.pem; do
    [ -e "$tls/$needed" ] || { echo "$tls/$needed is missing" >&2; exit 1; }
done
secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat >"$file" <<END
TLS_DIR=$tls
POSTGRES_PASSWORD=$(secret)
CLICKHOUSE_PASSWORD=$(secret)
# Names this Kafka cluster for ever: Bongsu tells by it whether its offsets go on. Made anew only together with an empty volume.
KAFKA_CLUSTER_ID=k$(od -An -N10 -tx1 /dev/urandom | tr -d ' \n')A
# The key Prometheus reads /metrics with: \`bongsu keys create prometheus --action metrics:read\` prints it. See docs/operations.md.
METRICS_KEY_FILE=./metrics.key
END
echo "wrote $file"
