"""Where a gateway is, and the paths on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import httpx

from sightline.contract import ModelRef

_LAST_PORT: Final = 65_535
DEFAULT_TIMEOUT: Final = 30.0  # seconds, for a call with its retries


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where the gateway is, and what every request to it carries."""

    url: str  # such as http://127.0.0.1:8080, perhaps with a path before `/v1`
    model: ModelRef | None = None  # None asks the gateway's default model
    timeout: float = DEFAULT_TIMEOUT
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_url(self.url)

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


def check_url(url: str) -> None:
    """Say what is wrong with a gateway's address, which would come out as something else later.

    Raises:
        ValueError: it is none; the text says what would be right.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"a gateway's address begins with http:// or https://, not {url!r}")
    if not url.isprintable() or " " in url:
        raise ValueError(f"the address {url!r} holds a space or a control character")
    try:
        parts = httpx.URL(url)
        parts.host.encode("idna")  # as the lookup of the name will
    except (httpx.InvalidURL, UnicodeError) as fault:
        raise ValueError(f"the address {url!r} cannot be read: {fault}") from None
    if not parts.host:
        raise ValueError(f"the address {url!r} names no host")
    if parts.port is not None and not 0 < parts.port <= _LAST_PORT:
        raise ValueError(f"the address {url!r} has the port {parts.port}; ports are 1 to {_LAST_PORT}")
    if parts.query or parts.fragment:
        raise ValueError(f"the address {url!r} holds a ? or #; paths are added to it, so give it without")


def key_header(api_key: str | None) -> dict[str, str]:
    """The header that carries an API key; none for none.

    Raises:
        ValueError: a header cannot carry it. The text does not repeat it.
    """
    if api_key is None:
        return {}
    if not api_key or not all("!" <= letter <= "~" for letter in api_key):
        raise ValueError(
            "an API key is one or more ASCII letters, digits and signs, without spaces and line breaks; "
            "the one given is not"
        )
    return {"Authorization": f"Bearer {api_key}"}
