"""What the state machine came to, each told once more as it happened: small, and always the same."""

from __future__ import annotations

import pytest

from connectors.canon.records import Kind
from connectors.memory.faults import Call, Fault
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, item, line, mapping, told
from worker.api import Problem

C, D = Kind.CUSTOMER, Kind.DEAL
ALWAYS = {"create": {"books": "always", "crm": "always"}}


async def test_what_cannot_be_seen_is_not_planned_for_ever(opened: Open) -> None:
    """The books say nothing of a deletion, and take updates without a lock: the record is read before it is written,
    is not there, and the edit waits with that reason instead of being planned again and again."""
    async with opened(books=Knobs(tombstones=False, optimistic_lock=False)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        rig.books.delete(C, books)
        rig.crm.edit(C, crm, notes="new")
        assert {"stale": 1} == (await rig.done()).outcome
        await rig.preview()
        assert (0, "one side cannot be seen at the moment") == (
            rig.plan.changes, (await rig.waiting())["crm", "customer", crm],
        )  # fmt: skip


async def test_a_deal_that_cannot_be_seen_is_not_billed_for_ever(opened: Open) -> None:
    """The CRM says nothing of a deletion: the deal is read before it is billed, and is no deal any more."""
    async with opened(crm=Knobs(tombstones=False)) as rig:
        await rig.pair_up(mapping())
        acme, _ = await rig.linked("Acme")
        sold = rig.crm.add(deal(acme))
        await rig.preview()
        rig.crm.delete(D, sold)
        assert {"stale": 1} == (await rig.apply()).outcome
        await rig.preview()
        assert (0, []) == (rig.plan.changes, rig.invoices())


async def test_same_as_one_that_is_linked_already_is_no_answer(rig: Rig) -> None:
    """A second Acme in the CRM is like the books' Acme, which is the first one's: whoever says that they are the same
    is told what to do, and the question stays."""
    await rig.linked("Acme")
    rig.crm.state.names.clear()  # this CRM lets two have one name
    rig.crm.add(told("Acme"))
    await rig.preview()
    asked = await rig.question()
    with pytest.raises(Problem, match="linked to another record already: merge the two in Memory"):
        await rig.settle("same")
    assert asked == await rig.question()


async def test_what_a_person_typed_into_what_was_made_before_it_was_found(opened: Open) -> None:
    """A customer is made and the answer lost; before it is found somebody types into it. That is an edit, not what was
    agreed: it travels."""
    async with opened() as rig:
        await rig.pair_up(mapping(customers=ALWAYS))
        crm = rig.crm.add(told("Acme", notes="ours"))
        await rig.preview()
        rig.books.script.add(Fault(what="lose", kind=C))

        def meanwhile(world: MemoryWorld, call: Call) -> None:
            if call.point == "by_marker":
                world.hooks.clear()
                world.edit(C, world.all(C)[0].ref, notes="typed by hand")

        rig.books.hooks.append(meanwhile)
        await rig.apply()
        await rig.settled()
        assert "typed by hand" == rig.see(rig.crm, crm).notes


async def test_a_customer_that_was_removed_in_the_books_is_not_made_again_for_each_invoice(rig: Rig) -> None:
    """It is linked, and its counterpart is gone: the deal waits and says so, however many more are won. Restored, it is
    billed."""
    acme, books = await rig.linked("Acme")
    rig.books.archive(C, books)
    first, second = (rig.crm.add(deal(acme, amount)) for amount in ("100.00", "200.00"))
    for _ in range(2):
        await rig.done()
    why = f"Acme is {books} in Memory, which is not to be seen there: restore it in Memory."
    waiting = await rig.waiting()
    assert ([], [], [why, why]) == (
        rig.names(rig.books), rig.invoices(), [waiting["crm", "deal", ref] for ref in (first, second)],
    )  # fmt: skip
    rig.books.put(told("Acme", ref=books))
    await rig.settled()
    assert (["Acme"], [books, books]) == (rig.names(rig.books), [made.customer for made in rig.invoices()])


async def test_an_item_that_was_removed_in_the_books_is_not_made_again_either(rig: Rig) -> None:
    """The same for what a deal's lines name."""
    acme, _ = await rig.linked("Acme")
    anvil = rig.crm.add(item("Anvil"))
    rig.crm.add(deal(acme, "100.00", lines=(line(anvil, "100.00"),)))
    await rig.settled()
    (made,) = rig.books.all(Kind.ITEM)
    rig.books.archive(Kind.ITEM, made.ref)
    rig.crm.add(deal(acme, "200.00", lines=(line(anvil, "200.00"),)))
    for _ in range(2):
        await rig.done()
    assert (0, 1) == (len(rig.books.all(Kind.ITEM)), len(rig.invoices()))
