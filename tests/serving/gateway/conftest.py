"""The application in this process, in front of a fake model server on a real port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fake_serving import FakeServing, fake_serving
from support.pictures import jpeg

from sightline.detector import Serving
from sightline_serving.gateway.app import create_app
from sightline_serving.gateway.settings import Settings

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def serving() -> Iterator[FakeServing]:
    with fake_serving() as server:
        yield server


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Makes a client of an application with these settings; its connection is closed at the end."""
    with ExitStack() as stack:

        def make(target: str, detector: Any = None, **settings: Any) -> FlaskClient:
            chosen = Settings(**{"serving": target, "model": "droids", "timeout": 5, **settings})
            if detector is None:
                detector = Serving(
                    target, model=chosen.model, max_pixels=chosen.max_pixels, timeout=chosen.timeout
                )
                stack.enter_context(detector)
            return create_app(chosen, detector).test_client()

        yield make


@pytest.fixture
def client(serving: FakeServing, make_client: MakeClient) -> FlaskClient:
    return make_client(serving.target)


@pytest.fixture
def browser() -> Iterator[Any]:
    from support.browsers import chromium  # playwright is there where pages are tested

    with chromium() as started:
        yield started


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two pictures: of two droids, and of one."""
    made = [tmp_path / "bright.jpg", tmp_path / "dark.jpg"]
    for path in made:
        path.write_bytes(jpeg(640, 480, bright=path.stem == "bright"))
    return made
