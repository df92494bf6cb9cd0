"""Slack's chart block as a picture: where each bar, line and slice goes. The template draws it, and lists the same
figures in a table for those who do not see it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from bot.sandbox.world import Json

WIDTH, HEIGHT = 460.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 8.0, 10.0, 40.0


class Mark(msgspec.Struct, frozen=True):
    """Something drawn: an SVG path of one series, and what it says."""

    path: str
    series: int
    says: str
    kind: str = "solid"


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    kind: str
    marks: list[Mark]
    ticks: list[tuple[float, str]]
    categories: list[tuple[float, list[str]]]
    legend: list[str]
    header: list[str]
    rows: list[list[str]]
    x_label: str = ""
    y_label: str = ""
    zero: float = HEIGHT - BOTTOM


def figure(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def two_lines(label: str) -> list[str]:
    """A category's label, broken near its middle if it is long."""
    breaks = [at for at, letter in enumerate(label) if letter == " "]
    if len(label) <= 9 or not breaks:
        return [label]
    middle = min(breaks, key=lambda at: abs(at - len(label) / 2))
    return [label[:middle].rstrip(" -"), label[middle:].lstrip(" -")]


def draw(block: Json) -> Drawing:
    chart = block["chart"]
    return _pie(block["title"], chart["segments"]) if chart["type"] == "pie" else _plot(block["title"], chart)


def _pie(title: str, segments: Sequence[Json]) -> Drawing:
    total = sum(one["value"] for one in segments)
    marks, start = [], 0.0
    for index, one in enumerate(segments):
        end = start + one["value"] / total
        says = f"{one['label']}: {figure(one['value'])} ({one['value'] / total:.0%})"
        marks.append(Mark(_slice(start, end), index, says))
        start = end
    rows = [[one["label"], figure(one["value"]), f"{one['value'] / total:.1%}"] for one in segments]
    return Drawing(
        title=title,
        kind="pie",
        marks=marks,
        ticks=[],
        categories=[],
        legend=[one["label"] for one in segments],
        header=["Segment", "Value", "Share"],
        rows=rows,
    )


def _slice(start: float, end: float) -> str:
    middle_x, middle_y, radius = WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 10
    if end - start > 0.9999:
        half = f"a{radius},{radius} 0 1 1 {{0}},0 "
        return f"M{middle_x - radius},{middle_y} {half.format(2 * radius)}{half.format(-2 * radius)}Z"

    def at(share: float) -> str:
        angle = 2 * math.pi * share - math.pi / 2
        return f"{middle_x + radius * math.cos(angle):.1f},{middle_y + radius * math.sin(angle):.1f}"

    large = int(end - start > 0.5)
    return f"M{middle_x},{middle_y} L{at(start)} A{radius},{radius} 0 {large} 1 {at(end)} Z"


def nice_step(span: float, most: int = 5) -> float:
    """1, 2 or 5 times a power of ten, so that at most so many steps cover the span."""
    power = 10 ** math.floor(math.log10(span / most)) if span > 0 else 1.0
    return next((power * factor for factor in (1, 2, 5, 10) if power * factor * most >= span), power * 10)


def _plot(title: str, chart: Json) -> Drawing:
    categories: list[str] = chart["axis_config"]["categories"]
    series = [(one["name"], _in_order(one["data"], categories)) for one in chart["series"]]
    values = [value for _, points in series for value in points]
    low, high = min(0.0, *values), max(0.0, *values)
    step = nice_step((high - low) or 1.0)
    floor, ceiling = math.floor(low / step) * step, max(math.ceil(high / step) * step, step if low == 0 else 0.0)
    scale = Scale(floor, ceiling, len(categories))
    painters = {"bar": _bars, "line": _line, "area": _area}
    count = round((ceiling - floor) / step)
    return Drawing(
        title=title,
        kind=chart["type"],
        marks=[mark for index in range(len(series)) for mark in painters[chart["type"]](scale, series, index)],
        ticks=[(scale.y(floor + n * step), figure(floor + n * step)) for n in range(count + 1)],
        categories=[(scale.x(index), two_lines(label)) for index, label in enumerate(categories)],
        legend=[name for name, _ in series],
        header=[chart["axis_config"].get("x_label") or "", *(name for name, _ in series)],
        rows=[[label, *(figure(points[n]) for _, points in series)] for n, label in enumerate(categories)],
        x_label=chart["axis_config"].get("x_label", ""),
        y_label=chart["axis_config"].get("y_label", ""),
        zero=scale.y(0.0),
    )


def _in_order(data: Sequence[Json], categories: Sequence[str]) -> list[float]:
    by_label = {point["label"]: float(point["value"]) for point in data}
    return [by_label[label] for label in categories]


class Scale(msgspec.Struct, frozen=True):
    """From figures to places in the picture."""

    floor: float
    ceiling: float
    count: int

    def y(self, value: float) -> float:
        share = (value - self.floor) / (self.ceiling - self.floor)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    @property
    def slot(self) -> float:
        return (WIDTH - LEFT - RIGHT) / self.count

    def x(self, index: int) -> float:
        return round(LEFT + self.slot * (index + 0.5), 1)


Series = Sequence[tuple[str, Sequence[float]]]


def _bars(scale: Scale, series: Series, index: int) -> list[Mark]:
    name, values = series[index]
    width = scale.slot * 0.72 / len(series)
    first = -scale.slot * 0.36 + index * width
    marks = []
    for n, value in enumerate(values):
        x, y, zero = scale.x(n) + first, scale.y(value), scale.y(0.0)
        path = f"M{x:.1f},{zero} V{y} h{max(width - 1.5, 1):.1f} V{zero} Z"
        marks.append(Mark(path, index, f"{name}: {figure(value)}"))
    return marks


def _outline(scale: Scale, values: Sequence[float]) -> str:
    return " ".join(f"{'L' if n else 'M'}{scale.x(n)},{scale.y(value)}" for n, value in enumerate(values))


def _line(scale: Scale, series: Series, index: int) -> list[Mark]:
    name, values = series[index]
    dots = [
        Mark(f"M{scale.x(n) - 3},{scale.y(v)} a3,3 0 1 0 6,0 a3,3 0 1 0 -6,0", index, f"{name}: {figure(v)}")
        for n, v in enumerate(values)
    ]
    return [Mark(_outline(scale, values), index, name, "line"), *dots]


def _area(scale: Scale, series: Series, index: int) -> list[Mark]:
    name, values = series[index]
    zero = scale.y(0.0)
    closing = f" L{scale.x(len(values) - 1)},{zero} L{scale.x(0)},{zero} Z"
    return [
        Mark(_outline(scale, values) + closing, index, name, "area"),
        Mark(_outline(scale, values), index, name, "line"),
    ]
