"""The whole of it on loopback: two pretend vendors, a worker, the real bot over HTTP, and the Slack sandbox in which
people type and press."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from bot.sandbox import Message, Outcome, Room, SlackSandbox, View
from bot.serve import Bot, running
from bot.settings import BotSettings
from tests.flows.rig import Rig
from worker.jobs import runner
from worker.store import runs
from worker.usecases.start_due import start_due

T = TypeVar("T")
ROOM = "finance"


class Bench:
    """People in a channel; `until` waits for what they are to see."""

    def __init__(self, rig: Rig, slack: SlackSandbox, bot: Bot) -> None:
        self.rig, self.slack, self.bot = rig, slack, bot
        self.messages_api = bot.desk.messages

    # ----------------------------------------------------------------- people

    async def types(self, line: str, user: str = "operator", room: str = ROOM) -> Outcome:
        return await self.slack.command(user, room, f"/tieout {line}".strip())

    async def presses(self, what: str, where: Message, user: str = "approver-1", **how: object) -> Outcome:
        return await self.slack.press(user, where.ts, what, **how)  # type: ignore[arg-type]  # what the sandbox takes

    def user(self, name: str) -> str:
        return self.slack.world.user(name).id

    def refusals_left(self) -> int:
        """How often the books will still refuse, by the script."""
        return sum(fault.times for fault in self.rig.books.script._waiting)

    # ----------------------------------------------------------------- what they see

    def seen(self, user: str | None = None, room: str = ROOM) -> list[Message]:
        return self.slack.messages(room, user=user)

    def texts(self, user: str | None = None, room: str = ROOM) -> list[str]:
        return [self.slack.text_of(message) for message in self.seen(user, room)]

    def text(self, thing: Message | View) -> str:
        return self.slack.text_of(thing).replace("\u200b", "").replace("`", "")

    def find(self, pattern: str, user: str | None = None, room: str = ROOM) -> Message | None:
        """The newest message that says it."""
        found = [m for m in self.seen(user, room) if re.search(pattern, self.text(m))]
        return found[-1] if found else None

    async def until(self, pattern: str, user: str | None = None, room: str = ROOM) -> Message:
        return await self.slack.wait_for(lambda: self.find(pattern, user, room), 15)

    async def becomes(self, condition: Callable[[], T | None]) -> T:
        return await self.slack.wait_for(condition, 15)

    async def quiet(self) -> None:
        """Nothing runs and nothing is to be said any more."""
        for _ in range(600):
            async with self.rig.db.read() as tx:
                states = {run.state for run in await runs.recent(tx, self.rig.pair.id, 50)}
            counts = await self.messages_api.counts()
            if states <= {"done", "failed"} and not counts.get("pending") and not counts.get("sending"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it does not come to rest")

    async def previewed(self) -> Message:
        """A preview that shows a plan."""
        before = {message.ts for message in self.seen()}
        await self.types("preview")
        shown = await self.becomes(lambda: self._new(before))
        await self.quiet()
        return shown

    def _new(self, before: set[str]) -> Message | None:
        found = self.find(r"^Preview   [\s\S]*\[Apply")
        return found if found is not None and found.ts not in before else None

    async def poll(self, condition: Callable[[], bool]) -> None:
        """For what rings no bell in the workspace."""
        for _ in range(400):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it did not come about")


async def _work(rig: Rig) -> None:
    """The worker: whatever is due, one after the other; and the schedule."""
    while True:
        async with rig.db.write() as tx:
            await start_due(tx)
            due = await runs.due(tx)
        for run_id in due:
            await runner.advance(rig.office, run_id, "bench")
        await asyncio.sleep(0.02)


def settings_for(slack: SlackSandbox, approvers: Sequence[str] = ("approver-1", "approver-2")) -> BotSettings:
    return BotSettings(
        bot_token=slack.app.bot_token,
        signing_secret=slack.app.signing_secret,
        slack_url=slack.api_url,
        port=0,
        admins=(slack.world.user("admin").id,),
        approvers=tuple(slack.world.user(name).id for name in approvers),
    )


def db_now(rig: Rig) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + rig.db.shift


@contextlib.asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[None]:
    worker = asyncio.create_task(_work(rig))
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_bench(rig: Rig, *, bound: bool = True) -> AsyncIterator[Bench]:
    """A bench on a rig's pair; `bound`: the channel is the pair's already."""
    rooms = [Room(name=ROOM), Room(name="other"), Room(name="private", private=True, with_bot=False)]
    async with (
        SlackSandbox(rooms=rooms, limits=False) as slack,
        running(rig.api._house, settings_for(slack), db_now(rig)) as bot,
        working(rig),
    ):
        slack.app.request_url = bot.events_url
        slack.app.scopes.add("chat:write.public")
        if bound:
            await bot.desk.api.bind(rig.pair.name, slack.world.channel(ROOM).id, "tests")
        yield Bench(rig, slack, bot)
