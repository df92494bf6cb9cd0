"""A pair's schedule in words: listed, added, changed, paused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from worker.api import views
from worker.api.client import Problem
from worker.engine.mapping import parse
from worker.engine.schedule import LIKE
from worker.house import House
from worker.store import audit, connections, schedules
from worker.store.database import Unit
from worker.store.schedules import Schedule

TASKS = ("sync", "preview", "digest", "reconcile")


class Schedules:
    """The verbs of `/tieout schedule`. Every change is on record."""

    def __init__(self, house: House) -> None:
        self._db = house.db

    async def list(self, pair_id: str) -> list[views.ScheduleView]:
        async with self._db.read() as tx:
            return _numbered(await schedules.all_of(tx, pair_id))

    async def add(self, pair_id: str, what: str, words: str, by: str) -> views.ScheduleView:
        if what not in TASKS:
            raise Problem(f'"{what}" cannot be scheduled.', f"Schedule one of: {', '.join(TASKS)}.")
        async with self._db.write() as tx:
            pair = await connections.get_pair(tx, pair_id)
            zone = parse(await connections.mapping_text(tx, pair_id, pair.mapping_version)).time_zone
            try:
                made = await schedules.add(tx, pair_id, what, words, zone, by)
            except schedules.NoTime as error:
                raise _no_time(error) from error
            found = _numbered(await schedules.all_of(tx, pair_id))
            await _record(tx, made, "schedule.set", by)
        return next(view for view in found if view.id == made.id)

    async def change(self, pair_id: str, number: int, words: str, by: str) -> views.ScheduleView:
        async def new_words(tx: Unit, known: Schedule) -> Schedule:
            try:
                return await schedules.set_words(tx, known, words, by)
            except schedules.NoTime as error:
                raise _no_time(error) from error

        return await self._changed(pair_id, number, by, "schedule.set", new_words)

    async def pause(self, pair_id: str, number: int, by: str, *, paused: bool) -> views.ScheduleView:
        async def stopped(tx: Unit, known: Schedule) -> Schedule:
            return await schedules.pause(tx, known, paused=paused)

        return await self._changed(pair_id, number, by, "schedule.paused" if paused else "schedule.resumed", stopped)

    async def remove(self, pair_id: str, number: int, by: str) -> views.ScheduleView:
        async def gone(tx: Unit, known: Schedule) -> Schedule:
            await schedules.remove(tx, known)
            return known

        return await self._changed(pair_id, number, by, "schedule.removed", gone)

    async def _changed(
        self, pair_id: str, number: int, by: str, action: str, change: Callable[[Unit, Schedule], Awaitable[Schedule]]
    ) -> views.ScheduleView:
        async with self._db.write() as tx:
            known = await schedules.all_of(tx, pair_id)
            if not 1 <= number <= len(known):
                raise Problem(f"There is no schedule {number}.", "/tieout schedule lists them.")
            changed = await change(tx, known[number - 1])
            await _record(tx, changed, action, by)
        return _view(number, changed)


def _no_time(error: schedules.NoTime) -> Problem:
    return Problem(f"{error}.", f"Write it like {LIKE}.")


def _numbered(found: Sequence[Schedule]) -> list[views.ScheduleView]:
    return [_view(number, schedule) for number, schedule in enumerate(found, 1)]


def _view(number: int, schedule: Schedule) -> views.ScheduleView:
    return views.ScheduleView(
        number=number,
        id=schedule.id,
        what=schedule.what,
        words=schedule.words,
        time_zone=schedule.time_zone,
        next_due=None if schedule.paused else schedule.next_due,
        paused=schedule.paused,
        created_by=schedule.created_by,
    )


async def _record(tx: Unit, schedule: Schedule, action: str, by: str) -> None:
    detail = {"what": schedule.what, "words": schedule.words}
    entry = audit.Entry(action=action, actor=by, subject=schedule.id, detail=detail)
    await audit.append(tx, schedule.pair_id, [entry])
