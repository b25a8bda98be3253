#!/usr/bin/env bash
# Builds the images by podman, from the unchanged Dockerfiles on stand-in bases (bases.sh).
#   images.sh FOLDER [IMAGE...]     all of them, unless named as `make images` names them
set -euo pipefail

WORK=${1:?usage: images.sh FOLDER [IMAGE...]}
shift
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
cd "$(dirname "$0")/../.."
. docker/ci/twice.sh
docker/ci/tools.sh "$WORK"
export CONTAINERS_CONF=$WORK/containers.conf
docker/ci/bases.sh "$WORK"
twice make --no-print-directory -f docker/targets.mk images ENGINE=podman ${*:+IMAGES="$*"} \
  ENGINE_FLAGS="--quiet --format docker -v $WORK/ca.crt:/run/ci-ca.crt:ro -v $WORK/pip.conf:/etc/pip.conf:ro"
