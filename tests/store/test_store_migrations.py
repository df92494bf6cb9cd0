"""Migrations, on both databases: up from nothing equals the tables, and a newer database is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, Table, inspect, text
from sqlalchemy.engine import Connection

from worker.store.database import open_database
from worker.store.migrate import NewerDatabase, _config, current_revision, upgrade
from worker.store.tables import metadata

DIALECTS = ["sqlite", "postgresql"]
Url = Callable[[str], str]


def _difference(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


async def difference(url: str) -> list[Any]:
    db = open_database(url)
    async with db.engine.connect() as connection:
        found = await connection.run_sync(_difference)
    await db.close()
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_up_from_nothing_equals_the_tables(empty_urls: Url, dialect: str) -> None:
    """Alembic finds nothing to add, drop or alter, on either database."""
    url = empty_urls(dialect)
    asyncio.run(upgrade(url))
    assert [] == asyncio.run(difference(url))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_saboteur_a_forgotten_column_is_found(empty_urls: Url, dialect: str) -> None:
    """A table or column that no revision makes is a difference."""
    url = empty_urls(dialect)
    asyncio.run(upgrade(url))
    forgotten = Table("forgotten", metadata, Column("id", Integer, primary_key=True))
    try:
        assert ["add_table"] == [step[0] for step in asyncio.run(difference(url))]
    finally:
        metadata.remove(forgotten)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_upgrade_that_is_done_does_nothing(empty_urls: Url, dialect: str) -> None:
    """It may be called at every start."""
    url = empty_urls(dialect)
    for _ in range(2):
        asyncio.run(upgrade(url))
    head = ScriptDirectory.from_config(_config(url)).get_current_head()
    assert head == asyncio.run(current_revision(url))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_revision_leads_up_and_down(empty_urls: Url, dialect: str) -> None:
    """One step at a time to the newest, and back to nothing."""
    url = empty_urls(dialect)
    script = ScriptDirectory.from_config(_config(url))
    for revision in reversed(list(script.walk_revisions())):
        command.upgrade(_config(url), revision.revision)
    assert [] == asyncio.run(difference(url))
    command.downgrade(_config(url), "base")
    assert {"alembic_version"} >= asyncio.run(_tables(url))


async def _tables(url: str) -> set[str]:
    db = open_database(url)
    async with db.engine.connect() as connection:
        found = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    await db.close()
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_newer_database_is_left_alone(empty_urls: Url, dialect: str) -> None:
    """An older program says so and touches nothing."""
    url = empty_urls(dialect)
    asyncio.run(upgrade(url))
    asyncio.run(_stamp(url, "9999"))
    with pytest.raises(NewerDatabase, match="upgrade Tieout"):
        asyncio.run(upgrade(url))


async def _stamp(url: str, revision: str) -> None:
    db = open_database(url)
    async with db.write() as tx:
        await tx.run(text(f"update alembic_version set version_num = '{revision}'"))
    await db.close()
