"""A folder as books: figures are added up from the cells."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.canon.records import Kind, Payment
from connectors.canon.values import Money
from connectors.csv.connector import Csv
from connectors.kit.contract import Ageing, Count, Figures
from tests.unit.csv.conftest import Open, pages

COLUMNS = """
currency: USD
invoices:
  file: invoices.csv
  ref: number
  fields: {number: number, customer: who, date: day, due_date: due, net: net, total: total, state: state}
  stages: {Sent: posted, Void: void}
payments:
  file: payments.csv
  ref: id
  fields: {customer: who, date: day, amount: amount}
  settles: {document: invoice, amount: part, withheld: tds}
credit_notes:
  file: credits.csv
  ref: number
  fields: {number: number, customer: who, date: day, total: total}
  settles: {document: invoice, amount: part}
"""


@pytest.fixture
def books(tmp_path: Path, open_csv: Open) -> Csv:
    """October: 100 + 8 tax half paid, 50 void, 200 of August open, 30 of November; a credit of 20 on the first."""
    (tmp_path / "invoices.csv").write_text(
        "number,who,day,due,net,total,state\n"
        "1,Acme,2026-10-01,2026-10-31,100.00,108.00,Sent\n"
        "2,Acme,2026-10-05,2026-11-04,50.00,50.00,Void\n"
        "3,Beta,2026-08-01,2026-08-15,200.00,200.00,Sent\n"
        "4,Acme,2026-11-02,2026-12-02,30.00,30.00,Sent\n"
        "5,Acme,2026-10-09,2026-12-02,oops,oops,Sent\n"
    )
    (tmp_path / "payments.csv").write_text(
        "id,who,day,amount,invoice,part,tds\np1,Acme,2026-10-20,60.00,1,54.00,1.00\np2,Beta,2026-11-03,5.00,3,5.00,\n"
    )
    (tmp_path / "credits.csv").write_text("number,who,day,total,invoice,part\nc1,Acme,2026-10-21,20.00,1,20.00\n")
    return open_csv(COLUMNS)


async def figures(books: Csv) -> Figures:
    found = await books.figures(date(2026, 10, 1), date(2026, 10, 31))
    assert found is not None
    return found


async def test_control_balance_and_ageing_agree(books: Csv) -> None:
    """108 - 54 - 1 - 20 = 33 not due, 6.00 - 1.00 overpaid, 200 overdue for 77 days; November does not count."""
    found = await figures(books)
    assert Decimal("228.00") == found.receivable_control
    assert (
        Ageing(customer="Acme", total=Decimal("28.00"), not_due=Decimal("33.00")),
        Ageing(customer="Beta", total=Decimal("200.00"), days_61_90=Decimal("200.00")),
    ) == found.ageing
    assert found.receivable_control == sum(row.total for row in found.ageing)


async def test_counts_are_of_the_period(books: Csv) -> None:
    """Voided documents are counted apart; a row whose amount cannot be read is nobody's figure."""
    counts = {count.kind: count for count in (await figures(books)).counts}
    assert Count(
        kind=Kind.INVOICE,
        number=1,
        voided=1,
        total=Money(Decimal("108.00"), "USD"),
        net=Money(Decimal("100.00"), "USD"),
    ) == counts[Kind.INVOICE]  # fmt: skip
    assert (1, 1) == (counts[Kind.PAYMENT].number, counts[Kind.CREDIT_NOTE].number)
    assert {"USD": Decimal("100.00")} == (await figures(books)).invoiced_net


async def test_figures_do_not_come_from_the_records(books: Csv, tmp_path: Path) -> None:
    """A row that appears behind the connector's back is in the figures before any poll has seen it."""
    before = await figures(books)
    with (tmp_path / "invoices.csv").open("a") as file:
        file.write("6,Acme,2026-10-30,,7.00,7.00,Sent\n")
    after = await figures(books)
    assert before.receivable_control is not None
    assert before.receivable_control + 7 == after.receivable_control


async def test_payment_says_what_it_settled(books: Csv) -> None:
    """One document a row, with what was withheld."""
    records = [record for page in await pages(books, Kind.PAYMENT) for record in page.records]
    (first, _) = records
    assert isinstance(first, Payment)
    ((allocation,)) = first.allocations
    assert ("1", Decimal("54.00"), Decimal("1.00")) == (allocation.document, allocation.amount, allocation.withheld)


async def test_customers_alone_have_no_figures(tmp_path: Path, open_csv: Open) -> None:
    """A folder without invoices is no books: it says None, not zero."""
    connector = open_csv("customers: {file: c.csv, ref: no, fields: {legal_name: name}}")
    assert await connector.figures(date(2026, 10, 1), date(2026, 10, 31)) is None
