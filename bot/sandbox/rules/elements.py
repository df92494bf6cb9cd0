"""Block elements and where each may stand. Source: https://docs.slack.dev/reference/block-kit/block-elements and
slack_sdk.models.blocks; multi-selects are refused in an actions block (seen in a live workspace, not in the docs)."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from bot.sandbox.rules.texts import (
    CONFIRM,
    DISPATCH,
    OPTION_GROUP,
    PLAIN_OPTION,
    RICH_OPTION,
    choosing,
    initial_is_offered,
    plain,
    text,
)

ACTION: Mapping[str, Rule] = {"action_id": string(255, 1), "confirm": CONFIRM, "focus_on_load": flag}
HINTED: Mapping[str, Rule] = {**ACTION, "placeholder": plain(150)}


def pattern(expression: str) -> Rule:
    def check(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, str) or re.fullmatch(expression, value) is None:
            found.say(at, "failed to match the expected format")

    return check


DAY, TIME = pattern(r"\d{4}-\d{2}-\d{2}"), pattern(r"\d{2}:\d{2}")
STYLE = enum("primary", "danger")

BUTTON = shape(
    {
        **ACTION,
        "text": plain(75),
        "url": string(3000),
        "value": string(2000),
        "style": STYLE,
        "accessibility_label": string(75),
    },
    needs=("text",),
)
IMAGE = shape(
    {"image_url": string(3000, 1), "alt_text": string(2000), "slack_file": anything},
    needs=("alt_text",),
    any_of=("image_url", "slack_file"),
)
_LISTS: Mapping[str, Rule] = {
    "options": items(PLAIN_OPTION, 100),
    "option_groups": items(OPTION_GROUP, 100),
}
_MANY: Mapping[str, Rule] = {"max_selected_items": whole(1)}
_FILTER: Mapping[str, Rule] = {
    "default_to_current_conversation": flag,
    "response_url_enabled": flag,
    "filter": anything,
}


def _select(kind: str) -> Rule:
    own: dict[str, Mapping[str, Rule]] = {
        "static": {**_LISTS, "initial_option": PLAIN_OPTION},
        "external": {"initial_option": PLAIN_OPTION, "min_query_length": whole(0)},
        "users": {"initial_user": string(255)},
        "conversations": {"initial_conversation": string(255), **_FILTER},
        "channels": {"initial_channel": string(255), "response_url_enabled": flag},
    }
    plain_shape = shape({**HINTED, **own[kind]})
    return both(plain_shape, choosing) if kind == "static" else plain_shape


def _multi(kind: str) -> Rule:
    own: dict[str, Mapping[str, Rule]] = {
        "static": {**_LISTS, "initial_options": items(PLAIN_OPTION, 100)},
        "external": {"initial_options": items(PLAIN_OPTION, 100), "min_query_length": whole(0)},
        "users": {"initial_users": items(string(255), 1000)},
        "conversations": {"initial_conversations": items(string(255), 1000), **_FILTER},
        "channels": {"initial_channels": items(string(255), 1000)},
    }
    plain_shape = shape({**HINTED, **_MANY, **own[kind]})
    return both(plain_shape, choosing) if kind == "static" else plain_shape


_KINDS = ("static", "external", "users", "conversations", "channels")
SELECTS: dict[str, Rule] = {f"{kind}_select": _select(kind) for kind in _KINDS}
MULTI: dict[str, Rule] = {f"multi_{kind}_select": _multi(kind) for kind in _KINDS}

CHECKBOXES = both(
    shape({**ACTION, "options": items(RICH_OPTION, 10), "initial_options": items(RICH_OPTION, 10)}, ("options",)),
    initial_is_offered,
)
RADIO = both(
    shape({**ACTION, "options": items(RICH_OPTION, 10), "initial_option": RICH_OPTION}, ("options",)),
    initial_is_offered,
)
CHOICES: dict[str, Rule] = {
    **SELECTS,
    "overflow": shape({**ACTION, "options": items(PLAIN_OPTION, 5)}, needs=("options",)),
    "checkboxes": CHECKBOXES,
    "radio_buttons": RADIO,
    "datepicker": shape({**HINTED, "initial_date": DAY}),
    "timepicker": shape({**HINTED, "initial_time": TIME, "timezone": string(100)}),
    "datetimepicker": shape({**ACTION, "initial_date_time": whole(1_000_000_000, 9_999_999_999)}),
}


_LINE: Mapping[str, Rule] = {**HINTED, "initial_value": string(3000), "dispatch_action_config": DISPATCH}


def _number_in_text(found: Found, at: str, value: Any) -> None:
    if not isinstance(value, str) or re.fullmatch(r"-?\d+(\.\d+)?", value) is None:
        found.say(at, "must provide a number as a string")


def _file_goes_in_modals(found: Found, at: str, value: Any) -> None:
    if found.surface != "modal":
        found.say(at, "unsupported element: file_input")


TYPED: dict[str, Rule] = {
    "plain_text_input": shape({**_LINE, "multiline": flag, "min_length": whole(0, 3000), "max_length": whole(1, 3000)}),
    "email_text_input": shape(_LINE),
    "url_text_input": shape(_LINE),
    "number_input": shape(
        {
            **_LINE,
            "is_decimal_allowed": flag,
            "initial_value": _number_in_text,
            "min_value": _number_in_text,
            "max_value": _number_in_text,
        },
        needs=("is_decimal_allowed",),
    ),
    "rich_text_input": shape({**HINTED, "initial_value": anything, "dispatch_action_config": DISPATCH}),
    "file_input": both(
        shape({"action_id": string(255, 1), "filetypes": items(string(20, 1), 100), "max_files": whole(1, 10)}),
        _file_goes_in_modals,
    ),
}

_FEEDBACK = shape({"text": plain(75), "value": string(2000), "accessibility_label": string(75)}, ("text", "value"))
FEEDBACK = shape(
    {"action_id": string(255, 1), "positive_button": _FEEDBACK, "negative_button": _FEEDBACK},
    needs=("positive_button", "negative_button"),
)
ICON_BUTTON = shape(
    {**ACTION, "icon": enum("trash"), "text": plain(75), "value": string(2000), "accessibility_label": string(75)},
    needs=("icon", "text"),
)

_UNSUPPORTED = "unsupported element"
IN_ACTIONS = by_type({"button": BUTTON, **CHOICES}, _UNSUPPORTED)
IN_SECTION = by_type({"button": BUTTON, "image": IMAGE, **CHOICES, **MULTI}, _UNSUPPORTED)
_INPUTS = {name: rule for name, rule in {**CHOICES, **MULTI, **TYPED}.items() if name != "overflow"}
IN_INPUT = by_type(_INPUTS, _UNSUPPORTED)
IN_CONTEXT = by_type({"image": IMAGE, "plain_text": plain(3000), "mrkdwn": text(3000)}, _UNSUPPORTED)
IN_CONTEXT_ACTIONS = by_type({"feedback_buttons": FEEDBACK, "icon_button": ICON_BUTTON}, _UNSUPPORTED)

__all__ = ["BUTTON", "IMAGE", "IN_ACTIONS", "IN_CONTEXT", "IN_CONTEXT_ACTIONS", "IN_INPUT", "IN_SECTION", "number"]
