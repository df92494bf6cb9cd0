"""What somebody typed after /tieout, as a command. Pure."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from typing import TypeAlias

import msgspec
from rapidfuzz import fuzz, process

VERBS = ("help", "status", "preview", "sync", "conflicts", "reconcile", "schedule", "history", "undo", "audit", "pair")
TASKS = ("sync", "preview", "digest", "reconcile")


class Help(msgspec.Struct, frozen=True):
    """What there is. `about`: what was not understood, and what may have been meant; empty if help was asked for."""

    about: str = ""


class Simple(msgspec.Struct, frozen=True):
    """A command without anything more: status, preview, sync, conflicts, history."""

    verb: str


class Reconcile(msgspec.Struct, frozen=True):
    """A month as 2026-10; None: the last whole one."""

    month: str | None


class Story(msgspec.Struct, frozen=True):
    """What is on record about a record: by name, number, id, or side:kind:id."""

    record: str


class Undo(msgspec.Struct, frozen=True):
    """Take a run back: its id, the id's ending, or `last`."""

    run: str


class Schedules(msgspec.Struct, frozen=True):
    """List them."""


class SetSchedule(msgspec.Struct, frozen=True):
    """A new line (`number` None), or other words for a line that is there."""

    what: str
    words: str
    number: int | None = None


class TurnSchedule(msgspec.Struct, frozen=True):
    """pause, resume or remove a line."""

    how: str
    number: int


class Bind(msgspec.Struct, frozen=True):
    """This channel is for the pair of that name; None: which pairs are there?"""

    name: str | None


Command: TypeAlias = Help | Simple | Story | Reconcile | Undo | Schedules | SetSchedule | TurnSchedule | Bind


def parse(text: str, today: date) -> Command:
    """`today` is what "last month" is counted from."""
    words = text.strip().split()
    if not words:
        return Help()
    verb, rest = words[0].casefold(), words[1:]
    match verb:
        case "help" | "?":
            return Help()
        case "status" | "preview" | "sync" | "conflicts" | "history":
            return Simple(verb) if not rest else Help(f"/tieout {verb} takes nothing more. I left out: {_quoted(rest)}")
        case "reconcile":
            return _reconcile(" ".join(rest), today)
        case "undo":
            return Undo(rest[0]) if len(rest) == 1 else Help(_UNDO_LIKE)
        case "schedule" | "schedules":
            return _schedule(rest)
        case "audit":
            record = " ".join(rest)
            return Story(record) if record else Help("Write /tieout audit and a name, a number or an id.")
        case "pair":
            return Bind(" ".join(rest) or None)
        case _:
            return Help(_unknown(verb, VERBS, "/tieout "))


_UNDO_LIKE = "Say which run: /tieout undo last, or one of those that /tieout history lists."


def _quoted(words: list[str]) -> str:
    return f'"{_short(" ".join(words))}".'


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(word: str, known: tuple[str, ...]) -> str | None:
    """The nearest known word, if one is near."""
    starts = [each for each in known if len(word) > 1 and each.startswith(word)]
    if starts:
        return starts[0]
    found = process.extractOne(word, known, scorer=fuzz.ratio, score_cutoff=55)
    return str(found[0]) if found is not None else None


def _unknown(word: str, known: tuple[str, ...], before: str) -> str:
    guess = did_you_mean(word, known)
    meant = f" Did you mean {before}{guess}?" if guess is not None else ""
    return f'I don\'t know "{_short(word)}".{meant}'


# --------------------------------------------------------------------------- months

_MONTHS = {name.casefold(): n for n, name in enumerate(calendar.month_name) if name}
_MONTHS |= {name.casefold(): n for n, name in enumerate(calendar.month_abbr) if name}
_ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})")


def _reconcile(text: str, today: date) -> Command:
    if not text or text.casefold() == "last month":
        return Reconcile(None)
    month = read_month(text.casefold(), today)
    if month is None:
        return Help(f'"{_short(text)}" is no month. Write /tieout reconcile 2026-10, or october, or last month.')
    return Reconcile(month)


def read_month(text: str, today: date) -> str | None:
    """`2026-10`, `october 2026`, `october` (the last one), `this month`; None if it is none of them."""
    if text == "this month":
        return f"{today:%Y-%m}"
    if text == "last month":
        return f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    if (found := _ISO.fullmatch(text)) is not None:
        return _month(int(found["year"]), int(found["month"]))
    words = text.split()
    named = [_MONTHS[word] for word in words if word in _MONTHS]
    years = [int(word) for word in words if re.fullmatch(r"\d{4}", word)]
    if len(named) != 1 or len(named) + len(years) != len(words) or len(years) > 1:
        return None
    if years:
        return _month(years[0], named[0])
    return _month(today.year if named[0] <= today.month else today.year - 1, named[0])


def _month(year: int, month: int) -> str | None:
    return f"{year:04d}-{month:02d}" if 1 <= month <= 12 and 1900 <= year <= 9998 else None


# --------------------------------------------------------------------------- schedules

_TURNS = ("pause", "resume", "remove")
_SCHEDULE_LIKE = "Write /tieout schedule sync every weekday at 9, or /tieout schedule pause 2."


def _schedule(words: list[str]) -> Command:
    if not words:
        return Schedules()
    first, rest = words[0].casefold(), words[1:]
    if first in _TURNS:
        return TurnSchedule(first, int(rest[0])) if len(rest) == 1 and rest[0].isdigit() else Help(_SCHEDULE_LIKE)
    if first == "change":
        if len(rest) < 3 or not rest[0].isdigit() or rest[1].casefold() != "to":
            return Help("Write /tieout schedule change 2 to every weekday at 9.")
        return SetSchedule("", " ".join(rest[2:]), int(rest[0]))
    if first in TASKS:
        return SetSchedule(first, " ".join(rest)) if rest else Help(_SCHEDULE_LIKE)
    return Help(f"{_unknown(first, (*TASKS, *_TURNS, 'change'), '/tieout schedule ')} {_SCHEDULE_LIKE}")
