"""A message as plain text, for a printed conversation and for tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot.sandbox import picks
from bot.sandbox.world import Json, Message, View, World

_EMPHASIS = re.compile(r"(?<![\w*_~])([*_~])(?=\S)([^*_~\n]+?)(?<=\S)\1(?![\w*_~])")


def of_message(world: World, message: Message) -> str:
    """All that a message says: blocks where it has some, else its text; then attachments and files."""
    lines = of_blocks(world, message.blocks) if message.blocks else [mrkdwn(world, message.text)]
    for attachment in message.attachments:
        lines += of_blocks(world, attachment.get("blocks", [])) or [attachment.get("text", "")]
    lines += [f"[file: {world.files[file_id].name}]" for file_id in message.files]
    return "\n".join(line for line in lines if line)


def of_view(world: World, view: View) -> str:
    title = view.said.get("title", {}).get("text", "Home")
    submit = view.said.get("submit")
    ending = [f"[{submit['text']}]"] if submit else []
    return "\n".join([title, *of_blocks(world, view.blocks), *ending])


def of_blocks(world: World, blocks: list[Json]) -> list[str]:
    return [line for block in blocks for line in _block(world, block)]


def mrkdwn(world: World, text: str) -> str:
    """Slack's markup taken away, mentions as names."""
    said = re.sub(r"<([^<>]+)>", lambda found: _angle(world, found[1]), text)
    said = _EMPHASIS.sub(r"\2", said)
    return said.replace("```", "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _angle(world: World, inner: str) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        user = world.users.get(target[1:])
        return f"@{user.name}" if user is not None else target
    if target.startswith("#"):
        channel = world.channels.get(target[1:])
        return f"#{channel.name}" if channel is not None else f"#{label}"
    if target.startswith("!date^"):
        return label
    if target.startswith("!"):
        return label or "@" + target[1:].split("^")[-1]
    return label or target


def text(world: World, one: Any) -> str:
    """A text object's text."""
    if not isinstance(one, dict):
        return ""
    said: str = one.get("text", "")
    return mrkdwn(world, said) if one.get("type") == "mrkdwn" else said


def _block(world: World, block: Json) -> list[str]:
    shown = _SHOWN.get(block["type"])
    return shown(world, block) if shown is not None else []


def _said(world: World, block: Json) -> list[str]:
    said = block["text"]
    return [said if isinstance(said, str) else text(world, said)]


def _card(world: World, block: Json) -> list[str]:
    named = [text(world, block.get(name)) for name in ("title", "subtitle", "body", "subtext")]
    return [*named, "  ".join(_element(one) for one in block.get("actions", []))]


def _container(world: World, block: Json) -> list[str]:
    return [text(world, block.get("title")), *of_blocks(world, block["child_blocks"])]


def _section(world: World, block: Json) -> list[str]:
    lines = [text(world, block["text"])] if "text" in block else []
    lines += [text(world, field) for field in block.get("fields", [])]
    if "accessory" in block:
        lines.append(_element(block["accessory"]))
    return lines


def _element(element: Json) -> str:
    if element["type"] == "overflow":
        return "[... " + " | ".join(one["text"]["text"] for one in element["options"]) + "]"
    if element["type"] in ("radio_buttons", "checkboxes"):
        return "( " + " | ".join(one["text"]["text"] for one in element["options"]) + " )"
    if element["type"] == "image":
        return f"[image: {element.get('alt_text', '')}]"
    first = element.get("initial_value") or (element.get("initial_option") or {}).get("text", {}).get("text")
    return f"[{first or picks.label(element) or element['type']}]"


def cell(one: Json) -> str:
    """A table cell's text."""
    if one["type"] == "rich_text":
        return rich_text(None, one["elements"])
    said: str = one["text"] if "text" in one else str(one.get("value", ""))
    return said


def _table(rows: list[list[Json]]) -> list[str]:
    texts = [[cell(one) for one in row] for row in rows]
    columns = max(len(row) for row in texts)
    widths = [max((len(row[c]) for row in texts if c < len(row)), default=0) for c in range(columns)]
    return ["  ".join(said.ljust(widths[c]) for c, said in enumerate(row)).rstrip() for row in texts]


def _chart(block: Json) -> list[str]:
    chart = block["chart"]
    if chart["type"] == "pie":
        points = [f"{one['label']} {one['value']}" for one in chart["segments"]]
        return [f"[chart: {block['title']}] " + ", ".join(points)]
    lines = [f"[chart: {block['title']}]"]
    for one in chart["series"]:
        points = [f"{point['label']} {point['value']}" for point in one["data"]]
        lines.append(f"  {one['name']}: " + ", ".join(points))
    return lines


def rich_text(world: World | None, parts: list[Json]) -> str:
    """Rich text without its looks."""
    said = ""
    for part in parts:
        if "elements" in part:
            bullet = "- " if part["type"] == "rich_text_list" else ""
            inner = [rich_text(world, [one]) for one in part["elements"]]
            said += "\n".join(bullet + line for line in inner) + "\n" if bullet else "".join(inner)
        elif part["type"] == "user" and world is not None and part["user_id"] in world.users:
            said += f"@{world.users[part['user_id']].name}"
        else:
            said += part.get("text") or part.get("url") or part.get("name", "")
    return said.rstrip("\n")


_SHOWN: dict[str, Callable[[World, Json], list[str]]] = {
    "section": _section,
    "header": _said,
    "alert": _said,
    "markdown": _said,
    "context": lambda world, block: ["  ".join(text(world, one) for one in block["elements"] if "text" in one)],
    "actions": lambda world, block: ["  ".join(_element(one) for one in block["elements"])],
    "context_actions": lambda world, block: ["  ".join(_element(one) for one in block["elements"])],
    "input": lambda world, block: [f"{block['label']['text']}: {_element(block['element'])}"],
    "divider": lambda world, block: ["-" * 40],
    "table": lambda world, block: _table(block["rows"]),
    "data_table": lambda world, block: _table(block["rows"]),
    "data_visualization": lambda world, block: _chart(block),
    "rich_text": lambda world, block: rich_text(world, block["elements"]).splitlines(),
    "card": _card,
    "carousel": lambda world, block: of_blocks(world, block["elements"]),
    "container": _container,
    "image": lambda world, block: [f"[image: {block.get('alt_text', '')}]"],
}
