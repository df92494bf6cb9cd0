"""A real export: 85 accounts, 7 products, 8,800 opportunities, with its slips."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.canon.records import Customer, Deal, Item, Kind
from connectors.canon.values import Money, Price
from connectors.csv.connector import Csv
from tests.contract.harness import deps_in_process

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "crm_sales"
COLUMNS = """
columns:
  encoding: utf-8-sig
  decimal: "."
  dates: "%Y-%m-%d"
  currency: USD
  customers:
    file: accounts.csv
    ref: account
    fields: {legal_name: account, properties.sector: sector, parent: subsidiary_of}
  items:
    file: products.csv
    ref: product
    fields: {name: product, price: sales_price, properties.series: series}
  deals:
    file: sales_pipeline.csv
    ref: opportunity_id
    fields:
      sold_to: account
      name: opportunity_id
      owner: sales_agent
      stage: deal_stage
      won_on: close_date
      amount: close_value
    line: {item: product, qty: 1, unit_price: close_value}
    stages: {Won: won, Lost: lost, Engaging: open, Prospecting: open}
"""


@pytest.fixture
def crm() -> Csv:
    assert FOLDER.is_dir(), f"the sample data is missing: put crm_sales into {FOLDER.parent}"
    return Csv.open({"folder": str(FOLDER), "columns": COLUMNS}, deps_in_process())


async def listed(crm: Csv, kind: Kind, cursor: str | None = None) -> list[object]:
    pages = [page async for page in crm.changes({kind: cursor})]
    assert [] == [bad for page in pages for bad in page.bad]
    return [record for page in pages for record in page.records]


async def test_control_totals(crm: Csv) -> None:
    """Every row is read, and the won deals add up to the cent."""
    deals = [deal for deal in await listed(crm, Kind.DEAL) if isinstance(deal, Deal)]
    won = [deal for deal in deals if deal.status == "won"]
    total = sum((deal.amount.amount for deal in won if isinstance(deal.amount, Money)), Decimal(0))
    homeless = [deal for deal in deals if deal.status == "open" and deal.sold_to is None]
    assert (85, 7) == (len(await listed(crm, Kind.CUSTOMER)), len(await listed(crm, Kind.ITEM)))
    assert (8800, 4238, Decimal("10005534.00"), 1425) == (len(deals), len(won), total, len(homeless))


async def test_month_of_december_2017(crm: Csv) -> None:
    """A month's won deals by the day in the file."""
    deals = [deal for deal in await listed(crm, Kind.DEAL) if isinstance(deal, Deal)]
    december = [d for d in deals if d.status == "won" and d.won_on and f"{d.won_on:%Y-%m}" == "2017-12"]
    total = sum((deal.amount.amount for deal in december if isinstance(deal.amount, Money)), Decimal(0))
    assert (511, Decimal("1131573.00")) == (len(december), total)


async def test_misspelt_product_is_left_as_given(crm: Csv) -> None:
    """ "GTXPro" is "GTX Pro" in the price list: the text stays, and no item is guessed."""
    deals = [deal for deal in await listed(crm, Kind.DEAL) if isinstance(deal, Deal)]
    lines = [line for deal in deals if isinstance(deal.lines, tuple) for line in deal.lines]
    strangers = Counter(line.item_name for line in lines if line.item is None)
    assert {"GTXPro"} == set(strangers)
    assert all(line.item == line.item_name for line in lines if line.item is not None)


async def test_customer_and_item_read_whole(crm: Csv) -> None:
    """Parents, own properties and prices come along."""
    customers = {c.ref: c for c in await listed(crm, Kind.CUSTOMER) if isinstance(c, Customer)}
    items = {i.ref: i for i in await listed(crm, Kind.ITEM) if isinstance(i, Item)}
    assert ("Acme Corporation", None) == (customers["Bluth Company"].parent, customers["Betatech"].parent)
    assert {"sector": "technolgy"} == customers["Acme Corporation"].properties
    assert Price(Decimal(4821), "USD") == items["GTX Pro"].price


async def test_resuming_in_the_middle_loses_nothing(crm: Csv) -> None:
    """Nine pages; whoever stops after any of them and starts again sees all 8,800."""
    pages = [page async for page in crm.changes({Kind.DEAL: None})]
    assert 9 == len(pages)
    for stop in range(len(pages)):
        cursor = next((p.cursors[Kind.DEAL] for p in reversed(pages[:stop]) if p.cursors), None)
        before = {record.ref for page in pages[:stop] for record in page.records}
        after = {deal.ref for deal in await listed(crm, Kind.DEAL, cursor) if isinstance(deal, Deal)}
        assert 8800 == len(before | after)


async def test_unchanged_files_are_quiet(crm: Csv) -> None:
    """From the last cursor on, also in a fresh process, nothing comes."""
    cursors = {kind: cursor async for page in crm.changes({Kind.DEAL: None}) for kind, cursor in page.cursors.items()}
    again = Csv.open({"folder": str(FOLDER), "columns": COLUMNS}, deps_in_process())
    assert [] == await listed(again, Kind.DEAL, cursors[Kind.DEAL])
