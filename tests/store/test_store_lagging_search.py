"""A vendor's search lags behind our own reads: what it tells late must not undo what is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connectors.canon.records import Customer, Kind
from tests.store.conftest import Place, page
from worker.store import mirror
from worker.store.database import Database
from worker.store.mirror import Listener

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(minutes: int, phone: str) -> Customer:
    return Customer(ref="c1", legal_name="Acme", phone=phone, updated_at=NOON + timedelta(minutes=minutes))


async def told(db: Database, place: Place, *records: Customer) -> tuple[object, int]:
    """The phone that the mirror holds after all were told, and how many of the last page counted as moved."""
    moved = 0
    for record in records:
        async with db.write() as tx:
            stored = await mirror.store_pages(tx, place.crm, [page(record)], [Listener(place.pair, "crm")])
        moved = stored.moved
    async with db.read() as tx:
        held = (await mirror.load(tx, place.crm, Kind.CUSTOMER, ["c1"]))["c1"]
    assert isinstance(held, Customer)
    return held.phone, moved


async def test_an_older_telling_changes_nothing_and_is_no_edit(db: Database, place: Place) -> None:
    """A write's answer is read at once, the search shows the value before it a moment longer: taken for an edit, it
    would be carried to the other side, over what a person typed there."""
    assert ("new", 0) == await told(db, place, at(0, "old"), at(5, "new"), at(0, "old"))


async def test_a_newer_telling_and_one_of_the_same_time_count(db: Database, place: Place) -> None:
    assert ("newer", 1) == await told(db, place, at(0, "old"), at(1, "newer"))
    assert ("again", 1) == await told(db, place, at(1, "again"))


async def test_a_system_that_tells_no_times_is_believed(db: Database, place: Place) -> None:
    timeless = Customer(ref="c1", legal_name="Acme", phone="plain")
    assert ("plain", 1) == await told(db, place, at(5, "new"), timeless)


async def test_a_mirror_that_believes_every_telling_would_be_caught(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saboteur: nothing known counts as newer."""

    async def nothing(*given: object) -> dict[object, object]:
        return {}

    monkeypatch.setattr(mirror, "_newer_known", nothing)
    assert ("old", 1) == await told(db, place, at(0, "old"), at(5, "new"), at(0, "old"))
