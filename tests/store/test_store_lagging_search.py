"""A vendor's search lags behind our own reads: what it tells late must not undo what is known."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest

from connectors.canon.records import Customer, Kind
from connectors.kit.contract import Page
from connectors.memory.connector import Memory
from connectors.memory.world import WORLDS, MemoryWorld
from tests.contract.harness import deps_in_process
from tests.store.conftest import Place, page
from worker.store import mirror
from worker.store.database import Database, Unit
from worker.store.dirty_set import Listener
from worker.usecases.pull import pull

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def at(minutes: int, phone: str) -> Customer:
    return Customer(ref="c1", legal_name="Acme", phone=phone, updated_at=NOON + timedelta(minutes=minutes))


async def told(db: Database, place: Place, *records: Customer) -> tuple[object, int]:
    """The phone that the mirror holds after all were told, and how many of the last page counted as moved."""
    moved = 0
    for record in records:
        async with db.write() as tx:
            stored = await mirror.store_pages(tx, place.crm, [page(record)], [Listener(place.pair, "crm")])
        moved = len(stored.moved)
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


# --------------------------------------------------------------------------- what is gone stays gone


class Behind(Memory):
    """A vendor whose search still shows what `shown` says."""

    shown: ClassVar[tuple[Customer, ...]] = ()

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        async for each in super().changes(cursors):
            late = self.shown if Kind.CUSTOMER in each.cursors else ()
            yield msgspec.structs.replace(each, records=each.records + late)


@contextlib.contextmanager
def _vendor() -> Iterator[MemoryWorld]:
    yield MemoryWorld.make("behind")
    del WORLDS["behind"]


async def _alive(db: Database, place: Place) -> set[str]:
    """The refs of customers that the mirror takes for alive, after a pull of the vendor whose search is behind."""
    await pull(db, place.crm, Behind.open({"world": "behind"}, deps_in_process()))
    async with db.read() as tx:
        refs = [ref for kind, ref in await mirror.all_refs(tx, place.crm) if kind is Kind.CUSTOMER]
        buried = await mirror.held_as_gone(tx, place.crm, [(Kind.CUSTOMER, ref) for ref in refs])
    return set(refs) - {ref for _, ref in buried}


async def _shown_late(db: Database, place: Place, monkeypatch: pytest.MonkeyPatch, *, restored: bool) -> set[str]:
    """Archived, told so, and then shown by the search once more: because it is behind, or because it is back."""
    with _vendor() as world:
        ref = world.add(Customer(legal_name="Acme"))
        await _alive(db, place)
        late = world.see(Kind.CUSTOMER, ref)
        assert isinstance(late, Customer)
        world.archive(Kind.CUSTOMER, ref)
        assert set() == await _alive(db, place)
        if restored:
            world.put(late)
        monkeypatch.setattr(Behind, "shown", () if restored else (late,))
        return await _alive(db, place)


async def test_a_search_that_is_behind_revives_nothing(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would tell its end again: it is read by id before it is believed."""
    assert set() == await _shown_late(db, place, monkeypatch, restored=False)


async def test_what_a_person_restored_is_back(db: Database, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown again, and there when it is read by id."""
    assert {"c1"} == await _shown_late(db, place, monkeypatch, restored=True)


async def test_saboteur_a_search_that_is_believed_revives_the_dead(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look by id the ghost is back, and for good."""
    honest, asked = mirror.held_as_gone, []

    async def first_nothing(tx: Unit, connection_id: str, keys: Sequence[tuple[Kind, str]]) -> list[tuple[Kind, str]]:
        """The pull learns nothing; whoever looks at the mirror does."""
        asked.append(keys)
        from_pull = len(asked) % 2 == 1
        return [] if from_pull else await honest(tx, connection_id, keys)

    monkeypatch.setattr(mirror, "held_as_gone", first_nothing)
    assert {"c1"} == await _shown_late(db, place, monkeypatch, restored=False)
