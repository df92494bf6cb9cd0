"""SQLite under our units: how its connections begin and end, and one visit to a connection's thread for a statement."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_SWITCHES, _SWITCH_S = 40, 0.05  # how often, and after how long, the switch to WAL is tried


def now() -> datetime:
    """The time of a store that is a file: its machine's."""
    return datetime.now(UTC)


class RollsBack(sqlite3.Connection):
    """A connection that ends its transaction before it closes.

    A statement that was cut off by a cancellation keeps a closed connection half alive, with its transaction and its
    lock on the whole file (https://www.sqlite.org/c3ref/close.html, sqlite3_close_v2), until somebody collects it."""

    def close(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            self.rollback()
        super().close()


class OneVisit:
    """A cursor for SQLAlchemy. aiosqlite's goes to the connection's thread to be made, to execute, to fetch and to be
    closed; every visit costs two switches between threads, which is more than a small statement takes."""

    arraysize = 1

    def __init__(self, connection: OneVisitConnection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> OneVisit:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        await self._connection.visit(self._run, sqlite3.Cursor.execute, sql, parameters)

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        await self._connection.visit(self._run, sqlite3.Cursor.executemany, sql, parameters)

    def _run(self, connection: sqlite3.Connection, how: Any, sql: str, parameters: Any) -> None:
        cursor = connection.cursor()
        try:
            how(cursor, sql, parameters)
            self._rows = cursor.fetchall() if cursor.description else []
            self.description, self.rowcount = cursor.description, cursor.rowcount
            self.lastrowid = cursor.lastrowid
        finally:
            cursor.close()

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """It was, when its statement had ended."""


class OneVisitConnection(aiosqlite.Connection):
    """A connection whose cursors are of that sort."""

    def cursor(self) -> OneVisit:  # type: ignore[override]  # SQLAlchemy only enters it
        return OneVisit(self)

    def stop(self) -> asyncio.Future[Any] | None:
        """Once: after the first time nobody is there to answer, and whoever waited would wait for ever. A connection
        is told twice where a cancellation meets its closing."""
        return super().stop() if self._running else None

    async def visit(self, work: Any, *words: Any) -> None:
        """`work` in the connection's thread, given its sqlite3 connection and the words."""
        await self._execute(lambda: work(self._conn, *words))  # type: ignore[no-untyped-call]  # it has no types


def _connect(path: str, **options: Any) -> OneVisitConnection:
    """As aiosqlite.connect, in a thread that does not keep the process from ending."""
    made = OneVisitConnection(lambda: sqlite3.connect(path, factory=RollsBack, **options), iter_chunk_size=64)
    made._thread.daemon = True
    return made


def open_engine(url: str) -> AsyncEngine:
    """An engine of `sqlite+aiosqlite:///path`. A unit that writes begins IMMEDIATE: a deferred BEGIN that writes after
    another writer fails at once, whatever the busy timeout says."""
    engine = create_async_engine(url, pool_size=4, max_overflow=8, connect_args={"async_creator_fn": _connect})
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    _keep_a_log(cursor)
    cursor.close()


def _keep_a_log(cursor: Any) -> None:
    """Switch a new file to WAL. The switch does not wait for others, as statements do: of several processes that find
    an empty file one may be told that it is locked."""
    for left in reversed(range(_SWITCHES)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if left == 0:
                raise
            time.sleep(_SWITCH_S)
        else:
            return


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tieout_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
