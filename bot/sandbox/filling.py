"""Filling in a modal, and what Slack's own form refuses before the app hears of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.sandbox import picks
from bot.sandbox.refusal import CannotDo
from bot.sandbox.world import Json, View

REQUIRED = "Please complete this required field."


def inputs(view: View) -> Iterator[tuple[Json, Json]]:
    for block in view.blocks:
        if block["type"] == "input":
            yield block, block["element"]


def fill(view: View, values: Mapping[str, Any]) -> None:
    """Put values, by action id or block id, into the view's state. Raises CannotDo for one that nothing takes."""
    left = dict(values)
    for block, element in picks.elements(view.blocks):
        for name in (element["action_id"], block["block_id"]):
            if name in left and element["type"] != "button":
                typed = picks.state(element, left.pop(name))
                view.values.setdefault(block["block_id"], {})[element["action_id"]] = typed
                break
    if left:
        raise CannotDo(f"the modal has no input called {', '.join(sorted(left))}")


def complete(view: View) -> None:
    """Give every input that nobody touched its initial state."""
    for block, element in picks.elements(view.blocks):
        if element["type"] not in ("button", "overflow"):
            held = view.values.setdefault(block["block_id"], {})
            held.setdefault(element["action_id"], picks.initial(element))


def current(view: View, block: Json, element: Json) -> Json:
    """What stands in an input now."""
    held = view.values.get(block["block_id"], {}).get(element["action_id"])
    return picks.initial(element) if held is None else held


def refusals(view: View) -> dict[str, str]:
    """What Slack's form says under an input, by block id."""
    said: dict[str, str] = {}
    for block, element in inputs(view):
        value = picks.given(current(view, block, element))
        nothing = value is None or value == []
        missing = "" if block.get("optional") else REQUIRED
        wrong = missing if nothing else _wrong(element, value)
        if wrong:
            said[block["block_id"]] = wrong
    return said


def _wrong(element: Json, value: Any) -> str:
    match element["type"]:
        case "plain_text_input":
            return _wrong_length(element, value)
        case "number_input":
            return _wrong_number(element, value)
        case "email_text_input":
            return "" if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value) else "Please enter a valid email address."
        case "url_text_input":
            return "" if re.fullmatch(r"https?://\S+", value) else "Please enter a valid URL."
        case "datepicker":
            return "" if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) else "Please enter a valid date."
        case kind if kind.startswith("multi_") and len(value) > element.get("max_selected_items", 1000):
            return f"Please select at most {element['max_selected_items']}."
    return ""


def _wrong_length(element: Json, value: str) -> str:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if len(value) < least:
        return f"Please enter at least {least} characters."
    return f"Please enter at most {most} characters." if len(value) > most else ""


def _wrong_number(element: Json, value: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "Please enter a number."
    if not number.is_finite():
        return "Please enter a number."
    if not element["is_decimal_allowed"] and number != number.to_integral_value():
        return "Please enter a whole number."
    if "min_value" in element and number < Decimal(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and number > Decimal(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return ""
