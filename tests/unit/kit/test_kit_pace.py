"""How fast calls may go, on a clock that stands still until somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.errors import TryLater
from connectors.kit.http import Limit, Pace, Told
from connectors.kit.http.pace import Lane
from connectors.kit.sandbox import VirtualClock


async def taken(pace: Pace, clock: VirtualClock, lane: Lane, calls: int) -> list[float]:
    """When each of so many calls got its turn."""
    at = []
    for _ in range(calls):
        async with pace.turn(lane, longest_s=10_000):
            at.append(clock.monotonic())
    return at


def most_in_a_window(at: Sequence[float], per_s: float) -> int:
    return max(sum(1 for later in at if start <= later < start + per_s) for start in at)


async def test_no_limits_never_wait(clock) -> None:
    """Without limits nobody waits."""
    assert {0.0} == set(await taken(Pace((), clock), clock, "bulk", 100))


LIMITS = st.lists(st.builds(Limit, st.integers(1, 12), st.sampled_from([0.5, 1.0, 10.0])), min_size=1, max_size=3)


@given(LIMITS, st.sampled_from(["realtime", "bulk"]))
def test_all_windows_hold_at_once(limits: list[Limit], lane: Lane) -> None:
    """In no window of any limit are there more calls than it allows, nor than the bulk lane's share."""
    clock = VirtualClock(fixed=True)
    at = asyncio.run(taken(Pace(limits, clock), clock, lane, 40))
    for limit in limits:
        allowed = limit.calls if lane == "realtime" else max(1, int(limit.calls * Decimal("0.8")))
        assert most_in_a_window(at, limit.per_s) <= allowed


def test_a_fixed_rate_would_break_the_window() -> None:
    """Saboteur: a gate that forgets its count every `per_s` seconds lets twice the calls into one window."""
    at = [9.9] * 5 + [10.0] * 5
    assert most_in_a_window(at, 10.0) > 5


async def test_bulk_leaves_a_fifth_to_realtime(clock) -> None:
    """When bulk has used what it may, a person's call goes at once."""
    pace = Pace((Limit(10, 60),), clock)
    await taken(pace, clock, "bulk", 8)
    with pytest.raises(TryLater) as raised:
        async with pace.turn("bulk", longest_s=59):
            pass
    assert (raised.value.wait_s, await taken(pace, clock, "realtime", 2)) == (60, [0.0, 0.0])


async def test_too_long_a_wait_is_said_at_once(clock) -> None:
    """Who may wait ten seconds is not made to wait sixty first."""
    pace = Pace((Limit(1, 60),), clock)
    await taken(pace, clock, "realtime", 1)
    with pytest.raises(TryLater) as raised:
        async with pace.turn("realtime", longest_s=10):
            pass
    assert (raised.value.wait_s, clock.monotonic()) == (60, 0)


async def test_rest_holds_everybody(clock) -> None:
    """After a 429 nobody gets a turn until the wait is over, limits or none."""
    pace = Pace((), clock)
    await pace.rest(7)
    assert await taken(pace, clock, "realtime", 1) == [7.0]


def told(remaining: int, calls: int | None = None, per_s: float = 10) -> Pace:
    return Pace(
        (Limit(5, 10),),
        VirtualClock(fixed=True),
        told=lambda headers: [Told(per_s=per_s, remaining=remaining, calls=calls)],
    )


@pytest.mark.parametrize(
    ("pace", "at_once"),
    [
        (told(4), 4),
        (told(1), 1),
        (told(0), 0),
        (told(9), 5),
        (told(7, calls=8), 7),
        (told(0, per_s=86_400), 0),
        (told(3, per_s=86_400), 5),
    ],
)
async def test_the_vendors_count_slows_down(pace: Pace, at_once: int) -> None:
    """Calls that others made with the same account count too; a window that is told may be larger than declared;
    an unknown window matters when it is used up."""
    await pace.learn({})
    got = 0
    for _ in range(8):
        try:
            async with pace.turn("realtime", longest_s=0):
                got += 1
        except TryLater:
            break
    assert at_once == got


async def test_at_most_so_many_at_a_time(clock) -> None:
    """`concurrent` bounds the calls under way; all come through in the end."""
    pace = Pace((), clock, concurrent=3)
    under_way, seen = 0, []

    async def call() -> None:
        nonlocal under_way
        async with pace.turn("bulk"):
            under_way += 1
            seen.append(under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(call() for _ in range(20)))
    assert (max(seen), len(seen)) == (3, 20)


async def test_a_seat_is_not_waited_for_longer_than_said(clock) -> None:
    """If all seats stay taken, who may not wait is told to come later, and a freed seat is free."""
    pace = Pace((), clock, concurrent=1)
    async with pace.turn("bulk"):
        with pytest.raises(TryLater):
            async with pace.turn("realtime", longest_s=0.01):
                pass
    async with pace.turn("realtime", longest_s=0.01):
        pass


async def test_a_shared_budget_takes_the_place_of_memory(clock) -> None:
    """Whatever fulfils Budget decides."""
    asked: list[str] = []

    class Elsewhere:
        async def take(self, lane: Lane) -> float:
            asked.append(lane)
            return 0.0 if len(asked) > 2 else 1.5

        async def arrived(self) -> None:
            asked.append("arrived")

        async def rest(self, seconds: float) -> None:
            asked.append("rest")

        async def told(self, told: Told) -> None:
            asked.append("told")

    pace = Pace((Limit(1, 1000),), clock, budget=Elsewhere())
    at = await taken(pace, clock, "bulk", 2)
    assert (at, asked) == ([3.0, 3.0], ["bulk"] * 3 + ["arrived", "bulk", "arrived"])
    assert all(a <= b for a, b in pairwise(at))
