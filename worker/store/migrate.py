"""Bring a database to the newest revision (alembic), from a program or the command line."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from worker.store.database import open_database

_FOLDER = Path(__file__).parent / "migrations"
_ALONE = threading.Lock()  # alembic keeps what it works on in its module: two at once would meet in one database


class NewerDatabase(Exception):
    """The database was upgraded by a newer Tieout."""


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["url"] = url
    return config


async def upgrade(url: str) -> None:
    """Upgrade to the newest revision; a database that is there already costs one query. Raises NewerDatabase."""
    script = ScriptDirectory.from_config(_config(url))
    current = await current_revision(url)
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise NewerDatabase(f"the database is of revision {current}, which this Tieout does not know: upgrade Tieout")
    await asyncio.to_thread(_upgrade, url)


def _upgrade(url: str) -> None:
    with _ALONE:
        command.upgrade(_config(url), "head")


async def current_revision(url: str) -> str | None:
    """The database's revision; None: it is empty."""
    from alembic.runtime.migration import MigrationContext

    db = open_database(url)
    try:
        async with db.engine.connect() as connection:
            found: str | None = await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision()
            )
            return found
    finally:
        await db.close()
