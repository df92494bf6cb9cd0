"""Installation, connections, pairs and mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy import text as sql

from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue, Side
from worker.outside import new_id
from worker.store.database import Unit
from worker.store.dirty_set import Listener
from worker.store.tables import connections, dirty, installation, mappings, pairs, writers


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One authorised account at one system."""

    id: str
    system: str
    account: str
    name: str
    settings: dict[str, str]
    state: str
    catalogue: Catalogue | None
    catalogue_at: datetime | None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A CRM connection and a books connection that are kept in step."""

    id: str
    name: str
    crm: str
    books: str
    channel: str | None
    mapping_version: int

    def connection(self, side: Side) -> str:
        return self.crm if side == "crm" else self.books


async def installation_id(tx: Unit) -> str:
    """This installation's id: made once, part of every marker."""
    known: str | None = await tx.scalar(select(installation.c.id))
    if known is not None:
        return known
    if tx.dialect == "postgresql":  # two processes that find none do not both make one
        await tx.run(sql("lock table installation in share row exclusive mode"))
        known = await tx.scalar(select(installation.c.id))
        if known is not None:
            return known
    made = new_id("in")
    await tx.run(insert(installation), [{"id": made, "created_at": await tx.now()}])
    return made


async def save_connection(tx: Unit, system: str, account: str, name: str, settings: Mapping[str, str]) -> str:
    """One row for each account: connecting again replaces its settings and makes it live."""
    known: str | None = await tx.scalar(
        select(connections.c.id).where(connections.c.system == system, connections.c.account == account)
    )
    values = {"name": name, "settings": msgspec.json.encode(dict(settings)).decode(), "state": "live"}
    if known is not None:
        await tx.run(update(connections).where(connections.c.id == known).values(**values))
        return known
    made = new_id("cn")
    await tx.run(
        insert(connections),
        [{"id": made, "system": system, "account": account, "created_at": await tx.now(), **values}],
    )
    return made


def _connection(row: Mapping[str, Any]) -> Connection:
    text = row["catalogue"]
    return Connection(
        id=row["id"],
        system=row["system"],
        account=row["account"],
        name=row["name"],
        settings=msgspec.json.decode(row["settings"]),
        state=row["state"],
        catalogue=msgspec.json.decode(text, type=Catalogue) if text is not None else None,
        catalogue_at=row["catalogue_at"],
    )


async def get_connection(tx: Unit, connection_id: str) -> Connection:
    row = await tx.first(select(connections).where(connections.c.id == connection_id))
    if row is None:
        raise LookupError(f"no connection {connection_id}")
    return _connection(row)


async def of_account(tx: Unit, system: str, account: str) -> Connection | None:
    """The connection of an account, if it is connected."""
    row = await tx.first(select(connections).where(connections.c.system == system, connections.c.account == account))
    return _connection(row) if row is not None else None


async def all_connections(tx: Unit) -> list[Connection]:
    return [_connection(row) for row in await tx.all(select(connections).order_by(connections.c.created_at))]


async def save_catalogue(tx: Unit, connection_id: str, catalogue: Catalogue) -> None:
    text = msgspec.json.Encoder(decimal_format="string").encode(catalogue).decode()
    await tx.run(
        update(connections)
        .where(connections.c.id == connection_id)
        .values(catalogue=text, catalogue_at=await tx.now(), name=catalogue.account_name)
    )


async def save_settings(tx: Unit, connection_id: str, settings: Mapping[str, str]) -> None:
    text = msgspec.json.encode(dict(settings)).decode()
    await tx.run(update(connections).where(connections.c.id == connection_id).values(settings=text))


async def save_pair(tx: Unit, name: str, crm: str, books: str) -> str:
    known: str | None = await tx.scalar(select(pairs.c.id).where(pairs.c.name == name))
    if known is not None:
        await tx.run(update(pairs).where(pairs.c.id == known).values(crm=crm, books=books))
        return known
    made = new_id("pr")
    await tx.run(
        insert(pairs),
        [
            {
                "id": made,
                "name": name,
                "crm": crm,
                "books": books,
                "mapping_version": 0,
                "created_at": await tx.now(),
            }
        ],
    )
    return made


def _pair(row: Mapping[str, Any]) -> Pair:
    return Pair(**{name: row[name] for name in ("id", "name", "crm", "books", "channel", "mapping_version")})


async def get_pair(tx: Unit, pair_id: str) -> Pair:
    row = await tx.first(select(pairs).where(pairs.c.id == pair_id))
    if row is None:
        raise LookupError(f"no pair {pair_id}")
    return _pair(row)


async def all_pairs(tx: Unit) -> list[Pair]:
    return [_pair(row) for row in await tx.all(select(pairs).order_by(pairs.c.created_at))]


async def listeners(tx: Unit, connection_id: str) -> list[Listener]:
    """The pairs that a connection is a side of."""
    rows = await tx.rows(
        select(pairs.c.id, pairs.c.crm).where(or_(pairs.c.crm == connection_id, pairs.c.books == connection_id))
    )
    return [Listener(pair_id, "crm" if crm == connection_id else "books") for pair_id, crm in rows]


async def save_mapping(tx: Unit, pair_id: str, text: str, digest: str, by: str) -> int:
    """A new version, unless it says what the current one says."""
    row = await tx.first(
        select(mappings.c.version, mappings.c.digest)
        .where(mappings.c.pair_id == pair_id)
        .order_by(mappings.c.version.desc())
    )
    version = row["version"] if row is not None else 0
    if row is None or row["digest"] != digest:
        version += 1
        await tx.run(
            insert(mappings),
            [{"pair_id": pair_id, "version": version, "text": text, "digest": digest, "saved_by": by,
              "saved_at": await tx.now()}],
        )  # fmt: skip
    await tx.run(update(pairs).where(pairs.c.id == pair_id).values(mapping_version=version))
    return int(version)


async def mapping_text(tx: Unit, pair_id: str, version: int) -> str:
    text: str | None = await tx.scalar(
        select(mappings.c.text).where(mappings.c.pair_id == pair_id, mappings.c.version == version)
    )
    if text is None:
        raise LookupError(f"pair {pair_id} has no mapping {version}")
    return text


async def mapping_saved_by(tx: Unit, pair_id: str, version: int) -> str | None:
    saved_by: str | None = await tx.scalar(
        select(mappings.c.saved_by).where(mappings.c.pair_id == pair_id, mappings.c.version == version)
    )
    return saved_by


async def pairs_of_channel(tx: Unit, channel: str) -> list[Pair]:
    return [_pair(row) for row in await tx.all(select(pairs).where(pairs.c.channel == channel))]


async def bind_channel(tx: Unit, pair_id: str, channel: str | None) -> None:
    """A pair speaks in one channel, and a channel is one pair's: who had it before loses it."""
    if channel is not None:
        await tx.run(update(pairs).where(pairs.c.channel == channel).values(channel=None))
    await tx.run(update(pairs).where(pairs.c.id == pair_id).values(channel=channel))


class Taken(Exception):
    """Another pair writes that field already."""

    def __init__(self, connection_id: str, kind: Kind, field: str, pair: str) -> None:
        super().__init__(f'pair "{pair}" writes {kind.value} {field} at this account already')
        self.connection_id, self.kind, self.field, self.pair = connection_id, kind, field, pair


async def claim_fields(tx: Unit, pair_id: str, fields: Iterable[tuple[str, Kind, str]]) -> None:
    """(connection, kind, field): one pair at most may write each. Replaces what this pair had claimed. Raises
    Taken if another has one."""
    await tx.run(delete(writers).where(writers.c.pair_id == pair_id))
    rows = [{"connection_id": c, "kind": k.value, "field": f, "pair_id": pair_id} for c, k, f in dict.fromkeys(fields)]
    for row in rows:
        owner = await tx.scalar(
            select(pairs.c.name)
            .join(writers, writers.c.pair_id == pairs.c.id)
            .where(
                writers.c.connection_id == row["connection_id"],
                writers.c.kind == row["kind"],
                writers.c.field == row["field"],
            )
        )
        if owner is not None:
            raise Taken(row["connection_id"], Kind(row["kind"]), row["field"], owner)
    if rows:
        await tx.run(insert(writers), rows)


async def waiting(tx: Unit, pair_id: str) -> list[dict[str, Any]]:
    """Records that wait for somebody, and why."""
    rows = await tx.all(
        select(dirty.c.side, dirty.c.kind, dirty.c.ref, dirty.c.reason)
        .where(dirty.c.pair_id == pair_id, dirty.c.reason.is_not(None))
        .order_by(dirty.c.reason, dirty.c.ref)
    )
    return [dict(row) for row in rows]


async def waiting_counts(tx: Unit, pair_id: str) -> dict[str, int]:
    """How many records wait for somebody, by reason; without those whose waiting is no news."""
    rows = await tx.rows(
        select(dirty.c.reason, func.count())
        .where(dirty.c.pair_id == pair_id, dirty.c.reason.is_not(None))
        .group_by(dirty.c.reason)
    )
    return {reason: number for reason, number in rows if not _expected(reason)}


def _expected(reason: str) -> bool:
    """A question is counted as one already; a company becomes a customer with its first invoice."""
    return reason.rstrip(".").endswith("a person decides") or reason == "for its first invoice"
