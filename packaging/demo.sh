#!/bin/sh
# Runs the recorder: with your cameras if there is a configuration, else with test cameras and a demo store.
#
#   demo.sh [PROGRAM]          (default: target/release/hearthkeep, which is built first)
#
# A configuration is looked for in $HEARTHKEEP_CONFIG, ./hearthkeep.toml and /etc/hearthkeep/hearthkeep.toml.
# HEARTHKEEP_DEMO_DIR      the demo's folder; default: hearthkeep-demo in $XDG_STATE_HOME or ~/.local/state
# HEARTHKEEP_DEMO_LISTEN   its address; default: 127.0.0.1:8443
set -eu
umask 077
house=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

given=${1:-}

# What must be asked for (sudo) is asked for before the long wait. Sets `program`.
prepare() {
    [ "$1" != demo ] || sh "$house/packaging/setup.sh" demo
    if [ -z "$given" ]; then
        echo "Building. The first time this takes about 10 minutes on two cores, nearly all of it compiling; later it is done in seconds."
        make --no-print-directory -C "$house" build
    fi
    program=$(realpath "${given:-${CARGO_TARGET_DIR:-$house/target}/release/hearthkeep}")
}

for config in "${HEARTHKEEP_CONFIG:-}" "$PWD/hearthkeep.toml" /etc/hearthkeep/hearthkeep.toml; do
    if [ -n "$config" ] && [ -e "$config" ]; then
        prepare own
        printf 'Running with %s\n' "$config"
        exec "$program" run --config "$config"
    fi
    [ -z "$config" ] || [ "$config" != "${HEARTHKEEP_CONFIG:-}" ] || fail "HEARTHKEEP_CONFIG names $config, which does not exist"
done

prepare demo
demo=${HEARTHKEEP_DEMO_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/hearthkeep-demo}
listen=${HEARTHKEEP_DEMO_LISTEN:-127.0.0.1:8443}
mark=$demo/made-by-hearthkeep-demo

# What is half made may be removed below: never in a folder that somebody else filled.
[ ! -d "$demo" ] || [ -e "$mark" ] || [ -z "$(ls -A "$demo")" ] ||
    fail "$demo is not empty and no demo of Hearthkeep; name another folder in HEARTHKEEP_DEMO_DIR"
mkdir -p "$demo"
: >"$mark"

start_cameras() {
    [ -e "$demo/camera-password" ] || random_words 2 >"$demo/camera-password"
    clips=$house/.cache/clips
    python3 "$house/tests/cameras/make_clips.py" --dir "$clips" h264_360p15 h264_small h265_small >/dev/null
    rm -f "$demo/camera-commands"
    mkfifo "$demo/camera-commands"
    # They end with their standard input: with this shell, however it ends.
    /usr/bin/python3 "$house/tests/cameras/cameras.py" --user viewer --password "$(cat "$demo/camera-password")" \
        "door=$clips/h264_360p15.mp4" "garden=$clips/h264_small.mp4" "workshop=$clips/h265_small.mp4" \
        <"$demo/camera-commands" >"$demo/cameras.log" 2>&1 &
    cameras=$!
    exec 3>"$demo/camera-commands"
    tries=0
    until grep -q '^READY' "$demo/cameras.log"; do
        tries=$((tries + 1))
        { [ $tries -lt 100 ] && kill -0 $cameras 2>/dev/null; } ||
            fail "the test cameras did not start: $(tail -n 3 "$demo/cameras.log")"
        sleep 0.1
    done
}

# $1 groups of five characters without look-alikes: 5 bits each.
random_words() {
    # No stage of the pipe may die of its reader's leaving: dash would say so on the terminal.
    head -c 4096 /dev/urandom | LC_ALL=C tr -dc 'a-hjkmnp-z2-9' | cut -c "1-$((5 * $1))" |
        sed 's/...../&-/g; s/-$//'
}

# Written anew at each start, since the test cameras' port is another one each time.
write_config() {
    {
        printf '# Written by the demo at each start: copy it to change it.\n'
        printf 'state_dir = "%s/state"\n\n[server]\nlisten = "%s"\n\n' "$demo" "$listen"
        printf '[[disk]]\npath = "%s/footage"\nmax_bytes = "2GB"\n' "$demo"
        grep '^rtsp://' "$demo/cameras.log" | while read -r url; do
            printf '\n[[camera]]\nname = "%s"\nurl = "%s"\n' "${url##*/}" "$url"
            printf 'username = "viewer"\npassword_file = "%s/camera-password"\n' "$demo"
        done
    } >"$config"
}

make_store() {
    # An earlier attempt that did not come to its end left a store whose kit was never shown.
    rm -rf "$demo/state" "$demo/footage" "$demo/recovery-kit.txt"
    mkdir "$demo/footage"
    random_words 4 >"$demo/passphrase"
    "$program" init --config "$config" --passphrase-file "$demo/passphrase" --recovery-kit-out "$demo/recovery-kit.txt"
    printf '\nThe recovery kit, which opens everything if the passphrase is lost (of a real store: print it, then delete it):\n\n'
    cat "$demo/recovery-kit.txt"
    : >"$demo/store-is-made"
}

tell() {
    port=${listen##*:}
    cat <<TEXT

  Three test cameras are being recorded into $demo/footage

  Page         https://localhost:$port
  Sign in      owner, with the passphrase $(cat "$demo/passphrase")
  Kit          $demo/recovery-kit.txt

  In another terminal, after a few seconds:

    $program list --config $config
    $program export --config $config --passphrase-file $demo/passphrase \\
        --camera door --from \$(date -u -d '-30 seconds' +%FT%TZ) --to \$(date -u +%FT%TZ) --out door.mp4

  For your own cameras write a hearthkeep.toml (README.md shows one) and start this again.
  Ctrl-C ends the recorder and the cameras. To begin anew: rm -r $demo

TEXT
}

# Waits for the recorder and passes on what ends it, so that it can make durable what it has.
run_recorder() {
    "$program" run --config "$config" 3>&- &
    recorder=$!
    trap 'kill -TERM $recorder 2>/dev/null || true' INT TERM HUP
    while :; do
        status=0
        wait $recorder || status=$?
        kill -0 $recorder 2>/dev/null || break
    done
    return $status
}

config=$demo/hearthkeep.toml
start_cameras
write_config
[ -e "$demo/store-is-made" ] || make_store
tell
run_recorder
