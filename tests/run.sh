#!/usr/bin/env bash
# Every test, with all features, the doctests and the examples. Needs Rust; what else is missing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing: install Rust"
if ! command -v cc >/dev/null; then
    step "install a C compiler"
    SUDO=""
    [ "$(id -u)" = 0 ] || SUDO=sudo
    { $SUDO apt-get update -q && $SUDO apt-get install -y -q gcc libc6-dev; } || fail "a C compiler can't be had"
fi

step tests
cargo test

step examples
for example in axum_router hyper_server unit_test custom_sink; do
    printf -- '-- %s\n' "$example"
    cargo run -q --example "$example" --features full
done

step "the benchmark runs"
cargo bench --bench layer --features full -- --smoke

printf '\nall tests passed\n'
