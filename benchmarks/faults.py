"""Everything that can go wrong between Tieout and a vendor, at every call of every flow, one thing at a time: after
each, both accounts must hold what they hold when nothing goes wrong, and nothing may be left to do."""

from __future__ import annotations

import asyncio
import functools
import logging
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import structlog
import yaml

from benchmarks.two_worlds import PAID_FIELDS, Left, Picture, TwoWorlds, Unsettled, opened, picture, restored
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    Customer,
    Deal,
    DealLine,
    Invoice,
    Item,
    Kind,
    Payment,
    encode,
)
from connectors.canon.values import Money
from connectors.kit.contract import Side
from connectors.memory.faults import Call, Fault, What
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from worker.api import Problem
from worker.store.migrate import upgrade

C, D = Kind.CUSTOMER, Kind.DEAL
Marker: TypeAlias = Literal["searchable", "none"]
Act: TypeAlias = Callable[[TwoWorlds], Awaitable[None]]
MARKERS: tuple[Marker, ...] = ("searchable", "none")
ON_WRITES: tuple[What, ...] = (
    "lose", "cut", "doubt", "late", "hang", "stall", "refuse", "stale", "throttle", "expired", "forbidden", "down",
)  # fmt: skip
ON_READS: tuple[What, ...] = ("hang", "stall", "throttle", "expired", "forbidden", "down")
_REMARKS: tuple[tuple[Side, Kind, str], ...] = (
    ("crm", C, "website"),
    ("books", C, "website"),
    ("crm", Kind.ITEM, "description"),
    ("crm", D, "memo"),
)
_EVERYWHERE = ("changes", "catalogue")
_PROBES = ("by_marker", "created_since", "get")
_ON = date(2026, 11, 9)
_DEEP = 3  # how many visits of the same call are tried where all are


# --------------------------------------------------------------------------- what people do


def _customer(name: str, **more: Any) -> Customer:
    """A customer of whom every mapped field is told."""
    return Customer(legal_name=name, **{"phone": None, "notes": None, "emails": {"general": None}, **more})


def _deal(buyer: str, name: str, amount: str, **more: Any) -> Deal:
    """A won deal, ready to be billed."""
    return Deal(
        name=name,
        sold_to=buyer,
        status="won",
        won_on=_ON,
        amount=Money(Decimal(amount), "USD"),
        properties=dict.fromkeys(PAID_FIELDS),
        **more,
    )


def _paid(customer: str, document: str, amount: str) -> Payment:
    settled = Allocation(document=document, amount=Decimal(amount), on=date(2026, 11, 20))
    money = Money(Decimal(amount), "USD")
    return Payment(customer=customer, date=date(2026, 11, 20), amount=money, allocations=(settled,))


async def _nothing(pair: TwoWorlds) -> None:
    """Both accounts are empty."""


async def _two_linked(pair: TwoWorlds) -> None:
    for name in ("Halden Foods", "Ostrava Pumps"):
        for world in (pair.crm, pair.books):
            world.add(_customer(name, notes="old"))
    await pair.settle()


async def _three_billed(pair: TwoWorlds) -> None:
    await _two_linked(pair)
    await _wins(pair)
    await pair.settle()


async def _in_conflict(pair: TwoWorlds) -> None:
    await _two_linked(pair)
    pair.crm.edit(C, pair.crm.all(C)[0].ref, notes="typed in the CRM")
    pair.books.edit(C, pair.books.all(C)[0].ref, notes="typed in the books")
    await pair.preview()


async def _adds_to_crm(pair: TwoWorlds) -> None:
    for name in ("Halden Foods", "Ostrava Pumps", "Lindos Media"):
        pair.crm.add(_customer(name, notes="new"))


async def _adds_to_books(pair: TwoWorlds) -> None:
    for name in ("Halden Foods", "Ostrava Pumps", "Lindos Media"):
        pair.books.add(_customer(name, notes="new"))


async def _edits_in_crm(pair: TwoWorlds) -> None:
    for record in pair.crm.all(C):
        pair.crm.edit(C, record.ref, notes=f"new for {record.ref}")


async def _edits_in_books(pair: TwoWorlds) -> None:
    for record in pair.books.all(C):
        pair.books.edit(C, record.ref, notes=f"new for {record.ref}")


async def _sells_items(pair: TwoWorlds) -> None:
    buyer = pair.crm.all(C)[0].ref
    for name, price in (("Valve", "50.00"), ("Gasket", "60.00")):
        item = pair.crm.add(Item(name=name, item_kind="service"))
        line = DealLine(key=item, item=item, qty=Decimal(1), unit_price=Decimal(price), net=Decimal(price))
        pair.crm.add(_deal(buyer, f"Deal of a {name}", price, lines=(line,)))


async def _wins(pair: TwoWorlds) -> None:
    buyer = pair.crm.all(C)[0].ref
    for amount in ("10.00", "20.00", "30.00"):
        pair.crm.add(_deal(buyer, f"Deal of {amount}", amount))


async def _is_paid(pair: TwoWorlds) -> None:
    for invoice in pair.books.all(Kind.INVOICE)[:2]:
        assert isinstance(invoice, Invoice)  # that is what they are
        pair.books.add(_paid(str(invoice.customer), invoice.ref, "10.00"))


async def _answers(pair: TwoWorlds) -> None:
    """Keep the CRM's value. If the answer does not go through, it is given again."""
    (question,) = await pair.api.conflicts(pair.pair.id)
    for _ in range(3):
        try:
            await pair.api.settle(pair.pair.id, question.number, "crm", "a person")
        except Problem:
            continue
        return


async def _removes(pair: TwoWorlds) -> None:
    for record in pair.crm.all(C):
        pair.crm.delete(C, record.ref)


def _mends(pair: TwoWorlds) -> None:
    """A person looks into what was refused, and saves it with a remark that does not travel."""
    for side, kind, field in _REMARKS:
        for record in pair.world(side).all(kind):
            pair.world(side).edit(kind, record.ref, **{field: "looked at"})


# --------------------------------------------------------------------------- flows


_FIELDS = [
    {"crm": "name", "books": "legal_name", "authority": "crm"},
    {"crm": "phone", "books": "phone", "authority": "ask"},
    {"crm": "notes", "books": "notes", "authority": "ask"},
]
_TO_DEAL = {
    "state": "invoice_status",
    "paid_cash": "amount_paid",
    "balance": "balance_due",
    "settled_on": "settled_on",
}


def _mapping(create: Mapping[str, str], removed: str = "ask") -> str:
    """All flows, every one asked for."""
    paid = [{"books": books, "crm": f"properties.{crm}"} for books, crm in _TO_DEAL.items()]
    flows = {
        "customers": {
            "apply": "ask",
            "create": dict(create),
            "match": ["marker", "name"],
            "removed": {"crm": removed, "books": "ask"},
            "fields": _FIELDS,
        },
        "items": {"apply": "ask", "direction": "crm-to-books", "create": {"books": "first_document", "crm": "never"}},
        "invoices": {
            "apply": "ask",
            "due": 30,
            "ready": {"require": ["bill_to"], "wait_after_won_min": 0},
            "tax": [{"otherwise": "NON"}],
        },
        "payments": {"apply": "ask", "fields": paid},
    }
    head = {"pair": "acme", "crm": "memory", "books": "memory", "time_zone": "America/New_York"}
    whole = {**head, "cut_over": date(2026, 9, 1), "deal_amount": "net", "flows": flows}
    return yaml.safe_dump(whole, sort_keys=False)


_AT_FIRST_DOCUMENT = {"books": "first_document", "crm": "ask"}


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before, and what people then do that Tieout has to carry over."""

    name: str
    before: Act
    act: Act
    mapping: str = _mapping(_AT_FIRST_DOCUMENT)


FLOWS = {
    flow.name: flow
    for flow in (
        Flow(
            name="customers are made in the books",
            before=_nothing,
            act=_adds_to_crm,
            mapping=_mapping({"books": "always", "crm": "never"}),
        ),
        Flow(
            name="customers are made in the CRM",
            before=_nothing,
            act=_adds_to_books,
            mapping=_mapping({"books": "never", "crm": "always"}),
        ),
        Flow(name="customers are updated in the books", before=_two_linked, act=_edits_in_crm),
        Flow(name="customers are updated in the CRM", before=_two_linked, act=_edits_in_books),
        Flow(name="items are made and billed", before=_two_linked, act=_sells_items),
        Flow(name="deals are billed", before=_two_linked, act=_wins),
        Flow(name="payments go back to their deals", before=_three_billed, act=_is_paid),
        Flow(name="a conflict is settled", before=_in_conflict, act=_answers),
        Flow(
            name="counterparts are archived",
            before=_two_linked,
            act=_removes,
            mapping=_mapping(_AT_FIRST_DOCUMENT, removed="deactivate"),
        ),
    )
}


# --------------------------------------------------------------------------- one case


class Case(msgspec.Struct, frozen=True):
    """What goes wrong, in the order in which it does."""

    faults: tuple[tuple[Side, Fault], ...]

    @property
    def name(self) -> str:
        return " then ".join(_said(side, fault) for side, fault in self.faults)

    @property
    def what(self) -> What:
        return self.faults[-1][1].what

    @property
    def is_refused(self) -> bool:
        return any(fault.what == "refuse" for _, fault in self.faults)


def _said(side: Side, fault: Fault) -> str:
    where = [fault.point, fault.operation, fault.kind.value if fault.kind is not None else None]
    visit = f"#{fault.skip + 1}" if fault.skip else None
    return " ".join(str(part) for part in (fault.what, "at", side, *where, visit) if part is not None)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case. `unfired`: the fault never happened, so nothing was shown."""

    name: str
    duplicates: int = 0
    lost: int = 0
    echoes: int = 0
    left: Left = Left()
    error: str | None = None
    unfired: bool = False

    @property
    def is_right(self) -> bool:
        counted = (self.duplicates, self.lost, self.echoes, self.left)
        return (counted, self.error, self.unfired) == ((0, 0, 0, Left()), None, False)


Content: TypeAlias = Counter[tuple[str, str, str]]


class Stage(msgspec.Struct):
    """A flow with what stands before it, and what its calls and its end are when nothing goes wrong. `mended` is the
    end if a person then looks at every record (None: nobody has asked for it yet)."""

    flow: Flow
    before: Picture
    folder: Path
    visits: list[tuple[Side, Call]]
    end: Content
    mended: Content | None = None


async def play(stage: Stage, case: Case, *, look_again: bool = False) -> Ended:
    """Let it go wrong, wait, and look. What was refused is looked into by a person, and then it goes on. It ends with a
    run that proposes nothing; with `look_again` one more follows that may write by itself, and what it writes or
    proposes is an echo."""
    wanted = await _end(stage, mended=case.is_refused)
    async with restored(stage.before, stage.folder, *case.faults) as pair:
        try:
            await _play(pair, stage.flow, mended=case.is_refused)
            echoes = await _echoes(pair) if look_again else 0
            left = await pair.left()
        except (Unsettled, Problem) as error:
            return Ended(name=case.name, error=str(error))
        unfired = len(pair.crm.script) + len(pair.books.script) > 0
        ended = _compared(case.name, wanted, content(pair))
        return msgspec.structs.replace(ended, left=left, echoes=echoes, unfired=unfired)


async def _end(stage: Stage, *, mended: bool) -> Content:
    if not mended:
        return stage.end
    if stage.mended is None:
        _, stage.mended = await _quiet(stage.flow, stage.before, stage.folder, mended=True)
    return stage.mended


async def _echoes(pair: TwoWorlds) -> int:
    """Writes and proposals of a run for which nobody gave a reason."""
    before = pair.writes()
    run = await pair.run("sync")
    plan = await pair.api.plan(run.plan_id) if run.plan_id is not None else None
    return pair.writes() - before + (plan.changes if plan is not None else 0)


async def _play(pair: TwoWorlds, flow: Flow, *, mended: bool) -> None:
    await flow.act(pair)
    await pair.settle()
    if mended:
        _mends(pair)
        await pair.settle()


def _compared(name: str, wanted: Content, found: Content) -> Ended:
    counts = [Counter[tuple[str, str]](), Counter[tuple[str, str]]()]
    for counted, side_by_side in zip(counts, (wanted, found), strict=True):
        for (side, kind, _), number in side_by_side.items():
            counted[side, kind] += number
    return Ended(
        name=name,
        duplicates=(counts[1] - counts[0]).total(),
        lost=(wanted - found).total(),
    )


# --------------------------------------------------------------------------- what two accounts hold


_PASSING = ("ref", "version", "created_at", "updated_at", "number", "marker", "source", "sent_at", "key")
_NO_MATTER = frozenset({*_PASSING, *(field for _, _, field in _REMARKS)})


def content(pair: TwoWorlds) -> Content:
    """All records of both accounts, as far as people care: what names another record names it by what it is called,
    since which of three invoices was made first is not told by its number."""
    held: Content = Counter()
    for side, world in (("crm", pair.crm), ("books", pair.books)):
        called = {record.ref: _called(record) for kind in Kind for record in _known(world, kind)}
        for kind in Kind:
            for record in world.all(kind):
                held[side, kind.value, _content(record, called)] += 1
    return held


def _known(world: MemoryWorld, kind: Kind) -> Iterator[AnyRecord]:
    """Records that are gone too: others may still name them."""
    return (row.record for row in world.state.rows[kind].values())


def _called(record: AnyRecord) -> str:
    match record:
        case Customer():
            return f"customer {record.legal_name}"
        case Item() | Deal():
            return f"{type(record).__name__} {record.name}"
        case Invoice():
            return f"invoice of {record.total}"
        case _:
            return type(record).__name__


def _content(record: AnyRecord, called: Mapping[str, str]) -> str:
    told = _renamed(msgspec.json.decode(encode(record)), called)
    return msgspec.json.encode(told, order="sorted").decode()


def _renamed(value: Any, called: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(inner, called) for name, inner in value.items() if name not in _NO_MATTER}
    if isinstance(value, list):
        return [_renamed(inner, called) for inner in value]
    return called.get(value, value) if isinstance(value, str) else value


# --------------------------------------------------------------------------- all cases of a flow


async def staged(flow: Flow, marker: Marker, empty: Path, folder: Path) -> Stage:
    """A flow, set up and played once without a fault. `empty`: a SQLite database of the newest revision; `folder`: a
    room of its own."""
    knobs: dict[Side, Knobs] = {side: Knobs(marker=marker) for side in ("crm", "books")}
    async with opened(empty, folder, knobs, flow.mapping) as pair:
        await flow.before(pair)
        before = await picture(pair, folder)
    visits, end = await _quiet(flow, before, folder, mended=False)
    return Stage(flow, before, folder, visits, end)


async def _quiet(
    flow: Flow, before: Picture, folder: Path, *faults: tuple[Side, Fault], mended: bool
) -> tuple[list[tuple[Side, Call]], Content]:
    """The calls of a run, in order, and what both accounts hold after it."""
    heard: list[tuple[Side, Call]] = []
    async with restored(before, folder, *faults) as pair:
        pair.crm.hooks.append(lambda world, call: heard.append(("crm", call)))
        pair.books.hooks.append(lambda world, call: heard.append(("books", call)))
        await _play(pair, flow, mended=mended)
        return heard, content(pair)


async def cases(stage: Stage, *, thorough: bool = False) -> list[Case]:
    """Each fault at each call where it fits, and at the probes that follow a lost answer. Without `thorough` reads
    of all kinds of records count as the same call, and the first visit stands for all."""
    found = [Case((fault,)) for fault in _faults(stage.visits, thorough=thorough)]
    for side, call in dict.fromkeys((side, call) for side, call in stage.visits if call.point == "write"):
        lost = Fault(what="lose", kind=call.kind, operation=call.operation)
        heard, _ = await _quiet(stage.flow, stage.before, stage.folder, (side, lost), mended=False)
        probes = [(s, c) for s, c in heard if c.point in _PROBES and (s, c) not in stage.visits]
        found += [Case(((side, lost), fault)) for fault in _faults(probes, thorough=thorough)]
    return list(dict.fromkeys(found))


def spread(found: Iterable[Case], turn: int, marker: Marker) -> list[Case]:
    """Some of the cases, so that over all flows every fault has happened at every point: every lost answer, a third
    of what else happens to writes (a sixth with each vendor), one in six of what happens to reads that every flow
    makes, and one in three of the others. `turn`: the flow's number."""
    sixth = turn + 3 * MARKERS.index(marker)

    def chosen(case: Case) -> bool:
        side, fault = case.faults[-1]
        if fault.point == "write":
            return fault.what == "lose" or (ON_WRITES.index(fault.what) + sixth) % 6 == 0
        place = ON_READS.index(fault.what) + turn + (side == "books")
        return MARKERS[turn % 2] == marker and place % (6 if fault.point in _EVERYWHERE else 3) == 0

    return [case for case in found if chosen(case)]


def _faults(visits: Iterable[tuple[Side, Call]], *, thorough: bool) -> Iterator[tuple[Side, Fault]]:
    seen: Counter[tuple[Side, Call]] = Counter()
    for side, call in visits:
        plain = msgspec.structs.replace(call, items=1)
        if not thorough and call.point != "write":
            plain = msgspec.structs.replace(plain, kind=None)
        skip = seen[side, plain]
        seen[side, plain] += 1
        if skip >= (_DEEP if thorough else 1):
            continue
        for what in ON_WRITES if call.point == "write" else ON_READS:
            yield side, _fault(what, plain, call.items, skip)


def _fault(what: What, call: Call, items: int, skip: int) -> Fault:
    """Of a batch one item is spoiled, or arrives before the line is cut."""
    spoils = what in ("refuse", "stale") and items > 1
    return Fault(
        what=what,
        point=call.point,
        kind=call.kind,
        operation=call.operation,
        skip=skip,
        first=1 if items > 1 else 0,
        item=items - 1 if spoils else None,
    )


# --------------------------------------------------------------------------- the figures


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How many faults were tried and what came of them: records made twice, records or edits lost, writes of a run
    that had no reason to write, cases that did not come to their end. `wrong` names every case that is not right."""

    faults: int
    duplicates: int
    lost: int
    echoes: int
    unsettled: int
    wrong: tuple[str, ...]


def faults_tried(*, thorough: bool = False, processes: int = 2) -> Tried:
    """Try every fault at every call of every flow, with vendors that can find a record by our marker and with vendors
    that have no place for one; a flow in a process of its own, so many at a time."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return _sum(pool.map(functools.partial(of_flow, thorough=thorough), FLOWS))


def of_flow(flow: str, *, thorough: bool = False) -> Tried:
    """The same of one flow, here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_tried(flow, thorough))


async def _tried(flow: str, thorough: bool) -> Tried:
    ended: dict[str, Ended] = {}
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        empty, rooms = folder / "empty.db", {marker: _room(folder, marker) for marker in MARKERS}
        await upgrade(f"sqlite+aiosqlite:///{empty}")
        for marker in MARKERS:
            stage = await staged(FLOWS[flow], marker, empty, rooms[marker])
            for case in await cases(stage, thorough=thorough):
                ended[f"{flow}, marker {marker}: {case.name}"] = await play(stage, case, look_again=True)
    return tried(ended)


def _sum(parts: Iterable[Tried]) -> Tried:
    every = list(parts)
    return Tried(
        faults=sum(part.faults for part in every),
        duplicates=sum(part.duplicates for part in every),
        lost=sum(part.lost for part in every),
        echoes=sum(part.echoes for part in every),
        unsettled=sum(part.unsettled for part in every),
        wrong=tuple(name for part in every for name in part.wrong),
    )


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir()
    return room


def tried(ended: Mapping[str, Ended]) -> Tried:
    """Cases added up."""
    every = list(ended.values())
    return Tried(
        faults=len(every),
        duplicates=sum(each.duplicates for each in every),
        lost=sum(each.lost for each in every),
        echoes=sum(each.echoes for each in every),
        unsettled=sum(each.error is not None or each.left != Left() for each in every),
        wrong=tuple(name for name, each in ended.items() if not each.is_right),
    )


if __name__ == "__main__":
    print(faults_tried(thorough=True))
