"""What is new, and what is gone: matched, asked about, made, merged away, removed."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.canon.records import Kind
from connectors.canon.values import Address, TaxId, TaxIdentity
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, invoice, item, mapping, told
from worker.store import links

C = Kind.CUSTOMER
NY = Address(lines=("1 Main St",), city="New York", postcode="10001", country="US")
ALWAYS = {"create": {"books": "always", "crm": "always"}}


async def link_of(rig: Rig, crm: str) -> str | None:
    """The books customer that a CRM customer is linked to."""
    async with rig.db.read() as tx:
        found = await links.find_links(tx, rig.pair.id, [("crm", C, crm)])
    return found["crm", C, crm].books if found else None


# --------------------------------------------------------------------------- matched


@pytest.mark.parametrize(
    "both",
    [
        {"tax_identity": TaxIdentity(ids=(TaxId("us.ein", "94-2404110"),))},
        {"emails": {"general": "pay@acme.com"}},
        {"addresses": {"billing": NY}},
        {"phone": "+1 212 555 0100"},
    ],
    ids=["tax id", "e-mail", "name and postcode", "name and phone"],
)
async def test_strong_evidence_links_without_asking(rig: Rig, both: dict[str, Any]) -> None:
    """The same customer, typed into both systems by hand: linked when first seen, and nothing is made."""
    crm, books = rig.crm.add(told("Acme Inc", **both)), rig.books.add(told("Acme, Inc.", **both))
    await rig.settled()
    assert (books, {"field"}) == (await link_of(rig, crm), {c.what for c in await rig.conflicts()})  # which spelling?
    assert (1, 1) == (len(rig.names(rig.crm)), len(rig.names(rig.books)))


async def test_a_name_with_or_without_spaces_is_the_same_name(rig: Rig) -> None:
    """Where the mapping lets the name alone decide."""
    crm, books = rig.crm.add(told("Tech Soft")), rig.books.add(told("TechSoft"))
    await rig.preview()
    assert books == await link_of(rig, crm)


async def test_an_unsure_match_is_asked_once_for_both_sides(rig: Rig) -> None:
    """The same e-mail under two names: a person says. One question, though the record is new on either side."""
    crm = rig.crm.add(told("Acme", emails={"general": "books@office.com"}))
    rig.books.add(told("Zenith Traders", emails={"general": "books@office.com"}))
    await rig.preview()
    asked = await rig.question()
    assert ("match", "Acme", ["Zenith Traders"]) == (asked.what, asked.title, [c.title for c in asked.candidates])
    assert "same e-mail" in asked.reason
    assert await link_of(rig, crm) is None


async def test_same_links_and_different_makes(rig: Rig) -> None:
    """Both answers are carried out by the next plan, and the question is not asked again."""
    await rig.pair_up(mapping(customers=ALWAYS))
    pairs = []
    for name, mail in (("Acme", "a@x.com"), ("Beta", "b@x.com")):
        crm = rig.crm.add(told(name, emails={"general": mail}))
        pairs.append((crm, rig.books.add(told(f"{name[::-1]} Zx Traders", emails={"general": mail}))))
    await rig.preview()
    by_title = {c.title: c.number for c in await rig.conflicts()}
    assert {"Acme", "Beta"} == set(by_title)
    await rig.settle("same", by_title["Acme"])
    await rig.settle("different", by_title["Beta"])
    await rig.settled()
    assert {"field"} == {c.what for c in await rig.conflicts()}  # which of the two names?
    assert pairs[0][1] == await link_of(rig, pairs[0][0])
    assert await link_of(rig, pairs[1][0]) not in (None, pairs[1][1])
    assert (3, 3) == (len(rig.names(rig.crm)), len(rig.names(rig.books)))


async def test_a_customer_that_looks_like_a_linked_one_is_asked_about(rig: Rig) -> None:
    """Typed a second time in the CRM: it is not made again in the books."""
    await rig.pair_up(mapping(customers=ALWAYS))
    await rig.linked("Acme", emails={"general": "pay@acme.com"})
    second = rig.crm.add(told("Acme Ltd", emails={"general": "pay@acme.com"}))
    await rig.preview()
    assert (0, "match") == (rig.plan.changes, (await rig.question()).what)
    assert await link_of(rig, second) is None


async def test_a_customer_with_a_question_is_not_made_for_its_invoice(rig: Rig) -> None:
    """Asked in an earlier preview, and a deal is won meanwhile: it waits for the answer, no second customer."""
    crm = rig.crm.add(told("Acme", emails={"general": "books@office.com"}))
    books = rig.books.add(told("Zenith Traders", emails={"general": "books@office.com"}))
    await rig.preview()
    won = rig.crm.add(deal(crm))
    await rig.preview()
    assert 0 == rig.plan.changes
    assert "a person decides" in (await rig.waiting())["crm", "deal", won]
    await rig.settle("same")
    await rig.settled()
    assert (books, ["Zenith Traders"]) == (rig.one_invoice().customer, rig.names(rig.books))


# --------------------------------------------------------------------------- twins


async def test_twins_of_one_side_are_asked_about_before_anything_is_made(rig: Rig) -> None:
    """Two new records of one side that look the same: neither is made until a person says."""
    await rig.pair_up(mapping(customers=ALWAYS))
    rig.crm.add(told("Acme Inc", phone="+1 212 555 0100"))
    rig.crm.add(told("Acme Incorporated", phone="+1 212 555 0100", addresses={"billing": NY}))
    await rig.preview()
    asked = await rig.conflicts()
    assert (0, 2, {"create"}) == (rig.plan.changes, len(asked), {c.what for c in asked})
    await rig.settle("create", asked[0].number)
    await rig.settle("not-needed", asked[1].number)
    await rig.settled()
    assert (1, []) == (len(rig.names(rig.books)), await rig.conflicts())


async def test_names_that_differ_in_a_number_are_no_twins(rig: Rig) -> None:
    """A chain's shops: nobody is asked whether 101 and 102 are one."""
    await rig.pair_up(mapping(customers=ALWAYS))
    for number in range(101, 106):
        rig.crm.add(told(f"Corner Store {number}"))
    rig.books.add(told("Corner Store 106"))
    await rig.settled()
    assert (6, []) == (len(rig.names(rig.books)), await rig.conflicts())


async def test_a_twin_that_waits_already_still_counts(rig: Rig) -> None:
    """Asked about in an earlier preview; then one of the two is edited: it is not taken for a single one."""
    await rig.pair_up(mapping(customers=ALWAYS))
    one = rig.crm.add(told("Acme Inc", phone="+1 212 555 0100"))
    rig.crm.add(told("Acme Incorporated", phone="+1 212 555 0100"))
    await rig.preview()
    rig.crm.edit(C, one, notes="called today")
    await rig.preview()
    assert (0, []) == (rig.plan.changes, rig.names(rig.books))


async def test_twins_are_not_made_for_their_first_invoices_either(rig: Rig) -> None:
    """Both have a won deal: asked about, and the deals wait."""
    refs = [rig.crm.add(told(name, phone="+1 212 555 0100")) for name in ("Acme Inc", "Acme Incorporated")]
    for ref in refs:
        rig.crm.add(deal(ref))
    await rig.preview()
    assert (0, 2) == (rig.plan.changes, len(await rig.conflicts()))
    for conflict in await rig.conflicts():
        await rig.settle("create", conflict.number)
    await rig.settled()
    assert (2, 2) == (len(rig.names(rig.books)), len(rig.invoices()))


# --------------------------------------------------------------------------- made, or not


@pytest.mark.parametrize(
    ("policy", "asked", "made"), [("always", 0, 1), ("ask", 1, 0), ("never", 0, 0), ("first_document", 0, 0)]
)
async def test_when_a_customer_is_made_in_the_books(rig: Rig, policy: str, asked: int, made: int) -> None:
    """At once, after a question, never, or with its first invoice."""
    await rig.pair_up(mapping(customers={"create": {"books": policy, "crm": "never"}}))
    rig.crm.add(told("Acme"))
    await rig.settled()
    assert (asked, made) == (len(await rig.conflicts()), len(rig.names(rig.books)))


async def test_a_question_to_create_is_carried_out_either_way(rig: Rig) -> None:
    """Create makes it, not needed lets it rest; neither is asked again."""
    await rig.pair_up(mapping(customers={"create": {"books": "ask", "crm": "ask"}}))
    rig.crm.add(told("Wanted"))
    unwanted = rig.crm.add(told("Unwanted"))
    await rig.preview()
    for conflict in await rig.conflicts():
        await rig.settle("create" if conflict.title == "Wanted" else "not-needed", conflict.number)
    await rig.settled()
    rig.crm.edit(C, unwanted, notes="edited")
    await rig.preview()
    assert (["Wanted"], 0, [], []) == (
        rig.names(rig.books), rig.plan.changes, await rig.conflicts(), await rig.dirty(),
    )  # fmt: skip


async def test_what_was_made_is_linked_and_in_agreement(rig: Rig) -> None:
    """With every mapped field, our marker, and nothing left to do."""
    await rig.pair_up(mapping(customers=ALWAYS))
    crm = rig.crm.add(told("Acme", phone="+1 212 555 0100", notes="n", addresses={"billing": NY}))
    await rig.done()
    books = await link_of(rig, crm)
    assert books is not None
    made = rig.see(rig.books, books)
    assert ("Acme", "n", NY, True) == (made.legal_name, made.notes, made.addresses["billing"], made.marker is not None)
    await rig.preview()
    assert (0, []) == (rig.plan.changes, await rig.dirty())


async def test_items_are_made_for_their_first_invoice(rig: Rig) -> None:
    """Before the customer's, and only those that a deal names."""
    from tests.flows.rig import line

    acme = rig.crm.add(told("Acme"))
    named = rig.crm.add(item("Support"))
    rig.crm.add(item("Hardware"))
    rig.crm.add(deal(acme, "200.00", lines=(line(named, "200.00"),)))
    await rig.preview()
    order = [(c.kind, c.operation) for c in await rig.changes()]
    assert [("customer", "create"), ("item", "create"), ("invoice", "create")] == order
    await rig.apply()
    assert ["Support"] == [r.name for r in rig.books.all(Kind.ITEM)]
    assert rig.one_invoice().lines[0].item == rig.books.all(Kind.ITEM)[0].ref


# --------------------------------------------------------------------------- merged away, removed, not to be seen


async def test_a_merge_moves_the_link_to_the_survivor(rig: Rig) -> None:
    """The survivor was not linked: the link goes on with it, and its own values travel."""
    await rig.pair_up(mapping(customers={"create": {"books": "never", "crm": "never"}}))
    crm, books = await rig.linked("Acme", phone="+1 212 555 0100")
    other = rig.crm.add(told("Acme Holding", phone="+1 212 555 0100", notes="theirs"))
    rig.crm.merge(C, crm, other)
    await rig.settled()
    assert (books, "theirs", []) == (await link_of(rig, other), rig.see(rig.books, books).notes, await rig.conflicts())
    assert "Acme Holding" == rig.see(rig.books, books).legal_name


async def test_a_merge_of_two_linked_ones_is_asked_about(rig: Rig) -> None:
    """Both had a counterpart: which of the two goes is not for us to say."""
    one, _ = await rig.linked("Acme")
    two, theirs = await rig.linked("Beta Works")
    rig.crm.merge(C, one, two)
    await rig.preview()
    assert ("removed", 0, theirs) == ((await rig.question()).what, rig.plan.changes, await link_of(rig, two))


@pytest.mark.parametrize("how", ["delete", "archive"])
async def test_removed_is_asked_about_and_left_if_they_say_so(rig: Rig, how: str) -> None:
    """The counterpart stays; the answer stands for later edits of it."""
    crm, books = await rig.linked("Acme", notes="n")
    getattr(rig.crm, how)(C, crm)
    await rig.preview()
    assert ("removed", 0) == ((await rig.question()).what, rig.plan.changes)
    await rig.settle("leave")
    rig.books.edit(C, books, notes="edited")
    await rig.preview()
    assert (0, [], []) == (rig.plan.changes, await rig.conflicts(), await rig.dirty())


async def test_removed_with_leave_asks_nobody(rig: Rig) -> None:
    """The policy of the flow."""
    await rig.pair_up(mapping(customers={"removed": {"crm": "leave", "books": "leave"}}))
    crm, books = await rig.linked("Acme")
    rig.crm.delete(C, crm)
    await rig.preview()
    assert (0, [], [], "Acme") == (
        rig.plan.changes, await rig.conflicts(), await rig.dirty(), rig.see(rig.books, books).legal_name,
    )  # fmt: skip


async def test_removed_with_deactivate_archives_the_counterpart(rig: Rig) -> None:
    """As a change of the plan; then nothing is left to do. Nothing is deleted."""
    await rig.pair_up(mapping(customers={"removed": {"crm": "deactivate", "books": "ask"}}))
    crm, books = await rig.linked("Acme")
    rig.crm.delete(C, crm)
    await rig.preview()
    (change,) = await rig.changes()
    assert ("books", "archive", books) == (change.side, change.operation, change.ref)
    await rig.apply()
    await rig.preview()
    assert ([], 0, []) == (rig.names(rig.books), rig.plan.changes, await rig.dirty())


async def test_a_counterpart_that_somebody_edited_is_asked_about(rig: Rig) -> None:
    """Whoever worked on it since would not find it any more."""
    await rig.pair_up(mapping(customers={"removed": {"crm": "deactivate", "books": "ask"}}))
    crm, books = await rig.linked("Acme", phone="+1 212 555 0100")
    rig.crm.delete(C, crm)
    rig.books.edit(C, books, phone="+1 212 555 0199")
    await rig.preview()
    (asked,) = await rig.conflicts()
    assert (0, "removed", True) == (rig.plan.changes, asked.what, asked.reason.endswith("edited there since: phone"))


async def test_a_person_says_that_it_goes_too(rig: Rig) -> None:
    """As a change of the next plan; an edit after the answer is asked about again."""
    await rig.pair_up(mapping(customers={"removed": {"crm": "ask", "books": "ask"}}))
    crm, books = await rig.linked("Acme", phone="+1 212 555 0100")
    rig.crm.delete(C, crm)
    await rig.preview()
    await rig.settle("archive")
    rig.books.edit(C, books, phone="+1 212 555 0199")
    await rig.preview()
    (again,) = await rig.conflicts()
    assert (0, True) == (rig.plan.changes, again.reason.endswith("edited there since: phone"))
    await rig.settle("archive")
    await rig.preview()
    (change,) = await rig.changes()
    assert ("books", "archive", books) == (change.side, change.operation, change.ref)
    await rig.apply()
    await rig.preview()
    assert ([], 0, [], []) == (rig.names(rig.books), rig.plan.changes, await rig.conflicts(), await rig.dirty())


async def test_a_counterpart_that_came_back_is_not_archived(rig: Rig) -> None:
    """Restored between preview and Apply: the change is stale, both live."""
    await rig.pair_up(mapping(customers={"removed": {"crm": "deactivate", "books": "ask"}}))
    crm, _ = await rig.linked("Acme")
    record = rig.see(rig.crm, crm)
    rig.crm.delete(C, crm)
    await rig.preview()
    rig.crm.put(record)
    run = await rig.apply()
    assert ({"stale": 1}, ["Acme"]) == (run.outcome, rig.names(rig.books))


async def test_gone_on_both_sides_is_over(rig: Rig) -> None:
    """Nobody is asked."""
    crm, books = await rig.linked("Acme")
    rig.crm.delete(C, crm)
    rig.books.delete(C, books)
    await rig.preview()
    assert (0, [], []) == (rig.plan.changes, await rig.conflicts(), await rig.dirty())


async def test_gone_before_it_was_linked_is_forgotten(rig: Rig) -> None:
    """With the question about it."""
    crm = rig.crm.add(told("Acme", emails={"general": "books@office.com"}))
    rig.books.add(told("Zenith Traders", emails={"general": "books@office.com"}))
    await rig.preview()
    rig.crm.delete(C, crm)
    await rig.preview()
    assert ["create"] == [c.what for c in await rig.conflicts()]  # the books' record stands alone now


async def test_not_visible_is_not_removed(opened: Open) -> None:
    """A vendor without tombstones, an account that may not see a record any more: nothing is removed, nothing is
    emptied, and the link goes on when it is back."""
    async with opened(crm=Knobs(tombstones=False)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="n")
        rig.crm.hide(C, crm)
        rig.books.edit(C, books, notes="edited")
        run = await rig.done()
        await rig.preview()
        assert ({"rejected": 1}, [], books) == (run.outcome, await rig.conflicts(), await link_of(rig, crm))
        assert (0, "edited") == (rig.plan.changes, rig.see(rig.books, books).notes)
        rig.crm.hide(C, crm, hidden=False)
        rig.crm.edit(C, crm, website="acme.com")  # what a delta shows of it
        await rig.settled()
        assert "edited" == rig.see(rig.crm, crm).notes


# --------------------------------------------------------------------------- what is new while something is in doubt


async def test_an_invoice_of_a_customer_typed_in_both_systems(rig: Rig) -> None:
    """The books' own invoices are nobody's deals and harm nothing."""
    books = rig.books.add(told("Acme"))
    rig.books.add(invoice(books, "10.00"))
    await rig.settled()
    assert (1, []) == (len(rig.invoices()), await rig.dirty())
