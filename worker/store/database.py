"""The database: units of work on SQLite (WAL) and PostgreSQL. Time comes from the store, and a test can shift it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql import Executable

from worker.store import sqlite

T = TypeVar("T")

_NOW = text("select (extract(epoch from clock_timestamp()) * 1000000)::bigint")
_CHUNK = 900  # bound variables in one IN list: SQLite took no more than 999 for most of its life


class Unit:
    """One transaction. Its end commits; an exception rolls back."""

    def __init__(self, connection: AsyncConnection, shift: timedelta) -> None:
        self.connection = connection
        self._shift = shift

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    async def now(self) -> datetime:
        """The store's time."""
        if self.dialect == "sqlite":
            return sqlite.now() + self._shift
        us = (await self.connection.execute(_NOW)).scalar_one()
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(us)) + self._shift

    async def run(self, statement: Executable, rows: Sequence[dict[str, Any]] | None = None) -> CursorResult[Any]:
        """Execute; with `rows`, once for each in a single round trip (executemany)."""
        result: CursorResult[Any] = await self.connection.execute(statement, rows)
        return result

    async def all(self, statement: Executable) -> list[Any]:
        return list((await self.connection.execute(statement)).mappings())

    async def rows(self, statement: Executable) -> list[Any]:
        """Plain tuples."""
        return list(await self.connection.execute(statement))

    async def first(self, statement: Executable) -> Any | None:
        return (await self.connection.execute(statement)).mappings().first()

    async def scalar(self, statement: Executable) -> Any:
        return (await self.connection.execute(statement)).scalar()

    def insert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT."""
        return sqlite_insert(table) if self.dialect == "sqlite" else postgresql_insert(table)

    def upsert(self, table: Table, keep: Sequence[str] = ()) -> Any:
        """INSERT that replaces all columns but the key and `keep` of a row that exists."""
        statement = self.insert(table)
        keys = [column.name for column in table.primary_key]
        values = {c.name: statement.excluded[c.name] for c in table.c if c.name not in {*keys, *keep}}
        return statement.on_conflict_do_update(index_elements=keys, set_=values)


def chunks(items: Sequence[T], size: int = _CHUNK) -> list[Sequence[T]]:
    """Slices of at most `size`, for IN lists and bulk statements."""
    return [items[start : start + size] for start in range(0, len(items), size)]


class Database:
    """Opens units of work. `shift` moves the store's time in tests."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.shift = timedelta()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Unit]:
        async with self.engine.connect() as opened:
            connection = await opened.execution_options(tieout_write=True)
            async with connection.begin():
                yield Unit(connection, self.shift)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Unit]:
        async with self.engine.connect() as connection, connection.begin():
            yield Unit(connection, self.shift)

    async def record(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Write a unit to its end even if the caller is cancelled meanwhile: what was done at a vendor is
        evidence and must not be lost with the task that did it."""

        async def unit() -> T:
            async with self.write() as tx:
                return await work(tx)

        task = asyncio.ensure_future(unit())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def now(self) -> datetime:
        async with self.read() as tx:
            return await tx.now()

    async def compact(self) -> bool:
        """Write the file anew, so that what was overwritten or deleted is nowhere in it, nor in its log. False:
        somebody was using it, and it has to be tried again. A server's pages are its keeper's: True."""
        if self.engine.dialect.name != "sqlite":
            return True
        async with self.engine.connect() as opened:
            raw = await opened.get_raw_connection()
            driver: Any = raw.driver_connection
            try:
                await driver.execute("VACUUM")
                (busy, _, _), *_ = await (await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")).fetchall()
            except sqlite3.OperationalError:  # locked, or no room for a copy
                return False
            return not busy

    async def close(self) -> None:
        await self.engine.dispose()


def open_database(url: str) -> Database:
    """A database by SQLAlchemy URL: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`. Opens lazily."""
    if url.startswith("sqlite"):
        return Database(sqlite.open_engine(url))
    return Database(create_async_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True))
