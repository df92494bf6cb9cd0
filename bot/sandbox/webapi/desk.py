"""What each Web API method is given: the workspace, the installation, and the call's arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bot.sandbox import wire
from bot.sandbox.installation import Installation, ResponseAddresses, Triggers
from bot.sandbox.refusal import Refusal
from bot.sandbox.world import Channel, Json, Message, World


@dataclass
class Desk:
    """Everything that calls work on. `url`: where the sandbox serves."""

    world: World
    app: Installation
    triggers: Triggers
    responses: ResponseAddresses
    url: str = ""

    def need(self, scope: str) -> None:
        """Raises Refusal missing_scope."""
        if scope not in self.app.scopes:
            provided = ",".join(sorted(self.app.scopes))
            raise Refusal("missing_scope", needed=scope, provided=provided)

    def channel(self, channel_id: str) -> Channel:
        """A channel the bot may know of; raises Refusal channel_not_found."""
        found = self.world.find_channel(channel_id)
        hidden = found is None or (found.is_private and self.world.bot_user not in found.members)
        if found is None or hidden:
            raise Refusal("channel_not_found")
        return found

    def joined(self, channel_id: str) -> Channel:
        """A channel the bot is in; raises Refusal channel_not_found, not_in_channel, is_archived."""
        channel = self.channel(channel_id)
        if self.world.bot_user not in channel.members:
            raise Refusal("not_in_channel")
        if channel.is_archived:
            raise Refusal("is_archived")
        return channel

    def show(self, message: Message, *, metadata: bool = False) -> Json:
        return wire.message(self.world, message, self.app, self.url, metadata=metadata)


class Args:
    """A call's arguments, merged from query, form and JSON body: each may come as text or as JSON."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        return value if isinstance(value, str) else str(value)

    def required(self, name: str) -> str:
        """Raises Refusal invalid_arguments."""
        if name not in self._given or self._given[name] == "":
            raise Refusal("invalid_arguments", [f"missing required field: {name}"])
        return self.text(name)

    def number(self, name: str, default: int) -> int:
        try:
            return int(self._given.get(name, default))
        except (TypeError, ValueError):
            raise Refusal("invalid_arguments", [f"must provide an integer [json-pointer:/{name}]"]) from None

    def flag(self, name: str) -> bool:
        return self._given.get(name) in (True, 1, "1", "true", "True")

    def json(self, name: str, default: Any = None, wrong: str = "invalid_arguments") -> Any:
        """An argument that is JSON, or text that holds JSON; raises Refusal `wrong`."""
        value = self._given.get(name, default)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise Refusal(wrong, [f"must be valid JSON [json-pointer:/{name}]"]) from None


Handler = Callable[[Desk, Args], Json]


class Method(msgspec.Struct, frozen=True):
    """One Web API method. `per_minute`: its tier; None where the tier does not apply (postMessage is limited by
    channel, getPermalink not at all). `scope`: what the token must have; None: nothing. `caller`: whose
    token is asked for."""

    run: Handler
    per_minute: int | None
    scope: str | None = None
    caller: Literal["bot", "app", "anybody"] = "bot"


T1, T2, T3, T4 = 10, 20, 50, 100
SPECIAL = 300
