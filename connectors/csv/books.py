"""Figures of a folder used as books: added up from the files' cells, without the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from connectors.canon.records import Kind
from connectors.canon.values import Money
from connectors.csv.cells import day, number
from connectors.csv.layout import Layout, Sheet
from connectors.csv.table import Table
from connectors.kit.contract import Ageing, Count, Figures

_ZERO = Decimal(0)
_AMOUNT_AT: dict[Kind, tuple[str, ...]] = {
    Kind.INVOICE: ("total", "net"),
    Kind.CREDIT_NOTE: ("total", "net"),
    Kind.PAYMENT: ("amount",),
}
_BUCKETS = ((0, "not_due"), (30, "days_1_30"), (60, "days_31_60"), (90, "days_61_90"))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One dated row with an amount. `settles` is the document it takes `settled` off."""

    kind: Kind
    ref: str
    on: date
    due: date
    customer: str
    currency: str
    amount: Decimal
    net: Decimal
    settles: str | None
    settled: Decimal
    void: bool


def entries(table: Table, sheet: Sheet, layout: Layout) -> Iterator[Entry]:
    """The rows that tell a day and an amount; others are nobody's figure, and `changes` reports them."""
    for row in table.body:
        cells = dict(zip(table.columns, (cell.strip() for cell in row.cells), strict=False))
        try:
            entry = _entry(cells, sheet, layout)
        except ValueError:
            continue
        if entry is not None:
            yield entry


def _entry(cells: Mapping[str, str], sheet: Sheet, layout: Layout) -> Entry | None:
    def text(path: str) -> str:
        return cells.get(sheet.fields.get(path, ""), "")

    told = next((text(path) for path in _AMOUNT_AT[sheet.kind] if text(path)), "")
    if not text("date") or not told:
        return None
    on, amount = day(text("date"), layout.dates), number(told, layout.decimal)
    state = text("state")
    settled = cells.get(sheet.settles.get("amount", ""), "")
    withheld = cells.get(sheet.settles.get("withheld", ""), "")
    return Entry(
        kind=sheet.kind,
        ref=cells.get(sheet.ref, ""),
        on=on,
        due=day(text("due_date"), layout.dates) if text("due_date") else on,
        customer=text("customer"),
        currency=text("currency") or layout.currency or "",
        amount=amount,
        net=number(text("net"), layout.decimal) if text("net") else amount,
        settles=cells.get(sheet.settles.get("document", ""), "") or None,
        settled=(number(settled, layout.decimal) if settled else amount)
        + (number(withheld, layout.decimal) if withheld else _ZERO),
        void=sheet.stages.get(state, state) == "void",
    )


def figures_of(rows: list[Entry], layout: Layout, start: date, end: date) -> Figures:
    """Control balance and ageing as of `end`; counts and net of `start` to `end`. Home currency only: rows in
    another one are counted, and add nothing to sums in home currency."""
    home = layout.currency or ""
    live = [row for row in rows if not row.void and row.on <= end and row.currency == home]
    open_by = _open_amounts(live)
    kinds = sorted({row.kind for row in rows})
    return Figures(
        as_of=end,
        home_currency=home,
        receivable_control=sum(open_by.values(), _ZERO),
        ageing=_ageing(open_by, {row.ref: row for row in live if row.kind is Kind.INVOICE}, end),
        counts=tuple(
            _count(kind, [r for r in rows if r.kind is kind and start <= r.on <= end], home) for kind in kinds
        ),
        invoiced_net=_invoiced_net(rows, start, end),
        source="the files' own rows",
    )


def _open_amounts(live: list[Entry]) -> dict[tuple[str, str], Decimal]:
    """(customer, document) -> what is open of it; a credit or payment not used up is negative."""
    open_by: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in live:
        if row.kind is Kind.INVOICE:
            open_by[row.customer, row.ref] += row.amount
            continue
        if row.settles is not None:
            open_by[row.customer, row.settles] -= row.settled
        used = row.settled if row.settles is not None else _ZERO
        open_by[row.customer, row.ref] -= max(row.amount - used, _ZERO)
    return open_by


def _ageing(open_by: Mapping[tuple[str, str], Decimal], invoices: Mapping[str, Entry], end: date) -> tuple[Ageing, ...]:
    columns: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for (customer, document), amount in open_by.items():
        columns[customer]["total"] += amount
        invoice = invoices.get(document)
        if invoice is not None:
            late = (end - invoice.due).days
            bucket = next((name for upto, name in _BUCKETS if late <= upto), "over_90")
            columns[customer][bucket] += amount
    return tuple(
        Ageing(customer=customer, **{"total": _ZERO, **sums})
        for customer, sums in sorted(columns.items())
        if any(amount != 0 for amount in sums.values())
    )


def _count(kind: Kind, rows: list[Entry], home: str) -> Count:
    live = [row for row in rows if not row.void]
    at_home = [row for row in live if row.currency == home]
    return Count(
        kind=kind,
        number=len(live),
        voided=len(rows) - len(live),
        total=Money(sum((row.amount for row in at_home), _ZERO), home),
        net=None if kind is Kind.PAYMENT else Money(sum((row.net for row in at_home), _ZERO), home),
    )


def _invoiced_net(rows: list[Entry], start: date, end: date) -> dict[str, Decimal]:
    net: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row.kind is Kind.INVOICE and not row.void and start <= row.on <= end:
            net[row.currency] += row.net
    return dict(net)
