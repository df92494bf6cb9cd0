"""The Slack sandbox: a workspace on loopback for one app."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from aiohttp import hdrs, web

from bot.sandbox import plain
from bot.sandbox.clock import SandboxClock
from bot.sandbox.deliver.postman import Postman
from bot.sandbox.deliver.respond import respond
from bot.sandbox.deliver.sockets import Sockets
from bot.sandbox.faults import Faults
from bot.sandbox.hands import Hands, Outcome
from bot.sandbox.installation import Installation, ResponseAddresses, Triggers
from bot.sandbox.page.routes import Page
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi import files
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.webapi.door import Door, read_arguments
from bot.sandbox.world import Message, Person, Room, StoredFile, View, World

T = TypeVar("T")
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

PEOPLE = (
    Person(name="admin", admin=True),
    Person(name="approver-1"),
    Person(name="approver-2"),
    Person(name="operator"),
    Person(name="viewer"),
    Person(name="guest", guest=True),
)
ROOMS = (Room(name="finance", topic="Deals, invoices, payments"),)


class SlackSandbox:
    """Slack as the app knows it, and Slack as people see it, for one workspace with one app installed.

        async with SlackSandbox(rooms=[Room(name="finance")]) as slack:
            client = AsyncWebClient(token=slack.app.bot_token, base_url=slack.api_url)
            slack.app.request_url = "http://127.0.0.1:3000/slack/events"    # or Socket Mode, with slack.app.app_token
            await slack.command("operator", "finance", "/tieout preview")

    Web API under `/api/`, the page for people at `/`. Users are named by id or handle, channels by id or name. What
    nobody could do in Slack raises `CannotDo`; what Slack refuses an app is answered with Slack's error code.

    For tests: `clock.advance`, `faults.add`, `door.limits.on`, `remove_bot`, `postman.twice`, `postman.ack_s`,
    `postman.skew_s`, `app.scopes`, `app.revoked`, `world.edit_window_s`, `door.calls`, `door.log`, `postman.sent`.
    """

    def __init__(
        self,
        *,
        workspace: str = "Acme",
        people: Sequence[Person] = PEOPLE,
        rooms: Sequence[Room] = ROOMS,
        installation: Installation | None = None,
        clock: SandboxClock | None = None,
        limits: bool = True,
    ) -> None:
        self.clock = clock if clock is not None else SandboxClock()
        self.app = installation if installation is not None else Installation()
        self.world = World(workspace, self.clock)
        self.world.add_bot(self.app.name)
        for person in people:
            self.world.add_person(person)
        for room in rooms:
            self.world.add_channel(room)
        triggers = Triggers(self.clock, self.world.ids)
        responses = ResponseAddresses(self.clock, self.world.ids)
        self.desk = Desk(self.world, self.app, triggers, responses)
        self.faults = Faults()
        self.door = Door(self.desk, self.faults)
        self.door.limits.on = limits
        self.sockets = Sockets(self.world.ids, self.world.app_id)
        self.postman = Postman(self.desk, self.sockets)
        self.hands = Hands(self.desk, self.postman)
        self._page = Page(self.desk, self.hands)
        self._runner: web.AppRunner | None = None

    # ------------------------------------------------------------------ serving

    @property
    def url(self) -> str:
        """Where the page is, e.g. `http://127.0.0.1:41234`."""
        return self.desk.url

    @property
    def api_url(self) -> str:
        """What `AsyncWebClient(base_url=...)` takes."""
        return f"{self.desk.url}/api/"

    def application(self) -> web.Application:
        made = web.Application(client_max_size=256 * 1024**2, middlewares=[self._guarded])
        made.router.add_route("*", "/api/{method}", self.door.handle)
        made.router.add_post("/upload/v1/{token}", self._upload)
        made.router.add_get("/files-pri/{owner}/{path:.+}", self._download)
        made.router.add_post("/response/{token}", self._respond)
        made.router.add_get("/link/", self.sockets.handle)
        self._page.add_routes(made)
        return made

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, and return the address. Raises ValueError if `host` is not a loopback address."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the sandbox serves on loopback only, not on {host}")
        if self._runner is not None:
            raise RuntimeError("this sandbox is serving already")
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        self._runner = runner
        self.desk.url = f"http://{host}:{runner.addresses[0][1]}"
        self.postman.open()
        return self.desk.url

    async def stop(self) -> None:
        """Stop serving. What the workspace holds stays, and it can be started again."""
        runner, self._runner = self._runner, None
        self._page.close()
        await self.sockets.close()
        await self.postman.close()
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """A page elsewhere on the web must not reach in: the host must be loopback, the origin our own."""
        name = request.host.rpartition(":")[0].strip("[]") or request.host
        if name not in ("127.0.0.1", "localhost", "::1"):
            return web.Response(status=421, text="This sandbox answers on loopback only.")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin.partition("//")[2] != request.host:
            return web.Response(status=403, text="Requests from other sites are not taken.")
        return await handler(request)

    async def _upload(self, request: web.Request) -> web.Response:
        """The address that files.getUploadURLExternal gave: bytes as they are, or as a form."""
        content = await request.read()
        if request.content_type == "multipart/form-data":
            parts = [part for part in (await request.post()).values() if isinstance(part, web.FileField)]
            content = parts[0].file.read() if parts else b""
        stored = files.receive(self.desk, request.match_info["token"], content)
        if stored is None:
            return web.Response(status=400, text="error: no such upload, or not the announced length")
        return web.Response(text=f"OK - {stored.length}")

    async def _download(self, request: web.Request) -> web.Response:
        """url_private: with the bot's token. Without it Slack shows its login page, with status 200."""
        token = request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ")
        stored = self.world.files.get(request.match_info["owner"].partition("-")[2])
        if token != self.app.bot_token or "files:read" not in self.app.scopes:
            return web.Response(text="<!DOCTYPE html><title>Sign in | Slack</title>", content_type="text/html")
        if stored is None or stored.content is None:
            return web.Response(status=404)
        return web.Response(body=stored.content, content_type=stored.mimetype)

    async def _respond(self, request: web.Request) -> web.Response:
        try:
            address = self.desk.responses.use(request.match_info["token"])
            respond(self.desk, address, await read_arguments(request))
        except Refusal as no:
            return web.Response(status=400 if no.status == 200 else no.status, text=no.code)
        return web.Response(text="ok")

    # ------------------------------------------------------------------ what people do

    async def command(self, user: str, channel: str, line: str) -> Outcome:
        """Type a slash command, e.g. `/tieout preview`. Returns when the app has acknowledged, or failed to."""
        return await self.hands.command(user, channel, line)

    async def press(
        self,
        user: str,
        where: str,
        what: str,
        *,
        pick: Any = None,
        values: Mapping[str, Any] | None = None,
        block_id: str = "",
    ) -> Outcome:
        """Press a button, or pick in a menu (see `Hands.press`). `where`: a message's ts or a view's id; `what`: an
        action id or the button's text; `pick`: the option's value or text, a date, a user id."""
        return await self.hands.press(user, where, what, pick=pick, values=values, block_id=block_id)

    async def submit(self, user: str, view: View | str, values: Mapping[str, Any]) -> Outcome:
        """Fill in a modal by action id or block id, and submit it."""
        return await self.hands.submit(user, view, values)

    async def close(self, user: str, view: View | str) -> Outcome:
        return await self.hands.close(user, view)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Post as a person; `@tieout` in it is an app_mention."""
        return self.hands.message(user, channel, text, thread_ts)

    # ------------------------------------------------------------------ what people see

    def messages(self, channel: str, *, user: str | None = None, thread: str | None = None) -> list[Message]:
        """A channel's messages, oldest first, replies among them; with `user` also what they alone see; with
        `thread` that thread's replies only."""
        viewer = self.world.user(user).id if user is not None else None
        seen = self.world.seen_by(self.world.channel(channel).id, viewer)
        return seen if thread is None else [m for m in seen if m.is_reply and m.thread_ts == thread]

    def modal(self, user: str) -> View | None:
        """The uppermost modal that somebody has open."""
        stack = self.world.stack(self.world.user(user).id)
        return stack[-1] if stack else None

    @property
    def files(self) -> list[StoredFile]:
        """Files that have arrived whole, oldest first. `content` holds the bytes."""
        return [one for one in self.world.files.values() if one.complete]

    def text_of(self, thing: Message | View) -> str:
        """A message or view as plain text, for a printed conversation."""
        return plain.of_message(self.world, thing) if isinstance(thing, Message) else plain.of_view(self.world, thing)

    async def wait_for(self, predicate: Callable[[], T | None], timeout_s: float = 10.0) -> T:
        """What `predicate` returns as soon as that is true; asked again after each change in the workspace.
        Raises TimeoutError after `timeout_s` real seconds, with what the channels last said."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._until(predicate)
        except TimeoutError:
            raise TimeoutError(f"nothing came in {timeout_s:g} s; the last messages were:\n{self._last()}") from None

    async def _until(self, predicate: Callable[[], T | None]) -> T:
        while True:
            rung = self.world.bell.count
            found = predicate()
            if found:
                return found
            await self.world.bell.after(rung)

    def _last(self) -> str:
        every = [m for channel in self.world.channels for m in self.world.seen_by(channel, None)]
        return json.dumps([self.text_of(message) for message in every[-3:]], indent=1)

    # ------------------------------------------------------------------ knobs

    def remove_bot(self, channel: str) -> None:
        """Somebody removes the app from a channel."""
        self.world.channel(channel).members.remove(self.world.bot_user)
        self.world.bell.ring()

    def invite_bot(self, channel: str) -> None:
        self.world.channel(channel).members.append(self.world.bot_user)
        self.world.bell.ring()
