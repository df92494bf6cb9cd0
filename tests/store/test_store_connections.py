"""Connections, pairs and mappings: one row for an account, one writer for a field."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from connectors.canon.records import Kind
from connectors.kit.contract import Catalogue
from tests.store.conftest import Place, make_place
from worker.store import connections
from worker.store.connections import Taken
from worker.store.database import Database
from worker.store.dirty_set import Listener
from worker.store.tables import connections as table


async def test_connecting_an_account_again_is_the_same_connection(db: Database) -> None:
    """New settings, live again; another account is another connection."""
    async with db.write() as tx:
        first = await connections.save_connection(tx, "hubspot", "1", "Acme", {"a": "1"})
        await tx.run(update(table).where(table.c.id == first).values(state="reconnect"))
        again = await connections.save_connection(tx, "hubspot", "1", "Acme", {"a": "2"})
        other = await connections.save_connection(tx, "hubspot", "2", "Beta", {})
        found = await connections.get_connection(tx, first)
    assert (first, {"a": "2"}, "live") == (again, found.settings, found.state)
    assert other != first


async def test_an_account_is_unique_in_the_table(db: Database, place: Place) -> None:
    """Two processes that connect the same account at once cannot make two rows."""
    row = {"system": "memory", "account": "acme-crm", "name": "x", "settings": "{}", "state": "live"}
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await tx.run(insert(table), [{**row, "id": "cn_other", "created_at": await tx.now()}])


async def test_a_field_has_one_writing_pair(db: Database, place: Place) -> None:
    """The second pair is told whose it is; what it had claimed before stays its own."""
    other = await make_place(db, "beta")
    phone, mail = (place.crm, Kind.CUSTOMER, "phone"), (place.crm, Kind.CUSTOMER, "emails.general")
    async with db.write() as tx:
        await connections.claim_fields(tx, place.pair, [phone])
        await connections.claim_fields(tx, other.pair, [mail])
    with pytest.raises(Taken) as taken:
        async with db.write() as tx:
            await connections.claim_fields(tx, other.pair, [mail, phone])
    assert ("phone", "acme") == (taken.value.field, taken.value.pair)
    async with db.write() as tx:
        await connections.claim_fields(tx, place.pair, [])
        await connections.claim_fields(tx, other.pair, [mail, phone])


async def test_two_pairs_that_claim_at_once_do_not_share(db: Database, place: Place) -> None:
    """Whoever comes second fails, by the check or by the table's key."""
    other = await make_place(db, "beta")

    async def claim(pair: str) -> bool:
        try:
            async with db.write() as tx:
                await connections.claim_fields(tx, pair, [(place.crm, Kind.CUSTOMER, "phone")])
        except (Taken, IntegrityError):
            return False
        return True

    assert [False, True] == sorted(await asyncio.gather(claim(place.pair), claim(other.pair)))


async def test_listeners_are_the_pairs_of_a_connection(db: Database, place: Place) -> None:
    """With the side that it is to them."""
    async with db.read() as tx:
        assert [Listener(place.pair, "crm")] == await connections.listeners(tx, place.crm)
        assert [Listener(place.pair, "books")] == await connections.listeners(tx, place.books)


async def test_a_mapping_has_a_version_for_each_meaning(db: Database, place: Place) -> None:
    """Saving what it says already makes none; going back makes a new one. Every version can be read."""
    async with db.write() as tx:
        said = [("one", "d1"), ("one, with a comment", "d1"), ("two", "d2"), ("one", "d1")]
        versions = [await connections.save_mapping(tx, place.pair, *each, "tests") for each in said]
        texts = [await connections.mapping_text(tx, place.pair, n) for n in (1, 2, 3)]
        pair = await connections.get_pair(tx, place.pair)
    assert ([1, 1, 2, 3], ["one", "two", "one"], 3) == (versions, texts, pair.mapping_version)


async def test_the_installation_has_one_id(db: Database) -> None:
    """It is part of every marker: it must never change."""
    async with db.write() as tx:
        first = await connections.installation_id(tx)
    async with db.write() as tx:
        assert first == await connections.installation_id(tx)


async def test_a_catalogue_comes_back_as_it_was(db: Database, place: Place) -> None:
    """With what it does not tell."""
    catalogue = Catalogue(account_id="1", account_name="Acme", home_currency="USD", columns={Kind.ITEM: frozenset("a")})
    async with db.write() as tx:
        await connections.save_catalogue(tx, place.crm, catalogue)
        assert catalogue == (await connections.get_connection(tx, place.crm)).catalogue
