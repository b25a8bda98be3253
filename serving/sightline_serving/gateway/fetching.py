"""Pictures that a request names by their address, from hosts that the settings allow."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

import httpx

from sightline.errors import BodyTooLargeError, InvalidOptionError, NoImageError

TIMEOUT: Final = 5.0  # seconds between bytes, and for the connection
_WHOLE: Final = 15.0  # seconds for all of a picture
_AS_IT_IS: Final = {"Accept-Encoding": "identity"}  # what is coded may be a thousand times as much


class Fetcher:
    """Fetches pictures over HTTP and HTTPS, from allowed hosts only; redirects are not followed.

    Args:
        hosts: names as they stand in the address; none allows nothing.
        max_bytes: of one picture.
    """

    def __init__(self, hosts: Collection[str], max_bytes: int) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._max_bytes = max_bytes

    def fetch(self, address: str) -> bytes:
        """The bytes at an address.

        Raises:
            InvalidOptionError: the host is not allowed.
            NoImageError: nothing could be fetched.
            BodyTooLargeError: there is more than the limit.
        """
        try:
            url = httpx.URL(address)
        except (httpx.InvalidURL, TypeError, ValueError):  # the last of names that IDNA does not allow
            raise InvalidOptionError(f"{address!r} is no address") from None
        if url.scheme not in {"http", "https"} or url.host.lower() not in self._hosts:
            raise InvalidOptionError(f"pictures are not fetched from {url.host or address!r}; send the bytes")
        try:
            with httpx.stream(
                "GET", url, headers=_AS_IT_IS, timeout=TIMEOUT, follow_redirects=False
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise NoImageError(f"{url.host} answered {response.status_code}")
                return self._read(response)
        except httpx.HTTPError as fault:
            raise NoImageError(f"{url.host} gave no picture: {fault}") from None

    def _read(self, response: httpx.Response) -> bytes:
        data, until = bytearray(), time.monotonic() + _WHOLE
        for chunk in response.iter_raw():
            data += chunk
            if time.monotonic() > until:
                raise NoImageError(f"{response.url.host} took more than {_WHOLE:.0f} s for the picture")
            if len(data) > self._max_bytes:
                raise BodyTooLargeError(f"the picture there has more than {self._max_bytes} bytes")
        return bytes(data)
