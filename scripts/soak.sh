#!/usr/bin/env bash
# soak.sh CHECKS STEPS RUN: runs the model tests, those written with rapid, whose
# names match RUN, over CHECKS random histories of about STEPS steps each instead of
# the usual few; then, if it matches, lets the sender of webhooks be killed 20 times.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
packages=$(go list -f '{{range .TestImports}}{{if eq . "pgregory.net/rapid"}}{{$.ImportPath}}{{"\n"}}{{end}}{{end}}{{range .XTestImports}}{{if eq . "pgregory.net/rapid"}}{{$.ImportPath}}{{"\n"}}{{end}}{{end}}' ./... | sort -u)
[ -n "$packages" ] || die "no package has a model test"
settings=$("$here/env.sh" postgres redis-server webhook-verifiers)
eval "$settings"
export TALLYD_REQUIRE=1
[ -z "$(go test ./api/webhook -list "$3" | grep -x TestKilled)" ] ||
  go test -race -count=1 -timeout 0 -v ./api/webhook -run '^TestKilled$' -webhook.kills=20
# The word splitting is wanted: one argument for each package.
# shellcheck disable=SC2086
exec go test -count=1 -timeout 0 -v $packages -run "$3" -rapid.checks="$1" -rapid.steps="$2" -rapid.nofailfile
