"""Whether a planned change may still be sent: what it relies on is read again, and stands as it was shown.

A group stands and falls together: if one of it is no longer true, none of it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.canon.fields import key, read
from connectors.canon.records import AnyRecord, Document, Kind, Payment
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side
from worker.engine.plan import Change, Relied, relied_digest, source_path
from worker.store import mirror, plans
from worker.store.database import Unit
from worker.store.plans import Step, StoredChange
from worker.usecases.fill_in import filled_in
from worker.usecases.office import OTHER, Desk
from worker.usecases.pull import refresh


async def look_again(desk: Desk, side: Side, kind: Kind, refs: Sequence[str]) -> set[str]:
    """Read records again. Those that the vendor does not show come back; the next plan then knows that they are not
    to be seen, and does not plan the same for ever."""
    unseen = await refresh(desk, side, kind, refs)
    if unseen:
        async with desk.db.write() as tx:
            await mirror.lose_sight(tx, desk.pair.connection(side), kind, unseen)
    return unseen


async def not_failed(desk: Desk, batch: Sequence[StoredChange]) -> list[StoredChange]:
    """Without what needs a change that came to nothing: that is held, and nothing is read for it."""
    async with desk.db.write() as tx:
        states = await plans.change_states(tx, [need for s in batch for need in s.change.needs])
        failed = [s for s in batch if any(states.get(n) in plans.CAME_TO_NOTHING for n in s.change.needs)]
        held = [
            Step(id=s.change.id, to="held", come_from=("planned",), reason="what it needs was not made") for s in failed
        ]
        await plans.step(tx, held)
    gone = {s.change.id for s in failed}
    return [s for s in batch if s.change.id not in gone]


async def fresh_reads(desk: Desk, batch: Sequence[StoredChange]) -> list[StoredChange]:
    """A money document is applied from a fresh read of its deal, and of the document that it replaces or credits;
    taking one back asks neither. Where the target has no
    optimistic lock, it is read right before it is written, to keep the window small. What cannot be read any more is
    stale."""
    money = [s for s in batch if s.change.is_money and s.change.undoes is None]
    lost = []
    asked_of: tuple[tuple[Side, Kind], ...] = (("crm", Kind.DEAL), ("books", Kind.INVOICE))
    for side, kind in asked_of:
        relied = {s.change.id: [r.ref for r in s.change.requires if (r.side, r.kind) == (side, kind)] for s in money}
        unseen = await look_again(desk, side, kind, [ref for refs in relied.values() for ref in refs])
        lost += [s for s in money if unseen & set(relied[s.change.id]) and s not in lost]
    first = batch[0].change
    facts = desk.facts(first.side, first.kind)
    if first.operation != "create" and not facts.optimistic_lock:
        refs = [s.change.ref for s in batch if s.change.ref is not None]
        unseen = await look_again(desk, first.side, first.kind, refs)
        lost += [s for s in batch if s.change.ref in unseen and s not in lost]
    if not lost:
        return list(batch)
    reason = "it cannot be seen any more: planned again"
    async with desk.db.write() as tx:
        await plans.step(tx, [stale(s, reason) for s in lost])
    return [s for s in batch if s not in lost]


async def still_true(
    desk: Desk, batch: Sequence[StoredChange]
) -> tuple[list[StoredChange], dict[str, AnyRecord], dict[str, AnyRecord]]:
    """Which of a batch may be sent, their records with refs filled in, and the targets as they are now. What a
    change relies on and moved makes it stale; what it needs and failed holds it."""
    moves: list[Step] = []
    ready = []
    async with desk.db.write() as tx:
        states = await plans.change_states(tx, [need for s in batch for need in s.change.needs])
        records = await filled_in(tx, [s.change for s in batch])
        first = batch[0].change
        targets = await mirror.load(
            tx,
            desk.pair.connection(first.side),
            first.kind,
            [s.change.ref for s in batch if s.change.ref is not None],
        )
        relied = await _relied(tx, desk, batch)
        for stored in batch:
            move = _why_not(stored, states, records, targets, relied)
            if move is None:
                ready.append(stored)
            elif move.to != "planned":
                moves.append(move)
        torn = await _torn(tx, desk, batch, moves)
        await plans.step(tx, [*moves, *torn])
    left = {move.id for move in torn}
    return [s for s in ready if s.change.id not in left], records, targets


async def _torn(tx: Unit, desk: Desk, batch: Sequence[StoredChange], moves: Sequence[Step]) -> list[Step]:
    """What has to go with a member of its group that is no longer true: the others that are still planned, whether
    they are of this batch or of a later one."""
    groups = {s.change.group_id: s.plan_id for s in batch if s.change.group_id != s.change.id}
    gone = {move.id: move for move in moves}
    found = []
    for group, plan_id in groups.items():
        mates = await plans.read_group(tx, plan_id, group)
        why = next((gone[m.change.id] for m in mates if m.change.id in gone), None)
        later = [m for m in mates if m.state == "planned" and m.change.id not in gone]
        if why is None:
            why = await _untrue(tx, desk, later)
        if why is not None:
            found += [msgspec.structs.replace(why, id=m.change.id) for m in later]
    return found


async def _untrue(tx: Unit, desk: Desk, members: Sequence[StoredChange]) -> Step | None:
    """The first of these that could not be sent any more, wherever in the plan it stands."""
    relied = await _relied(tx, desk, members)
    for member in members:
        change = member.change
        refs = [change.ref] if change.ref is not None else []
        targets = await mirror.load(tx, desk.pair.connection(change.side), change.kind, refs)
        move = _moved_since(change, targets, relied)
        if move is not None:
            return move
    return None


async def _relied(tx: Unit, desk: Desk, batch: Sequence[StoredChange]) -> dict[tuple[str, Kind, str], AnyRecord]:
    """Everything that a batch relies on, as the mirror has it now."""
    wanted: dict[tuple[str, Kind], list[str]] = {}
    for stored in batch:
        change = stored.change
        for need in change.requires:
            wanted.setdefault((need.side, need.kind), []).append(need.ref)
        if change.operation != "create" and change.source_kind is change.kind and change.link_id is not None:
            wanted.setdefault((OTHER[change.side], change.source_kind), []).append(change.source_ref)
    found: dict[tuple[str, Kind, str], AnyRecord] = {}
    for (side, kind), refs in wanted.items():
        connection_id = desk.pair.crm if side == "crm" else desk.pair.books
        records = await mirror.load(tx, connection_id, kind, refs)
        found.update({(side, kind, ref): record for ref, record in records.items()})
    return found


def _why_not(
    stored: StoredChange,
    states: dict[str, plans.State],
    records: dict[str, AnyRecord],
    targets: dict[str, AnyRecord],
    relied: dict[tuple[str, Kind, str], AnyRecord],
) -> Step | None:
    """None: send it. Else where it goes (`planned`: it waits for a change that is still open)."""
    change = stored.change
    waits = [states.get(need) for need in change.needs if states.get(need) != "done"]
    if waits:
        return _move(change, "planned", "")
    if _placeholder(records.get(change.id)):
        return _move(change, "held", "what it names was not made")
    return _moved_since(change, targets, relied)


def _moved_since(
    change: Change, targets: dict[str, AnyRecord], relied: dict[tuple[str, Kind, str], AnyRecord]
) -> Step | None:
    """Where a change goes of which something moved that it relies on; None: all of it stands."""
    for need in change.requires:
        record = relied.get((need.side, need.kind, need.ref))
        if record is None or relied_digest(record) != need.digest:
            return _move(change, "stale", _moved(need))
    if change.operation == "archive" and (OTHER[change.side], change.source_kind, change.source_ref) in relied:
        return _move(change, "stale", "its counterpart is back: planned again")
    if change.operation == "update":
        reason = _field_moved(change, targets.get(change.ref or ""), relied)
        if reason is not None:
            return _move(change, "stale", reason)
    return None


def stale(stored: StoredChange, reason: str) -> Step:
    """It goes back to the dirty set."""
    return _move(stored.change, "stale", reason)


def _move(change: Change, to: plans.State, reason: str) -> Step:
    return Step(id=change.id, to=to, come_from=("planned",), reason=_worded(change, reason))


def _worded(change: Change, reason: str) -> str:
    """What is planned again by itself, unless it takes something back: that is asked for anew."""
    return reason if change.undoes is None else reason.replace("planned again", "left as it is")


def _moved(need: Relied) -> str:
    return f"the {need.kind.value.replace('_', ' ')} it was planned from changed: planned again"


def _placeholder(record: AnyRecord | None) -> bool:
    if isinstance(record, Payment):
        return any(each.via is not None and each.via.startswith("@") for each in record.allocations)
    if not isinstance(record, Document):
        return False
    lines = record.lines if isinstance(record.lines, tuple) else ()
    return any(
        isinstance(ref, str) and ref.startswith("@") for ref in (record.customer, *(line.item for line in lines))
    )


def _field_moved(
    change: Change, target: AnyRecord | None, relied: dict[tuple[str, Kind, str], AnyRecord]
) -> str | None:
    """A field that the change relies on and that moved on either side, in words."""
    if target is None:
        return "the record is gone"
    source = relied.get((OTHER[change.side], change.source_kind, change.source_ref))
    for field in change.fields:
        if field.before is not ABSENT and key(field.type, read(target, field.path)) != key(field.type, field.before):
            return f"{field.path} changed meanwhile: planned again"
        path = source_path(change, field.rule)
        if source is not None and path is not None and field.seen is not ABSENT:
            kind = field.seen_type or field.type
            if key(kind, read(source, path)) != key(kind, field.seen):
                return f"{path} changed meanwhile: planned again"
    return None
