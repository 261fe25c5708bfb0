#!/usr/bin/env bash
# Measures the overhead of tagging in the gateway, in one interleaved run: nginx as a plain proxy, the gateway with
# TAGGING=off, and the gateway with events written to a file. All of them forward to the same mock upstream.
#
#   bash benches/gateway.sh            # SECONDS_EACH=2 ROUNDS=11 by default
#
# Prints requests per second, p50, and p99 for requests that are not LLM calls, for LLM calls, whose usage is read and
# priced, and for streamed LLM calls (SSE). The figures are medians over all rounds. A ratio is the median of the ratios
# of the rounds, because the three proxies of a round run right after each other.
#
# The events file is emptied before every run that writes to it, like with log rotation. A file of gigabytes would use
# memory that a virtual machine has never touched, so the run would also measure the host's page faults.
#
# Requires wrk and nginx, which are installed from Debian if they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
SECONDS_EACH=${SECONDS_EACH:-2}
ROUNDS=${ROUNDS:-11}
TARGET=${CARGO_TARGET_DIR:-target}
CONNECTIONS=${CONNECTIONS:-32}

fail() { printf 'benches/gateway.sh: %s\n' "$*" >&2; exit 1; }
missing=()
command -v wrk >/dev/null || missing+=(wrk)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
if [ ${#missing[@]} -gt 0 ]; then
    SUDO=""
    [ "$(id -u)" = 0 ] || SUDO=sudo
    { $SUDO apt-get update -q && $SUDO apt-get install -y -q "${missing[@]}"; } >/dev/null || fail "cannot install ${missing[*]}: install them by hand"
fi
NGINX=$(command -v nginx || echo /usr/sbin/nginx)

cargo build -q --release --example gateway --features full
cargo build -q --release --example mock_upstream
FOLDER=$(mktemp -d)
PIDS=()
stop() {
    for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$FOLDER"
}
trap stop EXIT

# Prints the address in the first line that a program writes to standard error.
address() {
    for _ in $(seq 100); do
        if grep -oE '127\.0\.0\.1:[0-9]+' "$1" | head -1 | grep . ; then return; fi
        sleep 0.05
    done
    fail "the program did not print an address, see $1"
}

"$TARGET/release/examples/mock_upstream" 2>"$FOLDER/upstream" & PIDS+=($!)
UPSTREAM=$(address "$FOLDER/upstream")
LISTEN=127.0.0.1:0 UPSTREAM="http://$UPSTREAM" TAGGING=off "$TARGET/release/examples/gateway" 2>"$FOLDER/off" & PIDS+=($!)
OFF=$(address "$FOLDER/off")
LISTEN=127.0.0.1:0 STORE=none UPSTREAM="http://$UPSTREAM" EVENTS="$FOLDER/events.jsonl" "$TARGET/release/examples/gateway" 2>"$FOLDER/on" & PIDS+=($!)
ON_PID=$!
ON=$(address "$FOLDER/on")
FREE=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo 18099)
cat >"$FOLDER/nginx.conf" <<EOF
worker_processes 2;
pid $FOLDER/nginx.pid;
error_log $FOLDER/nginx.log;
daemon off;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $FOLDER; proxy_temp_path $FOLDER; fastcgi_temp_path $FOLDER; uwsgi_temp_path $FOLDER; scgi_temp_path $FOLDER;
    upstream mock { server $UPSTREAM; keepalive 128; }
    server {
        listen 127.0.0.1:$FREE;
        keepalive_requests 1000000;
        location / {
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
EOF
"$NGINX" -c "$FOLDER/nginx.conf" & PIDS+=($!)
sleep 0.5

cat >"$FOLDER/llm.lua" <<'EOF'
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.headers["x-portkey-metadata"] = '{"_user": "user_8821", "environment": "production", "feature": "search", "team": "growth"}'
wrk.headers["x-portkey-trace-id"] = "req-7f3a"
wrk.body = '{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello"}]}'
EOF
sed 's/"messages"/"stream":true,"messages"/' "$FOLDER/llm.lua" >"$FOLDER/sse.lua"
sed 's|/v1/chat/completions|/v1/things|' "$FOLDER/llm.lua" >"$FOLDER/plain.lua"

LINES_BEFORE=0
# Waits until no more events arrive, counts their lines, and empties the file.
empty_events() {
    local size=-1 now
    while now=$(stat -c %s "$FOLDER/events.jsonl"); [ "$now" != "$size" ]; do
        size=$now
        sleep 0.2
    done
    LINES_BEFORE=$((LINES_BEFORE + $(wc -l <"$FOLDER/events.jsonl")))
    : >"$FOLDER/events.jsonl"
}

# measure KIND NAME ADDRESS: appends "requests/s p50 p99" to the file KIND.NAME.
measure() {
    local out
    [ "$2" != on ] || empty_events
    out=$(wrk -t2 -c"$CONNECTIONS" -d"${SECONDS_EACH}s" --latency -s "$FOLDER/$1.lua" "http://$3")
    if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then printf '%s\n' "$out" >&2; fail "$2 responded with errors"; fi
    awk '/Requests\/sec/{r=$2} /^ *50%/{a=$2} /^ *99%/{b=$2} END{print r, a, b}' <<<"$out" >>"$FOLDER/$1.$2"
}
for kind in plain llm sse; do
    for _ in $(seq "$ROUNDS"); do
        measure "$kind" nginx "127.0.0.1:$FREE"
        measure "$kind" off "$OFF"
        measure "$kind" on "$ON"
    done
done

median() { sort -n | awk '{line[NR]=$0} END{print line[int((NR+1)/2)]}'; }
# ratio KIND NAME BASE: prints the median over the rounds of the requests per second of NAME divided by those of BASE.
ratio() { paste -d' ' "$FOLDER/$1.$2" "$FOLDER/$1.$3" | awk '{print $1/$4}' | median; }
printf '| requests | proxy | requests/s | p50 | p99 | × nginx | × tagging off |\n|---|---|--:|--:|--:|--:|--:|\n'
for kind in plain llm sse; do
    case $kind in plain) requests="not LLM calls" ;; llm) requests="LLM calls" ;; sse) requests="LLM calls, SSE" ;; esac
    for name in nginx off on; do
        case $name in nginx) label="nginx" ;; off) label="gateway, tagging off" ;; on) label="gateway, events to a file" ;; esac
        read -r rate p50 p99 < <(median <"$FOLDER/$kind.$name")
        printf '| %s | %s | %.0f | %s | %s | %.2f | %.2f |\n' "$requests" "$label" "$rate" "$p50" "$p99" \
            "$(ratio "$kind" "$name" nginx)" "$(ratio "$kind" "$name" off)"
    done
done
kill -TERM "$ON_PID"
wait "$ON_PID" || true
printf '\n%s; %s lines in the file\n' "$(tail -1 "$FOLDER/on")" "$((LINES_BEFORE + $(wc -l <"$FOLDER/events.jsonl")))"
