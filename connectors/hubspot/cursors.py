"""How far each object type has been read: pure.

A full reading walks the listing by its `after`. From then on a *window* is searched: everything whose time of last
change is at or after `since`, walked by ascending id. The id never changes, so nothing slips between two pages
while records change under the walk, many records may share one time, and the vendor's limit of 10,000 results
never matters, as each page is a query of its own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from connectors.hubspot.fields import instant, to_ms
from connectors.hubspot.wire import Rec

BEGINNING_MS = 946_684_800_000
"""2000-01-01, before HubSpot: a search takes no date that is zero."""


class Listing(msgspec.Struct, frozen=True, tag="list", omit_defaults=True):
    """The first, full reading. `began` is the vendor's time (ms) of its first answer."""

    after: str | None = None
    began: int | None = None


class Window(msgspec.Struct, frozen=True, tag="window", omit_defaults=True):
    """Changes since `since` (vendor's ms). `after` is the last id walked, `began` the vendor's time of the walk's
    first answer, `seen` the latest change met so far."""

    since: int
    after: str = "0"
    began: int | None = None
    seen: int | None = None


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cursor of one kind: where each object type stands, and when (vendor's ms) archived records were last
    looked for."""

    feeds: dict[str, Listing | Window] = {}
    swept: int | None = None

    def at(self, name: str) -> Listing | Window:
        return self.feeds.get(name, Listing())

    def moved(self, name: str, feed: Listing | Window) -> Place:
        return Place({**self.feeds, name: feed}, self.swept)


_decoder = msgspec.json.Decoder(Place)


def read_place(cursor: str | None) -> Place:
    """The place a cursor stands for. One that cannot be read (None, another version's) starts from the beginning:
    a full reading loses nothing."""
    if cursor is None:
        return Place()
    try:
        return _decoder.decode(cursor)
    except msgspec.DecodeError:
        return Place()


def write_place(place: Place) -> str:
    """A cursor; the same place always gives the same text."""
    return msgspec.json.encode(place, order="sorted").decode()


def latest(records: Iterable[Rec], modified: str, seen: int | None) -> int | None:
    """The latest change among these records and `seen`, in ms. Texts of one form sort as their times do; where
    HubSpot leaves the milliseconds out, the second's start is taken, which only reads a record again."""
    newest = max((r.properties.get(modified) or r.updated_at or "" for r in records), default="")
    moment = instant(newest)
    if moment is None:
        return seen
    return to_ms(moment) if seen is None else max(seen, to_ms(moment))


def next_window(walked: Window, overlap_ms: int) -> Window:
    """Where the next walk starts, after a finished one.

    Normally the vendor's time at the walk's start less the overlap, because a search may show a change late. Never
    beyond the latest change met: if the vendor's index stands still for an hour, nothing is skipped. And not
    before it either once it is older than the overlap, so that an unchanged account costs one empty answer."""
    if walked.seen is None:
        return Window(walked.since)
    began = walked.began if walked.began is not None else walked.seen
    return Window(max(walked.since, min(walked.seen + 1, began - overlap_ms)))


def due(swept: int | None, now_ms: int | None, every_ms: int) -> bool:
    """Whether it is time to look for archived records again."""
    return now_ms is not None and (swept is None or now_ms - swept >= every_ms)
