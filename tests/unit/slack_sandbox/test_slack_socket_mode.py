"""Socket Mode, with the SDK's own client."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sandbox_blocks import actions, button
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import SlackSandbox


@pytest.fixture
async def socket(slack: SlackSandbox, client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    """A Bolt app that is connected by websocket."""
    quiet = logging.getLogger("slack_bolt.quiet")
    quiet.setLevel(logging.CRITICAL)
    app = AsyncApp(client=client, logger=quiet)
    handler = AsyncSocketModeHandler(app, slack.app.app_token, web_client=client, logger=quiet)
    await handler.connect_async()
    yield app
    await handler.close_async()


async def test_commands_and_presses_come_by_socket(slack: SlackSandbox, socket: AsyncApp, finance: str) -> None:
    """Without a signature; the ack's payload is shown."""

    @socket.command("/tieout")
    async def command(ack: Any, client: Any) -> None:
        await ack("Heard")
        await client.chat_postMessage(channel=finance, text="x", blocks=[actions(button())])

    @socket.action("apply")
    async def apply(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="Applied", replace_original=True)

    assert {"text": "Heard"} == (await slack.command("operator", "finance", "/tieout")).body
    message = await slack.wait_for(lambda: next((m for m in slack.messages("finance") if m.blocks), None))
    assert None is (await slack.press("operator", message.ts, "Apply")).trouble
    await slack.wait_for(lambda: slack.messages("finance")[-1].text == "Applied")


async def test_an_envelope_that_nobody_acknowledges(slack: SlackSandbox, finance: str, client: AsyncWebClient) -> None:
    """operation_timeout, as over HTTP. The connection says hello first."""
    slack.postman.ack_s = 0.05
    address = (await client.apps_connections_open(app_token=slack.app.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(address) as connection:
        assert "hello" == (await connection.receive_json())["type"]
        assert "operation_timeout" == (await slack.command("operator", "finance", "/tieout")).trouble
        envelope = await connection.receive_json()
        assert ("slash_commands", True) == (envelope["type"], envelope["accepts_response_payload"])
        await slack.sockets.disconnect("warning")
        assert "warning" == (await connection.receive_json())["reason"]
        assert 1 == slack.sockets.count
        await slack.sockets.disconnect()
        assert "refresh_requested" == (await connection.receive_json())["reason"]
    assert 0 == slack.sockets.count


async def test_an_address_needs_the_apps_token(slack: SlackSandbox, client: AsyncWebClient) -> None:
    """The bot's is of the wrong kind."""
    with pytest.raises(Exception, match="not_allowed_token_type"):
        await client.apps_connections_open(app_token=slack.app.bot_token)
