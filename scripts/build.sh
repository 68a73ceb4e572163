#!/usr/bin/env bash
# build.sh VERSION: builds bin/tallyd, a static binary.

. "$(dirname "$0")/lib.sh"

cd "$clone"
need_go
CGO_ENABLED=0 exec go build -trimpath -ldflags "-s -w -X main.version=$1" -o bin/tallyd ./cmd/tallyd
