#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME, one after the other.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
for package in $packages; do
  targets=$(go test -list '^Fuzz' "$package")
  for target in $(grep '^Fuzz' <<<"$targets" || true); do
    say "fuzzing $target of $package for $1"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package"
  done
done
