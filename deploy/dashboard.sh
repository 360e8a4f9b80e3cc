#!/usr/bin/env bash
# Installs the dashboard's packages and builds it into dashboard/dist, each only when something changed.
set -euo pipefail
cd "$(dirname "$0")/../dashboard"
command -v npm >/dev/null || { echo "缺少 Node 20 与 npm: Node 20 with npm is missing" >&2; exit 1; }
stamp=node_modules/.installed-lock
if ! cmp -s package-lock.json "$stamp"; then
  echo "installing the dashboard's packages 正在安装前端依赖"
  npm ci --engine-strict --no-audit --no-fund
  cp package-lock.json "$stamp"
fi
if [[ ! -f dist/index.html || -n $(find src client/src public index.html vite.config.ts package-lock.json -newer dist/index.html -print -quit) ]]; then
  echo "building the dashboard 正在构建前端"
  npm run build
fi
