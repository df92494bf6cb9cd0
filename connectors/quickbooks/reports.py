"""Reading QuickBooks' own reports: sections, columns and totals.

Shape: Report.xsd. Parameters: developer.intuit.com, report entities: balancesheet, aragingsummary, customersales,
transactionlist. Column titles and section names are localised, so a section is known by its `group` and a column
by its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from connectors.kit.contract import Ageing
from connectors.quickbooks.vendor import VOIDED
from connectors.quickbooks.wire import Wire, decimal, part, parts, text


def rows(report: Wire) -> Iterator[Wire]:
    """Every row of a report, sections before what is in them."""
    for row in parts(part(report, "Rows"), "Row"):
        yield row
        yield from rows(row)


def cells(row: Wire) -> list[Wire]:
    return parts(row, "ColData")


def amount(cell: Wire) -> Decimal:
    """A cell's amount; an empty cell is nothing."""
    value = text(cell, "value")
    return Decimal(value.replace(",", "")) if value is not None else Decimal(0)


def section_total(report: Wire, group: str) -> Decimal | None:
    """The last column of a section's summary; None if the report has no such section."""
    for row in rows(report):
        if row.get("group") == group:
            summary = cells(part(row, "Summary"))
            return amount(summary[-1]) if summary else Decimal(0)
    return None


def receivable(report: Wire) -> Decimal:
    """The A/R control balance of a balance sheet. An account without a balance is left out: then it is zero."""
    return section_total(report, "AR") or Decimal(0)


def ageing(report: Wire) -> tuple[Ageing, ...]:
    """Aged receivables by customer: not due, 1-30, 31-60, 61-90, 91 and over, total. A customer with
    sub-customers is a section whose header has its own amounts."""
    own = [cells(part(row, "Header")) or cells(row) for row in rows(report)]
    return tuple(_aged(found) for found in own if len(found) == 7 and text(found[0], "id") is not None)


def _aged(found: list[Wire]) -> Ageing:
    not_due, days_30, days_60, days_90, older, total = (amount(cell) for cell in found[1:])
    return Ageing(
        customer=str(found[0]["id"]),
        total=total,
        not_due=not_due,
        days_1_30=days_30,
        days_31_60=days_60,
        days_61_90=days_90,
        over_90=older,
    )


def grand_total(report: Wire) -> Decimal:
    """The total of a report that has one; an empty report adds up to nothing."""
    return section_total(report, "GrandTotal") or Decimal(0)


class Listed(msgspec.Struct, frozen=True):
    """One transaction of a transaction list: its amount in home currency, and whether it was voided."""

    amount: Decimal
    voided: bool


def listed(report: Wire) -> list[Listed]:
    """The transactions of a list in its default columns: the amount is the last, and a voided one has nothing left
    and says so in its memo."""
    memo = next((n for n, each in enumerate(columns(report)) if text(each, "ColType") == "memo"), None)
    return [_one_listed(found, memo) for row in rows(report) if (found := cells(row)) and text(found[0], "value")]


def _one_listed(found: list[Wire], memo: int | None) -> Listed:
    left = amount(found[-1])
    said = text(found[memo], "value") if memo is not None and memo < len(found) else None
    return Listed(left, left == 0 and VOIDED.match(said or "") is not None)


def columns(report: Wire) -> list[Wire]:
    return parts(part(report, "Columns"), "Column")


def net_of(document: Wire) -> Decimal:
    """A document's net in home currency, from the document itself."""
    total = decimal(document, "TotalAmt") or Decimal(0)
    tax = decimal(part(document, "TxnTaxDetail"), "TotalTax") or Decimal(0)
    return (total - tax) * (decimal(document, "ExchangeRate") or Decimal(1))
