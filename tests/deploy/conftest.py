"""The manifests as kustomize builds them."""

from __future__ import annotations

import pytest
from support.manifests import COMPONENTS, K8S, OVERLAYS, Manifest, build, combine


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The base with every component at once."""
    return combine(tmp_path_factory.mktemp("whole"), COMPONENTS)


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(K8S / "overlays" / request.param)


@pytest.fixture(scope="session", params=["local", "production-gpu", "every component"])
def manifests(request: pytest.FixtureRequest, whole: list[Manifest]) -> list[Manifest]:
    if request.param == "every component":
        return whole
    return build(K8S / "overlays" / request.param)
