"""Where a gateway is, and the paths on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from sightline.contract import ModelRef

DEFAULT_TIMEOUT: Final = 30.0  # seconds, for a call with its retries


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where the gateway is, and what every request to it carries."""

    url: str  # such as http://127.0.0.1:8080, perhaps with a path before `/v1`
    model: ModelRef | None = None  # None asks the gateway's default model
    timeout: float = DEFAULT_TIMEOUT
    headers: Mapping[str, str] = field(default_factory=dict)

    def path(self, model: ModelRef | None, action: str = "") -> str:
        """The path of a model, or of something asked of it."""
        ref = model or self.model
        if ref is None:
            return f"/v1/{action.removeprefix(':')}"
        parts = [ref.name]
        if ref.version is not None:
            parts += ["versions", str(ref.version)]
        elif ref.label is not None:
            parts += ["labels", ref.label]
        return "/v1/models/" + "/".join(quote(part, safe="") for part in parts) + action
