#!/usr/bin/env bash
# run.sh ARGS...: installs what `tallyd dev` needs and starts it with ARGS.

. "$(dirname "$0")/lib.sh"

settings=$("$here/env.sh" postgres btcd)
eval "$settings"
if [ -n "${TALLYD_ANVIL:-}" ] || have npm || "$here/tool.sh" --cached anvil >/dev/null 2>&1; then
  settings=$("$here/env.sh" anvil)
  eval "$settings"
else
  say "there is no npm, so anvil is skipped: the dev chain eth is not started"
fi
exec "$clone/bin/tallyd" dev "$@"
