"""A month that ties: the sandbox's own reports give the fixture's control totals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors.quickbooks.sandbox import QuickBooksSandbox, reports
from tests.fixtures.october_2026 import CLOSING, END, OPENING, October, books, sandbox


@pytest.fixture
def month() -> tuple[QuickBooksSandbox, October]:
    company = sandbox(limits=False)
    return company, books(company)


def section(rows: list[dict[str, Any]], group: str) -> dict[str, Any]:
    """The section of a report with this group, however deep."""
    for row in rows:
        if row.get("group") == group:
            return row
        found = section(row.get("Rows", {}).get("Row", []), group)
        if found:
            return found
    return {}


def receivable(company: QuickBooksSandbox, day: str) -> str:
    sheet = reports.run(company.company, "BalanceSheet", {"end_date": day})
    return str(section(sheet["Rows"]["Row"], "AR")["Summary"]["ColData"][1]["value"])


def test_the_control_account_ties(month: tuple[QuickBooksSandbox, October]) -> None:
    """Receivables by the balance sheet: 3,900.00 on 30 September, 8,368.40 on 31 October."""
    company, _ = month
    assert receivable(company, "2026-09-30") == str(OPENING)
    assert receivable(company, "2026-10-31") == str(CLOSING)


def test_the_ageing_is_as_listed(month: tuple[QuickBooksSandbox, October]) -> None:
    """Not due 6,876.00, 61-90 days 1,500.00, unapplied -7.60."""
    company, _ = month
    report = reports.run(company.company, "AgedReceivableDetail", {"report_date": "2026-10-31"})
    open_by_band = {
        row["Header"]["ColData"][0]["value"]: {
            (line["ColData"][1]["value"], line["ColData"][2]["value"]): line["ColData"][6]["value"]
            for line in row["Rows"]["Row"]
        }
        for row in report["Rows"]["Row"]
    }
    assert open_by_band == {
        "61 - 90 days past due": {("Invoice", "1039"): "1500.00"},
        "1 - 30 days past due": {("Payment", ""): "-7.60"},
        "Current": {
            ("Invoice", "1043"): "3670.00",
            ("Invoice", "1044"): "2106.00",
            ("Invoice", "1047"): "300.00",
            ("Invoice", "1049"): "800.00",
        },
    }
    summary = reports.run(company.company, "AgedReceivables", {"report_date": "2026-10-31"})
    totals = summary["Rows"]["Row"][-1]["Summary"]["ColData"]
    assert [cell["value"] for cell in totals] == ["TOTAL", "6876.00", "-7.60", "0.00", "1500.00", "0.00", "8368.40"]


def test_the_documents_add_up(month: tuple[QuickBooksSandbox, October]) -> None:
    """Nets 18,448.40 USD and EUR 1,000; tax 640.00; series 1041-1049 complete with one void."""
    company, made = month
    rows = [company.company.rows["Invoice"][made.invoices[str(number)]] for number in range(1041, 1050)]
    usd = [row for row in rows if row["CurrencyRef"]["value"] == "USD"]
    assert sum(row["TotalAmt"] for row in usd) == Decimal("19088.40")
    assert sum(row["TxnTaxDetail"]["TotalTax"] for row in rows) == Decimal("640.00")
    assert [row["DocNumber"] for row in rows if row.get("PrivateNote") == "Voided"] == ["1048"]
    euro = company.company.rows["Invoice"][made.invoices["1046"]]
    assert (euro["TotalAmt"], euro["HomeTotalAmt"], euro["Balance"]) == (Decimal("1000.00"), Decimal("1080.00"), 0)


def test_the_exchange_gain_is_realised(month: tuple[QuickBooksSandbox, October]) -> None:
    """EUR 1,000 invoiced at 1.0800 and paid at 1.0925: 12.50 gained, and the euro receivable is empty."""
    company, _ = month
    report = reports.run(company.company, "ProfitAndLoss", {"start_date": "2026-10-01", "end_date": "2026-10-31"})
    other = section(report["Rows"]["Row"], "OtherExpenses")["Rows"]["Row"]
    assert [cell["value"] for cell in other[0]["ColData"]] == ["Exchange Gain or Loss", "-12.50"]
    euro = company.company.named("Account", "Accounts Receivable (A/R) - EUR")
    assert euro is not None
    assert euro["CurrentBalance"] == 0


def test_the_balance_sheet_balances_on_every_day(month: tuple[QuickBooksSandbox, October]) -> None:
    """Assets equal liabilities and equity, and the ageing equals the control account, as of any day."""
    company, _ = month
    for day in [date(2026, 7, 31), date(2026, 9, 30), *(date(2026, 10, n) for n in range(1, 32)), date(2026, 11, 2)]:
        sheet = reports.run(company.company, "BalanceSheet", {"end_date": day.isoformat()})["Rows"]["Row"]
        assert sheet[0]["Summary"]["ColData"][1] == sheet[1]["Summary"]["ColData"][1]
        aged = reports.run(company.company, "AgedReceivables", {"report_date": day.isoformat()})["Rows"]["Row"]
        assert aged[-1]["Summary"]["ColData"][-1]["value"] == receivable(company, day.isoformat())


def test_the_control_account_does_not_read_balances(month: tuple[QuickBooksSandbox, October]) -> None:
    """Saboteur: with a Balance field falsified, control account and ageing stay; with a posting lost, they part."""
    company, made = month
    company.company.rows["Invoice"][made.invoices["1043"]]["Balance"] = Decimal("1.00")
    assert receivable(company, "2026-10-31") == str(CLOSING)
    del company.company.ledger.entries["Invoice", made.invoices["1043"]]
    assert company.receivable(END) != CLOSING
