"""A pair in the database, without vendors: what the store's tests start from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import AnyRecord, Customer, Invoice, Kind
from connectors.canon.values import Money
from connectors.kit.contract import Page, Side
from worker.engine.plan import Change
from worker.outside import new_id
from worker.store import connections, plans, runs
from worker.store.database import Database
from worker.store.dirty_set import Listener


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A pair and its two connections."""

    pair: str
    crm: str
    books: str

    def connection(self, side: Side) -> str:
        return self.crm if side == "crm" else self.books

    @property
    def listeners(self) -> list[Listener]:
        return [Listener(self.pair, "crm")]


async def make_place(db: Database, name: str = "acme") -> Place:
    async with db.write() as tx:
        crm = await connections.save_connection(tx, "memory", f"{name}-crm", name, {})
        books = await connections.save_connection(tx, "memory", f"{name}-books", name, {})
        return Place(pair=await connections.save_pair(tx, name, crm, books), crm=crm, books=books)


@pytest.fixture
async def place(db: Database) -> Place:
    return await make_place(db)


def customer(ref: str, name: str = "Acme", **more: Any) -> Customer:
    return Customer(ref=ref, legal_name=name, **more)


def page(*found: AnyRecord, cursor: str = "1", kind: Kind = Kind.CUSTOMER, **more: Any) -> Page:
    return Page(records=found, cursors={kind: cursor}, **more)


def change(source: str = "d1", **more: Any) -> Change:
    """A create of an invoice, ready to be stored."""
    said: dict[str, Any] = {
        "id": new_id("ch"),
        "flow": "invoices",
        "side": "books",
        "kind": Kind.INVOICE,
        "operation": "create",
        "source_kind": Kind.DEAL,
        "source_ref": source,
        "title": source,
        "why": "won",
        "record": Invoice(customer="c1"),
        "marker": f"T-{source}",
        "net": Money(Decimal("100.00"), "USD"),
        "total": Decimal("108.00"),
    }
    return Change(**{**said, **more})


async def a_plan(db: Database, place: Place, *items: Change, fingerprint: str = "f1") -> str:
    """An open plan with these changes."""
    plan_id = new_id("pl")
    async with db.write() as tx:
        run_id = await runs.ask(tx, place.pair, "preview", {}, "tests")
        await plans.open_plan(tx, place.pair, plan_id, run_id, 1)
        await plans.store_changes(tx, place.pair, plan_id, 0, items)
        await plans.finish_plan(tx, place.pair, plan_id, fingerprint, plans.Sum(changes=len(items)))
    return plan_id


async def approved(db: Database, plan_id: str, fingerprint: str = "f1", **how: Any) -> bool:
    async with db.write() as tx:
        return await plans.approve(tx, plan_id, fingerprint, "tests", **how)
