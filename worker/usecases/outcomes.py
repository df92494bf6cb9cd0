"""What becomes of a change once the vendor has answered: one unit for state, link or document, base, mirror, tally
and audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors.canon.fields import Value, key, read, to_json
from connectors.canon.records import AnyRecord, Deal, Kind
from connectors.canon.values import ABSENT
from connectors.kit.contract import Denied, Done, InDoubt, Moved, NotSent, Outcome, Side, Tombstone
from worker.engine.billing import customer_of
from worker.engine.guard import tallied
from worker.engine.lost_edit import LostEdit
from worker.engine.merge import Base
from worker.engine.plan import Change, FieldChange
from worker.store import audit, billing, conflicts, dirty_set, links, mirror, plans, tallies
from worker.store.billing import NewDocument
from worker.store.database import Unit
from worker.store.dirty_set import Listener, Parked
from worker.store.links import NewLink, Provenance
from worker.store.plans import Step
from worker.usecases.look_back import ask_about_lost
from worker.usecases.office import OTHER, SIDES, Desk
from worker.usecases.settle_reissued import settle_reissued
from worker.usecases.settle_undone import settle_undone

_NOT_SAID = frozenset(("ref", "version", "type", "kind", "marker", "origin"))


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A change with what the vendor said of it. `sent` is the record as sent, placeholders filled in; `sent_at` when:
    what moved since was not looked at. `lost`: somebody's edits that the write passed over."""

    change: Change
    outcome: Outcome
    sent: AnyRecord | None = None
    sent_at: datetime | None = None
    provenance: Provenance = "created"
    lost: tuple[LostEdit, ...] = ()


async def record_outcomes(
    tx: Unit, desk: Desk, run_id: str, actor: str, answers: Sequence[Answered], listeners: Sequence[Listener]
) -> list[str]:
    """Store what the vendor said. Only changes that were still on their way are moved; their ids come back."""
    moved = set(await plans.step(tx, [_step(answer) for answer in answers]))
    fresh = [answer for answer in answers if answer.change.id in moved]
    done = [answer for answer in fresh if isinstance(answer.outcome, Done)]
    await _agree(tx, desk, done, listeners)
    await settle_undone(tx, desk, [(a.change, _ref(a)) for a in done if a.change.undoes is not None], actor)
    await settle_reissued(tx, desk, [a.change for a in done], actor)
    await ask_about_lost(tx, desk, [(a.change, a.lost) for a in done])
    refused = [a for a in fresh if isinstance(a.outcome, Denied) and a.change.undoes is None]
    await _park_refused(tx, desk, refused)
    await tallies.add(tx, desk.pair.id, [row for answer in done for row in _tallies(answer)])
    await audit.append(tx, desk.pair.id, [_entry(answer, run_id, actor) for answer in fresh if _is_final(answer)])
    return list(moved)


def _is_final(answer: Answered) -> bool:
    return isinstance(answer.outcome, Done | Denied)


def _step(answer: Answered) -> Step:
    change, outcome = answer.change, answer.outcome
    match outcome:
        case Done():
            record = answer.sent or change.record
            customer = getattr(record, "customer", None)
            return Step(
                id=change.id,
                to="done",
                ref=outcome.ref,
                stored=outcome.stored,
                outcome=answer.provenance,
                request_id=outcome.request_id,
                customer=customer if isinstance(customer, str) else None,
            )
        case Denied():
            return Step(id=change.id, to="rejected", reason=outcome.reason, request_id=outcome.request_id)
        case Moved():
            return Step(id=change.id, to="planned", reason="it moved meanwhile", stale=True)
        case NotSent(next="allow"):
            return Step(id=change.id, to="held", reason=outcome.reason, request_id=outcome.request_id)
        case NotSent():
            return Step(id=change.id, to="planned", reason=outcome.reason, request_id=outcome.request_id)
        case InDoubt():
            return Step(id=change.id, to="unknown", come_from=("intended",), reason=outcome.reason)


async def _agree(tx: Unit, desk: Desk, done: Sequence[Answered], listeners: Sequence[Listener]) -> None:
    """Both sides agree on what was written: links, documents and bases say so, the mirror holds what was stored."""
    for side in ("crm", "books"):
        stored = [
            a.outcome.stored
            for a in done
            if a.change.side == side and isinstance(a.outcome, Done) and a.outcome.stored is not None
        ]
        if stored:
            await mirror.store_records(tx, desk.pair.connection(side), stored, listeners)
        gone = [stone for a in done if a.change.side == side and (stone := _gone(a)) is not None]
        if gone:
            await mirror.store_tombstones(tx, desk.pair.connection(side), gone, listeners)
    made = [a for a in done if a.change.operation == "create" and a.change.undoes is None]
    await _link_made(tx, desk, [a for a in made if a.change.kind in (Kind.CUSTOMER, Kind.ITEM)])
    await billing.add_documents(tx, desk.pair.id, [_document(a) for a in made if a.change.position_id is not None])
    await links.store_bases(
        tx, [row for a in done if a.change.operation == "update" for row in _bases(a, a.change.link_id)]
    )
    await _own_values(tx, desk, done)


def _gone(answer: Answered) -> Tombstone | None:
    """What we took away ourselves and the vendor shows no more: its feed may tell that an hour later."""
    change, outcome = answer.change, answer.outcome
    if change.operation not in ("archive", "delete") or not isinstance(outcome, Done) or outcome.stored is not None:
        return None
    return Tombstone(change.kind, outcome.ref, "archived" if change.operation == "archive" else "deleted")


async def _own_values(tx: Unit, desk: Desk, done: Sequence[Answered]) -> None:
    """A person's own value is on one side now: that side of the base says so, and the decision knows."""
    for answer in done:
        change = answer.change
        for field in change.fields:
            if field.both and change.link_id is not None and isinstance(answer.outcome, Done):
                value = _stored(field, answer.outcome.stored)
                await links.store_half_base(tx, change.link_id, field.rule, change.side, value, change.id)
                ref = change.ref if change.side == "crm" else change.source_ref
                await conflicts.own_value_done(tx, desk.pair.id, (change.kind, ref or ""), field.rule, change.side)


async def _link_made(tx: Unit, desk: Desk, made: Sequence[Answered]) -> None:
    """Link what was made with what it was made from. If a person linked one of them meanwhile, that stands: the new
    record has no link then, and the next plan asks about it."""
    new = []
    made = await _unlinked(tx, desk, made)
    for answer in made:
        refs = {answer.change.side: _ref(answer), OTHER[answer.change.side]: answer.change.source_ref}
        new.append(NewLink(answer.change.kind, refs["crm"], refs["books"], answer.provenance, answer.change.why))
    stored = await links.make_links(tx, desk.pair.id, new)
    await links.store_bases(
        tx, [row for answer, link in zip(made, stored, strict=True) for row in _bases(answer, link.id)]
    )
    for side in SIDES:  # a record that waited for its first document has a counterpart now: it waits no more
        sources = [(a.change.kind, a.change.source_ref) for a in made if OTHER[a.change.side] == side]
        await dirty_set.mark(tx, [Listener(desk.pair.id, side)], sources)


async def _unlinked(tx: Unit, desk: Desk, made: Sequence[Answered]) -> list[Answered]:
    def members(answer: Answered) -> list[tuple[Side, Kind, str]]:
        change = answer.change
        return [(change.side, change.kind, _ref(answer)), (OTHER[change.side], change.kind, change.source_ref)]

    taken = await links.find_links(tx, desk.pair.id, [member for answer in made for member in members(answer)])
    return [answer for answer in made if not any(member in taken for member in members(answer))]


def _ref(answer: Answered) -> str:
    return answer.outcome.ref if isinstance(answer.outcome, Done) else ""


def _document(answer: Answered) -> NewDocument:
    change = answer.change
    return NewDocument(
        position_id=change.position_id or "",
        generation=change.generation or 0,
        kind=change.kind,
        ref=_ref(answer),
        provenance="adopted" if answer.provenance == "adopted" else "created",
        marker=change.marker,
    )


def _bases(answer: Answered, link_id: str | None) -> list[tuple[str, str, Base, str]]:
    """Target as the vendor stored it, source as it was read: the vendor's trimming is no edit."""
    if link_id is None or not isinstance(answer.outcome, Done):
        return []
    return [
        (link_id, field.rule, _base(answer, field, answer.outcome.stored), answer.change.id)
        for field in answer.change.fields
        if not field.both
    ]


def _stored(field: FieldChange, stored: AnyRecord | None) -> Value:
    told = read(stored, field.path) if stored is not None else ABSENT
    return told if told is not ABSENT else field.after


def _base(answer: Answered, field: FieldChange, stored: AnyRecord | None) -> Base:
    """What is found after a lost answer may have been typed over since, and where somebody edited meanwhile a part of
    what they typed (a town) may stand beside ours (a street): then what was sent is the base, and that is an edit."""
    value = _stored(field, stored)
    edited = answer.provenance == "adopted" or any(edit.field.rule == field.rule for edit in answer.lost)
    if edited and key(field.type, value) != key(field.type, field.after):
        value = field.after
    crm = answer.change.side == "crm"
    return Base(crm=value, books=field.seen) if crm else Base(crm=field.seen, books=value)


async def _park_refused(tx: Unit, desk: Desk, refused: Sequence[Answered]) -> None:
    """What a vendor refused is not tried again until the record, its customer or the settings change. What moved
    after it was sent was not refused."""
    deals = await mirror.load(
        tx, desk.pair.crm, Kind.DEAL, [a.change.source_ref for a in refused if a.change.source_kind is Kind.DEAL]
    )
    for answer in refused:
        rows = _refused_rows(desk, answer, deals.get(answer.change.source_ref))
        await dirty_set.park(tx, desk.pair.id, rows, desk.settings, until=answer.sent_at)
        if answer.change.flow == "payments":
            await dirty_set.keep_refused(tx, desk.pair.id, rows[0], desk.settings)


def _refused_rows(desk: Desk, answer: Answered, deal: AnyRecord | None) -> list[Parked]:
    change = answer.change
    said = answer.outcome.reason if isinstance(answer.outcome, Denied) else ""
    reason = f"{desk.title(change.side)} says: {said}"
    source: Side = "crm" if change.source_kind is Kind.DEAL else OTHER[change.side]
    waits_for = f"customer:{customer_of(deal)}" if isinstance(deal, Deal) and change.is_money else None
    rows = [
        Parked(
            side=source,
            kind=change.source_kind,
            ref=change.source_ref,
            reason=reason,
            waits_for=waits_for,
            refused=True,
        )
    ]
    if change.ref is not None and (change.side, change.ref) != (source, change.source_ref):
        rows.append(Parked(side=change.side, kind=change.kind, ref=change.ref, reason=reason, refused=True))
    return rows


def _tallies(answer: Answered) -> list[dict[str, Any]]:
    change = answer.change
    common = {"side": change.side, "kind": change.kind.value, "ref": _ref(answer)}
    rows = [{**common, "rule": "", "what": what} for what in tallied(change)]
    if change.operation == "update":
        rows += [{**common, "rule": field.rule, "what": "field"} for field in change.fields]
    return rows


def _entry(answer: Answered, run_id: str, actor: str) -> audit.Entry:
    """What was done, or refused: then it is the source's story, for at the target there is nothing."""
    change, outcome = answer.change, answer.outcome
    source_side: Side = "crm" if change.source_kind is Kind.DEAL else OTHER[change.side]
    source = f"{source_side}:{change.source_kind.value}:{change.source_ref}"
    denied = outcome if isinstance(outcome, Denied) else None
    ref = outcome.ref if isinstance(outcome, Done) else change.ref
    before = {field.path: to_json(field.before) for field in change.fields if field.before is not ABSENT}
    after = {field.path: to_json(field.after) for field in change.fields}
    detail = {
        "net": change.net,
        "total": change.total,
        "marker": change.marker,
        "number": _number(answer),
        "how": "found after a lost answer" if answer.provenance == "adopted" else None,
    }
    return audit.Entry(
        action=f"{change.kind.value}.{'refused' if denied is not None else change.operation}",
        actor=actor,
        subject=f"{change.side}:{change.kind.value}:{ref}" if ref is not None else source,
        source=source,
        run=run_id,
        change=change.id,
        why=change.why,
        said=denied.reason if denied is not None else None,
        request_id=getattr(outcome, "request_id", None),
        before=before or None,
        after=after or _made(answer) or None,
        detail={name: str(value) for name, value in detail.items() if value is not None},
    )


def _number(answer: Answered) -> str | None:
    """What people call a document."""
    stored = answer.outcome.stored if isinstance(answer.outcome, Done) else None
    number = getattr(stored, "number", None)
    return number if isinstance(number, str) else None


def _made(answer: Answered) -> dict[str, Any]:
    """Of a record that was made without fields of a mapping (a document): what it says, as it was sent."""
    record = answer.sent if answer.sent is not None else answer.change.record
    if record is None or answer.change.operation != "create":
        return {}
    said: dict[str, Any] = msgspec.to_builtins(record)
    return {name: value for name, value in said.items() if value not in (None, "", [], {}) and name not in _NOT_SAID}
