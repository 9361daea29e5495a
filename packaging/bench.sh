#!/bin/sh
# What things cost. Called by `make bench`, which has built the programs before. Each step says how long it takes when its
# programs are built; HEARTHKEEP_BENCH_SEGMENTS sets another number of segments for the two that fill a store.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

step() {
    printf '== %s: %s\n' "$1" "$2"
    shift 2
    "$@"
}

step 'sealing and opening, beside the bare ciphers' '1 min' "$cargo" bench --locked -p hearthkeep-format
step 'a catalog of many segments' '1 min' "$cargo" bench --locked --bench catalog
step 'a start with 100,000 segments' '1 min' "$cargo" bench --locked --bench start
step 'a signed log of 1,000,000 entries' '2 min' "$cargo" bench --locked --bench log
step 'checking footage, beside the disk and the hash' '1 min' "$cargo" bench --locked --bench scrub
step 'reading 16 cameras' '30 s' python3 benches/cost/ingest.py
program=${CARGO_TARGET_DIR:-target}/release/hearthkeep
step 'recording 1 camera, beside ffmpeg' '1 min' python3 benches/cost/cost.py --cameras 1 --seconds 45 --program "$program"
step 'recording 16 cameras, beside ffmpeg' '2 min' python3 benches/cost/cost.py --cameras 16 --seconds 60 --program "$program"
