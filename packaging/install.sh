#!/bin/sh
# Puts the built programs and what belongs to them where a system has it. Called by `make install`; starts nothing.
#
#   install.sh [FOLDER]        of the programs; default: target/release
#
# PREFIX    where programs and their documentation go; default: /usr
# DESTDIR   a folder to install below, as packagers want it; default: none
set -eu
umask 022
house=$(cd "$(dirname "$0")/.." && pwd)
built=${1:-${CARGO_TARGET_DIR:-$house/target}/release}
prefix=${PREFIX:-/usr}
to=${DESTDIR:-}

fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

for program in hearthkeep hearthkeep-media; do
    [ -x "$built/$program" ] || fail "there is no $built/$program; run \`make build\` first"
done

# put MODE SOURCE PLACE: the source may be standard input, -.
put() {
    mkdir -p "$to$(dirname "$3")"
    if [ "$2" = - ]; then
        cat >"$to$3.new"
        chmod "$1" "$to$3.new"
        mv "$to$3.new" "$to$3"
    else
        install -m "$1" "$2" "$to$3"
    fi
}

put 755 "$built/hearthkeep" "$prefix/bin/hearthkeep"
put 755 "$built/hearthkeep-media" "$prefix/bin/hearthkeep-media"

tell() { "$built/hearthkeep" "$@"; }
tell man | gzip -9n | put 644 - "$prefix/share/man/man1/hearthkeep.1.gz"
tell completions bash | put 644 - "$prefix/share/bash-completion/completions/hearthkeep"
tell completions fish | put 644 - "$prefix/share/fish/vendor_completions.d/hearthkeep.fish"
tell completions zsh | put 644 - "$prefix/share/zsh/vendor-completions/_hearthkeep"

sed "s|/usr/bin/|$prefix/bin/|" "$house/systemd/hearthkeep.service" | put 644 - "$prefix/lib/systemd/system/hearthkeep.service"
put 644 "$house/systemd/hearthkeep.sysusers" "$prefix/lib/sysusers.d/hearthkeep.conf"
put 644 "$house/systemd/hearthkeep.tmpfiles" "$prefix/lib/tmpfiles.d/hearthkeep.conf"

put 644 "$house/packaging/hearthkeep.toml" "$prefix/share/doc/hearthkeep/hearthkeep.toml"
config=/etc/hearthkeep/hearthkeep.toml
if [ -e "$to$config" ]; then
    printf 'install: %s stays as it is; %s/share/doc/hearthkeep/hearthkeep.toml is the example\n' "$config" "$prefix"
else
    put 640 "$house/packaging/hearthkeep.toml" "$config"
fi

[ -z "$to" ] || exit 0
cat <<TEXT
Installed. To record from now on, and at each start of this machine:

  sudo systemd-sysusers
  sudo systemd-tmpfiles --create
  sudoedit $config
  sudo systemctl daemon-reload
  sudo systemctl enable --now hearthkeep
  sudo hearthkeep status
TEXT
