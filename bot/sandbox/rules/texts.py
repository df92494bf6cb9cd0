"""Composition objects: texts, options, confirmations.
Source: https://docs.slack.dev/reference/block-kit/composition-objects and slack_sdk.models.blocks."""

from __future__ import annotations

from typing import Any

from bot.sandbox.rules.found import Found, Rule, both, enum, flag, items, shape, string


def text(most: int, *kinds: str) -> Rule:
    """A text object of up to `most` characters; without `kinds`, plain_text or mrkdwn."""
    allowed = kinds or ("plain_text", "mrkdwn")

    def check(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, dict):
            found.say(at, "must provide an object")
            return
        if value.get("type") not in allowed:
            found.say(f"{at}/type", f"unsupported type: {value.get('type')}")
        fields: dict[str, Rule] = {"text": string(most, 1)}
        fields["emoji" if value.get("type") == "plain_text" else "verbatim"] = flag
        shape(fields, needs=("text",))(found, at, value)

    return check


def plain(most: int) -> Rule:
    return text(most, "plain_text")


CONFIRM = shape(
    {
        "title": plain(100),
        "text": text(300),
        "confirm": plain(30),
        "deny": plain(30),
        "style": enum("primary", "danger"),
    },
    needs=("title", "text", "confirm", "deny"),
)


def option(text_rule: Rule) -> Rule:
    return shape(
        {"text": text_rule, "value": string(150, 1), "description": text(75), "url": string(3000)},
        needs=("text", "value"),
    )


PLAIN_OPTION = option(plain(75))
RICH_OPTION = option(text(75))
OPTION_GROUP = shape({"label": plain(75), "options": items(PLAIN_OPTION, 100)}, needs=("label", "options"))
DISPATCH = shape({"trigger_actions_on": items(enum("on_enter_pressed", "on_character_entered"), 2)})


def _values(options: Any) -> list[Any]:
    listed = options if isinstance(options, list) else []
    return [option.get("value") for option in listed if isinstance(option, dict)]


def _offered(element: Any) -> list[Any]:
    groups = element.get("option_groups") or []
    grouped = [value for group in groups if isinstance(group, dict) for value in _values(group.get("options"))]
    return _values(element.get("options")) + grouped


def initial_is_offered(found: Found, at: str, element: Any) -> None:
    """initial_option(s) must be among the options."""
    if not isinstance(element, dict):
        return
    first = element.get("initial_option")
    chosen = [first] if first is not None else (element.get("initial_options") or [])
    offered = _offered(element)
    for option_ in chosen:
        if isinstance(option_, dict) and option_.get("value") not in offered:
            found.say(at, "initial option(s) must match options")


def options_or_groups(found: Found, at: str, element: Any) -> None:
    given = [name for name in ("options", "option_groups") if element.get(name) is not None]
    if len(given) != 1:
        found.say(at, "must define either `options` or `option_groups`")


choosing = both(options_or_groups, initial_is_offered)
