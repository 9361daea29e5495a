#!/bin/sh
# Everything that must hold, the quick things first. Called by `make test`.
set -eu
cd "$(dirname "$0")/.."

step() {
    printf '== %s\n' "$*"
    "$@"
}

# The recorders of the tests keep as much of a file system free as any recorder: 5 %, and 5 GB at least, but no more than a quarter.
# With less they would delete what the tests look for.
room() {
    folder=${TMPDIR:-/tmp}
    free_gib=$(df -Pk "$folder" | awk 'NR == 2 { kept = $2 / 20; if (kept < 4882813) kept = 4882813; if (kept > $2 / 4) kept = $2 / 4; print int(($4 - kept) / 1048576) }')
    if [ "$free_gib" -lt 1 ]; then
        echo "$folder needs 1 GiB of free room beyond the 5 % (5 GB at least, a quarter at most) that a recorder leaves free: make room, or set TMPDIR." >&2
        exit 1
    fi
}

# Tests that a machine cannot run note it here.
HEARTHKEEP_TEST_LEFT_OUT=$(mktemp)
export HEARTHKEEP_TEST_LEFT_OUT
trap 'rm -f "$HEARTHKEEP_TEST_LEFT_OUT"' EXIT

echo "This takes about 40 minutes the first time on two cores, and 30 later."
room
sh packaging/setup.sh
sh web-ui/build.sh
step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets -- -D warnings
step cargo check --locked -p hearthkeep-format --target wasm32-unknown-unknown
step python3 tests/cameras/test_slices.py
room
step cargo test --locked --workspace
step python3 tests/interop/vectors.py
step node tests/interop/vectors.mjs
step python3 tests/interop/log.py
step node tests/interop/log.mjs
step node tests/interop/typage.mjs --check
step npm --prefix web-ui run --silent check
step npm --prefix web-ui --silent test

printf '== faults that this machine cannot have: %s left out\n' "$(wc -l <"$HEARTHKEEP_TEST_LEFT_OUT")"
cat "$HEARTHKEEP_TEST_LEFT_OUT"
