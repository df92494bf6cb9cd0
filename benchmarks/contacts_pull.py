"""A durable pull of many contacts from HubSpot's sandbox: seconds, records a second, peak memory; and the reads that
a thousand changed ones cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import accounts
from benchmarks.accounts import Login
from benchmarks.apart import measured, vendor
from benchmarks.figures import Figure, figure
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.memory.world import MemoryWorld
from worker.usecases.connect import connect, find_connection, pair_up
from worker.usecases.pull import Pulled, pull


class Size(msgspec.Struct, frozen=True):
    """How many contacts there are, and how many of them are changed for the second pull."""

    contacts: int = 100_000
    changed: int = 1_000


FULL, SMALL = Size(), Size(2_000, 100)
SECONDS_AIM, MEMORY_AIM, READS_AIM = 10.0, 300.0, 6.0


def measure(size: Size) -> list[Figure]:
    """Pull everything into an empty database, change some, and pull again."""
    with tempfile.TemporaryDirectory() as named, vendor("hubspot") as crm:
        folder = Path(named)
        crm.do(populate, size.contacts)
        measured(prepare, folder, crm.do(accounts.hubspot))
        before = crm.calls
        first = measured(pull_all, folder)
        between = crm.calls
        crm.do(change, size.changed)
        second = measured(pull_all, folder)
        polled = crm.do(counted)[-(crm.calls - between) :]
    pulled, seconds = first.value
    again, seconds_again = second.value
    thousands = again.moved / 1000
    search = sum("contacts/search" in path for path in polled)
    note = f"{pulled.seen} contacts, {between - before} calls"
    changed = f"{again.moved} changed, {again.seen} read"
    return [
        figure("pull, seconds", seconds, "s", SECONDS_AIM, note),
        figure("pull, records per second", pulled.seen / seconds, "1/s", None, note),
        figure("pull, peak memory", first.peak_mb, "MB", MEMORY_AIM, note),
        figure("reads of contacts per 1,000 changed", search / thousands, "calls", READS_AIM, changed),
        figure("all reads of that poll", len(polled), "calls", None, "deals, lines and products are asked for too"),
        figure("pull of what changed, seconds", seconds_again, "s", None, changed),
    ]


def populate(sandbox: HubSpotSandbox, contacts: int) -> None:
    """Contacts that were last edited an hour ago or earlier: none lies in the overlap of the second pull."""
    sandbox.populate(contacts)
    sandbox.clock.advance(3600)


def change(sandbox: HubSpotSandbox, number: int) -> None:
    """A person edits some contacts; afterwards search knows of it."""
    sandbox.clock.advance(900)
    ids: Sequence[str] = sandbox.ids("contacts")
    for each in ids[:: max(1, len(ids) // number)][:number]:
        sandbox.edit("contacts", each, jobtitle="Treasurer", phone=f"+1 212 555 {int(each) % 10_000:04}")
    sandbox.clock.advance(60)


def counted(sandbox: HubSpotSandbox) -> list[str]:
    """The paths that were asked for, oldest first."""
    return [seen.path for seen in sandbox.requests]


async def prepare(folder: Path, login: Login) -> None:
    """Connect, and pair with books that are not asked, so that what moves is marked to be planned."""
    async with accounts.opened(folder) as office:
        MemoryWorld.make("books")
        await connect(office, "hubspot", login.settings, login.token)
        await connect(office, "memory", accounts.memory("books").settings, None)
        await pair_up(office, accounts.mapping("hubspot", "memory", "contacts"), "benchmark", "benchmark")


async def pull_all(folder: Path) -> tuple[Pulled, float]:
    """One pull of HubSpot: what it brought, and its seconds."""
    async with accounts.opened(folder) as office:
        connection = await find_connection(office, "hubspot")
        connector = await office.connector(connection.id)
        started = time.perf_counter()
        pulled = await pull(office.db, connection.id, connector)
        return pulled, time.perf_counter() - started
