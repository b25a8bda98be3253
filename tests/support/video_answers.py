"""What `:detectVideo` answered, and the processes that decode for it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import psutil

Lines = list[dict[str, Any]]


def lines(response: Any) -> Lines:
    assert response.status_code == 200, response.text
    assert response.content_type == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.get_json()["code"]


def decoders() -> set[int]:
    """Of this process and of the gateways that it started; others on the machine may have their own."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended while it was looked at
            if any(word.endswith("gateway.video_decoder") for word in process.cmdline()):
                found.add(process.pid)
    return found
