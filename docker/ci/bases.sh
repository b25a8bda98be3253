#!/usr/bin/env bash
# Stand-ins for the base images, on a machine that reaches no image registry, under the very names that the
# Dockerfiles ask for, so that these are built unchanged. The Python base is Debian's own Python. The TensorFlow
# bases are that Python base too: they test a Dockerfile's steps, never TensorFlow Serving or a GPU.
set -euo pipefail

WORK=${1:?usage: bases.sh FOLDER}
. "$(dirname "$0")/twice.sh"
HERE=$(cd "$(dirname "$0")/.." && pwd)
export CONTAINERS_CONF=$WORK/containers.conf

mapfile -t names < <(sed -nE 's/^FROM +([^ ]+:[^ ]+).*/\1/p' "$HERE"/*/Dockerfile | sort -u)

full() { if [[ $1 == */* ]]; then echo "docker.io/$1"; else echo "docker.io/library/$1"; fi; }

if ! podman image exists localhost/stand-in:base; then
  mapfile -t sources < <(find /etc/apt/sources.list /etc/apt/sources.list.d -type f 2>/dev/null)
  # This machine's own release, which its sources are of.
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  twice mmdebstrap --variant=minbase --mode=root --quiet --include=python3,python3-pip,python3-venv,ca-certificates \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$WORK/base.tar" "${sources[@]}"
  # As in python:slim: `python` is there, and pip installs without asking twice.
  podman import --quiet "$WORK/base.tar" localhost/stand-in:bare >/dev/null
  rm "$WORK/base.tar"
  podman build --quiet --format docker --tag localhost/stand-in:base - >/dev/null <<'FILE'
FROM localhost/stand-in:bare
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python && rm -rf /var/lib/apt/lists/*
FILE
fi
for name in "${names[@]}"; do
  podman image exists "$(full "$name")" || podman tag localhost/stand-in:base "$(full "$name")"
done

# Debian's Prometheus and Alertmanager under the names that the compose file asks for, so that its configuration,
# mounts and users are tried; they are older than those that it names, and Debian's keep files beside the program.
# Grafana has no stand-in.
for program in prometheus alertmanager; do
  name=$(sed -nE "s|^ +image: (prom/$program:.+)|\1|p" "$HERE/compose.yaml")
  podman image exists "$(full "$name")" && continue
  context=$(mktemp -d)
  cp "$(command -v "$program" || command -v "prometheus-$program")" "$context/$program"
  mkdir "$context/share"
  if [ -d "/usr/share/prometheus/$program" ]; then cp -rL "/usr/share/prometheus/$program" "$context/share"; fi
  podman build --quiet --format docker --tag "$(full "$name")" --file - "$context" >/dev/null <<FILE
FROM localhost/stand-in:base
COPY $program /bin/$program
COPY share /usr/share/prometheus
RUN mkdir /$program && chown 65534:65534 /$program
USER 65534
ENTRYPOINT ["/bin/$program"]
FILE
  rm -r "$context"
done
