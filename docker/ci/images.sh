#!/usr/bin/env bash
# Builds the images by podman, from the unchanged Dockerfiles on stand-in bases (bases.sh).
#   images.sh FOLDER [IMAGE...]     all of them, unless named as `make images` names them
set -euo pipefail

SPACE=15 # GiB, of images and of what is copied while they are made
WORK=${1:?usage: images.sh FOLDER [IMAGE...]}
shift
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
cd "$(dirname "$0")/../.."
. docker/ci/twice.sh
docker/ci/tools.sh "$WORK"
export CONTAINERS_CONF=$WORK/containers.conf
# What earlier runs left untagged is gigabytes each, and an engine out of space breaks in the middle of a commit.
podman image prune --force >/dev/null
store=$(podman info --format '{{.Store.GraphRoot}}')
for folder in "$store" /var/tmp; do # layers are made up in the second
  free=$(($(df --output=avail -k "$folder" | tail -1) / 1024 / 1024))
  [ "$free" -ge "$SPACE" ] || {
    echo "$folder has $free GiB free; the images want $SPACE: remove what is not needed (podman system df)" >&2
    exit 1
  }
done
docker/ci/bases.sh "$WORK"
twice make --no-print-directory -f docker/targets.mk images ENGINE=podman ${*:+IMAGES="$*"} \
  ENGINE_FLAGS="--quiet --format docker -v $WORK/ca.crt:/run/ci-ca.crt:ro -v $WORK/pip.conf:/etc/pip.conf:ro"
