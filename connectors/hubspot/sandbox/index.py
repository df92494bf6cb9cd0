"""The search index: what search sees, some seconds after it happened, and in which order.

https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from connectors.hubspot.sandbox.values import sortable


class Record(msgspec.Struct, frozen=True):
    """One version of a record. A write makes a new version; what was handed out stays as it was."""

    id: int
    properties: dict[str, str]
    archived_at: str | None = None


Entry = tuple[str, int, int]


def scrambled(record_id: int) -> int:
    """The order among records that were modified in the same millisecond: fixed, and not that of their ids, since
    HubSpot promises none."""
    return record_id * 2_654_435_761 % 4_294_967_296


class SearchIndex:
    """Versions of records that search can see. A new version is seen `delay_ms` after it was written; an archived
    record is never seen."""

    def __init__(self, modified: str, delay_ms: Callable[[], int]) -> None:
        self.generation = 0
        self._modified = modified
        self._delay_ms = delay_ms
        self._seen: dict[int, Record] = {}
        self._order: list[Entry] = []
        self._waiting: deque[tuple[int, Record]] = deque()

    def write(self, record: Record, now_ms: int) -> None:
        """A record was written: search sees it later."""
        self._waiting.append((now_ms + self._delay_ms(), record))

    def forget(self, record_id: int) -> None:
        """A record was archived or erased: search sees it no more."""
        self._waiting = deque(item for item in self._waiting if item[1].id != record_id)
        self._drop(record_id)

    def fill(self, records: Iterable[Record]) -> None:
        """Take many records at once, seen from now on."""
        self._seen.update({record.id: record for record in records})
        self._order = sorted(self._entry(record) for record in self._seen.values())
        self.generation += 1

    def catch_up(self, now_ms: int) -> None:
        """See what has waited long enough."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            self._see(self._waiting.popleft()[1])

    def all(self) -> list[Record]:
        """What search sees, oldest record first."""
        return [self._seen[record_id] for record_id in sorted(self._seen)]

    def between(self, low: str | None, high: str | None) -> Sequence[Entry]:
        """Entries by time of modification, from `low` to `high` (sortable times, both included)."""
        start = 0 if low is None else bisect_left(self._order, (low, -1, -1))
        end = len(self._order) if high is None else bisect_right(self._order, (high, 2**33, 2**63))
        return self._order[start:end]

    def at(self, entry: Entry) -> Record:
        return self._seen[entry[2]]

    def _entry(self, record: Record) -> Entry:
        return sortable(record.properties[self._modified]), scrambled(record.id), record.id

    def _see(self, record: Record) -> None:
        self._drop(record.id)
        self._seen[record.id] = record
        insort(self._order, self._entry(record))
        self.generation += 1

    def _drop(self, record_id: int) -> None:
        seen = self._seen.pop(record_id, None)
        if seen is not None:
            self._order.pop(bisect_left(self._order, self._entry(seen)))
            self.generation += 1
