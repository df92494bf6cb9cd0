"""What changed: change data capture where it reaches, and a complete listing where it does not.

- No cursor: the whole kind, in the order of CreateTime. It is never edited, so nothing moves while it is listed,
  new rows come last, and a stored page says where to go on (keyset). Not by Id: nothing says whether QuickBooks
  compares ids as numbers or as text. Rows of one and the same second fall together; if they fill a page, that
  second is listed by position (`Api.pages`).
- A cursor: one change-data-capture call for all kinds, from the oldest of their cursors. 1000 objects or more may
  be cut: then each kind by itself. If one is still too much: customers and items, which cannot be deleted, by
  LastUpdatedTime; documents as a complete listing, because nothing else would tell their deletions.
- A cursor older than 30 days: as if the kind alone were too much.

Sources: developer.intuit.com, changedatacapture and data-queries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import BadRow, Page, Tombstone
from connectors.kit.table import Unreadable
from connectors.quickbooks import query as q
from connectors.quickbooks.api import Api
from connectors.quickbooks.fields import Reading, record_from
from connectors.quickbooks.vendor import CDC_OBJECTS, ENTITY, LOOK_BACK, LOOK_BACK_MARGIN, OVERLAP
from connectors.quickbooks.wire import Wire, instant, part, stamp, text

_TIME: dict[str, str] = {"made": "MetaData.CreateTime", "changed": "MetaData.LastUpdatedTime"}
_SECOND = timedelta(seconds=1)
_KEPT_FOREVER = frozenset({Kind.CUSTOMER, Kind.ITEM})


class Cursor(msgspec.Struct, frozen=True):
    """Where a kind stands. `since`: what changed from then on is not seen yet. While a listing goes on, `by` says
    in which order, and `at` the time that it has come to (all rows of that second are asked for again)."""

    since: str
    by: Literal["made", "changed"] | None = None
    at: str | None = None

    def text(self) -> str:
        return " ".join(part for part in (self.since, self.by, self.at) if part is not None)

    @classmethod
    def parsed(cls, text: str) -> Cursor:
        since, *rest = text.split(" ")
        if not rest:
            return cls(since)
        return cls(since, "made" if rest[0] == "made" else "changed", rest[1] if len(rest) > 1 else None)


class Feed:
    """The changes of one company. `reading` says what the translation has to know; it is asked for only when there
    is something to translate. `mark` is the vendor's time, told before anything is listed."""

    def __init__(
        self,
        api: Api,
        reading: Callable[[], Awaitable[Reading]],
        mark: Callable[[], Awaitable[datetime]],
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._reading = reading
        self._mark = mark
        self._now = now

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        """Pages of changes; see `Connector.changes`."""
        known = {kind: Cursor.parsed(text) for kind, text in cursors.items() if text is not None}
        captured = {kind: cursor for kind, cursor in known.items() if cursor.by is None}
        for kind in cursors:
            if kind not in captured:
                async for page in self._listed(kind, known.get(kind)):
                    yield page
        if captured:
            async for page in self._captured(captured):
                yield page

    async def _captured(self, cursors: Mapping[Kind, Cursor]) -> AsyncIterator[Page]:
        """Change data capture of several kinds at once; what it cannot tell is listed."""
        near = dict(cursors) if self._seem_young(cursors) else await self._within_reach(cursors)
        for kind in cursors:
            if kind not in near:
                async for page in self._too_much(kind, cursors[kind]):
                    yield page
        if near:
            async for page in self._captured_near(near):
                yield page

    async def _captured_near(self, near: Mapping[Kind, Cursor]) -> AsyncIterator[Page]:
        found = await self._captured_at_once(near)
        if found is not None:
            yield found
            return
        for kind, cursor in near.items():
            alone = await self._captured_at_once({kind: cursor}) if len(near) > 1 else None
            if alone is not None:
                yield alone
                continue
            async for page in self._too_much(kind, cursor):
                yield page

    def _seem_young(self, cursors: Mapping[Kind, Cursor]) -> bool:
        """By our own clock no cursor is near the end of the look-back: the vendor's need not be asked."""
        return self._now() - min(_when(cursor) for cursor in cursors.values()) < LOOK_BACK / 2

    async def _within_reach(self, cursors: Mapping[Kind, Cursor]) -> dict[Kind, Cursor]:
        """The kinds whose cursor change data capture still sees, by the vendor's time."""
        horizon = await self._mark() - LOOK_BACK + LOOK_BACK_MARGIN
        return {kind: cursor for kind, cursor in cursors.items() if _when(cursor) > horizon}

    async def _captured_at_once(self, cursors: Mapping[Kind, Cursor]) -> Page | None:
        """One call for all these kinds; None if its answer may be cut."""
        since = min(cursors.values(), key=_when).since
        found = await self._api.changed([ENTITY[kind] for kind in cursors], since)
        if sum(len(rows) for rows in found.values()) >= CDC_OBJECTS:
            return None
        told = self._api.told.fresh()
        page = await self._page({kind: found[ENTITY[kind]] for kind in cursors})
        after = Cursor(stamp(told - OVERLAP)) if told is not None else None
        moved = {kind: (after if after is not None else cursor).text() for kind, cursor in cursors.items()}
        return msgspec.structs.replace(page, cursors=moved)

    async def _too_much(self, kind: Kind, cursor: Cursor) -> AsyncIterator[Page]:
        """What change data capture cannot tell of a kind."""
        since = stamp(await self._mark() - OVERLAP)
        start = Cursor(since, "changed", cursor.since) if kind in _KEPT_FOREVER else None
        async for page in self._listed(kind, start):
            yield page

    async def _listed(self, kind: Kind, cursor: Cursor | None) -> AsyncIterator[Page]:
        """All rows from where the cursor stands, in the order of a time; the last page ends in a plain cursor."""
        if cursor is None:
            cursor = Cursor(stamp(await self._mark() - OVERLAP), "made")
        by = cursor.by if cursor.by is not None else "made"
        done = Cursor(cursor.since).text()
        whole = by == "made" and cursor.at is None  # a listing that is taken up again has not seen its beginning
        async for rows, at in self._in_order(ENTITY[kind], _TIME[by], cursor.at):
            page = await self._page({kind: rows})
            moved = Cursor(cursor.since, by, at).text() if at is not None else done
            scanned = frozenset({kind}) if whole and at is None else frozenset[Kind]()
            yield msgspec.structs.replace(page, cursors={kind: moved}, scanned=scanned)

    async def _in_order(self, entity: str, field: str, at: str | None) -> AsyncIterator[tuple[list[Wire], str | None]]:
        """(rows, the time to go on from; None at the end). A full page goes on from the second of its last row, so
        rows of that second come again, and none is missed."""
        size = self._api.page
        while True:
            conditions = [f"{field} >= '{at}'"] if at is not None else []
            rows = await self._api.query(q.select(entity, *conditions, order=field, limit=size), entity)
            if len(rows) < size:
                yield rows, None
                return
            last = _time_of(rows[-1], field)
            if last != _time_of(rows[0], field):
                at = last
                yield rows, at
                continue
            after = _next_second(last)
            async for crowded in self._api.pages(entity, f"{field} >= '{last}'", f"{field} < '{after}'"):
                yield crowded, last
            at = after
            yield [], at

    async def _page(self, found: Mapping[Kind, Sequence[Wire]]) -> Page:
        """Rows as records, tombstones and rows that cannot be read."""
        records: list[AnyRecord] = []
        gone: list[Tombstone] = []
        bad: list[BadRow] = []
        reading: Reading | None = None
        for kind, rows in found.items():
            for row in rows:
                if row.get("status") == "Deleted":
                    gone.append(_tombstone(kind, row))
                    continue
                reading = reading if reading is not None else await self._reading()
                made = readable(kind, row, reading)
                if isinstance(made, BadRow):
                    bad.append(made)
                elif made is not None:
                    records.append(made)
        return Page(records=tuple(records), gone=tuple(gone), bad=tuple(bad))


def readable(kind: Kind, row: Wire, reading: Reading) -> AnyRecord | BadRow | None:
    """The record, or what is wrong with the row. It is reported, never guessed."""
    try:
        return record_from(kind, row, reading)
    except (Unreadable, KeyError, ValueError, TypeError, ArithmeticError) as wrong:
        ref = text(row, "Id")
        return BadRow(kind, f"{ENTITY[kind]} {ref}", f"{type(wrong).__name__}: {wrong}", ref)


def _tombstone(kind: Kind, row: Wire) -> Tombstone:
    at = instant(text(part(row, "MetaData"), "LastUpdatedTime"))
    return Tombstone(kind, str(row["Id"]), "deleted", None, at)


def _when(cursor: Cursor) -> datetime:
    when = instant(cursor.since)
    if when is None:
        raise ValueError(f"a cursor without a time: {cursor.text()}")
    return when


def _time_of(row: Wire, field: str) -> str:
    """A row's time as a query takes it back."""
    when = instant(text(part(row, "MetaData"), field.partition(".")[2]))
    if when is None:
        raise ValueError(f"a row without {field}: {row.get('Id')}")
    return stamp(when)


def _next_second(at: str) -> str:
    when = instant(at)
    assert when is not None  # noqa: S101  `at` is our own stamp
    return stamp(when + _SECOND)
