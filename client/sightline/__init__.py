"""Ask a detection service for boxes: over HTTP, or straight from TensorFlow Serving over gRPC.

    from sightline import Gateway

    with Gateway("http://127.0.0.1:8080") as gateway:
        for found in gateway.detect("photo.jpg").detections:
            print(found.label, found.score, found.box)

Names are imported from their modules when first used: who only asks over HTTP never loads gRPC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sightline.async_serving import AsyncServing
    from sightline.contract import ModelCard, ModelRef
    from sightline.detections import Box, Detection, ImageSize, ModelVersion, Result
    from sightline.detector import Serving
    from sightline.errors import InputError, SightlineError
    from sightline.frame_result import FrameResult
    from sightline.http import AsyncGateway, Gateway
    from sightline.inputs import ImageInput
    from sightline.interface import AsyncDetector, Detector
    from sightline.options import DetectOptions
    from sightline.pipeline import detect_frames
    from sightline.served_models import ServedModel, VersionStatus
    from sightline.stream import Stream, StreamOptions
    from sightline.tracking import Tracker
    from sightline.video import Frame, FrameOptions, Video

__version__ = "0.1.0"

__all__ = [
    "AsyncDetector",
    "AsyncGateway",
    "AsyncServing",
    "Box",
    "DetectOptions",
    "Detection",
    "Detector",
    "Frame",
    "FrameOptions",
    "FrameResult",
    "Gateway",
    "ImageInput",
    "ImageSize",
    "InputError",
    "ModelCard",
    "ModelRef",
    "ModelVersion",
    "Result",
    "ServedModel",
    "Serving",
    "SightlineError",
    "Stream",
    "StreamOptions",
    "Tracker",
    "VersionStatus",
    "Video",
    "detect_frames",
]

_MODULE_OF: Final = {
    "AsyncDetector": "interface",
    "AsyncGateway": "http",
    "AsyncServing": "async_serving",
    "Box": "detections",
    "DetectOptions": "options",
    "Detection": "detections",
    "Detector": "interface",
    "Frame": "video",
    "FrameOptions": "video",
    "FrameResult": "frame_result",
    "Gateway": "http",
    "ImageInput": "inputs",
    "ImageSize": "detections",
    "InputError": "errors",
    "ModelCard": "contract",
    "ModelRef": "contract",
    "ModelVersion": "detections",
    "Result": "detections",
    "ServedModel": "served_models",
    "Serving": "detector",
    "SightlineError": "errors",
    "Stream": "stream",
    "StreamOptions": "stream",
    "Tracker": "tracking",
    "VersionStatus": "served_models",
    "Video": "video",
    "detect_frames": "pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"sightline.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
