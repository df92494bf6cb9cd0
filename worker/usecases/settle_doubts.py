"""After a lost answer or a dead worker: find out what the vendor did before anything is sent again.

Presence may be found at any time. Absence counts only once the call can no longer land: its deadline, the time the
vendor declares that a call may still take, and the delay of its search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from connectors.canon.fields import key, read
from connectors.canon.records import AnyRecord, Document, Kind, Payment
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Done, KindFacts, Side, Tombstone
from worker.crash import crash
from worker.engine.lost_edit import LostEdit, Passed
from worker.engine.match import Absent, Adopt, Sought, adopt
from worker.engine.match import Hold as Undecided
from worker.engine.plan import Change
from worker.store import connections, links, plans
from worker.store.database import Unit
from worker.store.plans import Step, StoredChange
from worker.usecases.fill_in import filled_in
from worker.usecases.look_back import ask_about_lost, look_back
from worker.usecases.office import Desk
from worker.usecases.outcomes import Answered, record_outcomes


class Doubts(msgspec.Struct, frozen=True, kw_only=True):
    """What is left open, and when it is worth looking again."""

    left: int
    not_before: datetime | None


async def settle_doubts(desk: Desk, run_id: str, actor: str) -> Doubts:
    """Probe every change of the pair whose fate is not known and whose call is over."""
    async with desk.db.read() as tx:
        now = await tx.now()
        opened = await plans.open_intents(tx, desk.pair.id)
    over = [s for s in opened if s.state == "unknown" or (s.call_until is not None and s.call_until <= now)]
    groups: dict[tuple[Side, Kind, str], list[StoredChange]] = {}
    for stored in over:
        groups.setdefault((stored.change.side, stored.change.kind, stored.change.operation), []).append(stored)
    for (side, kind, operation), items in groups.items():
        if operation == "create":
            await _settle_creates(desk, run_id, actor, side, kind, items, now)
        else:
            await _settle_others(desk, run_id, actor, side, kind, items, now)
    async with desk.db.read() as tx:
        left = await plans.open_intents(tx, desk.pair.id)
    return Doubts(left=len(left), not_before=max((_decidable(desk, s) for s in left), default=None))


def _facts(desk: Desk, side: Side, kind: Kind) -> KindFacts:
    return desk.facts(side, kind)


def _decidable(desk: Desk, stored: StoredChange) -> datetime:
    """From when on "not found" counts."""
    facts = _facts(desk, stored.change.side, stored.change.kind)
    if stored.call_until is None:
        raise ValueError(f"{stored.change.id} was never sent")
    return stored.call_until + timedelta(seconds=facts.lands_within_s + facts.search_delay_s)


# --------------------------------------------------------------------------- creates


async def _settle_creates(
    desk: Desk, run_id: str, actor: str, side: Side, kind: Kind, items: Sequence[StoredChange], now: datetime
) -> None:
    connector = desk.connector(side)
    by_marker = await connector.by_marker(kind, [s.change.marker or "" for s in items])
    window = await _window(desk, side, kind, items)
    crash("probe.answered")
    async with desk.db.write() as tx:
        sent = await filled_in(tx, [s.change for s in items])
        taken = await _taken(tx, desk, side, kind, window, by_marker)
        listeners = await connections.listeners(tx, desk.pair.connection(side))
        answers, moves = [], []
        for stored in items:
            marked = by_marker.get(stored.change.marker or "", [])
            record = sent.get(stored.change.id) or stored.change.record
            found = adopt(_sought(stored, record), marked, window, lambda ref: ref not in taken)
            if isinstance(found, Adopt):
                taken.add(found.ref)
                answers.append(_adopted(stored, found.ref, [*marked, *window], record))
            elif isinstance(found, Absent) and now >= _decidable(desk, stored):
                moves.append(Step(id=stored.change.id, to="planned", reason="it did not arrive: sent again"))
            elif isinstance(found, Undecided) and now >= _decidable(desk, stored):
                moves.append(Step(id=stored.change.id, to="held", reason=f"{found.reason}: a person decides"))
        await record_outcomes(tx, desk, run_id, actor, answers, listeners)
        await plans.step(tx, moves)
        crash("probe.stored")
    crash("probe.committed")


async def _window(desk: Desk, side: Side, kind: Kind, items: Sequence[StoredChange]) -> list[AnyRecord]:
    """Second probe: what was made since each call's mark, of these customers. Marks are the vendor's: which of two
    is the earlier is not for us to say."""
    marks = dict.fromkeys(s.mark for s in items if s.mark is not None)
    if not marks:
        return []
    async with desk.db.read() as tx:
        sent = await filled_in(tx, [s.change for s in items])
    customers = {getattr(record, "customer", None) for record in sent.values()}
    named = sorted(ref for ref in customers if isinstance(ref, str) and ref)
    found: dict[str, AnyRecord] = {}
    for mark in marks:
        found.update({record.ref: record for record in await desk.connector(side).created_since(kind, mark, named)})
    return list(found.values())


async def _taken(
    tx: Unit,
    desk: Desk,
    side: Side,
    kind: Kind,
    window: Sequence[AnyRecord],
    by_marker: dict[str, list[AnyRecord]],
) -> set[str]:
    refs = {r.ref for r in window} | {r.ref for found in by_marker.values() for r in found}
    if kind in (Kind.CUSTOMER, Kind.ITEM):
        return refs - await links.is_free(tx, desk.pair.id, side, kind, sorted(refs))
    from worker.store.billing import documents_by_ref

    known = await documents_by_ref(tx, desk.pair.id, [(kind, ref) for ref in refs])
    return {ref for _, ref in known}


def _sought(stored: StoredChange, record: AnyRecord | None) -> Sought:
    change = stored.change

    def text(name: str) -> str | None:
        value = getattr(record, name, None)
        return value if isinstance(value, str) and value else None

    cash = record.amount if isinstance(record, Payment) and isinstance(record.amount, Money) else None
    return Sought(
        kind=change.kind,
        marker=change.marker or "",
        customer=text("customer"),
        currency=cash.currency if cash is not None else change.net.currency if change.net is not None else None,
        total=cash.amount if cash is not None else change.total if isinstance(record, Document) else None,
        name=text("display_name") or text("legal_name") or text("name"),
        note=text("internal_note"),
    )


def _adopted(stored: StoredChange, ref: str, found: Sequence[AnyRecord], record: AnyRecord | None) -> Answered:
    same = next(r for r in found if r.ref == ref)
    return Answered(change=stored.change, outcome=Done(ref, same.version, same), sent=record, provenance="adopted")


# --------------------------------------------------------------------------- updates, voids


async def _settle_others(
    desk: Desk, run_id: str, actor: str, side: Side, kind: Kind, items: Sequence[StoredChange], now: datetime
) -> None:
    """Read by ref: fields as after -> done, as before -> planned again once the call can no longer land, anything
    else -> stale. Where the vendor keeps history, edits that the write passed over are looked for, as after an
    answer."""
    refs = [s.change.ref for s in items if s.change.ref is not None]
    found = await desk.connector(side).get(kind, refs)
    lost = await _lost(desk, items, found)
    crash("probe.answered")
    answers, moves = [], []
    unasked: list[tuple[Change, Sequence[LostEdit]]] = []
    for stored in items:
        current = found.get(stored.change.ref or "")
        verdict = _compare(stored, current)
        if verdict == "done":
            alive = current if current is not None and not isinstance(current, Tombstone) else None
            ref = stored.change.ref or ""
            done = Done(ref, alive.version if alive is not None else None, alive)
            answers.append(Answered(change=stored.change, outcome=done, lost=lost.get(stored.change.id, ())))
        elif verdict == "planned" and now < _decidable(desk, stored):
            continue
        elif verdict == "planned":
            moves.append(Step(id=stored.change.id, to="planned", reason="it did not arrive: sent again"))
        else:
            moves.append(Step(id=stored.change.id, to="stale", reason="it was changed by somebody meanwhile"))
            unasked.append((stored.change, lost.get(stored.change.id, ())))
    async with desk.db.write() as tx:
        listeners = await connections.listeners(tx, desk.pair.connection(side))
        await record_outcomes(tx, desk, run_id, actor, answers, listeners)
        await plans.step(tx, moves)
        await ask_about_lost(tx, desk, unasked)
        crash("probe.stored")
    crash("probe.committed")


async def _lost(
    desk: Desk, items: Sequence[StoredChange], found: Mapping[str, AnyRecord | Tombstone]
) -> dict[str, tuple[LostEdit, ...]]:
    """By change, the edits that a write which may have arrived passed over."""
    updates = [s for s in items if s.change.operation == "update"]
    async with desk.db.read() as tx:
        before = await plans.read_before(tx, [s.change.id for s in updates])
    passed = [
        Passed(change=s.change, before=before[s.change.id], stored=current)
        for s in updates
        if s.change.id in before
        and (current := found.get(s.change.ref or "")) is not None
        and not isinstance(current, Tombstone)
    ]
    return await look_back(desk, passed)


def _compare(stored: StoredChange, current: AnyRecord | Tombstone | None) -> str:
    change = stored.change
    if change.operation == "unlink":
        return "done"  # no vendor was asked: writing it down is all there is to do
    if current is None or isinstance(current, Tombstone):
        return "done" if change.operation in ("void", "delete", "archive") else "stale"
    if change.operation == "void":
        return "done" if getattr(current, "state", None) == "void" else "planned"
    if change.operation == "archive":  # at some vendors that is a record which is still to be seen, inactive
        return "done" if getattr(current, "active", True) is False else "planned"
    if change.operation != "update":
        return "planned"
    now = {f.path: key(f.type, read(current, f.path)) for f in change.fields}
    if all(now[f.path] == key(f.type, f.after) for f in change.fields):
        return "done"
    if all(f.before is ABSENT or now[f.path] == key(f.type, f.before) for f in change.fields):
        return "planned"
    return "stale"
