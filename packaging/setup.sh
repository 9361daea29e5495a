#!/bin/sh
# Installs what a part of the work needs, and only what is missing: with everything there it takes half a second.
#
#   setup.sh [build] [demo] [tests]        (default: all three)
#
# build  compilers and libraries for the recorder, its media child and the page
# demo   the test cameras: clips made by ffmpeg, served by GStreamer
# tests  a browser, other implementations to check the formats against, and file systems to break
set -eu
cd "$(dirname "$0")/.."

build="gcc libc6-dev make pkg-config clang libclang-dev libavformat-dev libavcodec-dev libavutil-dev libavfilter-dev
    libavdevice-dev libswscale-dev libswresample-dev"
demo="ffmpeg fonts-dejavu-core python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good"
tests="chromium groff-base python3-cryptography python3-zeroconf iproute2 e2fsprogs xfsprogs mount"

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root and there is no sudo; as root, run: $*"
    fi
}

# The packages among $@ that are not installed, one a line.
missing_of() {
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || printf '%s\n' "$package"
    done
}

install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "this is no Debian: see to it yourself that there are $*"
        return
    fi
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    set -- $missing
    say "installing $# packages: $*"
    # Only the lists are fetched first if they were never, or if a package has moved on since.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

need_rust() {
    command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] ||
        fail "cargo is installed and not in PATH; run: . \"\$HOME/.cargo/env\""
    command -v cargo >/dev/null ||
        fail "cargo is missing; Rust 1.89 or later is needed, and https://rustup.rs tells how to get it"
    target=$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown
    [ -d "$target" ] || add_wasm
}

add_wasm() {
    command -v rustup >/dev/null ||
        fail "Rust has no wasm32-unknown-unknown target, which the page needs; install it as your Rust came (on Debian: libstd-rust-dev-wasm32)"
    say "adding Rust's wasm32 target"
    rustup --quiet target add wasm32-unknown-unknown
}

need_node() {
    command -v npm >/dev/null || fail "npm is missing; Node.js 20.19 or later builds the page: https://nodejs.org"
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
        fail "Node.js $(node --version) is too old to build the page; 20.19 or later is needed"
    npm_packages web-ui
}

# Packages of the folder $1, if its lock file is newer than what is installed.
npm_packages() {
    [ -e "$1/package-lock.json" ] || return 0
    installed=$1/node_modules/.package-lock.json
    [ ! -e "$installed" ] || [ -n "$(find "$1/package-lock.json" -newer "$installed")" ] || return 0
    say "installing npm packages for $1"
    (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
    touch "$installed"
}

[ $# -gt 0 ] || set -- build demo tests
packages=
for part in "$@"; do
    case $part in
    build) packages="$packages $build" ;;
    demo) packages="$packages $demo" ;;
    tests) packages="$packages $tests" ;;
    *) fail "no such part: $part (build, demo, tests)" ;;
    esac
done
# shellcheck disable=SC2086
install_packages $packages
for part in "$@"; do
    case $part in
    build)
        need_rust
        need_node
        ;;
    tests) npm_packages tests/interop ;;
    esac
done
