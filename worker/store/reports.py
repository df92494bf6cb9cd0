"""Reconciliation reports as they were made, by period and version."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import func, insert, select

from worker.outside import new_id
from worker.store.database import Unit
from worker.store.tables import reports


async def next_version(tx: Unit, pair_id: str, start: date) -> int:
    """The version that the next report of this period has."""
    known = await tx.scalar(
        select(func.max(reports.c.version)).where(reports.c.pair_id == pair_id, reports.c.period == start.isoformat())
    )
    return int(known or 0) + 1


async def save(tx: Unit, pair_id: str, start: date, version: int, body: str, by: str) -> str:
    report_id = new_id("rp")
    await tx.run(
        insert(reports),
        [{"id": report_id, "pair_id": pair_id, "period": start.isoformat(), "version": version, "body": body,
          "made_by": by, "made_at": await tx.now()}],
    )  # fmt: skip
    return report_id


async def get(tx: Unit, report_id: str) -> Any | None:
    return await tx.first(select(reports).where(reports.c.id == report_id))
