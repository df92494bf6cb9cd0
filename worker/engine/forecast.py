"""What a document will come to at the vendor, to the last cent, before it is sent.

Vendors round tax by line or by document, on prices with or without tax, and the forecast follows the vendor's way.
What then does not agree with the position's net, or with what was charged, the pair's cents policy settles, or the
document is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from connectors.canon.records import LineRole, TaxLine
from connectors.canon.values import Discount, currency_places, to_places
from worker.engine.billing import Held, discounted

ZERO = Decimal(0)
ROUNDING_KEY = "rounding"
DISCOUNT_KEY = "discount"
Rounding: TypeAlias = Literal["line", "document"]
Cents: TypeAlias = Literal["adjust_line", "rounding_line", "match_charged", "hold"]


class TaxPart(msgspec.Struct, frozen=True):
    """One tax of a code: CGST 9 and SGST 9 under one code. `rate` in percent; None: the vendor computes it."""

    name: str
    rate: Decimal | None


TaxRates: TypeAlias = Mapping[str, tuple[TaxPart, ...]]


class CentsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What happens when cents do not agree.

    adjust_line    the line with the largest net takes the difference in net
    rounding_line  a rounding line takes it; with `total_to`, it also rounds the total (1: to whole rupees)
    match_charged  the charged total is law: tax is overridden where rounding lost most, never a price
    hold           any difference holds the document

    Whatever the policy, a difference over `limit` smallest units of the currency holds.
    """

    kind: Cents = "adjust_line"
    total_to: Decimal | None = None
    limit: int = 5


class PricedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line to forecast: its net (or gross, where prices include tax) as given in `amount`, else qty x unit_price
    less discount. `code` None: no tax on it."""

    key: str
    qty: Decimal = Decimal(1)
    unit_price: Decimal = ZERO
    discount: Discount | None = None
    amount: Decimal | None = None
    code: str | None = None
    role: LineRole = "item"


class HeaderDiscount(msgspec.Struct, frozen=True, kw_only=True):
    """A discount on the whole order, before tax, on items alone (not on shipping). `line`: the vendor takes a
    discount line; `spread`: it has none, and the lines' prices carry it."""

    amount: Decimal
    shown: Literal["line", "spread"] = "line"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How the vendor reckons, and what the result must agree with.

    rates      the vendor's rates by tax code
    net        what the lines must come to (the position's net, without charges and rounding); None: no check
    charged    what the customer was charged, with tax; None: nothing was
    """

    currency: str
    rates: TaxRates = {}
    rounding: Rounding = "document"
    prices_include_tax: bool = False
    discount: HeaderDiscount | None = None
    cents: CentsPolicy = CentsPolicy()
    net: Decimal | None = None
    charged: Decimal | None = None


class ForecastLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as the vendor will hold it. `tax` is its own tax where tax is rounded by line, else None. `share` is
    its part of the order's discount (already out of `net` where the discount is spread)."""

    key: str
    role: LineRole
    qty: Decimal
    net: Decimal
    code: str | None
    tax: Decimal | None = None
    share: Decimal = ZERO


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A cent that was moved: on which line, what (net or tax), from what to what, and why."""

    key: str
    what: Literal["net", "tax", "rounding"]
    before: Decimal
    after: Decimal
    why: str


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the vendor will answer. `net` is all lines but rounding; total = net + tax + rounding. Not `exact`: the
    vendor computes a tax itself, and only the net can be checked."""

    currency: str
    lines: tuple[ForecastLine, ...]
    net: Decimal
    taxes: tuple[TaxLine, ...]
    tax: Decimal
    rounding: Decimal
    total: Decimal
    adjustments: tuple[Adjustment, ...] = ()
    exact: bool = True


def spread(amount: Decimal, weights: Sequence[Decimal], places: int) -> tuple[Decimal, ...]:
    """`amount` in proportion to `weights`, rounded so that the parts add up (running totals): 5.00 over 59.97 and
    40.50 is 2.98 and 2.02."""
    whole, so_far, given, parts = sum(weights, ZERO), ZERO, ZERO, []
    for weight in weights:
        so_far += weight
        upto = to_places(amount * so_far / whole, places) if whole != 0 else ZERO
        parts.append(upto - given)
        given = upto
    return tuple(parts)


def _amount(line: PricedLine, places: int) -> Decimal:
    if line.amount is not None:
        return line.amount
    return to_places(discounted(line.qty * line.unit_price, line.qty, line.discount), places)


def _discount_shares(lines: Sequence[ForecastLine], terms: Terms, places: int) -> tuple[ForecastLine, ...]:
    """The lines with their part of the order's discount, taken out of them where it is spread."""
    if terms.discount is None or terms.discount.amount == 0:
        return tuple(lines)
    parts = spread(terms.discount.amount, [x.net if x.role == "item" else ZERO for x in lines], places)
    if terms.discount.shown == "spread":
        return tuple(replace(x, net=x.net - part, share=part) for x, part in zip(lines, parts, strict=True))
    shared = tuple(replace(x, share=part) for x, part in zip(lines, parts, strict=True))
    off = ForecastLine(
        key=DISCOUNT_KEY, role="discount", qty=Decimal(1), net=-terms.discount.amount, code=_only_code(lines)
    )
    return (*shared, off)


def _only_code(lines: Sequence[ForecastLine]) -> str | None:
    codes = {line.code for line in lines if line.role == "item"}
    return codes.pop() if len(codes) == 1 else None


def _parts(code: str | None, rates: TaxRates) -> tuple[TaxPart, ...]:
    return () if code is None else rates.get(code, ())


def _taxed(line: ForecastLine, terms: Terms) -> Decimal:
    """What the line's tax is reckoned on: its net, less its part of a discount that has a line of its own."""
    shown_apart = terms.discount is not None and terms.discount.shown == "line"
    return line.net - line.share if shown_apart else line.net


def _tax_of(base: Decimal, part: TaxPart, code_rate: Decimal, included: bool) -> Decimal:
    """One tax on a base, not rounded. In prices that include tax, each part has its share of all rates."""
    if part.rate is None:
        return ZERO
    return base * part.rate / (100 + code_rate) if included else base * part.rate / 100


class _Tally(msgspec.Struct, frozen=True):
    """Taxes by (code, part), and the tax of each line where it is rounded by line."""

    taxes: tuple[TaxLine, ...]
    by_line: Mapping[str, Decimal]
    exact: bool


def _code_rate(parts: Sequence[TaxPart]) -> Decimal:
    return sum((part.rate for part in parts if part.rate is not None), ZERO)


def _reckon(lines: Sequence[ForecastLine], terms: Terms, places: int) -> _Tally:
    bases: dict[tuple[str, TaxPart], Decimal] = {}
    taxes: dict[tuple[str, TaxPart], Decimal] = {}
    by_line: dict[str, Decimal] = {}
    for line in lines:
        parts = _parts(line.code, terms.rates) if line.key != DISCOUNT_KEY else ()
        for part in parts:
            slot, base = (line.code or "", part), _taxed(line, terms)
            tax = _tax_of(base, part, _code_rate(parts), terms.prices_include_tax)
            tax = to_places(tax, places) if terms.rounding == "line" else tax
            bases[slot] = bases.get(slot, ZERO) + base
            taxes[slot] = taxes.get(slot, ZERO) + tax
            by_line[line.key] = by_line.get(line.key, ZERO) + tax
    rounded = {slot: to_places(tax, places) for slot, tax in taxes.items()}
    exact = all(part.rate is not None for _, part in bases)
    return _Tally(_tax_lines(bases, rounded, terms), by_line if terms.rounding == "line" else {}, exact)


def _tax_lines(
    bases: Mapping[tuple[str, TaxPart], Decimal], taxes: Mapping[tuple[str, TaxPart], Decimal], terms: Terms
) -> tuple[TaxLine, ...]:
    """A row for each tax; where prices include tax, the base is without the taxes of its code."""
    inside: dict[str, Decimal] = {}
    for (code, _), tax in taxes.items():
        inside[code] = inside.get(code, ZERO) + (tax if terms.prices_include_tax else ZERO)
    return tuple(
        TaxLine(code=_label(code, part, terms), rate=part.rate, base=base - inside[code], tax=tax, decided_by="rule")
        for (code, part), base in bases.items()
        for tax in (taxes[code, part],)
    )


def _label(code: str, part: TaxPart, terms: Terms) -> str:
    """The code, and the tax's own name where the code has several."""
    return code if len(terms.rates[code]) == 1 else f"{code} {part.name}"


def _without_tax(lines: Sequence[ForecastLine], tally: _Tally, terms: Terms, places: int) -> tuple[ForecastLine, ...]:
    """Lines at prices that include tax, brought to nets that add up to gross less tax."""
    gross = sum((_taxed(line, terms) for line in lines if line.key != DISCOUNT_KEY), ZERO)
    if terms.rounding == "line":
        return tuple(replace(line, net=line.net - tally.by_line.get(line.key, ZERO)) for line in lines)
    tax = sum((t.tax for t in tally.taxes), ZERO)
    own = [_own_tax(line, terms) for line in lines]
    nets = spread(gross - tax, [line.net - t for line, t in zip(lines, own, strict=True)], places)
    return tuple(replace(line, net=net) for line, net in zip(lines, nets, strict=True))


def _own_tax(line: ForecastLine, terms: Terms) -> Decimal:
    parts = _parts(line.code, terms.rates)
    return sum((_tax_of(line.net, part, _code_rate(parts), True) for part in parts), ZERO)


def _assembled(lines: Sequence[ForecastLine], tally: _Tally, terms: Terms, places: int) -> Forecast:
    if terms.prices_include_tax:
        lines = _without_tax(lines, tally, terms, places)
    lines = tuple(replace(x, tax=tally.by_line.get(x.key, ZERO) if terms.rounding == "line" else None) for x in lines)
    net = sum((line.net for line in lines), ZERO)
    tax = sum((t.tax for t in tally.taxes), ZERO)
    return Forecast(
        currency=terms.currency,
        lines=lines,
        net=net,
        taxes=tally.taxes,
        tax=tax,
        rounding=ZERO,
        total=net + tax,
        exact=tally.exact,
    )


# --------------------------------------------------------------------------- cents


def _limit(policy: CentsPolicy, places: int) -> Decimal:
    return Decimal(policy.limit).scaleb(-places)


def _too_far(what: str, found: Decimal, wanted: Decimal, currency: str) -> Held:
    reason = f"The {what} comes to {currency} {found:,}, not {wanted:,}: {abs(wanted - found):,} apart."
    return Held(reason=reason, field="amount", who="finance")


def _net_target(lines: tuple[ForecastLine, ...], terms: Terms, places: int) -> tuple[ForecastLine, ...] | Held:
    """The lines brought to the position's net under the policy. Charges are not part of a position's net."""
    own = [line for line in lines if line.role not in ("rounding", "charge")]
    found = sum((line.net for line in own), ZERO)
    if terms.net is None or found == terms.net:
        return lines
    away = terms.net - found
    items = [line for line in own if line.role == "item"]
    if abs(away) > _limit(terms.cents, places) or not items or terms.cents.kind in ("hold", "match_charged"):
        return _too_far("net of the lines", found, terms.net, terms.currency)
    if terms.cents.kind == "rounding_line":
        return (*lines, ForecastLine(key=ROUNDING_KEY, role="rounding", qty=Decimal(1), net=away, code=None))
    largest = max(items, key=lambda line: line.net)
    return tuple(replace(line, net=line.net + away) if line is largest else line for line in lines)


def _moved(before: Sequence[ForecastLine], after: Sequence[ForecastLine]) -> tuple[Adjustment, ...]:
    was = {line.key: line.net for line in before}
    why = "so that the document's net is the position's"
    return tuple(
        Adjustment(
            key=line.key,
            what="rounding" if line.role == "rounding" else "net",
            before=was.get(line.key, ZERO),
            after=line.net,
            why=why,
        )
        for line in after
        if was.get(line.key, ZERO) != line.net
    )


def _lost(line: ForecastLine, terms: Terms) -> Decimal:
    """The fraction of the smallest unit that rounding took off the line's tax: 3.1746 -> 3.17 lost 0.0046."""
    exact = sum(
        (_tax_of(_taxed(line, terms), part, ZERO, False) for part in _parts(line.code, terms.rates)),
        ZERO,
    )
    return exact - (line.tax if line.tax is not None else exact)


def _override(forecast: Forecast, terms: Terms, away: Decimal) -> Forecast:
    """Tax moved by `away` on the line where rounding lost (or, downwards, won) most."""
    taxed = [line for line in forecast.lines if _parts(line.code, terms.rates)]
    sign = 1 if away > 0 else -1
    line = max(taxed, key=lambda x: _lost(x, terms) * sign)
    label = _label(line.code or "", _parts(line.code, terms.rates)[0], terms)
    before = next(t.tax for t in forecast.taxes if t.code == label)
    taxes = tuple(replace(t, tax=t.tax + away) if t.code == label else t for t in forecast.taxes)
    lines = tuple(replace(x, tax=x.tax + away) if x is line and x.tax is not None else x for x in forecast.lines)
    was = line.tax if line.tax is not None else before
    note = Adjustment(
        key=line.key, what="tax", before=was, after=was + away, why="so that the total is what was charged"
    )
    return replace(
        forecast,
        lines=lines,
        taxes=taxes,
        tax=forecast.tax + away,
        total=forecast.total + away,
        adjustments=(*forecast.adjustments, note),
    )


def _matched(forecast: Forecast, terms: Terms, places: int) -> Forecast | Held:
    """The forecast brought to the charged total, if anything was charged."""
    if terms.charged is None or forecast.total == terms.charged:
        return forecast
    away = terms.charged - forecast.total
    taxed = any(_parts(line.code, terms.rates) for line in forecast.lines)
    if terms.cents.kind != "match_charged" or not taxed or abs(away) > _limit(terms.cents, places):
        return _too_far("total", forecast.total, terms.charged, terms.currency)
    return _override(forecast, terms, away)


def _rounded_total(forecast: Forecast, terms: Terms) -> Forecast:
    """The total rounded to `total_to` by a rounding line (India's "Round Off")."""
    to = terms.cents.total_to
    if to is None or terms.cents.kind != "rounding_line":
        return forecast
    wanted = to_places(forecast.total / to, 0) * to
    off = wanted - forecast.total
    if off == 0:
        return forecast
    line = ForecastLine(key=ROUNDING_KEY, role="rounding", qty=Decimal(1), net=off, code=None)
    note = Adjustment(key=ROUNDING_KEY, what="rounding", before=ZERO, after=off, why=f"the total is rounded to {to}")
    return replace(
        forecast,
        lines=(*forecast.lines, line),
        rounding=forecast.rounding + off,
        total=wanted,
        adjustments=(*forecast.adjustments, note),
    )


def _rounding_apart(forecast: Forecast) -> Forecast:
    off = sum((line.net for line in forecast.lines if line.role == "rounding"), ZERO)
    return replace(forecast, net=forecast.net - off, rounding=off)


def forecast(lines: Sequence[PricedLine], terms: Terms) -> Forecast | Held:
    """What the vendor will make of the lines; Held where it cannot agree with the position's net or the charged
    total under the policy. Raises KeyError for a tax code without rates."""
    places = currency_places(terms.currency)
    plain = [
        ForecastLine(key=x.key, role=x.role, qty=x.qty, net=_amount(x, places), code=_known_code(x, terms))
        for x in lines
    ]
    shared = _discount_shares(plain, terms, places)
    agreed = shared if terms.prices_include_tax else _net_target(shared, terms, places)
    if isinstance(agreed, Held):
        return agreed
    made = _rounding_apart(_assembled(agreed, _reckon(agreed, terms, places), terms, places))
    if terms.prices_include_tax and terms.net is not None and made.net != terms.net:
        return _too_far("net of the lines", made.net, terms.net, terms.currency)
    made = replace(made, adjustments=_moved(shared, agreed))
    matched = _matched(made, terms, places)
    if isinstance(matched, Held):
        return matched
    return _rounded_total(matched, terms)


def _known_code(line: PricedLine, terms: Terms) -> str | None:
    if line.code is not None and line.code not in terms.rates:
        raise KeyError(line.code)
    return line.code


# --------------------------------------------------------------------------- refunds


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back for returned goods: `net` before their part of the order's discount, which is `discount`.
    total = net - discount + tax (+ rounding of the sale, with the last of it)."""

    returned: Mapping[str, Decimal]
    net: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal


def _back(sold: Forecast, earlier: Sequence[Refund], returned: Mapping[str, Decimal]) -> bool:
    """Whether with this return everything that was sold has come back."""
    back = {line.key: returned.get(line.key, ZERO) + sum((r.returned.get(line.key, ZERO) for r in earlier), ZERO)
            for line in sold.lines}  # fmt: skip
    return all(back[line.key] >= line.qty for line in sold.lines if line.role in ("item", "shipping", "charge"))


def _rest(sold: Forecast, earlier: Sequence[Refund], returned: Mapping[str, Decimal]) -> Refund:
    gross = sum((x.net for x in sold.lines if x.role not in ("discount", "rounding")), ZERO)
    off = -sum((x.net for x in sold.lines if x.role == "discount"), ZERO)
    return Refund(
        returned=dict(returned),
        net=gross - sum((r.net for r in earlier), ZERO),
        discount=off - sum((r.discount for r in earlier), ZERO),
        tax=sold.tax - sum((r.tax for r in earlier), ZERO),
        total=sold.total - sum((r.total for r in earlier), ZERO),
    )


def refund(sold: Forecast, returned: Mapping[str, Decimal], rates: TaxRates, earlier: Sequence[Refund] = ()) -> Refund:
    """What goes back for `returned` (line key -> quantity) of a sale. The return of the last piece gives back
    exactly what is left of the total, so that refunds never end a cent away from what was charged."""
    if _back(sold, earlier, returned):
        return _rest(sold, earlier, returned)
    places = currency_places(sold.currency)
    shown = any(line.role == "discount" for line in sold.lines)
    net = off = tax = ZERO
    for line in sold.lines:
        part = returned.get(line.key, ZERO) / line.qty if line.qty != 0 else ZERO
        line_net, line_off = (
            to_places(line.net * part, places),
            to_places(line.share * part, places) if shown else ZERO,
        )
        rate = _code_rate(_parts(line.code, rates))
        net, off, tax = net + line_net, off + line_off, tax + (line_net - line_off) * rate / 100
    tax = to_places(tax, places)
    return Refund(returned=dict(returned), net=net, discount=off, tax=tax, total=net - off + tax)
