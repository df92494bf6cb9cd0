"""Units of work: whole or not at all, one writer at a time, exact values, the store's own time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Numeric, String, Table, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.store.conftest import Place
from worker.store import connections, runs
from worker.store.database import Database, Unit, open_database
from worker.store.sqlite import OneVisitConnection, RollsBack, _connect
from worker.store.tables import Amount, Instant, installation


async def _installations(db: Database) -> list[str]:
    async with db.read() as tx:
        return sorted(row[0] for row in await tx.rows(select(installation.c.id)))


async def _install(tx: Unit, name: str) -> None:
    await tx.run(insert(installation), [{"id": name, "created_at": await tx.now()}])


async def test_an_exception_leaves_nothing(db: Database) -> None:
    """A unit that fails half way wrote nothing."""
    with pytest.raises(RuntimeError):
        async with db.write() as tx:
            await _install(tx, "a")
            raise RuntimeError
    assert [] == await _installations(db)


async def test_two_writers_take_turns(db: Database) -> None:
    """Forty units that read and then write the same row, at once: none fails, none is lost."""
    async with db.write() as tx:
        await connections.installation_id(tx)
        crm = await connections.save_connection(tx, "memory", "a", "0", {})

    async def count_up() -> None:
        async with db.write() as tx:
            lock = select(text("name")).select_from(text("connections")).where(text(f"id = '{crm}'"))
            name = await tx.scalar(lock.with_for_update() if tx.dialect == "postgresql" else lock)
            await tx.run(text(f"update connections set name = '{int(name) + 1}' where id = '{crm}'"))

    await asyncio.gather(*(count_up() for _ in range(40)))
    async with db.read() as tx:
        assert "40" == (await connections.get_connection(tx, crm)).name


async def test_saboteur_deferred_begin_loses_the_race(sqlite_template: object, tmp_path: object) -> None:
    """The same with a plain BEGIN on SQLite: a unit that read before another one wrote fails at once, whatever the
    busy timeout says. That is why units that write begin IMMEDIATE."""
    from pathlib import Path
    from shutil import copyfile

    path = Path(str(tmp_path)) / "deferred.db"
    copyfile(str(sqlite_template), path)
    db = open_database(f"sqlite+aiosqlite:///{path}")
    try:
        async with db.read() as reader:
            await reader.rows(select(installation.c.id))
            async with db.write() as writer:
                await _install(writer, "first")
            with pytest.raises(DBAPIError):
                await _install(reader, "second")
    finally:
        await db.close()


def _locked_after_close(path: object, kind: type[sqlite3.Connection]) -> bool:
    """Whether a connection that is closed in the middle of a statement, in a transaction, still keeps others out."""
    cut_off, other = (sqlite3.connect(f"{path}/closed.db", 0.05, isolation_level=None, factory=kind) for _ in "12")
    cut_off.execute("create table if not exists notes as select 1 as n union select 2")
    cut_off.execute("begin immediate")
    cut_off.execute("delete from notes where n > 2")
    unread = cut_off.execute("select n from notes")
    unread.fetchone()
    cut_off.close()
    try:
        other.execute("begin immediate")
    except sqlite3.OperationalError:
        return True
    finally:
        other.close()
        del unread
    return False


def test_a_connection_that_is_closed_in_the_middle_gives_its_lock_back(tmp_path: object) -> None:
    """A job is cancelled while the database works: whoever comes next can write."""
    assert not _locked_after_close(tmp_path, RollsBack)


def test_saboteur_a_plain_connection_keeps_its_lock(tmp_path: object) -> None:
    """Closed without rolling back it keeps everybody else out, as long as anything remembers its statement."""
    assert _locked_after_close(tmp_path, sqlite3.Connection)


async def test_writing_units_begin_immediate(db: Database) -> None:
    """What SQLite is told at the start of a unit that writes, and of one that reads."""
    if db.engine.dialect.name != "sqlite":
        return
    said: list[str] = []
    event.listen(db.engine.sync_engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    async with db.write() as tx:
        await tx.now()
    async with db.read() as tx:
        await tx.now()
    assert ["BEGIN IMMEDIATE", "BEGIN"] == [statement for statement in said if statement.startswith("BEGIN")]


async def test_a_statement_is_one_visit_to_its_thread(sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows it gives; aiosqlite's own cursor needs four."""
    visits, execute = 0, OneVisitConnection._execute

    async def counted(self: OneVisitConnection, *words: object) -> object:
        nonlocal visits
        visits += 1
        return await execute(self, *words)  # type: ignore[no-untyped-call]  # it has no types

    db = open_database(f"sqlite+aiosqlite:///{sqlite_template}")
    try:
        async with db.read() as tx:
            monkeypatch.setattr(OneVisitConnection, "_execute", counted)
            assert [(1,), (2,), (3,)] == await tx.rows(text("select 1 union select 2 union select 3"))
            assert 1 == visits
            await tx.run(text("create temp table numbers (n)"))
            done = await tx.run(text("insert into numbers values (:n)"), [{"n": n} for n in range(5)])
            assert (3, 5) == (visits, done.rowcount)
            monkeypatch.undo()
    finally:
        await db.close()


async def test_a_connection_that_is_ended_twice_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Its thread answers once; a cancellation that meets the closing asks again."""
    connection = await _connect(str(tmp_path / "t.db"))
    ended = connection.stop()
    async with asyncio.timeout(10):
        with suppress(ValueError):  # it is closed already
            await connection.close()
        assert ended is not None
        await ended


async def test_sqlite_waits_for_the_disk(sqlite_template: Path) -> None:
    """What was committed survives the plug being pulled: synchronous is FULL (2) for every connection."""
    db = open_database(f"sqlite+aiosqlite:///{sqlite_template}")
    try:
        async with db.read() as tx:
            assert 2 == await tx.scalar(text("pragma synchronous"))
    finally:
        await db.close()


async def test_a_cancelled_task_still_records(db: Database) -> None:
    """What was done at a vendor is evidence: a unit given to `record` is written to its end though its task is
    cancelled meanwhile."""
    started = asyncio.Event()

    async def work(tx: Unit) -> None:
        started.set()
        await asyncio.sleep(0.05)
        await _install(tx, "kept")

    task = asyncio.create_task(db.record(work))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["kept"] == await _installations(db)


async def test_saboteur_a_cancelled_unit_is_lost(db: Database) -> None:
    """The same in a plain unit: the cancellation takes it away."""
    started = asyncio.Event()

    async def work() -> None:
        async with db.write() as tx:
            started.set()
            await asyncio.sleep(0.05)
            await _install(tx, "lost")

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == await _installations(db)


_values = Table(
    "exactness",
    MetaData(),
    Column("id", String(8), primary_key=True),
    Column("amount", Amount),
    Column("at", Instant),
    Column("naive", Numeric(30, 2)),
)
HARD = ("90071992547409.93", "0.1", "0.10", "-0.00", "1E+3", "12345678901234567890.12345678", "0")


async def test_amounts_and_instants_come_back_exact(db: Database) -> None:
    """Text, not a float; microseconds, not a string in some zone. An amount keeps its decimals."""
    at = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
    zoned = at.astimezone(tz=None)
    async with db.write() as tx:
        await tx.connection.run_sync(_values.metadata.create_all)
        rows = [{"id": str(n), "amount": Decimal(text_), "at": zoned} for n, text_ in enumerate(HARD)]
        await tx.run(insert(_values), rows)
        found = await tx.rows(select(_values.c.amount, _values.c.at).order_by(_values.c.id))
    assert [(format(Decimal(text_), "f"), at) for text_ in HARD] == [(format(a, "f"), t) for a, t in found]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
async def test_saboteur_numeric_changes_an_amount_on_sqlite(db: Database) -> None:
    """SQLite keeps NUMERIC as a float: the cents of a large amount are gone. PostgreSQL keeps them."""
    async with db.write() as tx:
        await tx.connection.run_sync(_values.metadata.create_all)
        await tx.run(insert(_values), [{"id": "1", "naive": Decimal("9007199254740993.93")}])
        kept = await tx.scalar(select(_values.c.naive)) == Decimal("9007199254740993.93")
    assert (db.engine.dialect.name == "postgresql") == kept


async def test_absent_none_and_zero_stay_apart(db: Database) -> None:
    """No amount and no instant are None, not zero."""
    async with db.write() as tx:
        await tx.connection.run_sync(_values.metadata.create_all)
        await tx.run(insert(_values), [{"id": "1", "amount": None, "at": None}])
        assert (None, None) == tuple((await tx.rows(select(_values.c.amount, _values.c.at)))[0])


async def test_time_is_the_stores_and_can_be_shifted(db: Database, place: Place) -> None:
    """A shift of the clock moves what the store believes, leases included."""
    async with db.read() as tx:
        before = await tx.now()
    db.shift += timedelta(hours=3)
    async with db.read() as tx:
        later = await tx.now()
    assert timedelta(hours=3) <= later - before < timedelta(hours=3, minutes=1)


async def test_foreign_keys_hold(db: Database) -> None:
    """A run of a pair that does not exist is refused, on SQLite too."""
    with pytest.raises(DBAPIError):
        async with db.write() as tx:
            await runs.ask(tx, "nobody", "preview", {}, "tests")


async def test_long_lists_are_asked_in_slices(db: Database, place: Place) -> None:
    """More refs than a statement takes variables are no error."""
    from worker.store import links

    async with db.read() as tx:
        refs = [f"r{n}" for n in range(2_500)]
        assert set(refs) == await links.is_free(tx, place.pair, "crm", links.Kind.CUSTOMER, refs)
