"""One life of a process: the house over a store and two accounts that outlive it, a person who asks, and the worker
with the sweeper's logic. Time passes when there is nothing to do but wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
from arq.connections import RedisSettings
from sqlalchemy import select

from bot.serve import create_desk
from connectors.kit.contract import Clock, Side
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.crash.slack import slack_settings
from tests.crash.trap import Trap
from tests.crash.vendor import Login, Mortal
from tests.flows.rig import NOW, HouseClock, Rig
from worker.api import ChannelApi
from worker.api.webhooks import Webhooks
from worker.house import House
from worker.jobs import runner
from worker.jobs.sweeper import sweep_once
from worker.queue import Queue
from worker.settings import WorkerSettings
from worker.store import runs
from worker.store.database import Database, open_database
from worker.store.tables import outbox
from worker.store.tables import runs as runs_table
from worker.usecases.office import Office
from worker.vault import Vault

PERSON = "U-person"
ROUNDS = 300
_KEY = "Zm9yLXRlc3RzLW9ubHktYW5kLW5vd2hlcmUtZWxzZSE="


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the two vendors are like."""

    crm: Knobs
    books: Knobs


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a life is lived: a folder with the accounts' files, and a database. `shift_us`: the store's time less the
    machine's."""

    folder: str
    url: str
    shift_us: int
    shape: Shape
    slack: str = ""

    def path(self, name: str) -> Path:
        return Path(self.folder) / name


class Hints:
    """Redis, as far as the queue needs it: a list of wakes, which this process's worker reads."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    async def enqueue_job(self, function: str, run_id: str, _queue_name: str) -> None:
        self.woken.append(run_id)

    async def aclose(self) -> None:
        return None


class Bench(Rig):
    """What a person does, and what the worker does then."""

    hints: Hints
    trap: Trap
    place: Place

    async def work(self) -> None:
        """Be the worker until no run is left: the sweeper wakes it, and what waits for time comes at once."""
        before: list[str] = []
        for _ in range(ROUNDS):
            await sweep_once(self.db, self.house.queue, {}, 0.0)
            woken, self.hints.woken = self.hints.woken, []
            if woken and woken == before:  # nobody could take them: a dead worker still holds the pair
                self.pass_time(1.0)
            before = woken
            for run_id in dict.fromkeys(woken):
                await runner.advance(self.office, run_id, "worker")
            if not woken and not await self._wait():
                return
            await self._log_in_if_told()
        raise AssertionError("it does not come to an end")

    @property
    def channel_api(self) -> ChannelApi:
        return cast(ChannelApi, self.api)

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.house)

    async def speak(self) -> None:
        """Be the bot's sender until nothing is left to be said."""
        desk = create_desk(self.house, slack_settings(self.place.path("slack").read_text()), self.now)
        for _ in range(ROUNDS):
            if not await desk.sender.send_due() and not await self._wait_for_letter():
                await desk.sender.close()
                return
        raise AssertionError("it never stops talking")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.db.shift

    async def _wait_for_letter(self) -> bool:
        async with self.db.read() as tx:
            now = await tx.now()
            rows = await tx.all(select(outbox.c.not_before).where(outbox.c.state.in_(("pending", "sending"))))
        until = [row["not_before"] for row in rows if row["not_before"] is not None]
        if rows:
            self.pass_time(max((min(until, default=now) - now).total_seconds(), 0.0) + 0.01)
        return bool(rows)

    @property
    def house(self) -> House:
        return self.channel_api._house

    async def _wait(self) -> bool:
        """Let the time pass for which every open run waits; False: there is none."""
        async with self.db.read() as tx:
            now = await tx.now()
            rows = await tx.all(
                select(runs_table.c.not_before, runs_table.c.lease_until).where(
                    runs_table.c.state.in_(("queued", "running", "waiting"))
                )
            )
        until = [at for row in rows if (at := row["lease_until"] or row["not_before"]) is not None]
        if not rows:
            return False
        self.pass_time(max((min(until) - now).total_seconds(), 0.0) + 0.01 if until else 0.01)
        return True

    def pass_time(self, seconds: float) -> None:
        """Time that has passed has passed for who comes after this life too."""
        self.db.shift += timedelta(seconds=seconds)
        _keep_shift(self.place, self.db)

    async def _log_in_if_told(self) -> None:
        """A person reconnects an account when the run says so."""
        login = Mortal.endpoint
        if login is None:
            return
        async with self.db.read() as tx:
            open_runs = [run for run in await runs.recent(tx, self.pair.id, 50) if run.state == "waiting"]
        if any((run.error or {}).get("kind") == "Reconnect" for run in open_runs):
            settings = {"world": self.books.name, "clock": "house"}
            await self.api.connect("memory", settings, login.log_in())

    async def asked(self, what: str) -> bool:
        """Whether the person's request of that kind is in the store already."""
        async with self.db.read() as tx:
            return any(r.what == what and r.requested_by == PERSON for r in await runs.recent(tx, self.pair.id, 50))

    async def writes_made(self) -> int:
        """Write calls that ever reached either vendor."""
        for world in (self.crm, self.books):
            with world.turn():
                pass  # read what other processes added
        return sum(len(world.state.write_calls) for world in (self.crm, self.books))


class BenchClock(HouseClock):
    """The store's time; waiting lets it pass at once, for those who come after too."""

    def __init__(self, db: Database, place: Place) -> None:
        super().__init__(db)
        self._place = place

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        _keep_shift(self._place, self._db)


def _keep_shift(place: Place, db: Database) -> None:
    place.path("shift").write_text(str(db.shift // timedelta(microseconds=1)))


def _shift(place: Place) -> timedelta:
    path = place.path("shift")
    return timedelta(microseconds=int(path.read_text()) if path.exists() else place.shift_us)


def first_shift() -> int:
    """So that the store's time begins at the bench's day and hour."""
    return (NOW - datetime.now(UTC)) // timedelta(microseconds=1)


@contextlib.asynccontextmanager
async def living(place: Place, trap: Trap) -> AsyncIterator[Bench]:
    """Open everything that one process has. `pair` is there once there is one."""
    db = open_database(place.url)
    db.shift = _shift(place)
    worlds: dict[Side, MemoryWorld] = {
        side: MemoryWorld.make(
            side, getattr(place.shape, side), start=NOW - timedelta(days=90), path=place.path(f"{side}.jsonl")
        )
        for side in ("crm", "books")
    }
    Mortal.trap = trap
    Mortal.endpoint = Login(place.path("login.json")) if place.path("login.json").exists() else None
    refused = place.path("refused")
    Mortal.refused = refused.read_text() if refused.exists() else ""
    queue, hints = Queue(RedisSettings()), Hints()
    queue._pool = cast(Any, hints)
    vault = Vault([_KEY])
    async with aiohttp.ClientSession() as session:
        office = Office(
            db=db, vault=vault, registry={"memory": Mortal}, session=session, clock=cast(Clock, BenchClock(db, place))
        )
        settings = WorkerSettings(data=Path(place.folder))
        house = House(settings, db, vault, queue, office, {"memory": Mortal}, serves=False)
        bench = Bench(db, office, ChannelApi(house), worlds)
        bench.hints, bench.trap, bench.place = hints, trap, place
        try:
            await _find_pair(bench)
            yield bench
        finally:
            await office.close()
            await db.close()


async def _find_pair(bench: Bench) -> None:
    known = await bench.api.pairs()
    if known:
        bench.pair = known[0]


def run_life(coroutine: Any, trap: Trap) -> bool:
    """Run it in a loop of its own; False: its task was cancelled."""

    async def main() -> None:
        trap.task = asyncio.current_task()
        await coroutine

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        return False
    return True
