"""What is said in the channel, as text: who typed or pressed what, and what appeared or changed because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from bot.ids import verb_of
from bot.sandbox import SlackSandbox
from bot.sandbox.world import Json, Message
from worker.api import ChannelApi, Messages

LOOK_S = 0.05
WIDTH = 110
PATIENCE_S = 300.0


class Stuck(RuntimeError):
    """The bot or its worker did not come to an end in time."""


class Conversation:
    """One channel of the Slack sandbox, read over somebody's shoulder. `tell` gets each line."""

    def __init__(
        self,
        slack: SlackSandbox,
        channel: str,
        api: ChannelApi,
        messages: Messages,
        pair_id: str,
        tell: Callable[[str], None],
    ) -> None:
        self._slack, self._channel, self._api, self._outbox = slack, channel, api, messages
        self._pair_id, self._tell = pair_id, tell
        self._shown: dict[str, str] = {}
        self.said: list[str] = []

    def tell(self, text: str) -> None:
        self.said.append(text)
        self._tell(text)

    # ----------------------------------------------------------------- doing

    async def command(self, who: str, line: str, timeout_s: float = PATIENCE_S) -> list[Message]:
        """Type a command and wait for all that comes of it; the messages that are new or changed."""
        self.tell(f"\n{who}: {line}")
        return await self._after(lambda: self._slack.command(who, self._channel, line), who, timeout_s)

    async def press(
        self, who: str, message: Message, verb: str, timeout_s: float = PATIENCE_S, *, times: int = 1
    ) -> list[Message]:
        """Press a button, found by what it does; `times` at once, as an impatient finger does."""
        action_id, says = next(each for each in _buttons(message) if verb_of(each[0]) == verb)
        often = f", {times} times" if times > 1 else ""
        self.tell(f"\n{who} presses [{says}]{often}")

        async def presses() -> None:
            await asyncio.gather(*(self._slack.press(who, message.ts, action_id) for _ in range(times)))

        return await self._after(presses, who, timeout_s)

    async def _after(self, act: Callable[[], Awaitable[object]], who: str, timeout_s: float) -> list[Message]:
        last = await self._last_run()
        await act()
        try:
            async with asyncio.timeout(timeout_s):
                await self._more_than(last)
                await self._quiet()
        except TimeoutError:
            self.show(who)
            raise Stuck(f"nothing more came within {timeout_s:g} seconds") from None
        return self.show(who)

    async def _last_run(self) -> str | None:
        newest = await self._api.history(self._pair_id, 1)
        return newest[0].run.id if newest else None

    async def _more_than(self, last: str | None) -> None:
        """Until another run was asked for."""
        while True:
            if await self._last_run() != last:
                return
            await asyncio.sleep(LOOK_S)

    async def _quiet(self) -> None:
        """Until every run is over and every letter was delivered."""
        while True:
            over = all(each.run.over for each in await self._api.history(self._pair_id, 5))
            if over and not set(await self._outbox.counts()) - {"refused"}:
                return
            await asyncio.sleep(LOOK_S)

    # ----------------------------------------------------------------- reading

    def messages(self, who: str) -> list[Message]:
        return self._slack.messages(self._channel, user=who)

    def everything(self) -> str:
        """All that the bot sent, as it sent it: texts, blocks, metadata, and what stands in their buttons."""
        found = [
            m for who in self._slack.world.users.values() for m in self._slack.messages(self._channel, user=who.id)
        ]
        return "\n".join(str(msgspec.to_builtins(message)) for message in found)

    def text_of(self, message: Message) -> str:
        return self._slack.text_of(message)

    def show(self, who: str) -> list[Message]:
        """Print what is new or changed since the last look, for this person; those messages."""
        found = []
        for message in self.messages(who):
            text = self._slack.text_of(message)
            if self._shown.get(message.ts) != text:
                self._shown[message.ts] = text
                found.append(message)
                mark = "    | " if message.is_reply else "  "
                for line in text.splitlines():
                    self.tell(f"{mark}{line[:WIDTH]}")
        return found

    def with_button(self, who: str, verb: str) -> list[Message]:
        """Messages that offer a button of this kind, oldest first."""
        return [m for m in self.messages(who) if any(verb_of(action) == verb for action, _ in _buttons(m))]


def _buttons(message: Message) -> Iterator[tuple[str, str]]:
    """Action id and words of each button."""
    for block in message.blocks:
        for element in block.get("elements", ()) if block["type"] == "actions" else ():
            if element["type"] == "button":
                yield element["action_id"], _words(element)


def _words(element: Json) -> str:
    return str(element["text"]["text"])
