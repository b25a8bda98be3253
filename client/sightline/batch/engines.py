"""Who does the tasks: threads here, or a Ray cluster. Either way no more than `workers` at once."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final, Protocol

from sightline.batch.tasks import Outcome, Task
from sightline.batch.work import Work
from sightline.errors import InvalidOptionError, UnavailableError

LOST_NODE_RETRIES: Final = 5  # of a task whose machine went away under it
JOIN_WITHIN: Final = 10.0  # seconds for a cluster to answer at its address
_HEAD: Final = re.compile(r"(?:ray://)?([^/@]+:\d+)")  # else it is `auto`, or a name that Ray looks up


class Engine(Protocol):
    """Does tasks, in any order."""

    def run(self, work: Work, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """What comes of each task. Tasks are taken a few at a time.

        Raises:
            SightlineError: the service refuses, or is away for too long.
        """
        ...


class ThreadEngine:
    """Threads of this process: decoding and waiting for the model let each other run."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, work: Work, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """As `Engine.run`."""
        stopping = threading.Event()
        running: set[Future[list[Outcome]]] = set()
        with ThreadPoolExecutor(self._workers) as threads:
            try:
                for task in tasks:
                    running.add(threads.submit(work, task, stopping.is_set))
                    # As many again lie ready, so that no worker idles while results are being written.
                    if len(running) == 2 * self._workers:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        yield from (future.result() for future in done)
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            finally:
                stopping.set()
                threads.shutdown(cancel_futures=True)


class RayEngine:
    """A Ray cluster; needs the extra `sightline[ray]`. A task of a lost node is done again on another.

    Args:
        workers: tasks at once over the whole cluster, so that the frames in flight are bounded there, too.
        address: of a cluster to join, such as `auto` or `ray://head:10001`; None starts one here.

    Raises:
        InvalidOptionError: Ray is not installed.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        self._workers, self._address = workers, address
        self._ray = _ray()

    def run(self, work: Work, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """As `Engine.run`."""
        ray = self._ray
        begun = not ray.is_initialized()
        if begun:
            self._join()
        try:
            do = ray.remote(max_retries=LOST_NODE_RETRIES)(_do)
            shared = ray.put(work)  # sent to each machine once
            running: list[Any] = []
            for task in tasks:
                running.append(do.remote(shared, task))
                if len(running) == self._workers:
                    done, running = ray.wait(running)
                    yield from (_result(ray, item) for item in done)
            while running:
                done, running = ray.wait(running)
                yield from (_result(ray, item) for item in done)
        finally:
            if begun:
                ray.shutdown()

    def _join(self) -> None:
        if self._address is not None:
            check_answers(self._address)
        try:
            # Without an address Ray would join whatever cluster was last started on this machine.
            address = self._address or "local"
            self._ray.init(address=address, log_to_driver=False, include_dashboard=False)
        except ValueError as fault:
            raise InvalidOptionError(f"{self._address} is no address of a Ray cluster: {fault}") from None
        except (ConnectionError, RuntimeError) as fault:
            raise UnavailableError(f"the Ray cluster at {self._address} cannot be reached: {fault}") from None


def check_answers(address: str, *, within: float = JOIN_WITHIN) -> None:
    """Ask at a cluster's address before Ray does, which would do so for ten minutes.

    Raises:
        UnavailableError: nothing answers there that speaks gRPC, as the heads of clusters do.
    """
    found = _HEAD.fullmatch(address)
    if found is None or os.environ.get("RAY_USE_TLS", "0") != "0":  # Ray's own certificates are its matter
        return
    import grpc

    with grpc.insecure_channel(found[1]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=within)
        except grpc.FutureTimeoutError:
            raise UnavailableError(
                f"the Ray cluster at {address} cannot be reached: nothing like it answered within "
                f"{within:g} s"
            ) from None


def _do(work: Work, task: Task) -> list[Outcome]:
    return work(task)


def _result(ray: Any, item: Any) -> list[Outcome]:
    try:
        outcomes: list[Outcome] = ray.get(item)
    except ray.exceptions.RayTaskError as fault:
        raise fault.cause from None
    except ray.exceptions.RayError as fault:  # after all retries
        raise UnavailableError(f"the Ray cluster lost a task: {str(fault).splitlines()[0]}") from fault
    return outcomes


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InvalidOptionError("--engine ray needs a library: pip install 'sightline[ray]'") from None
    return ray
