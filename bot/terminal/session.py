"""One command's run: the event loop, and the one border where errors become words and an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

import typer

from bot.terminal.screen import Exit, Failure, Screen, person

if TYPE_CHECKING:
    from bot.terminal.doors import Doors
    from worker.api import Api
    from worker.api.views import PairView

UNREAD = 141  # and of one whose output nobody reads any more, as with `| head`
STOPPED = 130  # what a shell says of a command that was stopped by Ctrl-C


class Session:
    """What a command is given: the doors, the screen, who asks, and which pair is meant."""

    def __init__(self, doors: Doors, screen: Screen, *, pair: str | None, verbose: bool) -> None:
        self.doors, self.screen, self.verbose = doors, screen, verbose
        self.pair_name = pair
        self.by = person()

    def run(self, work: Callable[[], Awaitable[Exit]], *, means: str | None = None) -> NoReturn:
        """Do a command's work and end the process with its exit code. `means` is what a failure means for the
        books, where the failure does not say so itself."""
        try:
            code = int(asyncio.run(_stoppable(work)))
        except Failure as failure:
            code = self._failed(failure, means)
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.screen.note("Stopped. What was written down goes on with the next tieout command.")
            code = STOPPED
        except BrokenPipeError:
            code = _nobody_reads()
        except Exception as error:  # noqa: BLE001  # the last border: a person gets words, never a stack trace
            code = self._failed(self._explained(error), means)
        raise typer.Exit(code)

    def _failed(self, failure: Failure, means: str | None) -> int:
        if failure.means is None:
            failure.means = means
        self.screen.failed(failure)
        return int(failure.code)

    def _explained(self, error: Exception) -> Failure:
        if self.verbose:
            self.screen.note(traceback.format_exc())
        known = self.doors.explain(error)
        if known is not None:
            return known
        return Failure(
            f"Tieout came upon something it does not know ({type(error).__name__}: {error})",
            next_step="Run the command again with --verbose and report what it prints.",
        )

    @contextlib.asynccontextmanager
    async def api(self, *, work: bool = False) -> AsyncIterator[Api]:
        """The worker; with `work`, this process serves the queue unless another does."""
        async with self.doors.house(work=work) as api:
            yield api

    @contextlib.asynccontextmanager
    async def pair(self, *, work: bool = False) -> AsyncIterator[tuple[Api, PairView]]:
        """The worker and the pair that is meant: the named one, or the only one."""
        async with self.api(work=work) as api:
            yield api, await api.find_pair(self.pair_name)


async def _stoppable(work: Callable[[], Awaitable[Exit]]) -> Exit:
    """SIGTERM ends a command as Ctrl-C does: everything opened is closed."""
    task = asyncio.current_task()
    if task is not None:
        with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work()


def _nobody_reads() -> int:
    """Whoever read the output has seen enough. What is left of it goes nowhere, or the interpreter's own last flush
    would say that the pipe is broken."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    return UNREAD
