# Two commands: `make run` and `make test`. `make help` lists the rest.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The Go of this machine is used as it is; nothing fetches another.
export GOTOOLCHAIN := local

MODULES := $(patsubst %/go.mod,%,$(wildcard sdk/*/go.mod)) .
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL    := go tool -modfile=tools/go.mod
SOURCES  = find . -name '*.go' -not -path '*/node_modules/*' -not -path '*/testdata/*'

.NOTPARALLEL:

.PHONY: help bench-save setup setup-test build run demo test check format-check vet staticcheck modules licences links \
        unit fmt lint fuzz crash soak simulate bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# ---- run

setup:
	@scripts/setup build

build: setup ## build bin/parley, without C
	CGO_ENABLED=0 go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...

run: build ## start the demo: a server, a sandbox in place of the providers, a first message to paste
	@bin/parley demo

demo: run ## the same

# ---- test

setup-test:
	@scripts/setup test

test: setup-test check unit ## install what tests need, check and test everything

check: format-check modules licences links build vet staticcheck ## all that needs no test to run

lint: format-check vet staticcheck ## formatting, go vet, staticcheck

format-check:
	@bad=$$($(SOURCES) -print0 | xargs -0 $(TOOL) gofumpt -l); \
	if [ -n "$$bad" ]; then printf 'not formatted (make fmt):\n%s\n' "$$bad" >&2; exit 1; fi

vet:
	@for m in $(MODULES); do (cd $$m && CGO_ENABLED=0 go vet ./...); done

# Built once, so that it can run in every module.
staticcheck: bin/staticcheck
	@for m in $(MODULES); do (cd $$m && CGO_ENABLED=0 "$(CURDIR)/bin/staticcheck" ./...); done

bin/staticcheck: tools/go.mod tools/go.sum
	@go build -modfile=tools/go.mod -o $@ honnef.co/go/tools/cmd/staticcheck

modules:
	@scripts/modules

licences:
	@go run ./scripts/licences

links:
	@go run ./scripts/links

# Everything, also the crash, acceptance and contract tests, under the race
# detector. The last thing of `make test`: its lines close the output.
unit:
	@for m in $(MODULES); do (cd $$m && CGO_ENABLED=1 go test -race -timeout 10m ./...); done

# ---- by hand

fmt: ## format all Go files
	@$(SOURCES) -print0 | xargs -0 $(TOOL) gofumpt -w

fuzz: ## fuzz every target, each for FUZZ seconds (60)
	@scripts/fuzz $(or $(FUZZ),60)

crash: setup-test test/crash ## kill the program at its worst moments, KILLS times per store (200)
	CRASH_KILLS=$(or $(KILLS),200) go test -count=1 -v -timeout 60m ./test/crash/...

soak: ## send SOAK random messages (1000000) through the channels, with faults
	PARLEY_SOAK=$(or $(SOAK),1000000) go test -count=1 -v -timeout 2h ./test/soak

simulate: ## MONTHS (12) of traffic in virtual time for each of SEEDS (1-10, or 7, or 4,9)
	SEEDS=$(or $(SEEDS),1-10) MONTHS=$(or $(MONTHS),12) go test -count=1 -timeout 6h -v -run TestSimulation ./test/simulate

test/crash:
	@echo '$@ is not built yet' >&2; exit 1

bench: build ## Go benchmarks against the committed figures, then the durable life of a message
	scripts/bench
	bin/parley bench

bench-save: ## make the Go benchmarks of this machine the committed figures
	scripts/bench save

clean: ## remove what was built (bin/); data/ stays
	rm -rf bin
