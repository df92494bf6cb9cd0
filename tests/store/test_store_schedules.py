"""Schedules: rows that wake exactly once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.store.conftest import Place
from worker.engine.mapping_model import Every, Scheduled
from worker.engine.mapping_read import parse_timing
from worker.store import runs, schedules
from worker.store.database import Database
from worker.usecases.start_due import start_due

ZONE = "America/New_York"


async def add(db: Database, place: Place, words: str = "every 15 minutes", what: str = "sync") -> schedules.Schedule:
    async with db.write() as tx:
        return await schedules.add(tx, place.pair, what, words, ZONE, "U1")


async def start(db: Database) -> list[str]:
    async with db.write() as tx:
        return await start_due(tx)


async def test_a_due_line_becomes_one_run_however_many_sweep(db: Database, place: Place) -> None:
    """The compare-and-set on its next time."""
    await add(db, place)
    db.shift += timedelta(minutes=16)
    made = await asyncio.gather(*(start(db) for _ in range(5)))
    assert 1 == sum(len(each) for each in made)
    assert [] == await start(db)


async def test_what_was_missed_is_not_made_up_for(db: Database, place: Place) -> None:
    """A day off is one run, and the beat stays."""
    line = await add(db, place)
    db.shift += timedelta(hours=24, minutes=1)
    assert 1 == len(await start(db))
    async with db.read() as tx:
        (after,) = await schedules.all_of(tx, place.pair)
        now = await tx.now()
    assert line.next_due is not None
    assert after.next_due is not None
    assert timedelta(0) == (after.next_due - line.next_due) % timedelta(minutes=15)
    assert timedelta(0) < after.next_due - now <= timedelta(minutes=15)


async def test_a_run_that_still_waits_is_not_asked_for_twice(db: Database, place: Place) -> None:
    """The line's time moves on all the same."""
    await add(db, place)
    db.shift += timedelta(minutes=16)
    assert 1 == len(await start(db))
    db.shift += timedelta(minutes=15)
    assert [] == await start(db)
    async with db.read() as tx:
        assert 1 == len(await runs.recent(tx, place.pair))


async def test_a_paused_line_sleeps_and_starts_afresh(db: Database, place: Place) -> None:
    """What fell due meanwhile is left out."""
    line = await add(db, place)
    async with db.write() as tx:
        await schedules.pause(tx, line, paused=True)
    db.shift += timedelta(minutes=40)
    assert [] == await start(db)
    async with db.write() as tx:
        await schedules.pause(tx, line, paused=False)
    assert [] == await start(db)
    db.shift += timedelta(minutes=16)
    assert 1 == len(await start(db))


async def test_the_mappings_lines_follow_it_and_peoples_stay(db: Database, place: Place) -> None:
    """A line that the mapping says no more goes; what somebody set in Slack does not."""
    await add(db, place, "every weekday at 9")
    timing = parse_timing("every 15 minutes")
    assert Every(15) == timing
    said = [Scheduled(do="sync", when=Every(15), text="every 15 minutes")]
    async with db.write() as tx:
        await schedules.follow_mapping(tx, place.pair, ZONE, said)
        await schedules.follow_mapping(tx, place.pair, ZONE, said)
        assert ["weekdays at 09:00", "every 15 minutes"] == [s.words for s in await schedules.all_of(tx, place.pair)]
        await schedules.follow_mapping(tx, place.pair, ZONE, [])
        assert ["weekdays at 09:00"] == [s.words for s in await schedules.all_of(tx, place.pair)]


async def test_saboteur_without_the_compare_a_line_wakes_twice(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If whoever comes second did not notice, both would ask."""

    async def careless(tx: object, schedule: schedules.Schedule) -> bool:
        return True

    monkeypatch.setattr(schedules, "move_on", careless)
    monkeypatch.setattr("worker.usecases.start_due._waits", _never)
    await add(db, place)
    db.shift += timedelta(minutes=16)
    assert 2 == len(await start(db)) + len(await start(db))


async def _never(*_: object) -> bool:
    return False
