"""Rows become records; a row that may mean two things becomes a finding, and the others go on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.canon.records import Customer, Deal, Kind
from connectors.canon.values import ABSENT, Address, Money, TaxId, TaxIdentity, Terms
from connectors.csv.cells import number
from connectors.kit.contract import BadRow
from connectors.kit.errors import BadSettings
from tests.unit.csv.conftest import Open, pages

DEALS = """
currency: USD
items: {file: items.csv, ref: name, fields: {name: name}}
deals:
  file: deals.csv
  ref: id
  fields: {sold_to: account, stage: stage, won_on: closed, amount: value}
  line: {item: product, qty: 1, unit_price: value}
  stages: {Won: won, Lost: lost, Open: open}
"""
HEADER = "id,account,stage,closed,value,product\n"


def write_deals(folder: Path, rows: str) -> None:
    (folder / "items.csv").write_text("name\nGTX Pro\n")
    (folder / "deals.csv").write_text(HEADER + rows)


async def test_won_deal_reads_whole(tmp_path: Path, open_csv: Open) -> None:
    """Stage gives the status; the line names its item only where the text is the item's ref, letter for letter."""
    write_deals(tmp_path, "D1,Acme,Won,2017-03-01,1054.10,GTX Pro\nD2,Acme,Won,2017-03-02,7,GTXPro\n")
    page = (await pages(open_csv(DEALS), Kind.DEAL))[-1]
    first, second = page.records
    assert isinstance(first, Deal)
    assert isinstance(second, Deal)
    assert ("won", "Won", date(2017, 3, 1)) == (first.status, first.stage, first.won_on)
    assert Money(Decimal("1054.10"), "USD") == first.amount
    assert "deals.csv:2" == first.source
    items = [(line.item, line.item_name) for deal in (first, second) for line in deal.lines]  # type: ignore[union-attr]  # both have one
    assert [("GTX Pro", "GTX Pro"), (None, "GTXPro")] == items


async def test_open_deal_without_values_is_not_broken(tmp_path: Path, open_csv: Open) -> None:
    """Empty cells are None; a line without a price is not told, which is not a price of zero."""
    write_deals(tmp_path, "D1,,Open,,,GTX Pro\nD2,,Open,,0,GTX Pro\n")
    page = (await pages(open_csv(DEALS), Kind.DEAL))[-1]
    empty, zero = page.records
    assert () == page.bad
    assert isinstance(empty, Deal)
    assert isinstance(zero, Deal)
    assert (None, None, None, ABSENT) == (empty.sold_to, empty.won_on, empty.amount, empty.lines)
    assert Money(Decimal(0), "USD") == zero.amount
    assert zero.lines is not ABSENT


async def test_lost_deal_was_never_won(tmp_path: Path, open_csv: Open) -> None:
    """The closing date of a lost deal is not a day on which it was won."""
    write_deals(tmp_path, "D1,Acme,Lost,2017-03-01,0,GTX Pro\n")
    (deal,) = (await pages(open_csv(DEALS), Kind.DEAL))[-1].records
    assert isinstance(deal, Deal)
    assert ("lost", None) == (deal.status, deal.won_on)


@pytest.mark.parametrize(
    ("row", "where", "reason"),
    [
        (
            'D1,Acme,Won,2017-03-01,"1,054",x',
            "deals.csv:3:value",
            '"1,054" may mean 1054 or 1.054: write it without ","',
        ),
        ("D1,Acme,Won,2017-03-01,abc,x", "deals.csv:3:value", '"abc" is not a number'),
        ("D1,Acme,Won,2017-03-01,NaN,x", "deals.csv:3:value", '"NaN" is not a number'),
        ("D1,Acme,Won,01/03/2017,5,x", "deals.csv:3:closed", '"01/03/2017" is not a date of the form %Y-%m-%d'),
        ("D1,Acme,Won,2017-02-30,5,x", "deals.csv:3:closed", '"2017-02-30" is not a date of the form %Y-%m-%d'),
        (
            "D1,Acme,won,2017-03-01,5,x",
            "deals.csv:3:stage",
            'nothing says what stage "won" means. Did you mean "Won"?',
        ),
        (",Acme,Won,2017-03-01,5,x", "deals.csv:3:id", "is empty: nothing names this row"),
        ("D1,Acme,Won,2017-03-01,5", "deals.csv:3", "the row has 5 columns, the header 6"),
        ("D1,Acme,Won,2017-03-01,5,x,y", "deals.csv:3", "the row has 7 columns, the header 6"),
        ('D1,"Ac"me,Won,2017-03-01,5,x', "deals.csv:3", "the row cannot be read: ',' expected after '\"'"),
    ],
)
async def test_broken_row_is_reported_and_the_others_go_on(
    tmp_path: Path, open_csv: Open, row: str, where: str, reason: str
) -> None:
    """File, line and column of what is broken, and why; its neighbours are read."""
    write_deals(tmp_path, f"D0,Acme,Won,2017-03-01,5,x\n{row}\nD2,Acme,Won,2017-03-01,5,x\n")
    page = (await pages(open_csv(DEALS), Kind.DEAL))[-1]
    assert ["D0", "D2"] == [record.ref for record in page.records]
    (bad,) = page.bad
    assert (where, reason) == (bad.where, bad.reason)


async def test_ref_that_stands_twice_is_read_from_neither_row(tmp_path: Path, open_csv: Open) -> None:
    """Which of two rows is meant would be a guess."""
    write_deals(tmp_path, "D1,A,Won,2017-03-01,5,x\nD2,A,Won,2017-03-01,5,x\nD1,A,Won,2017-03-01,6,x\n")
    page = (await pages(open_csv(DEALS), Kind.DEAL))[-1]
    assert ["D2"] == [record.ref for record in page.records]
    reason = '"D1" stands in 2 rows; none of them was read'
    assert (
        BadRow(Kind.DEAL, "deals.csv:2:id", reason, "D1"),
        BadRow(Kind.DEAL, "deals.csv:4:id", reason, "D1"),
    ) == page.bad


@pytest.mark.parametrize("row", [",A,Won,2017-03-01,5,x", "D1,A", 'D1,"A"b,Won,2017-03-01,5,x'])
async def test_listing_with_a_nameless_row_is_not_complete(tmp_path: Path, open_csv: Open, row: str) -> None:
    """A row whose ref cannot be read may be any record: nothing that is missing may be taken for deleted."""
    write_deals(tmp_path, f"{row}\nD2,A,Won,2017-03-01,5,x\n")
    broken = await pages(open_csv(DEALS), Kind.DEAL)
    write_deals(tmp_path, "D1,A,Won,2017-03-01,bad,x\nD2,A,Won,2017-03-01,5,x\n")
    named = await pages(open_csv(DEALS), Kind.DEAL)
    assert (frozenset(), frozenset({Kind.DEAL})) == (broken[-1].scanned, named[-1].scanned)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1054", ".", "1054"),
        ("-0.50", ".", "-0.50"),
        ("1,234,567.89", ".", "1234567.89"),
        ("1,054.00", ".", "1054.00"),
        ("1 054.5", ".", "1054.5"),
        ("1.054,5", ",", "1054.5"),
        ("1054,5", ",", "1054.5"),
        ("1\u202f054,5", ",", "1054.5"),
        ("90071992547409.93", ".", "90071992547409.93"),
    ],
)
def test_number_is_exact(text: str, decimal: str, value: str) -> None:
    """Thousands may be set apart where that can mean one thing only."""
    assert Decimal(value) == number(text, decimal)


@pytest.mark.parametrize(
    ("text", "decimal"),
    [("1,054", "."), ("1.054", ","), ("1,5", "."), ("1e3", "."), ("$5", "."), ("(5)", "."), ("1,23,456.00", ".")],
)
def test_number_is_not_guessed(text: str, decimal: str) -> None:
    """Two meanings, or none: refused."""
    with pytest.raises(ValueError):
        number(text, decimal)


async def test_header_without_a_column_says_what_is_near(tmp_path: Path, open_csv: Open) -> None:
    """File, line of the header, the column, and the likely one."""
    (tmp_path / "items.csv").write_text("name\n")
    (tmp_path / "deals.csv").write_text("\nid,acount,stage,closed,value,product\n")
    with pytest.raises(BadSettings) as caught:
        await pages(open_csv(DEALS), Kind.DEAL)
    assert 'deals.csv:2 has no column "account". Did you mean "acount"?' == caught.value.message


async def test_missing_file_says_what_is_near(tmp_path: Path, open_csv: Open) -> None:
    """A file that is not there is no empty file."""
    (tmp_path / "Items.csv").write_text("name\n")
    with pytest.raises(BadSettings) as caught:
        await pages(open_csv(DEALS), Kind.ITEM)
    assert caught.value.message.startswith("There is no file items.csv in ")
    assert caught.value.message.endswith('Did you mean "Items.csv"?')


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("no,name\n1,Müller\n".encode(), "Müller"),
        ("no,name\n1,Müller\n".encode("utf-8-sig"), "Müller"),
        ("no;name\r\n1;Müller €\r\n".encode("cp1252"), "Müller €"),
        (b'no\tname\n1\t"Two\nlines"\n', "Two\nlines"),
    ],
)
async def test_encoding_and_delimiter_are_found_out(tmp_path: Path, open_csv: Open, data: bytes, name: str) -> None:
    """UTF-8 with or without a mark, else Windows-1252; comma, semicolon or tab."""
    (tmp_path / "c.csv").write_bytes(data)
    connector = open_csv("customers: {file: c.csv, ref: no, fields: {legal_name: name}}")
    (customer,) = (await pages(connector, Kind.CUSTOMER))[-1].records
    assert isinstance(customer, Customer)
    assert name == customer.legal_name


async def test_wrong_encoding_is_said(tmp_path: Path, open_csv: Open) -> None:
    """A file that is not in its declared encoding is not read half."""
    (tmp_path / "c.csv").write_bytes("no,name\n1,x\n2,Müller\n".encode("cp1252"))
    connector = open_csv("encoding: utf-8\ncustomers: {file: c.csv, ref: no, fields: {legal_name: name}}")
    with pytest.raises(BadSettings) as caught:
        await pages(connector, Kind.CUSTOMER)
    assert caught.value.message.startswith("c.csv:3 is not in utf-8")


async def test_parts_of_a_customer_are_put_together(tmp_path: Path, open_csv: Open) -> None:
    """Address parts, a tax id with its scheme, terms and own properties each have their column."""
    columns = """
    customers:
      file: c.csv
      ref: no
      fields:
        name: name
        addresses.billing.lines: street
        addresses.billing.city: town
        tax_identity.gb.vat: vat
        payment_terms: terms
        properties.sector: sector
    """
    (tmp_path / "c.csv").write_text("no,name,street,town,vat,terms,sector\n1,Acme,1 High St,Leeds,GB1,Net 30,\n")
    (customer,) = (await pages(open_csv(columns), Kind.CUSTOMER))[-1].records
    assert isinstance(customer, Customer)
    assert {"billing": Address(("1 High St",), "Leeds")} == customer.addresses
    assert TaxIdentity(ids=(TaxId("gb.vat", "GB1"),)) == customer.tax_identity
    assert Terms(name="Net 30", net_days=30) == customer.payment_terms
    assert {"sector": None} == customer.properties
    assert ABSENT is customer.phone


async def test_new_item_makes_the_deals_be_read_again(tmp_path: Path, open_csv: Open) -> None:
    """A line's item depends on the price list: when that changes, the unchanged deals are news."""
    write_deals(tmp_path, "D1,Acme,Won,2017-03-01,5,GTXPro\n")
    connector = open_csv(DEALS)
    cursor = (await pages(connector, Kind.DEAL))[-1].cursors[Kind.DEAL]
    assert () == (await pages(connector, Kind.DEAL, cursor))[-1].records
    (tmp_path / "items.csv").write_text("name\nGTX Pro\nGTXPro\n")
    (deal,) = (await pages(connector, Kind.DEAL, cursor))[-1].records
    assert isinstance(deal, Deal)
    assert ["GTXPro"] == [line.item for line in deal.lines]  # type: ignore[union-attr]  # it has one
