"""The records of one object type: by id, by unique value, live and archived, with their history."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable

import msgspec

from connectors.hubspot.sandbox.catalogue import ObjectType, Property, standard_properties
from connectors.hubspot.sandbox.index import Record, SearchIndex
from connectors.hubspot.sandbox.refusals import invalid

FIRST_ID = 9_001  # ids of two types overlap, and soon pass from four digits to five: both catch careless readers


class Past(msgspec.Struct, frozen=True):
    """One value that a property had, for `propertiesWithHistory`."""

    value: str
    timestamp: str
    source_type: str
    source_id: str


class Table:
    """What a portal holds of one object type."""

    def __init__(self, kind: ObjectType, delay_ms: Callable[[], int]) -> None:
        self.kind = kind
        self.catalogue: dict[str, Property] = {p.name: p for p in standard_properties(kind)}
        self.records: dict[int, Record] = {}
        self.live: list[int] = []
        self.archived: list[int] = []
        self.index = SearchIndex(kind.modified, delay_ms)
        self.history: dict[int, dict[str, list[Past]]] = {}
        self.previous: tuple[int, Record | None] | None = None
        self.next_id = FIRST_ID
        self._holders: dict[str, dict[str, int]] = {}
        self._moved: dict[int, int] = {}

    # reading ------------------------------------------------------------------------------------

    def find(self, record_id: int, *, archived: bool = False, stale: bool = False) -> Record | None:
        """A record by its id, or by the id of one that was merged into it. `stale`: before the last write."""
        while record_id in self._moved:
            record_id = self._moved[record_id]
        record = self.records.get(record_id)
        if stale and self.previous is not None and self.previous[0] == record_id:
            record = self.previous[1]
        return record if record is not None and (record.archived_at is not None) is archived else None

    def holder(self, name: str, value: str) -> int | None:
        """The live record that has a unique value."""
        return self._holders.get(name, {}).get(value)

    def uniques(self) -> list[str]:
        """Properties whose value only one live record can have: a contact's e-mail, and custom unique ones."""
        own = [name for name, prop in self.catalogue.items() if prop.unique and not prop.archived]
        return ["email", *own] if self.kind.name == "contacts" else own

    def require_unique(self, name: str, portal_id: int) -> None:
        """Refuse an idProperty that is not unique."""
        if name not in self.uniques():
            kind = self.kind.type_id
            words = f"Unable to perform update/upsert by non-unique {kind} property {name} in portal ID {portal_id}"
            raise invalid(words)

    def page(self, after: int, limit: int, *, archived: bool) -> tuple[list[Record], bool]:
        """Records with ids above `after`, in order of id, and whether there are more."""
        ids = self.archived if archived else self.live
        start = bisect_right(ids, after)
        return [self.records[i] for i in ids[start : start + limit]], start + limit < len(ids)

    # writing ------------------------------------------------------------------------------------

    def put(self, record: Record, now_ms: int) -> None:
        """Store a new version of a record (or a new record)."""
        before = self.records.get(record.id)
        self.previous = (record.id, before)
        self._release(before)
        self.records[record.id] = record
        self._place(record, before)
        if record.archived_at is None:
            self._hold(record)
            self.index.write(record, now_ms)
        else:
            self.index.forget(record.id)

    def drop(self, record_id: int, survivor: int | None = None) -> Record:
        """Take a record away for good; with a `survivor`, its id leads there from now on."""
        record = self.records.pop(record_id)
        self._release(record)
        self._unlist(record)
        self.index.forget(record_id)
        self.history.pop(record_id, None)
        if survivor is not None:
            self._moved[record_id] = survivor
        return record

    def fill(self, records: Iterable[Record]) -> None:
        """Take many new records at once, without history, seen by search at once."""
        for record in records:
            self.records[record.id] = record
            self._hold(record)
        self.live = sorted(i for i, record in self.records.items() if record.archived_at is None)
        self.index.fill(self.records[i] for i in self.live)
        self.next_id = max(self.records, default=FIRST_ID - 1) + 1

    def remember(self, record_id: int, name: str, past: Past) -> None:
        """Note a property's new value, newest first."""
        self.history.setdefault(record_id, {}).setdefault(name, []).insert(0, past)

    def _hold(self, record: Record) -> None:
        for name in self.uniques():
            if name in record.properties:
                self._holders.setdefault(name, {})[record.properties[name]] = record.id

    def _release(self, record: Record | None) -> None:
        if record is None or record.archived_at is not None:
            return
        for name in self.uniques():
            held = self._holders.get(name, {})
            if held.get(record.properties.get(name, "")) == record.id:
                del held[record.properties[name]]

    def _place(self, record: Record, before: Record | None) -> None:
        if before is not None and (before.archived_at is None) == (record.archived_at is None):
            return
        if before is not None:
            self._unlist(before)
        insort(self.live if record.archived_at is None else self.archived, record.id)

    def _unlist(self, record: Record) -> None:
        ids = self.live if record.archived_at is None else self.archived
        ids.pop(bisect_left(ids, record.id))
