"""The real house under fire: worker processes with arq and a real Redis, one of which is killed in mid-apply, or whose
Redis is flushed, stopped and started again. Real time passes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from arq import create_pool

from connectors.canon.records import Invoice, Kind
from connectors.kit.contract import Side
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from tests.crash.matrix import ROOT
from tests.crash.trap import Trap
from tests.crash.vendor import Mortal
from tests.flows.rig import deal, mapping, told
from worker.api import Api
from worker.api.views import RunView
from worker.house import open_house
from worker.queue import from_url, redis_binary
from worker.settings import WorkerSettings

DEALS = 12
PATIENCE_S = 120.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: how the run ended, the invoices' amounts, what the next plan would do, where the audit chain
    is broken, and seconds from the kill until another process had the run."""

    state: str
    nets: tuple[str, ...]
    left: int
    broken: str | None
    resumed_s: float = 0.0


class Redis:
    """A redis-server of our own on a socket, which can be flushed, ended and started again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tieout-"))  # a socket's path has to be short
        self._socket = self._folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def begin(self) -> None:
        command = [redis_binary(), "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)

    async def start(self) -> None:
        self.begin()
        await _until(self._socket.exists)

    async def flush(self) -> None:
        pool = await create_pool(from_url(self.url))
        await pool.flushall()
        await pool.aclose()

    async def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    async def close(self) -> None:
        await self.end()
        shutil.rmtree(self._folder, ignore_errors=True)


class Field:
    """A pair with deals to bill, and the processes that work for it."""

    def __init__(self, folder: Path, database: str, redis: Redis, api: Api, books: MemoryWorld) -> None:
        self._folder, self._database, self.redis, self.api, self.books = folder, database, redis, api, books
        self.workers: list[subprocess.Popen[bytes]] = []
        self.pair_id = ""

    def start(self, *stop: str) -> None:
        """One more worker process; `stop`: where one of them is killed or held up."""
        command = [sys.executable, "-m", "tests.crash.house_worker", str(self._folder), self._database, self.redis.url]
        self.workers.append(subprocess.Popen([*command, *stop], cwd=ROOT))

    async def ready(self) -> None:
        for worker in self.workers:
            await _until((self._folder / f"ready-{worker.pid}").exists)

    async def applied(self) -> str:
        """A preview, and its apply asked for; the id of that run."""
        view = await self.done(await self.api.ask(self.pair_id, "preview", "tests"))
        plan = await self.api.plan(view.plan_id or "")
        return await self.api.apply(plan.id, plan.fingerprint, "tests")

    async def done(self, run_id: str) -> RunView:
        return await asyncio.wait_for(self.api.wait(run_id), PATIENCE_S)

    async def noted(self, name: str) -> float:
        """When something happened in a worker's process."""
        path = self._folder / name
        await _until(lambda: path.exists() and path.stat().st_size > 0)
        return float(path.read_text())

    def go(self) -> None:
        (self._folder / "go").touch()

    async def outcome(self, run: RunView, resumed_s: float = 0.0) -> Outcome:
        view = await self.done(await self.api.ask(self.pair_id, "preview", "tests"))
        plan = await self.api.plan(view.plan_id or "")
        with self.books.turn():
            nets = sorted(str(r.net) for r in self.books.all(Kind.INVOICE) if isinstance(r, Invoice))
        (chain,) = await self.api.verify_audit()
        return Outcome(state=run.state, nets=tuple(nets), left=plan.changes, broken=chain.reason, resumed_s=resumed_s)


async def _until(condition: Any) -> None:
    for _ in range(int(PATIENCE_S / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("it did not come about")


def _worlds(folder: Path) -> dict[Side, MemoryWorld]:
    """Two accounts in files, which every process shares."""
    folder.mkdir(parents=True, exist_ok=True)
    start = datetime.now(UTC) - timedelta(days=90)
    knobs = Knobs(batch_write=1)
    sides: Sequence[Side] = ("crm", "books")
    return {s: MemoryWorld(f"{s}-{folder.name}", knobs, start=start, path=folder / f"{s}.jsonl") for s in sides}


def wanted() -> tuple[str, ...]:
    """The amounts of the invoices that there have to be, each once."""
    return tuple(sorted(f"{100 + n}.00" for n in range(DEALS)))


@contextlib.asynccontextmanager
async def afield(folder: Path, database: str = "") -> AsyncIterator[Field]:
    """A field with its Redis; no worker runs yet."""
    database = database or f"sqlite+aiosqlite:///{folder / 'store.db'}"
    Mortal.trap, Mortal.endpoint = Trap(None), None
    worlds, redis = _worlds(folder), Redis()
    await redis.start()
    settings = WorkerSettings(data=folder, database_url=database, redis_url=redis.url)
    field = None
    try:
        async with open_house(settings, {"memory": Mortal}, work=False) as house:
            field = Field(folder, database, redis, Api(house), worlds["books"])
            await _set_up(field, worlds, folder)
            yield field
    finally:
        for worker in field.workers if field is not None else []:
            worker.kill()
            worker.wait()
        await redis.close()
        for world in worlds.values():
            WORLDS.pop(world.name, None)


async def _set_up(field: Field, worlds: dict[Side, MemoryWorld], folder: Path) -> None:
    """A customer in both systems with a dozen won deals."""
    today = datetime.now(UTC).date()
    for side, world in worlds.items():
        path = str(folder / f"{side}.jsonl")
        await field.api.connect("memory", {"world": world.name, "path": path, "clock": "house"})
    text = mapping("customers", "items", "invoices", head={"cut_over": today - timedelta(days=60)})
    accounts: dict[Side, str] = {side: world.name for side, world in worlds.items()}
    field.pair_id = (await field.api.pair(text, "test.yaml", "tests", accounts)).id
    customer = worlds["crm"].add(told("Alder"))
    worlds["books"].add(told("Alder"))
    for n in range(DEALS):
        worlds["crm"].add(deal(customer, f"{100 + n}.00", name=f"Deal {n}", won_on=today - timedelta(days=2)))


async def killed(folder: Path, database: str = "", visit: int = 4) -> Outcome:
    """One of two workers is killed in mid-apply, when it had an answer and had not stored it; the other goes on."""
    async with afield(folder, database) as field:
        for _ in range(2):
            field.start("call.answered", str(visit), "kill")
        await field.ready()
        run_id = await field.applied()
        died, resumed = await field.noted("killed"), await field.noted("resumed")
        return await field.outcome(await field.done(run_id), resumed - died)


async def without_redis(folder: Path) -> Outcome:
    """In mid-apply Redis forgets everything, dies, and comes back; meanwhile somebody asks for more."""
    async with afield(folder) as field:
        field.start("batch.done", "4", "hold")
        await field.ready()
        run_id = await field.applied()
        await field.noted("held")
        await field.redis.flush()
        await field.redis.end()
        more = await field.api.ask(field.pair_id, "preview", "tests")
        await field.redis.start()
        field.go()
        run = await field.done(run_id)
        await field.done(more)
        return await field.outcome(run)
