"""Block Kit as strict as Slack: a payload is taken whole or refused whole, with the place named."""

from __future__ import annotations

import json
from typing import Any

from bot.sandbox.refusal import Refusal
from bot.sandbox.rules.blocks import check_blocks
from bot.sandbox.rules.found import Found, Surface, shape, string
from bot.sandbox.rules.tables import text_in
from bot.sandbox.rules.texts import plain

# Undocumented: 12,000 characters "with a buffer", found at about 13,200 by users (github.com/slackapi/bolt-js
# issues 2509 and 2867). The sandbox takes the lower number, which Slack has been seen to keep.
BLOCKS_TEXT = 12_000
VIEW_BYTES = 250_000  # https://docs.slack.dev/reference/methods/views.open: view_too_large above 250 kB
ATTACHMENTS = 100


def block_findings(blocks: Any, surface: Surface = "message") -> list[str]:
    """What Slack would say about these blocks; nothing if it takes them."""
    found = Found(surface)
    check_blocks(found, "/blocks", blocks)
    return found.lines


def require_blocks(blocks: Any, attachments: Any) -> None:
    """Refuse a message's blocks and attachments: invalid_blocks, invalid_attachments, too_many_attachments,
    msg_blocks_too_long."""
    found = Found("message")
    check_blocks(found, "/blocks", blocks)
    _attachments(found, attachments)
    if found.lines:
        raise Refusal(min(found.codes, default="invalid_blocks"), found.lines)
    if sum(text_in(block) for block in blocks if block["type"] not in ("table", "data_table")) > BLOCKS_TEXT:
        raise Refusal("msg_blocks_too_long")


def _attachments(found: Found, attachments: Any) -> None:
    if not isinstance(attachments, list):
        raise Refusal("invalid_attachments", ["must provide an array [json-pointer:/attachments]"])
    if len(attachments) > ATTACHMENTS:
        raise Refusal("too_many_attachments")
    before = len(found.lines)
    for index, attachment in enumerate(attachments):
        if isinstance(attachment, dict) and "blocks" in attachment:
            check_blocks(found, f"/attachments/{index}/blocks", attachment["blocks"])
    if len(found.lines) > before:
        found.codes.add("invalid_attachments")


_LINES = {"private_metadata": string(3000), "callback_id": string(255), "external_id": string(255)}


def view_findings(view: Any) -> list[str]:
    """What Slack would say about a modal or a Home tab (`/view/...`)."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return ["unsupported type [json-pointer:/view/type]"]
    found = Found(view["type"])
    check_view = _check_modal if view["type"] == "modal" else _check_home
    check_view(found, view)
    check_blocks(found, "/view/blocks", view.get("blocks"), 0 if view["type"] == "home" else 1)
    return found.lines


def _not_here(found: Found, at: str, value: Any) -> None:
    """Blocks are looked at apart."""


def _flag(found: Found, at: str, value: Any) -> None:
    if not isinstance(value, bool):
        found.say(at, "must provide a boolean")


def _check_modal(found: Found, view: dict[str, Any]) -> None:
    fields = {
        **_LINES,
        "title": plain(24),
        "submit": plain(24),
        "close": plain(24),
        "blocks": _not_here,
        "clear_on_close": _flag,
        "notify_on_close": _flag,
        "submit_disabled": _flag,
    }
    shape(fields, needs=("title", "blocks"))(found, "/view", view)
    blocks = view.get("blocks")
    inputs = isinstance(blocks, list) and any(isinstance(b, dict) and b.get("type") == "input" for b in blocks)
    if inputs and view.get("submit") is None:
        found.say("/view", "missing required field: submit")


def _check_home(found: Found, view: dict[str, Any]) -> None:
    shape({**_LINES, "blocks": _not_here}, needs=("blocks",))(found, "/view", view)


def require_view(view: Any) -> None:
    """Refuse a view: view_too_large, invalid_arguments with the places named."""
    if len(json.dumps(view).encode()) > VIEW_BYTES:
        raise Refusal("view_too_large")
    lines = view_findings(view)
    if lines:
        raise Refusal("invalid_arguments", lines)
