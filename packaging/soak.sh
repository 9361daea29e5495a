#!/bin/sh
# The simulator for long. Called by `make soak`; docs/soak.md has the last figures, and says what they mean.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

export HEARTHKEEP_SIM_SEEDS="${HEARTHKEEP_SIM_SEEDS:-10000}"
printf '== %s seeds\n' "$HEARTHKEEP_SIM_SEEDS"
"$cargo" test --release --locked --test sim footage_survives -- --nocapture
printf '== a year of 16 cameras\n'
HEARTHKEEP_SIM_YEAR=full "$cargo" test --release --locked --test sim a_day_costs -- --nocapture --test-threads=1
printf '== planted bugs\n'
"$cargo" test --release --locked --test sim found -- --nocapture
