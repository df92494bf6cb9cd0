"""From a won deal to its invoices: once each, to the cent, and never again by itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import BillingStep, Kind
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, invoice, item, line, mapping, told, usd
from worker.api import Problem
from worker.store import billing
from worker.store.billing import PositionRow

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE


def knob(world: MemoryWorld, **changed: Any) -> None:
    """An admin changes the account's settings at the vendor."""
    world.state.knobs = msgspec.structs.replace(world.knobs, **changed)


async def positions(rig: Rig, ref: str) -> list[PositionRow]:
    async with rig.db.read() as tx:
        return (await billing.positions_of(tx, rig.pair.id, [ref])).get(ref, [])


async def states(rig: Rig, ref: str) -> list[str]:
    return [position.state for position in await positions(rig, ref)]


async def billed(rig: Rig, amount: str = "100.00", **more: Any) -> tuple[str, str]:
    """A won deal with its invoice: (deal, invoice)."""
    ref = rig.crm.add(deal(rig.crm.add(told(f"Acme {amount}")), amount, **more))
    before = {i.ref for i in rig.invoices()}
    await rig.settled()
    return ref, next(i.ref for i in rig.invoices() if i.ref not in before)


# --------------------------------------------------------------------------- once, to the cent


async def test_a_won_deal_becomes_one_invoice(both: Rig) -> None:
    """Customer first, then the invoice with what was forecast; the next plan is empty and writes nothing. On both
    databases."""
    ref = both.crm.add(deal(both.crm.add(told("Acme")), "1234.56", won_on=date(2026, 11, 9), po_number="PO 7"))
    await both.preview()
    assert ({"books.customer.create": 1, "books.invoice.create": 1}, {"USD": Decimal("1234.56")}) == (
        both.plan.counts, both.plan.net,
    )  # fmt: skip
    await both.apply()
    made = both.one_invoice()
    assert (Decimal("1234.56"), date(2026, 11, 9), date(2026, 12, 9), "PO 7", "posted") == (
        made.net, made.date, made.due_date, made.po_number, made.state,
    )  # fmt: skip
    await both.settled()
    writes = both.writes()
    run = await both.run("sync")
    assert ("done", writes, ["billed"]) == (run.state, both.writes(), await states(both, ref))


async def test_lines_items_and_customer_go_by_their_new_refs(rig: Rig) -> None:
    """All three are made in one plan; the invoice names what the vendor called them."""
    acme, support, rent = rig.crm.add(told("Acme")), rig.crm.add(item("Support")), rig.crm.add(item("Rent"))
    lines = (line(support, "200.00", "2"), line(rent, "33.33"))
    rig.crm.add(deal(acme, "233.33", lines=lines))
    await rig.done()
    made = rig.one_invoice()
    by_name = {r.name: r.ref for r in rig.books.all(Kind.ITEM)}
    assert [(by_name["Support"], Decimal("200.00")), (by_name["Rent"], Decimal("33.33"))] == [
        (each.item, each.net) for each in made.lines
    ]
    assert made.customer == rig.books.all(C)[0].ref


async def test_two_previews_of_one_world_are_the_same_plan(rig: Rig) -> None:
    """The fingerprint is of what is shown."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    prints = {(await rig.preview()).fingerprint for _ in range(2)}
    assert 1 == len(prints)


async def test_two_deals_of_a_new_customer_make_it_once(rig: Rig) -> None:
    """Whichever of them is billed first."""
    acme = rig.crm.add(told("Acme"))
    for amount in ("10.00", "20.00"):
        rig.crm.add(deal(acme, amount, name=amount))
    await rig.settled()
    assert (["Acme"], 2) == (rig.names(rig.books), len(rig.invoices()))


async def test_a_gross_amount_is_split_into_net_and_tax(rig: Rig) -> None:
    """What the customer was told to pay is the total."""
    await rig.pair_up(mapping(head={"deal_amount": "gross"}, invoices={"tax": [{"otherwise": "TAX"}]}))
    rig.books.add(told("Acme"))
    rig.crm.add(deal(rig.crm.add(told("Acme")), "108.00"))
    await rig.settled()
    made = rig.one_invoice()
    assert (Decimal("100.00"), Decimal("8.00"), Decimal("108.00")) == (made.net, made.tax, made.total)


# --------------------------------------------------------------------------- held for a person, in words


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"amount": None}, "The deal has no amount"),
        ({"amount": usd("0")}, "0.00: there is nothing to bill"),
        ({"sold_to": None}, "names no account"),
        ({"sold_to": "c99"}, 'sold to "c99", which Memory does not know'),
        ({"won_on": None}, "no date on which it was won"),
        ({"lines": (line("i1", "90.00"),)}, "The lines add up to USD 90.00, the deal's amount is USD 100.00"),
    ],
    ids=["amount", "zero", "account", "unknown account", "date", "lines"],
)
async def test_what_is_missing_is_said_and_nothing_is_guessed(rig: Rig, said: dict[str, Any], why: str) -> None:
    """The deal waits with its reason; another one goes on; mended, it is billed."""
    acme = rig.crm.add(told("Acme"))
    broken = rig.crm.add(msgspec.structs.replace(deal(acme, "100.00"), **said))
    rig.crm.add(deal(acme, "50.00", name="fine"))
    await rig.settled()
    assert (1, Decimal("50.00")) == (len(rig.invoices()), rig.one_invoice().net)
    assert why in (await rig.waiting())["crm", "deal", broken]
    rig.crm.replace(msgspec.structs.replace(deal(acme, "100.00"), ref=broken))
    await rig.settled()
    assert (2, {}) == (len(rig.invoices()), await rig.waiting())


async def test_a_deal_waits_for_its_customer_and_is_woken_by_it(rig: Rig) -> None:
    """The account comes with a later pull: the deal itself did not move."""
    won = rig.crm.add(deal("c77"))
    await rig.preview()
    assert (0, [("crm", D, won)]) == (rig.plan.changes, list(await _waits(rig)))
    rig.crm.add(told("Acme", ref="c77"))
    await rig.settled()
    assert 1 == len(rig.invoices())


async def _waits(rig: Rig) -> dict[tuple[str, str, str], str]:
    return {key: why for key, why in (await rig.waiting()).items() if key[1] == "deal"}


async def test_a_missing_item_wakes_the_deals_that_wait_for_one(rig: Rig) -> None:
    """Items are made by hand here: the deal goes on once the books have it."""
    await rig.pair_up(mapping(items={"create": {"books": "never", "crm": "never"}}))
    acme, support = rig.crm.add(told("Acme")), rig.crm.add(item("Support"))
    won = rig.crm.add(deal(acme, "10.00", lines=(line(support, "10.00"),)))
    await rig.settled()
    assert ([], "The books have no item") == (rig.invoices(), (await rig.waiting())["crm", "deal", won][:22])
    rig.books.add(item("Support"))
    await rig.settled()
    assert 1 == len(rig.invoices())


async def test_a_closed_period_holds_until_it_is_opened(rig: Rig) -> None:
    """Dated inside it: held with the day; the lock moves, and it is billed."""
    knob(rig.books, locked_until=date(2026, 11, 9))
    won = rig.crm.add(deal(rig.crm.add(told("Acme")), won_on=date(2026, 11, 9)))
    await rig.preview()
    assert "closed period" in (await rig.waiting())["crm", "deal", won]
    knob(rig.books, locked_until=date(2026, 10, 31))
    await rig.settled()
    assert 1 == len(rig.invoices())


@pytest.mark.parametrize(("lock", "held"), [("books", False), ("pair", True), ("later", True)])
async def test_which_lock_counts_is_the_pairs_choice(rig: Rig, lock: str, held: bool) -> None:
    """The pair's own lock is later than the books'."""
    head = {"period": {"lock": lock, "locked_until": date(2026, 11, 9)}}
    await rig.pair_up(mapping(head=head))
    rig.crm.add(deal(rig.crm.add(told("Acme")), won_on=date(2026, 11, 9)))
    await rig.preview()
    assert held == (rig.plan.documents == 0)


async def test_a_fresh_win_waits_for_typos(rig: Rig) -> None:
    """Sixty minutes after the win by default; then the next plan bills it, though nothing moved."""
    await rig.pair_up(mapping(invoices={"ready": {"require": ["bill_to"], "wait_after_won_min": 60}}))
    now = datetime.now(UTC) + rig.db.shift
    rig.crm.add(deal(rig.crm.add(told("Acme")), won_on=None, won_at=now))
    await rig.preview()
    assert 0 == rig.plan.documents
    rig.pass_time(3700)
    await rig.preview()
    assert 1 == rig.plan.documents


async def test_drafts_are_refused_where_the_books_know_none(opened: Open) -> None:
    """When the mapping is saved, with what to write instead."""
    async with opened(books=Knobs(drafts=False)) as rig:
        with pytest.raises(Problem) as problem:
            await rig.pair_up(mapping(invoices={"as": "draft"}))
        assert "knows no drafts" in problem.value.details[0]
        await rig.pair_up(mapping(invoices={"as": "post"}))


async def test_a_draft_is_saved_unposted(rig: Rig) -> None:
    """Where the books can."""
    await rig.pair_up(mapping(invoices={"as": "draft"}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.done()
    assert "draft" == rig.one_invoice().state


# --------------------------------------------------------------------------- before the cut-over


async def test_history_is_linked_and_never_billed(rig: Rig) -> None:
    """Won before the cut-over: linked to the invoice it has, left alone if it has none."""
    books = rig.books.add(told("Acme"))
    old = rig.books.add(invoice(books, "500.00", date(2026, 8, 20)))
    acme = rig.crm.add(told("Acme"))
    linked = rig.crm.add(deal(acme, "500.00", won_on=date(2026, 8, 15)))
    rig.crm.add(deal(acme, "77.00", won_on=date(2026, 8, 15)))
    await rig.settled()
    async with rig.db.read() as tx:
        document = (await billing.documents_by_ref(tx, rig.pair.id, [(I, old)]))[I, old]
    assert (["history"], "matched", 1) == (await states(rig, linked), document.provenance, len(rig.invoices()))
    assert "open" == rig.see(rig.crm, linked, D).properties["invoice_status"]


async def test_history_waits_for_its_customer(rig: Rig) -> None:
    """Whose match a person has yet to decide; it is billed by nobody meanwhile, and nobody is bothered with it."""
    crm = rig.crm.add(told("Acme", emails={"general": "office@x.com"}))
    books = rig.books.add(told("Zenith Traders", emails={"general": "office@x.com"}))
    rig.books.add(invoice(books, "500.00", date(2026, 8, 20)))
    old = rig.crm.add(deal(crm, "500.00", won_on=date(2026, 8, 15)))
    await rig.settled()
    assert ([], False) == (await states(rig, old), ("crm", "deal", old) in await rig.waiting())
    await rig.settle("same")
    await rig.settled()
    assert (["history"], 1) == (await states(rig, old), len(rig.invoices()))


async def test_the_cut_over_day_is_in_the_pairs_zone(rig: Rig) -> None:
    """01:40 UTC on the first is the evening before in New York."""
    acme = rig.crm.add(told("Acme"))
    rig.crm.add(deal(acme, "1.00", won_on=None, won_at=datetime(2026, 9, 1, 1, 40, tzinfo=UTC)))
    rig.crm.add(deal(acme, "2.00", won_on=None, won_at=datetime(2026, 9, 1, 4, 40, tzinfo=UTC)))
    await rig.settled()
    assert [Decimal("2.00")] == [i.net for i in rig.invoices()]


async def test_a_mapping_without_cut_over_is_refused(rig: Rig) -> None:
    """There is no default."""
    with pytest.raises(Problem) as problem:
        await rig.pair_up(mapping().replace("cut_over: 2026-09-01\n", ""))
    assert "cut-over" in problem.value.details[0]


# --------------------------------------------------------------------------- billed by hand


async def test_an_invoice_typed_by_hand_is_the_deals(rig: Rig) -> None:
    """Same customer, same net, within thirty days: it stands for the position, and nothing is billed."""
    _, books = await rig.linked("Acme")
    typed = rig.books.add(invoice(books, "100.00", date(2026, 11, 8)))
    won = rig.crm.add(deal("c1", "100.00"))
    await rig.settled()
    assert (["billed"], 1, typed) == (await states(rig, won), len(rig.invoices()), rig.one_invoice().ref)


async def test_of_two_invoices_that_fit_a_person_says_which(rig: Rig) -> None:
    """And each stands for one deal only."""
    _, books = await rig.linked("Acme")
    typed = [rig.books.add(invoice(books, "100.00", date(2026, 11, day))) for day in (7, 8)]
    won = rig.crm.add(deal("c1", "100.00"))
    await rig.settled()
    asked = await rig.question()
    assert ("match", set(typed)) == (asked.what, {c.ref for c in asked.candidates})
    await rig.settle("same", value=typed[1])
    await rig.settled()
    assert (["billed"], 2, []) == (await states(rig, won), len(rig.invoices()), await rig.conflicts())


async def test_neither_of_two_invoices_means_a_new_one(rig: Rig) -> None:
    """Different: the deal is billed."""
    _, books = await rig.linked("Acme")
    for day in (7, 8):
        rig.books.add(invoice(books, "100.00", date(2026, 11, day)))
    rig.crm.add(deal("c1", "100.00"))
    await rig.preview()
    await rig.settle("different")
    await rig.settled()
    assert (3, []) == (len(rig.invoices()), await rig.conflicts())


# --------------------------------------------------------------------------- instalments


def plan(*steps: tuple[date, str]) -> tuple[BillingStep, ...]:
    return tuple(BillingStep(role="instalment", planned_on=on, net=Decimal(net)) for on, net in steps)


QUARTERS = plan((date(2026, 11, 9), "40.00"), (date(2026, 11, 20), "30.00"), (date(2026, 12, 20), "30.00"))


async def test_each_instalment_is_billed_on_its_day(rig: Rig) -> None:
    """And not before; together they are the deal."""
    won = rig.crm.add(deal(rig.crm.add(told("Acme")), "100.00", billing_plan=QUARTERS))
    counted = []
    for days in (0, 11, 30):
        rig.pass_time(timedelta(days=days).total_seconds())
        await rig.settled()
        counted.append(len(rig.invoices()))
    assert [1, 2, 3] == counted
    assert Decimal("100.00") == sum((i.net for i in rig.invoices()), Decimal(0))
    assert ["billed"] * 3 == await states(rig, won)


async def test_a_question_about_one_instalment_does_not_stop_the_next(rig: Rig) -> None:
    """The first was billed with another amount than the plan says now: asked about; the second is billed on its
    day."""
    acme = rig.crm.add(told("Acme"))
    won = rig.crm.add(deal(acme, "100.00", billing_plan=QUARTERS))
    await rig.settled()
    changed = plan((date(2026, 11, 9), "50.00"), (date(2026, 11, 20), "20.00"), (date(2026, 12, 20), "30.00"))
    rig.crm.replace(msgspec.structs.replace(rig.see(rig.crm, won, D), billing_plan=changed))
    await rig.settled()
    assert "document" == (await rig.question()).what
    rig.pass_time(timedelta(days=11).total_seconds())
    await rig.settled()
    assert [Decimal("40.00"), Decimal("20.00")] == [i.net for i in rig.invoices()]


async def test_leave_is_for_that_document_alone(rig: Rig) -> None:
    """Answered, it is not asked again; later instalments are billed; another change of the deal is another
    question."""
    acme = rig.crm.add(told("Acme"))
    won = rig.crm.add(deal(acme, "100.00", billing_plan=QUARTERS))
    await rig.settled()
    for first, second in (("50.00", "20.00"), ("45.00", "25.00")):
        changed = plan((date(2026, 11, 9), first), (date(2026, 11, 20), second), (date(2026, 12, 20), "30.00"))
        rig.crm.replace(msgspec.structs.replace(rig.see(rig.crm, won, D), billing_plan=changed))
        await rig.preview()
        await rig.settle("leave")
        await rig.preview()
        assert [] == await rig.conflicts()
    rig.pass_time(timedelta(days=60).total_seconds())
    await rig.settled()
    assert [Decimal("40.00"), Decimal("25.00"), Decimal("30.00")] == [i.net for i in rig.invoices()]


async def test_an_instalment_that_is_planned_no_more(rig: Rig) -> None:
    """Never billed: forgotten. Billed: asked about."""
    acme = rig.crm.add(told("Acme"))
    won = rig.crm.add(deal(acme, "100.00", billing_plan=QUARTERS))
    await rig.settled()
    shorter = plan((date(2026, 11, 9), "40.00"), (date(2026, 12, 20), "60.00"))
    rig.crm.replace(msgspec.structs.replace(rig.see(rig.crm, won, D), billing_plan=shorter))
    await rig.settled()
    assert (2, []) == (len(await positions(rig, won)), await rig.conflicts())
    rig.pass_time(timedelta(days=60).total_seconds())
    await rig.settled()
    whole = msgspec.structs.replace(rig.see(rig.crm, won, D), billing_plan=plan((date(2026, 11, 9), "100.00")))
    rig.crm.replace(whole)
    await rig.preview()
    assert {"document:1", "document:2"} == {await _rule(rig, c.number) for c in await rig.conflicts()}
    assert 0 == rig.plan.documents


async def _rule(rig: Rig, number: int) -> str:
    from worker.store import conflicts

    async with rig.db.read() as tx:
        found = await conflicts.get(tx, rig.pair.id, number)
    assert found is not None
    return found.question.rule


# --------------------------------------------------------------------------- posted is frozen


async def test_a_deal_that_changed_after_billing_is_asked_about(rig: Rig) -> None:
    """The posted document is not touched; the amount set back, the question answers itself."""
    won, made = await billed(rig, "100.00")
    rig.crm.edit(D, won, amount=usd("120.00"))
    await rig.done()
    asked = await rig.question()
    assert ("document", Decimal("100.00"), 1) == (asked.what, rig.see(rig.books, made, I).net, len(rig.invoices()))
    rig.crm.edit(D, won, amount=usd("100.00"))
    await rig.preview()
    assert ([], 0) == (await rig.conflicts(), rig.plan.changes)


async def test_nothing_of_a_posted_document_is_ever_updated(rig: Rig) -> None:
    """Name, address, terms, memo of deal and customer change: the calls that reach the books are creates, and
    updates of the customer."""
    customer = rig.crm.add(told("Acme", phone="+1 212 555 0100"))
    won = rig.crm.add(deal(customer))
    await rig.settled()
    rig.crm.edit(D, won, memo="new", po_number="PO 9", name="Renamed")
    rig.crm.edit(C, customer, phone="+1 212 555 0199")
    await rig.settled()
    kinds = {(c.kind, c.operation) for c in rig.books.calls if c.point == "write"}
    assert {(C, "create"), (C, "update"), (I, "create")} == kinds


async def test_legal_name_is_asked_about_once_a_document_is_posted(rig: Rig) -> None:
    """Before that the CRM decides; after, an edit on both sides is a question."""
    fields = [{"crm": "name", "books": "legal_name"}]
    await rig.pair_up(mapping(customers={"fields": fields}))
    await billed(rig, "100.00")
    crm, books = rig.crm.all(C)[0].ref, rig.books.all(C)[0].ref
    rig.crm.edit(C, crm, legal_name="Acme One")
    rig.books.edit(C, books, legal_name="Acme Two")
    await rig.preview()
    assert ("field", 0) == ((await rig.question()).what, rig.plan.changes)


@pytest.mark.parametrize("how", ["void", "delete"])
async def test_a_voided_invoice_is_spent_and_not_billed_again(rig: Rig, how: str) -> None:
    """Whatever moves afterwards, deal or customer."""
    won, made = await billed(rig, "100.00")
    getattr(rig.books, how)(I, made)
    await rig.settled()
    rig.crm.edit(D, won, memo="please bill")
    rig.crm.edit(C, rig.crm.all(C)[0].ref, notes="n")
    await rig.settled()
    live = [i for i in rig.invoices() if i.state != "void"]
    assert (["spent"], []) == (await states(rig, won), live)
    assert ("not_invoiced", "0.00") == tuple(
        rig.see(rig.crm, won, D).properties[name] for name in ("invoice_status", "balance_due")
    )


async def test_saboteur_a_document_on_the_link_would_bill_again(rig: Rig) -> None:
    """Without the spent position (documents hanging on links, the link gone with the document) the same deal is
    billed a second time."""
    from worker.store.tables import documents
    from worker.store.tables import positions as table

    won, made = await billed(rig, "100.00")
    rig.books.void(I, made)
    await rig.settled()
    async with rig.db.write() as tx:
        await tx.run(documents.delete())
        await tx.run(table.delete())
    rig.crm.edit(D, won, memo="please bill")
    await rig.settled()
    assert 2 == len(rig.invoices())


@pytest.mark.parametrize("how", ["lost", "deleted"])
async def test_a_deal_that_is_lost_after_billing_is_reported_not_credited(rig: Rig, how: str) -> None:
    """A person decides; left as it is, it is not asked again."""
    won, made = await billed(rig, "100.00")
    if how == "lost":
        rig.crm.edit(D, won, status="lost")
    else:
        rig.crm.delete(D, won)
    await rig.done()
    assert ("document", "posted") == ((await rig.question()).what, rig.see(rig.books, made, I).state)
    await rig.settle("leave")
    await rig.preview()
    assert (0, [], []) == (rig.plan.changes, await rig.conflicts(), await rig.dirty())


async def test_won_again_closes_the_question(rig: Rig) -> None:
    """Reversed by mistake, and set back."""
    won, _ = await billed(rig, "100.00")
    rig.crm.edit(D, won, status="lost")
    await rig.preview()
    rig.crm.edit(D, won, status="won")
    await rig.preview()
    assert ([], 0, 1) == (await rig.conflicts(), rig.plan.changes, len(rig.invoices()))


async def test_a_deal_lost_before_it_was_billed_leaves_nothing(rig: Rig) -> None:
    """Its open position goes; won again later, it is billed once."""
    await rig.pair_up(mapping(invoices={"apply": "observe"}))
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    assert ["open"] == await states(rig, won)
    rig.crm.edit(D, won, status="lost")
    await rig.preview()
    assert ([], []) == (await states(rig, won), await rig.dirty())
    await rig.pair_up(mapping())
    rig.crm.edit(D, won, status="won")
    await rig.settled()
    assert 1 == len(rig.invoices())


async def test_without_a_customers_flow_nobody_is_made(rig: Rig) -> None:
    """Documents alone are mapped: a customer that is not matched is not made up; the deal says so."""
    await rig.pair_up(mapping("invoices"))
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    rig.books.add(told("Acme"))
    await rig.preview()
    assert (0, ["Acme"]) == (rig.plan.changes, rig.names(rig.books))
    assert "no customers flow" in (await rig.waiting())["crm", "deal", won]
