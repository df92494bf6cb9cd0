"""A pair of two pretend vendors and a worker driven by hand: what a person does at either system, what a run then
plans and writes, and time that passes when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import yaml
from cryptography.fernet import Fernet

from connectors.canon.records import (
    AnyRecord,
    Customer,
    Deal,
    DealLine,
    Invoice,
    InvoiceLine,
    Item,
    Kind,
    Payment,
)
from connectors.canon.values import Money
from connectors.kit.contract import Catalogue, Clock, FieldInfo, Side
from connectors.memory.connector import Memory
from connectors.memory.faults import Call
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from worker.api import Api
from worker.api.views import ChangeView, ConflictView, PairView, PlanView, RunView
from worker.house import House
from worker.jobs import runner
from worker.queue import Queue
from worker.settings import WorkerSettings
from worker.store import dirty_set, plans, runs
from worker.store.database import Database, open_database
from worker.store.dirty_set import DirtyRow
from worker.usecases.office import Desk, Office, open_desk
from worker.vault import Vault

NOW = datetime(2026, 11, 10, 15, tzinfo=UTC)
PAID_FIELDS = ("invoice_status", "amount_paid", "balance_due", "settled_on")
_KEY = Fernet.generate_key().decode()
_NUMBERS = itertools.count(1)


class Vendor(Memory):
    """The reference connector with some fields of the vendor's own, which a mapping may name."""

    async def catalogue(self) -> Catalogue:
        own = {
            Kind.CUSTOMER: ("segment", "vip"),
            Kind.DEAL: PAID_FIELDS,
        }
        fields = {kind: tuple(FieldInfo(name=n, label=n) for n in names) for kind, names in own.items()}
        hidden = getattr(self.world, "hidden_fields", frozenset())
        shown = {kind: tuple(f for f in infos if f.name not in hidden) for kind, infos in fields.items()}
        return msgspec.structs.replace(await super().catalogue(), fields=shown)


class HouseClock:
    """The store's time; waiting lets it pass at once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def now(self) -> datetime:
        return datetime.now(UTC) + self._db.shift

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        self._db.shift += timedelta(seconds=seconds)


class NoQueue:
    """A queue that nobody reads: the test is the worker."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    async def wake(self, run_id: str, lane: runs.Lane) -> bool:
        self.woken.append(run_id)
        return True

    async def close(self) -> None:
        return None


_FLOWS: dict[str, Any] = {
    "customers": {
        "apply": "ask",
        "create": {"books": "first_document", "crm": "ask"},
        "match": ["marker", "tax_id", "email", "name+postal_code", "phone", "name"],
        "fields": [
            {"crm": "name", "books": "legal_name", "authority": "crm"},
            {"crm": "emails.general", "books": "emails.general", "authority": "crm"},
            {"crm": "phone", "books": "phone", "authority": "ask"},
            {"crm": "notes", "books": "notes", "authority": "ask"},
            {"crm": "addresses.billing", "books": "addresses.billing", "authority": "ask"},
        ],
    },
    "items": {"apply": "ask", "direction": "crm-to-books", "create": {"books": "first_document", "crm": "never"}},
    "invoices": {
        "apply": "ask",
        "due": 30,
        "ready": {"require": ["bill_to"], "wait_after_won_min": 0},
        "tax": [{"otherwise": "NON"}],
    },
    "payments": {
        "apply": "ask",
        "fields": [
            {"books": "state", "crm": "properties.invoice_status"},
            {"books": "paid_cash", "crm": "properties.amount_paid"},
            {"books": "balance", "crm": "properties.balance_due"},
            {"books": "settled_on", "crm": "properties.settled_on"},
        ],
    },
}


def mapping(*flows: str, pair: str = "acme", head: Mapping[str, Any] | None = None, **changed: Any) -> str:
    """A mapping with these flows (all, if none is named); `changed`: flow -> what it says otherwise; None takes a
    setting away."""
    chosen = {name: deepcopy(_FLOWS[name]) for name in (flows or tuple(_FLOWS))}
    for name, said in changed.items():
        chosen[name] = {k: v for k, v in {**chosen[name], **said}.items() if v is not None}
    whole = {
        "pair": pair,
        "crm": "memory",
        "books": "memory",
        "time_zone": "America/New_York",
        "cut_over": date(2026, 9, 1),
        "deal_amount": "net",
        **(head or {}),
        "flows": chosen,
    }
    return yaml.safe_dump(whole, sort_keys=False)


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def name(number: int) -> str:
    """A company's name that is like no other's."""
    letters = random.Random(number)
    return " ".join("".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=7)).title() for _ in range(2))


def told(name: str, **more: Any) -> Customer:
    """A customer of whom every mapped field is told; what is not said is empty."""
    said: dict[str, Any] = {
        "legal_name": name,
        "phone": None,
        "notes": None,
        "emails": {"general": None},
        "addresses": {"billing": None},
    }
    return Customer(**{**said, **more})


def deal(sold_to: str, amount: str = "100.00", **more: Any) -> Deal:
    """A won deal, ready to be billed, with the fields that payments are written to."""
    said: dict[str, Any] = {
        "name": f"Deal for {sold_to}",
        "sold_to": sold_to,
        "status": "won",
        "won_on": date(2026, 11, 9),
        "amount": usd(amount),
        "properties": dict.fromkeys(PAID_FIELDS),
    }
    return Deal(**{**said, **more})


def line(item: str, net: str, qty: str = "1") -> DealLine:
    price = Decimal(net) / Decimal(qty)
    return DealLine(key=item, item=item, qty=Decimal(qty), unit_price=price, net=Decimal(net))


def invoice(customer: str, net: str, on: date = date(2026, 11, 9), **more: Any) -> Invoice:
    """What a person types in the books by hand."""
    lines = (InvoiceLine(text="work", net=Decimal(net), tax_code="NON"),)
    return Invoice(customer=customer, date=on, due_date=on + timedelta(days=30), lines=lines, **more)


def payment(customer: str, document: str, amount: str, on: date = date(2026, 11, 20), **more: Any) -> Payment:
    from connectors.canon.records import Allocation

    settled = Allocation(document=document, amount=Decimal(amount), on=on)
    return Payment(customer=customer, date=on, amount=usd(amount), allocations=(settled,), **more)


class Rig:
    """One pair at work. `crm` and `books` are where people type; the verbs below are what Tieout does."""

    def __init__(self, db: Database, office: Office, api: Api, worlds: Mapping[Side, MemoryWorld]) -> None:
        self.db, self.office, self.api = db, office, api
        self.crm, self.books = worlds["crm"], worlds["books"]
        self.pair: PairView = cast(PairView, None)
        self.plan: PlanView = cast(PlanView, None)

    # ----------------------------------------------------------------- set up

    async def connect(self) -> None:
        for world in (self.crm, self.books):
            await self.api.connect("memory", {"world": world.name, "clock": "house"})

    async def pair_up(self, text: str) -> PairView:
        accounts: dict[Side, str] = {"crm": self.crm.name, "books": self.books.name}
        self.pair = await self.api.pair(text, "test.yaml", "tests", accounts)
        return self.pair

    async def linked(self, name: str = "Acme", **both: Any) -> tuple[str, str]:
        """The same customer on both sides, linked and in agreement: (crm ref, books ref)."""
        refs = self.crm.add(told(name, **both)), self.books.add(told(name, **both))
        await self.settled()
        return refs

    async def settled(self) -> None:
        """Preview and apply until there is nothing to do."""
        for _ in range(6):
            plan = await self.preview()
            if plan.changes == 0:
                return
            await self.apply()
        raise AssertionError(f"it does not settle: {self.plan}")

    # ----------------------------------------------------------------- what Tieout does

    async def run(self, what: str, *, patience: int = 20, **request: Any) -> RunView:
        """Ask for a run and be its worker until it is over. What it waits for comes at once."""
        run_id = await self.api.ask(self.pair.id, what, "tests", request)
        return await self.advance(run_id, patience=patience)

    async def advance(self, run_id: str, *, patience: int = 20) -> RunView:
        """Be the worker of a run. `patience`: how often it may wait."""
        for _ in range(patience):
            await runner.advance(self.office, run_id, "tests")
            view = await self.api.run(run_id)
            if view.over:
                return view
            if view.state == "running":  # a worker of the house was first: it is its to end
                await asyncio.sleep(0.5)
                continue
            async with self.db.read() as tx:
                run = await runs.get(tx, run_id)
                now = await tx.now()
            if run is not None and run.not_before is not None and run.not_before > now:
                self.pass_time((run.not_before - now).total_seconds() + 0.01)
        return await self.api.run(run_id)

    async def preview(self, **request: Any) -> PlanView:
        run = await self.run("preview", **request)
        assert run.state == "done", run.error
        assert run.plan_id is not None
        self.plan = await self.api.plan(run.plan_id, limit=None)
        return self.plan

    async def apply(self, plan: PlanView | None = None, *, patience: int = 20, **how: Any) -> RunView:
        plan = plan if plan is not None else self.plan
        run_id = await self.api.apply(plan.id, plan.fingerprint, "tests", **how)
        return await self.advance(run_id, patience=patience)

    async def done(self) -> RunView:
        """Preview, apply."""
        await self.preview()
        return await self.apply()

    async def settle(self, choice: str, number: int | None = None, value: str | None = None) -> None:
        number = number if number is not None else (await self.question()).number
        await self.api.settle(self.pair.id, number, choice, "tests", value)

    def pass_time(self, seconds: float) -> None:
        self.db.shift += timedelta(seconds=seconds)

    # ----------------------------------------------------------------- what is to be seen

    async def conflicts(self) -> list[ConflictView]:
        return await self.api.conflicts(self.pair.id)

    async def question(self) -> ConflictView:
        """The only open one."""
        found = await self.conflicts()
        assert len(found) == 1, found
        return found[0]

    async def changes(self, plan: PlanView | None = None) -> list[ChangeView]:
        return await self.api.changes((plan if plan is not None else self.plan).id)

    async def states(self) -> dict[str, int]:
        async with self.db.read() as tx:
            return cast("dict[str, int]", await plans.count_states(tx, self.plan.id))

    async def waiting(self) -> dict[tuple[str, str, str], str]:
        """(side, kind, ref) -> why it waits."""
        return {(w.side, w.kind, w.ref): w.reason for w in await self.api.waiting(self.pair.id)}

    async def dirty(self) -> list[DirtyRow]:
        """What the next plan reads."""
        desk = await self.desk()
        every: list[tuple[Side, Kind]] = [(side, kind) for side in ("crm", "books") for kind in Kind]
        async with self.db.read() as tx:
            return dirty_set.Dirt(await dirty_set.read(tx, self.pair.id, desk.settings)).due(*every)

    async def desk(self) -> Desk:
        return await open_desk(self.office, self.pair.id)

    def writes(self) -> int:
        """Write calls that reached either vendor."""
        return sum(call.point == "write" for world in (self.crm, self.books) for call in world.calls)

    def calls(self, world: MemoryWorld) -> list[Call]:
        return list(world.calls)

    def invoices(self) -> list[Invoice]:
        return [r for r in self.books.all(Kind.INVOICE) if isinstance(r, Invoice)]

    def one_invoice(self) -> Invoice:
        found = self.invoices()
        assert len(found) == 1, found
        return found[0]

    def names(self, world: MemoryWorld) -> list[str]:
        return sorted(str(r.legal_name) for r in world.all(Kind.CUSTOMER) if isinstance(r, Customer))

    def see(self, world: MemoryWorld, ref: str, kind: Kind = Kind.CUSTOMER) -> Any:
        return world.see(kind, ref)


@contextlib.asynccontextmanager
async def open_rig(
    url: str, folder: Path, *, crm: Knobs | None = None, books: Knobs | None = None, shared: Rig | None = None
) -> AsyncIterator[Rig]:
    """A rig on a database of its own, or a second worker (`shared`) on the database and worlds of another."""
    db = open_database(url)
    db.shift = shared.db.shift if shared is not None else NOW - datetime.now(UTC)
    clock = cast(Clock, HouseClock(db))
    registry = {"memory": Vendor}
    vault = Vault([_KEY])
    if shared is not None:
        worlds: dict[Side, MemoryWorld] = {"crm": shared.crm, "books": shared.books}
    else:
        number = next(_NUMBERS)
        worlds = {
            "crm": MemoryWorld.make(f"crm-{number}", crm, start=NOW - timedelta(days=90)),
            "books": MemoryWorld.make(f"books-{number}", books, start=NOW - timedelta(days=90)),
        }
    async with aiohttp.ClientSession() as session:
        office = Office(db=db, vault=vault, registry=registry, session=session, clock=clock)
        house = House(WorkerSettings(data=folder), db, vault, cast(Queue, NoQueue()), office, registry, serves=False)
        rig = Rig(db, office, Api(house), worlds)
        try:
            if shared is not None:
                rig.pair, rig.plan = shared.pair, shared.plan
            else:
                await rig.connect()
            yield rig
        finally:
            await office.close()
            await db.close()
            if shared is None:
                for world in worlds.values():
                    WORLDS.pop(world.name, None)


def records(world: MemoryWorld, kind: Kind) -> Sequence[AnyRecord]:
    return world.all(kind)


def item(name: str, **more: Any) -> Item:
    return Item(name=name, item_kind="service", **more)
