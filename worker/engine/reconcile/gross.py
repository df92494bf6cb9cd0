"""Bridges 1 and 2 added up by currency, then in home currency: won -> invoiced net -> invoiced gross."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from connectors.canon.records import Invoice, Kind, TaxLine
from connectors.canon.values import Money
from connectors.kit.contract import Count
from worker.engine.reconcile.index import SMALL_UNITS, ZERO, Index
from worker.engine.reconcile.report import Bridge, BridgeLine, Category
from worker.engine.reconcile.won_invoiced import Start, WonInvoiced
from worker.engine.settlement import known


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge's end: as read from the mirror, and as the vendor says."""

    read: Decimal
    count: int
    independent: Decimal | None


def by_category(items: Iterable[tuple[Category, str, Decimal]]) -> tuple[BridgeLine, ...]:
    """Sums by category and label, in the order of the categories."""
    sums: dict[tuple[Category, str], list[Decimal]] = defaultdict(list)
    for category, label, amount in items:
        sums[category, label].append(amount)
    order = list(Category)
    return tuple(
        BridgeLine(category=category, label=label, amount=sum(amounts, ZERO), count=len(amounts))
        for (category, label), amounts in sorted(sums.items(), key=lambda row: (order.index(row[0][0]), row[0][1]))
    )


def unexplained(independent: Decimal | None, expected: Decimal) -> Decimal | None:
    return None if independent is None else independent - expected


def count_of(index: Index, kind: Kind) -> Count | None:
    figures = index.ledger.figures
    return next((c for c in figures.counts if c.kind is kind), None) if figures is not None else None


def _in_currency(money: Money | None, currency: str) -> Decimal | None:
    return money.amount if money is not None and money.currency == currency else None


# --------------------------------------------------------------------------- bridge 1


def _net_told(index: Index, currency: str) -> Decimal | None:
    """The vendor's own net of a currency's invoices; a currency that it does not list has none. A vendor that
    reports in home currency alone (QuickBooks) tells one figure for all: it checks the home bridge only."""
    figures = index.ledger.figures
    if figures is None or not figures.invoiced_net:
        return None
    count = count_of(index, Kind.INVOICE)
    whole = _in_currency(count.net, index.home) if count is not None else None
    if len(index.currencies()) > 1 and figures.invoiced_net == {index.home: whole}:
        return None
    return figures.invoiced_net.get(currency, ZERO)


def _net_told_home(index: Index) -> Decimal | None:
    count = count_of(index, Kind.INVOICE)
    told = _in_currency(count.net, index.home) if count is not None else None
    if told is None and set(index.currencies()) == {index.home}:
        return _net_told(index, index.home)
    return told


def _home_net(index: Index, invoice: Invoice) -> Decimal:
    rate = index.rate(invoice)
    return index.in_home(known(invoice.net), rate) if rate is not None else ZERO


def _rounding_of_conversion(
    read: Decimal, expected: Decimal, documents: int
) -> tuple[tuple[Category, str, Decimal], ...]:
    """The cents that converting each line by itself leaves; more than that stays unexplained."""
    away = read - expected
    if away == 0 or abs(away) > Decimal(SMALL_UNITS).scaleb(-2) * documents:
        return ()
    return ((Category.ROUNDING, "rounding of conversion", away),)


def _won_bridge(
    currency: str,
    home: bool,
    starts: Sequence[tuple[str, Decimal]],
    rows: Sequence[tuple[Category, str, Decimal]],
    end: Total,
) -> Bridge:
    start = sum((amount for _, amount in starts), ZERO)
    expected = start + sum((amount for _, _, amount in rows), ZERO)
    return Bridge(
        number=1,
        title="Won to invoiced, net",
        currency=currency,
        home=home,
        start_label="won, net",
        start=start,
        start_count=len({deal for deal, _ in starts}),
        lines=by_category(rows),
        end_label="invoiced, net",
        expected=expected,
        read=end.read,
        read_count=end.count,
        independent=end.independent,
        unexplained=unexplained(end.independent, expected),
    )


def _won_in(index: Index, found: WonInvoiced, currency: str, *, home: bool) -> Bridge:
    starts = [(s.deal, s.amount.amount) for s in found.starts if s.amount.currency == currency]
    rows = [(i.category, str(i.category), i.amount.amount) for i in found.items if i.amount.currency == currency]
    documents = [i for i in index.posted if index.currency(i) == currency]
    read = sum((known(i.net) for i in documents), ZERO)
    end = Total(read=read, count=len(documents), independent=_net_told(index, currency))
    return _won_bridge(currency, home, starts, rows, end)


def _won_home(index: Index, found: WonInvoiced) -> Bridge:
    starts = [(s.deal, s.home) for s in found.starts if s.home is not None]
    rows = [(i.category, str(i.category), i.home) for i in found.items if i.home is not None]
    read = sum((_home_net(index, i) for i in index.posted), ZERO)
    expected = sum((a for _, a in starts), ZERO) + sum((a for _, _, a in rows), ZERO)
    foreign = sum(1 for i in index.posted if index.currency(i) != index.home)
    rows += _rounding_of_conversion(read, expected, foreign)
    end = Total(read=read, count=len(index.posted), independent=_net_told_home(index))
    return _won_bridge(index.home, True, starts, rows, end)


def unconverted(starts: Iterable[Start]) -> dict[str, tuple[int, Decimal]]:
    """Deals left out of the home bridge for want of a rate: currency -> (deals, net)."""
    deals: dict[str, set[str]] = defaultdict(set)
    nets: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for start in starts:
        if start.home is None:
            deals[start.amount.currency].add(start.deal)
            nets[start.amount.currency] += start.amount.amount
    return {currency: (len(refs), nets[currency]) for currency, refs in deals.items()}


# --------------------------------------------------------------------------- bridge 2


def _taxes(invoice: Invoice) -> list[tuple[str, Decimal]]:
    """The document's tax by code; what the codes do not add up to stands under "tax"."""
    told: tuple[TaxLine, ...] = () if isinstance(invoice.taxes, msgspec.UnsetType) else invoice.taxes
    rows = [(line.code, line.tax) for line in told if line.tax != 0]
    rest = known(invoice.tax) - sum((tax for _, tax in rows), ZERO)
    return [*rows, ("tax", rest)] if rest != 0 else rows


def _gross_bridge(index: Index, documents: Sequence[Invoice], currency: str, *, home: bool, alone: bool) -> Bridge:
    """`alone`: the only currency, so that the vendor's home total checks it."""

    def amount(invoice: Invoice, value: Decimal) -> Decimal:
        rate = index.rate(invoice) if home else Decimal(1)
        return index.in_home(value, rate) if rate is not None else ZERO

    start = sum((amount(i, known(i.net)) for i in documents), ZERO)
    rows = [(Category.TAX, code, amount(i, tax)) for i in documents for code, tax in _taxes(i)]
    read = sum((amount(i, known(i.total)) for i in documents), ZERO)
    expected = start + sum((tax for _, _, tax in rows), ZERO)
    if home and not alone:
        extra = _rounding_of_conversion(read, expected, sum(1 for i in documents if index.currency(i) != index.home))
        rows += extra
        expected += sum((away for _, _, away in extra), ZERO)
    count = count_of(index, Kind.INVOICE)
    independent = _in_currency(count.total, currency) if count is not None and home else None
    return Bridge(
        number=2,
        title="Net to gross",
        currency=currency,
        home=home,
        start_label="invoiced, net",
        start=start,
        start_count=len(documents),
        lines=by_category(rows),
        end_label="invoiced, gross",
        expected=expected,
        read=read,
        read_count=len(documents),
        independent=independent,
        unexplained=unexplained(independent, expected),
    )


# --------------------------------------------------------------------------- both


def net_and_gross(index: Index, found: WonInvoiced) -> tuple[Bridge, ...]:
    """Bridges 1 and 2, for each currency, then in home currency. With one currency the two are the same."""
    currencies = index.currencies()
    if len(currencies) == 1:
        only = currencies[0]
        return (
            _won_in(index, found, only, home=True),
            _gross_bridge(index, index.posted, only, home=True, alone=True),
        )
    bridges: list[Bridge] = []
    for currency in currencies:
        documents = [i for i in index.posted if index.currency(i) == currency]
        bridges.append(_won_in(index, found, currency, home=False))
        bridges.append(_gross_bridge(index, documents, currency, home=False, alone=False))
    bridges.append(_won_home(index, found))
    bridges.append(_gross_bridge(index, index.posted, index.home, home=True, alone=False))
    return tuple(bridges)
