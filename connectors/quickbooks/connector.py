"""QuickBooks Online, as the contract asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar

import msgspec

from connectors.canon.records import AnyRecord, Kind
from connectors.kit import contract
from connectors.kit.errors import BadSettings, ConnectorError, TryLater, Unsupported
from connectors.kit.oauth import Login
from connectors.kit.signatures import hmac_sha256_base64
from connectors.quickbooks.api import Api
from connectors.quickbooks.company import Company, catalogue_from
from connectors.quickbooks.documents import lacks_item
from connectors.quickbooks.feed import Feed
from connectors.quickbooks.figures import figures
from connectors.quickbooks.finding import NUMBERED, Finder, Holder
from connectors.quickbooks.names import with_holders
from connectors.quickbooks.setup import Setup
from connectors.quickbooks.vendor import AUTHORIZE_URL, BATCH, FACTS, PAGE, PRODUCTION, SYSTEM, TOKEN_URL
from connectors.quickbooks.webhooks import SIGNATURE_HEADER, events_in
from connectors.quickbooks.wire import stamp
from connectors.quickbooks.writing import Writer, not_sent


class QuickBooks(contract.Connector):
    """One QuickBooks company."""

    facts: ClassVar[contract.Facts] = FACTS

    def __init__(self, api: Api, realm_id: str, clock: contract.Clock, batch: int) -> None:
        self._api = api
        self._batch = batch
        self._setup = Setup(api, realm_id)
        self._finder = Finder(api, self._setup)
        self._feed = Feed(api, self._setup.reading, self._time, clock.now)

    @classmethod
    def open(cls, settings: Mapping[str, str], deps: contract.Deps) -> QuickBooks:
        realm_id = settings.get("realm_id", "")
        if not realm_id.isdigit():
            raise BadSettings("realm_id is missing: connect the company again", system=SYSTEM)
        page, batch = _whole(settings, "page", PAGE), _whole(settings, "batch", BATCH)
        login = Login(cls.login(settings), system=SYSTEM, session=deps.session, clock=deps.clock)
        api = Api(
            deps,
            base_url=settings.get("base_url", PRODUCTION),
            realm_id=realm_id,
            renew=login.refresh,
            page=page,
        )
        return cls(api, realm_id, deps.clock, batch)

    @classmethod
    def login(cls, settings: Mapping[str, str]) -> contract.OAuth:
        """The login's facts with this connection's addresses."""
        oauth = next(each for each in FACTS.logins if isinstance(each, contract.OAuth))
        return msgspec.structs.replace(
            oauth,
            authorize_url=settings.get("authorize_url", AUTHORIZE_URL),
            token_url=settings.get("token_url", TOKEN_URL),
        )

    # ----------------------------------------------------------------------- facts that depend on the company

    def kinds_for(self, catalogue: contract.Catalogue) -> dict[Kind, contract.KindFacts]:
        """The kinds' facts in this company, with this connection's page and batch sizes. Where others may number
        documents, our marker is the number: then it can be searched, and one read settles a lost batch."""
        sizes = {"page": self._api.page, "batch_write": self._batch}
        number = {"marker": "DocNumber", "marker_searchable": True, "probe_many": True}
        searchable = catalogue.numbering == "caller"
        return {
            kind: msgspec.structs.replace(known, **sizes, **(number if searchable and kind in NUMBERED else {}))
            for kind, known in FACTS.kinds.items()
        }

    # ----------------------------------------------------------------------- reading

    def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[contract.Page]:
        return self._feed.changes(cursors)

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | contract.Tombstone]:
        return {record.ref: record for record in await self._finder.get(kind, refs)}

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        return await self._finder.find(kind, path, values)

    async def name_holders(self, names: Sequence[str]) -> dict[str, list[Holder]]:
        """Who has each name, active or not: customers, vendors and employees share one name space."""
        return await self._finder.name_holders(names)

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        if kind not in NUMBERED or not (await self._setup.preferences()).custom_numbers:
            return {}
        return await self._finder.by_marker(kind, markers)

    async def mark(self, kind: Kind) -> str:
        return stamp(await self._time())

    async def _time(self) -> datetime:
        """QuickBooks' time: as it told it within the last minute, else by a small call."""
        if self._api.told.fresh() is None:
            await self._setup.preferences(again=True)
        told = self._api.told.fresh()
        if told is None:
            raise TryLater("QuickBooks does not tell its time", system=SYSTEM, operation="mark")
        return told

    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str] = ()) -> list[AnyRecord]:
        return await self._finder.created_since(kind, mark, customers)

    # ----------------------------------------------------------------------- writing

    async def write(self, writes: Sequence[contract.Write], key: str) -> list[contract.Outcome]:
        if len(writes) > self._batch:
            raise Unsupported(f"at most {self._batch} writes go in one call", system=SYSTEM, operation="write")
        if not writes:
            return []
        try:
            writer = Writer(self._api, await self._company_for(writes), await self._setup.reading())
        except ConnectorError as error:
            return [not_sent(error) for _ in writes]
        return await with_holders(self._finder, writes, await writer.write(writes, key))

    async def _company_for(self, writes: Sequence[contract.Write]) -> Company:
        """The set-up that these writes need."""
        if any(isinstance(each, contract.Create) and lacks_item(each.record) for each in writes):
            return await self._setup.company_with_items()
        return await self._setup.company()

    # ----------------------------------------------------------------------- set-up and totals

    async def catalogue(self) -> contract.Catalogue:
        return catalogue_from(await self._setup.company())

    async def figures(self, start: date, end: date) -> contract.Figures | None:
        home = (await self._setup.preferences()).home_currency
        return None if home is None else await figures(self._api, start, end, home)

    # ----------------------------------------------------------------------- webhooks

    @classmethod
    def verify_webhook(
        cls, *, secret: str, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> bool:
        """HMAC-SHA256 of the raw body with the verifier token, in base64. It says nothing about when it was made:
        a replayed call passes, and only marks records dirty once more."""
        given = next((value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER), None)
        return hmac_sha256_base64(secret, body, given)

    @classmethod
    def parse_webhook(cls, body: bytes) -> list[contract.Event]:
        return events_in(body)


def _whole(settings: Mapping[str, str], name: str, most: int) -> int:
    """A number from 1 to `most`; `most` where it is not set."""
    said = settings.get(name, str(most))
    if not said.isdigit() or not 1 <= int(said) <= most:
        raise BadSettings(f"{name} is {said}: it must be a whole number from 1 to {most}", system=SYSTEM)
    return int(said)
