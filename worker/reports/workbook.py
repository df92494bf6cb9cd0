"""A reconciliation as an XLSX workbook: Summary, Items, Ageing, Completeness. Made to be read when it is opened."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter

from connectors.canon.values import currency_places
from worker.engine.reconcile import Bridge, Item, Report
from worker.reports.tables import header_rows, headline

ITEM_HEAD = (
    "Bridge", "Category", "Side", "Record", "Name", "Customer", "Amount", "Currency", "Home amount", "At stake",
    "Date", "Age, days", "Open", "Closes by", "Who", "Why",
)  # fmt: skip
ITEM_WIDTHS = (8, 22, 7, 14, 26, 26, 14, 9, 14, 14, 11, 9, 7, 26, 14, 60)
AGED_HEAD = ("Invoice", "Customer", "Due", "Days overdue", "Bucket", "Balance", "Currency", "Home balance")
AGED_WIDTHS = (14, 30, 11, 13, 10, 14, 9, 14)
PLACED_HEAD = ("What", "Record", "Name", "Line", "Net", "Currency")


class Book:
    """One workbook while it is written. Cells are written by type: text never becomes a formula."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.data = io.BytesIO()
        # A fixed creation date: the same report gives the same bytes.
        self.book = xlsxwriter.Workbook(self.data, {"in_memory": True, "strings_to_formulas": False})
        self.book.set_properties({"title": headline(report), "created": report.header.read_at.replace(tzinfo=None)})
        self.bold = self.book.add_format({"bold": True})
        self.head = self.book.add_format({"bold": True, "bottom": 1, "bg_color": "#EEF2F6", "text_wrap": True})
        self.day = self.book.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self.title = self.book.add_format({"bold": True, "font_size": 14})
        self.good = self.book.add_format({"font_color": "#1B6E3C"})
        self.bad = self.book.add_format({"font_color": "#B3261E", "bold": True})
        self._money: dict[tuple[int, bool], Any] = {}

    def money(self, currency: str, *, bold: bool = False) -> Any:
        """A number format with the currency's places; negative amounts in red."""
        places = currency_places(currency)
        if (places, bold) not in self._money:
            digits = f"#,##0.{'0' * places}" if places else "#,##0"
            shape = {"num_format": f"{digits};[Red]-{digits}", "bold": bold, "top": 1 if bold else 0}
            self._money[places, bold] = self.book.add_format(shape)
        return self._money[places, bold]

    def sheet(self, name: str, widths: Sequence[int]) -> Any:
        sheet = self.book.add_worksheet(name)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        return sheet

    def table(self, name: str, head: Sequence[str], widths: Sequence[int]) -> Any:
        """A sheet with a header row that stays and a filter."""
        sheet = self.sheet(name, widths)
        sheet.write_row(0, 0, head, self.head)
        sheet.freeze_panes(1, 0)
        return sheet

    def put(self, sheet: Any, row: int, column: int, value: object, currency: str = "") -> None:
        """Write one cell: amounts as numbers in the currency's format, dates as dates, the rest as text."""
        if value is None:
            return
        if isinstance(value, Decimal):
            sheet.write_number(row, column, value, self.money(currency) if currency else None)
        elif isinstance(value, int) and not isinstance(value, bool):
            sheet.write_number(row, column, value)
        elif isinstance(value, datetime | date):
            sheet.write_datetime(row, column, value, self.day)
        else:
            sheet.write_string(row, column, str(value))

    def put_row(self, sheet: Any, row: int, cells: Sequence[object], currency: str = "") -> None:
        for column, value in enumerate(cells):
            self.put(sheet, row, column, value, currency)


# --------------------------------------------------------------------------- Summary


def _bridge(book: Book, sheet: Any, row: int, bridge: Bridge) -> int:
    """One bridge from `row` on; the row after it."""
    over = " (all currencies in home currency)" if bridge.home else ""
    sheet.write_string(row, 0, f"{bridge.number}  {bridge.title}, {bridge.currency}{over}", book.head)
    sheet.write_string(row, 1, bridge.currency, book.head)
    sheet.write_string(row, 2, "Count", book.head)
    row += 1
    lines: list[tuple[str, Decimal, int | None]] = [(bridge.start_label, bridge.start, bridge.start_count or None)]
    lines += [(line.label, line.amount, line.count) for line in bridge.lines]
    for label, value, count in lines:
        sheet.write_string(row, 0, label)
        book.put(sheet, row, 1, value, bridge.currency)
        book.put(sheet, row, 2, count)
        row += 1
    return _ends(book, sheet, row, bridge) + 1


def _ends(book: Book, sheet: Any, row: int, bridge: Bridge) -> int:
    """What the bridge comes to, and what the books say of it."""
    bold = book.money(bridge.currency, bold=True)
    sheet.write_string(row, 0, f"= {bridge.end_label}, expected", book.bold)
    sheet.write_number(row, 1, bridge.expected, bold)
    sheet.write_string(row + 1, 0, f"{bridge.end_label}, as read")
    book.put(sheet, row + 1, 1, bridge.read, bridge.currency)
    book.put(sheet, row + 1, 2, bridge.read_count)
    if bridge.independent is None or bridge.unexplained is None:
        sheet.write_string(row + 2, 0, "not independently checked", book.bold)
        return row + 3
    sheet.write_string(row + 2, 0, bridge.source or f"{bridge.end_label}, per the books")
    book.put(sheet, row + 2, 1, bridge.independent, bridge.currency)
    sheet.write_string(row + 3, 0, "unexplained", book.good if bridge.unexplained == 0 else book.bad)
    sheet.write_number(row + 3, 1, bridge.unexplained, bold)
    return row + 4


def _summary(book: Book) -> None:
    sheet = book.sheet("Summary", (52, 18, 10))
    sheet.write_string(0, 0, headline(book.report), book.title)
    row = 2
    for label, value in header_rows(book.report):
        sheet.write_string(row, 0, label, book.bold)
        sheet.write_string(row, 1, value)
        row += 1
    sheet.freeze_panes(1, 0)
    row += 1
    for bridge in book.report.bridges:
        row = _bridge(book, sheet, row, bridge)


# --------------------------------------------------------------------------- Items


def _item(book: Book, item: Item, carried: bool) -> tuple[object, ...]:
    bridge = "carried" if carried else _number(book.report, item)
    stake = item.exposure.amount if item.exposure is not None else None
    return (
        bridge,
        str(item.category),
        item.side,
        item.ref,
        item.label,
        item.customer,
        item.amount.amount,
        item.amount.currency,
        item.home,
        stake,
        item.on,
        item.age_days,
        "open" if item.open else "",
        item.closes_by,
        item.who,
        item.why,
    )


def _number(report: Report, item: Item) -> str:
    """The bridge that has a line for the item's category and currency."""
    for bridge in report.bridges:
        if bridge.currency == item.amount.currency and any(x.category is item.category for x in bridge.lines):
            return str(bridge.number)
    return ""


def _items(book: Book) -> None:
    sheet = book.table("Items", ITEM_HEAD, ITEM_WIDTHS)
    home = book.report.home_currency
    rows = [(item, False) for item in book.report.items] + [(item, True) for item in book.report.carried]
    for row, (item, carried) in enumerate(rows, 1):
        for column, value in enumerate(_item(book, item, carried)):
            book.put(sheet, row, column, value, home if column == 8 else item.amount.currency)
    sheet.autofilter(0, 0, max(1, len(rows)), len(ITEM_HEAD) - 1)


# --------------------------------------------------------------------------- Ageing


def _ageing(book: Book) -> None:
    sheet = book.table("Ageing", AGED_HEAD, AGED_WIDTHS)
    home, aged, row = book.report.home_currency, book.report.ageing, 1
    for document in aged.documents:
        cells = (document.number, document.customer, document.due_date, document.days_overdue, document.bucket)
        book.put_row(sheet, row, cells)
        book.put(sheet, row, 5, document.balance.amount, document.balance.currency)
        book.put(sheet, row, 6, document.balance.currency)
        book.put(sheet, row, 7, document.home, home)
        row += 1
    sums = [*aged.buckets.items(), ("total", aged.total), ("unapplied", -aged.unapplied), ("net", aged.net)]
    if aged.control is not None:
        sums.append(("control account", aged.control))
    for label, value in sums:
        row += 1
        sheet.write_string(row, 4, label, book.bold)
        sheet.write_number(row, 7, value, book.money(home, bold=label in ("total", "net")))


# --------------------------------------------------------------------------- Completeness


def _checks(book: Book, sheet: Any) -> int:
    row = 1
    for check in book.report.completeness.checks:
        words = {None: "not independently checked", True: "agrees", False: "DIFFERS"}
        cells = (check.what, check.found, check.wanted, words[check.passed], ", ".join(check.detail))
        book.put_row(sheet, row, cells)
        row += 1
    for series in book.report.completeness.series:
        kind = series.kind.replace("_", " ")
        found = f"{series.found} of {series.of}, {series.voided} void"
        verdict = ("agrees" if series.whole else "DIFFERS") if series.checked else "numbers do not count on"
        off = [*(f"missing {n}" for n in series.gaps), *(f"twice {n}" for n in series.repeats)]
        cells = (f"{kind} numbers {series.first} to {series.last}", found, str(series.of), verdict, ", ".join(off))
        book.put_row(sheet, row, cells)
        row += 1
    for gone in book.report.completeness.excluded:
        book.put_row(sheet, row, (f"left out: {gone.what}", gone.count, "", gone.reason))
        row += 1
    return row + 1


def _completeness(book: Book) -> None:
    sheet = book.table("Completeness", ("Check", "Ours", "Theirs", "Result", "Detail", ""), (40, 20, 20, 34, 40, 10))
    row = _checks(book, sheet)
    sheet.write_row(row, 0, PLACED_HEAD, book.head)
    found = book.report.completeness
    for what, placed in (("deal", found.deals), ("invoice", found.documents)):
        for each in placed:
            row += 1
            net = each.net.amount if each.net is not None else None
            currency = each.net.currency if each.net is not None else ""
            cells = (what, each.ref, each.label, each.line or "agrees", net, currency)
            book.put_row(sheet, row, cells, currency)


def workbook(report: Report) -> bytes:
    """The report as the bytes of an XLSX file: the same report gives the same bytes."""
    book = Book(report)
    _summary(book)
    _items(book)
    _ageing(book)
    _completeness(book)
    book.book.close()
    return book.data.getvalue()
