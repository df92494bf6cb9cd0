"""The made-up company: the same for the same seed, whole on any day, and not quite in agreement with itself."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.demo.company import Company, make_company, months_before
from bot.demo.mapping import demo_mapping
from bot.demo.seeding import hubspot_seeds, quickbooks_seeds

TODAY = date(2026, 11, 23)
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "demo.yaml"
DAYS = [TODAY, date(2027, 1, 1), date(2027, 3, 1), date(2028, 2, 29), date(2026, 11, 1), date(2026, 5, 31)]


@pytest.fixture(scope="module")
def company() -> Company:
    return make_company(TODAY)


def test_the_same_seed_and_day_give_the_same_company(company: Company) -> None:
    """Somebody who reports what they saw in the demonstration can be understood elsewhere."""
    assert company == make_company(TODAY)
    assert company != make_company(TODAY, seed=21)


@pytest.mark.parametrize("today", DAYS)
def test_it_is_whole_on_any_day(today: date) -> None:
    """About 200 customers, 120 deals and 90 invoices, and nothing of it after yesterday, whatever day it is."""
    company = make_company(today)
    yesterday = today - timedelta(days=1)

    assert [200, 145] == [sum(f.in_crm for f in company.firms), sum(f.in_books for f in company.firms)]
    assert [120, 90] == [len(company.sales), len(company.bills)]
    assert yesterday >= max(sale.on for sale in company.sales if sale.stage.startswith("closed"))
    assert yesterday >= max(bill.on for bill in company.bills)
    assert all(bill.on <= receipt.on <= yesterday for bill, receipt in _paid(company))
    assert months_before(today, 1) == company.cut_over


def test_some_deals_wait_for_their_invoice_and_some_were_billed_before(company: Company) -> None:
    """Of what was won since the cut-over some was billed by hand; of what was won before, nothing will be billed."""
    won = [sale for sale in company.sales if sale.stage == "closedwon"]
    said = {bill.said for bill in company.bills}
    since = [sale for sale in won if sale.on >= company.cut_over]

    assert [56, 41] == [len(won) - len(since), len(since)]
    assert 7 == sum(sale.name in said for sale in since)


def test_the_money_does_not_quite_agree(company: Company) -> None:
    """A deal of 2,000.00 was billed with 1,950.00, one has no account, and the lines of one do not add up."""
    added = {sale.key: sum((line.amount for line in sale.lines), Decimal(0)) for sale in company.sales}
    short = [bill for bill in company.bills if bill.less]

    assert [Decimal("1950.00")] == [bill.net for bill in short]
    assert [Decimal("2000.00")] == [sale.amount for sale in company.sales if sale.name == short[0].said]
    assert 1 == sum(sale.firm is None for sale in company.sales)
    assert [Decimal(100)] == [sale.amount - added[sale.key] for sale in company.sales if sale.amount != added[sale.key]]
    assert [1, 1] == [sum(bill.void for bill in company.bills), sum(r.by_credit for r in company.receipts)]
    assert {50, 100} == {receipt.percent for receipt in company.receipts}


def test_what_the_two_sides_know_of_a_customer_differs_here_and_there(company: Company) -> None:
    """Phones differ in their format, are missing on one side, or contradict each other; and one address does."""
    both = [firm for firm in company.firms if firm.in_crm and firm.in_books]
    digits = Counter(_how(firm.crm_phone, firm.books_phone) for firm in both)

    assert {"same": 118, "format": 12, "missing": 8, "other": 2} == digits
    assert 1 == sum(firm.crm_place != firm.books_place for firm in both)
    assert ["Müller & Söhne: Armaturen GmbH"] == [firm.name for firm in company.firms if ":" in firm.name]


def test_only_one_pair_of_customers_is_to_be_taken_for_each_other(company: Company) -> None:
    """Names are unlike, but for the two that are meant to look like one."""
    roots = Counter(firm.name.split()[0] for firm in company.firms)
    assert [2] == [number for number in roots.values() if number > 1]


def test_every_seed_finds_what_it_names(company: Company) -> None:
    """A record is added after those that it refers to."""
    for seeds in (hubspot_seeds(company), quickbooks_seeds(company)):
        known: set[str] = set()
        for seed in seeds:
            assert set() == _references(seed.body) - known
            known.add(seed.key)


def test_the_example_is_the_mapping_of_the_demonstration() -> None:
    """docs/examples/demo.yaml is what `tieout demo` uses, with another cut-over date."""
    assert demo_mapping(date(2026, 10, 1)) == EXAMPLE.read_text(encoding="utf-8")


def _paid(company: Company) -> list[tuple]:  # type: ignore[type-arg]  # pairs of a bill and its receipt
    bills = {bill.key: bill for bill in company.bills}
    return [(bills[receipt.bill], receipt) for receipt in company.receipts]


def _how(one: str, other: str) -> str:
    if one == other:
        return "same"
    if not one or not other:
        return "missing"
    plain = ["".join(c for c in phone if c.isdigit())[-10:] for phone in (one, other)]
    return "format" if plain[0] == plain[1] else "other"


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        return {found for pair in value.items() for each in pair for found in _references(each)}
    if isinstance(value, list):
        return {found for each in value for found in _references(each)}
    return {value[1:]} if isinstance(value, str) and value.startswith("@") else set()
