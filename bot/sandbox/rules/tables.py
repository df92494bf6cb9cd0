"""Tables and charts. Source: https://docs.slack.dev/reference/block-kit/blocks/table-block, data-table-block and
data-visualization-block. One table a message is the safe reading: see `one_table`."""

from __future__ import annotations

from typing import Any

from bot.sandbox.rules.found import (
    Found,
    Rule,
    anything,
    both,
    by_type,
    enum,
    flag,
    items,
    number,
    shape,
    string,
    whole,
)

RAW_TEXT = shape({"text": string(10_000, 1)}, needs=("text",))
RAW_NUMBER = shape({"value": number, "text": string(10_000, 1)}, needs=("value",))
RICH_CELL = shape({"elements": anything, "block_id": string(255)}, needs=("elements",))
CELL = by_type({"raw_text": RAW_TEXT, "raw_number": RAW_NUMBER, "rich_text": RICH_CELL})
HEADER_CELL = by_type({"raw_text": RAW_TEXT, "raw_number": RAW_NUMBER})


def text_in(value: Any) -> int:
    """Characters of all texts inside a block, wherever they stand."""
    if isinstance(value, list):
        return sum(text_in(item) for item in value)
    if not isinstance(value, dict):
        return 0
    own = value.get("text")
    inner = sum(text_in(item) for name, item in value.items() if name != "text" or not isinstance(item, str))
    return inner + (len(own) if isinstance(own, str) else 0)


def _cells(block: Any) -> int:
    return text_in(block.get("rows")) if isinstance(block, dict) else 0


def one_table(found: Found, at: str, value: Any) -> None:
    """A second table makes the whole message fail with `invalid_attachments`, only_one_table_allowed."""
    found.counts["tables"] += 1
    if found.counts["tables"] > 1:
        found.codes.add("invalid_attachments")
        found.say(at, "only_one_table_allowed")


def _few_characters(most: int) -> Rule:
    def check(found: Found, at: str, value: Any) -> None:
        if _cells(value) > most:
            found.say(at, f"table cells must be less than {most + 1} characters in total")

    return check


_COLUMN = shape({"align": enum("left", "center", "right"), "is_wrapped": flag})


def _column_setting(found: Found, at: str, value: Any) -> None:
    if value is not None:  # null skips a column
        _COLUMN(found, at, value)


TABLE = both(
    shape(
        {
            "block_id": string(255),
            "rows": items(items(CELL, 20), 100),
            "column_settings": items(_column_setting, 20, 0),
        },
        needs=("rows",),
    ),
    _few_characters(10_000),
    one_table,
)


def _rectangular(found: Found, at: str, value: Any) -> None:
    rows = value.get("rows") if isinstance(value, dict) else None
    widths = {len(row) for row in rows if isinstance(row, list)} if isinstance(rows, list) else set()
    if len(widths) > 1:
        found.say(f"{at}/rows", "all rows must have the same number of cells")
    if rows and isinstance(rows, list):
        items(HEADER_CELL, 20)(found, f"{at}/rows/0", rows[0])


DATA_TABLE = both(
    shape(
        {
            "block_id": string(255),
            "rows": items(items(CELL, 20), 201, 2),
            "caption": string(2000, 1),
            "page_size": whole(1, 100),
            "row_header_column_index": whole(0, 19),
        },
        needs=("rows", "caption"),
    ),
    _rectangular,
    _few_characters(20_000),
    one_table,
)


def _above_zero(found: Found, at: str, value: Any) -> None:
    number(found, at, value)
    if isinstance(value, (int, float)) and value <= 0:
        found.say(at, "must be greater than 0")


_SEGMENT = shape({"label": string(20, 1), "value": _above_zero}, needs=("label", "value"))
_POINT = shape({"label": string(20, 1), "value": number}, needs=("label", "value"))
_SERIES = shape({"name": string(20, 1), "data": items(_POINT, 20)}, needs=("name", "data"))
_AXIS = shape(
    {"categories": items(string(20, 1), 20), "x_label": string(50), "y_label": string(50)}, needs=("categories",)
)
PIE = shape({"segments": items(_SEGMENT, 12)}, needs=("segments",))
PLOT = shape({"series": items(_SERIES, 12), "axis_config": _AXIS}, needs=("series", "axis_config"))


def _series_agree(found: Found, at: str, chart: Any) -> None:
    """Runtime rules: unique series names, exactly one point for each category."""
    if not isinstance(chart.get("series"), list) or not isinstance(chart.get("axis_config"), dict):
        return
    series = [one for one in chart["series"] if isinstance(one, dict)]
    names = [one.get("name") for one in series]
    if len(set(names)) != len(names):
        found.say(f"{at}/series", "series names must be unique")
    categories = chart["axis_config"].get("categories") or []
    for index, one in enumerate(series):
        points = one.get("data")
        listed = points if isinstance(points, list) else []
        labels = [point.get("label") for point in listed if isinstance(point, dict)]
        if sorted(map(str, labels)) != sorted(map(str, categories)):
            found.say(f"{at}/series/{index}/data", "must contain exactly one entry for every category")


_PLOT = both(PLOT, _series_agree)
CHART = by_type({"pie": PIE, "bar": _PLOT, "line": _PLOT, "area": _PLOT})


def _two_charts(found: Found, at: str, value: Any) -> None:
    found.counts["charts"] += 1
    if found.counts["charts"] > 2:
        found.say(at, "no more than 2 data_visualization blocks allowed")


DATA_VISUALIZATION = both(
    shape({"block_id": string(255), "title": string(50, 1), "chart": CHART}, needs=("title", "chart")), _two_charts
)
