"""What every handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.blocks import answers
from bot.blocks.parts import Say
from bot.errors import explain
from bot.gate import Deed, Gate
from bot.metadata import Buttons
from bot.post import Sender
from bot.tell import Teller
from worker.api import ChannelApi, Messages, Problem, Schedules

Json: TypeAlias = dict[str, Any]
Respond: TypeAlias = Callable[..., Awaitable[Any]]


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's verbs, the sender to poke, who may do what. `now` is aware."""

    api: ChannelApi
    schedules: Schedules
    messages: Messages
    sender: Sender
    teller: Teller
    gate: Gate
    buttons: Buttons
    client: AsyncWebClient
    now: Callable[[], datetime]

    def allow(self, user: str, deed: Deed) -> None:
        """Raises Problem, naming who may."""
        refusal = self.gate.refusal(user, deed)
        if refusal is not None:
            raise Problem(refusal)

    async def direct(self, user: str) -> str:
        """The channel of one person's direct messages with the bot. Raises Problem if the workspace gave no right."""
        try:
            answer = await self.client.conversations_open(users=user)
        except SlackApiError as error:
            if error.response.get("error") != "missing_scope":
                raise
            raise Problem(
                "I may not write to you directly.", "An admin adds the scope im:write to the app and installs it again."
            ) from error
        return str(answer["channel"]["id"])

    async def whisper(self, pair_id: str, place: Place, about: str, text: str = "") -> None:
        """An answer to one person, through the outbox."""
        body: Json = {"user": place.user, "about": about, "text": text, "thread_ts": place.thread_ts}
        name = f"answer:{place.key}"
        await self.messages.say(pair_id, place.channel, name, "answer", body)
        self.sender.poke()

    async def announce(self, pair_id: str, place: Place, say: Say) -> None:
        """A sentence that concerns the whole channel."""
        await self.messages.say(pair_id, place.channel, f"said:{place.key}", "plain", {"text": say.text})
        self.sender.poke()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody acted. `key` is the interaction's own: its answer is one message."""

    channel: str
    user: str
    key: str
    thread_ts: str | None = None
    is_ephemeral: bool = False

    @classmethod
    def of_command(cls, command: Json) -> Place:
        return cls(channel=command["channel_id"], user=command["user_id"], key=str(command["trigger_id"]))

    @classmethod
    def of_action(cls, body: Json) -> Place:
        container = body.get("container", {})
        channel = container.get("channel_id") or body.get("channel", {}).get("id", "")
        message = body.get("message", {})
        thread = container.get("thread_ts") or message.get("thread_ts")
        return cls(
            channel=channel,
            user=body["user"]["id"],
            key=str(body["trigger_id"]),
            thread_ts=thread,
            is_ephemeral=bool(container.get("is_ephemeral")),
        )

    def packed(self, token: str) -> str:
        """For a modal, which knows neither channel nor thread: carried along with the button."""
        return " ".join((self.channel, self.thread_ts or "-", token))

    @classmethod
    def unpacked(cls, body: Json) -> tuple[Place, str]:
        channel, thread, token = body["view"]["private_metadata"].split(" ")
        key = str(body["view"]["id"])
        thread_ts = None if thread == "-" else thread
        return cls(channel=channel, user=body["user"]["id"], key=key, thread_ts=thread_ts), token


async def answered(respond: Respond, work: Awaitable[None]) -> None:
    """Do the work; what goes wrong is told to who asked, in words. An interaction's own answer goes to its response
    address: it is of no use to anybody later, so it need not survive a restart."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  # the last border towards a person
        await only_to_them(respond, answers.plain(explain(error)))


async def only_to_them(respond: Respond, say: Say, *, replace: bool = False) -> None:
    await respond(text=say.text, blocks=say.blocks, response_type="ephemeral", replace_original=replace)
