"""How fast we may call: several sliding windows at once, a share kept for people who wait, and what the vendor
tells about its own limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

import msgspec

from connectors.kit.contract import Clock

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
    """Where the count of calls lives. The default is in this process's memory; one that workers share fits here."""

    async def take(self, lane: Lane) -> float:
        """Take one call now (0), or say in how many seconds to ask again, taking nothing."""

    async def rest(self, seconds: float) -> None:
        """Give nothing to anybody for so long."""

    async def told(self, told: Told) -> None:
        """The vendor's own count, which may hold calls that we did not make."""


class Pace:
    """The gate in front of each call: `async with pace.turn(lane): call`.

    `limits` hold all at once; an empty sequence never waits. `realtime_share` of each is left to the realtime
    lane. `concurrent`: at most so many calls at a time (None: any). `told` reads a vendor's limit headers."""

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
        raise NotImplementedError

    def turn(self, lane: Lane, *, longest_s: float = 60) -> AbstractAsyncContextManager[None]:
        """Wait for a turn. Raises TryLater(wait_s) at once if it would take longer than `longest_s` seconds."""
        raise NotImplementedError

    async def learn(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's limit headers."""
        raise NotImplementedError

    async def rest(self, seconds: float) -> None:
        """The vendor said to wait: nobody gets a turn for so long."""
        raise NotImplementedError
