#!/usr/bin/env bash
# Installs what this machine lacks: Debian packages (with sudo when not root) and cargo-nextest. Services that a package
# starts or enables are left stopped and disabled: the centre starts its own.
set -euo pipefail

packages=(
  pkg-config gcc libc6-dev
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-tools gstreamer1.0-libav gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  util-linux ffmpeg mosquitto
  # For the tests: a browser with Chinese letters, and a camera of another make.
  chromium fonts-noto-cjk python3-gi gir1.2-gst-rtsp-server-1.0
)

# Every service that this machine could start, one a line.
services() {
  find /lib/systemd/system /usr/lib/systemd/system -name '*.service' -printf '%f\n' 2>/dev/null | sed 's/\.service$//' || true
  find /etc/init.d -type f -printf '%f\n' 2>/dev/null || true
}

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  as_root=()
  if [[ $(id -u) -ne 0 ]]; then as_root=(sudo); fi
  export DEBIAN_FRONTEND=noninteractive
  before=$(services | sort -u)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
  while read -r service; do
    [[ -n $service && $service != *@* ]] || continue
    if [[ -d /run/systemd/system ]]; then
      [[ $(systemctl is-enabled "$service" 2>/dev/null) == enabled ]] || continue
      "${as_root[@]}" systemctl disable --now --quiet "$service"
    elif [[ -x /etc/init.d/$service ]]; then
      "${as_root[@]}" "/etc/init.d/$service" stop >/dev/null 2>&1 || true
      "${as_root[@]}" update-rc.d "$service" disable >/dev/null 2>&1 || true
    fi
  done < <(comm -13 <(echo "$before") <(services | sort -u))
fi

if ! command -v cargo-nextest >/dev/null; then
  echo "installing: cargo-nextest"
  cargo install --locked cargo-nextest
fi
