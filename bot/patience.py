"""Patience with the store: it may be busy or away for a while, and whatever waits for it goes on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from worker.api import trouble

T = TypeVar("T")
WAIT_S = 1.0
log = structlog.get_logger()


class Patience:
    """Says once that the store is in trouble, and once that it is over. `who`: the first part of the log's event."""

    def __init__(self, who: str) -> None:
        self._who, self._lost = who, False

    def lost(self, error: BaseException) -> None:
        """It did not work this time."""
        if not self._lost:
            log.warning(f"{self._who}.store_unreachable", error=type(error).__name__)
        self._lost = True

    def found(self) -> None:
        """It works."""
        if self._lost:
            log.info(f"{self._who}.store_back")
        self._lost = False

    async def until_done(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again while the store is in trouble. What else goes wrong is raised."""
        while True:
            try:
                done = await work()
            except Exception as error:
                if trouble(error) is None:
                    raise
                self.lost(error)
                await asyncio.sleep(WAIT_S)
            else:
                self.found()
                return done
