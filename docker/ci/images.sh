#!/usr/bin/env bash
# Builds the images that the container tests run, from the unchanged Dockerfiles on stand-in bases, by podman.
#   images.sh FOLDER [IMAGE...]
set -euo pipefail

WORK=${1:?usage: images.sh FOLDER [IMAGE...]}
shift
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
cd "$(dirname "$0")/../.."
docker/ci/tools.sh "$WORK" >/dev/null
docker/ci/bases.sh "$WORK"
export CONTAINERS_CONF=$WORK/containers.conf
for image in "${@:-gateway model-server tf-serving tf-serving-gpu batch}"; do
  for one in $image; do
    make --no-print-directory -f docker/targets.mk "image-$one" ENGINE=podman \
      ENGINE_FLAGS="--quiet --format docker -v $WORK/ca.crt:/run/ci-ca.crt:ro -v $WORK/pip.conf:/etc/pip.conf:ro"
  done
done
