"""What plans wrote, and what has taken it back: where an undo starts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from connectors.canon.records import Kind, decode
from connectors.kit.contract import Side
from worker.engine.plan import fields_from_json
from worker.engine.undo import Since, Written
from worker.store.database import Unit, chunks
from worker.store.plans import UNDER_WAY, StoredChange, read_change
from worker.store.tables import changes, plans, runs


async def written(tx: Unit, plan_id: str) -> list[Written]:
    """What a plan really did, in order."""
    rows = await tx.all(
        select(changes).where(changes.c.plan_id == plan_id, changes.c.state == "done").order_by(changes.c.seq)
    )
    return [
        Written(
            change=read_change(row).change,
            ref=row["ref"],
            stored=decode(row["stored"]) if row["stored"] is not None else None,
            provenance=row["outcome"],
        )
        for row in rows
        if row["ref"] is not None
    ]


async def written_since(tx: Unit, pair_id: str, plan_id: str) -> dict[tuple[Side, Kind, str], list[Since]]:
    """What later plans did to the records that this plan wrote, by record, the oldest first."""
    own, later, by = changes.alias("own"), changes, plans
    mine = select(own.c.id).where(
        own.c.plan_id == plan_id,
        own.c.state == "done",
        own.c.side == later.c.side,
        own.c.kind == later.c.kind,
        own.c.ref == later.c.ref,
        own.c.settled_at <= later.c.settled_at,
    )
    rows = await tx.all(
        select(later.c.id, later.c.side, later.c.kind, later.c.ref, later.c.undoes, later.c.fields, later.c.plan_id)
        .join(by, by.c.id == later.c.plan_id)
        .where(later.c.pair_id == pair_id, later.c.state == "done", later.c.plan_id != plan_id, mine.exists())
        .order_by(later.c.settled_at, later.c.seq)
    )
    carried_by = await _runs_of(tx, pair_id, list({row["plan_id"] for row in rows}))
    found: dict[tuple[Side, Kind, str], list[Since]] = {}
    for row in rows:
        since = Since(
            id=row["id"],
            run=carried_by.get(row["plan_id"], ""),
            undoes=row["undoes"],
            rules=frozenset(field.rule for field in fields_from_json(row["fields"])),
        )
        found.setdefault((row["side"], Kind(row["kind"]), row["ref"]), []).append(since)
    return found


async def _runs_of(tx: Unit, pair_id: str, plan_ids: Sequence[str]) -> dict[str, str]:
    """plan -> the run that carried it out, or else drew it."""
    found: dict[str, str] = {}
    for part in chunks(plan_ids):
        rows = await tx.rows(
            select(runs.c.plan_id, runs.c.id)
            .where(runs.c.pair_id == pair_id, runs.c.plan_id.in_(part))
            .order_by(runs.c.created_at)
        )
        found.update(tuple(row) for row in rows)
    return found


async def last_written(tx: Unit, pair_id: str) -> str | None:
    """The last run that carried out a plan which wrote something and takes nothing back."""
    wrote = select(changes.c.id).where(changes.c.plan_id == plans.c.id, changes.c.state == "done")
    found: str | None = await tx.scalar(
        select(runs.c.id)
        .join(plans, plans.c.id == runs.c.plan_id)
        .where(runs.c.pair_id == pair_id, plans.c.undoes.is_(None), wrote.exists())
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(1)
    )
    return found


async def taking_back(tx: Unit, ids: Sequence[str]) -> str | None:
    """The plan under way that takes any of these changes back."""
    for part in chunks(list(ids)):
        found = await tx.scalar(
            select(changes.c.plan_id)
            .join(plans, plans.c.id == changes.c.plan_id)
            .where(changes.c.undoes.in_(part), plans.c.state.in_(UNDER_WAY))
        )
        if found is not None:
            return str(found)
    return None


async def took_back(tx: Unit, plan_id: str) -> list[StoredChange]:
    """What was done to take back changes of a plan as a part of it: of groups that came to a half."""
    own = changes.alias("own")
    statement = (
        select(changes)
        .join(own, own.c.id == changes.c.undoes)
        .where(own.c.plan_id == plan_id, changes.c.compensation.is_not(None), changes.c.state == "done")
        .order_by(changes.c.seq)
    )
    return [read_change(row) for row in await tx.all(statement)]
