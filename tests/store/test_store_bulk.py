"""Bulk paths send as many statements for many rows as for few, on both databases: a round trip a row would make a
backfill a matter of days."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from connectors.canon.records import Allocation, Kind, Payment
from connectors.kit.contract import BadRow, Page, Tombstone
from tests.store.conftest import Place, change, customer
from tests.store.test_store_scale import statements
from worker.engine.merge import Base
from worker.outside import new_id
from worker.store import audit, dirty_set, links, mirror, plans, runs, tallies
from worker.store.database import Database, Unit
from worker.store.dirty_set import Parked
from worker.store.links import NewLink
from worker.store.plans import Step

FEW, MANY = 2, 60
Work = Callable[[Unit, Place, int], Awaitable[Any]]


async def pull_page(tx: Unit, place: Place, number: int) -> None:
    """Records of two kinds, payments with what they settle, tombstones, rows that could not be read: all of a page."""
    paid = (Allocation(document="i1", amount=Decimal(1)),)
    await mirror.store_pages(tx, place.crm, [Page(records=tuple(customer(f"gone{n}") for n in range(number)))], [])
    page = Page(
        records=(
            *(customer(f"{n}", f"Name {number}") for n in range(number)),
            *(Payment(ref=f"{n}", customer="c", allocations=paid) for n in range(number)),
        ),
        gone=tuple(Tombstone(Kind.CUSTOMER, f"gone{n}", "deleted") for n in range(number)),
        bad=tuple(BadRow(kind=Kind.DEAL, where=f"row {n}", reason="no date") for n in range(number)),
        cursors={Kind.CUSTOMER: "9"},
    )
    stored = await mirror.store_pages(tx, place.crm, [page], place.listeners)
    assert 3 * number == len(stored.moved)


async def mark(tx: Unit, place: Place, number: int) -> None:
    await dirty_set.mark(tx, place.listeners, [(Kind.CUSTOMER, f"{n}") for n in range(number)])


async def park_and_clear(tx: Unit, place: Place, number: int) -> None:
    await mark(tx, place, number)
    waits = [Parked(side="crm", kind=Kind.CUSTOMER, ref=f"{n}", reason="why") for n in range(number)]
    await dirty_set.park(tx, place.pair, waits, "settings")
    await dirty_set.clear(tx, place.pair, await dirty_set.read(tx, place.pair, ""))
    assert [] == await dirty_set.read(tx, place.pair, "")


async def plan(tx: Unit, place: Place, number: int) -> None:
    plan_id = new_id("pl")
    run_id = await runs.ask(tx, place.pair, "sync", {}, "tests")
    await plans.open_plan(tx, place.pair, plan_id, run_id, 1)
    await plans.store_changes(tx, place.pair, plan_id, 0, [change(f"d{n}") for n in range(number)])
    await plans.finish_plan(tx, place.pair, plan_id, "f", plans.Sum(changes=number))
    assert {"planned": number} == await plans.count_states(tx, plan_id)


async def outcomes(tx: Unit, place: Place, number: int) -> None:
    """All that an answered call stores: states, mirror, links, bases, tallies, audit."""
    plan_id = new_id("pl")
    changes = [change(f"d{n}") for n in range(number)]
    run_id = await runs.ask(tx, place.pair, "sync", {}, "tests")
    await plans.open_plan(tx, place.pair, plan_id, run_id, 1)
    await plans.store_changes(tx, place.pair, plan_id, 0, changes)
    come_from: tuple[plans.State, ...] = ("planned",)
    moves = [Step(id=c.id, to="done", come_from=come_from, ref=f"r{n}") for n, c in enumerate(changes)]
    assert number == len(await plans.step(tx, moves))
    await plans.keep_before(tx, {c.id: customer("c") for c in changes})
    await mirror.store_records(tx, place.books, [customer(f"b{n}") for n in range(number)], place.listeners)
    new = [NewLink(Kind.CUSTOMER, f"c{n}", f"b{n}", "created", "made") for n in range(number)]
    made = await links.make_links(tx, place.pair, new)
    await links.store_bases(tx, [(link.id, "name:legal_name", Base(crm="a", books="b"), "ch") for link in made])
    tally = {"side": "books", "kind": "customer", "rule": "", "what": "changed"}
    await tallies.add(tx, place.pair, [{**tally, "ref": f"b{n}"} for n in range(number)])
    entries = [audit.Entry(action="x", actor="tests", subject=f"{n}", after={"name": n}) for n in range(number)]
    await audit.append(tx, place.pair, entries)


WORK: tuple[Work, ...] = (pull_page, mark, park_and_clear, plan, outcomes)


async def sent_for(db: Database, place: Place, work: Work, number: int) -> int:
    """How many statements it takes; what was stored is taken back."""

    class Enough(Exception):
        """Rolls the unit back."""

    with statements(db) as sent:
        try:
            async with db.write() as tx:
                await work(tx, place, number)
                raise Enough
        except Enough:
            return len(sent)


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
async def test_many_rows_take_no_more_statements_than_few(db: Database, place: Place, work: Work) -> None:
    """Thirty times the rows, the same number of statements."""
    assert await sent_for(db, place, work, FEW) == await sent_for(db, place, work, MANY)


async def test_saboteur_a_round_trip_a_row_is_found(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executed row by row, many rows are many statements."""
    run = Unit.run

    async def one_by_one(self: Unit, statement: Any, rows: Any = None) -> Any:
        if rows is None:
            return await run(self, statement)
        return [await run(self, statement, [row]) for row in rows][-1]

    monkeypatch.setattr(Unit, "run", one_by_one)
    for work in WORK:
        assert await sent_for(db, place, work, FEW) < await sent_for(db, place, work, MANY)
