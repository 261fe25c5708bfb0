#!/usr/bin/env bash
# Every test, with all features, the doctests and the examples. Needs Rust; what else is missing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
# What incremental builds keep is gigabytes, and the compiler stumbles over it now and then.
export CARGO_INCREMENTAL=0

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing: install Rust"
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    step "install ${missing[*]}"
    SUDO=""
    [ "$(id -u)" = 0 ] || SUDO=sudo
    { $SUDO apt-get update -q && $SUDO apt-get install -y -q "${missing[@]}"; } || fail "can't install ${missing[*]}"
fi

step tests
cargo test

step "events in a real Postgres"
POSTGRES=$(mktemp -d /tmp/tower-tagging-postgres.XXXXXX)
trap 'bash tests/postgres.sh remove "$POSTGRES"' EXIT
DATABASE_URL=$(bash tests/postgres.sh start "$POSTGRES") || fail "no Postgres server for the tests"
export DATABASE_URL
cargo test --test store_postgres -- --ignored
POSTGRES_FOLDER=$POSTGRES cargo test --test chaos_postgres -- --ignored --nocapture

step "telemetry through a real collector"
COLLECTOR=target/collector
if [ ! -x "$COLLECTOR/agent" ]; then
    rm -rf "$COLLECTOR"
    python3 -m venv "$COLLECTOR/venv" || fail "no virtual environment for Python"
    "$COLLECTOR/venv/bin/pip" install -q --disable-pip-version-check rotel==0.0.1a15 ||
        fail "the collector rotel can't be had from PyPI"
    # The program is inside of the package.
    cp "$("$COLLECTOR/venv/bin/python" -c 'import pathlib, rotel; print(pathlib.Path(rotel.__file__).parent / "rotel-agent")')" \
        "$COLLECTOR/agent"
    chmod +x "$COLLECTOR/agent"
fi
ROTEL_AGENT="$PWD/$COLLECTOR/agent" cargo test --test otel -- --ignored

step "usage and prices beside the Python package genai-prices"
ORACLE=target/oracle
if ! "$ORACLE/venv/bin/python" -c 'import genai_prices' 2>/dev/null; then
    rm -rf "$ORACLE/venv"
    python3 -m venv "$ORACLE/venv" || fail "no virtual environment for Python"
    "$ORACLE/venv/bin/pip" install -q --disable-pip-version-check genai-prices==0.1.4 ||
        fail "genai-prices can't be had from PyPI"
fi
# Both sides price by the catalog that the crate bundles.
PRICES=$(cargo metadata --format-version 1 | python3 -c '
import json, pathlib, sys
crate = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == "genai-prices")
print(pathlib.Path(crate["manifest_path"]).parent / "data/prices.json")')
"$ORACLE/venv/bin/python" tests/oracle.py "$ORACLE/cases" 12000 "$PRICES"
ORACLE_CASES="$PWD/$ORACLE/cases" cargo test --test oracle -- --ignored --nocapture

step examples
for example in axum_router hyper_server unit_test custom_sink budget durable_spool outbound postgres_store otel_collector otel_tracing; do
    printf -- '-- %s\n' "$example"
    cargo run -q --example "$example" --features full
done

step "the benchmarks run"
for bench in layer usage stores delivery otel; do
    cargo bench --bench "$bench" --features full -- --smoke
done

printf '\nall tests passed\n'
