#!/usr/bin/env bash
# The property and fault suites with full counts. SOAK_CASES, SOAK_FAULTS (repetitions of each fault) and SOAK_KILLS (cycles
# of the kill suite) can be set.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${SOAK_CASES:-20000}"
export FAULT_REPEATS="${SOAK_FAULTS:-10}"
export MODEL_SEEDS="${SOAK_CASES:-20000}"
export FAULT_CYCLES="${SOAK_FAULTS:-10}"
export KILL_CYCLES="${SOAK_KILLS:-200}"
export NETWORK_CYCLES="${SOAK_FAULTS:-10}"
# Each takes two file descriptors of its test.
most=$((($(ulimit -Hn) - 200) / 2))
ulimit -n "$(ulimit -Hn)"
export FEED_CLIENTS=$((most < 10000 ? most : 10000))

cargo nextest run --config-file tests/nextest.toml -p domain -p wire -p link -p client -p ledger -p sensing -p exchange -p gateway -p video -p simulator --no-fail-fast
# It prints what it counted.
cargo nextest run -p maojiawan --test kill --no-fail-fast --success-output immediate
deploy/dashboard.sh
FEED_SEEDS="$PROPTEST_CASES" npm --prefix dashboard test
# As `make test` builds it.
cargo nextest run --workspace --no-run
npm --prefix dashboard run test:client
tests/e2e/node_modules/.bin/vitest run --config tests/e2e/vitest.config.ts faults
