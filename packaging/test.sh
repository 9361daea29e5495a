#!/bin/sh
# Everything that must hold, the quick things first. Called by `make test`, which has built the page before.
set -eu
cd "$(dirname "$0")/.."

step() {
    printf '== %s\n' "$*"
    "$@"
}

step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets -- -D warnings
step cargo check --locked -p hearthkeep-format --target wasm32-unknown-unknown
step python3 tests/cameras/test_slices.py
step cargo test --locked --workspace
if [ -e tests/interop/vectors.py ]; then
    step python3 tests/interop/vectors.py
fi
if [ -e tests/interop/vectors.mjs ]; then
    step node tests/interop/vectors.mjs
    step node tests/interop/typage.mjs --check
fi
if [ -e web-ui/package.json ]; then
    step npm --prefix web-ui run --silent check
    step npm --prefix web-ui --silent test
fi
