"""What the harnesses of systems with a sandbox share: a sandbox on loopback, on a clock that stands still, and
connectors that speak to it over HTTP."""

from __future__ import annotations

import abc
import asyncio
import re
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from connectors.kit.contract import Connector, Deps, Token
from connectors.kit.oauth import MemoryTokens
from connectors.kit.sandbox import Sandbox, VirtualClock
from connectors.kit.sandbox.faults import lose_answer
from tests.contract.harness import Calls, Harness, WebhookCall

START = datetime(2026, 10, 5, 17, 30, tzinfo=UTC)
SECRET = "a shared secret"


class HttpHarness(Harness):
    """`write_path` is a regular expression for the paths that a write is posted to. `sandbox` is told the time by
    `clock`."""

    write_path: str
    sandbox: Sandbox

    @abc.abstractmethod
    def make_sandbox(self, clock: VirtualClock) -> Sandbox: ...

    @abc.abstractmethod
    def token(self) -> Token: ...

    @abc.abstractmethod
    def settings(self) -> dict[str, str]: ...

    @abc.abstractmethod
    def open(self, settings: dict[str, str], deps: Deps) -> Connector: ...

    async def prepare(self) -> None:
        """Make the records that samples refer to."""

    async def start(self) -> None:
        self.clock = VirtualClock(START, fixed=True)
        self.sandbox = self.make_sandbox(self.clock)
        await self.sandbox.start()
        self.session = aiohttp.ClientSession()
        await self.prepare()
        self.connector = await self.reopened()

    async def reopened(self) -> Connector:
        deps = Deps(session=self.session, tokens=MemoryTokens(self.token()), clock=self.clock, calls=Calls())
        return self.open(self.settings(), deps)

    async def close(self) -> None:
        await self.session.close()
        await self.sandbox.stop()

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def write_calls(self) -> int:
        seen = self.sandbox.requests
        return sum(s.method != "GET" and re.search(self.write_path, s.path) is not None for s in seen)

    def lose(self) -> bool:
        self.sandbox.faults.add(lose_answer("*", self.write_path))
        return True

    async def caught(self) -> tuple[str, asyncio.Queue[WebhookCall], web.AppRunner]:
        """A listener for webhooks: its address, what it heard, and its runner."""
        heard: asyncio.Queue[WebhookCall] = asyncio.Queue()

        async def listen(request: web.Request) -> web.Response:
            call = WebhookCall(
                secret=SECRET,
                method=request.method,
                url=str(request.url),
                headers=dict(request.headers),
                body=await request.read(),
                now=self.clock.now(),
                ref="",
            )
            heard.put_nowait(call)
            return web.Response()

        app = web.Application()
        app.router.add_post("/hooks", listen)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/hooks", heard, runner
