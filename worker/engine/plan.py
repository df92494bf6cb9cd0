"""Plans and changes as values: printed, stored, fingerprinted, approved, and checked again before they are carried
out. Pure."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.fields import FieldType, Value, from_json, to_json
from connectors.canon.records import AnyRecord, Customer, Deal, Kind, encode
from connectors.canon.values import ABSENT, Money
from connectors.kit.contract import Operation, Side

# What a change does. `unlink` is ours alone: two records are no counterparts any more, and no vendor hears of it.
Deed: TypeAlias = Operation | Literal["unlink"]

Flow: TypeAlias = Literal["customers", "items", "invoices", "payments"]

# Who comes first: a document needs its customer and its items, a payment state needs its document.
FLOW_ORDER: tuple[Flow, ...] = ("customers", "items", "invoices", "payments")


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a change. `before` is the target's value as planned, `after` what is written, `seen` the
    source's value that led to it; `overwrites` an edit on the target that the mapping's authority lets go. `both`: a
    person's own value, written to each side for itself. `fills`: there was nothing, and never had been."""

    path: str
    rule: str
    type: FieldType
    before: Value
    after: Value
    seen: Value = ABSENT
    seen_type: FieldType | None = None
    overwrites: Value = ABSENT
    empties: bool = False
    both: bool = False
    fills: bool = False


class Relied(msgspec.Struct, frozen=True):
    """A record that a change relies on, with the digest of what it relies on (`relied_digest`)."""

    side: Side
    kind: Kind
    ref: str
    digest: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One intended vendor write. Changes of one `group_id` stand and fall together, in `group_seq` order. `undoes`: the
    change that this one takes back."""

    id: str
    flow: Flow
    side: Side
    kind: Kind
    operation: Deed
    source_kind: Kind
    source_ref: str
    title: str
    why: str
    ref: str | None = None
    link_id: str | None = None
    position_id: str | None = None
    generation: int | None = None
    group_id: str = ""
    group_seq: int = 1
    compensation: str | None = None
    needs: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    record: AnyRecord | None = None
    requires: tuple[Relied, ...] = ()
    marker: str | None = None
    net: Money | None = None
    total: Decimal | None = None
    held: str | None = None
    undoes: str | None = None

    @property
    def is_money(self) -> bool:
        """Whether it posts or takes back a document: what approvals count, and what *without money* leaves out."""
        return self.kind in (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)


def left_out(changes: Sequence[Change], out: Iterable[str]) -> set[str]:
    """Ids of what cannot go without `out`: it, what needs any of it, and the rest of each group it is torn from."""
    gone = set(out)
    mates: dict[str, list[Change]] = {}
    needy: dict[str, list[Change]] = {}
    for change in changes:
        mates.setdefault(change.group_id or change.id, []).append(change)
        for need in change.needs:
            needy.setdefault(need, []).append(change)
    groups = {change.id: change.group_id or change.id for change in changes}
    todo = list(gone)
    while todo:
        id_ = todo.pop()
        more = {c.id for c in (*needy.get(id_, ()), *mates.get(groups.get(id_, ""), ()))} - gone
        gone |= more
        todo += more
    return gone


def held_together(changes: Sequence[Change]) -> list[Change]:
    """A group of which one is held is held whole, for the same reason."""
    reasons: dict[str, str] = {}
    for change in changes:
        if change.held is not None and change.group_id:
            reasons.setdefault(change.group_id, change.held)
    return [
        msgspec.structs.replace(change, held=reasons[change.group_id])
        if change.held is None and change.group_id in reasons
        else change
        for change in changes
    ]


def source_path(change: Change, rule: str) -> str | None:
    """The source's path out of a rule's key ("<crm path>:<books path>"); payment states have no source record."""
    if change.flow == "payments":
        return None
    crm, _, books = rule.partition(":")
    return crm if change.side == "books" else books


_DEAL_RELIES_ON = (
    *("sold_to", "bill_to", "ship_to", "status", "stage", "won_at", "won_on", "amount", "lines", "discount"),
    *("shipping", "po_number", "payment_terms", "memo", "billing_plan"),
)


def relied_digest(record: AnyRecord) -> str:
    """Digest of what a document or a created record relies on: a deal's money and parties, all that a customer or
    an item says. The version is no part of it: that moves for reasons that are no edit."""
    if isinstance(record, Deal):
        relied: Any = Deal(ref=record.ref, **{name: getattr(record, name) for name in _DEAL_RELIES_ON})
    elif isinstance(record, Customer):
        relied = msgspec.structs.replace(
            record,
            version=None,
            updated_at=None,
            source=None,
            balance=ABSENT,
            overdue=ABSENT,
            unapplied=ABSENT,
            as_of=ABSENT,
        )
    else:
        relied = msgspec.structs.replace(record, version=None, updated_at=None, source=None)
    return hashlib.blake2b(encode(relied), digest_size=16).hexdigest()


def marker(installation: str, pair: str, kind: Kind, source_ref: str, generation: int = 1) -> str:
    """What a created record carries where its system has a place: 16 characters, the same for every attempt."""
    text = "\x1f".join((installation, pair, kind.value, source_ref, str(generation)))
    return "T-" + b32encode(hashlib.blake2b(text.encode(), digest_size=10).digest()).decode()[:14]


def call_key(change_ids: Sequence[str], attempt: int, body: bytes) -> str:
    """The idempotency key of one vendor call: 32 hex digits. A new attempt (after a definite no, or proven
    absence) has a new key."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (*change_ids, str(attempt)):
        digest.update(part.encode() + b"\x1f")
    digest.update(body)
    return digest.hexdigest()


def fields_json(fields: Iterable[FieldChange]) -> str:
    """The fields of a change as canonical JSON."""
    rows = [
        {
            "path": f.path,
            "rule": f.rule,
            "type": f.type.value,
            "before": to_json(f.before),
            "after": to_json(f.after),
            "seen": to_json(f.seen),
            "seen_type": (f.seen_type or f.type).value,
            "overwrites": to_json(f.overwrites),
            "empties": f.empties,
            **({"both": True} if f.both else {}),
            **({"fills": True} if f.fills else {}),
        }
        for f in fields
    ]
    return msgspec.json.encode(rows, order="sorted").decode()


def fields_from_json(text: str) -> tuple[FieldChange, ...]:
    """What `fields_json` wrote."""

    def one(row: dict[str, Any]) -> FieldChange:
        kind, seen = FieldType(row["type"]), FieldType(row["seen_type"])
        return FieldChange(
            path=row["path"],
            rule=row["rule"],
            type=kind,
            before=from_json(kind, row["before"]),
            after=from_json(kind, row["after"]),
            seen=from_json(seen, row["seen"]),
            seen_type=seen,
            overwrites=from_json(kind, row["overwrites"]),
            empties=row["empties"],
            both=row.get("both", False),
            fills=row.get("fills", False),
        )

    return tuple(one(row) for row in msgspec.json.decode(text))


class Fingerprint:
    """A running digest of a plan's changes, in order: what an approval is bound to. Ids are no part of it: a
    record that is yet to be made goes by what it is made from."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._made: dict[str, str] = {}

    def _record(self, change: Change) -> str | None:
        if change.record is None:
            return None
        text = encode(change.record).decode()
        for need in change.needs:
            text = text.replace(f'"@{need}"', f'"@{self._made.get(need, need)}"')
        return text

    def add(self, change: Change) -> None:
        self._made[change.id] = f"{change.side}.{change.source_kind}.{change.source_ref}"
        said = (
            change.side,
            change.kind,
            change.operation,
            change.ref,
            change.source_kind,
            change.source_ref,
            change.generation,
            fields_json(change.fields),
            self._record(change),
            [(r.side, r.kind, r.ref, r.digest) for r in change.requires],
            change.held,
        )
        self._digest.update(msgspec.json.encode(said, order="sorted") + b"\n")

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan comes to, for its first line: counts by (side, kind, operation), money to post by currency, and the
    net of what is credited apart from that."""

    changes: int = 0
    held: int = 0
    by_kind: dict[str, int] = {}
    net: dict[str, Decimal] = {}
    tax: dict[str, Decimal] = {}
    credited: dict[str, Decimal] = {}
    documents: int = 0
    conflicts: int = 0
    waiting: int = 0


def summed(changes: Iterable[Change], conflicts: int = 0, waiting: int = 0) -> Sum:
    """Count and add up. Held changes are counted apart and add no money."""
    by_kind: dict[str, int] = {}
    net: dict[str, Decimal] = {}
    tax: dict[str, Decimal] = {}
    credited: dict[str, Decimal] = {}
    number = held = documents = 0
    for change in changes:
        if change.held is not None:
            held += 1
            continue
        number += 1
        name = f"{change.side}.{change.kind.value}.{change.operation}"
        by_kind[name] = by_kind.get(name, 0) + 1
        if change.kind is Kind.CREDIT_NOTE and change.net is not None:
            documents += 1
            credited[change.net.currency] = credited.get(change.net.currency, Decimal(0)) + change.net.amount
        elif change.is_money and change.net is not None:
            documents += 1
            code = change.net.currency
            net[code] = net.get(code, Decimal(0)) + change.net.amount
            if change.total is not None:
                tax[code] = tax.get(code, Decimal(0)) + change.total - change.net.amount
    return Sum(
        changes=number,
        held=held,
        by_kind=by_kind,
        net=net,
        tax=tax,
        credited=credited,
        documents=documents,
        conflicts=conflicts,
        waiting=waiting,
    )
