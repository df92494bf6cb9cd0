"""Runs and their workers: one at a time, resumed when a worker dies, in the real house with its own Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.canon.records import Kind
from connectors.memory.connector import Memory
from connectors.memory.faults import Call, Fault
from connectors.memory.world import WORLDS, MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import NoQueue, Rig, Vendor, deal, mapping, name, told
from worker.api import Api
from worker.api.views import RunView
from worker.house import House, open_house
from worker.jobs import runner
from worker.jobs.sweeper import sweep_once
from worker.settings import WorkerSettings
from worker.store import audit, runs, schedules
from worker.store.tables import runs as runs_table

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE


async def wins(rig: Rig, number: int) -> None:
    acme, _ = await rig.linked("Acme")
    for n in range(number):
        rig.crm.add(deal(acme, f"{n + 1}.00", name=f"Deal {n}"))
    await rig.preview()


async def asked(rig: Rig) -> str:
    return await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")


def nets(rig: Rig) -> list[str]:
    return sorted(str(i.net) for i in rig.invoices())


class Died(BaseException):
    """The worker is gone: nothing of it runs any more."""


def die_at(rig: Rig, world: MemoryWorld, point: str, nth: int, **fits: Any) -> None:
    """Let the process that makes the n-th such call be gone before the vendor looks at it."""
    seen: list[Call] = []

    def hook(_: MemoryWorld, call: Call) -> None:
        if call.point == point and all(getattr(call, k) == v for k, v in fits.items()):
            seen.append(call)
            if len(seen) == nth:
                world.hooks.clear()
                raise Died

    world.hooks.append(hook)


# --------------------------------------------------------------------------- a worker dies


@pytest.mark.parametrize(
    ("point", "nth", "kind"),
    [("changes", 3, None), ("get", 1, D), ("mark", 1, I), ("mark", 2, I), ("write", 1, I), ("write", 2, I)],
)
async def test_another_worker_goes_on_where_one_died(opened: Open, point: str, nth: int, kind: Kind | None) -> None:
    """At any call of an apply: nobody else may until its lease is over; then the plan is carried out to its end, each
    deal billed once."""
    async with opened() as rig:
        await rig.pair_up(mapping())
        await wins(rig, 25)
        run_id = await asked(rig)
        die_at(
            rig, rig.books if point in ("mark", "write") else rig.crm, point, nth, **({"kind": kind} if kind else {})
        )
        with pytest.raises(Died):
            await runner.advance(rig.office, run_id, "first")
        async with opened(shared=rig) as other:
            await runner.advance(other.office, run_id, "second")  # the lease is still the dead worker's
            assert "running" == (await other.api.run(run_id)).state
            other.pass_time(16)
            run = await other.advance(run_id)
        assert ("done", {"done": 25}, 25, 25) == (run.state, run.outcome, len(rig.invoices()), len(set(nets(rig))))


async def test_a_preview_that_died_in_the_middle_is_finished(rig: Rig) -> None:
    """Pages that were stored stay, the rest is read; one open plan comes of it."""
    for n in range(250):
        rig.crm.add(told(name(n)))
    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    die_at(rig, rig.crm, "changes", 3, kind=C)
    with pytest.raises(Died):
        await runner.advance(rig.office, run_id, "first")
    rig.pass_time(16)
    run = await rig.advance(run_id)
    assert ("done", 250) == (run.state, len(await rig.waiting()))


async def test_a_worker_that_lost_its_lease_decides_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was slow, another took over: its plan is undone with the unit that drew it."""
    crm, _ = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    real = runner.pull_pair

    async def slow(desk: Any) -> Any:
        pulled = await real(desk)
        rig.pass_time(16)
        async with rig.db.write() as tx:
            assert await runs.take(tx, run_id, "second") is not None
        return pulled

    monkeypatch.setattr(runner, "pull_pair", slow)
    before = await rig.api.current_plan(rig.pair.id)
    await runner.advance(rig.office, run_id, "first")
    view = await rig.api.run(run_id)
    assert ("running", None, before) == (view.state, view.plan_id, await rig.api.current_plan(rig.pair.id))


async def test_an_answer_is_evidence_whoever_holds_the_lease(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker took over while the call was under way: what the vendor answered is recorded all the same, and
    nothing is looked up or sent again for it."""
    await wins(rig, 1)
    run_id = await asked(rig)
    write = Memory.write

    async def slow(self: Memory, writes: Sequence[Any], key: str) -> Any:
        answers = await write(self, writes, key)
        rig.pass_time(16)
        async with rig.db.write() as tx:
            assert await runs.take(tx, run_id, "second") is not None
        return answers

    monkeypatch.setattr(Memory, "write", slow)
    await runner.advance(rig.office, run_id, "first")
    assert {"done": 1} == await rig.states()


async def test_two_workers_on_one_plan_send_each_change_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both believe that they have the run, and stand right before the intent of the same call: the intents decide."""
    meeting, mark, calls = asyncio.Barrier(2), Memory.mark, itertools.count()

    async def together(self: Memory, kind: Kind) -> str:
        found = await mark(self, kind)
        if next(calls) < 2:
            await meeting.wait()
        return found

    monkeypatch.setattr(Memory, "mark", together)
    async with opened() as rig, opened(shared=rig) as other:
        await rig.pair_up(mapping())
        other.pair = rig.pair
        await wins(rig, 30)
        run_id = await asked(rig)
        from worker.usecases.apply_plan import apply_plan

        desks = [await one.desk() for one in (rig, other)]
        await asyncio.gather(*(apply_plan(desk, rig.plan.id, run_id, "tests") for desk in desks))
        run = await rig.advance(run_id)
        sent = sum(c.items for c in rig.books.calls if (c.point, c.kind, c.operation) == ("write", I, "create"))
        assert ({"done": 30}, 30, 30) == (run.outcome, len(rig.invoices()), sent)


# --------------------------------------------------------------------------- the sweeper


async def test_the_sweeper_wakes_for_what_is_due_and_for_nothing_else(rig: Rig) -> None:
    """Asked for and never woken; waited long enough; left by a worker that died; a schedule whose time has come. What
    runs, or waits, is left alone, and so is what was woken for a moment ago."""
    queue, woken = NoQueue(), dict[str, float]()

    async def swept(now: float) -> list[str]:
        queue.woken.clear()
        await sweep_once(rig.db, queue, woken, now, 0)  # type: ignore[arg-type]  # nobody reads it
        return list(queue.woken)

    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    assert ([run_id], [], [run_id]) == (await swept(0.0), await swept(1.0), await swept(3.0))
    async with rig.db.write() as tx:
        run = await runs.take(tx, run_id, "somebody")
    assert run is not None and [] == await swept(10.0)
    rig.pass_time(16)
    assert [run_id] == await swept(20.0)
    async with rig.db.write() as tx:
        await runs.end(tx, run, "waiting", not_before=await tx.now() + timedelta(seconds=60))
    assert [] == await swept(30.0)
    rig.pass_time(61)
    assert [run_id] == await swept(40.0)
    async with rig.db.write() as tx:
        await runs.end(tx, run, "done", result={})
        await schedules.add(tx, rig.pair.id, "sync", "every 15 minutes", "America/New_York", "tests")
    assert [] == await swept(50.0)
    rig.pass_time(16 * 60)
    (scheduled,) = await swept(60.0)
    assert "sync" == (await rig.api.run(scheduled)).what


# --------------------------------------------------------------------------- slices and turns


async def test_a_long_run_goes_on_in_slices(rig: Rig) -> None:
    """After its slice a job starts no call: the run is queued again, and the next job goes on."""
    await wins(rig, 45)
    run_id = await asked(rig)
    rig.books.hooks.append(lambda world, call: rig.pass_time(20) if call.point == "write" else None)
    before = {connection: count.total for connection, count in rig.office.calls.items()}
    states = []
    for _ in range(6):
        await runner.advance(rig.office, run_id, "tests")
        states.append((await rig.api.run(run_id)).state)
        if states[-1] == "done":
            break
    assert (["queued", "done"], 45, 45) == ([states[0], states[-1]], len(rig.invoices()), len(set(nets(rig))))
    made = {connection: count.total - before[connection] for connection, count in rig.office.calls.items()}
    assert made == (await rig.api.run(run_id)).calls


async def test_a_run_that_failed_tells_its_calls_too(rig: Rig) -> None:
    """They count for the vendor's day as well as any."""
    before = rig.office.calls[rig.pair.crm.id].total
    rig.crm.add(told("Acme"))
    rig.books.script.add(Fault(what="forbidden", point="changes"))
    run = await rig.run("preview")
    made = rig.office.calls[rig.pair.crm.id].total - before
    async with rig.db.read() as tx:
        told_of = await runs.calls_made(tx, rig.pair.crm.id, await tx.now() - timedelta(minutes=1))
    assert ("failed", made) == (run.state, run.calls[rig.pair.crm.id])
    assert 0 < made <= told_of


async def test_a_backfill_gives_way_to_a_button(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the bulk lane, once somebody waits for the pair; whoever pressed goes first, and the backfill afterwards."""
    await wins(rig, 45)
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests", lane="bulk")
    waiting: list[str] = []

    write = Memory.write

    async def slow(self: Memory, writes: Sequence[Any], key: str) -> Any:
        rig.pass_time(6)
        if not waiting:
            waiting.append(await rig.api.ask(rig.pair.id, "preview", "tests"))
        return await write(self, writes, key)

    monkeypatch.setattr(Memory, "write", slow)
    first = await runner.advance(rig.office, run_id, "bulk")
    assert ("queued", "queued") == tuple([(await rig.api.run(i)).state for i in (run_id, waiting[0])])
    assert [waiting[0], run_id] == [due for due, _ in first]
    await runner.advance(rig.office, run_id, "bulk")
    assert "queued" == (await rig.api.run(run_id)).state
    assert "done" == (await rig.advance(waiting[0])).state
    run = await rig.advance(run_id)
    assert ({"done": 45}, 45) == (run.outcome, len(rig.invoices()))


async def test_runs_of_one_pair_do_not_overlap(rig: Rig) -> None:
    """The second stays queued while the first holds the lease, and is due right after."""
    run_id, other = [await rig.api.ask(rig.pair.id, "preview", "tests") for _ in range(2)]
    async with rig.db.write() as tx:
        run = await runs.take(tx, run_id, "somebody")
    await runner.advance(rig.office, other, "tests")
    assert run is not None and "queued" == (await rig.api.run(other)).state
    async with rig.db.write() as tx:
        await runs.end(tx, run, "done", result={})
    assert "done" == (await rig.advance(other)).state


async def test_an_unknown_error_ends_the_run_in_words(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack trace for a person, and the run is not stuck."""

    async def broken(desk: Any) -> Any:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(runner, "pull_pair", broken)
    run = await rig.run("preview")
    assert ("failed", "nobody foresaw this") == (run.state, run.error)


async def test_calls_are_counted_by_connection(rig: Rig) -> None:
    """What a run cost its vendors: what they saw."""
    rig.crm.add(told("Acme"))
    worlds = {rig.pair.crm.id: rig.crm, rig.pair.books.id: rig.books}
    before = {connection: len(world.calls) for connection, world in worlds.items()}
    run = await rig.run("preview")
    assert {connection: len(world.calls) - before[connection] for connection, world in worlds.items()} == run.calls


async def test_everything_is_on_record(rig: Rig) -> None:
    """Proposed, approved, written: in order, by whom, with the vendor's request id; and the chain holds."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.settled()
    async with rig.db.read() as tx:
        found = await audit.entries(tx, rig.pair.id)
        assert await audit.verify(tx, rig.pair.id) is None
    assert ["account.paired"] * 2 == [entry["action"] for entry in found[:2]]
    actions = [entry["action"] for entry in found[2:]]
    assert ["mapping.saved", "plan.proposed", "plan.approved", "customer.create", "invoice.create"] == actions[:5]
    made = found[6]
    assert ("tests", f"books:invoice:{rig.one_invoice().ref}", True) == (
        made["actor"], made["subject"], bool(made["request_id"]),
    )  # fmt: skip


# --------------------------------------------------------------------------- the real house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A folder of its own: SQLite, a Redis that it starts itself, both lanes and the sweeper at work."""
    for side in ("crm", "books"):
        MemoryWorld.make(f"house-{side}")
    async with open_house(WorkerSettings(data=tmp_path / "data"), {"memory": Vendor}) as opened:
        yield opened
    for side in ("crm", "books"):
        del WORLDS[f"house-{side}"]


async def paired(house: House) -> tuple[Api, str]:
    api = Api(house)
    for side in ("crm", "books"):
        await api.connect("memory", {"world": f"house-{side}"})
    pair = await api.pair(mapping(), "t.yaml", "tests", {"crm": "house-crm", "books": "house-books"})
    return api, pair.id


async def ended(api: Api, run_id: str) -> RunView:
    return await asyncio.wait_for(api.wait(run_id, every_s=0.02), 30)


async def test_the_whole_way_through_the_house(house: House) -> None:
    """Connect, pair, preview, apply, preview: through the queue and the workers, as a person does it."""
    api, pair_id = await paired(house)
    crm, books = WORLDS["house-crm"], WORLDS["house-books"]
    acme = crm.add(told("Acme"))
    crm.add(deal(acme, "250.00"))
    run = await ended(api, await api.ask(pair_id, "preview", "tests"))
    plan = await api.plan(run.plan_id or "")
    assert ("done", 2) == (run.state, plan.changes)
    run = await ended(api, await api.apply(plan.id, plan.fingerprint, "tests"))
    assert ({"done": 2}, 1) == (run.outcome, len(books.all(I)))
    for _ in range(2):
        run = await ended(api, await api.ask(pair_id, "sync", "tests", lane="bulk"))
    assert "done" == run.state
    assert [chain.broken_at for chain in await api.verify_audit()] == [None]


async def test_a_lost_wake_costs_a_second_not_the_run(house: House) -> None:
    """Redis is flushed before anybody heard of it: the sweeper finds the run in the database."""
    api, pair_id = await paired(house)
    async with house.db.write() as tx:
        run_id = await runs.ask(tx, pair_id, "preview", {}, "tests")
    assert "done" == (await ended(api, run_id)).state


async def test_a_dead_workers_run_is_taken_over_by_the_house(house: House) -> None:
    """A lease that ended: the sweeper wakes somebody for it."""
    api, pair_id = await paired(house)
    async with house.db.write() as tx:
        run_id = await runs.ask(tx, pair_id, "preview", {}, "tests")
        await tx.run(
            runs_table.update()
            .where(runs_table.c.id == run_id)
            .values(state="running", lease_owner="dead", lease_until=await tx.now() - timedelta(seconds=1), fence=1)
        )
    assert "done" == (await ended(api, run_id)).state


async def test_one_process_serves_a_folder_and_others_are_its_clients(house: House, tmp_path: Path) -> None:
    """A second one on the same folder leaves the work to the first, and its runs are done all the same."""
    _, pair_id = await paired(house)
    async with open_house(WorkerSettings(data=tmp_path / "data"), {"memory": Vendor}) as client:
        assert (True, False) == (house.serves, client.serves)
        assert "done" == (await ended(Api(client), await Api(client).ask(pair_id, "preview", "tests"))).state
