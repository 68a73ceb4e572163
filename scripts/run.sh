#!/usr/bin/env bash
# run.sh ARGS...: installs what `tallyd dev` needs and starts it with ARGS.

. "$(dirname "$0")/lib.sh"

settings=$("$here/env.sh" postgres btcd)
eval "$settings"
if [ -n "${TALLYD_ANVIL:-}" ] || { have npm && [ "$(uname -m)" = x86_64 ]; } || "$here/tool.sh" --cached anvil >/dev/null 2>&1; then
  settings=$("$here/env.sh" anvil)
  eval "$settings"
else
  say "anvil is skipped, and with it the dev chain eth: it is fetched with npm, for amd64; elsewhere set TALLYD_ANVIL to one"
fi
exec "$clone/bin/tallyd" dev "$@"
