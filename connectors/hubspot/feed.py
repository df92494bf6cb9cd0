"""What changed: the walk over listings and windows, kind by kind. Where a walk stands is in cursors.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from connectors.canon.records import Kind
from connectors.hubspot.api import highest_id
from connectors.hubspot.cursors import (
    BEGINNING_MS,
    Listing,
    Place,
    Window,
    due,
    latest,
    next_window,
    read_place,
    write_place,
)
from connectors.hubspot.fields import instant, ref_of, to_ms
from connectors.hubspot.reading import Read, Reader
from connectors.hubspot.vendor import (
    ASSOCIATION_LIMIT,
    COMPANY,
    CONTACT,
    DEAL,
    LINE_ITEM,
    OVERLAP_S,
    PRODUCT,
    CrmObject,
)
from connectors.hubspot.wire import Rec
from connectors.kit.contract import Page, Tombstone

_OVERLAP_MS = int(OVERLAP_S * 1000)


class Chunk(msgspec.Struct, frozen=True):
    """Records of one object type that were read together, and the place behind them."""

    crm_object: CrmObject
    recs: list[Rec]
    place: Place


class Feed:
    """The changes of one account. `sweep_ms`: how often archived records and changed people are looked for."""

    def __init__(self, reader: Reader, sweep_ms: int) -> None:
        self._reader = reader
        self._api = reader.api
        self._sweep_ms = sweep_ms

    async def pages(self, kind: Kind, cursor: str | None) -> AsyncIterator[Page]:
        """Everything since the cursor. Each page's cursor stands behind the page."""
        place = read_place(cursor)
        whole = not place.feeds
        followed = self._reader.followed(kind)
        listing = any(isinstance(place.at(crm_object.name), Listing) for crm_object in followed)
        for crm_object in followed:
            last = crm_object is followed[-1]
            async for chunk in self._walk(crm_object, place):
                place = self._settled(kind, chunk.place) if last else chunk.place
                complete = whole and last and isinstance(place.feeds[crm_object.name], Window)
                page = await self._page(kind, chunk, place, scanned=complete)
                if page.records or page.gone or page.bad or page.cursors[kind] != cursor:
                    yield page
        if not listing:  # what has just been listed is as new as its records
            async for page in self._beside(kind, place, followed):
                yield page

    def _settled(self, kind: Kind, place: Place) -> Place:
        """Once everything is listed, what stands beside the records is as new as the listing."""
        if place.swept is not None or any(isinstance(feed, Listing) for feed in place.feeds.values()):
            return place
        first = next(feed for feed in place.feeds.values() if isinstance(feed, Window))
        began = first.since + _OVERLAP_MS
        if kind is Kind.DEAL and LINE_ITEM.name not in place.feeds:
            place = place.moved(LINE_ITEM.name, Window(first.since))
        return Place(place.feeds, began)

    # ----------------------------------------------------------------- one object type

    def _walk(self, crm_object: CrmObject, place: Place) -> AsyncIterator[Chunk]:
        feed = place.at(crm_object.name)
        if isinstance(feed, Listing):
            return self._listing(crm_object, place, feed)
        return self._window(crm_object, place, feed)

    async def _listing(self, crm_object: CrmObject, place: Place, feed: Listing) -> AsyncIterator[Chunk]:
        names = self._reader.shapes[crm_object.name].names
        gathered: list[Rec] = []
        while True:
            page = await self._api.page(crm_object, names, feed.after)
            began = feed.began if feed.began is not None else self._api.told_ms
            gathered += page.results
            if page.after is None:
                end = Window(_window_start(began))
                yield Chunk(crm_object, gathered, place.moved(crm_object.name, end))
                return
            feed = Listing(page.after, began)
            if len(gathered) >= self._chunk(crm_object):
                yield Chunk(crm_object, gathered, place.moved(crm_object.name, feed))
                gathered = []

    def _chunk(self, crm_object: CrmObject) -> int:
        """Records in one page: as many as one call on associations takes, where there is one to make."""
        alone = crm_object is CONTACT or crm_object is PRODUCT
        alone = alone or (crm_object is COMPANY and not self._reader.choices.people)
        return 1 if alone else ASSOCIATION_LIMIT

    async def _window(
        self, crm_object: CrmObject, place: Place, feed: Window, names: Sequence[str] | None = None
    ) -> AsyncIterator[Chunk]:
        if names is None:
            names = self._reader.shapes[crm_object.name].names
        changed = {"propertyName": crm_object.modified, "operator": "GTE", "value": str(feed.since)}
        gathered: list[Rec] = []
        while True:
            page = await self._api.search(crm_object, names, [[changed]], feed.after)
            began = feed.began if feed.began is not None else self._api.told_ms
            seen = latest(page.results, crm_object.modified, feed.seen)
            gathered += page.results
            if page.after is None or not page.results:
                end = next_window(Window(feed.since, began=began, seen=seen), _OVERLAP_MS)
                yield Chunk(crm_object, gathered, place.moved(crm_object.name, end))
                return
            feed = Window(feed.since, highest_id(page.results, feed.after), began, seen)
            if len(gathered) >= self._chunk(crm_object):
                yield Chunk(crm_object, gathered, place.moved(crm_object.name, feed))
                gathered = []

    async def _page(self, kind: Kind, chunk: Chunk, place: Place, *, scanned: bool) -> Page:
        read = await self._reader.records(chunk.crm_object, self._customers(chunk)) if chunk.recs else Read()
        return Page(
            records=tuple(read.records),
            gone=tuple(read.gone),
            bad=tuple(read.bad),
            cursors={kind: write_place(place)},
            scanned=frozenset({kind}) if scanned else frozenset(),
        )

    def _customers(self, chunk: Chunk) -> list[Rec]:
        """Where companies and contacts are customers, a contact with a company is its company's person only."""
        if chunk.crm_object is not CONTACT or self._reader.choices.customers != "both":
            return chunk.recs
        return [rec for rec in chunk.recs if not rec.properties.get("associatedcompanyid")]

    # ----------------------------------------------------------------- beside the records

    async def _beside(self, kind: Kind, place: Place, followed: Sequence[CrmObject]) -> AsyncIterator[Page]:
        """Line items that changed without their deal; and at the declared rhythm people who changed without
        their company, and archived records."""
        if kind is Kind.DEAL:
            async for chunk in self._touched(LINE_ITEM, place, DEAL):
                place = chunk.place
                yield await self._page(kind, chunk, place, scanned=False)
        now = self._api.told_ms
        if not due(place.swept, now, self._sweep_ms):
            return
        if kind is Kind.CUSTOMER and self._reader.choices.people and self._reader.choices.companies:
            async for chunk in self._touched(CONTACT, place, COMPANY, "people"):
                place = chunk.place
                yield await self._page(kind, chunk, place, scanned=False)
        async for page in self._sweep(kind, place, followed, now):
            yield page

    async def _touched(
        self, crm_object: CrmObject, place: Place, owner: CrmObject, name: str | None = None
    ) -> AsyncIterator[Chunk]:
        """The records of `owner` to which changed records of this type belong."""
        feed_name = name if name is not None else crm_object.name
        feed = place.at(feed_name)
        if isinstance(feed, Listing):
            feed = Window(_window_start(place.swept))
        before = write_place(place)
        async for chunk in self._window(crm_object, place, feed, (crm_object.modified, "associatedcompanyid")):
            moved = place.moved(feed_name, chunk.place.feeds[crm_object.name])
            owners = await self._owners_of(crm_object, chunk.recs)
            recs = await self._api.batch_read(owner, self._reader.shapes[owner.name].names, owners)
            if recs or write_place(moved) != before:
                yield Chunk(owner, recs, moved)

    async def _owners_of(self, crm_object: CrmObject, recs: Sequence[Rec]) -> list[str]:
        if not recs:
            return []
        if crm_object is LINE_ITEM:
            return await self._reader.deals_of_lines([rec.id for rec in recs])
        companies = (rec.properties.get("associatedcompanyid") for rec in recs)
        return list(dict.fromkeys(id_ for id_ in companies if id_ is not None and id_ != ""))

    async def _sweep(
        self, kind: Kind, place: Place, followed: Sequence[CrmObject], now: int | None
    ) -> AsyncIterator[Page]:
        """Archived records, from the one list that shows them; it knows no filter, so all of it is read."""
        since = place.swept - _OVERLAP_MS if place.swept is not None else 0
        swept = Place(place.feeds, now)
        for crm_object in followed:
            after: str | None = None
            more = True
            while more:
                page = await self._api.page(crm_object, (crm_object.modified,), after, archived=True)
                after, more = page.after, page.after is not None
                gone = tuple(_archived(kind, crm_object, rec) for rec in page.results if _is_new(rec, since))
                last = crm_object is followed[-1] and not more
                if gone or last:
                    yield Page(gone=gone, cursors={kind: write_place(swept if last else place)})


def _window_start(began: int | None) -> int:
    """Where the first window begins: the vendor's time at the listing's start less the overlap. Without that time
    everything is asked for once more, since nothing else is sure."""
    return began - _OVERLAP_MS if began is not None else BEGINNING_MS


def _is_new(rec: Rec, since_ms: int) -> bool:
    at = instant(rec.archived_at)
    return at is None or to_ms(at) >= since_ms


def _archived(kind: Kind, crm_object: CrmObject, rec: Rec) -> Tombstone:
    return Tombstone(kind, ref_of(crm_object, rec.id), "archived", at=instant(rec.archived_at))
