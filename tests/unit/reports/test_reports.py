"""A report as people get it: a line, a table, a workbook, a chart."""

from __future__ import annotations

import io
from decimal import Decimal

import openpyxl
from msgspec.structs import replace

from tests.fixtures.october_2026_records import HEADER, LEDGER, D
from worker.engine.reconcile import Period, reconcile
from worker.reports import chart, record, tables
from worker.reports.workbook import workbook

OCTOBER = reconcile(LEDGER, HEADER)
BROKEN = reconcile(replace(LEDGER, payments=LEDGER.payments[1:]), HEADER)
UNCHECKED = reconcile(replace(LEDGER, figures=None), HEADER)

SHORT = """\
won, net               26,820.00  8 deals
to bill                  -240.00  1 deal
later, cut-off, other  -8,131.60  7 items
invoiced, QuickBooks   18,448.40  7
EUR
won, net                1,000.00  1 deal
invoiced, QuickBooks    1,000.00  1
A/R 2026-10-31          8,368.40
control account         8,368.40
unexplained                 0.00
overdue                 1,500.00  1
unapplied                   7.60"""

BRIDGE = """\
1  Won to invoiced, net, USD
won, net                     26,820.00  8
missing                        -240.00  1
later instalment             -9,000.00  1
cut-off out                  -4,160.00  1
cut-off in                    5,250.00  1
not billable                   -500.00  1
amount differs                  -50.00  1
charge not in the deal           28.40  1
no deal, expected               300.00  1
= invoiced, net, expected    18,448.40
invoiced, net, by the books  18,448.40
unexplained                       0.00"""


# --------------------------------------------------------------------------- text


def test_the_headline_is_enough_by_itself() -> None:
    """Whether the month ties, what is to bill, what is open."""
    assert "October 2026, preliminary: explained in full. USD 240.00 to bill, 3 items open." == tables.headline(OCTOBER)


def test_a_month_that_does_not_tie_says_by_how_much_and_where() -> None:
    """The first payment is missing: 6,120.00 in the receivables."""
    assert "October 2026 does not tie: USD -6,120.00 unexplained in receivables." == tables.headline(BROKEN)


def test_a_month_that_nobody_confirmed_does_not_claim_it() -> None:
    """Without the vendor's own figures it adds up, and no more."""
    expected = "October 2026, preliminary: adds up, not independently checked. USD 240.00 to bill, 3 items open."
    assert expected == tables.headline(UNCHECKED)


def test_a_gap_in_the_numbers_is_said_in_the_headline() -> None:
    """Every bridge ties, and yet a document may be missing."""
    report = reconcile(replace(LEDGER, invoices=tuple(i for i in LEDGER.invoices if i.number != "1048")), HEADER)
    assert "October 2026 is not complete: invoices read, invoice 1048 missing." == tables.headline(report)


def test_the_short_table_fits_a_phone() -> None:
    """Three columns, about forty characters."""
    assert tables.short(OCTOBER) == SHORT
    assert max(len(line) for line in SHORT.splitlines()) <= 42


def test_a_bridge_shows_every_category_it_has() -> None:
    """From what was won to what was invoiced, to the cent."""
    assert tables.bridge_table(OCTOBER.bridge(1, "USD")) == BRIDGE


def test_what_is_not_checked_says_so_in_each_bridge() -> None:
    """No figure is shown as the books' own that is not."""
    text = tables.bridges(UNCHECKED)
    assert len(UNCHECKED.bridges) == text.count("not independently checked")
    assert "by the books" not in text


def test_open_items_are_listed_largest_first() -> None:
    """What is left out of the list is counted."""
    lines = tables.items(OCTOBER, limit=2).splitlines()
    assert ["cut-off out", "missing"] == [line.split("  ")[0] for line in lines[2:4]]
    assert "(2 of 3; all in the workbook)" == lines[-1]


def test_a_period_that_is_no_month_is_named_by_its_days() -> None:
    """A half month is not called October."""
    half = Period(HEADER.period.start, HEADER.period.end.replace(day=15))
    assert ["October 2026", "2026-10-01 to 2026-10-15"] == [tables.period_name(p) for p in (HEADER.period, half)]


# --------------------------------------------------------------------------- JSON


def test_the_stored_report_is_the_report() -> None:
    """Written and read again, nothing is lost, money is exact, and the bytes are the same each time."""
    assert record.decode(record.encode(OCTOBER)) == OCTOBER
    assert record.encode(OCTOBER) == record.encode(reconcile(LEDGER, HEADER))
    assert b'"expected":"18448.40"' in record.encode(OCTOBER)


def test_signing_does_not_change_what_is_signed() -> None:
    """Preparer and reviewer sign the same digest; a changed figure has another."""
    signed = replace(OCTOBER, header=replace(HEADER, prepared_by="U-1", reviewed_by="U-2"))
    assert record.digest(OCTOBER) == record.digest(signed)
    assert record.digest(OCTOBER) != record.digest(BROKEN)


# --------------------------------------------------------------------------- workbook


def opened(data: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(data))


def column(sheet: object, name: str) -> list[object]:
    """A column's values under its heading."""
    rows = list(sheet.iter_rows(values_only=True))  # type: ignore[attr-defined]  # a worksheet
    return [row[rows[0].index(name)] for row in rows[1:]]


def money(value: object) -> Decimal:
    """A cell's number as the money it shows."""
    return Decimal(str(value)).quantize(D("0.01"))


def summary() -> dict[str, list[Decimal]]:
    """Label -> amounts in the order of the Summary sheet."""
    found: dict[str, list[Decimal]] = {}
    for label, value, *_ in opened(workbook(OCTOBER))["Summary"].iter_rows(min_row=14, values_only=True):
        if isinstance(label, str) and isinstance(value, int | float):
            found.setdefault(label, []).append(money(value))
    return found


def test_the_workbook_opens_with_four_sheets_and_says_what_it_is() -> None:
    """The first cell is the headline; under it stands what is signed."""
    book = opened(workbook(OCTOBER))
    sheet = book["Summary"]
    assert ["Summary", "Items", "Ageing", "Completeness"] == book.sheetnames
    assert tables.headline(OCTOBER) == sheet["A1"].value
    assert {"Period": "2026-10-01 to 2026-10-31", "Time zone": "America/New_York", "Reviewed by": "not signed"} == {
        row[0]: row[1] for row in sheet.iter_rows(min_row=3, max_row=13, values_only=True)
        if row[0] in ("Period", "Time zone", "Reviewed by")
    }  # fmt: skip


def test_the_workbook_s_bridges_are_the_report_s() -> None:
    """Every total, read back from the file."""
    found = summary()
    assert [bridge.expected for bridge in OCTOBER.bridges if bridge.number == 1] == found["= invoiced, net, expected"]
    assert [bridge.expected for bridge in OCTOBER.bridges if bridge.number == 3] == found["= A/R 2026-10-31, expected"]
    assert [D("0.00")] * 5 == found["unexplained"]
    assert D("12.50") in found["realised FX"]


def test_the_workbook_s_items_add_up_to_the_bridge() -> None:
    """Start and all items of the USD bridge give what was invoiced."""
    sheet = opened(workbook(OCTOBER))["Items"]
    amounts = [money(value) for value in column(sheet, "Amount")]
    assert D("18,448.40") == OCTOBER.bridge(1, "USD").start + sum(amounts)
    assert ["missing", "later instalment"] == column(sheet, "Category")[:2]
    assert len(OCTOBER.items) == len(amounts)


def test_the_workbook_s_ageing_comes_to_the_control_account() -> None:
    """Total less unapplied is the control account."""
    rows = opened(workbook(OCTOBER))["Ageing"].iter_rows(min_row=2, values_only=True)
    sums = {row[4]: money(row[7]) for row in rows if row[0] is None and row[4] is not None}
    assert (D("8,376.00"), D("-7.60"), D("8,368.40"), D("8,368.40")) == (
        sums["total"],
        sums["unapplied"],
        sums["net"],
        sums["control account"],
    )


def test_the_workbook_shows_where_each_deal_and_document_stands() -> None:
    """Nine deals and eight invoices, with their line."""
    rows = list(opened(workbook(OCTOBER))["Completeness"].iter_rows(values_only=True))
    assert {"D2": "missing", "D1": "agrees"} == {r[1]: r[3] for r in rows if r[0] == "deal" and r[1] in ("D1", "D2")}
    assert (9, 8) == (sum(1 for r in rows if r[0] == "deal"), sum(1 for r in rows if r[0] == "invoice"))


def test_the_workbook_can_be_read() -> None:
    """Headings stay, columns are wide enough, amounts and dates are numbers in a format of their own."""
    book = opened(workbook(OCTOBER))
    items = book["Items"]
    assert "A2" == items.freeze_panes
    assert ["#,##0.00;[Red]-#,##0.00", "yyyy-mm-dd"] == [items["G2"].number_format, items["K2"].number_format]
    assert items.column_dimensions["P"].width > 50
    assert items.auto_filter.ref is not None


def test_a_name_that_looks_like_a_formula_stays_text() -> None:
    """A customer may be called =HYPERLINK(...); a spreadsheet must not run it."""
    evil = '=HYPERLINK("http://example.test")'
    report = reconcile(replace(LEDGER, deal_customers={"c-D2": evil}), HEADER)
    book = opened(workbook(report))
    cell = next(c for c in book["Items"]["F"] if c.value == evil)
    assert "s" == cell.data_type


def test_the_same_report_gives_the_same_file() -> None:
    """The file's hash goes into the audit chain."""
    assert workbook(OCTOBER) == workbook(reconcile(LEDGER, HEADER))


# --------------------------------------------------------------------------- chart


def test_the_chart_has_three_series_by_week() -> None:
    """Inside the limits of Slack's chart block; the bars are the report's figures."""
    data = chart.chart(OCTOBER)
    block = chart.block(data)
    assert ["Won", "Invoiced", "Paid"] == [name for name, _ in data.series]
    assert 5 == len(data.categories)
    assert len(data.title) <= 50
    assert max(len(label) for label in data.categories) <= 20
    assert [0.0, 2352.0, 0.0, 8120.0, 4977.5] == list(data.series[2][1])
    assert ("data_visualization", "bar") == (block["type"], block["chart"]["type"])  # type: ignore[index]  # plain JSON


def test_a_year_is_charted_by_its_last_twenty_weeks() -> None:
    """The block takes twenty points."""
    year = replace(HEADER, period=Period(HEADER.period.start.replace(month=1), HEADER.period.end))
    data = chart.chart(reconcile(LEDGER, year))
    assert (20, {20}) == (len(data.categories), {len(values) for _, values in data.series})
