#!/usr/bin/env bash
# verify.sh: everything that can be wrong with the code without running it. Every
# check runs, so that one call shows all there is to mend.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
lint=$("$here/tool.sh" golangci-lint)
failed=

# check NAME COMMAND... runs one check and remembers its failure.
check() {
  local name=$1
  shift
  say "verify: $name"
  "$@" >&2 || failed="$failed, $name"
}

# unchanged COMMAND... fails when a command that compares has something to show.
unchanged() {
  local shown
  shown=$("$@") || { echo "$shown"; return 1; }
  if [ -n "$shown" ]; then
    echo "$shown"
    return 1
  fi
}

check "linter configuration" "$lint" config verify
check "format" unchanged "$lint" fmt --diff
check "lint" "$lint" run --allow-parallel-runners
check "vet" go vet ./...
check "go.mod" unchanged go mod tidy -diff
if [ -f sqlc.yaml ]; then
  sqlc=$("$here/tool.sh" sqlc)
  check "generated code" "$sqlc" diff
fi
# SC2016: dollars in single quotes that others are meant to expand.
if have shellcheck; then check "scripts" shellcheck -x -P scripts -e SC2016 scripts/*.sh .ci/run; fi

[ -z "$failed" ] || die "verify found something: ${failed#, }"
say "verify found nothing"
