"""When something is due: words -> timing -> the next instant, in the pair's time zone. Pure.

`read_words` is kinder than the mapping's parser: it takes "every weekday at 9" and "9am" for what they mean, and
leaves the rest to it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from worker.engine.mapping_model import DayAt, Every, Timing, WorkingDayAt
from worker.engine.mapping_read import parse_timing

LIKE = "every 15 minutes, every weekday at 9, mondays at 09:00, or working day 1 of the month at 8"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_AT = re.compile(r"\bat (?P<hour>\d{1,2})(?::(?P<minute>\d{2}))? ?(?P<half>am|pm)?$")
_DAY = re.compile(r"^(?:every |each |on )?(?P<day>" + "|".join(day.casefold() for day in _DAYS) + r")s?\b")
_LOOK_AHEAD_DAYS = 400


def read_words(text: str) -> Timing | None:
    """What a person wrote as a timing; None if it says no time."""
    words = " ".join(text.casefold().replace(",", " ").split())
    words = re.sub(r"^(every|each) (weekday|working day)s?\b", "weekdays", words)
    words = re.sub(r"^(each day|everyday)\b", "every day", words)
    words = _DAY.sub(lambda found: f"{found['day']}s", words)
    words = re.sub(r"^(?:on )?(?:the )?(?:(first|1st) )(?:working day|workday)", "working day 1", words)
    words = re.sub(r"^(working day \d{1,2})( of (?:each|every|the) month)?\b", r"\1 of the month", words)
    return parse_timing(_AT.sub(_clock, words))


def _clock(found: re.Match[str]) -> str:
    hour, minute = int(found["hour"]), found["minute"] or "00"
    if found["half"] is not None:
        if not 1 <= hour <= 12:
            return "at no time"
        hour = hour % 12 + (12 if found["half"] == "pm" else 0)
    return f"at {hour:02d}:{minute}"


def in_words(timing: Timing) -> str:
    """A timing as the schedule shows it; `read_words` reads it back."""
    match timing:
        case Every(minutes=minutes) if minutes % 60 == 0:
            return "every hour" if minutes == 60 else f"every {minutes // 60} hours"
        case Every(minutes=minutes):
            return "every minute" if minutes == 1 else f"every {minutes} minutes"
        case DayAt(days=days, at=at):
            return f"{_days(days)} at {at:%H:%M}"
        case WorkingDayAt(day=day, at=at):
            return f"working day {day} of the month at {at:%H:%M}"


def _days(days: tuple[int, ...]) -> str:
    if len(days) == 7:
        return "every day"
    if days == tuple(range(5)):
        return "weekdays"
    return f"{_DAYS[days[0]].casefold()}s"


def next_due(timing: Timing, zone: str, after: datetime, last: datetime | None = None) -> datetime:
    """The first instant later than `after` (aware). For intervals, `last` is the instant they are counted from; what
    fell due meanwhile is left out: a program that was off for a day does not do a day's work at once."""
    if isinstance(timing, Every):
        return _interval(timing, after, last)
    local = ZoneInfo(zone)
    today = after.astimezone(local).date()
    for ahead in range(_LOOK_AHEAD_DAYS):
        day = today + timedelta(days=ahead)
        if _falls_on(timing, day):
            due = _instant(day, timing.at, local)
            if due > after:
                return due
    raise ValueError(f"{in_words(timing)} never comes")


def _interval(timing: Every, after: datetime, last: datetime | None) -> datetime:
    step = timedelta(minutes=timing.minutes)
    if last is None or last > after:
        return after + step
    return last + ((after - last) // step + 1) * step


def _falls_on(timing: DayAt | WorkingDayAt, day: date) -> bool:
    if isinstance(timing, DayAt):
        return day.weekday() in timing.days
    if day.weekday() > 4:
        return False
    worked = sum(1 for n in range(1, day.day + 1) if day.replace(day=n).weekday() < 5)
    return worked == timing.day


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """An hour that the clocks skip is taken as much later; one that comes twice is taken the first time (fold 0,
    PEP 495). Through UTC, so that two instants compare as instants."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(ZoneInfo("UTC"))
