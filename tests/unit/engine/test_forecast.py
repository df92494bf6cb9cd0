"""What a document comes to at the vendor, to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.canon.values import Discount
from worker.engine.billing import Held
from worker.engine.forecast import (
    CentsPolicy,
    Forecast,
    HeaderDiscount,
    PricedLine,
    Refund,
    TaxPart,
    Terms,
    forecast,
    refund,
)


def D(text: str) -> Decimal:
    return Decimal(text)


def of(lines: list[PricedLine], terms: Terms) -> Forecast:
    made = forecast(lines, terms)
    assert isinstance(made, Forecast), made
    return made


# --------------------------------------------------------------------------- e-commerce: the charged total is law

ORDER = [
    PricedLine(key="A", qty=D("3"), unit_price=D("19.99"), code="TX"),
    PricedLine(key="B", unit_price=D("45.00"), discount=Discount("percent", D("10")), code="TX"),
    PricedLine(key="ship", amount=D("6.90"), role="shipping"),
]
ONLINE = Terms(
    currency="USD",
    rates={"TX": (TaxPart("TX", D("8.25")),)},
    discount=HeaderDiscount(amount=D("5.00")),
    charged=D("110.25"),
    cents=CentsPolicy(kind="match_charged"),
)
SPREAD = replace(ONLINE, rounding="line", discount=HeaderDiscount(amount=D("5.00"), shown="spread"))


def test_an_order_with_a_discount_line_before_tax() -> None:
    """Goods 100.47 less 5.00, freight 6.90, tax on 95.47: 7.88; charged 110.25, as QuickBooks makes it."""
    made = of(ORDER, ONLINE)
    assert (D("102.37"), D("7.88"), D("110.25"), ()) == (made.net, made.tax, made.total, made.adjustments)
    assert [(D("95.47"), D("7.88"))] == [(t.base, t.tax) for t in made.taxes]


def test_a_vendor_without_a_header_discount_is_a_cent_away() -> None:
    """Spread 2.98 and 2.02, tax by line 4.70 and 3.17: 110.24, so that without a charged total it stays so."""
    made = of(ORDER, replace(SPREAD, charged=None))
    assert [D("56.99"), D("38.48"), D("6.90")] == [line.net for line in made.lines]
    assert [D("4.70"), D("3.17"), D("0")] == [line.tax for line in made.lines]
    assert (D("7.87"), D("110.24")) == (made.tax, made.total)


def test_the_charged_total_overrides_the_tax_that_lost_most() -> None:
    """3.1746 lost more than 4.701675: it becomes 3.18, the total 110.25, and no price moves."""
    made = of(ORDER, SPREAD)
    assert [D("4.70"), D("3.18"), D("0")] == [line.tax for line in made.lines]
    assert [D("56.99"), D("38.48"), D("6.90")] == [line.net for line in made.lines]
    assert (D("7.88"), D("110.25")) == (made.tax, made.total)
    assert [("B", "tax", D("3.17"), D("3.18"))] == [(a.key, a.what, a.before, a.after) for a in made.adjustments]


@pytest.mark.parametrize("policy", ["hold", "adjust_line", "rounding_line"])
def test_no_other_policy_touches_what_was_charged(policy: str) -> None:
    """A cent away from the charge holds the order unless the pair says match_charged."""
    made = forecast(ORDER, replace(SPREAD, cents=CentsPolicy(kind=policy)))  # type: ignore[arg-type]  # a literal
    assert isinstance(made, Held)
    assert "The total comes to USD 110.24, not 110.25: 0.01 apart." == made.reason


def test_a_charge_far_away_is_held_even_so() -> None:
    """Overriding tax is for cents: 20.00 is no rounding."""
    assert isinstance(forecast(ORDER, replace(SPREAD, charged=D("130.25"))), Held)


def test_a_refund_of_one_piece() -> None:
    """19.99 less its 0.99 of the discount, with 1.57 tax: 20.57."""
    back = refund(of(ORDER, ONLINE), {"A": D("1")}, ONLINE.rates)
    assert (D("19.99"), D("0.99"), D("1.57"), D("20.57")) == (back.net, back.discount, back.tax, back.total)


def test_refunding_the_rest_ends_at_what_was_charged() -> None:
    """One by one or at once: all refunds add up to 110.25."""
    sold = of(ORDER, ONLINE)
    given: list[Refund] = []
    for returned in ({"A": D("1")}, {"A": D("1")}, {"A": D("1"), "B": D("1")}, {"ship": D("1")}):
        given.append(refund(sold, returned, ONLINE.rates, given))
    assert D("110.25") == sum(each.total for each in given)
    assert D("110.25") == refund(sold, {"A": D("3"), "B": D("1"), "ship": D("1")}, ONLINE.rates).total


def test_refunds_reckoned_apart_would_not_end_there() -> None:
    """The check above fails where each refund ignores the earlier ones."""
    sold = of(ORDER, ONLINE)
    pieces = [{"A": D("1")}, {"A": D("1")}, {"A": D("1")}, {"B": D("1")}, {"ship": D("1")}]
    assert D("110.25") != sum(refund(sold, piece, ONLINE.rates).total for piece in pieces)


# --------------------------------------------------------------------------- prices that include tax

INCLUSIVE = [
    PricedLine(key="1", qty=D("3"), unit_price=D("9.99"), code="VAT"),
    PricedLine(key="2", unit_price=D("4.95"), code="VAT"),
]
VAT = Terms(currency="GBP", rates={"VAT": (TaxPart("VAT", D("20")),)}, prices_include_tax=True)


@pytest.mark.parametrize(("rounding", "tax"), [("line", "5.83"), ("document", "5.82")])
def test_vat_inside_the_price(rounding: str, tax: str) -> None:
    """3 x 9.99 + 4.95 is 34.92 always; the VAT in it is 5.83 by line, 5.82 by document."""
    made = of(INCLUSIVE, replace(VAT, rounding=rounding))
    assert (D("34.92"), D(tax), D("34.92") - D(tax)) == (made.total, made.tax, made.net)
    assert made.net == sum(line.net for line in made.lines)
    assert [made.net] == [t.base for t in made.taxes]


# --------------------------------------------------------------------------- India

GST = {
    "GST18": (TaxPart("CGST", D("9")), TaxPart("SGST", D("9"))),
    "IGST18": (TaxPart("IGST", D("18")),),
}
RUPEES = Terms(currency="INR", rates=GST, cents=CentsPolicy(kind="rounding_line", total_to=D("1")))


def test_two_taxes_under_one_code_and_a_rounded_total() -> None:
    """Same state: CGST 900.05 + SGST 900.05, Round Off 0.40, total 11,801.00."""
    made = of([PricedLine(key="1", amount=D("10000.50"), code="GST18")], RUPEES)
    assert [("GST18 CGST", D("900.05")), ("GST18 SGST", D("900.05"))] == [(t.code, t.tax) for t in made.taxes]
    assert (D("10000.50"), D("0.40"), D("11801.00")) == (made.net, made.rounding, made.total)


def test_one_tax_to_another_state() -> None:
    """IGST 1,800.09, Round Off 0.41, total 11,801.00."""
    made = of([PricedLine(key="1", amount=D("10000.50"), code="IGST18")], RUPEES)
    assert (D("1800.09"), D("0.41"), D("11801.00")) == (made.tax, made.rounding, made.total)
    assert ["1", "rounding"] == [line.key for line in made.lines]


# --------------------------------------------------------------------------- services

UK = Terms(currency="GBP", rates={"VAT": (TaxPart("VAT", D("20")),)})


def test_an_invoice_less_its_deposit() -> None:
    """Fees and expenses of 4,210.00 less the deposit: net 3,210.00, VAT 642.00, total 3,852.00."""
    lines = [
        PricedLine(key="consulting", qty=D("12.75"), unit_price=D("150"), code="VAT"),
        PricedLine(key="work", qty=D("20.50"), unit_price=D("95"), code="VAT"),
        PricedLine(key="expenses", amount=D("350.00"), code="VAT"),
        PricedLine(key="deposit", amount=D("-1000.00"), code="VAT", role="deposit"),
    ]
    made = of(lines, replace(UK, net=D("3210.00")))
    assert [D("1912.50"), D("1947.50"), D("350.00"), D("-1000.00")] == [line.net for line in made.lines]
    assert (D("3210.00"), D("642.00"), D("3852.00")) == (made.net, made.tax, made.total)


# --------------------------------------------------------------------------- cents against the position

THIRDS = [PricedLine(key=key, qty=D("1"), unit_price=D("33.333"), code="VAT") for key in ("1", "2", "3")]


def test_a_cent_goes_to_the_largest_line() -> None:
    """3 x 33.33 is 99.99; the position says 100.00, and one line takes the cent."""
    made = of(THIRDS, replace(UK, net=D("100.00")))
    assert (D("100.00"), D("20.00"), D("120.00")) == (made.net, made.tax, made.total)
    assert [("net", D("33.33"), D("33.34"))] == [(a.what, a.before, a.after) for a in made.adjustments]


def test_a_cent_goes_to_a_rounding_line() -> None:
    """The lines stay as the deal has them; the rounding line has no tax."""
    made = of(THIRDS, replace(UK, net=D("100.00"), cents=CentsPolicy(kind="rounding_line")))
    assert (D("99.99"), D("0.01"), D("120.00")) == (made.net, made.rounding, made.total)


@pytest.mark.parametrize(
    ("policy", "net"), [("hold", "100.00"), ("match_charged", "100.00"), ("adjust_line", "100.05")]
)
def test_what_the_policy_does_not_cover_is_held(policy: str, net: str) -> None:
    """`hold` holds any cent, `match_charged` never moves a price, and six cents are no rounding for anybody."""
    made = forecast(THIRDS, replace(UK, net=D(net), cents=CentsPolicy(kind=policy)))  # type: ignore[arg-type]  # a literal
    assert isinstance(made, Held)
    assert "amount" == made.field


def test_a_tax_that_the_vendor_computes_is_not_forecast() -> None:
    """The net is exact, the total is said not to be."""
    made = of(
        [PricedLine(key="1", amount=D("10"), code="AUTO")],
        Terms(currency="USD", rates={"AUTO": (TaxPart("AUTO", None),)}),
    )
    assert (False, D("10"), D("10")) == (made.exact, made.net, made.total)


def test_a_code_that_the_books_do_not_have_is_a_fault() -> None:
    """The invoice holds it earlier; here it is never taken for untaxed."""
    with pytest.raises(KeyError):
        forecast([PricedLine(key="1", amount=D("10"), code="GONE")], UK)


MONEY = st.decimals(min_value=0, max_value=10**6, places=2)


@given(st.lists(MONEY, min_size=1, max_size=8), st.sampled_from(["line", "document"]), st.booleans())
def test_a_forecast_always_adds_up(amounts: list[Decimal], rounding: str, included: bool) -> None:
    """Lines add up to the net, taxes to the tax, and with tax included the total is the sum of the prices."""
    lines = [PricedLine(key=str(n), amount=amount, code="VAT") for n, amount in enumerate(amounts)]
    made = of(lines, replace(VAT, rounding=rounding, prices_include_tax=included))
    assert made.net == sum(line.net for line in made.lines)
    assert made.tax == sum(t.tax for t in made.taxes)
    assert made.total == made.net + made.tax
    assert sum(amounts) == (made.total if included else made.net)
