"""Won, invoiced and paid by week, as Slack's own chart block takes it (block `data_visualization`, type bar)."""

from __future__ import annotations

import msgspec

from worker.engine.reconcile import Report, Week
from worker.reports.tables import period_name

# docs.slack.dev, data_visualization block: title and axis labels up to 50 characters, series names and categories
# up to 20, at most 20 points a series.
TITLE, LABEL, POINTS = 50, 20, 20


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars by week in home currency. `values` are for the picture alone: the money stands in the report."""

    title: str
    y_label: str
    categories: tuple[str, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]


def _category(week: Week) -> str:
    return f"{week.start:%d %b} - {week.end:%d %b}"[:LABEL]


def chart(report: Report) -> Chart:
    """The last twenty weeks of the period at most."""
    weeks = report.weeks[-POINTS:]
    return Chart(
        title=f"Won, invoiced, paid by week, {period_name(report.header.period)}"[:TITLE],
        y_label=report.home_currency,
        categories=tuple(_category(week) for week in weeks),
        series=(
            ("Won", tuple(float(week.won) for week in weeks)),
            ("Invoiced", tuple(float(week.invoiced) for week in weeks)),
            ("Paid", tuple(float(week.paid) for week in weeks)),
        ),
    )


def block(data: Chart) -> dict[str, object]:
    """The block, as plain JSON."""
    return {
        "type": "data_visualization",
        "title": data.title,
        "chart": {
            "type": "bar",
            "series": [
                {
                    "name": name,
                    "data": [
                        {"label": label, "value": value} for label, value in zip(data.categories, values, strict=True)
                    ],
                }
                for name, values in data.series
            ],
            "axis_config": {"categories": list(data.categories), "y_label": data.y_label},
        },
    }
