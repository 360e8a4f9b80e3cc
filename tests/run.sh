#!/usr/bin/env bash
# Runs every suite and prints its time. Fixed seeds and bounded samples; `make soak` has the full counts.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_CASES="${PROPTEST_CASES:-64}"
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-20240826}"

started=$SECONDS
names=()
times=()

suite() { # name, command …
  local name=$1 from=$SECONDS
  shift
  echo "== $name"
  "$@"
  names+=("$name")
  times+=($((SECONDS - from)))
}

suite format cargo fmt --all -- --check
suite build cargo nextest run --workspace --no-run
suite rust cargo nextest run --workspace --no-fail-fast
suite docs env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
suite lint cargo clippy --workspace --all-targets -- -D warnings

echo
for i in "${!names[@]}"; do printf '%-10s %5d s\n' "${names[$i]}" "${times[$i]}"; done
printf '%-10s %5d s\n' all $((SECONDS - started))
