"""What a gateway may take at worst by its settings, for the limits that are set around it."""

from __future__ import annotations

from collections.abc import Mapping

from sightline_serving.gateway.settings import Settings, variable

WORKER = 130_000_000  # bytes: the aim that bench/report.md holds a worker to
BODY_COPIES = 2  # the server has a body, and so have we; measured
SMALL_PICTURE = 4_000_000  # pixels; of larger ones a worker decodes one at a time
CHANNELS = 3
DECODED_COPIES = 2  # as it was decoded, and in the order of colours that the model wants

_COUNTED = ("workers", "threads", "max_in_flight", "max_body", "max_pixels", "max_videos", "max_video")


def bounds(environment: Mapping[str, str]) -> Settings:
    """The settings that bound what is held, from a container's variables, the others at their defaults."""
    given = {name: environment[variable(name)] for name in _COUNTED if variable(name) in environment}
    return Settings.model_validate({"model": "droids", **given})


def memory(settings: Settings) -> int:
    """Bytes of all workers with every body and picture at its largest; without the videos' decoders."""
    bodies = settings.max_in_flight * settings.max_body * BODY_COPIES
    pixels = settings.max_pixels + settings.threads * SMALL_PICTURE
    return settings.workers * (WORKER + bodies + pixels * CHANNELS * DECODED_COPIES)


def disk(settings: Settings) -> int:
    """Bytes of the videos that wait in /tmp while they are read and looked at."""
    return settings.workers * settings.max_videos * settings.max_video
