#!/usr/bin/env bash
# Manages a Postgres server for tests and benchmarks in a dedicated folder:
#
#   tests/postgres.sh start FOLDER    creates the server if needed, starts it, and prints its URL
#   tests/postgres.sh stop FOLDER     stops the server cleanly
#   tests/postgres.sh kill FOLDER     simulates a crash
#   tests/postgres.sh remove FOLDER   stops the server and removes the folder
#
# The server listens on 127.0.0.1, on a free port that stays the same across restarts. If Postgres is missing, Debian's
# `postgresql` package is installed.
set -euo pipefail

fail() { printf 'tests/postgres.sh: %s\n' "$*" >&2; exit 1; }

[ $# = 2 ] || fail "usage: tests/postgres.sh start|stop|kill|remove FOLDER"
FOLDER=$2

binaries() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

# The server refuses to run as root.
as_user() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

# Below the ports of outgoing connections, which could take it while the server is stopped.
free_port() {
    python3 - <<'PYTHON'
import random, socket

while True:
    port = random.randrange(22000, 32000)
    with socket.socket() as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

pg_ctl() { (cd / && as_user "$(binaries)/pg_ctl" -D "$FOLDER/data" "$@" >&2); }

start() {
    if [ ! -x "$(binaries)/postgres" ]; then
        local sudo=""
        [ "$(id -u)" = 0 ] || sudo=sudo
        { $sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q postgresql; } >&2 ||
            fail "Postgres is missing and apt-get cannot install it"
    fi
    if [ ! -d "$FOLDER/data" ]; then
        mkdir -p "$FOLDER"
        [ "$(id -u)" != 0 ] || chown postgres "$FOLDER"
        (cd / && as_user "$(binaries)/initdb" -D "$FOLDER/data" -U postgres -A trust -E UTF8 --locale=C) \
            >"$FOLDER/initdb.log" 2>&1 ||
            fail "initdb failed, see $FOLDER/initdb.log"
        free_port >"$FOLDER/port"
        cat >>"$FOLDER/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $(cat "$FOLDER/port")
unix_socket_directories = '$FOLDER'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
CONF
    fi
    pg_ctl -w -t 60 -l "$FOLDER/server.log" start || fail "the server does not start, see $FOLDER/server.log"
    echo "postgres://postgres@127.0.0.1:$(cat "$FOLDER/port")/postgres"
}

case $1 in
start) start ;;
stop) pg_ctl -w -m fast stop ;;
kill) pg_ctl -w -m immediate stop ;;
remove)
    [ ! -f "$FOLDER/data/postmaster.pid" ] || pg_ctl -w -m immediate stop || true
    rm -rf "$FOLDER"
    ;;
*) fail "unknown command $1: expected start, stop, kill, or remove" ;;
esac
