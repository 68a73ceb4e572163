#!/usr/bin/env bash
# env.sh NAME...: prints `export` lines that tell tallyd and its tests where each
# tool is, and installs what is missing. Meant for `eval`.

. "$(dirname "$0")/lib.sh"

for name in "$@"; do
  case $name in
    postgres) variable=TALLYD_PG_BIN ;;
    *)
      variable=${name//-/_}
      variable=TALLYD_${variable^^}
      ;;
  esac
  place=$("$here/tool.sh" "$name")
  printf 'export %s=%q\n' "$variable" "$place"
done
