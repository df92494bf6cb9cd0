"""Runs and their lease: economy, not safety, but no two workers at one pair if it can be helped."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.store.conftest import Place, a_plan, approved, change, make_place
from worker.store import runs
from worker.store.database import Database
from worker.store.runs import LeaseLost, Run


async def ask(db: Database, place: Place, what: str = "preview", **how: object) -> str:
    async with db.write() as tx:
        return await runs.ask(tx, place.pair, what, {"n": 1}, "tests", **how)  # type: ignore[arg-type]  # the lane


async def take(db: Database, run_id: str, worker: str = "w1") -> Run | None:
    async with db.write() as tx:
        return await runs.take(tx, run_id, worker)


async def taken(db: Database, run_id: str, worker: str = "w1") -> Run:
    run = await take(db, run_id, worker)
    assert run is not None
    return run


async def due(db: Database, lane: runs.Lane | None = None) -> list[str]:
    async with db.read() as tx:
        return await runs.due(tx, lane)


async def test_one_worker_takes_a_run(db: Database, place: Place) -> None:
    """Of ten that try at once."""
    run_id = await ask(db, place)
    found = await asyncio.gather(*(take(db, run_id, f"w{n}") for n in range(10)))
    assert 1 == sum(run is not None for run in found)
    assert [] == await due(db)


async def test_runs_of_a_pair_take_turns_those_of_another_do_not_wait(db: Database, place: Place) -> None:
    """Two runs of one pair, taken at once by two workers: one goes, the other waits its turn."""
    other = await make_place(db, "other")
    mine = [await ask(db, place), await ask(db, place, "sync")]
    theirs = await ask(db, other)
    both = [run for run in await asyncio.gather(*(take(db, i) for i in mine)) if run is not None]
    assert (1, True) == (len(both), await take(db, theirs) is not None)
    async with db.write() as tx:
        await runs.end(tx, both[0], "done", result={})
    left = next(i for i in mine if i != both[0].id)
    assert [left] == await due(db)
    await taken(db, left)


async def test_a_dead_workers_run_is_due_again_after_its_lease(db: Database, place: Place) -> None:
    """Fifteen seconds, unless it was renewed; then the fence rises, and the old worker can end nothing any more."""
    old = await taken(db, await ask(db, place))
    db.shift += timedelta(seconds=10)
    async with db.write() as tx:
        assert await runs.renew(tx, old)
    db.shift += timedelta(seconds=10)
    assert [] == await due(db)
    db.shift += timedelta(seconds=6)
    assert [old.id] == await due(db)
    new = await taken(db, old.id, "w2")
    async with db.write() as tx:
        await runs.end(tx, old, "failed", error={"message": "late"})
        await runs.progress(tx, old, {"step": "late"})
        found = await runs.get(tx, old.id)
    assert found is not None
    assert ("running", {}, old.fence + 1) == (found.state, found.progress, new.fence)


async def test_what_decides_asserts_the_lease(db: Database, place: Place) -> None:
    """A unit of a worker that lost its lease is undone."""
    old = await taken(db, await ask(db, place))
    db.shift += timedelta(seconds=16)
    await taken(db, old.id, "w2")
    with pytest.raises(LeaseLost):
        async with db.write() as tx:
            await runs.set_plan(tx, old.id, "pl_late")
            await runs.still_ours(tx, old)
    async with db.read() as tx:
        found = await runs.get(tx, old.id)
    assert found is not None and found.plan_id is None


async def test_a_waiting_run_holds_nothing_and_comes_back_in_time(db: Database, place: Place) -> None:
    """While it waits others of the pair go; it is due when its time has come, or what it waits for."""
    run = await taken(db, await ask(db, place))
    async with db.write() as tx:
        await runs.end(tx, run, "waiting", not_before=await tx.now() + timedelta(hours=1), error={"message": "429"})
    assert [] == await due(db)
    other = await taken(db, await ask(db, place, "reconcile"))
    async with db.write() as tx:
        await runs.end(tx, other, "done", result={})
        await runs.hasten(tx, [place.pair])
    assert [run.id] == await due(db)


async def test_a_run_that_waited_shorter_than_a_lease_is_taken_in_time(db: Database, place: Place) -> None:
    """It gave its lease back when it began to wait."""
    run = await taken(db, await ask(db, place))
    async with db.write() as tx:
        await runs.end(tx, run, "waiting", not_before=await tx.now() + timedelta(seconds=2), error={"message": "429"})
    db.shift += timedelta(seconds=3)
    assert [run.id] == await due(db)
    assert (await taken(db, run.id, "w2")).fence == run.fence + 1


async def test_a_newer_preview_ends_one_that_waits(db: Database, place: Place) -> None:
    """It would only replace the plan that the newer one makes."""
    run = await taken(db, await ask(db, place))
    async with db.write() as tx:
        await runs.end(tx, run, "waiting", not_before=await tx.now() + timedelta(hours=1))
    await ask(db, place)
    async with db.read() as tx:
        ended = await runs.get(tx, run.id)
    assert ended is not None
    assert "failed" == ended.state


async def test_lanes_and_order(db: Database, place: Place) -> None:
    """Oldest first; each lane sees its own."""
    first, bulk, last = await ask(db, place), await ask(db, place, lane="bulk"), await ask(db, place)
    assert [first, bulk, last] == await due(db)
    assert ([first, last], [bulk]) == (await due(db, "realtime"), await due(db, "bulk"))


async def test_who_carries_a_plan(db: Database, place: Place) -> None:
    """A run that is asked for, goes on or waits carries it; one that is over does not."""
    plan_id = await a_plan(db, place, change())
    await approved(db, plan_id)
    async with db.write() as tx:
        assert not await runs.carried(tx, place.pair, plan_id)
        run_id = await runs.ask(tx, place.pair, "apply", {"plan_id": plan_id}, "tests")
        assert await runs.carried(tx, place.pair, plan_id)
    run = await taken(db, run_id)
    async with db.write() as tx:
        await runs.end(tx, run, "failed", error={})
        assert not await runs.carried(tx, place.pair, plan_id)
