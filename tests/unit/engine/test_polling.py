"""How often is polled: as the tightest daily budget allows, between a minute and an hour."""

from __future__ import annotations

from datetime import timedelta

import pytest

from worker.engine.polling import DAY, DAY_SHARE, LONGEST, SHORTEST, Polled, interval, usual


def side(calls_a_day: float | None = None, calls: int | None = 4, pairs: int = 1) -> Polled:
    return Polled(calls_a_day=calls_a_day, calls=calls, pairs=pairs)


@pytest.mark.parametrize(
    ("crm", "books", "minutes"),
    [
        (side(), side(), 1),  # neither counts by the day
        (side(250_000, 8), side(), 1),  # HubSpot: every minute is a twentieth of its day
        (side(1_000, 4), side(), 23.04),  # 62 polls of four calls are a quarter of a thousand
        (side(1_000, 4), side(500, 1), 23.04),  # the tighter of the two decides
        (side(1_000, 4, pairs=2), side(), 46.08),  # two pairs share an account's quarter
        (side(1_000, None), side(), 57.6),  # nobody knows yet what a poll takes
        (side(100, 4), side(), 60),  # nothing lies unseen for longer
    ],
)
def test_the_interval_follows_the_tightest_daily_budget(crm: Polled, books: Polled, minutes: float) -> None:
    """Of the two connections."""
    assert timedelta(minutes=minutes) == interval([crm, books])


@pytest.mark.parametrize("calls_a_day", [500, 1_000, 5_000, 40_000, 250_000])
@pytest.mark.parametrize("calls", [1, 3, 12])
def test_polls_take_a_quarter_of_the_day_at_most(calls_a_day: int, calls: int) -> None:
    """Unless that would be less than once an hour."""
    every = interval([side(calls_a_day, calls), side()])
    used = DAY / every * calls
    assert SHORTEST <= every <= LONGEST
    assert every == LONGEST or used <= calls_a_day * DAY_SHARE


def test_one_busy_poll_is_no_measure() -> None:
    """The one in the middle counts."""
    assert (3, 3, None) == (usual([3, 2, 900, 3, 3]), usual([3]), usual([]))
