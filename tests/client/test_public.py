"""The public surface: what `import sightline` offers, and what it costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sightline

PUBLIC = [
    *("AsyncDetector", "AsyncGateway", "AsyncServing", "Box", "DetectOptions", "Detection", "Detector"),
    *("Frame", "FrameOptions", "FrameResult", "Gateway", "ImageInput", "ImageSize", "InputError"),
    *("ModelCard", "ModelRef", "ModelVersion", "Result", "ServedModel", "Serving", "SightlineError"),
    *("Stream", "StreamOptions", "Tracker", "VersionStatus", "Video", "detect_frames"),
]


def test_the_surface_is_what_it_is() -> None:
    assert sightline.__all__ == PUBLIC
    assert set(dir(sightline)) == {*PUBLIC, "__version__"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_documented_and_known_to_type_checkers(name: str) -> None:
    value = getattr(sightline, name)
    told = inspect.getdoc(value) or ""
    # A dataclass without a docstring is given its signature for one.
    assert name == "ImageInput" or (told.endswith((".", ")")) and not told.startswith(f"{name}("))
    tree = ast.parse(Path(sightline.__file__).read_text())
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert name in imported


@pytest.mark.parametrize("name", ["Gateway", "AsyncGateway", "Serving", "AsyncServing"])
def test_every_public_method_of_a_way_is_documented(name: str) -> None:
    way = getattr(sightline, name)
    methods = {key: value for key, value in vars(way).items() if callable(value) and not key.startswith("_")}
    assert {"detect", "detect_many", "models", "card", "close"} <= set(methods)
    assert [key for key, method in methods.items() if not inspect.getdoc(method)] == []


@pytest.mark.parametrize(
    "pair", [("Gateway", "AsyncGateway"), ("Serving", "AsyncServing"), ("Gateway", "Serving")]
)
def test_the_ways_take_the_same_arguments(pair: tuple[str, str]) -> None:
    one, other = (getattr(sightline, name) for name in pair)
    for method in ("detect", "detect_many", "models", "card", "close"):
        assert (
            inspect.signature(getattr(one, method)).parameters
            == inspect.signature(getattr(other, method)).parameters
        )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gatevay'"):
        _ = sightline.Gatevay  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sightline", ("numpy", "cv2", "grpc", "httpx", "google.protobuf")),
        ("from sightline import Gateway", ("grpc", "google.protobuf", "pandas", "supervision", "PIL")),
        ("from sightline import Serving", ("httpx", "pandas", "supervision", "PIL")),
    ],
)
def test_nothing_is_loaded_before_it_is_used(statement: str, absent: tuple[str, ...]) -> None:
    script = f"import sys; {statement}; print([name for name in {absent} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
