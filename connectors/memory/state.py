"""All that the pretend vendor knows, changed by entries alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import TypeAlias

import msgspec

from connectors.canon.fields import Value, field_type, key, read
from connectors.canon.records import AnyRecord, CreditNote, Invoice, Kind, Payment, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import Outcome, Past, Tombstone
from connectors.memory.faults import Call
from connectors.memory.journal import (
    Answered,
    Called,
    Entry,
    Happened,
    Hid,
    Later,
    Opened,
    Passed,
    Planned,
    Put,
    Took,
)
from connectors.memory.ledger import Ledger
from connectors.memory.vendor import NAME_OF, Knobs, facts_of

NameKey: TypeAlias = tuple[Kind, Hashable]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the vendor holds it. `made` and `changed` are turns of the vendor's counter."""

    record: AnyRecord
    made: int
    changed: int
    gone: Tombstone | None = None
    hidden: bool = False

    @property
    def live(self) -> bool:
        return self.gone is None and not self.hidden


class State:
    """Rows, change log, names, markers, postings, answers and plans. `apply` is the only way to change it."""

    def __init__(self, knobs: Knobs, now: datetime) -> None:
        self.knobs = knobs
        self.facts = facts_of(knobs)
        self.now = now
        self.head = 0
        self.rows: dict[Kind, dict[str, Row]] = {kind: {} for kind in Kind}
        self.log: dict[Kind, list[tuple[int, str]]] = {kind: [] for kind in Kind}
        self.names: dict[NameKey, str] = {}
        self.markers: dict[tuple[Kind, str], tuple[str, ...]] = {}
        self.ledger = Ledger(knobs.home_currency)
        self.answers: dict[str, tuple[datetime, tuple[Outcome, ...]]] = {}
        self.later: list[Later] = []
        self.past: dict[tuple[Kind, str], tuple[Put, ...]] = {}  # newest first, where `history` is kept
        self.write_calls: list[Call] = []

    def copy(self) -> State:
        """A twin that shares no mutable part."""
        twin = State(self.knobs, self.now)
        twin.head = self.head
        twin.rows = {kind: dict(rows) for kind, rows in self.rows.items()}
        twin.log = {kind: list(log) for kind, log in self.log.items()}
        twin.names = dict(self.names)
        twin.markers = dict(self.markers)
        twin.ledger = self.ledger.copy()
        twin.answers = dict(self.answers)
        twin.later = list(self.later)
        twin.past = dict(self.past)
        twin.write_calls = list(self.write_calls)
        return twin

    def apply(self, entry: Entry) -> None:
        match entry:
            case Put():
                self._put(entry)
            case Took():
                self._take(entry)
            case Hid():
                row = self.rows[entry.kind][entry.ref]
                self.rows[entry.kind][entry.ref] = msgspec.structs.replace(row, hidden=entry.hidden)
            case Passed():
                self.now = entry.to
            case Answered():
                self.answers[entry.key] = (entry.at, entry.outcomes)
            case Planned():
                self.later.append(entry.what)
                self.later.sort(key=lambda what: what.due)
            case Happened():
                del self.later[0]
            case Called():
                self.write_calls.append(entry.call)
            case Opened():
                self.__init__(entry.knobs, entry.at)  # type: ignore[misc]  # a file begins with its account

    def row(self, kind: Kind, ref: str) -> Row | None:
        return self.rows[kind].get(ref)

    def name_key(self, record: AnyRecord) -> NameKey | None:
        """What a record's unique name is compared by; None if its kind has no such name."""
        kind = kind_of(record)
        path = NAME_OF.get(kind)
        kind_of_field = field_type(kind, path) if path is not None else None
        if path is None or kind_of_field is None:
            return None
        return kind, key(kind_of_field, read(record, path))

    def changed_after(self, kind: Kind, turn: int) -> Iterator[Row]:
        """Rows in the order of their last change, those changed after `turn` only."""
        log = self.log[kind]
        for changed, ref in log[bisect_right(log, turn, key=lambda entry: entry[0]) :]:
            row = self.rows[kind][ref]
            if row.changed == changed:
                yield row

    def _put(self, entry: Put) -> None:
        self.head += 1
        kind, ref = kind_of(entry.record), entry.record.ref
        before = self.rows[kind].get(ref)
        record = msgspec.structs.replace(
            entry.record,
            version=str(self.head),
            created_at=before.record.created_at if before is not None else entry.at,
            updated_at=entry.at,
        )
        if before is not None:
            self._forget(before.record)
        made = before.made if before is not None else self.head
        self.rows[kind][ref] = Row(record=record, made=made, changed=self.head)
        self.log[kind].append((self.head, ref))
        self._remember(record)
        if self.knobs.history:
            self.past[kind, ref] = (entry, *self.past.get((kind, ref), ()))

    def history(self, kind: Kind, ref: str, path: str) -> tuple[Past, ...]:
        """What a field was given, newest first: puts that left it as it was are not told."""
        found: list[Past] = []
        held: Value = ABSENT
        for put in reversed(self.past.get((kind, ref), ())):
            value = read(put.record, path)
            if value != held:
                found.append(Past(value, put.at, put.by))
            held = value
        return tuple(reversed(found))

    def _take(self, entry: Took) -> None:
        self.head += 1
        row = self.rows[entry.kind][entry.ref]
        stone = Tombstone(entry.kind, entry.ref, entry.how, entry.survivor, entry.at)
        self._forget(row.record)
        self.rows[entry.kind][entry.ref] = msgspec.structs.replace(row, changed=self.head, gone=stone)
        self.log[entry.kind].append((self.head, entry.ref))

    def _remember(self, record: AnyRecord) -> None:
        kind, name = kind_of(record), self.name_key(record)
        if name is not None:
            self.names.setdefault(name, record.ref)
        if record.marker is not None:
            where = (kind, record.marker)
            self.markers[where] = (*self.markers.get(where, ()), record.ref)
        if isinstance(record, Invoice | CreditNote | Payment):
            self.ledger.post((kind, record.ref), record)

    def _forget(self, record: AnyRecord) -> None:
        kind, name = kind_of(record), self.name_key(record)
        if name is not None and self.names.get(name) == record.ref:
            del self.names[name]
        if record.marker is not None:
            where = (kind, record.marker)
            self.markers[where] = tuple(ref for ref in self.markers.get(where, ()) if ref != record.ref)
        self.ledger.drop((kind, record.ref))
