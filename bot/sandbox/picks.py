"""Finding what can be pressed or filled in, and saying what was picked in Slack's words.
Source: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload; names as slack_sdk reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.sandbox.refusal import CannotDo
from bot.sandbox.world import Json

LISTED = {"static_select", "external_select", "radio_buttons", "overflow"}
LISTED_MANY = {"multi_static_select", "multi_external_select", "checkboxes"}
TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
SINGLE = {
    "users_select": "user",
    "conversations_select": "conversation",
    "channels_select": "channel",
    "datepicker": "date",
    "timepicker": "time",
    "datetimepicker": "date_time",
}
MANY = {
    "multi_users_select": "users",
    "multi_conversations_select": "conversations",
    "multi_channels_select": "channels",
}


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each interactive element with its block."""
    for block in blocks:
        yield from _in_block(block)


def _in_block(block: Json) -> Iterator[tuple[Json, Json]]:
    for place in ("accessory", "element"):
        if isinstance(block.get(place), dict) and "action_id" in block[place]:
            yield block, block[place]
    for place in ("elements", "actions", "child_blocks"):
        inner = block.get(place)
        for one in inner if isinstance(inner, list) else []:
            if isinstance(one, dict) and (place == "child_blocks" or one.get("type") == "card"):
                yield from _in_block(one)
            elif isinstance(one, dict) and "action_id" in one:
                yield block, one


def label(element: Json) -> str:
    """What an element says on the screen."""
    text = element.get("text") or element.get("placeholder") or {}
    said: str = text.get("text", "")
    return said


def find(blocks: list[Json], what: str, block_id: str = "") -> tuple[Json, Json]:
    """By action id, else by what it says. Raises CannotDo if there is none, or more than one."""
    candidates = [pair for pair in elements(blocks) if block_id in ("", pair[0].get("block_id"))]
    for match in ("action_id", "label"):
        found = [(b, e) for b, e in candidates if what == (e["action_id"] if match == "action_id" else label(e))]
        if len(found) > 1:
            raise CannotDo(f"{len(found)} elements are called {what!r}: name the block_id too")
        if found:
            return found[0]
    offered = ", ".join(f"{e['action_id']} ({label(e)})" for _, e in candidates)
    raise CannotDo(f"there is no {what!r} to press; there are: {offered or 'none'}")


def options(element: Json) -> list[Json]:
    grouped = [option for group in element.get("option_groups") or [] for option in group["options"]]
    return [*(element.get("options") or []), *grouped]


def option(element: Json, chosen: Any) -> Json:
    """The option with this value or text. An external select's options come from outside: taken as they are."""
    if isinstance(chosen, dict):
        return chosen
    for one in options(element):
        if chosen in (one["value"], one["text"]["text"]):
            return one
    raise CannotDo(f"{chosen!r} is not among the options of {element.get('action_id')}")


def state(element: Json, raw: Any) -> Json:
    """What `view.state.values` holds for an element that was given `raw`: option values for lists, ids for users
    and channels, text for what is typed, None for nothing."""
    kind = element["type"]
    if kind in LISTED:
        return {"type": kind, "selected_option": None if raw in (None, "") else option(element, raw)}
    if kind in LISTED_MANY:
        return {"type": kind, "selected_options": [option(element, one) for one in raw or []]}
    if kind in SINGLE:
        return {"type": kind, f"selected_{SINGLE[kind]}": None if raw == "" else raw}
    if kind in MANY:
        return {"type": kind, f"selected_{MANY[kind]}": list(raw or [])}
    if kind == "file_input":
        return {"type": kind, "files": list(raw or [])}
    if kind == "rich_text_input":
        return {"type": kind, "rich_text_value": raw}
    return {"type": kind, "value": None if raw in (None, "") else str(raw)}


def initial(element: Json) -> Json:
    """The state of an element that nobody touched."""
    kind = element["type"]
    if kind in LISTED:
        return state(element, element.get("initial_option"))
    if kind in LISTED_MANY:
        return state(element, element.get("initial_options"))
    name = {**SINGLE, **MANY}.get(kind, "value")
    return state(element, element.get(f"initial_{name}"))


def given(one: Json) -> Any:
    """The one thing that a state says, whatever its name; None or an empty list if nothing was given."""
    said = [value for name, value in one.items() if name != "type"]
    return said[0] if said else None


def action(block: Json, element: Json, picked: Json | None, at: str) -> Json:
    """An entry of `actions` in block_actions."""
    common = {"action_id": element["action_id"], "block_id": block["block_id"], "action_ts": at}
    if picked is not None:
        initials = {name: value for name, value in element.items() if name.startswith("initial_")}
        return {**common, **picked, **initials}
    own: Json = {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    return {**common, "type": element["type"], **own}
