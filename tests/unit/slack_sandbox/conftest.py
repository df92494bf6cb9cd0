"""A sandbox, the real client against it, and a Bolt app that answers it over HTTP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Installation, Room, SandboxClock, Shortcut, SlackSandbox


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock(fixed=True)


@pytest.fixture
async def slack(clock: SandboxClock) -> AsyncIterator[SlackSandbox]:
    """A workspace with #finance (the app is in it), #sales (it is not) and private #board (it is not)."""
    rooms = (Room(name="finance"), Room(name="sales", with_bot=False), Room(name="board", private=True, with_bot=False))
    events = {"app_mention", "app_home_opened", "message.channels", "file_shared"}
    shortcuts = (Shortcut("Explain", "explain", "message"),)
    installation = Installation(events=events, shortcuts=shortcuts)
    async with SlackSandbox(rooms=rooms, installation=installation, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def client(slack: SlackSandbox) -> AsyncWebClient:
    quiet = logging.getLogger("slack_sdk.quiet")
    quiet.setLevel(logging.CRITICAL)
    return AsyncWebClient(token=slack.app.bot_token, base_url=slack.api_url, logger=quiet)


@pytest.fixture
async def bolt(slack: SlackSandbox, client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    """A Bolt app in HTTP mode. Tests register listeners on it."""
    quiet = logging.getLogger("slack_bolt.quiet")
    quiet.setLevel(logging.CRITICAL)
    app = AsyncApp(client=client, signing_secret=slack.app.signing_secret, logger=quiet)
    runner = web.AppRunner(app.web_app(), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.app.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield app
    await runner.cleanup()


@pytest.fixture
def finance(slack: SlackSandbox) -> str:
    return slack.world.channel("finance").id


async def refused(calling: Any) -> dict[str, Any]:
    """The body of Slack's refusal."""
    with pytest.raises(SlackApiError) as caught:
        await calling
    said: dict[str, Any] = caught.value.response.data
    return said


@pytest.fixture
def refusal() -> Callable[[Any], Any]:
    return refused
