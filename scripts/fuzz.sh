#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME, one after the other.

. "$(dirname "$0")/lib.sh"

cd "$clone"
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    say "fuzzing $target of $package for $1"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package"
  done
done
