"""Addresses of Servings: what gRPC makes something of, and what it would only fail at later."""

from __future__ import annotations

import pytest

from sightline.serving_address import check_serving_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8500",
        "serving.example.org:8500",
        "[::1]:8500",
        "dns:///serving:8500",
        "dns:serving:8500",
        "dns://10.0.0.53/serving:8500",
        "ipv4:10.0.0.1:8500,10.0.0.2:8501",
        "ipv6:[::1]:8500,[fe80::2]:8500",
        "unix:serving.sock",
        "unix:///run/serving.sock",
        "unix-abstract:serving",
        "xds:///serving",
    ],
)
def test_those_that_grpc_takes(address: str) -> None:
    assert check_serving_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["", " ", "serving", "serving:", ":8500", "serving:http", "serving:0", "serving:65536", "dns:///serving",
     "http://serving:8500", "foo://serving:8500", "serving:8500/", "serving:8500,other:8500", "::1:8500",
     "ipv4:10.0.0.1", "ipv4:", "ipv4:10.0.0.1:8500,", "unix:", "unix://"],
)  # fmt: skip
def test_those_that_are_none(address: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        check_serving_address(address)
