"""What every use case is given: the store, open connectors, ids and a place to say how far it is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import aiohttp
import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue, Clock, Connector, Deps, KindFacts, Side
from worker.budget import SharedBudgets
from worker.crash import crash
from worker.engine.mapping import Mapping as PairMapping
from worker.engine.mapping import fit, parse
from worker.store import connections as store
from worker.store.connections import Pair
from worker.store.database import Database
from worker.store.runs import Lane
from worker.vault import StoredTokens, Vault

SIDES: tuple[Side, Side] = ("crm", "books")
OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}

Say: TypeAlias = Callable[[str, int, int], Awaitable[None]]


async def say_nothing(step: str, done: int, total: int) -> None:
    """For whoever does not want to know."""


def is_paced(settings: Mapping[str, str]) -> bool:
    """Whether calls are spread over the vendor's limits; `pace: off` is for a sandbox without any."""
    return settings.get("pace") != "off"


class CallCount:
    """Vendor calls of one connection, by operation."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()

    def count(self, operation: str, *, write: bool) -> None:
        (self.writes if write else self.reads)[operation] += 1

    @property
    def total(self) -> int:
        return self.reads.total() + self.writes.total()


class Office:
    """One worker's desk: open it once, close it at the end. `budgets` are the process's: connectors of one
    connection keep to its rate limits together (None: those of this office do)."""

    def __init__(
        self,
        *,
        db: Database,
        vault: Vault,
        registry: Mapping[str, type[Connector]],
        session: aiohttp.ClientSession,
        clock: Clock,
        lane: Lane = "realtime",
        budgets: SharedBudgets | None = None,
    ) -> None:
        self.budgets = budgets if budgets is not None else SharedBudgets(clock)
        self.db, self.vault, self.registry = db, vault, registry
        self.session, self.clock, self.lane = session, clock, lane
        self.calls: dict[str, CallCount] = {}
        self._open: dict[str, tuple[dict[str, str], Connector, StoredTokens]] = {}

    async def connector(self, connection_id: str) -> Connector:
        """The open connector of a connection; opened anew when its settings changed."""
        async with self.db.read() as tx:
            connection = await store.get_connection(tx, connection_id)
        known = self._open.get(connection_id)
        if known is not None and known[0] == connection.settings:
            known[2].forget()
            return known[1]
        tokens = StoredTokens(self.db, self.vault, connection_id, self.clock.sleep)
        calls = self.calls.setdefault(connection_id, CallCount())
        deps = Deps(
            session=self.session,
            tokens=tokens,
            clock=self.clock,
            calls=calls,
            lane=self.lane,
            paced=is_paced(connection.settings),
            budget=self.budgets.of(connection_id),
        )
        connector = self.registry[connection.system].open(connection.settings, deps)
        self._open[connection_id] = (connection.settings, connector, tokens)
        return connector

    async def close(self) -> None:
        for _, connector, _ in self._open.values():
            await connector.close()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """A pair with all that its runs need: mapping, catalogues, open connectors. `settings` is the digest of the
    mapping and both catalogues: what was parked under another one is looked at again."""

    office: Office
    pair: Pair
    installation: str
    mapping: PairMapping
    connectors: dict[Side, Any]
    catalogues: dict[Side, Catalogue]
    settings: str
    say: Say = say_nothing

    @property
    def db(self) -> Database:
        return self.office.db

    def connector(self, side: Side) -> Connector:
        found: Connector = self.connectors[side]
        return found

    def facts(self, side: Side, kind: Kind) -> KindFacts:
        """What the side's system declares about a kind, at an account set up like this one."""
        return self.connector(side).kinds_for(self.catalogues[side])[kind]

    def has(self, side: Side, kind: Kind) -> bool:
        return kind in self.connector(side).facts.kinds

    def title(self, side: Side) -> str:
        """What people call the side's system: "QuickBooks"."""
        return self.connector(side).facts.title


CATALOGUE_LASTS = timedelta(minutes=15)


async def open_desk(office: Office, pair_id: str, say: Say = say_nothing, *, fresh: bool = False) -> Desk:
    """Gather what a run of this pair needs. With `fresh` the catalogues are read now, else only if the stored ones
    are older than a quarter of an hour. A mapped field that is gone from one is absent, and suspends that field."""
    async with office.db.write() as tx:
        pair = await store.get_pair(tx, pair_id)
        text = await store.mapping_text(tx, pair_id, pair.mapping_version)
        installation = await store.installation_id(tx)
    opened = {side: await office.connector(pair.connection(side)) for side in SIDES}
    catalogues = {side: await _catalogue(office, pair.connection(side), opened[side], fresh) for side in SIDES}
    mapping = fit(parse(text), opened["crm"].facts, catalogues["crm"], opened["books"].facts, catalogues["books"])
    digest = hashlib.blake2b(mapping.version.encode(), digest_size=8)
    for side in SIDES:
        digest.update(msgspec.json.Encoder(decimal_format="string", order="sorted").encode(catalogues[side]))
    return Desk(
        office=office,
        pair=pair,
        installation=installation,
        mapping=mapping,
        connectors=dict(opened),
        catalogues=catalogues,
        settings=digest.hexdigest(),
        say=say,
    )


async def _catalogue(office: Office, connection_id: str, connector: Connector, fresh: bool) -> Catalogue:
    async with office.db.read() as tx:
        known = await store.get_connection(tx, connection_id)
        now = await tx.now()
    read_at = known.catalogue_at
    if not fresh and known.catalogue is not None and read_at is not None and now - read_at < CATALOGUE_LASTS:
        return known.catalogue
    catalogue = await connector.catalogue()
    async with office.db.write() as tx:
        await store.save_catalogue(tx, connection_id, catalogue)
    crash("catalogue.committed")
    return catalogue
