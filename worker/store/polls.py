"""Which pairs nobody has looked at for a while, and what their polls took."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import delete, exists, func, select

from worker.store.database import Unit
from worker.store.tables import pairs, plans, runs, schedules

POLL = "poll"
KEPT = timedelta(days=1)  # a poll that led to nothing is no history
MEASURED = 5
OPEN = ("queued", "running", "waiting")


async def quiet(tx: Unit, still: timedelta, pair_id: str | None = None) -> list[str]:
    """Pairs that have no run under way, asked for none for so long, and were read before: the first read of two
    accounts is somebody's wish."""
    last = select(func.max(runs.c.created_at)).where(runs.c.pair_id == pairs.c.id).scalar_subquery()
    under_way = exists().where(runs.c.pair_id == pairs.c.id, runs.c.state.in_(OPEN))
    read_before = exists().where(runs.c.pair_id == pairs.c.id, runs.c.state == "done")
    statement = select(pairs.c.id).where(read_before, ~under_way, last <= await tx.now() - still)
    if pair_id is not None:
        statement = statement.where(pairs.c.id == pair_id)
    return [id_ for (id_,) in await tx.rows(statement.order_by(pairs.c.created_at))]


async def lock(tx: Unit, pair_id: str) -> bool:
    """Whether the pair is this unit's until it ends: two sweepers do not ask for the same poll. SQLite has one writer
    anyway."""
    statement = select(pairs.c.id).where(pairs.c.id == pair_id).with_for_update(skip_locked=True)
    return await tx.scalar(statement) is not None


async def measured(tx: Unit, pair_id: str, connection_id: str) -> list[int]:
    """The calls to a connection of the pair's last polls."""
    mine = (runs.c.pair_id == pair_id, runs.c.what == POLL, runs.c.state == "done")
    rows = await tx.rows(select(runs.c.result).where(*mine).order_by(runs.c.created_at.desc()).limit(MEASURED))
    return [msgspec.json.decode(result or "{}").get("calls", {}).get(connection_id, 0) for (result,) in rows]


async def failed(tx: Unit, pair_id: str) -> bool:
    """Whether the pair's last poll, or look at what webhooks announced, failed."""
    mine = (runs.c.pair_id == pair_id, runs.c.what.in_((POLL, "hear")))
    statement = select(runs.c.state).where(*mine).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1)
    return bool(await tx.scalar(statement) == "failed")


async def synced_by_schedule(tx: Unit, pair_id: str) -> bool:
    """Whether somebody said when the pair is synced, paused or not."""
    mine = (schedules.c.pair_id == pair_id, schedules.c.what == "sync")
    return await tx.scalar(select(schedules.c.id).where(*mine).limit(1)) is not None


async def forget_old(tx: Unit, pair_id: str) -> None:
    """Polls that found nothing to plan."""
    planned = exists().where(plans.c.run_id == runs.c.id)
    old = runs.c.created_at < await tx.now() - KEPT
    await tx.run(
        delete(runs).where(runs.c.pair_id == pair_id, runs.c.what == POLL, runs.c.state == "done", old, ~planned)
    )
