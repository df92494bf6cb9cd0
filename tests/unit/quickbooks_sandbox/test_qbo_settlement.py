"""Payments: what they settle, what is left over, and what happens when either side goes away."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksFault, QuickBooksSandbox, operations, reports
from connectors.quickbooks.sandbox.ledger import Ledger, Posting, Unbalanced

FAR = date(2030, 1, 1)


def customer_with_invoices(books: QuickBooksSandbox, *amounts: str) -> tuple[str, list[str]]:
    customer = books.add_customer("Acme")
    return customer, [books.add_invoice(customer, [{"amount": amount}], date="2026-10-01") for amount in amounts]


def row(books: QuickBooksSandbox, entity: str, id: str) -> dict[str, Any]:
    return books.company.read(entity, id)


def payment(books: QuickBooksSandbox, customer: str, total: str, *lines: tuple[str, str, str]) -> dict[str, Any]:
    made = [{"Amount": Decimal(a), "LinkedTxn": [{"TxnId": id, "TxnType": kind}]} for kind, id, a in lines]
    body = {"CustomerRef": {"value": customer}, "TotalAmt": Decimal(total), "Line": made}
    return operations.write(books.company, "Payment", body)


def test_a_payment_moves_balance_and_time_of_the_invoice_but_not_its_version(books: QuickBooksSandbox) -> None:
    """Balance falls, the payment is linked, LastUpdatedTime moves, SyncToken stays."""
    customer, [first] = customer_with_invoices(books, "100")
    before = row(books, "Invoice", first)
    books.clock.advance(5)
    paid = payment(books, customer, "60", ("Invoice", first, "60"))
    after = row(books, "Invoice", first)
    assert (after["Balance"], after["SyncToken"]) == (40, before["SyncToken"])
    assert after["LinkedTxn"] == [{"TxnId": paid["Id"], "TxnType": "Payment"}]
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]
    assert row(books, "Customer", customer)["Balance"] == 40


def test_what_is_left_over_stays_unapplied(books: QuickBooksSandbox) -> None:
    """A payment without lines is all credit; it lands in Undeposited Funds."""
    customer, [first] = customer_with_invoices(books, "892.40")
    over = payment(books, customer, "900", ("Invoice", first, "892.40"))
    free = payment(books, customer, "50")
    assert (over["UnappliedAmt"], free["UnappliedAmt"]) == (Decimal("7.60"), 50)
    assert row(books, "Customer", customer)["Balance"] == Decimal("-57.60")
    funds = books.company.named("Account", "Undeposited Funds")
    assert funds is not None
    assert funds["CurrentBalance"] == 950


def test_a_credit_memo_is_brought_to_an_invoice_by_a_payment_of_zero(books: QuickBooksSandbox) -> None:
    """RemainingCredit and Balance fall by what was applied."""
    customer, [first] = customer_with_invoices(books, "1000")
    memo = books.add_credit_memo(customer, [{"amount": "250"}], date="2026-10-02")
    payment(books, customer, "0", ("Invoice", first, "200"), ("CreditMemo", memo, "200"))
    assert (row(books, "Invoice", first)["Balance"], row(books, "CreditMemo", memo)["RemainingCredit"]) == (800, 50)
    assert row(books, "Customer", customer)["Balance"] == 750


def test_more_than_there_is_cannot_be_settled(books: QuickBooksSandbox) -> None:
    """Not more than the invoice's balance, not more than cash and credits, not another customer's, not what is gone."""
    customer, [first] = customer_with_invoices(books, "100")
    other = books.add_customer("Other")
    for who, total, lines in (
        (customer, "200", [("Invoice", first, "150")]),
        (customer, "50", [("Invoice", first, "100")]),
        (other, "100", [("Invoice", first, "100")]),
    ):
        with pytest.raises(QuickBooksFault, match="6000"):
            payment(books, who, total, *lines)
    with pytest.raises(QuickBooksFault, match="2500"):
        payment(books, customer, "1", ("Invoice", "999", "1"))
    with pytest.raises(QuickBooksFault, match="2170"):
        payment(books, customer, "1", ("Estimate", first, "1"))
    assert row(books, "Invoice", first)["Balance"] == 100


def test_deposits_go_to_a_bank_or_current_asset_account(books: QuickBooksSandbox) -> None:
    """6430 for an income account."""
    customer, _ = customer_with_invoices(books, "100")
    with pytest.raises(QuickBooksFault, match="6430"):
        books.add_payment(customer, "1", deposit_to="Services")


def test_voiding_a_paid_invoice_leaves_the_payment_unapplied(books: QuickBooksSandbox) -> None:
    """The cash is there still, the customer has it as credit."""
    customer, [first] = customer_with_invoices(books, "100")
    paid = payment(books, customer, "100", ("Invoice", first, "100"))
    operations.void(books.company, "Invoice", {"Id": first, "SyncToken": "0"})
    after = row(books, "Payment", paid["Id"])
    assert (after["UnappliedAmt"], after["Line"]) == (100, [])
    assert row(books, "Customer", customer)["Balance"] == -100


def test_voiding_a_credited_invoice_gives_the_credit_back(books: QuickBooksSandbox) -> None:
    """The payment of zero is gone, the memo whole again."""
    customer, [first] = customer_with_invoices(books, "100")
    memo = books.add_credit_memo(customer, [{"amount": "30"}])
    zero = books.apply_credit(memo, first, "30")
    books.void("Invoice", first)
    assert row(books, "CreditMemo", memo)["RemainingCredit"] == 30
    assert zero in books.company.gone["Payment"]


def test_deleting_a_credit_memo_opens_what_it_settled(books: QuickBooksSandbox) -> None:
    """A payment that brought it settles only what cash allows."""
    customer, [first] = customer_with_invoices(books, "100")
    memo = books.add_credit_memo(customer, [{"amount": "30"}])
    paid = payment(books, customer, "70", ("Invoice", first, "100"), ("CreditMemo", memo, "30"))
    books.delete("CreditMemo", memo)
    assert row(books, "Invoice", first)["Balance"] == 30
    assert row(books, "Payment", paid["Id"])["UnappliedAmt"] == 0


def test_voiding_or_deleting_a_payment_opens_the_invoice_again(books: QuickBooksSandbox) -> None:
    """Void keeps it with zeros, delete leaves its mark."""
    customer, [first, second] = customer_with_invoices(books, "100", "50")
    one = payment(books, customer, "100", ("Invoice", first, "100"))
    two = payment(books, customer, "50", ("Invoice", second, "50"))
    voided = operations.void(books.company, "Payment", {"Id": one["Id"], "SyncToken": "0", "sparse": True})
    assert (voided["TotalAmt"], voided["UnappliedAmt"], voided["PrivateNote"]) == (0, 0, "Voided")
    operations.delete(books.company, "Payment", {"Id": two["Id"], "SyncToken": "0"})
    assert [row(books, "Invoice", id)["Balance"] for id in (first, second)] == [100, 50]
    assert books.receivable(FAR) == 150


def test_updating_a_payment_replaces_its_lines(books: QuickBooksSandbox) -> None:
    """All or none: an empty list takes everything back, no list in a sparse update leaves all."""
    customer, [first, second] = customer_with_invoices(books, "100", "50")
    paid = payment(books, customer, "100", ("Invoice", first, "100"))
    version = {"Id": paid["Id"], "sparse": True, "CustomerRef": {"value": customer}, "TotalAmt": 100}
    operations.write(books.company, "Payment", {**version, "SyncToken": "0", "PrivateNote": "n"})
    assert row(books, "Invoice", first)["Balance"] == 0
    line = {"Amount": 50, "LinkedTxn": [{"TxnId": second, "TxnType": "Invoice"}]}
    operations.write(books.company, "Payment", {**version, "SyncToken": "1", "Line": [line]})
    assert [row(books, "Invoice", id)["Balance"] for id in (first, second)] == [100, 0]
    operations.write(books.company, "Payment", {**version, "SyncToken": "2", "Line": []})
    assert row(books, "Payment", paid["Id"])["UnappliedAmt"] == 100


def test_an_invoice_cannot_shrink_below_what_is_settled(books: QuickBooksSandbox) -> None:
    """6000, and everything stays as it was."""
    customer, [first] = customer_with_invoices(books, "100")
    payment(books, customer, "80", ("Invoice", first, "80"))
    body = {"Id": first, "SyncToken": "0", "sparse": True, "Line": [books._line({"amount": "50"})]}
    with pytest.raises(QuickBooksFault, match="6000"):
        operations.write(books.company, "Invoice", body)
    assert row(books, "Invoice", first)["TotalAmt"] == 100


def test_postings_that_do_not_balance_are_refused() -> None:
    """Saboteur: a ledger entry that is a cent short does not get in."""
    ledger = Ledger()
    with pytest.raises(Unbalanced):
        ledger.book("Invoice", "1", [Posting(FAR, "1", Decimal("1.00")), Posting(FAR, "2", Decimal("-0.99"))])
    assert ledger.balances == {}


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["invoice", "memo", "pay", "apply", "void", "delete", "void payment", "rate"]),
        st.integers(0, 7),
        st.integers(1, 9999),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_control_ageing_and_customer_balances_always_agree(acts: list[tuple[str, int, int]]) -> None:
    """Whatever is made, settled at whatever rate, voided and deleted: ledger = ageing, balances = ageing in EUR."""
    books = QuickBooksSandbox(VirtualClock(fixed=True), limits=False)
    books.preferences(multi_currency=True)
    customer = books.add_customer("Euro", currency="EUR")
    books.set_rate("EUR", "1.0817", "2020-01-01")
    for act, which, number in acts:
        _act(books, customer, act, which, Decimal(number) / 100)
    detail = reports.run(books.company, "AgedReceivableDetail", {"report_date": FAR.isoformat()})
    lines = [line["ColData"] for part in detail["Rows"].get("Row", []) for line in part["Rows"]["Row"]]
    assert sum((Decimal(line[6]["value"]) for line in lines), Decimal(0)) == books.receivable(FAR)
    euro = sum((Decimal(line[10]["value"]) for line in lines), Decimal(0))
    assert euro == books.company.read("Customer", customer)["Balance"]


def _act(books: QuickBooksSandbox, customer: str, act: str, which: int, amount: Decimal) -> None:
    def pick(entity: str) -> dict[str, Any] | None:
        rows = list(books.company.rows[entity].values())
        return rows[which % len(rows)] if rows else None

    invoice, memo, paid = pick("Invoice"), pick("CreditMemo"), pick("Payment")
    if act == "invoice":
        books.add_invoice(customer, [{"amount": amount}])
    elif act == "memo":
        books.add_credit_memo(customer, [{"amount": amount}])
    elif act == "rate":
        books.set_rate("EUR", 1 + amount / 1000, books.company.today())
    elif act == "pay" and invoice is not None:
        books.add_payment(customer, amount, invoices={invoice["Id"]: min(amount, invoice["Balance"])})
    elif act == "apply" and invoice is not None and memo is not None:
        books.apply_credit(memo["Id"], invoice["Id"], min(amount, invoice["Balance"], memo["RemainingCredit"]))
    elif act == "void" and invoice is not None:
        books.void("Invoice", invoice["Id"])
    elif act == "delete" and memo is not None:
        books.delete("CreditMemo", memo["Id"])
    elif act == "void payment" and paid is not None:
        books.void("Payment", paid["Id"])
