#!/bin/sh
# What `make test` does a little of, for long. Called by `make soak`; docs/soak.md and docs/faults.md have the last figures, and say what
# they mean. A step that fails keeps none of the others from being run.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
seeds=${HEARTHKEEP_SIM_SEEDS:-10000}
cuts=${HEARTHKEEP_TEST_CUTS:-200}
kills=${HEARTHKEEP_TEST_KILLS:-250}
fuzz_s=${HEARTHKEEP_FUZZ_SECONDS:-600}
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
failed='' left_out=''

step() {
    name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed="$failed
  $name"
}

tests() {
    "$cargo" test --release --locked --test "$@" --nocapture
}

# CPU time of all that was run so far, s. No pipe: a subshell has its own count.
cpu_s() {
    times >"$own/times"
    awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += 60 * t[1] + t[2] } printf "%d\n", s }' "$own/times" >"$own/cpu"
    read -r cpu <"$own/cpu"
}

# By CPU time, a minute at a time: on a busy machine an hour by the clock may be next to nothing. What is found goes nowhere near the seeds.
fuzz() {
    mkdir -p "$own/$1"
    "$cargo" +nightly fuzz build --features house "$1" || return 1
    cpu_s
    begun=$cpu
    while cpu_s && [ $((cpu - begun)) -lt "$fuzz_s" ]; do
        # What a thread has for itself, it may have for a moment after its scope has ended: no leak, though it looks like one.
        "$cargo" +nightly fuzz run --features house "$1" "$own/$1" "fuzz/corpus/$1" -- \
            -max_total_time=60 -print_final_stats=1 -detect_leaks=0 || return 1
    done
    printf '%s: %s CPU-seconds, nothing found\n' "$1" $((cpu - begun))
}

export HEARTHKEEP_SIM_SEEDS="$seeds"
step "$seeds seeds of the simulator" tests sim footage_survives --
HEARTHKEEP_SIM_YEAR=full
export HEARTHKEEP_SIM_YEAR
step 'a year of 16 cameras' tests sim a_day_costs -- --test-threads=1
step 'planted bugs' tests sim found --
export HEARTHKEEP_TEST_CUTS="$cuts" HEARTHKEEP_TEST_KILLS="$kills"
step "$cuts power cuts on ext4 and $cuts on XFS" tests faults power_cut --
step "$kills kills on one disk and $kills on two" tests kill --
if "$cargo" +nightly fuzz --version >"$own/version" 2>&1; then
    for target in $("$cargo" +nightly fuzz list); do
        step "$fuzz_s CPU-seconds of the fuzz target $target" fuzz "$target"
    done
else
    left_out="$left_out
  all fuzz targets: there is no cargo-fuzz for nightly Rust (fuzz/README.md)"
fi

[ -z "$left_out" ] || printf '== LEFT OUT:%s\n' "$left_out"
[ -z "$failed" ] || { printf '== FAILED:%s\n' "$failed"; exit 1; }
