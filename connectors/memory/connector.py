"""The contract, fulfilled by a pretend vendor in RAM."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar

import msgspec

from connectors.canon.fields import field_type, key, read
from connectors.canon.records import AnyRecord, Kind, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import (
    Account,
    Act,
    Catalogue,
    Connector,
    Create,
    Denied,
    Deps,
    Event,
    Facts,
    Figures,
    Histories,
    InDoubt,
    Moved,
    NamedTerms,
    NotSent,
    Operation,
    Outcome,
    Page,
    TaxCode,
    Tombstone,
    Update,
    Write,
)
from connectors.kit.errors import BadSettings, NotAllowed, Reconnect, TryLater
from connectors.memory.faults import Call, Fault
from connectors.memory.state import Row
from connectors.memory.vendor import Knobs, facts_of
from connectors.memory.world import WORLDS, MemoryWorld, signature

_CUSTOMER_OF: dict[Kind, str] = {
    Kind.DEAL: "sold_to",
    Kind.INVOICE: "customer",
    Kind.CREDIT_NOTE: "customer",
    Kind.PAYMENT: "customer",
}


def _world(settings: Mapping[str, str]) -> MemoryWorld:
    name, path = settings.get("world", ""), settings.get("path", "")
    if name in WORLDS:
        return WORLDS[name]
    if path:
        return MemoryWorld.make(name, path=Path(path))
    known = ", ".join(sorted(WORLDS)) or "none"
    raise BadSettings(f'There is no world "{name}". Known: {known}.', system="memory", operation="open")


class Memory(Connector):
    """The connector of one `MemoryWorld`. Ask an opened one for its `facts`: they follow the world's knobs."""

    facts: ClassVar[Facts] = facts_of(Knobs())

    def __init__(self, world: MemoryWorld, deps: Deps) -> None:
        self.world = world
        self._deps = deps

    @classmethod
    def open(cls, settings: Mapping[str, str], deps: Deps) -> Memory:
        world = _world(settings)
        if settings.get("clock", "own") == "house":
            world.follow(deps.clock)
        tuned: type[Memory] = type(cls.__name__, (cls,), {"facts": world.facts})
        return tuned(world, deps)

    # ------------------------------------------------------------------ reading

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        for kind, cursor in cursors.items():
            turn, complete = int(cursor or 0), cursor is None
            rows = await self._listing(kind, turn)
            while len(rows) == self.world.knobs.page:
                turn = rows[-1].changed
                yield self._page(kind, rows, turn, complete=False)
                rows = await self._listing(kind, turn)
            turn = rows[-1].changed if rows else turn
            yield self._page(kind, rows, turn, complete=complete)

    async def _listing(self, kind: Kind, turn: int) -> list[Row]:
        await self._read(Call("changes", kind))
        with self.world.turn():
            return self.world.listing(kind, turn)

    def _page(self, kind: Kind, rows: list[Row], turn: int, *, complete: bool) -> Page:
        gone = (row.gone for row in rows if self.world.knobs.tombstones)
        return Page(
            records=tuple(row.record for row in rows if row.gone is None),
            gone=tuple(stone for stone in gone if stone is not None),
            cursors={kind: str(turn)},
            scanned=frozenset({kind}) if complete else frozenset(),
        )

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        found: dict[str, AnyRecord | Tombstone] = {}
        size = self.world.knobs.batch_read
        for start in range(0, len(refs), size):
            some = refs[start : start + size]
            await self._read(Call("get", kind, items=len(some)))
            with self.world.turn():
                found |= {ref: seen for ref in some if (seen := self._seen(kind, ref)) is not None}
        return found

    def _seen(self, kind: Kind, ref: str) -> AnyRecord | Tombstone | None:
        row = self.world.state.row(kind, ref)
        if row is None or row.hidden:
            return None
        if row.gone is None:
            return row.record
        return row.gone if self.world.knobs.tombstones else None

    async def history(self, kind: Kind, refs: Sequence[str], paths: Sequence[str]) -> Histories:
        found: Histories = {}
        size = self.world.knobs.batch_read
        for start in range(0, len(refs), size):
            some = refs[start : start + size]
            await self._read(Call("history", kind, items=len(some)))
            with self.world.turn():
                seen = [ref for ref in some if self._seen(kind, ref) is not None]
                found |= {ref: {path: self.world.state.history(kind, ref, path) for path in paths} for ref in seen}
        return found

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        await self._read(Call("find", kind, items=len(values)))
        compare = field_type(kind, path)
        if compare is None:
            return {}
        wanted = {value: key(compare, value) for value in values}
        found: dict[str, list[AnyRecord]] = {}
        with self.world.turn():
            for record in self.world.searchable(kind):
                has = read(record, path)
                hits = [v for v, k in wanted.items() if k is not None and has is not ABSENT and key(compare, has) == k]
                for value in hits:
                    found.setdefault(value, []).append(record)
        return found

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        await self._read(Call("by_marker", kind, items=len(markers)))
        if self.world.knobs.marker != "searchable":
            return {}
        found: dict[str, list[AnyRecord]] = {}
        with self.world.turn():
            for marker in markers:
                hits = self.world.with_marker(kind, marker)
                if hits:
                    found[marker] = hits
        return found

    async def mark(self, kind: Kind) -> str:
        await self._read(Call("mark", kind))
        with self.world.turn():
            return str(self.world.state.head)

    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str] = ()) -> list[AnyRecord]:
        await self._read(Call("created_since", kind))
        at = _CUSTOMER_OF.get(kind)
        with self.world.turn():
            made = [row.record for row in self.world.state.rows[kind].values() if row.live and row.made > int(mark)]
        if not customers or at is None:
            return made
        return [record for record in made if getattr(record, at) in customers]

    async def catalogue(self) -> Catalogue:
        await self._read(Call("catalogue"))
        knobs = self.world.knobs
        return Catalogue(
            account_id=self.world.name,
            account_name=self.world.name,
            home_currency=knobs.home_currency,
            country=knobs.country,
            time_zone=knobs.time_zone,
            locked_until=knobs.locked_until,
            tax_regime="rates" if knobs.tax_rates else "none",
            numbering=knobs.numbering,
            multi_currency=len(knobs.rates) > 0,
            accounts=(
                Account(ref="ar", name="Accounts receivable", type="receivable"),
                Account(ref="sales", name="Sales", type="income"),
                Account(ref="bank", name="Bank", type="bank"),
            ),
            tax_codes=tuple(TaxCode(ref=code, name=code, rate=rate) for code, rate in knobs.tax_rates.items()),
            terms=(
                NamedTerms(ref="t14", name="Net 14", net_days=14),
                NamedTerms(ref="t30", name="Net 30", net_days=30),
            ),
            payment_methods=("Bank transfer", "Card"),
            stages={"open": "open", "won": "won", "lost": "lost"},
        )

    async def figures(self, start: date, end: date) -> Figures | None:
        await self._read(Call("figures"))
        with self.world.turn():
            return self.world.state.ledger.figures(start, end)

    async def _read(self, call: Call) -> None:
        """Travel to the vendor and back; meet what the script has for the call."""
        await asyncio.sleep(0)
        self._deps.calls.count(call.point, write=False)
        with self.world.turn():
            fault = self.world.arrived(call)
        if fault is not None:
            await self._fail(call, fault)

    async def _fail(self, call: Call, fault: Fault) -> None:
        match fault.what:
            case "hang" | "stall":
                await _for_ever()
            case "expired":
                raise Reconnect("The authorisation has expired.", system="memory", operation=call.point)
            case "forbidden":
                raise NotAllowed("This account may not read that.", system="memory", operation=call.point)
            case "throttle":
                raise TryLater("Too many calls.", system="memory", operation=call.point, wait_s=fault.wait_s)
            case _:
                raise TryLater("The vendor is not well.", system="memory", operation=call.point)

    # ------------------------------------------------------------------ writing

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        batch = tuple(writes)
        if not batch:
            return []
        kind, operation = _subject(batch[0])
        if len(batch) > self.world.knobs.batch_write:
            return [Denied("The batch is too large.", code="too_many") for _ in batch]
        await asyncio.sleep(0)
        self._deps.calls.count(operation, write=True)
        with self.world.turn():
            fault = self.world.arrived(Call("write", kind, operation, len(batch)))
            outcomes = self._answer(batch, key, fault)
        if fault is not None and fault.what in ("hang", "stall"):
            await _for_ever()
        await asyncio.sleep(0)
        return outcomes

    def _answer(self, batch: tuple[Write, ...], key: str, fault: Fault | None) -> list[Outcome]:
        """What comes back for a batch, after the vendor did what it does under this fault."""
        what = fault.what if fault is not None else None
        if fault is None or what not in _FAULTED_WRITES:
            return self.world.execute(batch, key)
        if what in ("refuse", "stale"):
            return self._spoiled(batch, key, fault)
        if what in ("throttle", "expired", "forbidden"):
            return [_not_sent(fault) for _ in batch]
        if what in ("lose", "hang"):
            self.world.execute(batch, key)
        elif what == "cut":
            self.world.execute(batch[: fault.first], key)
        elif what == "late":
            self.world.send_later(batch, key, fault.after_s)
        return [InDoubt("The answer never came.") for _ in batch]

    def _spoiled(self, batch: tuple[Write, ...], key: str, fault: Fault) -> list[Outcome]:
        spoiled = range(len(batch)) if fault.item is None else (fault.item,)
        fine = tuple(write for place, write in enumerate(batch) if place not in spoiled)
        answers = iter(self.world.execute(fine, key))
        no: Outcome
        outcomes: list[Outcome] = []
        for place, write in enumerate(batch):
            no = Denied(fault.reason, code="scripted") if fault.what == "refuse" else self._moved(write)
            outcomes.append(no if place in spoiled else next(answers))
        return outcomes

    def _moved(self, write: Write) -> Moved:
        if isinstance(write, Create):
            return Moved()
        row = self.world.state.row(write.kind, write.ref)
        return Moved(row.record if row is not None and row.live else None)

    # ------------------------------------------------------------------ webhooks

    @classmethod
    def verify_webhook(
        cls, *, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        sent = {name.lower(): value for name, value in headers.items()}.get("x-memory-signature", "")
        return hmac.compare_digest(sent, signature(secret, body))

    @classmethod
    def parse_webhook(cls, body: bytes) -> list[Event]:
        return msgspec.json.decode(body, type=list[Event])


_FAULTED_WRITES = frozenset(
    {
        "lose",
        "cut",
        "doubt",
        "late",
        "hang",
        "stall",
        "refuse",
        "stale",
        "throttle",
        "expired",
        "forbidden",
        "down",
    }
)


def _subject(write: Write) -> tuple[Kind, Operation]:
    match write:
        case Create():
            return kind_of(write.record), "create"
        case Act():
            return write.kind, write.operation
        case Update():
            return write.kind, "update"


def _not_sent(fault: Fault) -> NotSent:
    match fault.what:
        case "expired":
            return NotSent("The authorisation has expired.", next="reconnect")
        case "forbidden":
            return NotSent("This account may not write that.", next="allow")
        case _:
            return NotSent("Too many calls.", next="wait", wait_s=fault.wait_s)


async def _for_ever() -> None:
    """No answer comes; only a cancellation ends it."""
    await asyncio.Event().wait()
