# `make test` and, from the first runnable centre on, `make up` are all that a new user needs. See README.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO_TERM_COLOR ?= never
export CARGO_TERM_COLOR

.PHONY: help prepare test lint deny soak

help:
	@echo "make test   every suite, with its time   全部测试"
	@echo "make soak   property and fault suites with full counts   长测"
	@echo "make deny   bans, licences and sources of dependencies   依赖检查"

prepare:
	@deploy/prepare.sh

test: prepare
	@tests/run.sh

lint: prepare
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

soak: prepare
	PROPTEST_CASES=20000 cargo nextest run -p domain -p ledger -p video -p simulator --no-fail-fast

deny:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources
