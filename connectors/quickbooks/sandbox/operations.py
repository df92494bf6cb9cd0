"""What can be done to a record: create, update, delete, void, send; with the checks that hold for all of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from connectors.quickbooks.sandbox import bodies, faults, lists, sales, settlement
from connectors.quickbooks.sandbox.company import Company, Row
from connectors.quickbooks.sandbox.schema import ENTITIES, TRANSACTIONS


def write(
    company: Company,
    entity: str,
    body: Any,
    *,
    person: bool = False,
    duplicates: bool = False,
    sparse: bool = False,
) -> Row:
    """Create, or update if the body has an Id. A `person` is only warned of a closed period or a used number.
    `duplicates`: include=allowduplicatedocnum."""
    facts = ENTITIES[entity]
    if not isinstance(body, dict):
        raise faults.unsupported_property(entity)
    if not facts.writable and not person:
        raise faults.unsupported_operation(f"write {entity}")
    if entity == "ExchangeRate":
        return _write_rate(company, body)
    existing = _existing(company, entity, body) if "Id" in body else None
    draft = bodies.draft(facts, {**body, "sparse": True} if sparse else body, existing)
    if existing is not None and "TxnTaxDetail" not in body and "TxnTaxDetail" in draft:
        # A total of an earlier version is no wish of this one: only the code stays.
        draft["TxnTaxDetail"] = {k: v for k, v in draft["TxnTaxDetail"].items() if k == "TxnTaxCodeRef"}
    if entity in TRANSACTIONS and not person:
        _open_period(company, draft.get("TxnDate", company.today().isoformat()), existing)
    if entity == "Payment":
        return settlement.write(company, draft, existing)
    if entity in TRANSACTIONS:
        return sales.write(company, entity, draft, existing, person=person, duplicates=duplicates)
    return lists.write(company, entity, draft, existing, sent=body.keys())


def _existing(company: Company, entity: str, body: Row) -> Row:
    """The row that a body names, with a check of its version."""
    row = company.read(entity, str(body.get("Id")))
    if "SyncToken" not in body:
        raise faults.missing("SyncToken")
    if str(body["SyncToken"]) != row["SyncToken"]:
        raise faults.stale()
    return row


def _open_period(company: Company, day: str, existing: Row | None) -> None:
    """Raises fault 6210 if a closed day is touched. https://quickbooks.intuit.com/learn-support (close your books)"""
    closed = company.settings.books_closed
    days = [day] + ([existing["TxnDate"]] if existing else [])
    if closed is not None and any(date.fromisoformat(each) <= closed for each in days):
        raise faults.period_closed()


def void(company: Company, entity: str, body: Any, *, person: bool = False) -> Row:
    """Void an invoice or payment (a person may void a credit memo, too)."""
    if entity not in TRANSACTIONS or (entity == "CreditMemo" and not person):
        raise faults.unsupported_operation("void")
    row = _existing(company, entity, body)
    if not person:
        _open_period(company, row["TxnDate"], None)
    return settlement.void(company, row) if entity == "Payment" else sales.void(company, entity, row)


def delete(company: Company, entity: str, body: Any, *, person: bool = False) -> Row:
    """Delete a transaction; a name list's row cannot be deleted, only made inactive."""
    if entity not in TRANSACTIONS:
        raise faults.unsupported_operation("delete")
    row = _existing(company, entity, body)
    if not person:
        _open_period(company, row["TxnDate"], None)
    if entity == "Payment":
        settlement.delete(company, row)
    else:
        sales.delete(company, entity, row)
    return {"domain": "QBO", "status": "Deleted", "Id": row["Id"]}


def send(company: Company, entity: str, id: str, to: str | None, *, limited: bool) -> Row:
    """E-mail a document. The sandbox company sends 40 a day."""
    if entity not in ("Invoice", "CreditMemo"):
        raise faults.unsupported_operation("send")
    row = company.read(entity, id)
    address = to or row.get("BillEmail", {}).get("Address")
    if not address:
        raise faults.missing("BillEmail")
    if "@" not in address or "." not in address:
        raise faults.invalid_email()
    company.mails = [day for day in company.mails if day == company.today()]
    if limited and len(company.mails) >= company.settings.mails_a_day:
        raise faults.business("You have reached the limit of e-mails for today.")
    company.mails.append(company.today())
    sent = {**row, "EmailStatus": "EmailSent", "BillEmail": {"Address": address}}
    sent["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": company.now().isoformat(timespec="seconds")}
    return company.save(entity, sent, id=id, what="emailed")


# --------------------------------------------------------------------------- exchange rates


def set_rate(company: Company, currency: str, rate: Decimal, on: date) -> None:
    known = [pair for pair in company.rates.get(currency, []) if pair[0] != on]
    company.rates[currency] = sorted([*known, (on, rate)])


def _write_rate(company: Company, body: Row) -> Row:
    given = bodies.draft(ENTITIES["ExchangeRate"], body, None)
    for name in ("SourceCurrencyCode", "AsOfDate", "Rate"):
        if name not in given:
            raise faults.missing(name)
    set_rate(company, given["SourceCurrencyCode"], given["Rate"], date.fromisoformat(given["AsOfDate"]))
    return rate_row(company, given["SourceCurrencyCode"], date.fromisoformat(given["AsOfDate"]))


def rate_row(company: Company, currency: str, on: date) -> Row:
    """The ExchangeRate record of a currency and day."""
    at = company.now().isoformat(timespec="seconds")
    return {
        "SyncToken": "0",
        "domain": "QBO",
        "sparse": False,
        "AsOfDate": on.isoformat(),
        "SourceCurrencyCode": currency,
        "TargetCurrencyCode": company.settings.home_currency,
        "Rate": company.rate_on(currency, on),
        "MetaData": {"CreateTime": at, "LastUpdatedTime": at},
    }
