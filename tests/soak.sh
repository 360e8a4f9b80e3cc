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
export CLOCK_CYCLES="${SOAK_FAULTS:-10}"
export KILL_CYCLES="${SOAK_KILLS:-200}"
ulimit -n "$(ulimit -Hn)"

# Clients at once, where each takes so many file descriptors of one process.
clients() {
  local most=$((($(ulimit -Hn) - 500) / $1)) wanted="${SOAK_CLIENTS:-10000}"
  echo $((most < wanted ? most : wanted))
}
FEED_CLIENTS=$(clients 2)
export FEED_CLIENTS

# As `make test` builds it. In CI a test that cannot have a network or a disk of its own fails.
cargo nextest run --workspace --no-run
suites() { CI=true cargo nextest run --workspace --config-file tests/nextest.toml --no-fail-fast -E "$@"; }

# The suites with properties.
suites 'package(/^(domain|wire|link|client|sensing|exchange|gateway|video|simulator)$/)'
# A case waits for the disk; one of PostgreSQL makes a schema, and each slows those that follow.
PROPTEST_CASES=$((PROPTEST_CASES / 8)) suites 'package(ledger) - binary_id(ledger::postgres)'
PROPTEST_CASES=64 suites 'binary_id(ledger::postgres)'
# They print what they counted. One after another: each has many processes of its own.
FEED_CLIENTS=$(clients 1) suites 'binary_id(maojiawan::faults)' -j 1 --success-output immediate
deploy/dashboard.sh
FEED_SEEDS="$PROPTEST_CASES" npm --prefix dashboard test
npm --prefix dashboard run test:client
tests/e2e/node_modules/.bin/vitest run --config tests/e2e/vitest.config.ts faults
