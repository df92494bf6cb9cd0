"""The parts that messages are made of, each folded to what Slack takes. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks (section text 3,000, 50 blocks a message, option value
150, button text 75), and 12,000 characters of block text a message, which Slack keeps without saying so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    InteractiveElement,
    MarkdownTextObject,
    Option,
    OverflowMenuElement,
    PlainTextObject,
    SectionBlock,
    TableBlock,
)
from tabulate import tabulate

Json: TypeAlias = dict[str, Any]

SECTION = 3_000
BLOCKS = 50
ALL_TEXT = 11_500
CELLS = 9_000
BUTTON = 75
TEXT = 3_900  # of 4,000 that chat.update takes


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """A message: `text` is the notification and what a screen reader says, `blocks` what is seen."""

    text: str
    blocks: list[Json] = []


def said(text: str, blocks: Sequence[Json | None]) -> Say:
    """A message inside Slack's limits: what is too much is folded, with a word about it."""
    kept = [block for block in blocks if block is not None]
    return Say(text=clipped(text, TEXT), blocks=_folded(kept))


def _folded(blocks: list[Json]) -> list[Json]:
    total = 0
    kept: list[Json] = []
    for block in blocks:
        total += 0 if block["type"] == "table" else _length(block)
        if total > ALL_TEXT or len(kept) == BLOCKS - 1:
            kept.append(context("There is more than a message holds; it is cut off here."))
            return kept
        kept.append(block)
    return kept


def _length(value: Any) -> int:
    if isinstance(value, list):
        return sum(_length(each) for each in value)
    if not isinstance(value, dict):
        return 0
    own = value.get("text")
    return (len(own) if isinstance(own, str) else 0) + sum(_length(each) for each in value.values())


def clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escaped(text: str) -> str:
    """Slack's three control characters (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quiet(text: str) -> str:
    """What a system or a person wrote, shown as it is: no mention, no link, no formatting. A zero-width space keeps
    a mark from formatting; an underscore inside a word never does."""
    return _MARK.sub("\u200b\\g<0>", escaped(text))


_MARK = re.compile(r"[*~`]|(?<!\w)_|_(?!\w)")


def person(name: str) -> str:
    """A Slack user as a mention, anybody else by name."""
    is_slack = len(name) >= 8 and name[0] in "UW" and name.isalnum() and name.isupper()
    return f"<@{name}>" if is_slack else quiet(name)


def people(names: str) -> str:
    """Several, as a plan has them: separated by commas."""
    return ", ".join(person(name.strip()) for name in names.split(","))


# --------------------------------------------------------------------------- blocks


def section(text: str) -> Json:
    found: Json = SectionBlock(text=MarkdownTextObject(text=clipped(text, SECTION))).to_dict()
    return found


def context(text: str) -> Json:
    found: Json = ContextBlock(elements=[MarkdownTextObject(text=clipped(text, 2_000))]).to_dict()
    return found


def code(text: str) -> Json:
    """A code block, cut at a line's end if it is too long."""
    body = escaped(text).replace("```", "'''")
    if len(body) > SECTION - 40:
        body = f"{body[: SECTION - 40].rpartition(chr(10))[0]}\n(cut off)"
    return section(f"```\n{body}\n```")


def columns(rows: Sequence[Sequence[str]], head: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Rows as plain text, for a code block."""
    width = max((len(row) for row in rows), default=0)
    align = tuple("right" if n in right else "left" for n in range(width))
    return tabulate(rows, headers=head, tablefmt="plain", colalign=align if rows else None, disable_numparse=True)


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Json | None:
    """Slack's table block; the first row is its head. Rows that would be too many characters are left out."""
    kept: list[list[Json]] = []
    total = 0
    for row in rows[:100]:
        total += sum(len(cell) for cell in row)
        if total > CELLS:
            break
        kept.append([{"type": "raw_text", "text": clipped(cell, 600) or " "} for cell in row])
    if not kept:
        return None
    settings = [{"align": "right" if n in right else "left", "is_wrapped": True} for n in range(len(kept[0]))]
    found: Json = TableBlock(rows=kept, column_settings=settings).to_dict()
    return found


def button(
    text: str, action: str, value: str, style: str | None = None, confirm: tuple[str, str] | None = None
) -> InteractiveElement:
    """`confirm`: what is asked before it acts, and the word on the button that goes on."""
    asked = None
    if confirm is not None:
        asked = ConfirmObject(
            title="Are you sure?", text=PlainTextObject(text=clipped(confirm[0], 300)), confirm=confirm[1], deny="Back"
        )
    return ButtonElement(text=clipped(text, BUTTON), action_id=action, value=value, style=style, confirm=asked)


def overflow(action: str, options: Sequence[tuple[str, str]]) -> InteractiveElement:
    """(text, value) for each; a value has at most 150 characters."""
    return OverflowMenuElement(
        action_id=action, options=[Option(text=clipped(text, BUTTON), value=value) for text, value in options[:5]]
    )


def actions(elements: Sequence[InteractiveElement]) -> Json | None:
    if not elements:
        return None
    found: Json = ActionsBlock(elements=list(elements)[:25]).to_dict()
    return found


# --------------------------------------------------------------------------- words


def when(at: datetime, zone: str) -> str:
    """`2026-11-23 09:04 New York`: messages are evidence."""
    place = zone.rpartition("/")[2].replace("_", " ")
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {place}"


def plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def money(sums: dict[str, Decimal]) -> str:
    """`USD 18,240.00`, several with a plus between."""
    return " + ".join(f"{currency} {_places(amount)}" for currency, amount in sorted(sums.items()))


def _places(amount: Decimal) -> str:
    exponent = amount.as_tuple().exponent
    return f"{amount:,.2f}" if isinstance(exponent, int) and exponent > -2 else f"{amount:,}"


def shown(value: Any) -> str:
    """A field's value as a person reads it."""
    if value is None or value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _composite(value)
    return str(value)


def _composite(value: dict[str, Any]) -> str:
    if value.get("absent") is True:
        return "(not to be seen)"
    if "amount" in value and "currency" in value:
        return f"{value['currency'] or ''} {_places(Decimal(str(value['amount'])))}".strip()
    if "net_days" in value or "end_of_month" in value:
        return str(value.get("name") or f"net {value.get('net_days', 0)}")
    if "ids" in value:
        return ", ".join(str(each["value"]) for each in value["ids"]) or str(value.get("status") or "(empty)")
    parts = [*value.get("lines", ()), *(value.get(n) for n in ("city", "region", "postcode", "country", "attention"))]
    text = ", ".join(str(part) for part in parts if part)
    return text or ", ".join(f"{name} {each}" for name, each in value.items()) or "(empty)"
