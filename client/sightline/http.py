"""The same `detect()` over the gateway: blocking, and to be awaited."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TypeVar

import httpx

from sightline import http_exchange as exchange
from sightline.contract import ModelCard, ModelRef
from sightline.detections import Result
from sightline.errors import InputError, InvalidOptionError, SightlineError
from sightline.gateway_address import DEFAULT_TIMEOUT, GatewayAddress, key_header
from sightline.http_clients import LoopClients, ProcessClients
from sightline.http_exchange import ArrayFormat, Asked, Exchange
from sightline.http_limit import CallLimit, send_in_time
from sightline.inputs import ImageInput
from sightline.made_anew import MadeAnew
from sightline.options import DetectOptions
from sightline.served_models import ServedModel

T = TypeVar("T")


class Gateway(MadeAnew):
    """A detector behind Sightline's gateway. Safe to share between threads.

    Connections are kept alive and shared, but for those of another process: one that was forked opens its
    own. A request is sent again, with backoff, where the gateway was not reached or asked for it; detection
    changes nothing, so that is safe.

    Args:
        url: such as `http://127.0.0.1:8080`.
        model: the model asked where a call names none; None leaves it to the gateway.
        timeout: seconds for a call with its retries, where the call gives none.
        api_key: sent as `Authorization: Bearer`.
        headers: sent with every request.
        arrays_as: how pixels travel; PNG loses nothing, JPEG is several times quicker, which is right for
            the frames of a video, lossy already.
        transport: carries the requests; for tests and for your own proxies. A process that was forked uses it
            as it is, with the connections that it has.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | ModelRef | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        arrays_as: ArrayFormat = "png",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = _address(url, model, timeout, api_key, headers)
        self._arrays_as: ArrayFormat = arrays_as
        with _environment():
            self._clients = ProcessClients(partial(httpx.Client, transport=transport))
        self._limit = CallLimit()

    def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """Find the objects in one picture; see `sightline.interface.Detector.detect`."""
        (outcome,) = self.detect_many([image], options, model=model, timeout=timeout, request_id=request_id)
        return _raised(outcome)

    def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """Find the objects in several pictures; see `sightline.interface.Detector.detect_many`."""
        pictures = exchange.encoded(images, self._arrays_as)
        asked = Asked(pictures, options, _ref(model), timeout, request_id)
        return self._run(exchange.detect(self.address, asked))

    def models(self) -> list[ServedModel]:
        """The models that the gateway lists; see `sightline.interface.Detector.models`."""
        return self._run(exchange.models(self.address))

    def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """What a model says of itself; see `sightline.interface.Detector.card`."""
        return self._run(exchange.card(self.address, _ref(model)))

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, steps: Exchange[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    got = self._do(step)
                except httpx.TransportError as fault:
                    step = steps.throw(fault)
                else:
                    step = steps.send(got)
        except StopIteration as end:
            outcome: T = end.value
            return outcome

    def _do(self, step: httpx.Request | float) -> httpx.Response | None:
        if isinstance(step, httpx.Request):
            return self._limit.send(self._clients.here(), step)
        time.sleep(step)
        return None


class AsyncGateway(MadeAnew):
    """As `Gateway`, to be awaited; on one event loop after the other, or on several."""

    def __init__(
        self,
        url: str,
        *,
        model: str | ModelRef | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        arrays_as: ArrayFormat = "png",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.address = _address(url, model, timeout, api_key, headers)
        self._arrays_as: ArrayFormat = arrays_as
        with _environment():
            self._clients = LoopClients(partial(httpx.AsyncClient, transport=transport))

    async def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """As `Gateway.detect`."""
        many = self.detect_many([image], options, model=model, timeout=timeout, request_id=request_id)
        (outcome,) = await many
        return _raised(outcome)

    async def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """As `Gateway.detect_many`."""
        # Reading files and encoding arrays would hold up everything else on the loop.
        pictures = await asyncio.to_thread(exchange.encoded, images, self._arrays_as)
        asked = Asked(pictures, options, _ref(model), timeout, request_id)
        return await self._run(exchange.detect(self.address, asked))

    async def models(self) -> list[ServedModel]:
        """As `Gateway.models`."""
        return await self._run(exchange.models(self.address))

    async def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """As `Gateway.card`."""
        return await self._run(exchange.card(self.address, _ref(model)))

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()

    async def __aenter__(self) -> AsyncGateway:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, steps: Exchange[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    got = await self._do(step)
                except httpx.TransportError as fault:
                    step = steps.throw(fault)
                else:
                    step = steps.send(got)
        except StopIteration as end:
            outcome: T = end.value
            return outcome

    async def _do(self, step: httpx.Request | float) -> httpx.Response | None:
        if isinstance(step, httpx.Request):
            return await send_in_time(self._clients.here(), step)
        await asyncio.sleep(step)
        return None


def _address(
    url: str,
    model: str | ModelRef | None,
    timeout: float,
    api_key: str | None,
    headers: Mapping[str, str] | None,
) -> GatewayAddress:
    return GatewayAddress(url, _ref(model), timeout, {**key_header(api_key), **(headers or {})})


@contextmanager
def _environment() -> Iterator[None]:
    """Name what the environment has that no client can be made with.

    Raises:
        InvalidOptionError: a proxy or certificates that cannot be used.
    """
    try:
        yield
    except OSError as fault:
        named = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
        raise InvalidOptionError(f"the certificates that {named} names cannot be read: {fault}") from None
    except (ImportError, ValueError, httpx.InvalidURL) as fault:
        raise InvalidOptionError(f"the proxy that the environment names cannot be used: {fault}") from None


def _ref(model: str | ModelRef | None) -> ModelRef | None:
    return None if model is None else ModelRef.of(model)


def _raised(outcome: Result | InputError) -> Result:
    if isinstance(outcome, SightlineError):
        raise outcome
    return outcome
