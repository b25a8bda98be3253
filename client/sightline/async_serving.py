"""`Serving`, to be awaited."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, TypeVar

from sightline.contract import SERVING_TIMEOUT, ModelCard, ModelRef
from sightline.detections import Result
from sightline.detector import Serving
from sightline.errors import ExhaustedError, InputError, SightlineError
from sightline.images import DEFAULT_MAX_PIXELS
from sightline.inputs import ImageInput
from sightline.made_anew import MadeAnew
from sightline.options import DetectOptions
from sightline.served_models import ServedModel
from sightline.tf_serving import ServingStub
from sightline.turns import Turns

DEFAULT_THREADS: Final = 16  # calls under way at once; more wait their turn

T = TypeVar("T")


class AsyncServing(MadeAnew):
    """As `Serving`, to be awaited.

    The calls run in threads rather than on gRPC's own asyncio: decoding and resizing would hold up the
    loop, and both they and gRPC let other threads run meanwhile. So there is one line from bytes to
    boxes, not two.

    Args:
        target, model, labels, max_pixels, timeout: as of `Serving`.
        threads: calls under way at once, at most. Where the server is too busy for as many, there are fewer
            for a while, and what it refused is asked again within its time limit.
    """

    def __init__(
        self,
        target: str | ServingStub,
        *,
        model: str | ModelRef,
        labels: Mapping[int, str] | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        timeout: float = SERVING_TIMEOUT,
        threads: int = DEFAULT_THREADS,
    ) -> None:
        self._serving = Serving(target, model=model, labels=labels, max_pixels=max_pixels, timeout=timeout)
        self._closed = False
        self._most = threads
        self._process = 0
        self._arrive()

    async def detect(
        self,
        image: ImageInput,
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """As `Serving.detect`."""
        call = partial(self._serving.detect, image, options, model=model, request_id=request_id)
        return await self._run(call, timeout)

    async def detect_many(
        self,
        images: Sequence[ImageInput],
        options: DetectOptions | None = None,
        *,
        model: str | ModelRef | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Result | InputError]:
        """As `Serving.detect_many`."""
        call = partial(self._serving.detect_many, images, options, model=model, request_id=request_id)
        return await self._run(call, timeout)

    async def models(self) -> list[ServedModel]:
        """As `Serving.models`."""
        return await self._run(lambda **_: self._serving.models())

    async def card(self, model: str | ModelRef | None = None) -> ModelCard | None:
        """As `Serving.card`."""
        return await self._run(lambda **_: self._serving.card(model))

    async def close(self) -> None:
        """Close the connection, once the calls under way have ended."""
        self._closed = True
        self._arrive()
        await self._turns.take()  # behind the calls that wait for theirs
        self._turns.answered()
        await asyncio.to_thread(self._threads.shutdown)
        self._serving.close()

    async def __aenter__(self) -> AsyncServing:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _arrive(self) -> None:
        """Have threads in this process: one that was forked has none of its parent's."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._turns = Turns(self._most)
        self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="sightline")

    async def _run(self, call: Callable[..., T], timeout: float | None = None) -> T:
        """Call in a thread; what the server is too busy for, once fewer are under way."""
        if self._closed:
            raise SightlineError("this AsyncServing was closed; make another")
        self._arrive()
        await self._turns.take()
        limit = self._serving.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        while True:
            among_others = self._turns.under_way > 1
            try:
                loop = asyncio.get_running_loop()
                got = await loop.run_in_executor(self._threads, partial(call, timeout=limit))
            except ExhaustedError:
                among_others = among_others or self._turns.under_way > 1
                self._turns.refused()
                limit = deadline - time.monotonic()
                if limit <= 0 or not among_others or self._closed:
                    raise
            except BaseException:
                self._turns.answered()
                raise
            else:
                self._turns.answered()
                return got
            await self._turns.take(again=True)
            limit = max(deadline - time.monotonic(), 0.001)
