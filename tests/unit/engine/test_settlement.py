"""What settled a document, and how it goes back to the deal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec.structs import replace

from connectors.canon.records import Allocation, CreditNote, Invoice, InvoiceLine, Payment
from connectors.canon.values import Money
from worker.engine.settlement import Settlement, balance, gather, kept_as, settle


def D(text: str) -> Decimal:
    return Decimal(text)


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


def invoice(ref: str, total: str, **more: object) -> Invoice:
    fields: dict[str, object] = {
        "ref": ref,
        "number": ref.upper(),
        "date": date(2027, 1, 15),
        "due_date": date(2027, 2, 14),
        "state": "posted",
        "net": D(total),
        "total": D(total),
    }
    return Invoice(**{**fields, **more})  # type: ignore[arg-type]  # a test's shorthand


def cash(amount: str, on: date, *to: Allocation, **more: object) -> Payment:
    return Payment(ref=f"p{on}", date=on, amount=usd(amount), allocations=to, **more)  # type: ignore[arg-type]  # a test's shorthand


def credit(amount: str, on: date, *to: Allocation, **more: object) -> CreditNote:
    fields: dict[str, object] = {"ref": "n1", "date": on, "state": "posted", "total": D(amount), "allocations": to}
    return CreditNote(**{**fields, **more})  # type: ignore[arg-type]  # a test's shorthand


def to(document: str, amount: str, **more: Decimal) -> Allocation:
    return Allocation(document=document, amount=D(amount), **more)


def settled(
    documents: list[Invoice], payments: list[Payment], notes: list[CreditNote], on: date | None = None
) -> Settlement:
    return settle(documents, gather(payments, notes), "USD", on=on)


JAN, FEB, MAR = date(2027, 1, 25), date(2027, 2, 10), date(2027, 3, 1)


def test_a_discount_for_paying_early_is_paid_and_not_short() -> None:
    """2/10 net 30 on 3,000: 2,940.00 by 25 January and a discount of 60.00."""
    found = settled([invoice("i1", "3000")], [cash("2940", JAN, to("i1", "2940", discount=D("60")))], [])
    assert ("paid", usd("2940"), usd("60"), usd("0"), JAN) == (
        found.state,
        found.paid_cash,
        found.discount,
        found.balance,
        found.settled_on,
    )


def test_tax_withheld_is_settled_and_not_cash() -> None:
    """11,600.99 received and 200.01 withheld settle 11,801.00."""
    document = invoice("i1", "11801.00")
    found = settled([document], [cash("11600.99", JAN, to("i1", "11600.99", withheld=D("200.01")))], [])
    assert (usd("11600.99"), usd("200.01"), usd("0.00"), "paid") == (
        found.paid_cash,
        found.withheld,
        found.balance,
        found.state,
    )


def test_settled_by_credit_is_not_paid() -> None:
    """Commissions hang on it: an invoice closed by a credit note brought no money."""
    found = settled([invoice("i1", "1000")], [], [credit("1000", FEB, to("i1", "1000"))])
    assert ("settled", usd("0"), usd("1000"), FEB) == (found.state, found.paid_cash, found.credited, found.settled_on)


def test_what_is_invoiced_is_always_accounted_for() -> None:
    """invoiced = cash + credit + withheld + discount + written off + balance."""
    found = settled(
        [invoice("i1", "1000"), invoice("i2", "500")],
        [cash("700", JAN, to("i1", "650", withheld=D("20"), written_off=D("5")), to("i2", "50"))],
        [credit("100", FEB, to("i1", "100"))],
    )
    parts = (found.paid_cash, found.credited, found.withheld, found.discount, found.written_off, found.balance)
    assert found.invoiced.amount == sum(part.amount for part in parts)
    assert ("part_paid", usd("675"), None) == (found.state, found.balance, found.settled_on)


def test_a_balance_is_rebuilt_for_any_day() -> None:
    """What was paid later was open then; the vendor's balance, which is today's, is not looked at."""
    document = invoice("i1", "1000", balance=D("0"))
    payments = [cash("400", JAN, to("i1", "400")), cash("600", MAR, to("i1", "600"))]
    found = [settled([document], payments, [], on=on) for on in (date(2027, 1, 14), date(2027, 1, 20), FEB, MAR)]
    assert ["not_invoiced", "open", "part_paid", "paid"] == [each.state for each in found]
    assert [D("0"), D("1000"), D("600"), D("0")] == [each.balance.amount for each in found]


def test_the_vendors_balance_would_have_said_otherwise() -> None:
    """The check above fails on a balance taken from the record: it is zero on every day."""
    document = invoice("i1", "1000", balance=D("0"))
    assert document.balance != balance(document, gather([], []), FEB)


def test_drafts_and_voids_do_not_count() -> None:
    """Only live documents are invoiced."""
    documents = [invoice("i1", "1000", state="void"), invoice("i2", "10", state="draft")]
    assert ("not_invoiced", usd("0")) == (settled(documents, [], []).state, settled(documents, [], []).invoiced)


def test_the_due_date_is_of_the_documents_still_open() -> None:
    """The earliest open one; once all are settled, the latest."""
    documents = [invoice("i1", "10"), invoice("i2", "10", due_date=MAR)]
    first = cash("10", JAN, to("i1", "10"))
    assert date(2027, 2, 14) == settled(documents, [], []).due_date
    assert settled(documents, [first], []).due_date == MAR
    assert settled(documents, [first, cash("10", FEB, to("i2", "10"))], []).due_date == MAR


def test_what_the_bank_kept_was_paid_by_the_customer() -> None:
    """2,985.00 arrived and the bank kept 15.00: 3,000.00 are paid, however the system tells it."""
    document = invoice("i1", "3000")
    inside = cash("2985", JAN, to("i1", "3000"), bank_charges=D("15"), unapplied=D("0"))
    beside = cash("2985", JAN, to("i1", "2985"), bank_charges=D("15"), unapplied=D("0"))
    found = [settled([document], [payment], []) for payment in (inside, beside)]
    assert [("paid", usd("3000"))] * 2 == [(each.state, each.paid_cash) for each in found]


def test_a_credit_that_two_records_tell_of_counts_once() -> None:
    """The note and the payment that brought it both name the allocation."""
    note = credit("100", FEB, to("i1", "100"))
    brings = cash("0", FEB, replace(to("i1", "100"), via="n1"))
    twice = settled([invoice("i1", "1000")], [brings], [note])
    once = settled([invoice("i1", "1000")], [brings], [replace(note, allocations=())])
    assert [usd("100"), usd("900")] == [twice.credited, twice.balance]
    assert twice == once


def test_a_credit_note_for_withheld_tax_is_withheld() -> None:
    """QuickBooks has no field for it: a credit memo on an account that is no income."""
    line = InvoiceLine(item_name="Tax withheld", income_account="Withholding Tax Receivable", net=D("48"))
    note = credit("48", FEB, to("i1", "48"), lines=(line,))
    found = settled([invoice("i1", "2400")], [cash("2352", FEB, to("i1", "2352"))], [note])
    assert ("paid", usd("48"), usd("0")) == (found.state, found.withheld, found.credited)
    assert kept_as(replace(note, lines=(line, InvoiceLine(item_name="Goods", net=D("1"))))) is None


def test_a_void_payment_settles_nothing() -> None:
    """Money that bounced is open again."""
    bounced = cash("1000", JAN, to("i1", "1000"), state="void")
    assert "open" == settled([invoice("i1", "1000")], [bounced], []).state
