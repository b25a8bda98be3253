#!/usr/bin/env bash
# Container tools for CI on a bare Debian machine without a Docker engine: installs what is missing and writes
# the containers.conf that works there. Prints the path of that file; export it as CONTAINERS_CONF.
set -euo pipefail

WORK=${1:?usage: tools.sh FOLDER}
PACKAGES=(
  podman buildah runc netavark aardvark-dns nftables iptables uidmap catatonit golang-github-containers-common
  mmdebstrap
)

missing=()
for package in "${PACKAGES[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$WORK"
# runc, because crun refuses the cgroups of nested sandboxes; cgroupfs, because there is no systemd.
cat >"$WORK/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
CONF
# What a build needs to reach the package index as this machine does: its certificates and its pip settings.
cp /etc/ssl/certs/ca-certificates.crt "$WORK/ca.crt"
{
  echo "[global]"
  echo "cert = /run/ci-ca.crt"
  index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
  if [ -n "$index" ]; then echo "index-url = $index"; fi
} >"$WORK/pip.conf"
echo "$WORK/containers.conf"
