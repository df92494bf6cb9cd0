"""The Slack sandbox as a process of its own, which outlives the senders that die."""

from __future__ import annotations

import asyncio
from pathlib import Path

from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Room, SlackSandbox
from bot.sandbox.clock import SandboxClock
from bot.settings import BotSettings
from tests.flows.rig import NOW

ROOM = "finance"


def _sandbox() -> SlackSandbox:
    return SlackSandbox(rooms=[Room(name=ROOM)], limits=False, clock=SandboxClock(NOW))


def channel() -> str:
    """The channel's id: every sandbox of this kind makes the same."""
    return _sandbox().world.channel(ROOM).id


def serve(folder: Path) -> int:
    """Serve until killed; the address is in the file `slack`."""

    async def main() -> None:
        async with _sandbox() as slack:
            (folder / "slack.new").write_text(slack.api_url)
            (folder / "slack.new").rename(folder / "slack")
            await asyncio.Event().wait()

    asyncio.run(main())
    return 0


def slack_settings(url: str) -> BotSettings:
    app = _sandbox().app
    return BotSettings(bot_token=app.bot_token, signing_secret=app.signing_secret, slack_url=url)


async def messages(url: str) -> list[str]:
    """Every message of the channel, replies under what they answer, in words."""
    client = AsyncWebClient(token=_sandbox().app.bot_token, base_url=url)
    found = []
    answer = await client.conversations_history(channel=channel(), limit=200)
    for top in answer["messages"]:
        replies = await client.conversations_replies(channel=channel(), ts=top["ts"], limit=200)
        thread = [_said(reply) for reply in replies["messages"][1:]]
        found += [f"{_said(top)} with {len(thread)} replies", *(f"  {said}" for said in thread)]
    return found


def _said(message: dict[str, object]) -> str:
    files = message.get("files") or []
    return f"{message.get('text')} ({len(files) if isinstance(files, list) else 0} files)"
