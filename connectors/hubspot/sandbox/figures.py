"""HubSpot's own arithmetic: what it fills in on line items and deals. Pure; Decimal in, text out.

Line items: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/line-items/guide
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeAlias

from connectors.hubspot.sandbox.catalogue import Account, TaxRate
from connectors.hubspot.sandbox.values import plain

Properties: TypeAlias = Mapping[str, str]
TOTALS = ("hs_tcv", "hs_acv", "hs_arr", "hs_mrr")

_MONTHS_A_BILL = {
    "monthly": 1,
    "quarterly": 3,
    "per_six_months": 6,
    "annually": 12,
    "per_two_years": 24,
    "per_three_years": 36,
}
_WEEKS_A_YEAR = Decimal(52)


def number(properties: Properties, name: str) -> Decimal | None:
    """A number property; None where it has no value."""
    text = properties.get(name)
    return None if text is None else Decimal(text)


def _cents(amount: Decimal) -> str:
    return plain(amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


def line_figures(line: Properties, tax: TaxRate | None) -> dict[str, str]:
    """The calculated properties of a line item. Without price and quantity there are none.

    `discount` is per unit, `hs_discount_percentage` a percentage of the whole; where both are given the amount
    per unit is taken (HubSpot leaves that open)."""
    price, quantity = number(line, "price"), number(line, "quantity")
    if price is None or quantity is None:
        return {}
    before = price * quantity
    net = before - _discount(line, before, quantity)
    figures = {
        "hs_pre_discount_amount": _cents(before),
        "hs_total_discount": _cents(before - net),
        "amount": _cents(net),
    }
    return figures | _taxed(net, tax) | _recurring(line, net)


def _discount(line: Properties, before: Decimal, quantity: Decimal) -> Decimal:
    per_unit, percent = number(line, "discount"), number(line, "hs_discount_percentage")
    if per_unit is not None:
        return per_unit * quantity
    return Decimal(0) if percent is None else before * percent / 100


def _taxed(net: Decimal, tax: TaxRate | None) -> dict[str, str]:
    if tax is None:
        return {}
    amount = Decimal(_cents(net * tax.rate / 100))
    return {
        "hs_tax_rate": plain(tax.rate),
        "hs_tax_label": tax.label,
        "hs_tax_amount": _cents(amount),
        "hs_post_tax_amount": _cents(net + amount),
    }


def _term_months(line: Properties) -> int | None:
    found = re.fullmatch(r"P(\d+)([MY])", line.get("hs_recurring_billing_period", ""))
    return None if found is None else int(found[1]) * (12 if found[2] == "Y" else 1)


def _recurring(line: Properties, net: Decimal) -> dict[str, str]:
    frequency, months = line.get("recurringbillingfrequency"), _term_months(line)
    if frequency is None:
        return {"hs_tcv": _cents(net), "hs_acv": _cents(net), "hs_arr": "0.00", "hs_mrr": "0.00"}
    a_year = _a_year(frequency, net)
    total = net if months is None else a_year * months / 12
    term = {} if months is None else {"hs_term_in_months": str(months)}
    a_contract_year = a_year if months is None or months >= 12 else total
    return term | {
        "hs_tcv": _cents(total),
        "hs_acv": _cents(a_contract_year),
        "hs_arr": _cents(a_year),
        "hs_mrr": _cents(a_year / 12),
    }


def _a_year(frequency: str, net: Decimal) -> Decimal:
    if frequency in _MONTHS_A_BILL:
        return net * 12 / _MONTHS_A_BILL[frequency]
    return net * (_WEEKS_A_YEAR if frequency == "weekly" else _WEEKS_A_YEAR / 2)


def deal_totals(lines: Iterable[Properties]) -> dict[str, str]:
    """Totals of a deal's lines; none where it has no lines."""
    held = list(lines)
    if not held:
        return {"hs_num_of_associated_line_items": "0"}
    sums = {name: sum((number(line, name) or Decimal(0) for line in held), Decimal(0)) for name in TOTALS}
    return {name: _cents(total) for name, total in sums.items()} | {"hs_num_of_associated_line_items": str(len(held))}


def deal_figures(deal: Properties, account: Account) -> dict[str, str]:
    """What follows from a deal's stage, amount and currency. A null currency is the company's."""
    stage = account.stage(deal.get("pipeline", ""), deal.get("dealstage", ""))
    closed = stage is not None and stage.closed
    probability = Decimal(stage.probability) if stage is not None else Decimal(0)
    won, lost = closed and probability == 1, closed and probability == 0
    amount = number(deal, "amount")
    rate = account.currencies[deal.get("deal_currency_code", account.home_currency)]
    flags = {"hs_is_closed": closed, "hs_is_closed_won": won, "hs_is_closed_lost": lost}
    money = {} if amount is None else _home(amount * rate) | {"hs_closed_amount": plain(amount) if won else "0"}
    return (
        {name: "true" if flag else "false" for name, flag in flags.items()}
        | {"hs_deal_stage_probability": plain(probability), "hs_exchange_rate": plain(rate)}
        | money
    )


def _home(amount: Decimal) -> dict[str, str]:
    text = _cents(amount)
    return {"hs_deal_amount_in_home_currency": text, "amount_in_home_currency": text}


LINE_FIGURES = {
    "amount",
    "hs_total_discount",
    "hs_pre_discount_amount",
    "hs_tax_rate",
    "hs_tax_label",
    "hs_tax_amount",
    "hs_post_tax_amount",
    "hs_term_in_months",
    "hs_mrr",
    "hs_arr",
    "hs_acv",
    "hs_tcv",
}
DEAL_FIGURES = {
    "hs_deal_amount_in_home_currency",
    "amount_in_home_currency",
    "hs_exchange_rate",
    "hs_is_closed",
    "hs_is_closed_won",
    "hs_is_closed_lost",
    "hs_deal_stage_probability",
    "hs_closed_amount",
}
