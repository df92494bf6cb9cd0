"""What the books say of a deal's documents goes back to the deal: paid, in part, by credit, or not any more."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors.canon.records import Allocation, CreditNote, InvoiceLine, Kind
from connectors.memory.faults import Fault
from tests.flows.rig import PAID_FIELDS, Rig, deal, mapping, payment, told

D, I, P = Kind.DEAL, Kind.INVOICE, Kind.PAYMENT


async def billed(rig: Rig, amount: str = "100.00", **more: Any) -> tuple[str, str, str]:
    """(deal, books customer, invoice)."""
    won = rig.crm.add(deal(rig.crm.add(told("Acme")), amount, **more))
    await rig.settled()
    made = rig.one_invoice()
    return won, str(made.customer), made.ref


def marked(rig: Rig, won: str) -> tuple[Any, ...]:
    return tuple(rig.see(rig.crm, won, D).properties[name] for name in PAID_FIELDS)


async def test_a_billed_deal_is_marked_open(rig: Rig) -> None:
    """With what is due; nothing is paid yet."""
    won, _, _ = await billed(rig)
    assert ("open", "0.00", "100.00", None) == marked(rig, won)


async def test_a_payment_marks_the_deal_paid(both: Rig) -> None:
    """In one update, once; on both databases."""
    won, customer, made = await billed(both)
    both.books.add(payment(customer, made, "100.00", date(2026, 11, 20)))
    await both.preview()
    (change,) = await both.changes()
    assert ("crm", "deal", "update", set(PAID_FIELDS)) == (
        change.side, change.kind, change.operation, {f.path.removeprefix("properties.") for f in change.fields},
    )  # fmt: skip
    await both.apply()
    assert ("paid", "100.00", "0.00", "2026-11-20") == marked(both, won)
    writes = both.writes()
    await both.settled()
    assert writes == both.writes()


async def test_partial_payments_add_up(rig: Rig) -> None:
    """Part, then the rest."""
    won, customer, made = await billed(rig)
    rig.books.add(payment(customer, made, "40.00", date(2026, 11, 20)))
    await rig.settled()
    first = marked(rig, won)
    rig.books.add(payment(customer, made, "60.00", date(2026, 11, 25)))
    await rig.settled()
    assert (("part_paid", "40.00", "60.00", None), ("paid", "100.00", "0.00", "2026-11-25")) == (
        first, marked(rig, won),
    )  # fmt: skip


async def test_settled_by_credit_is_not_paid(rig: Rig) -> None:
    """Commissions hang on it."""
    won, customer, made = await billed(rig)
    note = CreditNote(
        customer=customer,
        date=date(2026, 11, 21),
        lines=(InvoiceLine(text="credit", net=Decimal("100.00"), tax_code="NON"),),
        allocations=(Allocation(document=made, amount=Decimal("100.00"), on=date(2026, 11, 21)),),
    )
    rig.books.add(note)
    await rig.settled()
    assert ("settled", "0.00", "0.00", "2026-11-21") == marked(rig, won)


async def test_a_voided_payment_takes_the_mark_back(rig: Rig) -> None:
    """What the books say now, not what they said once."""
    won, customer, made = await billed(rig)
    paid = rig.books.add(payment(customer, made, "100.00"))
    await rig.settled()
    rig.books.void(P, paid)
    await rig.settled()
    assert ("open", "0.00", "100.00", None) == marked(rig, won)


async def test_a_payment_that_moves_to_another_invoice_marks_both_deals(rig: Rig) -> None:
    """The deal it left is looked at again, not only the one it came to."""
    acme = rig.crm.add(told("Acme"))
    won = {amount: rig.crm.add(deal(acme, amount, name=amount)) for amount in ("10.00", "20.00")}
    await rig.settled()
    by_net = {f"{i.net}": i for i in rig.invoices()}
    customer = str(by_net["10.00"].customer)
    paid = rig.books.add(payment(customer, by_net["10.00"].ref, "10.00"))
    await rig.settled()
    assert "paid" == marked(rig, won["10.00"])[0]
    rig.books.edit(P, paid, reference="moved")
    import msgspec

    record = rig.see(rig.books, paid, P)
    rig.books.replace(
        msgspec.structs.replace(
            record, allocations=(Allocation(document=by_net["20.00"].ref, amount=Decimal("10.00")),)
        )
    )
    await rig.settled()
    assert ("open", "part_paid") == (marked(rig, won["10.00"])[0], marked(rig, won["20.00"])[0])


async def test_one_payment_of_two_deals_survives_that_one_is_refused(rig: Rig) -> None:
    """The vendor refuses to mark one of them: the other is marked, and the first is tried again when it moves."""
    acme = rig.crm.add(told("Acme"))
    won = {amount: rig.crm.add(deal(acme, amount, name=amount)) for amount in ("10.00", "20.00")}
    await rig.settled()
    invoices = rig.invoices()
    customer = str(invoices[0].customer)
    rig.crm.script.add(Fault(what="refuse", kind=D, operation="update", item=0, reason="locked record"))
    both = tuple(Allocation(document=i.ref, amount=i.total) for i in invoices)  # type: ignore[arg-type]  # it has one
    import msgspec

    rig.books.add(msgspec.structs.replace(payment(customer, invoices[0].ref, "30.00"), allocations=both))
    await rig.done()
    await rig.settled()
    assert {"open", "paid"} == {marked(rig, ref)[0] for ref in won.values()}
    left = next(ref for ref in won.values() if marked(rig, ref)[0] == "open")
    assert "locked record" in (await rig.waiting())["crm", "deal", left]
    rig.crm.edit(D, left, memo="unlocked")
    await rig.settled()
    assert ({"paid"}, {}) == ({marked(rig, ref)[0] for ref in won.values()}, await rig.waiting())


async def test_a_payment_of_nobodys_invoice_harms_nothing(rig: Rig) -> None:
    """An invoice without a deal is paid."""
    from tests.flows.rig import invoice

    customer = rig.books.add(told("Beta"))
    made = rig.books.add(invoice(customer, "10.00"))
    rig.books.add(payment(customer, made, "10.00"))
    await rig.settled()
    assert [] == await rig.dirty()


async def test_the_crms_own_edit_of_a_mark_is_taken_back(rig: Rig) -> None:
    """Somebody types another state: the books decide, and the audit trail keeps what was typed."""
    won, customer, made = await billed(rig)
    rig.crm.edit(D, won, **{"properties.invoice_status": "paid, I think"})
    rig.books.add(payment(customer, made, "40.00"))
    await rig.settled()
    assert "part_paid" == marked(rig, won)[0]


async def test_observing_payments_writes_nothing(rig: Rig) -> None:
    """Said in the plan, not sent."""
    await rig.pair_up(mapping(payments={"apply": "observe"}))
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.done()
    await rig.preview()
    assert (0, 1) == (rig.plan.changes, rig.plan.held)
    await rig.apply(confirm_held=True)
    assert (None, None, None, None) == marked(rig, won)


async def test_a_payment_field_that_is_mapped_later_is_written_for_what_was_billed(rig: Rig) -> None:
    """Nothing has to move for it."""
    first = [{"books": "state", "crm": "properties.invoice_status"}]
    await rig.pair_up(mapping(payments={"fields": first}))
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.settled()
    assert ("open", None) == marked(rig, won)[:2]
    await rig.pair_up(mapping())
    await rig.settled()
    assert ("open", "0.00", "100.00", None) == marked(rig, won)


async def test_a_mark_that_is_taken_back_each_time_is_held(rig: Rig) -> None:
    """A workflow in the CRM sets it back, Tieout writes it, more than three times within the hour: then it waits, and
    the preview names the field. An hour later it is written again."""
    won, _, made = await billed(rig)
    previews = []
    for number in range(5):
        rig.crm.edit(D, won, **{"properties.invoice_status": "to be billed"})
        rig.books.edit(I, made, memo=f"edit {number}")
        plan = await rig.preview()
        previews.append((plan.changes, list(plan.waiting)))
        await rig.apply()
    held = (0, ["invoice status changed back and forth more than three times this hour"])
    assert [(1, []), (1, []), (1, []), held, held] == previews
    rig.pass_time(3700)
    await rig.done()
    assert "open" == marked(rig, won)[0]


async def test_saboteur_without_the_breaker_a_workflow_is_fought_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync writes, each workflow takes back."""
    from worker.usecases import scope

    monkeypatch.setattr(scope, "flapping", lambda *_: False)
    won, _, made = await billed(rig)
    writes = rig.writes()
    for number in range(8):
        rig.crm.edit(D, won, **{"properties.invoice_status": "to be billed"})
        rig.books.edit(I, made, memo=f"edit {number}")
        await rig.done()
    assert 8 == rig.writes() - writes
