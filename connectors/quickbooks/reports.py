"""Reading QuickBooks' own reports: sections, columns and totals.

Shape: Report.xsd. Parameters: developer.intuit.com, report entities: balancesheet, aragingsummary, customersales,
transactionlist. Column titles and section names are localised, so a section is known by its `group` and a column
by its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from connectors.kit.contract import Ageing
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


def has_data(report: Wire) -> bool:
    """Whether QuickBooks says that there is anything in the report (`NoReportData`)."""
    options = parts(part(report, "Header"), "Option")
    return not any(text(each, "Name") == "NoReportData" and text(each, "Value") == "true" for each in options)


def receivable(report: Wire) -> Decimal:
    """The A/R control balance of a balance sheet. An account without a balance is left out: then it is zero."""
    return section_total(report, "AR") or Decimal(0)


def ageing(report: Wire) -> tuple[Ageing, ...]:
    """Aged receivables by customer: not due, 1-30, 31-60, 61-90, 91 and over, total. A customer with
    sub-customers is a section whose header has its own amounts."""
    own = [cells(part(row, "Header")) or cells(row) for row in rows(report)]
    return tuple(_aged(columns) for columns in own if len(columns) == 7 and text(columns[0], "id") is not None)


def _aged(columns: list[Wire]) -> Ageing:
    not_due, days_30, days_60, days_90, older, total = (amount(cell) for cell in columns[1:])
    return Ageing(
        customer=str(columns[0]["id"]),
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


def listed_amounts(report: Wire) -> list[Decimal]:
    """The amount of each transaction in a list: its last column, in the report's default columns."""
    return [amount(cells(row)[-1]) for row in rows(report) if cells(row) and text(cells(row)[0], "value")]


def net_of(document: Wire) -> Decimal:
    """A document's net in home currency, from the document itself."""
    total = decimal(document, "TotalAmt") or Decimal(0)
    tax = decimal(part(document, "TxnTaxDetail"), "TotalTax") or Decimal(0)
    return (total - tax) * (decimal(document, "ExchangeRate") or Decimal(1))
