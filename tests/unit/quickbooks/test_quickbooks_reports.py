"""QuickBooks' reports, in the shapes that its documentation shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.kit.contract import Ageing
from connectors.quickbooks import reports


def data(*values: str, ref: str = "") -> dict[str, Any]:
    return {
        "ColData": [{"value": values[0], "id": ref}, *({"value": each} for each in values[1:])],
        "type": "Data",
    }


def section(group: str, *rows: Any, total: str) -> dict[str, Any]:
    summary = {"ColData": [{"value": "Total"}, {"value": total}]}
    return {"Rows": {"Row": list(rows)}, "Summary": summary, "type": "Section", "group": group}


_RECEIVABLE = section("AR", data("Accounts Receivable (A/R)", "6383.12", ref="84"), total="6383.12")
_ASSETS = section("TotalAssets", section("CurrentAssets", _RECEIVABLE, total="9"), total="10")
BALANCE = {"Rows": {"Row": [_ASSETS]}}


def test_the_control_balance_is_the_receivables_section() -> None:
    """Found by its group, however deep; zero where a company owes nothing, since empty accounts are left out."""
    assert (Decimal("6383.12"), Decimal(0)) == (reports.receivable(BALANCE), reports.receivable({}))


def test_ageing_by_customer() -> None:
    """A plain customer is a row; one with sub-customers a section whose header has its own amounts; the total row
    is no customer."""
    own = [{"value": "Big", "id": "7"}, *({"value": ""} for _ in range(5)), {"value": "5.00"}]
    parent = {"Header": {"ColData": own},
              "Rows": {"Row": [data("East", "", "8.00", "", "", "", "8.00", ref="8")]},
              "Summary": {"ColData": [{"value": "Total Big"}, *({"value": "1"} for _ in range(6))]}}  # fmt: skip
    total = {
        "group": "GrandTotal",
        "Summary": {"ColData": [{"value": "TOTAL"}, *({"value": "9"} for _ in range(6))]},
    }
    made = reports.ageing({"Rows": {"Row": [parent, data("Jane", "", "", "", "", "37.50", "37.50", ref="4"), total]}})
    assert (
        Ageing(customer="7", total=Decimal("5.00")),
        Ageing(customer="8", total=Decimal("8.00"), days_1_30=Decimal("8.00")),
        Ageing(customer="4", total=Decimal("37.50"), over_90=Decimal("37.50")),
    ) == made


def test_a_list_tells_the_voided() -> None:
    """Nothing left and a memo that says so; a free invoice is not voided."""
    columns = ("tx_date", "txn_type", "memo", "subt_nat_home_amount")
    report = {
        "Columns": {"Column": [{"ColType": name} for name in columns]},
        "Rows": {"Row": [
            data("2026-10-01", "Invoice", "", "47.60"),
            data("2026-10-02", "Invoice", "Voided - by Bo", "0.00"),
            data("2026-10-03", "Invoice", "a gift", "0.00"),
        ]},
    }  # fmt: skip
    made = reports.listed(report)
    assert [(Decimal("47.60"), False), (Decimal(0), True), (Decimal(0), False)] == [(x.amount, x.voided) for x in made]
