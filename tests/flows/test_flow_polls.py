"""Polling goes on by itself: what no webhook announced is found, as often as the vendors' days leave room for, and
nothing that a person waits for or looks at is disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import pytest
from sqlalchemy import select

from connectors.canon.records import Kind
from connectors.kit.contract import Connector, Token
from connectors.memory.faults import Fault
from tests.flows.rig import NoQueue, Rig, Vendor, mapping, told
from worker.jobs import sweeper
from worker.jobs.sweeper import sweep_once
from worker.store import connections, runs, schedules, webhooks
from worker.store.database import Unit
from worker.store.tables import connections as connections_table
from worker.store.tables import outbox as outbox_table
from worker.store.tables import runs as runs_table
from worker.usecases.start_polls import start_polls

C = Kind.CUSTOMER
DAY_S = 86_400.0
ALONE = {"create": {"books": "always", "crm": "never"}, "apply": "auto"}
ASKS = {**ALONE, "apply": "ask"}
Registry = Mapping[str, type[Connector]]


def allowing(*rates: tuple[int, float]) -> Registry:
    """A vendor with these limits."""
    facts = msgspec.structs.replace(Vendor.facts, rates=rates)
    return {"memory": type("Limited", (Vendor,), {"facts": facts})}


FREE = allowing()


async def polling(rig: Rig, customers: object = ALONE) -> tuple[str, str]:
    """One linked customer whose flow writes alone: (crm ref, books ref)."""
    await rig.pair_up(mapping("customers", customers=customers))
    return await rig.linked("Acme", notes="old")


async def swept(rig: Rig, registry: Registry = FREE) -> list[str]:
    """The polls that the sweeper asks for now, carried out; how each ended."""
    await sweep_once(rig.db, NoQueue(), {}, 0.0, 0, registry)  # type: ignore[arg-type]  # nobody reads the queue
    return [(await rig.advance(run_id)).state for run_id in await asked(rig)]


async def asked(rig: Rig) -> list[str]:
    """Polls that are not carried out yet."""
    async with rig.db.read() as tx:
        mine = (runs_table.c.what == "poll", runs_table.c.state == "queued")
        return [run_id for (run_id,) in await tx.rows(select(runs_table.c.id).where(*mine))]


async def polls_in(rig: Rig, minutes: int, registry: Registry = FREE, every_s: int = 30) -> int:
    """How many polls there are in so many minutes, the sweeper looking as often."""
    number = 0
    for _ in range(minutes * 60 // every_s):
        rig.pass_time(every_s)
        number += len(await swept(rig, registry))
    return number


# --------------------------------------------------------------------------- found, and carried over


async def test_an_edit_that_nothing_announced_reaches_the_other_side(both: Rig) -> None:
    """Without a webhook, a schedule, or anybody's sync; a minute later."""
    crm, books = await polling(both)
    both.crm.edit(C, crm, notes="new")
    assert [] == await swept(both)
    both.pass_time(61)
    assert (["done"], "new") == (await swept(both), both.see(both.books, books).notes)


async def test_webhooks_that_are_lost_are_made_up_for(rig: Rig) -> None:
    """Where somebody has to apply, it is dirty, and what is shown stays as it is."""
    crm, _ = await polling(rig, ASKS)
    async with rig.db.write() as tx:
        await webhooks.subscribe(tx, rig.pair.crm.id, rig.office.vault.seal(Token(access="between us")))
    rig.crm.add(told("Beta"))
    shown = await rig.preview()
    rig.crm.edit(C, crm, notes="new")
    rig.pass_time(61)
    assert ["done"] == await swept(rig)
    current = await rig.api.current_plan(rig.pair.id)
    assert current is not None and (shown.id, "open") == (current.id, current.state)
    assert crm in [row.ref for row in await rig.dirty()]


async def test_nobody_is_polled_who_does_not_count_on_it(rig: Rig) -> None:
    """Flows that ask, without webhooks: a preview reads when somebody wants to know."""
    await polling(rig, ASKS)
    assert 0 == await polls_in(rig, 5)


async def test_the_first_read_of_a_pair_is_somebodys_wish(rig: Rig) -> None:
    """A mapping that was just saved moves nothing by itself."""
    await rig.pair_up(mapping("customers", customers=ALONE))
    rig.crm.add(told("Acme"))
    assert (0, []) == (await polls_in(rig, 5), rig.names(rig.books))


# --------------------------------------------------------------------------- how often


async def test_without_a_daily_limit_every_minute(both: Rig) -> None:
    """However long nothing happens."""
    await polling(both)
    assert 10 == await polls_in(both, 10, allowing((500, 60.0)))


async def test_the_interval_follows_the_daily_budget(rig: Rig) -> None:
    """As polls were measured: their calls of six hours are a quarter of a quarter of the day's, no more and hardly
    less."""
    await polling(rig)
    limited = allowing((4_000, DAY_S))
    await polls_in(rig, 120, limited, 180)
    at = len(rig.crm.calls)
    number = await polls_in(rig, 360, limited, 180)
    made = len(rig.crm.calls) - at
    assert 200 < made <= 4_000 / 16 + made / number, (number, made)


async def test_an_hour_is_the_longest(rig: Rig) -> None:
    """Where a day's calls are next to nothing."""
    await polling(rig)
    assert 3 == await polls_in(rig, 3 * 60, allowing((10, DAY_S)), 600)


async def test_what_people_run_is_a_poll_too(rig: Rig) -> None:
    """It has read both sides just now."""
    await polling(rig)
    number = 0
    for _ in range(5):
        rig.pass_time(40)
        await rig.preview()
        number += len(await swept(rig))
    assert 0 == number


async def test_the_sweeper_asks_in_one_round_of_ten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask costs queries for each pair, in the unit that wakes whatever is due."""
    rounds: list[bool] = []

    async def due(_: Unit) -> None:
        rounds.append(False)

    async def polled(_: Unit, registry: Registry) -> list[str]:
        rounds[-1] = registry is FREE
        return []

    monkeypatch.setattr(sweeper, "start_due", due)
    monkeypatch.setattr(sweeper, "start_polls", polled)
    monkeypatch.setattr(sweeper, "EVERY_S", 0.001)
    task = asyncio.create_task(sweeper.sweep(rig.db, NoQueue(), 0, FREE))  # type: ignore[arg-type]  # nobody reads it
    async with asyncio.timeout(20):
        while len(rounds) < 25:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert [0, 10, 20] == [number for number, asks in enumerate(rounds[:25]) if asks]


async def test_two_sweepers_ask_once(both: Rig) -> None:
    """On PostgreSQL at the same instant."""
    await polling(both)
    both.pass_time(61)

    async def sweep() -> list[str]:
        async with both.db.write() as tx:
            made = await start_polls(tx, FREE)
            await asyncio.sleep(0.05)
            return made

    found = await asyncio.gather(*(sweep() for _ in range(4)))
    assert (1, 1) == (sum(len(made) for made in found), len(await asked(both)))


# --------------------------------------------------------------------------- what it does not disturb


@pytest.mark.parametrize("paused", [False, True])
async def test_a_schedule_says_when_it_is_written(rig: Rig, paused: bool) -> None:
    """A pair that is synced at six is read before, and written at six; paused, it is written when somebody says so."""
    crm, books = await polling(rig)
    async with rig.db.write() as tx:
        line = await schedules.add(tx, rig.pair.id, "sync", "every day at 06:00", "America/New_York", "tests")
        if paused:
            await schedules.pause(tx, line, paused=True)
    rig.crm.edit(C, crm, notes="new")
    rig.pass_time(61)
    assert (["done"], "old") == (await swept(rig), rig.see(rig.books, books).notes)
    await rig.run("sync")
    assert "new" == rig.see(rig.books, books).notes


async def test_while_a_run_is_under_way_there_is_no_poll(rig: Rig) -> None:
    """Asked for, running, or waiting for a vendor."""
    await polling(rig)
    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    rig.pass_time(3_600)
    assert [] == await swept(rig)
    async with rig.db.write() as tx:
        run = await runs.take(tx, run_id, "somebody")
        assert run is not None
    assert [] == await swept(rig)
    async with rig.db.write() as tx:
        await runs.end(tx, run, "waiting")
    assert [] == await swept(rig)


async def test_a_poll_that_finds_nothing_leaves_nothing(rig: Rig) -> None:
    """No letter to the channel, no line of history; a day later not even its row."""
    await polling(rig)
    async with rig.db.write() as tx:
        await connections.bind_channel(tx, rig.pair.id, "C1")
    history = len(await rig.api.history(rig.pair.id))
    async with rig.db.read() as tx:
        letters = len(await tx.rows(select(outbox_table.c.id)))
    assert 5 == await polls_in(rig, 5)
    async with rig.db.read() as tx:
        assert letters == len(await tx.rows(select(outbox_table.c.id)))
    assert history == len(await rig.api.history(rig.pair.id))
    rig.pass_time(DAY_S + 60)
    await swept(rig)
    async with rig.db.read() as tx:
        kept = await tx.rows(select(runs_table.c.id).where(runs_table.c.what == "poll"))
    assert 1 == len(kept)


async def test_a_poll_that_fails_is_tried_an_hour_later_and_what_it_read_is_carried_over(both: Rig) -> None:
    """The first side was read already when the other refused: what moved is planned with the next poll."""
    crm, books = await polling(both)
    both.crm.edit(C, crm, notes="new")
    both.pass_time(61)
    both.books.script.add(Fault(what="forbidden", point="changes"))
    states = await swept(both)
    soon = await polls_in(both, 50, every_s=300)
    later = await polls_in(both, 15, every_s=300)
    assert (["failed"], 0, "new") == (states, soon, both.see(both.books, books).notes)
    assert 0 < later


async def test_a_login_that_is_gone_is_not_tried_again(rig: Rig) -> None:
    """Somebody has to log in; connecting again lets polls go on. Nor is a system that is not known here."""
    await polling(rig)
    async with rig.db.write() as tx:
        await tx.run(connections_table.update().values(state="reconnect"))
    assert 0 == await polls_in(rig, 5)
    async with rig.db.write() as tx:
        await tx.run(connections_table.update().values(state="live"))
    assert (0, 5) == (await polls_in(rig, 5, {}), await polls_in(rig, 5))
