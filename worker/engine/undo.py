"""Take back what a run did: the reverse of each of its changes, or why it is left as it is. Pure.

Only what still stands as that run left it is taken back; what somebody or a later run touched since is left out and
said. Payment states come before documents, documents before customers and items, each the last one first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.fields import FIELDS, FieldType, Value, key, read
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    CreditNote,
    Customer,
    Deal,
    Document,
    Invoice,
    Item,
    Kind,
    Payment,
    kind_of,
)
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Operation, Side
from worker.engine.field_names import field_name
from worker.engine.plan import FLOW_ORDER, Change, Deed, FieldChange, Relied, left_out, relied_digest, source_path
from worker.engine.transform import is_empty

OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}
NO_WAY_BACK: dict[Deed, str] = {
    "void": "a void cannot be undone: doing it again is a new document with a new number",
    "delete": "what was deleted cannot be brought back",
    "archive": "what was made inactive is made active again by hand",
    "send": "what was sent cannot be called back",
    "unlink": "the two are linked again by hand",
}
# What the books compute, and what says nothing about the record itself.
_NOT_AN_EDIT = frozenset({"balance", "overdue", "unapplied", "active", "state", "remaining", "internal_note"})


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A done change of the run: the record as the vendor stored it, and whether it was made or found (`adopted`)."""

    change: Change
    ref: str
    stored: AnyRecord | None
    provenance: str | None


class Since(msgspec.Struct, frozen=True, kw_only=True):
    """Another done change of ours to the same record, after it: the fields it wrote, and the run it belongs to."""

    id: str
    run: str
    undoes: str | None
    rules: frozenset[str]


class Hanging(msgspec.Struct, frozen=True):
    """A live record that names another one. `name` as people call it: "invoice 1041"."""

    kind: Kind
    ref: str
    name: str


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """How the record of a done change stands now. `target` None: it is gone. `source`: its counterpart, if it has one;
    `link_id` the link of the two, and `linked` how they came together; `hanging`: what names it; `applied`: what
    settled it, in words; `live`: whether it is still the document of its position."""

    target: AnyRecord | None = None
    source: AnyRecord | None = None
    link_id: str | None = None
    linked: str | None = None
    since: tuple[Since, ...] = ()
    hanging: tuple[Hanging, ...] = ()
    applied: tuple[str, ...] = ()
    live: bool = True


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What the pair's systems can do and what holds there. `marker`: of the credit note for an invoice's ref;
    `locked_until`: the last day of the closed period; `by_payment`: in the books a credit note is brought to its
    invoice by a payment of zero."""

    titles: Mapping[Side, str]
    operations: Mapping[tuple[Side, Kind], frozenset[Operation]]
    today: date
    locked_until: date | None
    marker: Callable[[str], str]
    region: str | None = None
    by_payment: bool = False

    def can(self, side: Side, kind: Kind, operation: Operation) -> bool:
        return operation in self.operations.get((side, kind), frozenset())

    def is_locked(self, day: date) -> bool:
        return self.locked_until is not None and day <= self.locked_until

    @property
    def open_day(self) -> date:
        """Today, or the first day after the closed period."""
        return open_day(self.today, self.locked_until)


def open_day(today: date, locked_until: date | None) -> date:
    """Today, or the first day after the closed period: what a credit note is dated."""
    if locked_until is None or locked_until < today:
        return today
    return locked_until + timedelta(days=1)


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the run that is left as it is, and why. `what`: a field, or what was done to the record."""

    change: str
    side: Side
    kind: Kind
    title: str
    what: str
    reason: str


class TakenBack(msgspec.Struct, frozen=True):
    """The reverse changes in the order in which they are to be made, and what is left out."""

    changes: tuple[Change, ...]
    left: tuple[Left, ...]


NewId: TypeAlias = Callable[[str], str]


def take_back(
    run: Sequence[Written], now: Mapping[str, Now], house: House, new_id: NewId, *, whole: bool = True
) -> TakenBack:
    """The reverse of a run. `run` in the order in which it was made; `now` by change id. `whole`: what was made as a
    group is taken back as a group, or left as it is; otherwise what can be taken back of it is."""
    taking = _Taking(house, new_id)
    rank = {flow: n for n, flow in enumerate(FLOW_ORDER)}
    for _, written in sorted(enumerate(run), key=lambda each: (-rank[each[1].change.flow], -each[0])):
        taking.take(written, now.get(written.change.id, Now()))
    if whole:
        taking.keep_whole(run)
    return TakenBack(tuple(taking.changes), tuple(taking.left))


class _Taking:
    """Gathers the two lists. `ended`: documents that the plan takes back, with the change that does it."""

    def __init__(self, house: House, new_id: NewId) -> None:
        self.house, self.new_id = house, new_id
        self.changes: list[Change] = []
        self.left: list[Left] = []
        self.ended: dict[tuple[Kind, str], str] = {}

    def take(self, written: Written, now: Now) -> None:
        change = written.change
        if change.operation in NO_WAY_BACK:
            self.leave(written, DONE[change.operation], NO_WAY_BACK[change.operation])
        elif now.target is None:
            self.leave(written, _made_or_changed(change), f"it is gone from {self.title(change)}")
        elif change.operation == "update":
            self._put_back(written, now, now.target)
        elif change.kind in (Kind.CUSTOMER, Kind.ITEM):
            self._unmake(written, now, now.target)
        elif isinstance(now.target, Invoice):
            self._end(written, now, now.target)
        else:
            self.leave(written, _made_or_changed(change), "it is taken back by hand")

    def title(self, change: Change) -> str:
        return self.house.titles[change.side]

    def leave(self, written: Written, what: str, reason: str) -> None:
        change = written.change
        self.left.append(
            Left(change=change.id, side=change.side, kind=change.kind, title=change.title, what=what, reason=reason)
        )

    def add(self, written: Written, operation: Deed, why: str, **more: object) -> Change:
        """A change that takes `written` back; what is not said is as it was there."""
        old = written.change
        said = {
            "id": self.new_id("ch"),
            "flow": old.flow,
            "side": old.side,
            "kind": old.kind,
            "operation": operation,
            "source_kind": old.source_kind,
            "source_ref": old.source_ref,
            "title": old.title,
            "why": why,
            "ref": written.ref,
            "undoes": old.id,
        }
        change = Change(**(said | more))  # type: ignore[arg-type]  # the fields of a change, by name
        self.changes.append(change)
        return change

    # ----------------------------------------------------------------- groups

    def keep_whole(self, run: Sequence[Written]) -> None:
        """All of a group that the run made, or none of it; and nothing that only goes with what is left."""
        made = {written.change.id: written for written in run}
        taken = {change.undoes for change in self.changes}
        names: dict[str, str] = {}
        why: dict[str, str] = {}
        for group, mates in _groups(run).items():
            stays = next((mate.change.title for mate in mates if mate.change.id not in taken), None)
            names |= {mate.change.id: f"back:{group}" for mate in mates}
            if stays is not None:
                why |= {mate.change.id: f"it belongs to {stays}, which is left as it is" for mate in mates}
        self.changes = [
            msgspec.structs.replace(c, group_id=names[c.undoes]) if c.undoes in names else c for c in self.changes
        ]
        gone = left_out(self.changes, {c.id for c in self.changes if c.undoes in why})
        for change in [c for c in self.changes if c.id in gone]:
            written = made[change.undoes or ""]
            reason = why.get(change.undoes or "", "what hangs on it is left as it is")
            self.leave(written, _made_or_changed(written.change), reason)
        self.changes = [change for change in self.changes if change.id not in gone]

    # ----------------------------------------------------------------- fields

    def _put_back(self, written: Written, now: Now, target: AnyRecord) -> None:
        """Each field that both sides still hold as the run left it gets its old value back."""
        fields = []
        for field in written.change.fields:
            reason = self._field_stays(written, field, now, target)
            if reason is None:
                fields.append(_reversed(written.change, field, now, target))
            else:
                self.leave(written, field_name(field.path), reason)
        if fields:
            self.add(written, "update", "put back as it was", fields=tuple(fields), link_id=now.link_id)

    def _field_stays(self, written: Written, field: FieldChange, now: Now, target: AnyRecord) -> str | None:
        """Why a field is left as it is; None: it may be put back."""
        change, house = written.change, self.house
        if field.rule == "active":
            return NO_WAY_BACK["archive"]
        if field.before is ABSENT:
            return "what it was before is not known"
        touched = _touched(change.id, field.rule, now.since)
        if touched is not None:
            return touched
        current = key(field.type, read(target, field.path), house.region)
        if current not in {key(field.type, value, house.region) for value in _as_left(written, field)}:
            return f"changed in {self.title(change)} since"
        path = source_path(change, field.rule)
        if now.source is None or path is None or field.both or field.seen is ABSENT:
            return None
        there, kind = read(now.source, path), field.seen_type or field.type
        if there is not ABSENT and key(kind, there, house.region) != key(kind, field.seen, house.region):
            return f"changed in {house.titles[OTHER[change.side]]} since; the next preview brings that"
        return None

    # ----------------------------------------------------------------- customers and items

    def _unmake(self, written: Written, now: Now, target: AnyRecord) -> None:
        """What Tieout made is made inactive, if nobody touched it and nothing hangs on it; what it found is only
        unlinked."""
        change = written.change
        if now.linked is None and written.provenance != "created":
            self.leave(written, "link", "it is not linked any more")
            return
        if written.provenance != "created" or now.linked not in ("created", None):
            self.add(written, "unlink", "it was there before: no longer linked, and left as it is")
            return
        reason = self._record_stays(written, now, target)
        if reason is not None:
            self.leave(written, _made_or_changed(change), reason)
            return
        needs = tuple(self.ended[h.kind, h.ref] for h in now.hanging if (h.kind, h.ref) in self.ended)
        why = "made by that run; nothing hangs on it"
        self.add(written, "archive", why, needs=tuple(dict.fromkeys(needs)), requires=(_relied(change, target),))

    def _record_stays(self, written: Written, now: Now, target: AnyRecord) -> str | None:
        change = written.change
        if isinstance(target, Customer | Item) and not target.active:
            return f"it is inactive in {self.title(change)} already"
        edited = edits(written.stored, target, self.house.region)
        if edited:
            by = f"by run {now.since[-1].run}" if now.since else f"in {self.title(change)}"
            return f"{', '.join(field_name(path) for path in edited)} changed {by} since"
        hanging = [h.name for h in now.hanging if (h.kind, h.ref) not in self.ended]
        if hanging:
            more = f" and {len(hanging) - 1} more" if len(hanging) > 1 else ""
            return f"{hanging[0]}{more} hang{'' if more else 's'} on it"
        if not self.house.can(change.side, change.kind, "archive"):
            return f"{self.title(change)} cannot make it inactive"
        return None

    # ----------------------------------------------------------------- documents

    def _end(self, written: Written, now: Now, invoice: Invoice) -> None:
        """accounting.md, "What undo may do": a draft is deleted, an invoice that nobody has seen yet is voided, any
        other is credited in the open period. What somebody applied to it is never taken off."""
        reason = self._document_stays(written, now, invoice)
        if reason is not None:
            self.leave(written, "invoice", reason)
        elif invoice.state in ("draft", "pending_approval"):
            self._act(written, invoice, "delete", "a draft is deleted")
        else:
            self._void_or_credit(written, invoice)

    def _document_stays(self, written: Written, now: Now, invoice: Invoice) -> str | None:
        change = written.change
        system = self.title(change)
        if invoice.state == "void":
            return f"invoice {_number(invoice)} is void already"
        if not now.live:
            return f"invoice {_number(invoice)} was taken back already"
        if written.provenance == "adopted" and (invoice.marker is None or invoice.marker != change.marker):
            return f"it was found in {system} after a lost answer, and may be somebody's own"
        if now.applied:
            verb = "is" if len(now.applied) == 1 else "are"
            return f"{', '.join(now.applied)} {verb} applied to it, and not by Tieout: take that off in {system} first"
        if invoice.state == "posted" and isinstance(invoice.balance, Decimal) and invoice.balance != invoice.total:
            return f"part of it is settled: take that off in {system} first"
        edited = edits(written.stored, invoice, self.house.region)
        if edited:
            return f"{', '.join(field_name(path) for path in edited)} changed in {system} since"
        return None

    def _void_or_credit(self, written: Written, invoice: Invoice) -> None:
        change, house = written.change, self.house
        seen = why_credited(invoice, house)
        if seen is None and house.can(change.side, change.kind, "void"):
            self._act(written, invoice, "void", f"for {change.title}; its number stays used")
            return
        if seen is None:
            self.leave(written, "invoice", f"{self.title(change)} cannot void it")
        elif house.can(change.side, Kind.CREDIT_NOTE, "create"):
            self._credit(written, invoice, seen)
        else:
            self.leave(written, "invoice", f"{seen}, and Tieout makes no credit notes in {self.title(change)}")

    def _act(self, written: Written, invoice: Invoice, operation: Operation, why: str) -> None:
        change = written.change
        if not self.house.can(change.side, change.kind, operation):
            self.leave(written, "invoice", f"{self.title(change)} cannot {operation} it")
            return
        done = self.add(
            written,
            operation,
            why,
            title=_number(invoice),
            net=change.net,
            total=change.total,
            requires=(_relied(change, invoice),),
        )
        self.ended[change.kind, written.ref] = done.id

    def _credit(self, written: Written, invoice: Invoice, seen: str) -> None:
        change, day = written.change, self.house.open_day
        note = self.add(
            written,
            "create",
            f"{seen}: credited, dated {day}",
            kind=Kind.CREDIT_NOTE,
            ref=None,
            title=f"for invoice {_number(invoice)}",
            record=credit_note(invoice, day),
            marker=self.house.marker(invoice.ref),
            net=change.net,
            total=change.total,
            requires=(_relied(change, invoice),),
        )
        if self.house.by_payment:
            self.changes += brought(note, invoice, self.house.marker(f"{invoice.ref}:applied"), self.new_id("ch"))


def _groups(run: Sequence[Written]) -> dict[str, list[Written]]:
    """What was made together, by group."""
    found: dict[str, list[Written]] = {}
    for written in run:
        if written.change.group_id not in ("", written.change.id):
            found.setdefault(written.change.group_id, []).append(written)
    return {group: mates for group, mates in found.items() if len(mates) > 1}


DONE: dict[Deed, str] = {
    "create": "made", "update": "changed", "void": "voided", "delete": "deleted", "archive": "made inactive",
    "send": "sent", "unlink": "unlinked",
}  # fmt: skip


def _made_or_changed(change: Change) -> str:
    return f"{change.kind.value.replace('_', ' ')} {DONE[change.operation]}"


def _relied(change: Change, record: AnyRecord) -> Relied:
    return Relied(change.side, kind_of(record), record.ref, relied_digest(record))


def _number(document: Document) -> str:
    return document.number if isinstance(document.number, str) and document.number else document.ref


def _reversed(change: Change, field: FieldChange, now: Now, target: AnyRecord) -> FieldChange:
    """The field's old value against what stands there now. `seen` is what the other side holds: with that and the old
    value the two agree to differ until somebody edits."""
    current = read(target, field.path)
    path = source_path(change, field.rule)
    there = read(now.source, path) if now.source is not None and path is not None else ABSENT
    return FieldChange(
        path=field.path,
        rule=field.rule,
        type=field.type,
        before=current,
        after=field.before,
        seen=ABSENT if field.both else there if there is not ABSENT else field.seen,
        seen_type=field.seen_type,
        empties=is_empty(field.type, field.before) and not is_empty(field.type, current),
        both=field.both,
    )


def _as_left(written: Written, field: FieldChange) -> tuple[Value, ...]:
    """What the run left there: what was sent, and what the vendor made of it."""
    stored = read(written.stored, field.path) if written.stored is not None else ABSENT
    return (field.after, stored) if stored is not ABSENT else (field.after,)


def _touched(change_id: str, rule: str, since: Sequence[Since]) -> str | None:
    """Whether another change of ours wrote the field since, in words. A later change that was itself taken back, and
    what took it back, count for nothing."""
    writers = [s for s in since if rule in s.rules]
    taken_back = {s.undoes for s in writers if s.undoes is not None}
    ids = {s.id for s in writers}
    standing = [s for s in writers if s.id not in taken_back and s.undoes not in ids]
    if not standing:
        return None
    last = standing[-1]
    return f"undone already by run {last.run}" if last.undoes == change_id else f"written again by run {last.run}"


def edits(stored: AnyRecord | None, now: AnyRecord, region: str | None = None) -> list[str]:
    """The fields of a record that differ from what was stored. What the books compute is no edit; what is not told now
    is none either, and what was not told then was empty."""
    if stored is None:
        return []
    kind = kind_of(now)
    paths = {path: kind_type for path, kind_type in FIELDS[kind].items() if path not in _NOT_AN_EDIT}
    paths |= {f"properties.{name}": FieldType.TEXT for name in now.properties if name in stored.properties}
    found = []
    for path, kind_type in paths.items():
        was, is_now = read(stored, path), read(now, path)
        if is_now is not ABSENT and key(kind_type, is_now, region) != key(
            kind_type, None if was is ABSENT else was, region
        ):
            found.append(path)
    return found


def why_credited(invoice: Invoice, house: House) -> str | None:
    """Why a posted invoice may not be voided any more; None: it may."""
    number = _number(invoice)
    if invoice.emailed is True or (invoice.sent_at is not ABSENT and invoice.sent_at is not None):
        return f"invoice {number} was sent"
    if invoice.fiscal_status is not ABSENT and invoice.fiscal_status is not None:
        return f"invoice {number} was cleared ({invoice.fiscal_status})"
    if invoice.period is not ABSENT and invoice.period != "open":
        return f"invoice {number} is in a {invoice.period} period"
    if isinstance(invoice.date, date) and house.is_locked(invoice.date):
        return f"invoice {number} is in a period closed until {house.locked_until}"
    return None


def credit_note(invoice: Invoice, day: date) -> CreditNote:
    """What takes an invoice back in full: its lines, dated `day`, applied to it."""
    lines = invoice.lines if isinstance(invoice.lines, tuple) else ()
    total = invoice.total if invoice.total is not ABSENT and invoice.total is not None else None
    return CreditNote(
        customer=invoice.customer,
        date=day,
        state="posted",
        currency=invoice.currency,
        exchange_rate=invoice.exchange_rate,
        prices_include_tax=invoice.prices_include_tax,
        lines=tuple(msgspec.structs.replace(line, key="", position=None) for line in lines),
        bill_to=invoice.bill_to,
        memo=f"Takes back invoice {_number(invoice)}",
        dimensions=invoice.dimensions,
        reason=f"invoice {_number(invoice)} was taken back",
        corrects=(invoice.ref,),
        allocations=(Allocation(document=invoice.ref, amount=total, on=day),) if total is not None else ABSENT,
    )


def brought(note: Change, invoice: Invoice, marker: str, change_id: str) -> list[Change]:
    """The payment of zero that brings a credit note to its invoice, for books that do not do so when it is made. It is
    no part of the note's group: if it is refused, the note stands unapplied, which is correct in the customer's
    balance, and a person applies it. Nothing, where the total is not told."""
    credit = note.record
    if not isinstance(credit, CreditNote) or not isinstance(invoice.total, Decimal):
        return []
    day = credit.date if isinstance(credit.date, date) else None
    currency = invoice.currency if isinstance(invoice.currency, str) else note.net.currency if note.net else ""
    settled = Allocation(document=invoice.ref, amount=invoice.total, on=day, via=f"@{note.id}")
    record = Payment(customer=invoice.customer, amount=Money(Decimal(0), currency), allocations=(settled,))
    return [
        msgspec.structs.replace(
            note,
            id=change_id,
            kind=Kind.PAYMENT,
            title=f"credit to invoice {_number(invoice)}",
            why="the credit note settles it; no money moves",
            record=msgspec.structs.replace(record, date=credit.date),
            marker=marker,
            net=None,
            total=None,
            needs=(note.id,),
            group_id="",
            group_seq=1,
        )
    ]


def named(record: AnyRecord) -> str:
    """A record that hangs on another, or settled it, as people call it: "payment of USD 50.00 on 2026-11-20"."""
    kind = kind_of(record).value.replace("_", " ")
    if isinstance(record, Document):
        return f"{kind} {_number(record)}"
    if isinstance(record, Deal) and isinstance(record.name, str):
        return f'deal "{record.name}"'
    amount, day = getattr(record, "amount", None), getattr(record, "date", None)
    of = f" of {amount}" if isinstance(amount, Money) else f" {record.ref}"
    return f"{kind}{of}{f' on {day}' if isinstance(day, date) else ''}"
