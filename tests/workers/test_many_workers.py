"""Three worker processes, one PostgreSQL, one Redis: every run is done, once, also when one of them is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from connectors.canon.records import Customer, Kind
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from connectors.registry import CONNECTORS
from tests.conftest import new_postgres
from tests.flows.rig import mapping, name, told
from tests.workers.callers import ROOT
from tests.workers.conftest import RedisServer
from worker.api import Api
from worker.api.views import PairView
from worker.house import House, open_house
from worker.settings import WorkerSettings
from worker.store import audit
from worker.store.tables import changes, runs

PAIRS, CUSTOMERS, WORKERS = 3, 40, 3
PATIENCE_S = 90.0
KNOBS = Knobs(batch_write=2, lands_within_s=1, marker="searchable", unique_names=False)


class Town(msgspec.Struct, frozen=True):
    """Pairs whose accounts are files, a client's look at the database, and the workers."""

    house: House
    api: Api
    pairs: Sequence[PairView]
    books: Sequence[MemoryWorld]
    workers: list[asyncio.subprocess.Process]

    def made(self) -> list[str]:
        """Names of the customers in all books."""
        found: list[str] = []
        for world in self.books:
            with world.turn():  # reads what other processes wrote to its file
                pass
            found += [str(r.legal_name) for r in world.all(Kind.CUSTOMER) if isinstance(r, Customer)]
        return found


async def start_worker(settings: WorkerSettings, folder: Path) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIEOUT_")}
    env = {
        **kept,
        "TIEOUT_DATA": str(folder),
        "TIEOUT_DATABASE_URL": settings.database,
        "TIEOUT_REDIS_URL": settings.redis_url or "",
        "TIEOUT_KEY": settings.key or "",
    }
    words = (sys.executable, "-m", "tests.workers.quick_worker")
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert b"Serving" in await process.stdout.readline()
    return process


async def pair_up(api: Api, folder: Path, number: int) -> tuple[PairView, MemoryWorld]:
    """A pair whose CRM has customers that its books lack."""
    worlds = {}
    for side in ("crm", "books"):
        at = f"{side}-many-{number}"
        path = folder / f"{at}.jsonl"
        worlds[side] = MemoryWorld.make(at, KNOBS, start=datetime.now(UTC), path=path)
        await api.connect("memory", {"world": at, "path": str(path)})
    for each in range(CUSTOMERS):
        worlds["crm"].add(told(name(1000 * number + each)))
    text = mapping("customers", pair=f"pair-{number}", customers={"create": {"books": "always", "crm": "never"}})
    pair = await api.pair(text, "test.yaml", "tests", {side: world.name for side, world in worlds.items()})
    return pair, worlds["books"]


@pytest.fixture
async def town(postgres_template: str, redis: RedisServer, key: str, tmp_path: Path) -> AsyncIterator[Town]:
    url = await asyncio.to_thread(new_postgres, postgres_template)
    settings = WorkerSettings(data=tmp_path / "client", database_url=url, redis_url=redis.url, key=key)
    async with open_house(settings, CONNECTORS, work=False) as house:
        api = Api(house)
        paired = [await pair_up(api, tmp_path, n) for n in range(PAIRS)]
        started = await asyncio.gather(*(start_worker(settings, tmp_path / f"w{n}") for n in range(WORKERS)))
        try:
            yield Town(house, api, [pair for pair, _ in paired], [world for _, world in paired], list(started))
        finally:
            for process in started:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            for n in range(PAIRS):
                for side in ("crm", "books"):
                    WORLDS.pop(f"{side}-many-{n}", None)


async def previewed(town: Town) -> list[str]:
    """Preview every pair; the plans' ids."""
    asked = [await town.api.ask(pair.id, "preview", "tests", lane="bulk") for pair in town.pairs]
    ended = await asyncio.gather(*(town.api.wait(run_id) for run_id in asked))
    assert ["done"] * PAIRS == [view.state for view in ended]
    return [view.plan_id or "" for view in ended]


async def asked_to_apply(town: Town) -> list[str]:
    asked = []
    for plan_id in await previewed(town):
        plan = await town.api.plan(plan_id, 1)
        assert CUSTOMERS == plan.changes
        asked.append(await town.api.apply(plan.id, plan.fingerprint, "tests", confirm_held=True, lane="bulk"))
    return asked


async def an_owner(town: Town) -> int:
    """The process that holds the lease of a run, once some of its customers are made."""
    while True:
        async with town.house.db.read() as tx:
            owners = await tx.rows(select(runs.c.lease_owner).where(runs.c.lease_owner.is_not(None)))
        if owners and len(town.made()) > PAIRS * CUSTOMERS // 8:
            return int(owners[0][0].removeprefix("wk_"))
        await asyncio.sleep(0.02)


async def promises_hold(town: Town) -> None:
    """Each customer once, each change done once, every chain whole, nothing left to do."""
    wanted = sorted(name(1000 * n + each) for n in range(PAIRS) for each in range(CUSTOMERS))
    assert wanted == sorted(town.made())
    async with town.house.db.read() as tx:
        states = Counter(state for (state,) in await tx.rows(select(changes.c.state)))
        assert [None] * PAIRS == [await audit.verify(tx, pair.id) for pair in town.pairs]
    assert Counter({"done": PAIRS * CUSTOMERS}) == states
    for plan_id in await previewed(town):
        assert 0 == (await town.api.plan(plan_id, 1)).changes


async def test_three_workers_do_everything_once_though_one_is_killed(town: Town) -> None:
    """Its run is taken over when its lease is over; what it had sent is looked up and not sent again."""
    async with asyncio.timeout(PATIENCE_S):
        asked = await asked_to_apply(town)
        killed = await an_owner(town)
        assert killed in [process.pid for process in town.workers]
        os.kill(killed, signal.SIGKILL)
        ended = await asyncio.gather(*(town.api.wait(run_id) for run_id in asked))
        assert [("done", {"done": CUSTOMERS})] * PAIRS == [(view.state, view.outcome) for view in ended]
        await promises_hold(town)


async def test_a_flushed_redis_costs_a_second_and_no_run(town: Town, redis: RedisServer) -> None:
    """All wakes are lost in the middle: the sweepers find the work in the database."""
    async with asyncio.timeout(PATIENCE_S):
        asked = await asked_to_apply(town)
        await an_owner(town)
        redis.kill()
        redis.start()
        ended = await asyncio.gather(*(town.api.wait(run_id) for run_id in asked))
        assert ["done"] * PAIRS == [view.state for view in ended]
        await promises_hold(town)
