"""Short ways to write Block Kit in tests."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def section(text: str = "Hello", **more: Any) -> Json:
    return {"type": "section", "text": mrkdwn(text), **more}


def button(text: str = "Apply", action_id: str = "apply", **more: Any) -> Json:
    return {"type": "button", "text": plain(text), "action_id": action_id, **more}


def actions(*elements: Json, **more: Any) -> Json:
    return {"type": "actions", "elements": list(elements), **more}


def option(text: str, value: str | None = None) -> Json:
    return {"text": plain(text), "value": text if value is None else value}


def asked(block_id: str, element: Json, **more: Any) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(block_id), "element": element, **more}


def line(block_id: str = "why", **more: Any) -> Json:
    return asked(block_id, {"type": "plain_text_input", "action_id": "typed", **more})


def modal(*blocks: Json, **more: Any) -> Json:
    shown = list(blocks) or [section()]
    return {
        "type": "modal",
        "title": plain("A modal"),
        "submit": plain("Go"),
        "blocks": shown,
        "callback_id": "m",
        **more,
    }


def table(rows: int, columns: int, text: str = "x") -> Json:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text}] * columns for _ in range(rows)]}


def bars(**more: Any) -> Json:
    series = [{"name": "Won", "data": [{"label": "Mon", "value": 3}, {"label": "Tue", "value": -1}]}]
    chart = {"type": "bar", "series": series, "axis_config": {"categories": ["Mon", "Tue"]}, **more}
    return {"type": "data_visualization", "title": "By day", "chart": chart}
