"""Planning a thousand changed customers among a hundred thousand linked ones, and among ten thousand: what a run
costs must follow what changed, not what there is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import accounts, made_up
from benchmarks.apart import Measured, measured
from benchmarks.figures import Figure, figure
from connectors.canon.fields import read
from connectors.canon.records import Customer, Kind
from connectors.canon.values import Address
from connectors.memory.world import MemoryWorld
from worker.engine.mapping import FieldRule
from worker.engine.merge import Base
from worker.store import connections, links, mirror, runs
from worker.store.database import Unit
from worker.store.links import NewLink
from worker.usecases.connect import connect, pair_up
from worker.usecases.office import SIDES, Desk, Office, open_desk
from worker.usecases.propose_plan import propose_plan


class Size(msgspec.Struct, frozen=True):
    """Linked customers of the large and of the small pair, how many of them changed in each, and how often each is
    planned."""

    large: int = 100_000
    small: int = 10_000
    changed: int = 1_000
    times: int = 3


FULL, SMALL = Size(), Size(1_000, 100, 50)
RATIO_AIM = 1.3
_PART = 5_000


class Planned(msgspec.Struct, frozen=True):
    """What planning came to: its changes, and its seconds."""

    changes: int
    seconds: float


def measure(size: Size) -> list[Figure]:
    """Plan the same changes in a large pair and in a small one, each time in a fresh process. The quickest
    time counts: another program on the machine only ever makes it longer."""
    large = _of_size(size.large, size)
    small = _of_size(size.small, size)
    note = f"{large.value.changes} changes of {size.large} linked"
    least = f"{small.value.changes} changes of {size.small} linked"
    return [
        figure("planning, seconds, many linked", large.value.seconds, "s", None, note),
        figure("planning, peak memory, many linked", large.peak_mb, "MB", None, note),
        figure("planning, seconds, few linked", small.value.seconds, "s", None, least),
        figure("planning, peak memory, few linked", small.peak_mb, "MB", None, least),
        figure("planning, ratio", large.value.seconds / small.value.seconds, "times", RATIO_AIM, "many to few"),
    ]


def _of_size(linked: int, size: Size) -> Measured[Planned]:
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        measured(prepare, folder, linked, size.changed)
        return min((measured(plan, folder) for _ in range(size.times)), key=lambda each: each.value.seconds)


async def plan(folder: Path) -> Planned:
    """Propose a plan from what is dirty: no vendor is asked anything."""
    async with accounts.opened(folder) as office:
        desk = await _desk(office)
        async with office.db.write() as tx:
            run_id = await runs.ask(tx, desk.pair.id, "preview", {}, "benchmark")
        started = time.perf_counter()
        proposed = await propose_plan(desk, run_id)
        seconds = time.perf_counter() - started
    return Planned(proposed.summary.changes + proposed.summary.held, seconds)


# --------------------------------------------------------------------------- what there is before


async def prepare(folder: Path, linked: int, changed: int) -> None:
    """A pair whose customers are linked and agree, but for those whose phone a person has just changed."""
    async with accounts.opened(folder) as office:
        _worlds()
        known = {side: await connect(office, "memory", accounts.memory(side).settings, None) for side in SIDES}
        ids = {side: connection.id for side, connection in known.items()}
        await pair_up(office, accounts.mapping("memory", "memory"), "benchmark", "benchmark", ids)
        desk = await _desk(office)
        for start in range(0, linked, _PART):
            async with office.db.write() as tx:
                await _agreed(tx, desk, range(start, min(start + _PART, linked)))
        async with office.db.write() as tx:
            listeners = await connections.listeners(tx, desk.pair.crm)
            edited = [_edited(customer("crm", n)) for n in range(0, linked, max(1, linked // changed))][:changed]
            await mirror.store_records(tx, desk.pair.crm, edited, listeners)


def _worlds() -> None:
    for world in SIDES:
        MemoryWorld.make(world)


async def _desk(office: Office) -> Desk:
    """The pair's desk; its two systems are worlds in memory, which begin empty in each process."""
    _worlds()
    async with office.db.read() as tx:
        pair = (await connections.all_pairs(tx))[0]
    return await open_desk(office, pair.id)


async def _agreed(tx: Unit, desk: Desk, numbers: Sequence[int]) -> None:
    """Customers on both sides, linked, with a base for each field: what a first sync leaves behind."""
    sides = {side: [customer(side, n) for n in numbers] for side in SIDES}
    await mirror.store_records(tx, desk.pair.crm, sides["crm"], [])
    await mirror.store_records(tx, desk.pair.books, sides["books"], [])
    new = [NewLink(Kind.CUSTOMER, f"crm-{n}", f"books-{n}", "created", "a first sync") for n in numbers]
    made = await links.make_links(tx, desk.pair.id, new)
    rules: Sequence[FieldRule] = desk.mapping.customers.travelling if desk.mapping.customers is not None else ()
    bases = [
        (link.id, rule.key, Base(crm=read(crm, rule.path("crm")), books=read(books, rule.path("books"))), "agreed")
        for link, crm, books in zip(made, sides["crm"], sides["books"], strict=True)
        for rule in rules
    ]
    await links.store_bases(tx, bases)


def customer(side: str, number: int) -> Customer:
    """The same customer as each side has it."""
    return Customer(
        ref=f"{side}-{number}",
        version="1",
        legal_name=made_up.name(number),
        phone=made_up.phone(number),
        emails={"general": made_up.email(number)},
        addresses={"billing": Address(lines=("1 Main Street",), postcode=made_up.postcode(number), country="US")},
    )


def _edited(record: Customer) -> Customer:
    return msgspec.structs.replace(record, version="2", phone="+1 212-555-0199")
