"""Sales tax of a document, three ways: the company's own US rate, Automated Sales Tax, and tax codes outside the US.

US model: lines say TAX or NON, the document has one tax code, whose rates apply to the sum of its taxable lines.
Automated Sales Tax: the document's code is the vendor's business; a rate is looked up by the state shipped to.
Elsewhere: each line has a code; tax is computed for each rate on the summed net, not line by line.
Source: https://developer.intuit.com/app/developer/qbo/docs/workflows/manage-sales-tax-for-us-locales
and .../manage-sales-tax-for-non-us-locales
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connectors.quickbooks.sandbox import faults
from connectors.quickbooks.sandbox.bodies import money_of
from connectors.quickbooks.sandbox.company import Company, Row, cents

# State and average local rates of a few states, enough to see that the place shipped to decides.
STATE_RATES: Mapping[str, Decimal] = {
    "NY": Decimal("8.875"), "CA": Decimal("9.5"), "TX": Decimal("8.25"), "FL": Decimal("7"), "WA": Decimal("10.25"),
    "IL": Decimal("10.25"), "PA": Decimal("8"), "OR": Decimal(0), "MT": Decimal(0), "NH": Decimal(0),
    "DE": Decimal(0),
}  # fmt: skip


class TaxableLine(msgspec.Struct, frozen=True):
    """What a line brings to the tax: its amount as sent, and its code."""

    amount: Decimal
    code: str | None


class Taxed(msgspec.Struct, frozen=True):
    """The outcome. `net_of` gives each line's net (it differs from the amount sent if prices include tax)."""

    detail: Row
    total: Decimal
    nets: tuple[Decimal, ...]


class TaxQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides the tax of a document."""

    lines: Sequence[TaxableLine]
    customer: Row
    sent: Mapping[str, Any]
    ship_to: Mapping[str, Any]
    discount: Decimal = Decimal(0)
    subtotal: Decimal = Decimal(0)
    discount_first: bool = False
    mode: str = "TaxExcluded"


def tax(company: Company, question: TaxQuestion) -> Taxed:
    """The tax of a document. Raises fault 6000 outside the US if a line has no tax code."""
    nets = tuple(line.amount for line in question.lines)
    if not company.settings.using_sales_tax:
        return Taxed({}, Decimal(0), nets)
    if company.settings.country != "US":
        return _by_codes(company, question)
    return _by_document(company, question, nets)


def rates_of(company: Company, code: Row) -> list[Row]:
    details = code.get("SalesTaxRateList", {}).get("TaxRateDetail", [])
    return [company.rows["TaxRate"][detail["TaxRateRef"]["value"]] for detail in details]


def _tax_line(rate: Row, net: Decimal, amount: Decimal) -> Row:
    detail = {
        "TaxRateRef": {"value": rate["Id"]},
        "PercentBased": True,
        "TaxPercent": rate["RateValue"],
        "NetAmountTaxable": cents(net),
    }
    return {"Amount": amount, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}


# --------------------------------------------------------------------------- United States


def _by_document(company: Company, question: TaxQuestion, nets: tuple[Decimal, ...]) -> Taxed:
    for line in question.lines:
        if line.code not in ("TAX", "NON", None):
            raise faults.invalid_reference("TaxCodeRef", str(line.code))
    taxable = sum((line.amount for line in question.lines if line.code == "TAX"), Decimal(0))
    if question.discount_first and question.subtotal != 0:
        taxable -= question.discount * taxable / question.subtotal
    code = _document_code(company, question)
    if code is None or question.customer["Taxable"] is False:
        return Taxed({"TotalTax": Decimal(0)}, Decimal(0), nets)
    lines = [_tax_line(rate, taxable, cents(taxable * rate["RateValue"] / 100)) for rate in rates_of(company, code)]
    total = sum((line["Amount"] for line in lines), Decimal(0))
    if (override := _override(company, question)) is not None:
        lines, total = _overridden(lines, total, override), override
    if not lines or (total == 0 and taxable == 0):
        return Taxed({"TotalTax": total}, total, nets)
    detail = {"TxnTaxCodeRef": {"value": code["Id"]}, "TotalTax": total, "TaxLine": lines}
    return Taxed(detail, total, nets)


def _override(company: Company, question: TaxQuestion) -> Decimal | None:
    """A total that was sent counts if a code was sent with it."""
    if "TotalTax" not in question.sent or "TxnTaxCodeRef" not in question.sent:
        return None
    return money_of(question.sent["TotalTax"], "TotalTax")


def _overridden(lines: list[Row], total: Decimal, override: Decimal) -> list[Row]:
    """The difference goes to the first rate, and says so."""
    if not lines or override == total:
        return lines
    first = dict(lines[0], Amount=lines[0]["Amount"] + override - total)
    first["TaxLineDetail"] = {**first["TaxLineDetail"], "OverrideDeltaAmount": override - total}
    return [first, *lines[1:]]


def _document_code(company: Company, question: TaxQuestion) -> Row | None:
    if company.settings.automated_tax:
        state = str(question.ship_to.get("CountrySubDivisionCode", "")).upper()
        return state_code(company, state)
    sent = question.sent.get("TxnTaxCodeRef")
    ref = sent or question.customer.get("DefaultTaxCodeRef") or {"value": company.settings.sales_tax_code}
    return company.refer("TaxCode", ref, "TxnTaxCodeRef") if ref.get("value") else None


def state_code(company: Company, state: str) -> Row | None:
    """The code that Automated Sales Tax uses for a state; made when it is first needed."""
    rate = STATE_RATES.get(state, Decimal(0))
    if rate == 0:
        return None
    return company.named("TaxCode", f"{state} (automated)") or add_code(company, f"{state} (automated)", rate)


def add_code(company: Company, name: str, percent: Decimal) -> Row:
    """A tax code with one rate."""
    rate = company.save("TaxRate", {
        "Name": name, "Description": name, "Active": True, "RateValue": percent, "AgencyRef": {"value": "1"},
        "SpecialTaxType": "NONE", "DisplayType": "ReadOnly",
    })  # fmt: skip
    details = [{"TaxRateRef": {"value": rate["Id"], "name": name}, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}]
    return company.save("TaxCode", {
        "Name": name, "Description": name, "Active": True, "Hidden": False, "Taxable": True, "TaxGroup": True,
        "SalesTaxRateList": {"TaxRateDetail": details}, "PurchaseTaxRateList": {"TaxRateDetail": []},
    })  # fmt: skip


# --------------------------------------------------------------------------- elsewhere


def _by_codes(company: Company, question: TaxQuestion) -> Taxed:
    if question.mode == "NotApplicable":
        return Taxed({"TotalTax": Decimal(0)}, Decimal(0), tuple(line.amount for line in question.lines))
    rates = [_line_rate(company, line) for line in question.lines]
    inclusive = question.mode == "TaxInclusive"
    by_rate: dict[str, list[int]] = {}
    for index, rate in enumerate(rates):
        by_rate.setdefault(rate["Id"] if rate else "", []).append(index)
    nets = [line.amount for line in question.lines]
    tax_lines = []
    for indexes in by_rate.values():
        rate = rates[indexes[0]]
        if rate is None:
            continue
        tax_lines.append(_one_rate(question, rate, indexes, nets, inclusive))
    total = sum((line["Amount"] for line in tax_lines), Decimal(0))
    return Taxed({"TotalTax": total, "TaxLine": tax_lines}, total, tuple(nets))


def _one_rate(question: TaxQuestion, rate: Row, indexes: list[int], nets: list[Decimal], inclusive: bool) -> Row:
    """The tax line of one rate; if prices include tax, sets the nets of its lines."""
    summed = sum((question.lines[index].amount for index in indexes), Decimal(0))
    percent = rate["RateValue"]
    if not inclusive:
        if question.discount_first and question.subtotal != 0:
            summed -= question.discount * summed / question.subtotal
        return _tax_line(rate, summed, cents(summed * percent / 100))
    amount = cents(summed * percent / (100 + percent))
    for index in indexes:
        gross = question.lines[index].amount
        nets[index] = gross - cents(gross * percent / (100 + percent))
    # What rounding line by line leaves over goes to the last line, so that the nets add up to the document's.
    nets[indexes[-1]] += summed - amount - sum((nets[index] for index in indexes), Decimal(0))
    return _tax_line(rate, summed - amount, amount)


def _line_rate(company: Company, line: TaxableLine) -> Row | None:
    if line.code is None:
        raise faults.business("Make sure all your transactions have a VAT rate before you save.", "TaxCodeRef")
    code = company.refer("TaxCode", {"value": line.code}, "TaxCodeRef")
    rates = rates_of(company, code)
    return rates[0] if rates else None
