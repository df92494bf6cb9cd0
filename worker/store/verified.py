"""Which records were verified longest ago: linked ones, and the documents that stand for billing positions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, func, or_, select, update

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.store.database import Unit, chunks
from worker.store.mirror import UNREACHABLE
from worker.store.tables import documents, link_members, links, mirror, pairs, runs


async def longest_ago(tx: Unit, pair_id: str, side: Side, connection_id: str, limit: int) -> list[tuple[Kind, str]]:
    """(kind, ref) of what belongs to the pair on one side and was verified longest ago, or never; what cannot be
    seen at the moment too."""
    same = and_(link_members.c.pair_id == pair_id, link_members.c.side == side)
    linked = exists().where(same, link_members.c.kind == mirror.c.kind, link_members.c.ref == mirror.c.ref)
    ours = and_(documents.c.pair_id == pair_id, documents.c.state == "live")
    posted = exists().where(ours, documents.c.kind == mirror.c.kind, documents.c.ref == mirror.c.ref)
    rows = await tx.rows(
        select(mirror.c.kind, mirror.c.ref)
        .where(
            mirror.c.connection_id == connection_id,
            or_(mirror.c.gone.is_(None), mirror.c.gone == UNREACHABLE),
            or_(linked, posted) if side == "books" else linked,
        )
        .order_by(func.coalesce(mirror.c.verified_at, 0), mirror.c.seen_at, mirror.c.kind, mirror.c.ref)
        .limit(limit)
    )
    return [(Kind(kind), ref) for kind, ref in rows]


async def were_verified(
    tx: Unit, pair_id: str, side: Side, connection_id: str, kind: Kind, refs: Collection[str]
) -> None:
    """These were read again now, whatever came of it."""
    now = await tx.now()
    for part in chunks(sorted(refs)):
        await tx.run(
            update(mirror)
            .where(mirror.c.connection_id == connection_id, mirror.c.kind == kind.value, mirror.c.ref.in_(part))
            .values(verified_at=now)
        )
        mine = select(link_members.c.link_id).where(
            link_members.c.pair_id == pair_id,
            link_members.c.side == side,
            link_members.c.kind == kind.value,
            link_members.c.ref.in_(part),
        )
        await tx.run(update(links).where(links.c.id.in_(mine)).values(verified_at=now))


async def due_pairs(tx: Unit, what: str, every: timedelta) -> list[str]:
    """Pairs that are older than `every` and had no run of that kind for so long."""
    since: datetime = await tx.now() - every
    had = exists().where(runs.c.pair_id == pairs.c.id, runs.c.what == what, runs.c.created_at > since)
    rows = await tx.rows(select(pairs.c.id).where(pairs.c.created_at <= since, ~had).order_by(pairs.c.created_at))
    return [pair_id for (pair_id,) in rows]
