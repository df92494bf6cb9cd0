"""Won, invoiced and paid by week: the figures under the report's chart, in home currency."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from connectors.canon.values import Money
from worker.engine.reconcile.index import ZERO, Index
from worker.engine.reconcile.ledger import Period
from worker.engine.reconcile.report import Week
from worker.engine.reconcile.won_invoiced import WonInvoiced
from worker.engine.settlement import day, known


def spans(period: Period) -> tuple[Period, ...]:
    """The period's weeks, Monday to Sunday, cut at its ends."""
    found, start = [], period.start
    while start <= period.end:
        end = min(start + timedelta(days=6 - start.weekday()), period.end)
        found.append(Period(start, end))
        start = end + timedelta(days=1)
    return tuple(found)


def _by_week(rows: Iterable[tuple[date | None, Decimal]], weeks: tuple[Period, ...]) -> list[Decimal]:
    sums = [ZERO for _ in weeks]
    first = weeks[0].start - timedelta(days=weeks[0].start.weekday())
    for on, amount in rows:
        if on is not None and weeks[0].start <= on <= weeks[-1].end:
            sums[(on - first).days // 7] += amount
    return sums


def weeks(index: Index, found: WonInvoiced) -> tuple[Week, ...]:
    """Net won by the day of the win, net invoiced by the document's date, cash by the day it came."""
    parts = spans(index.period)
    won = _by_week(((index.deals[s.deal].won_on, s.home) for s in found.starts if s.home is not None), parts)
    invoiced = _by_week(
        ((day(i.date), index.in_home(known(i.net), index.rate(i) or ZERO)) for i in index.posted), parts
    )
    cash = [
        (day(p.date), index.in_home(p.amount.amount, index.payment_rate(p) or ZERO))
        for p in index.ledger.payments
        if p.state == "posted" and isinstance(p.amount, Money)
    ]
    paid = _by_week(cash, parts)
    return tuple(
        Week(start=part.start, end=part.end, won=won[n], invoiced=invoiced[n], paid=paid[n])
        for n, part in enumerate(parts)
    )
