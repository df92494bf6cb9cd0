"""The connector against the sandbox, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from connectors.canon.records import AnyRecord, Customer, Deal, Item, Kind
from connectors.canon.values import Address, Money, Person, Price
from connectors.hubspot import HubSpot
from connectors.kit.contract import (
    Act,
    Create,
    Denied,
    Done,
    FieldInfo,
    InDoubt,
    NotSent,
    Page,
    Token,
    Tombstone,
    Update,
)
from connectors.kit.errors import Reconnect, Unsupported
from connectors.kit.sandbox.faults import lose_answer, status

HOUR = 3600
CUSTOMER = Kind.CUSTOMER


async def pull(connector: HubSpot, cursors: Mapping[Kind, str | None]) -> tuple[list[Page], dict[Kind, str | None]]:
    """All pages since the cursors, and the cursors behind them."""
    pages = [page async for page in connector.changes(cursors)]
    behind = dict(cursors)
    for page in pages:
        behind.update(page.cursors)
    return pages, behind


def records(pages: list[Page]) -> list[AnyRecord]:
    return [record for page in pages for record in page.records]


def gone(pages: list[Page]) -> list[Tombstone]:
    return [tombstone for page in pages for tombstone in page.gone]


def update(kind: Kind, ref: str, **properties: Any) -> Update:
    after = {f"properties.{name}": value for name, value in properties.items()}
    return Update(kind=kind, ref=ref, version=None, before={}, after=after, key="k")


def create(name: str, marker: str, **more: Any) -> Create:
    return Create(record=Customer(legal_name=name, **more), marker=marker, key="k")


# --------------------------------------------------------------------------- reading


async def test_everything_is_listed_once_and_then_nothing(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """A full reading takes a call a hundred and one on people; an unchanged account costs one call, and its cursor
    stays as it is."""
    for n in range(250):
        portal.add_company(f"Company {n}")
    portal.clock.advance(HOUR / 2)
    hubspot = open_hubspot()
    pages, cursors = await pull(hubspot, {CUSTOMER: None})
    assert len({record.ref for record in records(pages)}) == 250
    assert pages[-1].scanned == {CUSTOMER}
    assert dict(tally.reads) == {"list_companies": 3, "read_associations": 1}
    tally.clear()
    again, unmoved = await pull(hubspot, cursors)
    assert again == []
    assert unmoved == cursors
    assert dict(tally.reads) == {"search_companies": 1}


async def test_a_page_of_contacts_takes_one_call(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """Where contacts are the customers nothing stands beside them."""
    portal.populate(300)
    pages, _ = await pull(open_hubspot(customers="contacts"), {CUSTOMER: None})
    assert [len(page.records) for page in pages] == [100, 100, 100]
    assert dict(tally.reads) == {"list_contacts": 3}


async def test_a_thousand_changes_take_six_calls(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """Five searches and one call on associations, although all thousand share one time."""
    ids = [portal.add_company(f"Company {n}") for n in range(1000)]
    portal.clock.advance(HOUR / 2)
    hubspot = open_hubspot()
    _, cursors = await pull(hubspot, {CUSTOMER: None})
    for id_ in ids:
        portal.edit("companies", id_, city="Oslo")
    portal.clock.advance(10)
    tally.clear()
    pages, _ = await pull(hubspot, cursors)
    assert {record.ref for record in records(pages)} == set(ids)
    assert dict(tally.reads) == {"search_companies": 5, "read_associations": 1}


async def test_a_full_reading_goes_on_at_any_page(portal: Any, open_hubspot: Any) -> None:
    """Stopping after a stored page and starting again from its cursor loses nothing and lists nothing twice."""
    portal.populate(250)
    hubspot = open_hubspot(customers="contacts")
    first = await anext(aiter(hubspot.changes({CUSTOMER: None})))
    rest, _ = await pull(hubspot, dict(first.cursors))
    refs = [record.ref for record in (*first.records, *records(rest))]
    assert len(refs) == len(set(refs)) == 250
    assert rest[-1].scanned == frozenset()


async def test_what_changes_under_the_walk_is_not_lost(portal: Any, open_hubspot: Any) -> None:
    """Records that change while a window is walked are told in this walk or in the next; a walk by offset over the
    time of change, which the saboteur does, loses one."""
    ids = [portal.add_contact(f"p{n}@x.test", firstname="P", lastname=str(n)) for n in range(450)]
    portal.clock.advance(HOUR / 2)
    hubspot = open_hubspot(customers="contacts")
    _, cursors = await pull(hubspot, {CUSTOMER: None})
    for id_ in ids:
        portal.edit("contacts", id_, city="Oslo")
        portal.clock.advance(0.01)
    portal.clock.advance(10)
    told: set[str] = set()
    behind = dict(cursors)
    async for page in hubspot.changes(cursors):
        told |= {record.ref for record in page.records if record.addresses["billing"] is not None}
        behind.update(page.cursors)
        portal.edit("contacts", ids[0], city="Rome")
        portal.clock.advance(10)
    pages, _ = await pull(hubspot, behind)
    assert told == {f"contact:{id_}" for id_ in ids}
    assert f"contact:{ids[0]}" in {record.ref for record in records(pages)}


async def test_saboteur_a_walk_by_offset_loses_a_record(portal: Any, open_hubspot: Any) -> None:
    """The record that slides over a page's border while an earlier one moves to the end is never seen."""
    ids = [portal.add_contact(f"p{n}@x.test", firstname="P", lastname=str(n)) for n in range(450)]
    for id_ in ids:
        portal.edit("contacts", id_, city="Oslo")
        portal.clock.advance(0.01)
    portal.clock.advance(10)
    hubspot = open_hubspot(customers="contacts")
    seen: set[str] = set()
    after: str | None = "0"
    while after is not None:
        body = {
            "filterGroups": [
                {"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "946684800000"}]}
            ],
            "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
            "properties": [],
            "limit": 200,
            "after": after,
        }
        path = "/crm/objects/2026-03/contacts/search"
        page = (await hubspot._api._search_http.read("POST", path, operation="walk", json=body)).json()
        seen |= {one["id"] for one in page["results"]}
        after = page["paging"]["next"]["after"] if "paging" in page else None
        portal.edit("contacts", ids[0], city="Rome")
        portal.clock.advance(10)
    assert set(ids) - seen != set()


async def test_a_change_that_the_index_shows_late_is_told(portal: Any, open_hubspot: Any) -> None:
    """The overlap reaches back over what a search did not show yet."""
    one, two = portal.add_company("One"), portal.add_company("Two")
    portal.clock.advance(HOUR)
    hubspot = open_hubspot(sweep_min="600")
    _, cursors = await pull(hubspot, {CUSTOMER: None})
    portal.edit("companies", one, city="Oslo")
    portal.clock.advance(3)
    portal.edit("companies", two, city="Rome")
    portal.clock.advance(3)
    pages, cursors = await pull(hubspot, cursors)
    assert [record.ref for record in records(pages)] == [one]
    portal.clock.advance(60)
    pages, _ = await pull(hubspot, cursors)
    assert two in [record.ref for record in records(pages)]


async def test_archived_and_merged_records_are_told(portal: Any, open_hubspot: Any) -> None:
    """Merges with the survivor's next change; archived ones at the rhythm that the setting says."""
    kept, other, dropped = (portal.add_company(name) for name in ("Kept", "Other", "Dropped"))
    portal.clock.advance(HOUR)
    hubspot = open_hubspot()
    _, cursors = await pull(hubspot, {CUSTOMER: None})
    survivor = portal.merge("companies", kept, other)
    portal.archive("companies", dropped)
    portal.clock.advance(600)
    pages, cursors = await pull(hubspot, cursors)
    assert {(t.ref, t.how, t.survivor) for t in gone(pages)} == {
        (kept, "merged", survivor),
        (other, "merged", survivor),
    }
    portal.clock.advance(HOUR)
    pages, cursors = await pull(hubspot, cursors)
    assert [(t.ref, t.how) for t in gone(pages)] == [(dropped, "archived")]
    again, _ = await pull(hubspot, cursors)
    assert gone(again) == []


async def test_a_company_has_its_contacts_as_people(portal: Any, open_hubspot: Any) -> None:
    """Those whose primary company it is come first, and the billing label tells the role."""
    acme, other = portal.add_company("Acme"), portal.add_company("Other")
    guest = portal.add_contact("guest@x.test", company=other, firstname="Guest")
    own = portal.add_contact("own@x.test", company=acme, firstname="Own", lastname="Er")
    portal.tie("contacts", guest, "companies", acme, 279, 931)
    pages, _ = await pull(open_hubspot(), {CUSTOMER: None})
    (found,) = (r for r in records(pages) if r.ref == acme)
    assert isinstance(found, Customer)
    assert found.people == (
        Person(name="Own Er", email="own@x.test", primary=True, ref=f"contact:{own}"),
        Person(name="Guest", email="guest@x.test", role="billing", ref=f"contact:{guest}"),
    )


async def test_changed_people_bring_their_company_at_the_rhythm(portal: Any, open_hubspot: Any) -> None:
    """A contact that changes does not move its company's time, so it is looked for with the sweep."""
    acme = portal.add_company("Acme")
    person = portal.add_contact("a@x.test", company=acme, firstname="Ana")
    portal.clock.advance(HOUR)
    hubspot = open_hubspot()
    _, cursors = await pull(hubspot, {CUSTOMER: None})
    portal.clock.advance(HOUR)
    portal.edit("contacts", person, firstname="Anna")
    portal.clock.advance(10)
    pages, _ = await pull(hubspot, cursors)
    found = records(pages)[-1]
    assert isinstance(found, Customer)
    assert isinstance(found.people, tuple)
    assert (found.ref, found.people[0].name) == (acme, "Anna")


async def test_both_means_contacts_without_a_company_too(portal: Any, open_hubspot: Any) -> None:
    """A contact with a company is a person of it and no customer."""
    acme = portal.add_company("Acme")
    portal.add_contact("in@x.test", company=acme)
    alone = portal.add_contact("alone@x.test", firstname="Solo")
    pages, _ = await pull(open_hubspot(customers="both"), {CUSTOMER: None})
    assert {record.ref for record in records(pages)} == {acme, f"contact:{alone}"}
    assert pages[-1].scanned == {CUSTOMER}


async def test_a_deal_has_its_lines_buyer_status_and_amount(portal: Any, open_hubspot: Any) -> None:
    """Lines through associations, the primary company, won from the stage, the account's currency where the deal
    names none, the owner's e-mail."""
    acme, other = portal.add_company("Acme"), portal.add_company("Other")
    product = portal.add_product("Widget", "19.99", hs_sku="W-1")
    owner = portal.portal.account.owners[0]
    deal = portal.add_deal(
        "Big one",
        "100.50",
        company=acme,
        dealstage="closedwon",
        closedate="2026-10-31T23:30:00Z",
        hubspot_owner_id=owner.id,
        lines=[
            {"product": product, "quantity": "2", "price": "19.99"},
            {"name": "Set-up", "quantity": "1", "price": "60.52"},
        ],
    )
    portal.tie("deals", deal, "companies", other)
    pages, _ = await pull(open_hubspot(), {Kind.DEAL: None})
    (found,) = records(pages)
    assert isinstance(found, Deal)
    assert (found.sold_to, found.status, found.amount) == (acme, "won", Money(Decimal("100.50"), "USD"))
    assert found.won_at is not None
    assert str(found.won_at) == "2026-10-31 23:30:00+00:00"
    assert found.owner == owner.email
    assert isinstance(found.lines, tuple)
    assert [(line.item, line.qty, line.net, line.currency) for line in found.lines] == [
        (product, Decimal(2), Decimal("39.98"), "USD"),
        (None, Decimal(1), Decimal("60.52"), "USD"),
    ]


async def test_an_open_deal_was_not_won(portal: Any, open_hubspot: Any) -> None:
    """A close date in the future is no win."""
    portal.add_deal("Maybe", None, closedate="2027-01-31T00:00:00Z")
    (found,) = records((await pull(open_hubspot(), {Kind.DEAL: None}))[0])
    assert isinstance(found, Deal)
    assert (found.status, found.won_at, found.amount, found.sold_to) == ("open", None, None, None)


async def test_contacts_buy_where_they_are_customers(portal: Any, open_hubspot: Any) -> None:
    """The setting decides who a deal is sold to."""
    acme, person = portal.add_company("Acme"), portal.add_contact("a@x.test")
    portal.add_deal("One", company=acme, contact=person)
    portal.add_deal("Two", contact=person)
    for customers, expected in {
        "companies": [acme, None],
        "contacts": [f"contact:{person}"] * 2,
        "both": [acme, f"contact:{person}"],
    }.items():
        pages, _ = await pull(open_hubspot(customers=customers), {Kind.DEAL: None})
        assert [r.sold_to for r in records(pages) if isinstance(r, Deal)] == expected


async def test_a_changed_line_brings_its_deal(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """Line items move without their deal's time moving."""
    deal = portal.add_deal("One", "10", lines=[{"name": "Widget", "price": "10"}])
    portal.add_deal("Two", "20", lines=[{"name": "Widget", "price": "20"}])
    portal.clock.advance(HOUR / 2)
    hubspot = open_hubspot()
    _, cursors = await pull(hubspot, {Kind.DEAL: None})
    line = portal.ids("line_items")[0]
    portal.clock.advance(HOUR / 4)
    portal.edit("line_items", line, price="11")
    portal.clock.advance(10)
    pages, cursors = await pull(hubspot, cursors)
    (found,) = records(pages)
    assert isinstance(found, Deal)
    assert isinstance(found.lines, tuple)
    assert (found.ref, found.lines[0].unit_price) == (deal, Decimal(11))
    portal.clock.advance(600)
    _, cursors = await pull(hubspot, cursors)
    tally.clear()
    pages, _ = await pull(hubspot, cursors)
    assert pages == []
    assert dict(tally.reads) == {"search_deals": 1, "search_line_items": 1}


async def test_a_record_that_cannot_be_read_is_reported(portal: Any, open_hubspot: Any) -> None:
    """One bad row does not stop the others, and it is never guessed."""
    good, bad = portal.add_product("Good", "1"), portal.add_product("Bad", "1")
    portal.record("products", bad).properties["price"] = "one"
    pages, _ = await pull(open_hubspot(), {Kind.ITEM: None})
    assert [record.ref for record in records(pages)] == [good]
    assert [row.ref for page in pages for row in page.bad] == [bad]


async def test_records_by_ref_and_what_became_of_others(portal: Any, open_hubspot: Any) -> None:
    """Live, archived, merged, and unknown ones; a contact's ref gives its company where companies are customers."""
    live, dropped, kept, other = (portal.add_company(name) for name in ("Live", "Dropped", "Kept", "Other"))
    person = portal.add_contact("a@x.test", company=live)
    portal.archive("companies", dropped)
    survivor = portal.merge("companies", kept, other)
    found = await open_hubspot().get(CUSTOMER, [live, dropped, kept, "424242", f"contact:{person}"])
    assert set(found) == {live, dropped, kept, f"contact:{person}"}
    assert found[live].ref == live
    assert found[f"contact:{person}"].ref == live
    assert isinstance(found[dropped], Tombstone)
    assert found[dropped].how == "archived"
    assert found[kept] == Tombstone(CUSTOMER, kept, "merged", survivor=survivor)


async def test_a_line_items_ref_gives_its_deal(portal: Any, open_hubspot: Any) -> None:
    """Webhooks speak of line items."""
    deal = portal.add_deal("One", "10", lines=[{"name": "Widget", "price": "10"}])
    ref = f"line_item:{portal.ids('line_items')[0]}"
    found = await open_hubspot().get(Kind.DEAL, [ref])
    assert {asked: record.ref for asked, record in found.items()} == {ref: deal}


async def test_finding_compares_whole_values(portal: Any, open_hubspot: Any) -> None:
    """Case does not count, parts do; several hits are all told."""
    one = portal.add_company("Acme", domain="acme.test")
    two = portal.add_company("ACME", domain="other.test")
    portal.add_company("Acme Holding")
    portal.clock.advance(10)
    found = await open_hubspot().find(CUSTOMER, "name", ["acme", "Nobody"])
    assert {value: {r.ref for r in hits} for value, hits in found.items()} == {"acme": {one, two}, "Nobody": set()}
    by_domain = await open_hubspot().find(CUSTOMER, "website", [f"{n}.test" for n in range(90)] + ["other.test"])
    assert [r.ref for r in by_domain["other.test"]] == [two]


async def test_a_contact_is_found_by_its_whole_name(portal: Any, open_hubspot: Any) -> None:
    """First and last name are two properties, and one name here."""
    ana = portal.add_contact("a@x.test", firstname="Ana Maria", lastname="de Souza")
    portal.add_contact("b@x.test", firstname="Bea", lastname="de Souza")
    portal.clock.advance(10)
    found = await open_hubspot(customers="contacts").find(CUSTOMER, "legal_name", ["Ana Maria de Souza"])
    assert [record.ref for record in found["Ana Maria de Souza"]] == [f"contact:{ana}"]


async def test_what_hubspot_cannot_look_for_is_said(open_hubspot: Any) -> None:
    """A balance is no property."""
    with pytest.raises(Unsupported):
        await open_hubspot().find(CUSTOMER, "balance", ["1"])


async def test_own_properties_beyond_the_limits_of_a_call_are_read(portal: Any, open_hubspot: Any) -> None:
    """Too many names for an address or for a search are read in a second step."""
    names = [f"a_rather_long_property_name_{n:03}" for n in range(120)]
    for name in names:
        portal.add_property("companies", name)
    acme = portal.add_company("Acme", **{names[-1]: "here"})
    portal.clock.advance(HOUR / 2)
    hubspot = open_hubspot(properties="company:" + ",".join(names), people="no")
    pages, cursors = await pull(hubspot, {CUSTOMER: None})
    assert records(pages)[0].properties[names[-1]] == "here"
    portal.edit("companies", acme, **{names[-1]: "there"})
    portal.clock.advance(10)
    pages, _ = await pull(hubspot, cursors)
    assert records(pages)[0].properties[names[-1]] == "there"


async def test_a_property_that_the_account_lacks_is_absent(portal: Any, open_hubspot: Any) -> None:
    """Deleted or hidden is not emptied; set up and empty is."""
    portal.add_property("companies", "vat_id")
    portal.add_company("Acme")
    pages, _ = await pull(open_hubspot(properties="company:vat_id,nope"), {CUSTOMER: None})
    assert records(pages)[0].properties == {"vat_id": None}


# --------------------------------------------------------------------------- writing


async def test_creates_are_marked_and_a_repeat_makes_no_second(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """The same marker sent again updates what it made; the probe finds it at once, before the index does."""
    hubspot = open_hubspot()
    await hubspot.prepare({})
    tally.clear()
    writes = [
        create("Neu GmbH", "m1", addresses={"billing": Address(lines=("Weg 1",), city="Berlin", country="DE")}),
        create("Alt GmbH", "m2"),
    ]
    first = await hubspot.write(writes, "k")
    assert [type(outcome) for outcome in first] == [Done, Done]
    assert dict(tally.writes) == {"upsert_companies": 1}
    again = await hubspot.write(writes, "k")
    assert [o.ref for o in again if isinstance(o, Done)] == [o.ref for o in first if isinstance(o, Done)]
    assert len(portal.ids("companies")) == 2
    stored = first[0]
    assert isinstance(stored, Done)
    assert isinstance(stored.stored, Customer)
    assert stored.stored.addresses["billing"] == Address(lines=("Weg 1",), city="Berlin", country="DE")
    found = await hubspot.by_marker(CUSTOMER, ["m1", "m2", "m3"])
    assert {marker: len(hits) for marker, hits in found.items()} == {"m1": 1, "m2": 1, "m3": 0}


async def test_the_marker_property_is_made_when_it_is_needed(portal: Any, open_hubspot: Any) -> None:
    """Nobody has to prepare first; without the property no record can be found by its marker."""
    hubspot = open_hubspot()
    assert await hubspot.by_marker(CUSTOMER, ["m1"]) == {"m1": []}
    (outcome,) = await hubspot.write([create("Neu GmbH", "m1")], "k")
    assert isinstance(outcome, Done)
    assert portal.properties("companies", outcome.ref)["tieout_marker"] == "m1"


async def test_a_bad_item_does_not_take_the_others_with_it(portal: Any, open_hubspot: Any) -> None:
    """207: each item has its own outcome, with the field that a person knows."""
    outcomes = await open_hubspot().write([create("Good", "m1"), create("Bad", "m2", properties={"nope": "x"})], "k")
    assert isinstance(outcomes[0], Done)
    assert isinstance(outcomes[1], Denied)
    assert (outcomes[1].field, outcomes[1].code) == ("properties.nope", "PROPERTY_DOESNT_EXIST")


async def test_a_taken_email_names_who_has_it(portal: Any, open_hubspot: Any) -> None:
    """The existing contact can be linked instead."""
    existing = portal.add_contact("a@x.test")
    (outcome,) = await open_hubspot(customers="contacts").write(
        [create("Ana Cruz", "m1", emails={"general": "a@x.test"})], "k"
    )
    assert isinstance(outcome, Denied)
    assert outcome.existing == f"contact:{existing}"


async def test_a_whole_batch_refused_for_an_email_names_the_item(portal: Any, open_hubspot: Any) -> None:
    """Where the answer names only the existing contact, its e-mail tells whose item it is; the other may go again."""
    existing = portal.add_contact("a@x.test")
    body = {"message": f"Contact already exists. Existing ID: {existing}", "category": "CONFLICT"}
    portal.faults.add(status(409, "POST", r"/batch/upsert", body=body))
    hubspot = open_hubspot(customers="contacts")
    outcomes = await hubspot.write(
        [create("Bo", "m1", emails={"general": "b@x.test"}), create("Ana", "m2", emails={"general": "A@x.test"})], "k"
    )
    assert [type(o) for o in outcomes] == [NotSent, Denied]


async def test_updates_set_what_they_name_and_tell_what_is_stored(portal: Any, open_hubspot: Any) -> None:
    """Only the changed fields travel; a record that is gone is denied, the others are done."""
    hubspot = open_hubspot(properties="deal:invoice_status")
    deal = portal.add_deal("One", "10")
    made = await hubspot.prepare(
        {Kind.DEAL: [FieldInfo(name="invoice_status", label="Invoice", type="choice", options=("open", "paid"))]}
    )
    assert "deal.invoice_status" in made
    assert await hubspot.prepare({Kind.DEAL: [FieldInfo(name="invoice_status", label="Invoice")]}) == []
    outcomes = await hubspot.write(
        [
            update(Kind.DEAL, deal, invoice_status="paid"),
            update(Kind.DEAL, "424242", invoice_status="paid"),
        ],
        "k",
    )
    assert isinstance(outcomes[0], Done)
    assert isinstance(outcomes[0].stored, Deal)
    assert outcomes[0].stored.properties == {"invoice_status": "paid"}
    assert outcomes[0].stored.name == "One"
    assert isinstance(outcomes[1], Denied)
    assert outcomes[1].code == "OBJECT_NOT_FOUND"


async def test_an_option_that_is_none_is_denied_with_its_field(portal: Any, open_hubspot: Any) -> None:
    """The vendor's words reach the person."""
    hubspot, deal = open_hubspot(), portal.add_deal("One", "10")
    portal.add_property("deals", "invoice_status", "enumeration", options=("open", "paid"))
    (outcome,) = await hubspot.write([update(Kind.DEAL, deal, invoice_status="later")], "k")
    assert isinstance(outcome, Denied)
    assert (outcome.field, outcome.code) == ("properties.invoice_status", "INVALID_OPTION")


async def test_an_update_of_a_read_only_field_is_not_sent(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """What HubSpot has no place for is denied here, and the rest goes out."""
    acme = portal.add_company("Acme")
    bad = Update(kind=CUSTOMER, ref=acme, version=None, before={}, after={"currency": "EUR"}, key="k")
    (outcome,) = await open_hubspot().write([bad], "k")
    assert isinstance(outcome, Denied)
    assert outcome.field == "currency"
    assert dict(tally.writes) == {}


async def test_archiving_is_done_even_twice(portal: Any, open_hubspot: Any) -> None:
    """What is gone is gone."""
    acme, hubspot = portal.add_company("Acme"), open_hubspot()
    act = Act(kind=CUSTOMER, ref=acme, version=None, operation="archive", key="k")
    assert [type(o) for o in await hubspot.write([act], "k")] == [Done]
    assert [type(o) for o in await hubspot.write([act], "k")] == [Done]
    assert portal.ids("companies") == []


async def test_an_archive_is_answered_by_204_and_nothing_else(portal: Any, open_hubspot: Any) -> None:
    """An empty 200 is a proxy's: nobody knows."""
    acme, hubspot = portal.add_company("Acme"), open_hubspot()
    portal.faults.add(status(200, "POST", r"/batch/archive", body="", headers={"Content-Type": "application/json"}))
    (outcome,) = await hubspot.write([Act(kind=CUSTOMER, ref=acme, version=None, operation="archive", key="k")], "k")
    assert isinstance(outcome, InDoubt)


async def test_a_lost_answer_leaves_every_item_in_doubt(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """It was sent once, and one probe settles the whole batch."""
    hubspot = open_hubspot()
    await hubspot.prepare({})
    tally.clear()
    portal.faults.add(lose_answer("POST", r"/batch/upsert"))
    outcomes = await hubspot.write([create("One", "m1"), create("Two", "m2")], "k")
    assert [type(o) for o in outcomes] == [InDoubt, InDoubt]
    assert dict(tally.writes) == {"upsert_companies": 1}
    found = await hubspot.by_marker(CUSTOMER, ["m1", "m2"])
    assert [len(hits) for hits in found.values()] == [1, 1]
    assert tally.reads["read_companies"] == 1


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (429, {"message": "limit", "policyName": "TEN_SECONDLY_ROLLING"}, NotSent("limit", wait_s=10.0)),
        (423, {"message": "locked"}, NotSent("locked", wait_s=2.0)),
        (403, {"message": "no", "category": "MISSING_SCOPES"}, NotSent("no", next="allow")),
    ],
)
async def test_a_definite_no_to_the_call_blames_no_record(
    portal: Any, open_hubspot: Any, code: int, body: Any, expected: NotSent
) -> None:
    """Surely nothing happened: wait, or get the right."""
    deal = portal.add_deal("One", "10")
    portal.faults.add(status(code, "POST", r"/batch/update", body=body))
    (outcome,) = await open_hubspot().write([update(Kind.DEAL, deal, description="x")], "k")
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.next, outcome.wait_s) == (expected.reason, expected.next, expected.wait_s)


async def test_a_server_error_is_a_doubt(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """502 after a write says nothing, and the write is not sent again."""
    deal = portal.add_deal("One", "10")
    portal.faults.add(status(502, "POST", r"/batch/update", body="<html>"))
    (outcome,) = await open_hubspot().write([update(Kind.DEAL, deal, description="x")], "k")
    assert isinstance(outcome, InDoubt)
    assert sum(tally.writes.values()) == 1


async def test_products_are_created_and_found_after_the_index(portal: Any, open_hubspot: Any) -> None:
    """Products have no unique property: the marker is found by search, later."""
    hubspot = open_hubspot()
    mark = await hubspot.mark(Kind.ITEM)
    (outcome,) = await hubspot.write([Create(record=Item(name="Widget", sku="W"), marker="p1", key="k")], "k")
    assert isinstance(outcome, Done)
    portal.clock.advance(10)
    found = await hubspot.by_marker(Kind.ITEM, ["p1", "p2"])
    assert [record.ref for record in found["p1"]] == [outcome.ref]
    assert [record.ref for record in await hubspot.created_since(Kind.ITEM, mark)] == [outcome.ref]


async def test_created_since_leaves_out_what_was_there(portal: Any, open_hubspot: Any) -> None:
    """The mark is the vendor's time."""
    hubspot = open_hubspot()
    portal.add_company("Old")
    portal.clock.advance(10)
    mark = await hubspot.mark(CUSTOMER)
    new = portal.add_company("New")
    portal.clock.advance(10)
    assert [record.ref for record in await hubspot.created_since(CUSTOMER, mark)] == [new]


# --------------------------------------------------------------------------- the account


async def test_the_catalogue_tells_how_the_account_is_set_up(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """Currency, zone, stages, properties; five calls."""
    portal.add_property("companies", "vat_id", label="VAT number")
    found = await open_hubspot().catalogue()
    account = portal.portal.account
    assert (found.account_id, found.home_currency, found.time_zone) == (
        str(account.portal_id),
        "USD",
        account.time_zone,
    )
    assert (found.stages["closedwon"], found.stages["closedlost"], found.stages["contractsent"]) == (
        "won",
        "lost",
        "open",
    )
    assert "vat_id" in {info.name for info in found.fields[CUSTOMER]}
    read_only = {info.name for info in found.fields[Kind.DEAL] if not info.writable}
    assert "hs_is_closed_won" in read_only
    assert sum(tally.reads.values()) == 5


async def test_a_refused_private_token_asks_to_connect_again(open_hubspot: Any) -> None:
    """There is nothing to renew."""
    with pytest.raises(Reconnect):
        await open_hubspot(Token(access="pat-na1-wrong")).catalogue()


async def test_an_oauth_token_is_renewed_by_itself(portal: Any, open_hubspot: Any) -> None:
    """Thirty minutes later the next call goes through with a new one."""
    account = portal.portal.account
    scopes = frozenset({"oauth", "crm.objects.companies.read", "crm.objects.contacts.read"})
    portal.authority._refresh["r1"] = scopes
    stale = Token(access="old", refresh="r1", client_id=account.client_id, client_secret=account.client_secret)
    portal.add_company("Acme")
    pages, _ = await pull(open_hubspot(stale), {CUSTOMER: None})
    assert len(records(pages)) == 1


async def test_a_missing_scope_is_named(portal: Any, open_hubspot: Any) -> None:
    """Writes are held until somebody gives the right; the scope is in the words."""
    portal.portal.account.private_tokens["pat-na1-reader"] = frozenset({"crm.objects.deals.read"})
    deal = portal.add_deal("One", "10")
    (outcome,) = await open_hubspot(Token(access="pat-na1-reader")).write(
        [update(Kind.DEAL, deal, description="x")], "k"
    )
    assert isinstance(outcome, NotSent)
    assert outcome.next == "allow"
    assert "crm.objects.deals.write" in outcome.reason


async def test_a_crm_has_no_figures(open_hubspot: Any, portal: Any) -> None:
    """The books tell totals, the CRM does not."""
    today = portal.clock.now().date()
    assert await open_hubspot().figures(today, today) is None


# --------------------------------------------------------------------------- what fields held


async def test_history_is_read_fifty_records_in_a_call(portal: Any, open_hubspot: Any, tally: Any) -> None:
    """And nothing else is read with it: neither people nor owners."""
    hubspot, ids = open_hubspot(), [portal.add_company(f"Company {n}", phone="1") for n in range(51)]
    told = await hubspot.history(CUSTOMER, [*ids, "424242"], ["phone", "currency"])
    assert set(ids) == set(told)
    assert all(["1"] == [past.value for past in fields["phone"]] for fields in told.values())
    assert {"phone"} == {path for fields in told.values() for path in fields}
    assert dict(tally.reads) == {"read_company_history": 2}


async def test_an_address_is_told_as_it_was_at_each_time(portal: Any, open_hubspot: Any) -> None:
    """What is kept as six properties is one value; what one writer set at one time is one step of it."""
    hubspot = open_hubspot()
    company = portal.add_company("Acme", address="1 Main St", city="Boston", country="United States")
    portal.clock.advance(60)
    portal.edit("companies", company, city="Salem")
    portal.clock.advance(60)
    where = "addresses.billing"
    before, after = (
        Address(("1 Main St",), "Boston", None, None, "US"),
        Address(("9 High St",), "Lynn", None, None, "US"),
    )
    change = Update(kind=CUSTOMER, ref=company, version=None, before={where: before}, after={where: after}, key="k")
    (outcome,) = await hubspot.write([change], "k")
    assert isinstance(outcome, Done)
    told = (await hubspot.history(CUSTOMER, [company], [where]))[company][where]
    assert [("9 High St", "Lynn"), ("1 Main St", "Salem"), ("1 Main St", "Boston")] == [
        (past.value.lines[0], past.value.city) for past in told
    ]
    assert ["INTEGRATION", "CRM_UI", "CRM_UI"] == [past.by.split(" ")[0] for past in told]
    assert [60, 60] == [(one.at - other.at).total_seconds() for one, other in pairwise(told)]


async def test_history_of_contacts_deals_and_products(portal: Any, open_hubspot: Any) -> None:
    """A contact's name is two properties, a product's price has the account's currency, and so on."""
    hubspot = open_hubspot(customers="contacts")
    contact = portal.add_contact("ann@example.com", firstname="Ann", lastname="Lee")
    portal.clock.advance(1)
    portal.edit("contacts", contact, firstname="Anna")
    product, deal = portal.add_product("Pump", price="10"), portal.add_deal("One", "10")
    portal.clock.advance(1)
    portal.edit("products", product, price="12.50")
    portal.edit("deals", deal, dealname="Two")

    async def told(kind: Kind, ref: str, path: str) -> list[Any]:
        return [past.value for past in (await hubspot.history(kind, [ref], [path]))[ref][path]]

    assert ["Anna Lee", "Ann Lee"] == await told(CUSTOMER, f"contact:{contact}", "legal_name")
    assert [Price(Decimal("12.50"), "USD"), Price(Decimal(10), "USD")] == await told(Kind.ITEM, product, "price")
    assert ["Two", "One"] == await told(Kind.DEAL, deal, "name")
