"""Words -> timing -> the next instant, in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.mapping_model import DayAt, Every, Timing, WorkingDayAt
from worker.engine.schedule import in_words, next_due, read_words

NEW_YORK = "America/New_York"
MONDAY = datetime(2026, 11, 23, 14, tzinfo=UTC)  # 09:00 in New York

WORDS: list[tuple[str, Timing]] = [
    ("every 15 minutes", Every(15)),
    ("every hour", Every(60)),
    ("every weekday at 9", DayAt((0, 1, 2, 3, 4), time(9))),
    ("Every Weekday at 9:30am", DayAt((0, 1, 2, 3, 4), time(9, 30))),
    ("weekdays at 08:30", DayAt((0, 1, 2, 3, 4), time(8, 30))),
    ("every day at 7:30 pm", DayAt(tuple(range(7)), time(19, 30))),
    ("daily at 12am", DayAt(tuple(range(7)), time(0))),
    ("every monday at 9", DayAt((0,), time(9))),
    ("on fridays at 17:00", DayAt((4,), time(17))),
    ("working day 1 of the month at 8", WorkingDayAt(1, time(8))),
    ("working day 3 at 8:15", WorkingDayAt(3, time(8, 15))),
    ("first working day of every month at 8", WorkingDayAt(1, time(8))),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words_are_read(text: str, expected: Timing) -> None:
    """As people write them."""
    assert expected == read_words(text)


@pytest.mark.parametrize(
    "text", ["", "sometimes", "every 0 minutes", "weekdays at 25", "weekdays at 13pm", "every day", "at 9"]
)
def test_words_that_say_no_time(text: str) -> None:
    """Are refused, not guessed."""
    assert read_words(text) is None


@pytest.mark.parametrize(("_text", "timing"), WORDS)
def test_what_is_shown_is_read_back(_text: str, timing: Timing) -> None:
    """The schedule's own words mean the same."""
    assert timing == read_words(in_words(timing))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("words", "after", "expected"),
    [
        ("weekdays at 9", "2026-11-23T13:59:59+00:00", "2026-11-23T09:00:00-05:00"),
        ("weekdays at 9", "2026-11-23T14:00:00+00:00", "2026-11-24T09:00:00-05:00"),
        ("weekdays at 9", "2026-11-27T15:00:00+00:00", "2026-11-30T09:00:00-05:00"),
        ("mondays at 9", "2026-11-23T14:00:00+00:00", "2026-11-30T09:00:00-05:00"),
        ("working day 1 at 8", "2026-10-31T00:00:00+00:00", "2026-11-02T08:00:00-05:00"),  # the 1st is a Sunday
        ("working day 1 at 8", "2026-11-02T13:00:00+00:00", "2026-12-01T08:00:00-05:00"),
        ("working day 20 at 8", "2026-11-23T00:00:00+00:00", "2026-11-27T08:00:00-05:00"),
    ],
)
def test_next_due(words: str, after: str, expected: str) -> None:
    """The first instant later than `after`."""
    timing = read_words(words)
    assert timing is not None
    assert at(expected) == next_due(timing, NEW_YORK, at(after))


def test_an_hour_that_the_clocks_skip_is_not_skipped() -> None:
    """2:30 on 2027-03-14 does not exist in New York: it is taken at 3:30."""
    timing = DayAt(tuple(range(7)), time(2, 30))
    assert at("2027-03-14T03:30:00-04:00") == next_due(timing, NEW_YORK, at("2027-03-14T01:00:00-05:00"))


def test_an_hour_that_comes_twice_wakes_once() -> None:
    """1:30 on 2026-11-01 comes twice in New York: the first counts, then the next day's."""
    timing = DayAt(tuple(range(7)), time(1, 30))
    first = next_due(timing, NEW_YORK, at("2026-11-01T00:00:00-04:00"))
    assert at("2026-11-01T01:30:00-04:00") == first
    assert at("2026-11-02T01:30:00-05:00") == next_due(timing, NEW_YORK, first)


def test_intervals_keep_their_beat_and_leave_out_what_was_missed() -> None:
    """A program that was off for an hour runs once, on the beat."""
    last = MONDAY
    assert last + timedelta(minutes=75) == next_due(Every(15), NEW_YORK, last + timedelta(minutes=61), last)


@given(
    st.sampled_from([timing for _, timing in WORDS]),
    st.integers(0, 5 * 365 * 24 * 60).map(lambda minutes: at("2025-01-01T00:00:00+00:00") + timedelta(minutes=minutes)),
    st.sampled_from([NEW_YORK, "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
)
def test_it_always_goes_on(timing: Timing, after: datetime, zone: str) -> None:
    """The next is later, and the one after it later still; a time of day is the one that was said, unless the
    clocks skip it."""
    first = next_due(timing, zone, after)
    second = next_due(timing, zone, first, first)
    assert after < first < second
    if not isinstance(timing, Every):
        local = first.astimezone(ZoneInfo(zone))
        shift = abs((local.hour * 60 + local.minute) - (timing.at.hour * 60 + timing.at.minute))
        assert shift in (0, 30, 60)
