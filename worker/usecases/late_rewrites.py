"""A vendor that settles what we wrote a little later than it answers: seen again as it was sent, that is no edit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from connectors.canon.fields import FieldType, Value, read
from connectors.canon.records import AnyRecord
from connectors.kit.contract import Side
from worker.engine.drawing import Drawing
from worker.engine.mapping import FieldRule
from worker.engine.merge import Base, late_rewrite
from worker.engine.plan import Change
from worker.store import links as link_store
from worker.store import plans
from worker.store.database import Unit
from worker.usecases.office import SIDES
from worker.usecases.scope import Scope


async def settled_late(
    tx: Unit, scope: Scope, drawing: Drawing, link_id: str, records: Mapping[Side, AnyRecord], bases: dict[str, Base]
) -> dict[str, Base]:
    """A link's bases, moved where a side shows within its declared `settles_s` what we had sent it, although it had
    answered with something else. All other differences are edits. Most links have none, and cost nothing."""
    moved = dict(bases)
    for side in SIDES:
        settles_s = scope.desk.facts(side, scope.kind).settles_s
        record = records[side]
        rules = [rule for rule in scope.rules if _differs(rule, side, record, moved.get(rule.key))]
        if settles_s <= 0 or not rules:
            continue
        decisions = await link_store.decisions(tx, link_id, [rule.key for rule in rules])
        for rule in rules:
            change = await plans.done_change(tx, decisions.get(rule.key, ""))
            if change is not None and await _is_late(tx, rule, side, record, change, settles_s):
                moved[rule.key] = _with(moved[rule.key], side, read(record, rule.path(side)))
                drawing.bases.append((link_id, rule.key, moved[rule.key], change.change.id))
    return moved


def _differs(rule: FieldRule, side: Side, record: AnyRecord, base: Base | None) -> bool:
    if base is None or rule.stays_home:
        return False
    was = base.crm if side == "crm" else base.books
    return not rule.conversion.unchanged(side, read(record, rule.path(side)), was)


async def _is_late(
    tx: Unit, rule: FieldRule, side: Side, record: AnyRecord, done: plans.Done, settles_s: float
) -> bool:
    """Whether the record's last change fell into the time that the vendor has to settle, by the vendor's own clock
    where it tells."""
    sent = _sent(done.change, side, rule)
    kind = rule.crm_type if side == "crm" else rule.books_type
    if sent is None:
        return False
    told, answered = record.updated_at, done.stored_at
    written_at: datetime = answered if told is not None and answered is not None else done.settled_at
    seen_at: datetime = told if told is not None else await tx.now()
    return late_rewrite(
        kind or FieldType.TEXT,
        sent.value,
        read(record, rule.path(side)),
        written_at=written_at,
        seen_at=seen_at,
        settles_s=settles_s,
        region=rule.conversion.region,
    )


class _Sent(msgspec.Struct, frozen=True):
    value: Value


def _sent(change: Change, side: Side, rule: FieldRule) -> _Sent | None:
    if change.side != side:
        return None
    return next((_Sent(field.after) for field in change.fields if field.rule == rule.key), None)


def _with(base: Base, side: Side, value: Value) -> Base:
    return msgspec.structs.replace(base, **{side: value})
