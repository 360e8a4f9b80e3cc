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

# The simulated cameras' films are encoded once, into a cache that all tests share.
films() {
  local folder line=
  folder=$(mktemp -d)
  cat >"$folder/site.toml" <<EOF
[simulator]
listen = "127.0.0.1:0"
centre = "http://127.0.0.1:9"
token = "only-to-encode-the-films"
sms_secret = "only-to-encode-the-films"
departments = {}
[cameras]
port = 0
cache = "$PWD/target/films"
username = "admin"
password = "only-to-encode-the-films"
EOF
  coproc site { exec target/debug/maojiawan simulate --config "$folder/site.toml"; }
  local pid=$site_PID out=${site[0]} in=${site[1]}
  while [[ $line != ready ]] && read -r line <&"$out"; do echo "$line"; done
  # The end of its input tells it to stop.
  exec {in}>&-
  wait "$pid"
  rm -r "$folder"
  [[ $line == ready ]]
}

suite format cargo fmt --all -- --check
# Building the tests of the binary builds the binary too: the end-to-end tests run that one.
suite build cargo nextest run --workspace --no-run
suite rust cargo nextest run --config-file tests/nextest.toml --workspace --no-fail-fast
suite docs env RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items
suite lint cargo clippy --workspace --all-targets -- -D warnings
suite packages deploy/dashboard.sh
suite prettier npm --prefix dashboard run format:check
suite eslint npm --prefix dashboard run lint
suite types npm --prefix dashboard run check
suite dashboard npm --prefix dashboard test
suite client npm --prefix dashboard run test:client
suite e2e-types dashboard/node_modules/.bin/vue-tsc --noEmit -p tests/e2e/tsconfig.json
suite films films
suite e2e tests/e2e/node_modules/.bin/vitest run --config tests/e2e/vitest.config.ts

echo
for i in "${!names[@]}"; do printf '%-10s %5d s\n' "${names[$i]}" "${times[$i]}"; done
printf '%-10s %5d s\n' all $((SECONDS - started))
