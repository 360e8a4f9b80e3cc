#!/usr/bin/env bash
# Installs what this machine lacks: Debian packages (with sudo when not root), with `--tests` what only tests need, and
# with `--bench` the servers that `make bench` runs beside the centre, and `perf`.
# Services that a package starts or enables are left stopped and disabled: the centre starts its own.
set -euo pipefail

packages=(
  pkg-config gcc libc6-dev
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-tools gstreamer1.0-libav gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  util-linux procps ffmpeg mosquitto
)
tests=no
bench=no
if [[ ${1:-} == --tests ]]; then
  tests=yes
  # A browser with Chinese letters, a camera of another make, the bus and the database of several processes, a witness of
  # system calls, networks with wires that are cut and late (ip, tc), and a clock that leaps.
  packages+=(
    postgresql redis-server strace systemd chromium fonts-noto-cjk python3-gi gir1.2-gst-rtsp-server-1.0 iproute2
    libfaketime
  )
fi
if [[ ${1:-} == --bench ]]; then
  bench=yes
  packages+=(postgresql redis-server libnginx-mod-nchan linux-perf)
fi

fail() {
  echo "$1" >&2
  exit 1
}
command -v cargo >/dev/null || fail "缺少 Rust，请先安装 rustup: Rust is missing, install rustup first"
major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
[[ ${major:-0} -ge 20 ]] && command -v npm >/dev/null ||
  fail "需要 Node.js 20 及以上和 npm（现有: ${major:-无 none}）: Node.js 20 or newer with npm is needed"

as_root() { if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi; }

# Units that start by themselves, whether systemd runs here or not.
enabled() {
  command -v systemctl >/dev/null || return 0
  systemctl --root=/ list-unit-files --state=enabled --no-legend 2>/dev/null |
    awk '$1 ~ /\.(service|socket|timer|path)$/ {print $1}' | sort
}

still() { # unit
  echo "left stopped and disabled 已停用: $1"
  as_root systemctl --root=/ disable --quiet "$1" || true
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl stop "$1" || true
  elif [[ -x /etc/init.d/${1%.service} ]]; then
    as_root "/etc/init.d/${1%.service}" stop >/dev/null || true
  fi
}

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if ((${#missing[@]})); then
  echo "installing 正在安装: ${missing[*]}"
  before=$(enabled)
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}"
  while read -r unit; do
    [[ -z $unit ]] || still "$unit"
  done < <(comm -13 <(echo "$before") <(enabled))
fi

if [[ $tests == yes ]] && ! command -v cargo-nextest >/dev/null; then
  echo "installing 正在安装: cargo-nextest"
  cargo install --locked cargo-nextest
fi

# Not a dependency of the workspace: an old HTTP stack would come with it. Without --locked, since today's Rust refuses what
# its lock file names. The bench does without it where it cannot be built.
if [[ $bench == yes && ! -x target/peers/bin/rumqttd ]]; then
  echo "installing 正在安装: rumqttd"
  cargo install --quiet rumqttd --version 0.20.0 --root target/peers ||
    echo "rumqttd cannot be built and is left out 无法编译，略过" >&2
fi
