"""How fast we may call: several sliding windows at once, a share kept for people who wait, and what the vendor
tells about its own limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

import msgspec

from connectors.kit.contract import Clock
from connectors.kit.errors import TryLater

Lane: TypeAlias = Literal["realtime", "bulk"]


class Limit(msgspec.Struct, frozen=True):
    """At most `calls` calls in any `per_s` seconds."""

    calls: int
    per_s: float


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer's headers tell: of the window `per_s` seconds long, `remaining` calls are left, of `calls`
    (None: as declared)."""

    per_s: float
    remaining: int
    calls: int | None = None


class Budget(Protocol):
    """Where the count of calls lives. The default is this process's memory; one that workers share fits here."""

    async def take(self, lane: Lane) -> float:
        """Take one call now (0), or say in how many seconds to ask again, taking nothing."""
        ...

    async def rest(self, seconds: float) -> None:
        """Give nothing to anybody for so long."""
        ...

    async def told(self, told: Told) -> None:
        """The vendor's own count, which may hold calls that we did not make."""
        ...


class _Window:
    """The calls of one limit that still count, oldest first."""

    def __init__(self, limit: Limit, realtime_share: Decimal) -> None:
        self.per_s = limit.per_s
        self._share = realtime_share
        self._taken: deque[float] = deque()
        self._set_calls(limit.calls)

    def _set_calls(self, calls: int) -> None:
        self.calls = calls
        self.for_bulk = max(1, int(calls * (1 - self._share)))

    def wait(self, lane: Lane, now: float) -> float:
        while self._taken and self._taken[0] <= now - self.per_s:
            self._taken.popleft()
        cap = self.for_bulk if lane == "bulk" else self.calls
        return 0.0 if len(self._taken) < cap else self._taken[-cap] + self.per_s - now

    def count(self, now: float, calls: int = 1) -> None:
        self._taken.extend([now] * calls)

    def told(self, told: Told, now: float) -> None:
        """Calls that the vendor counted and we did not are taken as made now: never too fast, at worst slow for
        one window."""
        if told.calls is not None and told.calls > 0:
            self._set_calls(told.calls)
        self.wait("realtime", now)
        self.count(now, max(0, self.calls - told.remaining - len(self._taken)))


class MemoryBudget:
    """A `Budget` in this process's memory."""

    def __init__(self, limits: Sequence[Limit], clock: Clock, realtime_share: Decimal) -> None:
        self._clock = clock
        self._windows = [_Window(limit, realtime_share) for limit in limits]
        self._rest_until = float("-inf")

    async def take(self, lane: Lane) -> float:
        now = self._clock.monotonic()
        wait = max(0.0, self._rest_until - now, *(window.wait(lane, now) for window in self._windows))
        if wait <= 0:
            for window in self._windows:
                window.count(now)
        return wait

    async def rest(self, seconds: float) -> None:
        self._rest_until = max(self._rest_until, self._clock.monotonic() + seconds)

    async def told(self, told: Told) -> None:
        known = [window for window in self._windows if window.per_s == told.per_s]
        for window in known:
            window.told(told, self._clock.monotonic())
        if not known and told.remaining <= 0:
            await self.rest(told.per_s)


class Pace:
    """The gate in front of each call: `async with pace.turn(lane): call`.

    `limits` hold all at once; an empty sequence never waits. `realtime_share` of each is left to the realtime
    lane. `concurrent`: at most so many calls at a time (None: any). `told` reads a vendor's limit headers.
    `budget` replaces the count in memory. One Pace belongs to one connection: share it among its connectors."""

    def __init__(
        self,
        limits: Sequence[Limit],
        clock: Clock,
        *,
        realtime_share: Decimal = Decimal("0.2"),
        concurrent: int | None = None,
        told: Callable[[Mapping[str, str]], Sequence[Told]] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._clock = clock
        self._budget = budget if budget is not None else MemoryBudget(limits, clock, realtime_share)
        self._seats = asyncio.Semaphore(concurrent) if concurrent is not None else None
        self._told = told

    def turn(self, lane: Lane, *, longest_s: float = 60) -> AbstractAsyncContextManager[None]:
        """Wait for a turn. Raises TryLater(wait_s) at once if it would take longer than `longest_s` seconds."""
        return self._turn(lane, longest_s)

    @asynccontextmanager
    async def _turn(self, lane: Lane, longest_s: float) -> AsyncIterator[None]:
        if self._seats is None:
            await self._wait(lane, longest_s)
            yield
            return
        await self._seat(self._seats, longest_s)
        try:
            await self._wait(lane, longest_s)
            yield
        finally:
            self._seats.release()

    async def _seat(self, seats: asyncio.Semaphore, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await seats.acquire()
        except TimeoutError:
            raise TryLater("the allowed number of calls is under way") from None

    async def _wait(self, lane: Lane, longest_s: float) -> None:
        waited = 0.0
        while (wait := await self._budget.take(lane)) > 0:
            waited += wait
            if waited > longest_s:
                raise TryLater("the allowed number of calls is used up for now", wait_s=wait)
            await self._clock.sleep(wait)

    async def learn(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's limit headers."""
        if self._told is not None:
            for told in self._told(headers):
                await self._budget.told(told)

    async def rest(self, seconds: float) -> None:
        """The vendor said to wait: nobody gets a turn for so long."""
        await self._budget.rest(seconds)
