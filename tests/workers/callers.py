"""Processes that call a vendor: `python -m tests.workers.callers` reads on its input where and how often, says `ready`,
waits for a line, calls, and says how many calls came back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import msgspec
import structlog

from connectors.canon.records import Kind
from connectors.kit.contract import Connector
from connectors.kit.timers import SystemClock
from connectors.registry import CONNECTORS
from worker.budget import SharedBudgets
from worker.queue import from_url
from worker.store.database import open_database
from worker.usecases.office import Office
from worker.vault import Vault

ROOT = Path(__file__).resolve().parents[2]
ERRORS = structlog.make_filtering_bound_logger(logging.ERROR)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that is to be opened. `redis` None: its budgets are each process's own."""

    database: str
    key: str
    redis: str | None
    connection: str


class Order(msgspec.Struct, frozen=True):
    """What a process shall do: so many calls, all at once."""

    place: Place
    calls: int


@contextlib.asynccontextmanager
async def office_at(place: Place, budgets: SharedBudgets | None = None) -> AsyncIterator[Office]:
    """An office as a worker process opens it."""
    db = open_database(place.database)
    clock = SystemClock()
    settings = from_url(place.redis) if place.redis is not None else None
    budgets = budgets if budgets is not None else SharedBudgets(clock, settings)
    async with aiohttp.ClientSession() as session:
        office = Office(
            db=db, vault=Vault([place.key]), registry=CONNECTORS, session=session, clock=clock, budgets=budgets
        )
        try:
            yield office
        finally:
            await office.close()
            await budgets.close()
            await db.close()


async def call(connector: Connector, number: int) -> int:
    """So many small reads at once; how many came back."""
    asked = (connector.find(Kind.CUSTOMER, "legal_name", [f"Nobody {n}"]) for n in range(number))
    return len(await asyncio.gather(*asked))


async def _main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=ERRORS)
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    async with office_at(order.place) as office:
        connector = await office.connector(order.place.connection)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        sys.stdout.write(f"{await call(connector, order.calls)}\n")


async def called_apart(orders: Sequence[Order]) -> list[int]:
    """Carry out each order in a process of its own, all at the same time."""
    words = (sys.executable, "-m", "tests.workers.callers")
    pipe = asyncio.subprocess.PIPE
    started = [await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in orders]
    pipes = [(p.stdin, p.stdout) for p in started if p.stdin is not None and p.stdout is not None]
    for (tell, _), order in zip(pipes, orders, strict=True):
        tell.write(msgspec.json.encode(order) + b"\n")
    for _, hear in pipes:
        assert b"ready\n" == await hear.readline()
    for tell, _ in pipes:
        tell.write(b"go\n")
    try:
        return [int(await hear.readline()) for _, hear in pipes]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(_main())
