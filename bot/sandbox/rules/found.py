"""The small pieces a Block Kit rule is put together from. A rule looks at a value at a place and writes down what
Slack would say about it; sentences are Slack's where they have been seen in public."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

Surface = Literal["message", "modal", "home"]


class Found:
    """What was found wrong, and what has to be counted over a whole payload."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.lines: list[str] = []
        self.codes: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.block_ids: set[str] = set()

    def say(self, at: str, text: str) -> None:
        self.lines.append(f"{text} [json-pointer:{at}]")


Rule = Callable[[Found, str, Any], None]


def string(most: int, least: int = 0) -> Rule:
    def rule(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, str):
            found.say(at, "must provide a string")
        elif len(value) > most:
            found.say(at, f"must be less than {most + 1} characters")
        elif len(value) < least:
            found.say(at, f"must be more than {least - 1} characters")

    return rule


def enum(*allowed: str) -> Rule:
    def rule(found: Found, at: str, value: Any) -> None:
        if value not in allowed:
            found.say(at, "must be a valid enum value")

    return rule


def flag(found: Found, at: str, value: Any) -> None:
    if not isinstance(value, bool):
        found.say(at, "must provide a boolean")


def whole(least: int | None = None, most: int | None = None) -> Rule:
    def rule(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            found.say(at, "must provide an integer")
        elif least is not None and value < least:
            found.say(at, f"must be greater than {least - 1}")
        elif most is not None and value > most:
            found.say(at, f"must be less than {most + 1}")

    return rule


def number(found: Found, at: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        found.say(at, "must provide a number")


def anything(found: Found, at: str, value: Any) -> None:
    """Taken as it is."""


def items(rule: Rule, most: int, least: int = 1) -> Rule:
    def check(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, list):
            found.say(at, "must provide an array")
            return
        if len(value) > most:
            found.say(at, f"no more than {most} items allowed")
        if len(value) < least:
            found.say(at, f"no fewer than {least} items allowed")
        for index, item in enumerate(value):
            rule(found, f"{at}/{index}", item)

    return check


def shape(fields: Mapping[str, Rule], needs: Collection[str] = (), any_of: Collection[str] = ()) -> Rule:
    """An object with these fields and no others. `any_of`: at least one must be there."""

    def check(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, dict):
            found.say(at, "must provide an object")
            return
        for name in needs:
            if value.get(name) is None:
                found.say(at, f"missing required field: {name}")
        if any_of and all(value.get(name) is None for name in any_of):
            found.say(at, f"must define one of: {', '.join(any_of)}")
        for name, said in value.items():
            _field(found, at, name, said, fields)

    return check


def _field(found: Found, at: str, name: str, said: Any, fields: Mapping[str, Rule]) -> None:
    if name == "type":
        return
    if name not in fields:
        found.say(at, f"invalid additional property: {name}")
    elif said is not None:
        fields[name](found, f"{at}/{name}", said)


def both(*rules: Rule) -> Rule:
    def check(found: Found, at: str, value: Any) -> None:
        for rule in rules:
            rule(found, at, value)

    return check


def by_type(kinds: Mapping[str, Rule], wrong: str = "unsupported type") -> Rule:
    """What an object has to be is said by its `type`."""

    def check(found: Found, at: str, value: Any) -> None:
        if not isinstance(value, dict):
            found.say(at, "must provide an object")
            return
        kind = value.get("type")
        if isinstance(kind, str) and kind in kinds:
            kinds[kind](found, at, value)
        else:
            found.say(f"{at}/type" if wrong == "unsupported type" else at, f"{wrong}: {kind}")

    return check
