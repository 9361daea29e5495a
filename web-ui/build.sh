#!/bin/sh
# Builds the page into web-ui/dist, which the recorder embeds. What is up to date is not built again.
#
#   build.sh            everything
#   build.sh wasm       only the WASM module, into src/wasm
#
# CARGO_TARGET_DIR is honoured.
set -eu
cd "$(dirname "$0")"

root=$(cd .. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
module=src/wasm/hearthkeep.wasm

say() { printf 'page: %s\n' "$*"; }

# Whether file $1 is older than any of the files and folders that follow.
older() {
    made=$1
    shift
    [ ! -e "$made" ] || [ -n "$(find "$@" -type f -newer "$made" -not -name '*.test.ts' -print -quit)" ]
}

build_wasm() {
    older "$module" wasm ../src/format/src ../src/format/Cargo.toml build.sh || return 0
    say "building the WASM module (1 to 2 minutes the first time)"
    # A profile of its own: one unit and no unwinding, for size. opt-level "s" would save a tenth of what is sent, and
    # open a third as fast.
    cargo build --quiet --manifest-path ../Cargo.toml --package hearthkeep-wasm --target wasm32-unknown-unknown \
        --profile wasm \
        --config 'profile.wasm.inherits="release"' \
        --config 'profile.wasm.opt-level=3' \
        --config 'profile.wasm.lto="fat"' \
        --config 'profile.wasm.codegen-units=1' \
        --config 'profile.wasm.panic="abort"'
    mkdir -p src/wasm
    cp "$target/wasm32-unknown-unknown/wasm/hearthkeep_wasm.wasm" "$module"
    touch "$module"
}

install_packages() {
    older node_modules/.package-lock.json package-lock.json || return 0
    say "installing npm packages"
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
}

build_page() {
    older dist/index.html src public index.html package-lock.json vite.config.ts tsconfig.json || return 0
    say "building the page"
    npx tsc --noEmit
    npx vite build --logLevel warn
    touch dist/index.html
}

build_wasm
[ "${1:-all}" = wasm ] && exit 0
install_packages
build_page
