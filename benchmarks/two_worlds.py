"""A pair of two accounts in memory over a database of its own, kept as a picture that can be opened again and again,
and a worker driven by hand, for whom time passes when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
from cryptography.fernet import Fernet

from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue, Clock, FieldInfo, Side
from connectors.memory.connector import Memory
from connectors.memory.faults import Call, Fault
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from worker.api import Api
from worker.api.views import PairView, PlanView, RunView
from worker.house import House
from worker.jobs import runner
from worker.queue import Queue
from worker.settings import WorkerSettings
from worker.store import dirty_set, plans, runs
from worker.store.database import Database, open_database
from worker.store.runs import Lane
from worker.usecases.office import Office, open_desk
from worker.vault import Vault

NOW = datetime(2026, 11, 10, 15, tzinfo=UTC)
PAID_FIELDS = ("invoice_status", "amount_paid", "balance_due", "settled_on")
_BY = "a person"
_KEY = Fernet.generate_key().decode()
_PATIENCE = 12  # how often a run may wait before it is taken for one that never ends
_GIVES_UP_S = 0.004  # after so long a client stops to wait for a vendor that says nothing


class Vendor(Memory):
    """The reference connector with fields of the vendor's own, to which payments are written back."""

    async def catalogue(self) -> Catalogue:
        fields = {Kind.DEAL: tuple(FieldInfo(name=name, label=name) for name in PAID_FIELDS)}
        return msgspec.structs.replace(await super().catalogue(), fields=fields)


class _StoreClock:
    """The store's time; waiting lets it pass at once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def now(self) -> datetime:
        return datetime.now(UTC) + self._db.shift

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        self._db.shift += timedelta(seconds=seconds)


class _NoQueue:
    """A queue that nobody reads: the worker is driven by hand."""

    async def wake(self, run_id: str, lane: Lane) -> bool:
        return True

    async def close(self) -> None:
        return None


class Unsettled(Exception):
    """It does not come to an end; where it stands is the message."""


class Left(msgspec.Struct, frozen=True):
    """What is left to do when all is said to be done: changes planned, records to look at, calls of unknown fate,
    questions to people."""

    changes: int = 0
    dirty: int = 0
    in_doubt: int = 0
    questions: int = 0


class TwoWorlds:
    """`crm` and `books` are where people type; the verbs are what Tieout does."""

    def __init__(self, db: Database, office: Office, api: Api, crm: MemoryWorld, books: MemoryWorld) -> None:
        self.db, self.office, self.api = db, office, api
        self.crm, self.books = crm, books
        self.pair: PairView = cast(PairView, None)

    def world(self, side: Side) -> MemoryWorld:
        return self.crm if side == "crm" else self.books

    async def connect(self) -> None:
        """Connect both accounts, or connect them again."""
        for world in (self.crm, self.books):
            await self.api.connect("memory", {"world": world.name, "clock": "house"})

    async def pair_up(self, mapping: str) -> None:
        accounts: dict[Side, str] = {"crm": self.crm.name, "books": self.books.name}
        self.pair = await self.api.pair(mapping, "mapping.yaml", _BY, accounts)

    # ----------------------------------------------------------------- what Tieout does

    async def run(self, what: str) -> RunView:
        return await self.finish(await self.api.ask(self.pair.id, what, _BY))

    async def finish(self, run_id: str) -> RunView:
        """Be the worker of a run until it is over: what it waits for comes at once, a login that is gone is given
        again, and where the vendor says nothing at all the worker is stopped and another one goes on."""
        for _ in range(_PATIENCE):
            await self._advance(run_id)
            view = await self.api.run(run_id)
            if view.over:
                return view
            if "Connect the account" in (view.next_step or ""):
                await self.connect()
            await self._wait_for(run_id)
        raise Unsettled(f"the {view.what} is {view.state}: {view.error}")

    async def _advance(self, run_id: str) -> None:
        """One job. A call without an answer ends in its cancellation, as a job's time-out does."""
        job = asyncio.create_task(runner.advance(self.office, run_id, "worker"))
        silent = [_silence(world, job) for world in (self.crm, self.books)]
        try:
            await job
        except asyncio.CancelledError:
            self.db.shift += timedelta(seconds=20)  # its lease runs out
        finally:
            for world, hook in zip((self.crm, self.books), silent, strict=True):
                world.hooks.remove(hook)

    async def _wait_for(self, run_id: str) -> None:
        async with self.db.read() as tx:
            run, now = await runs.get(tx, run_id), await tx.now()
        if run is not None and run.not_before is not None and run.not_before > now:
            self.db.shift += run.not_before - now + timedelta(milliseconds=10)

    async def preview(self) -> PlanView | None:
        """The plan; None if the run failed or was not let."""
        run = await self.run("preview")
        return await self.api.plan(run.plan_id) if run.state == "done" and run.plan_id is not None else None

    async def apply(self, plan: PlanView) -> RunView:
        return await self.finish(await self.api.apply(plan.id, plan.fingerprint, _BY))

    async def settle(self) -> None:
        """Preview and apply until nothing is left to do."""
        for _ in range(_PATIENCE):
            plan = await self.preview()
            if plan is not None and plan.changes == 0:
                return
            if plan is not None:
                await self.apply(plan)
        raise Unsettled(f"after {_PATIENCE} rounds there is still something to do")

    # ----------------------------------------------------------------- what is to be seen

    def writes(self) -> int:
        """Write calls that reached either vendor."""
        return sum(call.point == "write" for world in (self.crm, self.books) for call in world.calls)

    async def left(self) -> Left:
        """What the last run left behind: the plan that it proposed and nobody applied, and what waits beside it."""
        desk = await open_desk(self.office, self.pair.id)
        every: list[tuple[Side, Kind]] = [(side, kind) for side in ("crm", "books") for kind in Kind]
        async with self.db.read() as tx:
            dirty = dirty_set.Dirt(await dirty_set.read(tx, self.pair.id, desk.settings)).due(*every)
            doubts = await plans.open_intents(tx, self.pair.id)
            plan = await plans.current_plan(tx, self.pair.id)
            states = await plans.count_states(tx, plan.id) if plan is not None else {}
        return Left(
            changes=sum(states.values()),
            dirty=len(dirty),
            in_doubt=len(doubts),
            questions=len(await self.api.conflicts(self.pair.id)),
        )


def _silence(world: MemoryWorld, job: asyncio.Task[Any]) -> Callable[[MemoryWorld, Call], None]:
    """Cancel the job soon after a call that the vendor leaves without an answer."""

    def heard(where: MemoryWorld, call: Call) -> None:
        if next_fault(where, call) in ("hang", "stall"):
            asyncio.get_running_loop().call_later(_GIVES_UP_S, job.cancel)

    world.hooks.append(heard)
    return heard


def next_fault(world: MemoryWorld, call: Call) -> str | None:
    """What this call is about to meet; the script is not touched."""
    fault = world.script.copy().take(call)
    return fault.what if fault is not None else None


# --------------------------------------------------------------------------- pictures


class Picture(msgspec.Struct, frozen=True):
    """A database file and both accounts as they were at one moment, and how far the store's time was."""

    database: Path
    crm: MemoryWorld
    books: MemoryWorld
    shift: timedelta


@contextlib.asynccontextmanager
async def opened(
    empty: Path, folder: Path, knobs: Mapping[Side, Knobs] | None = None, mapping: str = ""
) -> AsyncIterator[TwoWorlds]:
    """A new pair over a copy of an empty database of the newest revision."""
    worlds = {
        side: MemoryWorld.make(f"{side}-of-{folder.name}", (knobs or {}).get(side), start=NOW - timedelta(days=90))
        for side in ("crm", "books")
    }
    first = Picture(empty, worlds["crm"], worlds["books"], NOW - datetime.now(UTC))
    async with _open(first, folder) as pair:
        await pair.connect()
        await pair.pair_up(mapping)
        yield pair


async def picture(pair: TwoWorlds, folder: Path) -> Picture:
    """Keep a pair as it is. Nothing may be under way."""
    await pair.db.close()
    kept = folder / "picture.db"
    shutil.copyfile(folder / "tieout.db", kept)
    return Picture(kept, pair.crm.copy(), pair.books.copy(), pair.db.shift)


@contextlib.asynccontextmanager
async def restored(kept: Picture, folder: Path, *faults: tuple[Side, Fault]) -> AsyncIterator[TwoWorlds]:
    """The pair of a picture, with things that will go wrong."""
    twins = {"crm": kept.crm.copy(), "books": kept.books.copy()}
    for side, fault in faults:
        twins[side].script.add(fault)
    async with _open(msgspec.structs.replace(kept, crm=twins["crm"], books=twins["books"]), folder) as pair:
        pair.pair = await pair.api.find_pair(None)
        yield pair


def _fresh(database: Path, folder: Path) -> Path:
    """A copy of a database in the place of the one that was there."""
    for old in folder.glob("tieout.db*"):
        old.unlink()
    return Path(shutil.copyfile(database, folder / "tieout.db"))


@functools.cache
def _database(path: Path) -> Database:
    """One for all pictures that are opened at a place: it has compiled its statements, and a closed one opens again."""
    return open_database(f"sqlite+aiosqlite:///{path}")


@contextlib.asynccontextmanager
async def _open(kept: Picture, folder: Path) -> AsyncIterator[TwoWorlds]:
    db = _database(_fresh(kept.database, folder))
    db.shift = kept.shift
    vault = Vault([_KEY])
    worlds = (kept.crm, kept.books)
    WORLDS.update({world.name: world for world in worlds})
    clock = cast(Clock, _StoreClock(db))
    try:
        async with aiohttp.ClientSession() as session:
            office = Office(db=db, vault=vault, registry={"memory": Vendor}, session=session, clock=clock)
            settings = WorkerSettings(data=folder)
            house = House(settings, db, vault, cast(Queue, _NoQueue()), office, {"memory": Vendor}, serves=False)
            yield TwoWorlds(db, office, Api(house), *worlds)
            await office.close()
    finally:
        await db.close()
        for world in worlds:
            WORLDS.pop(world.name, None)
