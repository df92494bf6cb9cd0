"""The bot put together, for one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import create_app
from bot.gate import Gate
from bot.listeners.desk import Desk
from bot.metadata import Buttons
from bot.post import Sender
from bot.settings import BotSettings
from bot.tell import Teller
from bot.web.routes import EVENTS, Metrics, Ready, create_web
from bot.web.vendors import Hooks
from worker.api import ChannelApi, House, Messages, Problem, Schedules, Trail, Webhooks

CALL_S = 20
log = structlog.get_logger()


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """A running bot. `url` is where Slack's requests and /healthz, /readyz, /metrics are served."""

    app: AsyncApp
    desk: Desk
    url: str

    @property
    def events_url(self) -> str:
        """What Slack (or its sandbox) is told as the request URL."""
        return f"{self.url}{EVENTS}"


def create_desk(house: House, settings: BotSettings, now: Callable[[], datetime]) -> Desk:
    """Everything that handlers need, on this house."""
    if settings.bot_token is None:
        raise Problem("There is no Slack token.", "Set SLACK_BOT_TOKEN; tieout check says what else is missing.")
    api, messages, schedules = ChannelApi(house), Messages(house), Schedules(house)
    gate = Gate(admins=settings.admins, approvers=settings.approvers)
    buttons = Buttons(api.button_keys(), now)
    client = slack_client(settings.bot_token, settings.slack_url)
    teller = Teller(api, schedules, Trail(house), gate, buttons)
    return Desk(
        api=api,
        schedules=schedules,
        messages=messages,
        sender=Sender(api, messages, client, teller),
        teller=teller,
        gate=gate,
        buttons=buttons,
        client=client,
        now=now,
    )


def slack_client(token: str, url: str) -> AsyncWebClient:
    """slack_sdk sends everything through HTTPS_PROXY and knows no NO_PROXY, so a proxy is forgotten for an address on
    this machine. Its only retry (a lost connection) is left out: whether a post may be repeated is ours to say."""
    if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
            os.environ.pop(name, None)
    return AsyncWebClient(token=token, base_url=url, timeout=CALL_S, retry_handlers=[])


def _utc_now() -> datetime:
    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def running(house: House, settings: BotSettings, now: Callable[[], datetime] = _utc_now) -> AsyncIterator[Bot]:
    """The bot at work until the block ends: HTTP (port 0: any free one), the sender, and Socket Mode if there is a
    token for it. Raises Problem if something is missing."""
    if settings.app_token is None and settings.signing_secret is None:
        raise Problem("Slack cannot reach this bot.", "Set SLACK_APP_TOKEN for Socket Mode, or SLACK_SIGNING_SECRET.")
    desk = create_desk(house, settings, now)
    app = create_app(desk, settings.signing_secret)
    metrics = Metrics(desk.sender)
    hooks = Hooks(Webhooks(house), settings.public_url)
    slack = app if settings.signing_secret is not None else None
    served = create_web(slack, desk.messages, metrics, _ready(desk), hooks)
    sending = asyncio.create_task(desk.sender.run(), name="sender")
    try:
        async with _http(served, settings) as url, _socket(app, settings, desk.client):
            log.info("bot.running", url=url, socket_mode=settings.socket_mode)
            yield Bot(app=app, desk=desk, url=url)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def serve(house: House, settings: BotSettings, ready: Callable[[str], None] | None = None) -> None:
    """Run the bot until cancelled; `ready` is told its address."""
    async with running(house, settings) as bot:
        if ready is not None:
            ready(bot.url)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _http(served: web.Application, settings: BotSettings) -> AsyncIterator[str]:
    runner = web.AppRunner(served, access_log=None, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://{settings.host}:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _socket(app: AsyncApp, settings: BotSettings, client: AsyncWebClient) -> AsyncIterator[None]:
    if settings.app_token is None:
        yield
        return
    web_client = AsyncWebClient(token=settings.bot_token, base_url=client.base_url, timeout=CALL_S)
    handler = AsyncSocketModeHandler(app, settings.app_token, web_client=web_client)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # slack_bolt leaves it so
    try:
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # slack_bolt leaves it so


def _ready(desk: Desk) -> Ready:
    async def reason() -> str | None:
        """Why the bot cannot work at the moment."""
        try:
            await desk.messages.counts()
        except Exception as error:  # noqa: BLE001  # any store error means the same here
            return f"the database cannot be reached ({type(error).__name__})"
        try:
            await desk.client.auth_test()
        except SlackApiError as error:
            return f"Slack refuses the token: {error.response.get('error')}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"Slack cannot be reached ({type(error).__name__})"
        return None

    return reason
