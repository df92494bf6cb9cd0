"""Reconciliation reports as they were made, by period and version."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import func, insert, select

from worker.outside import new_id
from worker.store.audit import Posted
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


class _Header(msgspec.Struct, frozen=True):
    trail: str | None = None


class _Headed(msgspec.Struct, frozen=True):
    header: _Header


async def heads(tx: Unit, pair_id: str) -> list[Posted]:
    """The audit trail's head as each report knows it."""
    found = []
    columns = (reports.c.body, reports.c.period, reports.c.version)
    for body, period, version in await tx.rows(select(*columns).where(reports.c.pair_id == pair_id)):
        trail = msgspec.json.decode(body, type=_Headed).header.trail
        if trail is not None:
            found.append(posted(trail, f"the report of {period[:7]}, version {version},"))
    return found


async def bodies(tx: Unit, pair_id: str) -> dict[str, str]:
    """Every report as it is stored, by id."""
    rows = await tx.rows(select(reports.c.id, reports.c.body).where(reports.c.pair_id == pair_id))
    return dict(rows)


def posted(text: str, where: str) -> Posted:
    """A head as it is posted, `entry:hash`. Raises ValueError if it is none."""
    seq, _, digest = text.strip().partition(":")
    if not seq.isdigit() or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f'"{text}" is no head of an audit trail: it is written 120:9f2c..., a number and 64 letters')
    return Posted(int(seq), digest, where)
