"""How often what changed is looked for although nobody asked: as often as the vendors' daily limits leave room for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

DAY = timedelta(days=1)
SHORTEST = timedelta(minutes=1)  # a search sees what was written that late: looking more often finds nothing sooner
LONGEST = timedelta(hours=1)  # so much is the most that a change may lie unseen, whatever the budget
DAY_SHARE = 0.25  # of a day's calls; the rest is for what people ask for, and for writing
UNKNOWN_CALLS = 10  # of a poll that none was measured of: more than any vendor known here needs without news


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a pair: the calls that its vendor allows a day (None: it does not count by the day), the calls that
    a poll makes there, and how many pairs poll the same account."""

    calls_a_day: float | None
    calls: int | None
    pairs: int = 1


def interval(sides: Iterable[Polled]) -> timedelta:
    """The time between two polls of a pair, so that all polls of an account together use at most a quarter of its
    day, but within a minute and an hour."""
    waits = [
        DAY * (side.calls if side.calls is not None else UNKNOWN_CALLS) * side.pairs / (side.calls_a_day * DAY_SHARE)
        for side in sides
        if side.calls_a_day is not None
    ]
    return min(LONGEST, max([SHORTEST, *waits]))


def usual(measured: Iterable[int]) -> int | None:
    """What a poll usually takes: the one in the middle, since one that finds a thousand edits is no measure."""
    known = sorted(measured)
    return known[len(known) // 2] if known else None
