#!/usr/bin/env bash
# The property and fault suites with full counts. SOAK_CASES, SOAK_FAULTS (repetitions of each fault), SOAK_KILLS (cycles
# of the kill suite) and SOAK_CLIENTS (that reconnect at once) can be set.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${SOAK_CASES:-20000}"
export FAULT_REPEATS="${SOAK_FAULTS:-10}"
export MODEL_SEEDS="${SOAK_CASES:-20000}"
export FAULT_CYCLES="${SOAK_FAULTS:-10}"
export NETWORK_CYCLES="${SOAK_FAULTS:-10}"
export KILL_CYCLES="${SOAK_KILLS:-200}"
ulimit -n "$(ulimit -Hn)"

# Clients at once, where each takes so many file descriptors of one process.
clients() {
  local most=$((($(ulimit -Hn) - 500) / $1)) wanted="${SOAK_CLIENTS:-10000}"
  echo $((most < wanted ? most : wanted))
}
FEED_CLIENTS=$(clients 2)
export FEED_CLIENTS

# In CI a test that cannot have a network or a disk of its own fails.
CI=true cargo nextest run --config-file tests/nextest.toml -p domain -p wire -p link -p client -p ledger -p sensing -p exchange -p gateway -p video -p simulator --no-fail-fast
# They print what they counted. One after another: each has many processes of its own.
CI=true FEED_CLIENTS=$(clients 1) cargo nextest run -p maojiawan --test faults -j 1 --no-fail-fast --success-output immediate
deploy/dashboard.sh
FEED_SEEDS="$PROPTEST_CASES" npm --prefix dashboard test
# As `make test` builds it.
cargo nextest run --workspace --no-run
npm --prefix dashboard run test:client
tests/e2e/node_modules/.bin/vitest run --config tests/e2e/vitest.config.ts faults
