"""Alembic's entry: runs the revisions on the URL that `worker.store.migrate` hands over."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy.engine import Connection

from worker.store.database import open_database
from worker.store.tables import Amount, Instant, metadata

_UPGRADING = 0x7469656F7574  # the lock's number in this database


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Revisions name plain types: ours may change, what a database holds may not."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, Amount):
        return "sa.String(length=40)"
    return False


def _run(connection: Connection) -> None:
    """All revisions in one transaction, which begins with a lock: of workers that start at once one upgrades, and the
    others find it done. (Alembic would read the revision before it begins a transaction of its own.)"""
    locks = {"postgresql": f"select pg_advisory_xact_lock({_UPGRADING})"}
    connection.exec_driver_sql(locks.get(connection.dialect.name, "select 1"))  # SQLite begins IMMEDIATE
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, render_item=_render)
    with context.begin_transaction():
        context.run_migrations()


async def _online() -> None:
    db = open_database(context.config.attributes["url"])
    try:
        async with db.engine.connect() as opened:
            connection = await opened.execution_options(tieout_write=True)
            await connection.run_sync(_run)
            await connection.commit()
    finally:
        await db.close()


asyncio.run(_online())
