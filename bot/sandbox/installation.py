"""The app as it is installed in the workspace: its tokens, scopes, commands, event subscriptions; and the triggers
and response addresses that it is handed."""

from __future__ import annotations

import msgspec

from bot.sandbox.clock import SandboxClock
from bot.sandbox.ids import Ids
from bot.sandbox.refusal import Refusal

TRIGGER_S = 3.0  # https://docs.slack.dev/interactivity/handling-user-interaction: valid for 3 seconds, once
RESPONSE_S = 30 * 60.0  # the same page: up to 5 uses within 30 minutes
RESPONSE_USES = 5

SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "reactions:write",
    "usergroups:read",
    "users:read",
)


class SlashCommand(msgspec.Struct, frozen=True):
    """A command as the manifest registers it."""

    command: str
    description: str = ""
    usage_hint: str = ""
    suggestions: tuple[str, ...] = ()


class Shortcut(msgspec.Struct, frozen=True):
    """A shortcut as the manifest registers it: `global` in the lightning menu, `message` in a message's own."""

    name: str
    callback_id: str
    type: str = "global"


class Installation(msgspec.Struct, kw_only=True):
    """What the app may do and where it listens. `request_url` None: Socket Mode alone."""

    name: str = "Tieout"
    bot_token: str = "xoxb-sandbox-bot"  # noqa: S105 - made up, and good for this sandbox alone
    app_token: str = "xapp-sandbox-app"  # noqa: S105 - made up, and good for this sandbox alone
    signing_secret: str = "sandbox-signing-secret"  # noqa: S105 - made up, and good for this sandbox alone
    client_id: str = "1000.2000"
    client_secret: str = "sandbox-client-secret"  # noqa: S105 - made up, and good for this sandbox alone
    scopes: set[str] = msgspec.field(default_factory=lambda: set(SCOPES))
    commands: tuple[SlashCommand, ...] = (SlashCommand("/tieout", "Keep CRM and books tied out", "help"),)
    shortcuts: tuple[Shortcut, ...] = ()
    events: set[str] = msgspec.field(default_factory=lambda: {"app_mention", "app_home_opened"})
    request_url: str | None = None
    revoked: bool = False


class Trigger(msgspec.Struct):
    user: str
    view: str | None
    until_s: float
    used: bool = False


class Triggers:
    """Trigger ids: each opens one view, within three seconds. Codes as the views.* method pages list them."""

    def __init__(self, clock: SandboxClock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._issued: dict[str, Trigger] = {}

    def issue(self, user: str, view: str | None = None) -> str:
        trigger_id = self._ids.trigger()
        self._issued[trigger_id] = Trigger(user, view, self._clock.now() + TRIGGER_S)
        return trigger_id

    def redeem(self, trigger_id: str) -> Trigger:
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise Refusal("invalid_trigger_id")
        if trigger.used:
            raise Refusal("exchanged_trigger_id")
        if self._clock.now() > trigger.until_s:
            raise Refusal("expired_trigger_id")
        return trigger


class ResponseAddress(msgspec.Struct):
    """Where an app may answer an interaction. `message_ts`: the message whose button was pressed."""

    user: str
    channel: str
    until_s: float
    message_ts: str | None = None
    uses: int = 0


class ResponseAddresses:
    """response_url: five uses, thirty minutes."""

    def __init__(self, clock: SandboxClock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._issued: dict[str, ResponseAddress] = {}

    def issue(self, user: str, channel: str, message_ts: str | None = None) -> str:
        """The path of a new address."""
        token = self._ids.secret("response")[:24]
        self._issued[token] = ResponseAddress(user, channel, self._clock.now() + RESPONSE_S, message_ts)
        return f"/response/{token}"

    def use(self, token: str) -> ResponseAddress:
        """Count one use. Raises Refusal expired_url or used_url, both HTTP 404."""
        address = self._issued.get(token)
        if address is None or self._clock.now() > address.until_s:
            raise Refusal("expired_url", status=404)
        if address.uses >= RESPONSE_USES:
            raise Refusal("used_url", status=404)
        address.uses += 1
        return address
