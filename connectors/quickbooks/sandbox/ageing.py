"""What is open as of a day, document by document, rebuilt from what was settled when: the ground of the ageing
reports. It does not read any Balance field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import msgspec

from connectors.quickbooks.sandbox.company import Company, Row, cents

ZERO = Decimal(0)


class OpenItem(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice (above zero), or a credit memo or payment not used up (below zero). `open` in its own currency,
    `home` in the company's; `due` is the document's own date where there is no due date."""

    entity: str
    row: Row
    due: date
    amount: Decimal
    open: Decimal
    home: Decimal

    @property
    def customer(self) -> Row:
        ref: Row = self.row["CustomerRef"]
        return ref


def open_items(company: Company, as_of: date) -> Iterator[OpenItem]:
    """Everything that was open at the end of the day, oldest first."""
    items = [item for item in _all(company, as_of) if item.open != 0 or item.home != 0]
    yield from sorted(items, key=lambda item: (item.due, int(item.row["Id"])))


def _all(company: Company, as_of: date) -> Iterator[OpenItem]:
    for row in company.rows["Invoice"].values():
        if date.fromisoformat(row["TxnDate"]) <= as_of:
            yield _document(company, "Invoice", row, as_of, 1)
    for row in company.rows["CreditMemo"].values():
        if date.fromisoformat(row["TxnDate"]) <= as_of:
            yield _document(company, "CreditMemo", row, as_of, -1)
    for row in company.rows["Payment"].values():
        if date.fromisoformat(row["TxnDate"]) <= as_of:
            yield _payment(company, row, as_of)


def _document(company: Company, entity: str, row: Row, as_of: date, sign: int) -> OpenItem:
    settled = [each for each in company.applications.of_document(row["Id"]) if each.on <= as_of]
    total: Decimal = row["TotalAmt"]
    left = total - sum((each.amount for each in settled), ZERO)
    home = cents(total * row.get("ExchangeRate", Decimal(1))) - sum((each.home for each in settled), ZERO)
    due = date.fromisoformat(str(row.get("DueDate", row["TxnDate"])))
    return OpenItem(entity=entity, row=row, due=due, amount=sign * total, open=sign * left, home=sign * home)


def _payment(company: Company, row: Row, as_of: date) -> OpenItem:
    used = [each for each in company.applications.of_payment(row["Id"]) if each.on <= as_of]
    total: Decimal = row["TotalAmt"]
    left, home = total, cents(total * row.get("ExchangeRate", Decimal(1)))
    for each in used:
        sign = -1 if each.entity == "Invoice" else 1
        left += sign * each.amount
        home += sign * each.at_payment
    day = date.fromisoformat(row["TxnDate"])
    return OpenItem(entity="Payment", row=row, due=day, amount=-total, open=-left, home=-home)
