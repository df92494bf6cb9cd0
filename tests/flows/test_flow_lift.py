"""What settled a source is lifted by a person alone: what was taken back, voided or credited is billed again, what was
made inactive is made again, once, in the next preview."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot.story import standing
from bot.terminal.tables import story
from connectors.canon.records import BillingStep, Kind
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, item, line, mapping, told, usd
from tests.flows.test_flow_undo import adopted, billed, planned, undone
from worker.api import Problem, Trail
from worker.store import billing, conflicts
from worker.usecases import lift_settled, settle_undone

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE


async def again(rig: Rig, verb: Any, text: str, why: str | None = None) -> Any:
    return await rig.api.again(rig.pair.id, verb, text, "ann", why)


async def nothing(rig: Rig) -> None:
    """The next plan is empty, and asks nothing."""
    await rig.preview()
    assert (0, 0) == (rig.plan.changes, rig.plan.conflicts), await planned(rig)


def states(rig: Rig) -> list[tuple[str, str]]:
    return sorted((str(i.state), str(i.net)) for i in rig.invoices())


async def positions(rig: Rig, deal_ref: str) -> list[tuple[str, int]]:
    async with rig.db.read() as tx:
        rows = (await billing.positions_of(tx, rig.pair.id, [deal_ref]))[deal_ref]
    return [(row.state, row.generation) for row in rows]


# --------------------------------------------------------------------------- deals


async def test_an_undone_invoice_is_billed_again_once_with_its_customer(rig: Rig) -> None:
    """Undone: nothing is planned. Lifted: one invoice of the next generation, and the customer that went with it.
    Applied: nothing is planned."""
    deal_ref, run = await billed(rig)
    await undone(rig, run)
    await rig.settled()
    await nothing(rig)
    assert [("settled", 0)] == await positions(rig, deal_ref)
    lifted = await again(rig, "bill", "Q4 pumps", "they ordered after all")
    assert ("taken back by tests", 1, ("Nordwind",)) == (lifted.was, lifted.documents, lifted.along)
    await rig.preview()
    assert [("create", "customer", "Nordwind"), ("create", "invoice", "Q4 pumps")] == await planned(rig)
    await rig.apply()
    await rig.settled()
    await nothing(rig)
    assert ([("posted", "100.00"), ("void", "100.00")], ["Nordwind"]) == (states(rig), rig.names(rig.books))
    assert [("billed", 1)] == await positions(rig, deal_ref)


async def test_it_is_on_record_who_lifted_what_and_why(rig: Rig) -> None:
    """With how it had been settled; and before that the story says that it is, and what lifts it."""
    _, run = await billed(rig)
    await undone(rig, run)
    trail = Trail(rig.api._house)
    told_before = await trail.story(rig.pair.id, "Q4 pumps")
    assert "Settled: taken back by tests. It is not billed again by itself." == standing(told_before)
    assert "tieout bill-again lifts that." in story(told_before)
    await again(rig, "bill", "Q4 pumps", "they ordered after all")
    after = await trail.story(rig.pair.id, "Q4 pumps")
    (entry,) = (e for e in after.entries if e.action == "bill.again")
    assert ("ann", "they ordered after all", "settled: taken back by tests") == (
        entry.actor,
        entry.why,
        entry.detail["how"],
    )
    assert (None, None) == (standing(after), after.again)
    assert "To be billed again, by ann" in story(after) and "It was settled: taken back by tests." in story(after)
    customers = await trail.story(rig.pair.id, f"crm:customer:{rig.crm.all(C)[0].ref}")
    (customer,) = (e for e in customers.entries if e.action == "make.again")
    assert ("ann", "what names it is billed again") == (customer.actor, customer.why)
    (chain,) = await trail.verify(rig.pair.id)
    assert chain.reason is None


async def test_what_a_person_voided_is_spent_until_a_person_bills_it_again(rig: Rig) -> None:
    """By the invoice's number; what is billed is what the deal says by then."""
    deal_ref, _ = await billed(rig)
    await rig.settled()
    first = rig.one_invoice()
    rig.books.void(I, first.ref)
    rig.crm.edit(D, deal_ref, amount=usd("120.00"))
    await rig.settled()
    assert ([("spent", 0)], [("void", "100.00")]) == (await positions(rig, deal_ref), states(rig))
    lifted = await again(rig, "bill", str(first.number))
    assert (f"crm:deal:{deal_ref}", f"invoice {first.ref} was voided in Memory") == (lifted.address, lifted.was)
    await rig.settled()
    await nothing(rig)
    assert ([("billed", 1)], [("posted", "120.00"), ("void", "100.00")]) == (
        await positions(rig, deal_ref),
        states(rig),
    )


async def test_saboteur_a_lift_by_nobody_bills_what_was_taken_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an undo leaves the position open, it is billed again by itself: only a person lifts."""
    _, run = await billed(rig)

    async def open_at_once(tx: Any, document: Any, state: Any, reason: str) -> None:
        await billing.end_document(tx, document, state, reason)
        await billing.open_again(tx, document.position_id, 1)

    monkeypatch.setattr(settle_undone, "_settle", open_at_once)
    await undone(rig, run)
    rig.crm.edit(D, rig.crm.all(D)[0].ref, memo="an edit")
    await rig.preview()
    found = [c.title for c in await rig.changes() if c.kind == "invoice"] + [q.title for q in await rig.conflicts()]
    assert found != []


async def test_saboteur_a_lift_that_keeps_the_generation_would_be_taken_for_the_old_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new document needs a marker and a row of its own."""
    deal_ref, run = await billed(rig)
    await undone(rig, run)
    monkeypatch.setattr(lift_settled, "_following", lambda row, made: row.generation)
    await again(rig, "bill", "Q4 pumps")
    await rig.settled()
    assert [("billed", 1)] != await positions(rig, deal_ref)


async def test_of_several_positions_an_invoice_s_number_lifts_its_own(rig: Rig) -> None:
    """The deal's name lifts all of them."""
    ref = rig.crm.add(told("Nordwind"))
    steps = tuple(BillingStep(role="instalment", planned_on=date(2026, 11, d), net=Decimal("50.00")) for d in (9, 10))
    deal_ref = rig.crm.add(deal(ref, "100.00", name="Q4 pumps", billing_plan=steps))
    run = await rig.done()
    await undone(rig, run.id)
    await rig.settled()
    number = min(str(i.number) for i in rig.invoices())
    assert 1 == (await again(rig, "bill", number)).documents
    await rig.settled()
    assert [("billed", 1), ("settled", 0)] == sorted(await positions(rig, deal_ref))
    assert 1 == (await again(rig, "bill", "Q4 pumps")).documents
    await rig.settled()
    assert [("billed", 1), ("billed", 1)] == await positions(rig, deal_ref)


async def test_an_invoice_typed_meanwhile_is_found_and_not_made_a_second_time(rig: Rig) -> None:
    """Ann voided ours and typed her own: *Bill again* links it."""
    deal_ref, _ = await billed(rig)
    await rig.settled()
    ours = rig.one_invoice()
    rig.books.void(I, ours.ref)
    await rig.settled()
    rig.books.add(type(ours)(customer=ours.customer, date=ours.date, due_date=ours.due_date, lines=ours.lines))
    await rig.settled()
    await again(rig, "bill", "Q4 pumps")
    await rig.settled()
    assert ([("posted", "100.00"), ("void", "100.00")], [("billed", 1)]) == (
        states(rig),
        await positions(rig, deal_ref),
    )


async def test_what_is_billed_again_can_be_undone_and_lifted_again(rig: Rig) -> None:
    """Each time a generation of its own."""
    deal_ref, run = await billed(rig)
    for generation in (1, 2):
        await undone(rig, run)
        await rig.settled()
        await again(rig, "bill", "Q4 pumps")
        await rig.preview()
        run = (await rig.apply()).id
        assert [("billed", generation)] == await positions(rig, deal_ref)
    assert ["posted", "void", "void"] == sorted(str(i.state) for i in rig.invoices())


async def test_what_is_not_settled_is_said_plainly(rig: Rig) -> None:
    """Billed, never billed, lost, unknown, or not clear which; nothing is lifted."""
    deal_ref, run = await billed(rig)
    with pytest.raises(Problem, match=r"^Deal Q4 pumps is not settled: its document stands"):
        await again(rig, "bill", "Q4 pumps")
    with pytest.raises(Problem, match=r"^Customer Nordwind is not settled"):
        await again(rig, "make", "Nordwind")
    with pytest.raises(Problem, match=r'^No deal or invoice is called "Nordwind"'):
        await again(rig, "bill", "Nordwind")
    await undone(rig, run)
    rig.crm.edit(D, deal_ref, status="lost")
    await rig.settled()
    with pytest.raises(Problem, match=r"^Deal Q4 pumps is lost: nothing is billed for it"):
        await again(rig, "bill", "Q4 pumps")
    rig.crm.edit(D, deal_ref, status="won")
    await rig.settled()
    await again(rig, "bill", "Q4 pumps")
    with pytest.raises(Problem, match="is not settled: no document of it was taken back, voided or credited"):
        await again(rig, "bill", "Q4 pumps")


async def test_two_that_are_called_the_same_are_told_apart(rig: Rig) -> None:
    """By address."""
    customer = rig.crm.add(told("Nordwind"))
    refs = [rig.crm.add(deal(customer, amount, name="Pumps")) for amount in ("10.00", "20.00")]
    run = await rig.done()
    await undone(rig, run.id)
    with pytest.raises(Problem, match="may be one of 2"):
        await again(rig, "bill", "Pumps")
    assert f"crm:deal:{refs[1]}" == (await again(rig, "bill", f"crm:deal:{refs[1]}")).address


async def test_a_credited_document_is_billed_again(rig: Rig) -> None:
    """A reversed deal was credited, and is won again."""
    deal_ref, _ = await billed(rig)
    await rig.settled()
    rig.crm.edit(D, deal_ref, status="lost")
    await rig.preview()
    await rig.settle("credit")
    await rig.settled()
    rig.crm.edit(D, deal_ref, status="won")
    await rig.settled()
    assert [("settled", 0)] == await positions(rig, deal_ref)
    assert "credited by tests" == (await again(rig, "bill", "Q4 pumps")).was
    await rig.settled()
    assert ([("billed", 1)], 2) == (await positions(rig, deal_ref), len(rig.invoices()))


# --------------------------------------------------------------------------- customers and items


ALWAYS = {"create": {"books": "always", "crm": "never"}}


async def test_a_customer_that_was_taken_back_is_made_again_once(rig: Rig) -> None:
    """Nothing by itself, one after the lift, none after that."""
    await rig.pair_up(mapping("customers", customers=ALWAYS))
    rig.crm.add(told("Nordwind"))
    await undone(rig, (await rig.done()).id)
    await nothing(rig)
    assert "taken back by tests" == (await again(rig, "make", "Nordwind")).was
    await rig.preview()
    assert [("create", "customer", "Nordwind")] == await planned(rig)
    await rig.apply()
    await nothing(rig)
    assert ["Nordwind"] == rig.names(rig.books)


async def test_an_item_that_was_taken_back_comes_with_the_deal_that_names_it(rig: Rig) -> None:
    """All three are lifted together."""
    price = rig.crm.add(item("Pump"))
    customer = rig.crm.add(told("Nordwind"))
    rig.crm.add(deal(customer, "100.00", name="Q4 pumps", lines=(line(price, "100.00"),)))
    run = await rig.done()
    assert {"done": 3} == run.outcome
    await undone(rig, run.id)
    await rig.settled()
    assert ("Nordwind", "Pump") == (await again(rig, "bill", "Q4 pumps")).along
    await rig.settled()
    assert (["posted", "void"], 1) == (
        sorted(str(i.state) for i in rig.invoices()),
        len(rig.books.all(Kind.ITEM)),
    )


async def test_what_was_unlinked_is_linked_again_and_not_made_a_second_time(rig: Rig) -> None:
    """Both are there still: they are matched."""
    run = await adopted(rig)
    await undone(rig, run)
    await nothing(rig)
    await again(rig, "make", "Acme")
    await rig.settled()
    await nothing(rig)
    assert (["Acme"], ["Acme"]) == (rig.names(rig.crm), rig.names(rig.books))
    rig.crm.edit(C, rig.crm.all(C)[0].ref, legal_name="Acme Ltd")
    await rig.settled()
    assert ["Acme Ltd"] == rig.names(rig.books)


async def test_saboteur_a_lift_that_forgets_the_other_half_makes_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undo marks both of the two; where it does not say which the other was, the two stay apart and are asked
    about."""
    run = await adopted(rig)
    real = conflicts.decide_all

    async def nameless(tx: Any, pair_id: str, said: Any, by: str) -> None:
        await real(tx, pair_id, [msgspec.structs.replace(each, detail="") for each in said], by)

    monkeypatch.setattr(conflicts, "decide_all", nameless)
    await undone(rig, run)
    await again(rig, "make", f"crm:customer:{rig.crm.all(C)[0].ref}")
    await rig.preview()
    assert 0 < rig.plan.conflicts


async def test_what_a_person_said_is_not_needed_is_made_after_all(rig: Rig) -> None:
    """The same way back."""
    await rig.pair_up(mapping("customers", customers={"create": {"books": "ask", "crm": "never"}}))
    rig.crm.add(told("Nordwind"))
    await rig.preview()
    await rig.settle("not-needed")
    await nothing(rig)
    assert "not needed, as tests said" == (await again(rig, "make", "Nordwind")).was
    await rig.settled()
    assert ["Nordwind"] == rig.names(rig.books)


async def test_a_crm_company_that_was_taken_back_is_made_again(opened: Open) -> None:
    """The other way round: the books are its source."""
    async with opened(crm=Knobs()) as rig:
        await rig.pair_up(mapping("customers", customers={"create": {"books": "never", "crm": "always"}}))
        rig.books.add(told("Nordwind"))
        await undone(rig, (await rig.done()).id)
        await nothing(rig)
        assert [] == rig.crm.all(C)
        await again(rig, "make", "Nordwind")
        await rig.settled()
        assert ["Nordwind"] == rig.names(rig.crm)
