"""Processes of their own: for the work that is measured, so that its peak memory is its own, and for the sandboxes
that it talks to."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from connectors.kit.sandbox import Sandbox
from connectors.sandboxes import SANDBOXES

T = TypeVar("T")

# Not forked: a fork would begin with this process' memory, and its peak would say nothing.
_FRESH = multiprocessing.get_context("spawn")


class Measured(msgspec.Struct, Generic[T], frozen=True):
    """What a process gave, its highest resident memory in MB, and how long it took in seconds, start included."""

    value: T
    peak_mb: float
    seconds: float


class Failed(Exception):
    """A process ended without a result; what went wrong stands in its own output."""


def measured(work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Measured[T]:
    """Run a coroutine function of a module in a fresh process. Arguments and result must be picklable."""
    started = time.perf_counter()
    ours, theirs = _FRESH.Pipe()
    process = _FRESH.Process(target=_run, args=(theirs, work, args))
    process.start()
    theirs.close()
    try:
        value, peak_mb = ours.recv()
    except EOFError:
        raise Failed(f"{work.__name__} came to nothing") from None
    finally:
        process.join()
    return Measured(value, peak_mb, time.perf_counter() - started)


def _run(pipe: Connection, work: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> None:
    _hush()
    value = asyncio.run(work(*args))
    pipe.send((value, _peak_mb()))


def _hush() -> None:
    """The table is what is read: of the log only what went wrong."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _peak_mb() -> float:
    """The highest resident memory of this process. `getrusage` would count what stood here before exec too, so the
    kernel's own mark for this memory map is read where there is one (Linux: VmHWM)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    per_mb = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mb


class Vendor:
    """A sandbox that serves in a process of its own, without rate limits."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url: str = self.do(_url)

    def do(self, act: Callable[..., T], *args: Any) -> T:
        """Call `act(sandbox, *args)` over there: what a person does at the vendor, or a look at it."""
        self._pipe.send((act, args))
        try:
            answer: T = self._pipe.recv()
        except EOFError:
            raise Failed(f"{act.__name__} came to nothing") from None
        return answer

    @property
    def calls(self) -> int:
        """Calls that reached the vendor so far."""
        return self.do(_calls)


@contextmanager
def vendor(slug: str) -> Iterator[Vendor]:
    """Serve a sandbox until the block ends."""
    ours, theirs = _FRESH.Pipe()
    process = _FRESH.Process(target=_serve, args=(slug, theirs))
    process.start()
    theirs.close()
    try:
        yield Vendor(ours)
    finally:
        ours.close()
        process.join()


def _serve(slug: str, pipe: Connection) -> None:
    _hush()
    asyncio.run(_served(slug, pipe))


async def _served(slug: str, pipe: Connection) -> None:
    async with SANDBOXES[slug](limits=False) as sandbox:
        while True:
            try:
                act, args = await asyncio.to_thread(pipe.recv)
            except EOFError:
                return
            pipe.send(act(sandbox, *args))


def _url(sandbox: Sandbox) -> str:
    return sandbox.url


def _calls(sandbox: Sandbox) -> int:
    return sandbox.calls
