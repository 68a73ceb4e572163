#!/usr/bin/env bash
# soak.sh CHECKS: runs the model tests, those written with rapid, over CHECKS
# random histories each instead of the usual hundred.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
packages=$(go list -f '{{range .TestImports}}{{if eq . "pgregory.net/rapid"}}{{$.ImportPath}}{{"\n"}}{{end}}{{end}}{{range .XTestImports}}{{if eq . "pgregory.net/rapid"}}{{$.ImportPath}}{{"\n"}}{{end}}{{end}}' ./... | sort -u)
[ -n "$packages" ] || die "no package has a model test"
settings=$("$here/env.sh" postgres redis-server)
eval "$settings"
export TALLYD_REQUIRE=1
# The word splitting is wanted: one argument for each package.
# shellcheck disable=SC2086
exec go test -race -count=1 -timeout 0 $packages -rapid.checks="$1"
