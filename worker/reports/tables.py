"""A reconciliation as text: the headline, the short table for a phone, and the long one for the thread."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tabulate import tabulate

from connectors.canon.values import currency_places, to_places
from worker.engine.reconcile import Bridge, BridgeLine, Category, Item, Period, Report

LABEL_WIDTH = 22  # with a figure of 12 and the gaps, a phone's 40 characters of code block
SHOWN = 3  # faults in the headline; the rest is in the table of checks


def amount(value: Decimal, currency: str) -> str:
    """1,234.50, with the currency's places."""
    return f"{to_places(value, currency_places(currency)):,}"


def period_name(period: Period) -> str:
    """ "October 2026" for a whole month, else both days."""
    last = calendar.monthrange(period.start.year, period.start.month)[1]
    if period.start.day == 1 and period.end == period.start.replace(day=last):
        return f"{calendar.month_name[period.start.month]} {period.start.year}"
    return f"{period.start} to {period.end}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# --------------------------------------------------------------------------- headline


def _off(report: Report) -> str:
    """What is wrong: how much of which bridge nobody explains, else what was not read."""
    for bridge in report.bridges:
        if not bridge.ties:
            away = bridge.unexplained if bridge.unexplained is not None else bridge.read - bridge.expected
            left = f"{bridge.currency} {amount(away, bridge.currency)} unexplained"
            return f"does not tie: {left} in {bridge.title.lower()}"
    failed = [check.what for check in report.completeness.checks if check.passed is False]
    for series in report.completeness.series:
        kind = series.kind.replace("_", " ")
        failed += [f"{kind} {n} missing" for n in series.gaps] + [f"{kind} {n} twice" for n in series.repeats]
    shown = ", ".join(failed[:SHOWN])
    return f"is not complete: {shown}" + (f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else "")


def _verdict(report: Report) -> str:
    checked = any(bridge.unexplained is not None for bridge in report.bridges)
    return "explained in full" if checked else "adds up, not independently checked"


def to_bill(report: Report) -> dict[str, Decimal]:
    """What has no document and should have, by currency, as a positive amount."""
    sums: dict[str, Decimal] = {}
    for item in (*report.items, *report.carried):
        if item.category is Category.MISSING:
            sums[item.amount.currency] = sums.get(item.amount.currency, Decimal(0)) - item.amount.amount
    return {currency: total for currency, total in sums.items() if total != 0}


def headline(report: Report) -> str:
    """One line that is enough by itself: whether the period ties, what is to bill, what is open."""
    if report.header.trail_break is not None:
        return f"{_tied(report)} The audit trail does not hold: {report.header.trail_break}."
    return _tied(report)


def _tied(report: Report) -> str:
    name = period_name(report.header.period)
    if not report.ties or not report.completeness.whole:
        return f"{name} {_off(report)}."
    bill = ", ".join(f"{currency} {amount(total, currency)}" for currency, total in to_bill(report).items())
    open_items = _plural(len(report.open_items), "item")
    tail = f"{bill} to bill, {open_items} open." if bill else f"Nothing to bill, {open_items} open."
    return f"{name}, {report.header.status}: {_verdict(report)}. {tail}"


# --------------------------------------------------------------------------- the short table


def _table(rows: Sequence[Sequence[str]]) -> str:
    width = max(len(row) for row in rows)
    align = ("left", "right", "left")[:width]
    return tabulate(rows, tablefmt="plain", colalign=align, disable_numparse=True)


def _label(text: str) -> str:
    return text if len(text) <= LABEL_WIDTH else f"{text[: LABEL_WIDTH - 3]}..."


def _sum(bridge: Bridge, categories: Sequence[Category]) -> tuple[Decimal, int]:
    lines = [line for line in bridge.lines if line.category in categories]
    return sum((line.amount for line in lines), Decimal(0)), sum(line.count for line in lines)


def _won_rows(report: Report, bridge: Bridge) -> list[list[str]]:
    currency = bridge.currency
    shown = {Category.MISSING: "to bill", Category.WAITING: "waiting"}
    rows = [["won, net", amount(bridge.start, currency), _plural(bridge.start_count, "deal")]]
    for category, label in shown.items():
        total, count = _sum(bridge, [category])
        if count:
            rows.append([label, amount(total, currency), _plural(count, "deal")])
    rest, items = _sum(bridge, [c for c in Category if c not in shown])
    if items:
        rows.append(["later, cut-off, other", amount(rest, currency), _plural(items, "item")])
    end = bridge.independent if bridge.independent is not None else bridge.read
    rows.append([_label(f"invoiced, {report.header.books}"), amount(end, currency), str(bridge.read_count)])
    return rows


def _headed(report: Report, bridge: Bridge) -> list[list[str]]:
    """The rows of a currency, with a line of its own where it is not the home currency."""
    rows = _won_rows(report, bridge)
    return rows if bridge.currency == report.home_currency else [[bridge.currency, "", ""], *rows]


def _receivable_rows(report: Report) -> list[list[str]]:
    home = report.home_currency
    bridge = report.bridge(3)
    rows = [[f"A/R {report.header.period.end}", amount(bridge.expected, home), ""]]
    if bridge.independent is not None:
        rows.append(["control account", amount(bridge.independent, home), ""])
    if bridge.unexplained is not None:
        rows.append(["unexplained", amount(bridge.unexplained, home), ""])
    else:
        rows.append(["", "not checked", ""])
    overdue = sum((d.home for d in report.ageing.documents if d.days_overdue > 0), Decimal(0))
    late = sum(1 for d in report.ageing.documents if d.days_overdue > 0)
    rows.append(["overdue", amount(overdue, home), str(late)])
    rows.append(["unapplied", amount(report.ageing.unapplied, home), ""])
    return rows


def short(report: Report) -> str:
    """Three columns at most, about 40 characters wide: won to invoiced for each currency, then receivables."""
    mine = [b for b in report.bridges if b.number == 1 and (not b.home or _alone(report))]
    rows = [row for bridge in mine for row in _headed(report, bridge)]
    return _table([*rows, *_receivable_rows(report)])


def _alone(report: Report) -> bool:
    return sum(1 for bridge in report.bridges if bridge.number == 1) == 1


# --------------------------------------------------------------------------- the long table


def _line_label(line: BridgeLine) -> str:
    return f"tax {line.label}" if line.category is Category.TAX else line.label


def _bridge_rows(bridge: Bridge) -> list[list[str]]:
    currency = bridge.currency
    rows = [[bridge.start_label, amount(bridge.start, currency), str(bridge.start_count) if bridge.start_count else ""]]
    rows += [[_line_label(line), amount(line.amount, currency), str(line.count)] for line in bridge.lines]
    rows.append([f"= {bridge.end_label}, expected", amount(bridge.expected, currency), ""])
    if bridge.independent is None or bridge.unexplained is None:
        rows.append(["read", amount(bridge.read, currency), str(bridge.read_count)])
        rows.append(["not independently checked", "", ""])
        return rows
    rows.append([f"{bridge.source or bridge.end_label}, by the books", amount(bridge.independent, currency), ""])
    rows.append(["unexplained", amount(bridge.unexplained, currency), ""])
    return rows


def bridge_table(bridge: Bridge) -> str:
    """One bridge with all its lines."""
    over = ", all currencies" if bridge.home else ""
    return f"{bridge.number}  {bridge.title}, {bridge.currency}{over}\n{_table(_bridge_rows(bridge))}"


def bridges(report: Report) -> str:
    """All bridges, one under the other."""
    return "\n\n".join(bridge_table(bridge) for bridge in report.bridges)


def _item_row(item: Item) -> list[str]:
    age = f"{item.age_days} d" if item.age_days is not None else ""
    return [item.category, item.label, item.customer, str(item.amount), age, item.closes_by]


def items(report: Report, limit: int = 20) -> str:
    """The open items, largest first, for the thread; the rest is in the workbook."""
    found = sorted(report.open_items, key=lambda item: abs(item.amount.amount), reverse=True)
    if not found:
        return "No open items."
    head = ["category", "record", "customer", "amount", "age", "closes by"]
    align = ("left", "left", "left", "right", "right", "left")
    text = tabulate([_item_row(item) for item in found[:limit]], headers=head, colalign=align, disable_numparse=True)
    return text if len(found) <= limit else f"{text}\n({limit} of {len(found)}; all in the workbook)"


def header_rows(report: Report) -> list[tuple[str, str]]:
    """What a reader signs: who, what, as of when, in which version."""
    header = report.header
    return [
        ("Report", f"{header.crm} and {header.books}, {period_name(header.period)}"),
        ("Pair", header.pair),
        ("Period", f"{header.period.start} to {header.period.end}"),
        ("Time zone", header.zone),
        ("As of", _day(header.as_of)),
        ("Read at", header.read_at.isoformat(sep=" ", timespec="minutes")),
        ("Status", header.status),
        ("Version", str(header.version)),
        ("Mapping", header.mapping_version),
        ("Prepared by", header.prepared_by if header.prepared_by is not None else "not signed"),
        ("Reviewed by", header.reviewed_by if header.reviewed_by is not None else "not signed"),
        *([("Audit trail", trail(report))] if header.trail is not None else []),
    ]


def trail(report: Report) -> str:
    """The audit trail's head, by which a trail that was rewritten since is found out, and whether it holds."""
    header = report.header
    said = f"entry {header.trail}" if header.trail is not None else "not told"
    return said if header.trail_break is None else f"DOES NOT HOLD: {header.trail_break}; {said}"


def _day(day: date) -> str:
    return day.isoformat()
