"""Blocks: which exist, on which surface, and what each may hold.
Source: https://docs.slack.dev/reference/block-kit/blocks (limits as documented in 2026-09)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.sandbox.rules.elements import (
    BUTTON,
    IMAGE,
    IN_ACTIONS,
    IN_CONTEXT,
    IN_CONTEXT_ACTIONS,
    IN_INPUT,
    IN_SECTION,
)
from bot.sandbox.rules.found import (
    Found,
    Rule,
    Surface,
    anything,
    both,
    by_type,
    enum,
    flag,
    items,
    shape,
    string,
    whole,
)
from bot.sandbox.rules.tables import DATA_TABLE, DATA_VISUALIZATION, TABLE
from bot.sandbox.rules.texts import plain, text

ID: Mapping[str, Rule] = {"block_id": string(255, 1)}


def _unique_actions(place: str) -> Rule:
    def check(found: Found, at: str, value: Any) -> None:
        elements = value.get(place) if isinstance(value, dict) else None
        seen: set[Any] = set()
        for index, element in enumerate(elements if isinstance(elements, list) else []):
            action_id = element.get("action_id") if isinstance(element, dict) else None
            if action_id is not None and action_id in seen:
                found.say(f"{at}/{place}/{index}/action_id", f'action_id "{action_id}" already exists')
            seen.add(action_id)

    return check


def _markdown_total(found: Found, at: str, value: Any) -> None:
    """12,000 characters over all markdown blocks of a payload."""
    said = value.get("text") if isinstance(value, dict) else None
    found.counts["markdown"] += len(said) if isinstance(said, str) else 0
    if found.counts["markdown"] > 12_000:
        found.say(at, "markdown text must be less than 12001 characters in total")


def _dispatching_file(found: Found, at: str, value: Any) -> None:
    element = value.get("element") if isinstance(value, dict) else None
    if isinstance(element, dict) and element.get("type") == "file_input" and value.get("dispatch_action"):
        found.say(at, "file_input cannot dispatch an action")


SECTION = shape(
    {**ID, "text": text(3000), "fields": items(text(2000), 10), "accessory": IN_SECTION, "expand": flag},
    any_of=("text", "fields"),
)
ACTIONS = both(shape({**ID, "elements": items(IN_ACTIONS, 25)}, needs=("elements",)), _unique_actions("elements"))
CONTEXT = shape({**ID, "elements": items(IN_CONTEXT, 10)}, needs=("elements",))
CONTEXT_ACTIONS = shape({**ID, "elements": items(IN_CONTEXT_ACTIONS, 5)}, needs=("elements",))
HEADER = shape({**ID, "text": plain(150), "level": whole(1, 4)}, needs=("text",))
DIVIDER = shape(ID)
PICTURE = shape(
    {**ID, "image_url": string(3000, 1), "slack_file": anything, "alt_text": string(2000), "title": plain(2000)},
    needs=("alt_text",),
    any_of=("image_url", "slack_file"),
)
INPUT = both(
    shape(
        {
            **ID,
            "label": plain(2000),
            "element": IN_INPUT,
            "hint": plain(2000),
            "optional": flag,
            "dispatch_action": flag,
        },
        needs=("label", "element"),
    ),
    _dispatching_file,
)
_RICH_PARTS = by_type(
    {
        name: shape(
            {
                "elements": items(anything, 1000, 0),
                "style": anything,
                "indent": whole(0, 8),
                "border": whole(0, 1),
                "offset": whole(0),
                "language": string(100),
            },
            needs=("elements",),
        )
        for name in ("rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted")
    }
)
RICH_TEXT = shape({**ID, "elements": items(_RICH_PARTS, 1000)}, needs=("elements",))
MARKDOWN = both(shape({**ID, "text": string(12_000, 1)}, needs=("text",)), _markdown_total)
ALERT = shape(
    {**ID, "text": text(200), "level": enum("default", "info", "warning", "error", "success")}, needs=("text",)
)
CARD = shape(
    {
        **ID,
        "title": text(150),
        "subtitle": text(150),
        "body": text(200),
        "subtext": text(200),
        "actions": items(by_type({"button": BUTTON}, "unsupported element"), 3),
        "hero_image": IMAGE,
        "icon": IMAGE,
        "slack_icon": anything,
    },
    any_of=("hero_image", "title", "actions", "body"),
)
_TASK: Mapping[str, Rule] = {
    **ID,
    "task_id": string(255, 1),
    "title": string(3000, 1),
    "details": RICH_TEXT,
    "output": RICH_TEXT,
    "sources": items(anything, 100, 0),
}
_ENDED = ("in_progress", "complete", "error")
TASK_CARD = shape({**_TASK, "status": enum(*_ENDED)}, needs=("task_id", "title"))
_PLANNED = shape({**_TASK, "status": enum("pending", *_ENDED)}, needs=("task_id", "title"))
PLAN = shape({**ID, "title": string(3000, 1), "tasks": items(_PLANNED, 50)}, needs=("title",))

_SIMPLE: dict[str, Rule] = {
    "section": SECTION,
    "actions": ACTIONS,
    "context": CONTEXT,
    "header": HEADER,
    "divider": DIVIDER,
    "image": PICTURE,
    "rich_text": RICH_TEXT,
    "card": CARD,
}
_IN_MESSAGES: dict[str, Rule] = {
    "context_actions": CONTEXT_ACTIONS,
    "markdown": MARKDOWN,
    "table": TABLE,
    "data_table": DATA_TABLE,
    "data_visualization": DATA_VISUALIZATION,
    "plan": PLAN,
    "task_card": TASK_CARD,
    "carousel": shape({**ID, "elements": items(by_type({"card": CARD}), 10)}, needs=("elements",)),
}
_INNER = by_type({**_SIMPLE, **_IN_MESSAGES})
CONTAINER = shape(
    {
        **ID,
        "title": text(150),
        "rich_text_title": anything,
        "subtitle": text(150),
        "child_blocks": items(_INNER, 10),
        "width": enum("narrow", "standard", "wide", "full"),
        "is_collapsible": flag,
        "default_collapsed": flag,
        "has_header_divider": flag,
    },
    needs=("child_blocks",),
    any_of=("title", "rich_text_title"),
)
SURFACES: dict[Surface, Mapping[str, Rule]] = {
    "message": {**_SIMPLE, **_IN_MESSAGES, "input": INPUT, "container": CONTAINER},
    "modal": {**_SIMPLE, "input": INPUT, "alert": ALERT},
    "home": {**_SIMPLE, "input": INPUT, "data_table": DATA_TABLE, "carousel": _IN_MESSAGES["carousel"]},
}
MOST: dict[Surface, int] = {"message": 50, "modal": 100, "home": 100}


def _unique_block_ids(found: Found, at: str, blocks: Any) -> None:
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if isinstance(block_id, str) and block_id in found.block_ids:
            found.say(f"{at}/{index}/block_id", f'block_id "{block_id}" already exists')
        if isinstance(block_id, str):
            found.block_ids.add(block_id)


def check_blocks(found: Found, at: str, blocks: Any, least: int = 0) -> None:
    """All blocks of one payload, at `/blocks` or `/view/blocks`."""
    items(by_type(SURFACES[found.surface]), MOST[found.surface], least)(found, at, blocks)
    _unique_block_ids(found, at, blocks)
