# `make up` and `make test` are all that a new user needs. See README.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CARGO_TERM_COLOR ?= auto
export CARGO_TERM_COLOR
PROFILE ?= release

.PHONY: help prepare prepare-tests prepare-bench dashboard up test lint deny soak bench

help:
	@echo "make up     the centre with a living synthetic site on 127.0.0.1:8080   启动演示中心"
	@echo "make test   every suite, with its time   全部测试"
	@echo "make soak   property and fault suites with full counts   长测"
	@echo "make bench  speed, beside peers; writes benches/RESULTS.md   性能测试"
	@echo "make deny   bans, licences and sources of dependencies   依赖检查"

prepare:
	@deploy/prepare.sh

prepare-tests:
	@deploy/prepare.sh --tests

prepare-bench:
	@deploy/prepare.sh --bench

dashboard: prepare
	@deploy/dashboard.sh

up: prepare dashboard
	@echo "building the centre 正在编译中心 (the first time takes minutes 首次需要数分钟)"
	@cargo build -p maojiawan
	@exec target/debug/maojiawan up --demo

test: prepare-tests
	@tests/run.sh

lint: prepare-tests
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

soak: prepare-tests
	@tests/soak.sh

# As a site runs it, and as the peers are built. PROFILE=dev measures what `make up` runs.
bench: prepare-bench
	cargo build --profile $(PROFILE) -p maojiawan -p benches
	@target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/bench all

deny:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources
