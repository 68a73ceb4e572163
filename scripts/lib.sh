# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
#
# What the scripts share. Sourced, never run.
#
# Everything that is built or fetched is kept outside the clone, in a folder per
# tool and version, so that clones share it and `git clean` does not undo it.

set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clone=$(dirname "$here")

# die ends the script with one sentence.
die() {
  echo "tallyd: $*" >&2
  exit 1
}

# say tells a person what takes time; standard output belongs to the answer.
say() { echo "tallyd: $*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# need_go ends the script where there is no Go.
need_go() { have go || die "there is no go on PATH: install Go 1.26 or later"; }

# cache_dir prints the folder of everything installed. Root's lies outside
# /root, because PostgreSQL refuses to run as root and the user it runs as
# must be able to enter the folder.
cache_dir() {
  if [ -n "${TALLYD_CACHE:-}" ]; then
    case $TALLYD_CACHE in
      /*) echo "$TALLYD_CACHE" ;;
      *) die "TALLYD_CACHE must be an absolute path, not '$TALLYD_CACHE'" ;;
    esac
  elif [ "$(id -u)" = 0 ]; then
    echo /var/cache/tallyd
  elif [ -n "${XDG_CACHE_HOME:-}" ]; then
    echo "$XDG_CACHE_HOME/tallyd"
  elif [ -n "${HOME:-}" ]; then
    echo "$HOME/.cache/tallyd"
  else
    die "there is no home folder to keep tools in: set TALLYD_CACHE to a folder"
  fi
}

cache=$(cache_dir)

# new_dir makes a fresh folder in the cache, so that publish only has to rename.
new_dir() {
  mkdir -p "$cache" 2>/dev/null || die "the folder $cache cannot be made: set TALLYD_CACHE to another one"
  new=$(mktemp -d "$cache/.new.XXXXXX" 2>/dev/null) || die "the folder $cache is not writable: set TALLYD_CACHE to another one"
  chmod 755 "$new"
  trap 'rm -rf "$new"' EXIT
}

# publish DIR moves the folder that was filled to its name, whole or not at all.
# Two runs at once may both build; the second finds the place taken and its own
# copy is dropped.
publish() {
  if ! mv -T "$new" "$1" 2>/dev/null; then
    [ -d "$1" ] || die "the folder $1 cannot be made"
    rm -rf "$new"
  fi
  trap - EXIT
}

# arch prints the machine in Go's words, without needing Go.
arch() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo amd64 ;;
    Linux-aarch64) echo arm64 ;;
    *) die "no ready-made $1 is known for $(uname -s) on $(uname -m): install it and put it on PATH" ;;
  esac
}
