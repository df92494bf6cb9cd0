"""Which record is the one that a lost answer made, and which pulled ones wait until that is known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.fields import folded
from connectors.canon.records import AnyRecord, Customer, Document, Kind, Payment, kind_of
from connectors.canon.values import Money


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What an open intent would have made: all that can be compared after a lost answer. None: not compared."""

    kind: Kind
    marker: str
    customer: str | None = None
    currency: str | None = None
    total: Decimal | None = None
    name: str | None = None
    note: str | None = None


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """It was made: this is it."""

    ref: str


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """It was not made (counts only after `call_until` + `lands_within_s` + search delay)."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """The probes cannot decide: a person is asked, with what is known."""

    reason: str
    candidates: tuple[str, ...]


Finding: TypeAlias = Adopt | Absent | Hold


def adopt(
    sought: Sought,
    by_marker: Sequence[AnyRecord],
    in_window: Sequence[AnyRecord],
    free: Callable[[str], bool],
) -> Finding:
    """What two probes prove about an intent whose answer was lost: records found by its marker, and records made
    since its mark. Exactly one that agrees and is free: adopt. None: absent. Several, or one that carries the
    marker and differs: hold. `free(ref)`: no link or document has it yet."""
    marked = {record.ref: record for record in (*by_marker, *in_window) if _carries(sought, record)}
    marked |= {record.ref: record for record in by_marker}
    if marked:
        return _of_marked(sought, list(marked.values()), free)
    like = [record for record in in_window if not _differences(sought, record) and free(record.ref)]
    like = list({record.ref: record for record in like}.values())
    if len(like) == 1:
        return _of_window(sought, like[0])
    if like:
        return Hold("several new records look like the one that was sent", _refs(like))
    return Absent()


def _refs(records: Iterable[AnyRecord]) -> tuple[str, ...]:
    return tuple(sorted(record.ref for record in records))


def _of_marked(sought: Sought, marked: list[AnyRecord], free: Callable[[str], bool]) -> Finding:
    if len(marked) > 1:
        return Hold("several records carry the marker of the one that was sent", _refs(marked))
    found = marked[0]
    differences = _differences(sought, found)
    if differences:
        return Hold(f"the record with our marker has {' and '.join(differences)}", (found.ref,))
    if not free(found.ref):
        return Hold("the record with our marker belongs to another already", (found.ref,))
    return Adopt(found.ref)


def _of_window(sought: Sought, found: AnyRecord) -> Finding:
    """One record that looks like it, and no marker read. Where our note was sent and another stands there, a
    person typed the same thing at the same time; where none is told, it is ours."""
    notes = _notes(found)
    if sought.note is not None and notes and not any(folded(sought.note) in folded(note) for note in notes):
        return Hold("a new record looks like the one that was sent, without our note", (found.ref,))
    if not _comparable(sought):
        return Hold("a new record was made since, and nothing of it can be compared", (found.ref,))
    return Adopt(found.ref)


def _comparable(sought: Sought) -> bool:
    """Enough to tell one record from another: a name, or a customer and a total."""
    return sought.name is not None or (sought.customer is not None and sought.total is not None)


def _carries(sought: Sought, record: AnyRecord) -> bool:
    return record.marker == sought.marker or any(sought.marker in note for note in _notes(record))


def _notes(record: AnyRecord) -> list[str]:
    told: list[object] = []
    match record:
        case Document():
            told = [record.internal_note, record.memo]
        case Payment():
            told = [record.internal_note, record.reference]
        case Customer():
            told = [record.notes]
        case _:
            pass
    return [text for text in told if isinstance(text, str) and text.strip()]


def _differences(sought: Sought, record: AnyRecord) -> list[str]:
    """In what the record is not the one that was sent. What it does not tell is no difference."""
    if kind_of(record) is not sought.kind:
        return ["another kind"]
    told = _told(record)
    said = {
        "another customer": _other(sought.customer, told.customer),
        "another currency": _other(sought.currency, told.currency),
        "another total": sought.total is not None and told.total is not None and sought.total != told.total,
        "another name": sought.name is not None and told.name is not None and folded(sought.name) != folded(told.name),
    }
    return [difference for difference, holds in said.items() if holds]


def _other(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says of itself, as far as an intent can be compared with it."""

    customer: str | None = None
    currency: str | None = None
    total: Decimal | None = None
    name: str | None = None


def _told(record: AnyRecord) -> _Told:
    match record:
        case Document():
            return _Told(
                customer=_text(record.customer),
                currency=_text(record.currency),
                total=record.total if isinstance(record.total, Decimal) else None,
            )
        case Payment():
            amount = record.amount if isinstance(record.amount, Money) else None
            return _Told(
                customer=_text(record.customer),
                currency=amount.currency if amount is not None else None,
                total=amount.amount if amount is not None else None,
            )
        case Customer():
            return _Told(currency=_text(record.currency), name=_text(record.legal_name) or _text(record.display_name))
        case _:
            return _Told(name=_text(record.name))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


class OpenIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A create on its way. `carries_marker`: the kind keeps it where a pull reads it back. `since`: the vendor's
    time of the mark taken before sending."""

    kind: Kind
    marker: str
    carries_marker: bool
    since: datetime


def parked(record: AnyRecord, intents: Iterable[OpenIntent]) -> bool:
    """Whether a pulled record may be an open intent's own: it carries its marker, or the kind keeps none and it
    was made since. It is not matched until the intent closes. One that does not say when it was made may be."""
    kind = kind_of(record)
    for intent in intents:
        if intent.kind is not kind:
            continue
        if record.marker == intent.marker:
            return True
        if not intent.carries_marker and (record.created_at is None or record.created_at >= intent.since):
            return True
    return False
