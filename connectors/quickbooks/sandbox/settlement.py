"""Payments, and what they settle: invoices, credit memos brought along, an unapplied rest, exchange differences.

A payment posts its cash at its own rate. Where an invoice or credit memo stands in the books at another rate, the
difference goes to Exchange Gain or Loss on the day it was settled.
Source: https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/payment
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from connectors.quickbooks.sandbox import accounts, faults
from connectors.quickbooks.sandbox.applications import Application
from connectors.quickbooks.sandbox.bodies import money_of
from connectors.quickbooks.sandbox.company import Company, Row, cents
from connectors.quickbooks.sandbox.ledger import Posting

ZERO = Decimal(0)
_TARGETS = ("Invoice", "CreditMemo")
_DEPOSITS = ("Bank", "Other Current Asset")
_SCOPE = "{http://schema.intuit.com/finance/v3}NameValue"


class Part(msgspec.Struct):
    """One document that a payment is to settle, and how much of it."""

    entity: str
    document: str
    amount: Decimal


def write(company: Company, draft: Row, existing: Row | None) -> Row:
    """Store a payment and settle what its lines name. Raises the fault that speaks against it."""
    if "CustomerRef" not in draft:
        raise faults.missing("CustomerRef")
    if "TotalAmt" not in draft:
        raise faults.missing("TotalAmt")
    customer = company.refer("Customer", draft["CustomerRef"], "CustomerRef")
    row = {key: value for key, value in draft.items() if key != "Line"}
    row["CustomerRef"] = {"value": customer["Id"], "name": customer["FullyQualifiedName"]}
    row["TxnDate"] = draft.get("TxnDate", company.today().isoformat())
    row["TotalAmt"] = money_of(draft["TotalAmt"], "TotalAmt")
    row["ProcessPayment"] = False
    if row["TotalAmt"] < 0:
        raise faults.business("The transaction amount must be 0 or greater.")
    _currency(company, row, customer)
    _references(company, row)
    own = company.applications.of_payment(existing["Id"]) if existing else ()
    parts = _parts(company, draft.get("Line") or [], customer, {each.document: each.amount for each in own})
    if _unapplied(row["TotalAmt"], parts) < 0:
        raise faults.business("The amount applied is larger than the payment and the credits it brings.")
    return _store(company, row, existing, parts)


def _currency(company: Company, row: Row, customer: Row) -> None:
    own: Row = customer["CurrencyRef"]
    sent: Row = row.get("CurrencyRef", own)
    if sent.get("value") != own["value"]:
        raise faults.business("The currency of the transaction is invalid for customer / supplier / account.")
    row["CurrencyRef"] = dict(own)
    if not company.settings.multi_currency:
        row.pop("ExchangeRate", None)
        return
    foreign = own["value"] != company.settings.home_currency
    usual = company.rate_on(own["value"], date.fromisoformat(row["TxnDate"]))
    row["ExchangeRate"] = row.get("ExchangeRate", usual) if foreign else Decimal(1)


def _references(company: Company, row: Row) -> None:
    if "PaymentMethodRef" in row:
        method = company.refer("PaymentMethod", row["PaymentMethodRef"], "PaymentMethodRef")
        row["PaymentMethodRef"] = {"value": method["Id"], "name": method["Name"]}
    if "DepositToAccountRef" not in row:
        row["DepositToAccountRef"] = {"value": accounts.id_of(company, accounts.UNDEPOSITED)}
    account = company.refer("Account", row["DepositToAccountRef"], "DepositToAccountRef")
    if account["AccountType"] not in _DEPOSITS:
        raise faults.wrong_account_type("DepositToAccountRef")


def _parts(company: Company, lines: list[Row], customer: Row, own: dict[str, Decimal]) -> list[Part]:
    """What the lines ask to settle. `own`: what this payment has settled so far, which is free to be given anew."""
    parts: dict[str, Part] = {}
    for line in lines:
        linked = line.get("LinkedTxn")
        if not linked:
            raise faults.missing("LinkedTxn")
        if "Amount" not in line:
            raise faults.missing("Amount")
        entity, id = str(linked[0].get("TxnType")), str(linked[0].get("TxnId"))
        if entity not in _TARGETS:
            raise faults.invalid_enumeration("TxnType", entity)
        part = parts.setdefault(id, Part(entity, id, ZERO))
        part.amount += money_of(line["Amount"], "Amount")
        _settleable(company, part, customer, own.get(id, ZERO))
    return [part for part in parts.values() if part.amount != 0]


def _settleable(company: Company, part: Part, customer: Row, own: Decimal) -> None:
    row = company.find(part.entity, part.document)
    if row is None:
        raise faults.invalid_reference("LinkedTxn.TxnId", part.document)
    if not _same_family(company, row["CustomerRef"]["value"], customer["Id"]):
        raise faults.business("The linked transaction belongs to another customer.")
    if part.amount < 0:
        raise faults.invalid_number("Line.Amount", part.amount)
    if part.amount > row["Balance"] + own:
        raise faults.business("The amount applied is larger than the open balance of the linked transaction.")


def _same_family(company: Company, one: str, other: str) -> bool:
    """The same customer, or sub-customers of one."""
    return _top(company, one) == _top(company, other)


def _top(company: Company, customer: str) -> str:
    row = company.rows["Customer"][customer]
    while "ParentRef" in row:
        row = company.rows["Customer"][row["ParentRef"]["value"]]
    top: str = row["Id"]
    return top


def _sum(parts: list[Part], entity: str) -> Decimal:
    return sum((part.amount for part in parts if part.entity == entity), ZERO)


def _unapplied(total: Decimal, parts: list[Part]) -> Decimal:
    return total + _sum(parts, "CreditMemo") - _sum(parts, "Invoice")


# --------------------------------------------------------------------------- storing


def _store(company: Company, row: Row, existing: Row | None, parts: list[Part]) -> Row:
    before = {each.document for each in company.applications.of_payment(existing["Id"])} if existing else set()
    row["UnappliedAmt"] = _unapplied(row["TotalAmt"], parts)
    row["Line"] = [_line(company, part) for part in parts]
    stored = company.save("Payment", row, id=existing["Id"] if existing else None)
    _settle(company, stored, parts)
    for document in before | {part.document for part in parts}:
        refresh(company, document)
    return stored


def _line(company: Company, part: Part) -> Row:
    """A line as it is read back, with what the vendor adds to it."""
    document = company.rows[part.entity][part.document]
    extra = {"txnId": part.document, "txnOpenBalance": str(document["Balance"])}
    if "DocNumber" in document:
        extra["txnReferenceNumber"] = document["DocNumber"]
    members = [{"name": _SCOPE, "value": {"Name": name, "Value": value}} for name, value in extra.items()]
    linked = [{"TxnId": part.document, "TxnType": part.entity}]
    return {"Amount": part.amount, "LinkedTxn": linked, "LineEx": {"any": members}}


def _settle(company: Company, payment: Row, parts: list[Part]) -> None:
    """Note what the payment settles, post it, and take it off the customer's balance."""
    company.applications.put(payment["Id"], ())
    company.applications.put(payment["Id"], [_application(company, payment, part) for part in parts])
    company.set_open(payment["Id"], payment["CustomerRef"]["value"], -payment["UnappliedAmt"])
    company.rebook("Payment", payment["Id"], _postings(company, payment))


def _application(company: Company, payment: Row, part: Part) -> Application:
    document = company.rows[part.entity][part.document]
    rate = document.get("ExchangeRate", Decimal(1))
    others = company.applications.of_document(part.document)
    settled = sum((each.amount for each in others), ZERO)
    home = cents(part.amount * rate)
    if part.amount + settled == document["TotalAmt"]:
        # The last payment takes what is left, so that rounding leaves nothing behind.
        home = cents(document["TotalAmt"] * rate) - sum((each.home for each in others), ZERO)
    return Application(
        payment["Id"],
        part.entity,
        part.document,
        part.amount,
        home,
        cents(part.amount * payment.get("ExchangeRate", Decimal(1))),
        max(date.fromisoformat(payment["TxnDate"]), date.fromisoformat(document["TxnDate"])),
    )


def _postings(company: Company, payment: Row) -> list[Posting]:
    day = date.fromisoformat(payment["TxnDate"])
    customer = payment["CustomerRef"]["value"]
    cash = cents(payment["TotalAmt"] * payment.get("ExchangeRate", Decimal(1)))
    receivable = accounts.receivable(company, payment["CurrencyRef"]["value"])
    postings = [
        Posting(day, payment["DepositToAccountRef"]["value"], cash, customer),
        Posting(day, receivable, -cash, customer),
    ]
    for each in company.applications.of_payment(payment["Id"]):
        gain = each.at_payment - each.home if each.entity == "Invoice" else each.home - each.at_payment
        if gain != 0:
            postings.append(Posting(each.on, receivable, gain, customer))
            postings.append(Posting(each.on, accounts.id_of(company, accounts.EXCHANGE), -gain, customer))
    return postings


def refresh(company: Company, document: str) -> None:
    """Bring a document's balance and links up to date with what is settled of it."""
    entity = "Invoice" if document in company.rows["Invoice"] else "CreditMemo"
    row = company.rows[entity].get(document)
    if row is None:
        return
    applied = company.applications.of_document(document)
    remaining = row["TotalAmt"] - company.applications.total(document)
    changes: dict[str, Any] = {"Balance": remaining}
    changes["LinkedTxn"] = [{"TxnId": each.payment, "TxnType": "Payment"} for each in applied]
    if entity == "CreditMemo":
        changes["RemainingCredit"] = remaining
    if "HomeBalance" in row:
        changes["HomeBalance"] = cents(remaining * row["ExchangeRate"])
    company.touch(entity, row, **changes)
    company.set_open(document, row["CustomerRef"]["value"], remaining if entity == "Invoice" else -remaining)


# --------------------------------------------------------------------------- what other writes do to payments


def repost(company: Company, document: str) -> None:
    """A document was edited: its rate or date may be another, so its payments post again."""
    for each in company.applications.of_document(document):
        payment = company.rows["Payment"][each.payment]
        _settle(company, payment, _parts_of(company, each.payment))


def _parts_of(company: Company, payment: str) -> list[Part]:
    return [Part(each.entity, each.document, each.amount) for each in company.applications.of_payment(payment)]


def release(company: Company, document: str) -> None:
    """A document is voided or deleted: its payments give it up and keep an unapplied rest; credit that is no longer
    needed goes back to its memo. A payment of zero that settles nothing any more is removed."""
    for each in company.applications.of_document(document):
        payment = company.rows["Payment"][each.payment]
        parts = [part for part in _parts_of(company, each.payment) if part.document != document]
        _fit(payment["TotalAmt"], parts)
        _give_up(company, payment, [part for part in parts if part.amount != 0])


def _fit(total: Decimal, parts: list[Part]) -> None:
    """Bring no more credit than the invoices need, and settle no more than cash and credit allow."""
    surplus = _unapplied(total, parts) - total
    for part in (part for part in reversed(parts) if part.entity == "CreditMemo"):
        back = max(ZERO, min(surplus, part.amount))
        part.amount -= back
        surplus -= back
    short = -_unapplied(total, parts)
    for part in (part for part in reversed(parts) if part.entity == "Invoice"):
        back = max(ZERO, min(short, part.amount))
        part.amount -= back
        short -= back


def _give_up(company: Company, payment: Row, parts: list[Part]) -> None:
    before = {each.document for each in company.applications.of_payment(payment["Id"])}
    if not parts and payment["TotalAmt"] == 0:
        delete(company, payment)
        return
    row = company.touch(
        "Payment", payment,
        UnappliedAmt=_unapplied(payment["TotalAmt"], parts), Line=[_line(company, part) for part in parts],
    )  # fmt: skip
    _settle(company, row, parts)
    for document in before:
        refresh(company, document)


def void(company: Company, payment: Row) -> Row:
    """The payment stays with nothing in it; what it had settled is open again."""
    note = payment.get("PrivateNote")
    row = {**payment, "PrivateNote": f"Voided - {note}" if note else "Voided", "TotalAmt": ZERO}
    before = [each.document for each in company.applications.of_payment(payment["Id"])]
    row["UnappliedAmt"], row["Line"] = ZERO, []
    stored = company.save("Payment", row, id=payment["Id"], what="voided")
    _settle(company, stored, [])
    for document in before:
        refresh(company, document)
    return stored


def delete(company: Company, payment: Row) -> None:
    before = [each.document for each in company.applications.of_payment(payment["Id"])]
    company.applications.put(payment["Id"], ())
    company.set_open(payment["Id"], payment["CustomerRef"]["value"], ZERO)
    company.rebook("Payment", payment["Id"], ())
    company.remove("Payment", payment["Id"])
    for document in before:
        refresh(company, document)
