"""What was done within the last hours, counted for guards and breakers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.store.database import Unit
from worker.store.tables import tallies


async def add(tx: Unit, pair_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Count what was done, for guards and breakers."""
    now = await tx.now()
    if rows:
        await tx.run(insert(tallies), [{"pair_id": pair_id, "at": now, **row} for row in rows])


async def window(tx: Unit, pair_id: str, since: datetime) -> dict[tuple[Side, Kind, str], frozenset[str]]:
    """What was done since: (side, kind, what) -> the refs. Writes to single fields are left out."""
    rows = await tx.rows(
        select(tallies.c.side, tallies.c.kind, tallies.c.what, tallies.c.ref)
        .where(tallies.c.pair_id == pair_id, tallies.c.what != "field", tallies.c.at >= since)
        .distinct()
    )
    found: dict[tuple[Side, Kind, str], set[str]] = {}
    for side, kind, what, ref in rows:
        found.setdefault((side, Kind(kind), what), set()).add(ref)
    return {key: frozenset(refs) for key, refs in found.items()}


async def writes_to_fields(
    tx: Unit, pair_id: str, since: datetime
) -> dict[tuple[Side, Kind, str, str], list[datetime]]:
    """(side, kind, ref, rule) -> when we wrote that field, for fields written more than once since then."""
    rows = await tx.rows(
        select(tallies.c.side, tallies.c.kind, tallies.c.ref, tallies.c.rule, tallies.c.at).where(
            tallies.c.pair_id == pair_id, tallies.c.what == "field", tallies.c.at >= since
        )
    )
    found: dict[tuple[Side, Kind, str, str], list[datetime]] = {}
    for side, kind, ref, rule, at in rows:
        found.setdefault((side, Kind(kind), ref, rule), []).append(at)
    return found
