"""Webhooks as vendors really deliver them: some twice, some late and out of order, some never; and all that our own
writes cause.

Two accounts in memory whose flows write alone. People edit customers on both sides and win deals; every event goes
through `take_webhook`, signed. At the end one poll, and then it is counted what a person would find.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.two_worlds import PAID_FIELDS, TwoWorlds, opened
from connectors.canon.records import Customer, Deal, Kind
from connectors.canon.values import Money
from connectors.kit.contract import Event, Side, Token
from connectors.memory.connector import Memory
from connectors.memory.world import MemoryWorld, signature
from worker.store import runs, webhooks
from worker.store.migrate import upgrade
from worker.usecases.take_webhook import Call, take_webhook

SIDES: tuple[Side, Side] = ("crm", "books")
SECRET = "between us"
AT_ONCE = 5  # events of so many edits wait for each other, and arrive in any order
MAPPING = """
pair: webhooks
crm: memory
books: memory
time_zone: America/New_York
cut_over: 2026-09-01
deal_amount: net
flows:
  customers:
    apply: auto
    create: {books: always, crm: never}
    match: [marker, name]
    fields:
      - {crm: name, books: legal_name, authority: crm}
      - {crm: notes, books: notes, authority: ask}
  invoices:
    apply: auto
    due: 30
    ready: {require: [bill_to], wait_after_won_min: 0}
    tax: [{otherwise: NON}]
  payments:
    apply: auto
    fields: [{books: state, crm: properties.invoice_status}]
guards:
  changed_in_24_h: {share: 100%, at_least: 100000}
"""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What was delivered, and what came of it. `duplicates`: customers or invoices beyond the first; `lost`: edits
    that did not reach the other side, deals without an invoice; `echoes`: write calls that were made although nobody
    had typed anything since."""

    delivered: int
    doubled: int
    dropped: int
    runs: int
    duplicates: int
    lost: int
    echoes: int


def deliver_badly(customers: int = 60, seed: int = 1) -> Delivered:
    """Play it once, on a database of its own. The same seed is the same play."""

    async def play() -> Delivered:
        with TemporaryDirectory() as name:
            folder = Path(name)
            await upgrade(f"sqlite+aiosqlite:///{folder / 'empty.db'}")
            async with opened(folder / "empty.db", folder, mapping=MAPPING) as pair:
                return await _Play(pair, random.Random(seed)).all(customers)

    return asyncio.run(play())


class _Play:
    def __init__(self, pair: TwoWorlds, chance: random.Random) -> None:
        self._pair, self._chance = pair, chance
        self._told: dict[Side, int] = dict.fromkeys(SIDES, 0)
        self._late: list[tuple[Side, Event]] = []
        self.counts: Counter[str] = Counter()

    async def all(self, customers: int) -> Delivered:
        expected = await self._begin(customers)
        for number, ref in enumerate(list(expected)):
            expected[ref] = self._edit(ref, number)
            self._gather()
            if number % AT_ONCE == 0:
                await self._deliver()
        await self._deliver()
        await self._pair.run("sync")  # the poll, which finds what was dropped
        await self._pair.settle()
        lost, duplicates = self._lost(expected), self._duplicates()
        before = self._pair.writes()
        self._gather()
        self._late += [(side, event) for side in SIDES for event in _events(self._pair.world(side), 0)]
        await self._deliver(drops=False)
        await self._pair.run("sync")
        return Delivered(
            delivered=self.counts["delivered"],
            doubled=self.counts["doubled"],
            dropped=self.counts["dropped"],
            runs=self.counts["runs"],
            duplicates=duplicates,
            lost=lost,
            echoes=self._pair.writes() - before,
        )

    async def _begin(self, customers: int) -> dict[str, str]:
        """Linked customers by the CRM's ref, and webhooks on both sides."""
        refs = {}
        for number in range(customers):
            made = Customer(legal_name=_name(number), notes="as it was")
            refs[self._pair.crm.add(made)] = "as it was"
        await self._pair.run("sync")
        await self._pair.settle()
        async with self._pair.db.write() as tx:
            for side in SIDES:
                secret = self._pair.office.vault.seal(Token(access=SECRET))
                await webhooks.subscribe(tx, getattr(self._pair.pair, side).id, secret)
        self._told = {side: self._pair.world(side).state.head for side in SIDES}
        return refs

    def _edit(self, ref: str, number: int) -> str:
        """Somebody types a note, on either side; every third customer is won a deal of."""
        crm, books, note = self._pair.crm, self._pair.books, f"edit {number}"
        if number % 2:
            crm.edit(Kind.CUSTOMER, ref, notes=note)
        else:
            books.edit(Kind.CUSTOMER, self._there(ref), notes=note)
        if number % 3 == 0:
            crm.add(
                Deal(
                    name=f"Deal {number}",
                    sold_to=ref,
                    status="won",
                    won_on=date(2026, 11, 9),
                    amount=Money(Decimal(100), "USD"),
                    properties=dict.fromkeys(PAID_FIELDS),
                )
            )
        return note

    def _there(self, ref: str) -> str:
        """The counterpart in the books, by its name."""
        name = getattr(self._pair.crm.see(Kind.CUSTOMER, ref), "legal_name", None)
        return next(r.ref for r in self._pair.books.all(Kind.CUSTOMER) if getattr(r, "legal_name", None) == name)

    # ----------------------------------------------------------------- deliveries

    def _gather(self) -> None:
        """What the vendors have to tell since the last look, our own writes too."""
        for side in SIDES:
            world = self._pair.world(side)
            self._late += [(side, event) for event in _events(world, self._told[side])]
            self._told[side] = world.state.head

    async def _deliver(self, *, drops: bool = True) -> None:
        """In any order; one in five never, one in three twice, half of those again after it was acted on."""
        waiting, self._late = self._late, []
        self._chance.shuffle(waiting)
        for side, event in waiting:
            if drops and self._chance.random() < 0.2:
                self.counts["dropped"] += 1
                continue
            await self._call(side, event)
            if self._chance.random() < 0.33:
                self.counts["doubled"] += 1
                if self._chance.random() < 0.5:
                    await self._work()
                await self._call(side, event)
        await self._work()

    async def _call(self, side: Side, event: Event) -> None:
        body = msgspec.json.encode([event])
        call = Call(method="POST", url="", headers={"X-Memory-Signature": signature(SECRET, body)}, body=body)
        self.counts["delivered"] += 1
        await take_webhook(self._pair.office, getattr(self._pair.pair, side).id, call)

    async def _work(self) -> None:
        async with self._pair.db.read() as tx:
            due: Sequence[str] = await runs.due(tx, "realtime")
        for run_id in due:
            self.counts["runs"] += 1
            await self._pair.finish(run_id)

    # ----------------------------------------------------------------- what a person finds

    def _lost(self, expected: dict[str, str]) -> int:
        notes = 0
        for ref, note in expected.items():
            here = getattr(self._pair.crm.see(Kind.CUSTOMER, ref), "notes", None)
            there = getattr(self._pair.books.see(Kind.CUSTOMER, self._there(ref)), "notes", None)
            notes += (here, there) != (note, note)
        return notes + max(0, len(self._pair.crm.all(Kind.DEAL)) - len(self._pair.books.all(Kind.INVOICE)))

    def _duplicates(self) -> int:
        names = Counter(getattr(r, "legal_name", None) for r in self._pair.books.all(Kind.CUSTOMER))
        invoices = len(self._pair.books.all(Kind.INVOICE)) - len(self._pair.crm.all(Kind.DEAL))
        return sum(number - 1 for number in names.values()) + max(0, invoices)


def _events(world: MemoryWorld, since: int) -> list[Event]:
    _, body = world.webhook(SECRET, since)
    return Memory.parse_webhook(body)


def _name(number: int) -> str:
    letters = random.Random(number)
    return " ".join("".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=7)).title() for _ in range(2))
