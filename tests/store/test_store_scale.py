"""What a run costs follows what changed: a look at all records is a count in an index, and many moves are one
statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from connectors.canon.records import Kind
from connectors.kit.contract import Page, Tombstone
from tests.store.conftest import Place, a_plan, approved, change, customer, page
from worker.store import mirror, plans
from worker.store.database import Database, Unit
from worker.store.plans import Intent, LostRace, Step


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def hear(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield sent
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", hear)


async def test_live_records_are_all_less_those_that_are_gone(db: Database, place: Place) -> None:
    """Counts leave out what is gone, keep what was only missed once, and name no kind that has nothing left."""
    scan = frozenset({Kind.CUSTOMER})
    async with db.write() as tx:
        await mirror.store_pages(
            tx, place.crm, [page(customer("c1"), customer("c2"), customer("c3"), scanned=scan)], []
        )
        await mirror.store_pages(tx, place.crm, [page(customer("c1"), customer("c2"), scanned=scan)], [])
        gone = Tombstone(Kind.CUSTOMER, "c1", "archived")
        await mirror.store_pages(tx, place.crm, [Page(gone=(gone,))], [])
        await mirror.store_pages(tx, place.books, [page(customer("b1")), Page(gone=(_stone("b1"),))], [])
        assert {Kind.CUSTOMER: 2} == await mirror.counts(tx, place.crm)
        assert {} == await mirror.counts(tx, place.books)
        assert {Kind.CUSTOMER} == await mirror.missed_once(tx, place.crm)


def _stone(ref: str) -> Tombstone:
    return Tombstone(Kind.CUSTOMER, ref, "deleted")


async def _steps_of(tx: Unit, where: str) -> str:
    rows = await tx.rows(text(f"explain query plan select kind, ref from mirror where connection_id = 'x' and {where}"))
    return " ".join(str(row[-1]) for row in rows)


async def test_what_is_not_shown_any_more_is_found_by_its_own_index(db: Database) -> None:
    """The few that are gone or missed are read, not all. A query that says it in other words reads all."""
    async with db.read() as tx:
        if tx.dialect != "sqlite":
            assert "ix_mirror_unseen" in [r[0] for r in await tx.rows(text("select indexname from pg_indexes"))]
            return
        assert "ix_mirror_unseen" in await _steps_of(tx, f"{mirror.unseen()} and missed >= 2 and gone is null")
        assert "ix_mirror_unseen" not in await _steps_of(tx, "missed >= 2 and gone is null")


async def _intents(db: Database, place: Place, number: int) -> tuple[str, list[Intent]]:
    items = [change(f"d{n}") for n in range(number)]
    plan_id = await a_plan(db, place, *items)
    assert await approved(db, plan_id)
    now = await db.now()
    return plan_id, [Intent(id=c.id, attempt=0, call_key="k", mark=None, call_until=now) for c in items]


async def _sent_for(db: Database, place: Place, number: int) -> int:
    plan_id, intents = await _intents(db, place, number)
    with statements(db) as sent:
        async with db.write() as tx:
            assert await plans.intend(tx, plan_id, intents)
            moves = [Step(id=i.id, to="done", ref=f"r{n}") for n, i in enumerate(intents)]
            assert [i.id for i in intents] == await plans.step(tx, moves)
            await plans.close_plan(tx, plan_id, "applied")
    return len(sent)


async def test_a_call_of_many_changes_takes_no_more_statements(db: Database, place: Place) -> None:
    """Intent and outcome of thirty changes are as many statements as those of two."""
    assert await _sent_for(db, place, 2) == await _sent_for(db, place, 30)


async def test_one_change_that_is_not_to_be_sent_stops_its_whole_call(db: Database, place: Place) -> None:
    """A batch is intended whole: one of another attempt, and nothing is."""
    plan_id, (first, second) = await _intents(db, place, 2)
    other = Intent(id=second.id, attempt=1, call_key="k", mark=None, call_until=second.call_until)
    with pytest.raises(LostRace):
        async with db.write() as tx:
            await plans.intend(tx, plan_id, [first, other])
    async with db.read() as tx:
        assert {"planned": 2} == await plans.count_states(tx, plan_id)


async def test_a_move_keeps_what_it_does_not_tell(db: Database, place: Place) -> None:
    """A later move that names no ref leaves the one that is there; a second move of one change in the same unit
    starts from the first."""
    plan_id, (intent,) = await _intents(db, place, 1)
    async with db.write() as tx:
        assert await plans.intend(tx, plan_id, [intent])
        doubt = Step(id=intent.id, to="unknown", reason="lost", request_id="q1")
        again = Step(id=intent.id, to="done", come_from=("intended",), ref="never")
        assert [intent.id] == await plans.step(tx, [doubt, again])
        assert [intent.id] == await plans.step(tx, [Step(id=intent.id, to="planned", reason="absent", stale=True)])
        (stored,) = await plans.read_changes(tx, plan_id)
    assert ("planned", "absent", "q1", 1) == (stored.state, stored.reason, stored.request_id, stored.stale_times)
    assert stored.change.ref is None
