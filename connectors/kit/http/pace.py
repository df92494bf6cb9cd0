"""How fast we may call: several sliding windows at once, a share kept for people who wait, and what the vendor
tells about its own limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from itertools import islice
from typing import Literal, Protocol, TypeAlias

import msgspec

from connectors.kit.contract import Clock, Deps
from connectors.kit.errors import TryLater

Lane: TypeAlias = Literal["realtime", "bulk"]
REALTIME_SHARE = Decimal("0.2")
UNDER_WAY_S = 2.0  # a call may be counted by the vendor up to so long after it took its turn, if its answer is not here


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
    """Where the count of calls lives. The default is this process's memory; one that workers share fits here.

    The vendor counts a call when it comes in, which is some time between the turn and the answer: until `arrived`,
    a call is taken to be counted `UNDER_WAY_S` after its turn, then when its answer was there."""

    async def take(self, lane: Lane) -> float:
        """Take one call now (0), or say in how many seconds to ask again, taking nothing."""
        ...

    async def arrived(self) -> None:
        """One of the calls that took a turn is over: the vendor has counted it by now."""
        ...

    async def rest(self, seconds: float) -> None:
        """Give nothing to anybody for so long."""
        ...

    async def told(self, told: Told) -> None:
        """The vendor's own count, which may hold calls that we did not make."""
        ...


class Budgets(Protocol):
    """Makes the budgets of one connection, by name (`calls`, `searches`): whoever opens the connection gets the same
    ones. An empty `limits` never waits."""

    def __call__(self, name: str, limits: Sequence[Limit], realtime_share: Decimal) -> Budget: ...


def budget_for(deps: Deps, name: str, limits: Sequence[Limit], realtime_share: Decimal = REALTIME_SHARE) -> Budget:
    """The connection's budget of this name, shared by all who open it; one of this connector's own where the house
    keeps none. Without limits, if calls need not be spread."""
    limits = limits if deps.paced else ()
    if deps.budget is None:
        return MemoryBudget(limits, deps.clock, realtime_share)
    return deps.budget(name, limits, realtime_share)


def for_bulk(calls: int, realtime_share: Decimal) -> int:
    """What the bulk lane may use of a limit."""
    return max(1, int(calls * (1 - realtime_share)))


class _Window:
    """The calls of one limit that still count: when the vendor counted them, at the latest; oldest first."""

    def __init__(self, limit: Limit, realtime_share: Decimal) -> None:
        self.per_s = limit.per_s
        self._share = realtime_share
        self._counted: deque[float] = deque()
        self._under_way: deque[float] = deque()
        self._set_calls(limit.calls)

    def _set_calls(self, calls: int) -> None:
        self.calls = calls
        self.for_bulk = for_bulk(calls, self._share)

    @property
    def _number(self) -> int:
        return len(self._counted) + len(self._under_way)

    def wait(self, lane: Lane, now: float) -> float:
        for times in (self._counted, self._under_way):
            while times and times[0] <= now - self.per_s:
                times.popleft()
        cap = self.for_bulk if lane == "bulk" else self.calls
        if self._number < cap:
            return 0.0
        leaves = next(islice(sorted([*self._counted, *self._under_way]), self._number - cap, None))
        return min(leaves, now) + self.per_s - now

    def take(self, now: float) -> None:
        self._under_way.append(now + UNDER_WAY_S)

    def arrived(self, now: float) -> None:
        if self._under_way:
            self._under_way.popleft()
            self._counted.append(now)

    def told(self, told: Told, now: float) -> None:
        """Calls that the vendor counted and we did not are taken as made now: never too fast, at worst slow for
        one window."""
        if told.calls is not None and told.calls > 0:
            self._set_calls(told.calls)
        self.wait("realtime", now)
        self._counted.extend([now] * max(0, self.calls - told.remaining - self._number))


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
                window.take(now)
        return wait

    async def arrived(self) -> None:
        for window in self._windows:
            window.arrived(self._clock.monotonic())

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
    `budget` replaces the count in memory: `budget_for` gives the one that belongs to the connection."""

    def __init__(
        self,
        limits: Sequence[Limit],
        clock: Clock,
        *,
        realtime_share: Decimal = REALTIME_SHARE,
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
            async with self._counted(lane, longest_s):
                yield
            return
        await self._seat(self._seats, longest_s)
        try:
            async with self._counted(lane, longest_s):
                yield
        finally:
            self._seats.release()

    @asynccontextmanager
    async def _counted(self, lane: Lane, longest_s: float) -> AsyncIterator[None]:
        await self._wait(lane, longest_s)
        try:
            yield
        finally:
            await self._budget.arrived()

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
