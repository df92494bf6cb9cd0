"""Links and bases, positions and documents: what may exist once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from connectors.canon.fields import FieldType
from connectors.canon.records import Kind
from connectors.canon.values import ABSENT, Address
from connectors.kit.contract import Page, Tombstone
from tests.store.conftest import Place, customer, make_place, page
from worker.engine.merge import Base
from worker.store import billing, links, mirror
from worker.store.billing import NewDocument, PositionRow
from worker.store.database import Database
from worker.store.dirty_set import Listener
from worker.store.links import Link, NewLink

TEXT = {"name:legal_name": (FieldType.TEXT, FieldType.TEXT)}


async def linked(db: Database, place: Place, crm: str | None = "c1", books: str | None = "b1") -> Link:
    async with db.write() as tx:
        return (await links.make_links(tx, place.pair, [NewLink(Kind.CUSTOMER, crm, books, "matched", "")]))[0]


# --------------------------------------------------------------------------- links


@pytest.mark.parametrize(("crm", "books"), [("c1", "b2"), ("c2", "b1")])
async def test_a_record_has_one_link(db: Database, place: Place, crm: str, books: str) -> None:
    """A ref that is linked cannot be linked again in the same pair, whichever side it is on."""
    await linked(db, place)
    with pytest.raises(IntegrityError):
        await linked(db, place, crm, books)
    other = await make_place(db, "other")
    assert (crm, books) == ((made := await linked(db, other, crm, books)).crm, made.books)


async def test_two_primaries_of_a_side_are_refused(db: Database, place: Place) -> None:
    """A link has one primary member a side; others are `also`."""
    from sqlalchemy import insert

    from worker.store.tables import link_members

    link = await linked(db, place)
    row = {"pair_id": place.pair, "side": "crm", "kind": "customer", "ref": "c9", "link_id": link.id}
    async with db.write() as tx:
        await tx.run(insert(link_members), [{**row, "role": "also"}])
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await tx.run(insert(link_members), [{**row, "ref": "c8", "role": "primary"}])


async def test_links_are_found_from_either_side(db: Database, place: Place) -> None:
    """By (side, kind, ref); an unlinked one has none; a link may have one side only."""
    link, half = await linked(db, place), await linked(db, place, "c2", None)
    async with db.read() as tx:
        members = [("crm", Kind.CUSTOMER, "c1"), ("books", Kind.CUSTOMER, "b1"), ("crm", Kind.CUSTOMER, "c2"),
                   ("crm", Kind.ITEM, "c1")]  # fmt: skip
        found = await links.find_links(tx, place.pair, members)
    assert {members[0]: link, members[1]: link, members[2]: half} == found


async def test_a_merge_moves_the_member_unless_the_survivor_is_linked(db: Database, place: Place) -> None:
    """The link and its bases go on with the survivor."""
    link = await linked(db, place)
    await linked(db, place, "c2", "b2")
    async with db.write() as tx:
        moved = [
            await links.move_member(tx, place.pair, "crm", Kind.CUSTOMER, "c1", survivor) for survivor in ("c3", "c2")
        ]
        found = await links.get_links(tx, [link.id])
    assert ([True, False], "c3") == (moved, found[link.id].crm)


async def test_unlink_forgets_link_members_and_bases(db: Database, place: Place) -> None:
    """The records may be linked anew, with nothing of the old base."""
    link = await linked(db, place)
    async with db.write() as tx:
        await links.store_bases(tx, [(link.id, "name:legal_name", Base("a", "a"), "x")])
        await links.unlink(tx, [link.id])
        assert {} == await links.load_bases(tx, [link.id], TEXT)
    await linked(db, place)


# --------------------------------------------------------------------------- bases


async def test_base_is_kept_for_each_side(db: Database, place: Place) -> None:
    """What the vendor stored and what was read may differ; empty, absent and composite values come back as they
    were."""
    link = await linked(db, place)
    types = {**TEXT, "address:address": (FieldType.ADDRESS, FieldType.ADDRESS)}
    said = {
        "name:legal_name": Base(crm="  Acme ", books="Acme"),
        "address:address": Base(crm=Address(lines=("1 Main",), country="US"), books=None),
    }
    async with db.write() as tx:
        await links.store_bases(tx, [(link.id, rule, base, "x") for rule, base in said.items()])
        assert {link.id: said} == await links.load_bases(tx, [link.id], types)
        assert {link.id: {"name:legal_name": said["name:legal_name"]}} == await links.load_bases(tx, [link.id], TEXT)


async def test_half_a_base_leaves_the_other_half(db: Database, place: Place) -> None:
    """One side was written; the other is as it was, or unknown if there was none."""
    link = await linked(db, place)
    async with db.write() as tx:
        await links.store_half_base(tx, link.id, "name:legal_name", "crm", "Acme", "x")
        first = await links.load_bases(tx, [link.id], TEXT)
        await links.store_half_base(tx, link.id, "name:legal_name", "books", "ACME", "y")
        second = await links.load_bases(tx, [link.id], TEXT)
    assert Base("Acme", ABSENT) == first[link.id]["name:legal_name"]
    assert Base("Acme", "ACME") == second[link.id]["name:legal_name"]


async def test_a_rule_that_is_new_forgets_its_bases_only(db: Database, place: Place) -> None:
    """A changed conversion was never compared: its base goes, in this pair and for this kind."""
    link = await linked(db, place)
    async with db.write() as tx:
        rows = [(link.id, rule, Base("a", "a"), "x") for rule in ("name:legal_name", "phone:phone")]
        await links.store_bases(tx, rows)
        await links.forget_bases(tx, place.pair, Kind.ITEM, ["name:legal_name"])
        await links.forget_bases(tx, place.pair, Kind.CUSTOMER, ["phone:phone"])
        types = {**TEXT, "phone:phone": TEXT["name:legal_name"]}
        assert ["name:legal_name"] == list((await links.load_bases(tx, [link.id], types))[link.id])


async def test_alive_counts_what_can_still_be_seen(db: Database, place: Place) -> None:
    """Linked records that are gone, or were missed by the last complete listing, are not alive: what the emptied-side
    guard reads."""
    await linked(db, place, "c1", "b1")
    await linked(db, place, "c2", "b2")
    scan = frozenset({Kind.CUSTOMER})
    async with db.write() as tx:
        for pages in (page(customer("c1"), customer("c2"), scanned=scan), page(customer("c1"), scanned=scan)):
            await mirror.store_pages(tx, place.crm, [pages], [Listener(place.pair, "crm")])
        stones = tuple(Tombstone(Kind.CUSTOMER, ref, "deleted") for ref in ("b1", "b2"))
        for pages in (page(customer("b1"), customer("b2")), Page(gone=stones)):
            await mirror.store_pages(tx, place.books, [pages], [Listener(place.pair, "books")])
        counted, alive = await links.linked_and_alive(tx, place.pair, {"crm": place.crm, "books": place.books})
    assert {("crm", Kind.CUSTOMER): 2, ("books", Kind.CUSTOMER): 2} == counted
    assert {("crm", Kind.CUSTOMER): 1, ("books", Kind.CUSTOMER): 0} == alive


# --------------------------------------------------------------------------- positions and documents


def position(seq: int = 1, net: str = "100.00", **more: object) -> PositionRow:
    said = {
        "id": f"po{seq}",
        "deal": "d1",
        "seq": seq,
        "role": "final",
        "planned_on": date(2026, 11, 1),
        "net": Decimal(net),
        "currency": "USD",
        "generation": 0,
        "state": "open",
    }
    return PositionRow(**{**said, **more})


def document(ref: str, generation: int = 0, position_id: str = "po1") -> NewDocument:
    return NewDocument(
        position_id=position_id, generation=generation, kind=Kind.INVOICE, ref=ref, provenance="created", marker="T-1"
    )


async def billed(db: Database, place: Place, *documents: NewDocument) -> None:
    async with db.write() as tx:
        await billing.save_positions(tx, place.pair, [position()])
        await billing.add_documents(tx, place.pair, documents)


async def test_one_live_document_for_a_position_and_generation(db: Database, place: Place) -> None:
    """A second one fails the unit, whatever made it."""
    await billed(db, place, document("i1"))
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await billing.add_documents(tx, place.pair, [document("i2")])
    async with db.read() as tx:
        assert ["i1"] == [d.ref for d in (await billing.documents_of(tx, ["po1"]))["po1"]]


async def test_a_document_stands_for_one_position(db: Database, place: Place) -> None:
    """An invoice cannot be the document of two positions."""
    await billed(db, place, document("i1"))
    async with db.write() as tx:
        await billing.save_positions(tx, place.pair, [position(2)])
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await billing.add_documents(tx, place.pair, [document("i1", position_id="po2")])


async def test_a_voided_document_makes_its_position_spent(db: Database, place: Place) -> None:
    """Its place is free for the next generation, and for the same one only because it is not live any more."""
    await billed(db, place, document("i1"))
    async with db.write() as tx:
        found = await billing.documents_by_ref(tx, place.pair, [(Kind.INVOICE, "i1")])
        await billing.end_document(tx, found[Kind.INVOICE, "i1"], "void", "voided by a person")
        spent = (await billing.positions_of(tx, place.pair, ["d1"]))["d1"][0]
        await billing.add_documents(tx, place.pair, [document("i2", generation=1)])
        again = (await billing.positions_of(tx, place.pair, ["d1"]))["d1"][0]
    assert ("spent", "voided by a person", "billed") == (spent.state, spent.reason, again.state)


async def test_a_position_takes_new_figures_and_keeps_its_id(db: Database, place: Place) -> None:
    """(deal, seq) is one row: what refers to it goes on."""
    async with db.write() as tx:
        await billing.save_positions(tx, place.pair, [position(net="100.00")])
        await billing.save_positions(tx, place.pair, [position(net="90.10", id="other")])
        found = (await billing.positions_of(tx, place.pair))["d1"]
    assert [("po1", Decimal("90.10"))] == [(p.id, p.net) for p in found]


async def test_positions_that_a_deal_has_no_more_are_dropped(db: Database, place: Place) -> None:
    """Only those named."""
    async with db.write() as tx:
        await billing.save_positions(tx, place.pair, [position(1), position(2)])
        await billing.drop_positions(tx, ["po2"])
        assert ["po1"] == [p.id for p in (await billing.positions_of(tx, place.pair))["d1"]]
