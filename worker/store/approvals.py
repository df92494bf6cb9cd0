"""Who agreed to a plan. An approval covers what its giver saw, never more."""

from __future__ import annotations

from sqlalchemy import select

from worker.store.database import Unit
from worker.store.tables import approvals


async def give(tx: Unit, plan_id: str, by: str, covers: str) -> None:
    """Agreeing again replaces what one agreed to before."""
    row = {"plan_id": plan_id, "approver": by, "covers": covers, "at": await tx.now()}
    await tx.run(tx.upsert(approvals), [row])


async def given(tx: Unit, plan_id: str, covers: str | None = None) -> tuple[str, ...]:
    """Who agreed, in order; with `covers`, to just that."""
    statement = select(approvals.c.approver).where(approvals.c.plan_id == plan_id).order_by(approvals.c.at)
    if covers is not None:
        statement = statement.where(approvals.c.covers == covers)
    return tuple(by for (by,) in await tx.rows(statement))
