# Everything that is installed goes into one folder outside the clone: as root
# /var/cache/tallyd, else ~/.cache/tallyd, or where TALLYD_CACHE says.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# What a caller may set.
ARGS ?=
BENCH ?= .
BENCHTIME ?= 1s
FUZZTIME ?= 30s
PACKAGES ?= ./...
SOAK ?= 5000
SOAKSTEPS ?= 30
SOAKRUN ?= .

.PHONY: help run test lint fmt generate verify bench build fuzz soak geth

help: ## Show these targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Install what is missing and start a whole tallyd here: tallyd dev $(ARGS).
	@scripts/run.sh $(ARGS)

test: ## Install what the tests need and run them all: PACKAGES=./store/... for some.
	@scripts/test.sh $(PACKAGES)

lint: ## Run the linter.
	@lint=$$(scripts/tool.sh golangci-lint); "$$lint" run

fmt: ## Format the code.
	@lint=$$(scripts/tool.sh golangci-lint); "$$lint" fmt

generate: ## Generate store/db from store/queries.
	@sqlc=$$(scripts/tool.sh sqlc); "$$sqlc" generate

verify: ## Check format, lint, vet, go.mod and generated code.
	@scripts/verify.sh

bench: ## Run the benchmarks: BENCH=Walk, BENCHTIME=5s, PACKAGES=./chains/... for some.
	@settings=$$(scripts/env.sh postgres btcd anvil bitcoind redis-server); eval "$$settings"; export TALLYD_REQUIRE=1; \
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -p 1 -timeout 0 $(PACKAGES)

build: ## Build bin/tallyd, a static binary.
	@scripts/build.sh '$(VERSION)'

fuzz: ## Run every fuzz target: FUZZTIME=5m for longer.
	@scripts/fuzz.sh $(FUZZTIME)

soak: ## Run the model tests over many random histories, and kill the sender 20 times: SOAK=100000 for more, SOAKRUN=DepositModel for some.
	@scripts/soak.sh $(SOAK) $(SOAKSTEPS) '$(SOAKRUN)'

geth: ## Build geth, so that make test runs against it too; takes minutes.
	@scripts/tool.sh geth
