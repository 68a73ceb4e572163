#!/usr/bin/env bash
# test.sh PACKAGE...: installs what the tests need, then runs go vet and go test
# on the packages (default: all). The closing lines are go test's own.
#
# TALLYD_REQUIRE makes a test fail whose node or server is missing; without it
# such a test is skipped.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
compiler=$(go env CC)
have "${compiler%% *}" || die "there is no $compiler on PATH, and the race detector needs a C compiler: install gcc"
settings=$("$here/env.sh" postgres btcd anvil bitcoind redis-server pgbouncer webhook-verifiers)
eval "$settings"
# geth takes minutes to build: its tests run where `make geth` has been called.
if geth=$("$here/tool.sh" --cached geth); then export TALLYD_GETH=$geth; fi
export TALLYD_REQUIRE=1

[ $# -gt 0 ] || set -- ./...
say "go vet"
go vet "$@"
say "go test"
exec go test -race -p 2 -timeout 20m "$@"
