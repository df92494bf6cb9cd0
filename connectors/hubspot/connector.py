"""HubSpot as Tieout sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar

from connectors.canon.fields import canonical_path
from connectors.canon.records import AnyRecord, Deal, Kind
from connectors.hubspot import catalogue, vendor, webhooks
from connectors.hubspot.api import Api, Filter, in_slices
from connectors.hubspot.feed import Feed
from connectors.hubspot.fields import MERGED, Shape, full_name, instant, object_of, ref_of
from connectors.hubspot.history import read_history
from connectors.hubspot.reading import Reader
from connectors.hubspot.settings import Settings, named, read_settings
from connectors.hubspot.vendor import COMPANY, CONTACT, DEAL, LINE_ITEM, MARKER, CrmObject
from connectors.hubspot.wire import Rec
from connectors.hubspot.writing import Writer
from connectors.kit.contract import (
    Catalogue,
    Connector,
    Deps,
    Event,
    Facts,
    FieldInfo,
    Figures,
    Histories,
    OAuth,
    Outcome,
    Page,
    Token,
    Tombstone,
    Wanted,
    Write,
)
from connectors.kit.errors import Reconnect, Refused, Unsupported
from connectors.kit.oauth import Login

_CHARACTERS_IN_A_GROUP = 250
_GROUPS_IN_A_SEARCH = 5


class HubSpot(Connector):
    """One HubSpot account. Its quirks, each with its source, are in README.md."""

    facts: ClassVar[Facts] = vendor.FACTS

    def __init__(self, settings: Settings, deps: Deps) -> None:
        self._settings = settings
        self._login = Login(self.oauth(settings), system=vendor.FACTS.system, session=deps.session, clock=deps.clock)
        self._api = Api(
            deps,
            base_url=settings.base_url,
            burst=settings.burst,
            renew=self._renewed,
            deadline_s=vendor.FACTS.call_deadline_s,
        )
        self._reader = Reader(self._api, settings.shapes, settings.choices)
        self._feed = Feed(self._reader, settings.sweep_ms)
        self._writer = Writer(self._api, self._reader, self._ensure_marker)
        self._marked: set[str] = set()

    @classmethod
    def open(cls, settings: Mapping[str, str], deps: Deps) -> HubSpot:
        return cls(read_settings(settings), deps)

    @classmethod
    def login(cls, settings: Mapping[str, str]) -> OAuth:
        """The login with this connection's addresses."""
        return cls.oauth(read_settings(settings))

    @staticmethod
    def oauth(settings: Settings) -> OAuth:
        """The login's addresses at the hosts that the settings name."""
        return OAuth(
            authorize_url=settings.app_url + vendor.AUTHORIZE,
            token_url=settings.base_url + vendor.TOKEN,
            scopes=vendor.SCOPES,
        )

    async def _renewed(self, token: Token) -> Token:
        if token.refresh is None:
            said = "HubSpot no longer accepts the access token. Make a new one in HubSpot and paste it here."
            raise Reconnect(said, system="hubspot", operation="renew_token")
        return await self._login.refresh(token)

    # ----------------------------------------------------------------- reading

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        for kind, cursor in cursors.items():
            async for page in self._feed.pages(kind, cursor):
                yield page

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        """Records by ref. The ref of a line item gives its deal; where only companies are customers, the ref of a
        contact gives its company: webhooks speak of them, and that is what has to be read then."""
        by_object: dict[str, list[tuple[str, str]]] = {}
        for ref in dict.fromkeys(refs):
            crm_object, id_ = object_of(kind, ref)
            by_object.setdefault(crm_object.name, []).append((ref, id_))
        found: dict[str, AnyRecord | Tombstone] = {}
        for name, asked in by_object.items():
            crm_object = vendor.CRM_OBJECTS[name]
            if crm_object is LINE_ITEM or (crm_object is CONTACT and not self._settings.choices.contacts):
                found.update(await self._owners(crm_object, asked))
            else:
                found.update(await self._records(crm_object, asked))
        return found

    async def _records(
        self, crm_object: CrmObject, asked: Sequence[tuple[str, str]]
    ) -> dict[str, AnyRecord | Tombstone]:
        names = self._settings.shapes[crm_object.name].names
        refs = {id_: ref for ref, id_ in asked}
        recs = await self._api.batch_read(crm_object, names, list(refs))
        mine = [rec for rec in recs if rec.id in refs]
        found: dict[str, AnyRecord | Tombstone] = {
            refs[object_of(vendor.KIND_OF[crm_object.name], record.ref)[1]]: record
            for record in (await self._reader.records(crm_object, mine)).records
        }
        missing = [id_ for id_ in refs if id_ not in {rec.id for rec in mine}]
        return {**found, **(await self._missing(crm_object, {id_: refs[id_] for id_ in missing}))}

    async def _missing(self, crm_object: CrmObject, refs: Mapping[str, str]) -> dict[str, Tombstone]:
        """Why records are not there: archived, or merged into another, which answers to the old id."""
        if not refs:
            return {}
        kind = vendor.KIND_OF[crm_object.name]
        gone: dict[str, Tombstone] = {}
        for rec in await self._api.batch_read(crm_object, (MERGED,), list(refs), archived=True):
            if rec.id in refs:
                gone[refs[rec.id]] = Tombstone(kind, refs[rec.id], "archived", at=instant(rec.archived_at))
        for id_, ref in refs.items():
            if ref in gone:
                continue
            one = await self._api.one(crm_object, (MERGED,), id_)
            if one is not None and one.id != id_:
                gone[ref] = Tombstone(kind, ref, "merged", survivor=ref_of(crm_object, one.id))
        return gone

    async def _owners(self, crm_object: CrmObject, asked: Sequence[tuple[str, str]]) -> dict[str, AnyRecord]:
        """The deals of line items, the companies of contacts: each under the ref that was asked for."""
        start, end = (LINE_ITEM, DEAL) if crm_object is LINE_ITEM else (CONTACT, COMPANY)
        ends = await self._api.associations(start, end, [id_ for _, id_ in asked])
        owner = {id_: str(tos[0].to_object_id) for id_, tos in ends.items() if tos}
        names = self._settings.shapes[end.name].names
        recs = await self._api.batch_read(end, names, list(dict.fromkeys(owner.values())))
        records = {record.ref: record for record in (await self._reader.records(end, recs)).records}
        return {ref: records[owner[id_]] for ref, id_ in asked if owner.get(id_) in records}

    async def history(self, kind: Kind, refs: Sequence[str], paths: Sequence[str]) -> Histories:
        """What fields held, from `propertiesWithHistory`; fifty records in a call."""
        return await read_history(self._reader, kind, refs, paths)

    # ----------------------------------------------------------------- looking up

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """Live records whose field equals each value, without regard to case; archived ones are in no search.
        New ones come with the index's delay. A path that an object type lacks finds nothing there."""
        path = canonical_path(kind, path)
        wanted = {value.strip().casefold(): value for value in values}
        found: dict[str, list[AnyRecord]] = {value: [] for value in values}
        objects = [o for o in self._reader.followed(kind) if _property(self._settings.shapes[o.name], path) is not None]
        if not objects:
            raise Unsupported(f"HubSpot cannot look for a {kind} by {path}", system="hubspot", code=path)
        for crm_object in objects:
            shape = self._settings.shapes[crm_object.name]
            name = _property(shape, path) or ""
            recs = await self._searched(crm_object, _groups(name, values), (*shape.names, name))
            told = {rec.id: _told(rec, name).strip().casefold() for rec in recs}
            hits = [rec for rec in recs if told[rec.id] in wanted]
            for record in await self._records_of(crm_object, hits):
                found[wanted[told[object_of(kind, record.ref)[1]]]].append(record)
        return found

    async def _searched(
        self, crm_object: CrmObject, groups: Sequence[Sequence[Filter]], names: Sequence[str]
    ) -> list[Rec]:
        recs: dict[str, Rec] = {}
        for some in in_slices(groups, _GROUPS_IN_A_SEARCH):
            recs.update({rec.id: rec for rec in await self._api.search_all(crm_object, names, some)})
        return list(recs.values())

    async def _records_of(self, crm_object: CrmObject, recs: Sequence[Rec]) -> list[AnyRecord]:
        return (await self._reader.records(crm_object, recs)).records if recs else []

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        """Companies, contacts and deals by their unique marker, at once; products by search, with its delay."""
        found: dict[str, list[AnyRecord]] = {marker: [] for marker in markers}
        for crm_object in self._reader.followed(kind):
            for record in await self._marked_with(crm_object, markers):
                if record.marker is not None and record.marker in found:
                    found[record.marker].append(record)
        return found

    async def _marked_with(self, crm_object: CrmObject, markers: Sequence[str]) -> list[AnyRecord]:
        shape = self._settings.shapes[crm_object.name]
        try:
            if not crm_object.unique_marker:
                recs = await self._searched(crm_object, _groups(MARKER, markers), shape.names)
                return await self._records_of(crm_object, recs)
            recs = await self._api.batch_read(crm_object, shape.names, markers, id_property=MARKER)
        except Refused:
            if await self._has_marker(crm_object):
                raise
            return []  # without the property no record can carry a marker
        return await self._records_of(crm_object, recs)

    async def _has_marker(self, crm_object: CrmObject) -> bool:
        return any(p.name == MARKER and not p.archived for p in await self._api.properties(crm_object))

    async def mark(self, kind: Kind) -> str:
        """The vendor's time in epoch milliseconds, from an answer's Date, less two seconds."""
        followed = self._reader.followed(kind)
        if not followed:
            raise Unsupported(f"HubSpot keeps no {kind} for Tieout", system="hubspot", operation="mark")
        self._api.told_ms = None
        await self._api.page(followed[0], (), None, limit=1)
        if self._api.told_ms is None:
            raise Refused("HubSpot's answer told no time, so nothing can be looked up by it", system="hubspot")
        return str(self._api.told_ms - int(vendor.MARK_MARGIN_S * 1000))

    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str] = ()) -> list[AnyRecord]:
        """Records made at or after the mark, once the search's index knows them."""
        newer = [{"propertyName": "createdate", "operator": "GTE", "value": mark}]
        found: list[AnyRecord] = []
        for crm_object in self._reader.followed(kind):
            names = self._settings.shapes[crm_object.name].names
            found += await self._records_of(crm_object, await self._searched(crm_object, [newer], names))
        if not customers:
            return found
        return [record for record in found if not isinstance(record, Deal) or record.sold_to in customers]

    # ----------------------------------------------------------------- writing

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        """One batch call for each object type among the writes. HubSpot knows no idempotency key: the unique
        marker makes a repeated create an update. After the call one read fetches the records as stored."""
        return await self._writer.write(writes)

    async def _ensure_marker(self, crm_object: CrmObject) -> None:
        if crm_object.name not in self._marked:
            await catalogue.ensure(self._api, crm_object, [catalogue.marker_field(crm_object)])
            self._marked.add(crm_object.name)

    @classmethod
    def tuned(cls, settings: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
        """The properties that the mapping names are read, and its idea of a customer holds."""
        return {**settings, "customers": wanted.customers_from, "properties": named(settings, wanted)}

    async def prepare(self, wanted: Mapping[Kind, Sequence[FieldInfo]]) -> list[str]:
        """Make the properties that are missing: our marker, and what a mapping writes back. Called when an account
        is connected and when a mapping is saved; safe to repeat. The names made, such as `deal.invoice_status`.
        Raises NotAllowed, naming the scope, if the account may not."""
        made: list[str] = []
        for kind in (Kind.CUSTOMER, Kind.ITEM, Kind.DEAL):
            for crm_object in self._reader.followed(kind):
                asked = [catalogue.marker_field(crm_object), *wanted.get(kind, ())]
                names = await catalogue.ensure(self._api, crm_object, asked)
                made += [f"{crm_object.name}.{name}" for name in names]
                self._marked.add(crm_object.name)
        return made

    # ----------------------------------------------------------------- the account

    async def catalogue(self) -> Catalogue:
        return await catalogue.read_catalogue(self._reader)

    async def figures(self, start: date, end: date) -> Figures | None:
        """None: a CRM has no books."""
        return None

    @classmethod
    def verify_webhook(
        cls, *, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        return webhooks.verify(secret=secret, method=method, url=url, headers=headers, body=body, now=now)

    @classmethod
    def parse_webhook(cls, body: bytes) -> list[Event]:
        return webhooks.parse(body)


FULL_NAME = "lastname"


def _property(shape: Shape, path: str) -> str | None:
    """The property to search for a field; None if the object type has none that compares."""
    if path == "legal_name" and shape.object is CONTACT:
        return FULL_NAME
    if path.startswith("properties."):
        return path.removeprefix("properties.")
    return shape.wires.get(path) if path != "owner" else None


def _told(rec: Rec, name: str) -> str:
    """What a record says there; a contact's name is kept in two properties and compared as a whole."""
    return (full_name(rec.properties) if name == FULL_NAME else rec.properties.get(name)) or ""


def _groups(name: str, values: Sequence[str]) -> list[list[Filter]]:
    """Groups of filters that together find every record with one of the values, and maybe more."""
    if name == FULL_NAME:
        return [_full_name(value) for value in values]
    if len(values) == 1:
        return [[{"propertyName": name, "operator": "EQ", "value": values[0]}]]
    return [
        [{"propertyName": name, "operator": "IN", "values": [value.lower() for value in some]}]
        for some in _in_lengths(values)
    ]


def _in_lengths(values: Sequence[str]) -> list[list[str]]:
    """The values in lists that leave room for five of them, and the names, in one request."""
    lists: list[list[str]] = [[]]
    for value in values:
        if lists[-1] and sum(len(v) + 3 for v in lists[-1]) + len(value) > _CHARACTERS_IN_A_GROUP:
            lists.append([])
        lists[-1].append(value)
    return lists


def _full_name(name: str) -> list[Filter]:
    first, _, last = name.strip().rpartition(" ")
    if first == "":
        return [{"propertyName": "firstname", "operator": "EQ", "value": last}]
    return [{"propertyName": "lastname", "operator": "CONTAINS_TOKEN", "value": last}]
