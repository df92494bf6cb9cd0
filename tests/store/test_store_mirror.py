"""The mirror, its cursors and the dirty set: one transaction for all three, and nothing leaves the set unseen."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import select

from connectors.canon.records import Allocation, CreditNote, Deal, Invoice, Item, Kind, Payment
from connectors.canon.values import Money
from connectors.kit.contract import BadRow, Page, Tombstone
from tests.store.conftest import Place, customer, make_place, page
from worker.store import connections, dirty_set, links, mirror
from worker.store.database import Database
from worker.store.dirty_set import Dirt, DirtyRow, Listener, Parked
from worker.store.links import NewLink
from worker.store.tables import dirty

CRM_CUSTOMER = ("crm", Kind.CUSTOMER)


async def store(db: Database, place: Place, *pages: Page, books: bool = False) -> mirror.Stored:
    async with db.write() as tx:
        side = "books" if books else "crm"
        connection = place.books if books else place.crm
        return await mirror.store_pages(tx, connection, pages, [Listener(place.pair, side)])


async def due(db: Database, place: Place, settings: str = "s1") -> list[DirtyRow]:
    async with db.read() as tx:
        return [row for row in await dirty_set.read(tx, place.pair, settings) if not row.parked]


async def refs_due(db: Database, place: Place, settings: str = "s1") -> list[str]:
    return sorted(row.ref for row in await due(db, place, settings))


async def reasons(db: Database, place: Place) -> dict[str, str]:
    async with db.read() as tx:
        return {row["ref"]: row["reason"] for row in await connections.waiting(tx, place.pair)}


# --------------------------------------------------------------------------- pages


async def test_page_cursor_and_dirty_are_one_unit(db: Database, place: Place) -> None:
    """Killed between any two of the three, nothing half is there: the next pull begins where the last one did."""
    with pytest.raises(KeyboardInterrupt):
        async with db.write() as tx:
            await mirror.store_pages(tx, place.crm, [page(customer("c1"))], place.listeners)
            raise KeyboardInterrupt
    async with db.read() as tx:
        assert {Kind.CUSTOMER: None} == await mirror.read_cursors(tx, place.crm, [Kind.CUSTOMER])
        assert {} == await mirror.load(tx, place.crm, Kind.CUSTOMER, ["c1"])
    assert [] == await refs_due(db, place)
    stored = await store(db, place, page(customer("c1"), cursor="7"))
    assert mirror.Stored(seen=1, moved=((Kind.CUSTOMER, "c1"),)) == stored
    async with db.read() as tx:
        assert {Kind.CUSTOMER: "7"} == await mirror.read_cursors(tx, place.crm, [Kind.CUSTOMER])
        assert ["c1"] == list(await mirror.load(tx, place.crm, Kind.CUSTOMER, ["c1"]))
    assert ["c1"] == await refs_due(db, place)


async def test_saboteur_cursor_in_a_unit_of_its_own_loses_the_page(db: Database, place: Place) -> None:
    """With the cursor moved before the page is stored, a death between the two loses the page for ever."""
    async with db.write() as tx:
        await mirror._move_cursors(tx, place.crm, [page(cursor="7")], await tx.now())
    async with db.read() as tx:  # the worker died here; its successor asks from the cursor on
        assert {Kind.CUSTOMER: "7"} == await mirror.read_cursors(tx, place.crm, [Kind.CUSTOMER])
    assert [] == await refs_due(db, place)


async def test_what_did_not_change_marks_nothing(db: Database, place: Place) -> None:
    """A version or a time that moved is no edit."""
    await store(db, place, page(customer("c1", version="1")))
    async with db.write() as tx:
        await dirty_set.clear(tx, place.pair, await dirty_set.read(tx, place.pair, "s1"))
    assert () == (await store(db, place, page(customer("c1", version="2")))).moved
    assert [] == await refs_due(db, place)
    assert ((Kind.CUSTOMER, "c1"),) == (await store(db, place, page(customer("c1", "Acme Inc")))).moved
    assert ["c1"] == await refs_due(db, place)


async def test_the_last_word_of_several_pages_counts(db: Database, place: Place) -> None:
    """Removed on one page and restored on a later one: it is there. The other way round: it is gone."""
    await store(db, place, page(customer("c1"), customer("c2")))
    stones = [Tombstone(Kind.CUSTOMER, ref, "archived") for ref in ("c1", "c2")]
    back = customer("c1", "Acme back")
    await store(db, place, Page(gone=(stones[0],)), Page(records=(back, customer("c2", "x"))), Page(gone=(stones[1],)))
    async with db.read() as tx:
        assert {"c1": back} == await mirror.load(tx, place.crm, Kind.CUSTOMER, ["c1", "c2"])


async def test_a_restored_record_is_dirty_though_its_content_is_the_same(db: Database, place: Place) -> None:
    """Coming back is a change."""
    await store(db, place, page(customer("c1")))
    await store(db, place, Page(gone=(Tombstone(Kind.CUSTOMER, "c1", "deleted"),)))
    async with db.write() as tx:
        await dirty_set.clear(tx, place.pair, await dirty_set.read(tx, place.pair, "s1"))
    await store(db, place, page(customer("c1")))
    assert ["c1"] == await refs_due(db, place)


async def test_every_pair_of_a_connection_hears_of_it(db: Database, place: Place) -> None:
    """Mirror and cursors belong to the connection, the dirty set to each pair."""
    other = await make_place(db, "beta")
    async with db.write() as tx:
        pair = await connections.save_pair(tx, "third", place.crm, other.books)
        listeners = await connections.listeners(tx, place.crm)
        await mirror.store_pages(tx, place.crm, [page(customer("c1"))], listeners)
    assert {place.pair, pair} == {listener.pair_id for listener in listeners}
    assert ["c1"] == await refs_due(db, place)
    assert ["c1"] == await refs_due(db, msgspec.structs.replace(place, pair=pair))


# --------------------------------------------------------------------------- tombstones and scans


async def test_gone_only_by_tombstone_or_two_scans_and_a_read(db: Database, place: Place) -> None:
    """One complete listing without a record says nothing; after the second it is suspected, and only a read by id
    buries it."""
    both = page(customer("c1"), customer("c2"), scanned=frozenset({Kind.CUSTOMER}))
    without = page(customer("c1"), scanned=frozenset({Kind.CUSTOMER}))
    suspected = []
    for pages in (both, without, without):
        await store(db, place, pages)
        async with db.read() as tx:
            suspected.append(await mirror.suspects(tx, place.crm))
    assert [[], [], [(Kind.CUSTOMER, "c2")]] == suspected
    async with db.read() as tx:
        assert ["c1", "c2"] == sorted(await mirror.load(tx, place.crm, Kind.CUSTOMER, ["c1", "c2"]))


async def test_seen_again_clears_the_suspicion(db: Database, place: Place) -> None:
    """A record that the next listing shows was only not visible."""
    both = page(customer("c1"), customer("c2"), scanned=frozenset({Kind.CUSTOMER}))
    without = page(customer("c1"), scanned=frozenset({Kind.CUSTOMER}))
    for pages in (both, without, both, without):
        await store(db, place, pages)
    async with db.read() as tx:
        assert [] == await mirror.suspects(tx, place.crm)
        assert {Kind.CUSTOMER} == await mirror.missed_once(tx, place.crm)


async def test_a_listing_that_broke_off_says_nothing(db: Database, place: Place) -> None:
    """Pages of a listing that is not complete bury nobody."""
    await store(db, place, page(customer("c1"), customer("c2"), scanned=frozenset({Kind.CUSTOMER})))
    for _ in range(3):
        await store(db, place, page(customer("c1")))
    async with db.read() as tx:
        assert set() == await mirror.missed_once(tx, place.crm)


async def test_tombstone_marks_once_and_tells_the_survivor(db: Database, place: Place) -> None:
    """A merge is told with its survivor; telling it again moves nothing; of what was never known nothing is kept."""
    await store(db, place, page(customer("c1"), customer("c2")))
    stone = Tombstone(Kind.CUSTOMER, "c1", "merged", "c2")
    unknown = Tombstone(Kind.CUSTOMER, "c9", "deleted")
    moved = [len((await store(db, place, Page(gone=(stone, unknown)))).moved) for _ in range(2)]
    assert [1, 0] == moved
    async with db.read() as tx:
        assert {"c1": stone} == await mirror.tombstones(tx, place.crm, Kind.CUSTOMER, ["c1", "c2", "c9"])


# --------------------------------------------------------------------------- the dirty set


async def test_cleared_only_for_the_stamp_that_was_read(db: Database, place: Place) -> None:
    """An edit that arrives while a plan is drawn is still there after it."""
    await store(db, place, page(customer("c1")))
    read = await due(db, place)
    await store(db, place, page(customer("c1", "Acme Inc")))
    async with db.write() as tx:
        await dirty_set.clear(tx, place.pair, read)
    assert ["c1"] == await refs_due(db, place)
    async with db.write() as tx:
        await dirty_set.clear(tx, place.pair, await dirty_set.read(tx, place.pair, "s1"))
    assert [] == await refs_due(db, place)


async def test_saboteur_clearing_by_ref_loses_the_edit(db: Database, place: Place) -> None:
    """Cleared by record alone, the edit that came between is gone for good."""
    await store(db, place, page(customer("c1")))
    read = await due(db, place)
    await store(db, place, page(customer("c1", "Acme Inc")))
    async with db.write() as tx:
        await tx.run(dirty.delete().where(dirty.c.ref.in_([row.ref for row in read])))
    assert [] == await refs_due(db, place)


async def test_a_stamp_rises_with_each_marking_at_one_instant(db: Database, place: Place) -> None:
    """Also of a row that was cleared and marked again, and if the clock stands still: no two markings are alike."""
    seen = []
    for turn in range(3):
        async with db.write() as tx:
            moved = [(Kind.CUSTOMER, "c1")]
            await dirty_set.mark(tx, place.listeners, moved)
            await dirty_set.mark(tx, place.listeners, moved)
            seen.append(await tx.scalar(select(dirty.c.stamp)))
            if turn == 1:
                await tx.run(dirty.delete())
        db.shift += timedelta(milliseconds=5)
    assert 3 == len(set(seen)) and seen == sorted(seen)


async def test_two_writers_who_do_not_see_each_other_mark_apart(db: Database, place: Place) -> None:
    """On PostgreSQL two units overlap: the later marking must not look like the one that a plan has read."""
    moved = [(Kind.CUSTOMER, "c1")]
    if db.engine.dialect.name == "sqlite":
        return  # writers take turns there
    async with db.write() as one:
        await dirty_set.mark(one, place.listeners, moved)
    async with db.write() as slow:
        await slow.now()
        async with db.write() as quick:
            await dirty_set.mark(quick, place.listeners, moved)
        read = await due(db, place)
        await dirty_set.mark(slow, place.listeners, moved)
    async with db.write() as tx:
        await dirty_set.clear(tx, place.pair, read)
    assert ["c1"] == await refs_due(db, place)


async def test_parked_until_settings_or_values_change(db: Database, place: Place) -> None:
    """What waits under these settings is not looked at again under them; under others, or marked again, it is."""
    await store(db, place, page(customer("c1"), customer("c2")))
    async with db.write() as tx:
        rows = [Parked(side="crm", kind=Kind.CUSTOMER, ref=ref, reason="no name") for ref in ("c1", "c2")]
        await dirty_set.park(tx, place.pair, rows, "s1")
    assert ([], ["c1", "c2"]) == (await refs_due(db, place, "s1"), await refs_due(db, place, "s2"))
    assert {"c1": "no name", "c2": "no name"} == await reasons(db, place)
    await store(db, place, page(customer("c1", "Acme Inc")))
    assert ["c1"] == await refs_due(db, place, "s1")
    assert {"c2": "no name"} == await reasons(db, place)


async def test_marked_again_since_it_was_read_is_not_parked(db: Database, place: Place) -> None:
    """By stamp for a plan, by time for a vendor's refusal: the edit that came between is looked at."""
    await store(db, place, page(customer("c1")))
    stamps = {("crm", Kind.CUSTOMER, row.ref): row.stamp for row in await due(db, place)}
    sent_at = await db.now()
    db.shift += timedelta(seconds=1)
    await store(db, place, page(customer("c1", "Acme Inc")))
    row = Parked(side="crm", kind=Kind.CUSTOMER, ref="c1", reason="no")
    async with db.write() as tx:
        await dirty_set.park(tx, place.pair, [row], "s1", stamps)
        await dirty_set.park(tx, place.pair, [row], "s1", until=sent_at)
    assert ["c1"] == await refs_due(db, place)


async def test_what_waits_again_says_why_and_is_looked_at(db: Database, place: Place) -> None:
    """A reason without parking: its time may come."""
    await store(db, place, page(customer("c1")))
    row = Parked(side="crm", kind=Kind.CUSTOMER, ref="c1", reason="flapping", again=True)
    async with db.write() as tx:
        await dirty_set.park(tx, place.pair, [row], "s1")
    assert (["c1"], {"c1": "flapping"}) == (await refs_due(db, place), await reasons(db, place))
    async with db.write() as tx:
        await dirty_set.forget_reasons(tx, place.pair, "s1")
    assert {} == await reasons(db, place)


async def test_a_customer_or_item_that_moves_wakes_what_waits_for_it(db: Database, place: Place) -> None:
    """By the CRM's ref: moved there, or moved in the books under a link; an item wakes what waits for items."""
    deals = [Deal(ref=ref, name=ref) for ref in ("d1", "d2", "d3")]
    await store(db, place, page(*deals, kind=Kind.DEAL))
    async with db.write() as tx:
        await links.make_links(tx, place.pair, [NewLink(Kind.CUSTOMER, "c1", "b1", "matched", "")])
        waits = {"d1": "customer:c1", "d2": "customer:c2", "d3": "item"}
        await dirty_set.park(
            tx,
            place.pair,
            [Parked(side="crm", kind=Kind.DEAL, ref=ref, reason="waits", waits_for=key) for ref, key in waits.items()],
            "s1",
        )
    assert [] == await refs_due(db, place)
    await store(db, place, page(customer("b1")), books=True)
    assert ["b1", "d1"] == await refs_due(db, place)
    await store(db, place, page(customer("c2")))
    assert ["b1", "c2", "d1", "d2"] == await refs_due(db, place)
    await store(db, place, page(Item(ref="i1", name="x"), kind=Kind.ITEM), books=True)
    assert ["b1", "c2", "d1", "d2", "d3", "i1"] == await refs_due(db, place)


async def test_refused_is_remembered_under_these_settings(db: Database, place: Place) -> None:
    """With its reason, until the record moves or the settings do."""
    await store(db, place, page(customer("c1")))
    row = Parked(side="crm", kind=Kind.CUSTOMER, ref="c1", reason="taken", refused=True)
    async with db.write() as tx:
        await dirty_set.park(tx, place.pair, [row], "s1")
        one, other = await dirty_set.refused(tx, place.pair, "s1"), await dirty_set.refused(tx, place.pair, "s2")
    assert ({("crm", Kind.CUSTOMER, "c1"): "taken"}, {}) == (one, other)
    await store(db, place, page(customer("c1", "Acme Inc")))
    async with db.read() as tx:
        assert {} == await dirty_set.refused(tx, place.pair, "s1")


async def test_dirt_tells_due_and_parked_apart(db: Database, place: Place) -> None:
    """A plan looks at what is due, and knows what waits."""
    await store(db, place, page(customer("c1"), customer("c2")))
    async with db.write() as tx:
        await dirty_set.park(tx, place.pair, [Parked(side="crm", kind=Kind.CUSTOMER, ref="c1", reason="x")], "s1")
        dirt = Dirt(await dirty_set.read(tx, place.pair, "s1"))
    assert ["c2"] == [row.ref for row in dirt.due(CRM_CUSTOMER)]
    assert ["c1", "c2"] == sorted(dirt.refs(*CRM_CUSTOMER))
    assert [] == dirt.due(("books", Kind.CUSTOMER))


# --------------------------------------------------------------------------- the rest of the mirror


async def test_bad_rows_are_reported_and_replaced_by_the_next_whole_listing(db: Database, place: Place) -> None:
    """Where and why; a page that is not whole only adds."""
    scan = frozenset({Kind.CUSTOMER})
    bad = BadRow(Kind.CUSTOMER, "accounts.csv:3", 'column "revenue": "x" is not a number', ref="c3")
    await store(db, place, page(bad=(bad,), scanned=scan))
    await store(db, place, page(bad=(msgspec.structs.replace(bad, where="accounts.csv:4"),)))
    async with db.read() as tx:
        assert ["accounts.csv:3", "accounts.csv:4"] == [row["place"] for row in await mirror.bad(tx, place.crm)]
    await store(db, place, page(customer("c1"), scanned=scan))
    async with db.read() as tx:
        assert [] == await mirror.bad(tx, place.crm)


async def test_allocations_follow_their_payment(db: Database, place: Place) -> None:
    """Which payments and credits touch an invoice, and the other way; an edited payment forgets what it was."""
    paid = Payment(
        ref="p1", customer="c1", date=date(2026, 10, 1), amount=Money(Decimal(10), "USD"),
        allocations=(Allocation(document="i1", amount=Decimal(10)),),
    )  # fmt: skip
    note = CreditNote(ref="n1", customer="c1", allocations=(Allocation(document="i1", amount=Decimal(5)),))
    await store(db, place, page(paid, note, kind=Kind.PAYMENT), books=True)
    async with db.read() as tx:
        from worker.store import billing

        both = await billing.settled_by(tx, place.books, ["i1"])
        assert {"i1"} == await billing.settles(tx, place.books, both)
    assert {(Kind.PAYMENT, "p1"), (Kind.CREDIT_NOTE, "n1")} == set(both)
    moved = msgspec.structs.replace(paid, allocations=(Allocation(document="i2", amount=Decimal(10)),))
    await store(db, place, page(moved, kind=Kind.PAYMENT), books=True)
    async with db.read() as tx:
        assert [(Kind.CREDIT_NOTE, "n1")] == await billing.settled_by(tx, place.books, ["i1"])


async def test_documents_of_a_customer_are_found_by_party(db: Database, place: Place) -> None:
    """What a customer has in the books, without reading everybody else's."""
    await store(
        db, place, page(Invoice(ref="i1", customer="b1"), Invoice(ref="i2", customer="b2"), kind=Kind.INVOICE),
        books=True,
    )  # fmt: skip
    async with db.read() as tx:
        assert ["i1"] == [r.ref for r in await mirror.load_of(tx, place.books, Kind.INVOICE, ["b1"])]
        assert {Kind.INVOICE: 2} == await mirror.counts(tx, place.books)
