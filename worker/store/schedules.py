"""Schedules: rows that wait for their time. Whoever moves `next_due` first has the run; nobody else makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from worker.engine.mapping_model import Scheduled
from worker.engine.schedule import in_words, next_due, read_words
from worker.outside import new_id
from worker.store.database import Unit
from worker.store.tables import schedules

OF_THE_MAPPING = "mapping"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a pair's schedule. `created_by` is "mapping" for what the mapping says."""

    id: str
    pair_id: str
    what: str
    words: str
    time_zone: str
    next_due: datetime | None
    paused: bool
    created_by: str


def _schedule(row: Mapping[str, Any]) -> Schedule:
    names = ("id", "pair_id", "what", "words", "time_zone", "next_due", "created_by")
    return Schedule(**{name: row[name] for name in names}, paused=bool(row["paused"]))


class NoTime(ValueError):
    """The words say no time."""


def _due(words: str, zone: str, now: datetime, last: datetime | None = None) -> tuple[str, datetime]:
    timing = read_words(words)
    if timing is None:
        raise NoTime(f'"{words}" says no time')
    return in_words(timing), next_due(timing, zone, now, last)


async def add(tx: Unit, pair_id: str, what: str, words: str, zone: str, by: str) -> Schedule:
    """Raises NoTime if the words say none. The same task at the same time is the same line."""
    said, due = _due(words, zone, await tx.now())
    for known in await all_of(tx, pair_id):
        if (known.what, known.words) == (what, said):
            return known
    row = {"id": new_id("sc"), "pair_id": pair_id, "what": what, "words": said, "time_zone": zone, "next_due": due,
           "paused": 0, "created_by": by}  # fmt: skip
    await tx.run(insert(schedules), [row])
    return _schedule(row)


async def all_of(tx: Unit, pair_id: str) -> list[Schedule]:
    """In the order they were made: people call them by their place in it, from 1."""
    rows = await tx.all(select(schedules).where(schedules.c.pair_id == pair_id).order_by(schedules.c.id))
    return [_schedule(row) for row in rows]


async def set_words(tx: Unit, schedule: Schedule, words: str, by: str) -> Schedule:
    said, due = _due(words, schedule.time_zone, await tx.now())
    values = {"words": said, "next_due": due, "created_by": by}
    await tx.run(update(schedules).where(schedules.c.id == schedule.id).values(**values))
    return msgspec.structs.replace(schedule, words=said, next_due=due, created_by=by)


async def pause(tx: Unit, schedule: Schedule, *, paused: bool) -> Schedule:
    """What fell due while it was paused is not made up for."""
    _, due = _due(schedule.words, schedule.time_zone, await tx.now())
    await tx.run(update(schedules).where(schedules.c.id == schedule.id).values(paused=int(paused), next_due=due))
    return msgspec.structs.replace(schedule, paused=paused, next_due=due)


async def remove(tx: Unit, schedule: Schedule) -> None:
    await tx.run(delete(schedules).where(schedules.c.id == schedule.id))


async def due(tx: Unit) -> list[Schedule]:
    now = await tx.now()
    rows = await tx.all(
        select(schedules)
        .where(schedules.c.paused == 0, schedules.c.next_due.is_not(None), schedules.c.next_due <= now)
        .order_by(schedules.c.next_due)
    )
    return [_schedule(row) for row in rows]


async def move_on(tx: Unit, schedule: Schedule) -> bool:
    """Set the next instant, if nobody did meanwhile. False: the run belongs to somebody else."""
    _, following = _due(schedule.words, schedule.time_zone, await tx.now(), schedule.next_due)
    result = await tx.run(
        update(schedules)
        .where(schedules.c.id == schedule.id, schedules.c.next_due == schedule.next_due, schedules.c.paused == 0)
        .values(next_due=following)
    )
    return bool(result.rowcount)


async def follow_mapping(tx: Unit, pair_id: str, zone: str, said: Sequence[Scheduled]) -> None:
    """The lines that a mapping says, as rows. What people set in Slack stays; a line that the mapping says no more
    goes; one that it still says keeps its time and its pause."""
    known = [line for line in await all_of(tx, pair_id) if line.created_by == OF_THE_MAPPING]
    wanted = {(line.do, in_words(line.when)) for line in said}
    for line in known:
        if (line.what, line.words) not in wanted or line.time_zone != zone:
            await remove(tx, line)
    for what, words in sorted(wanted):
        await add(tx, pair_id, what, words, zone, OF_THE_MAPPING)
