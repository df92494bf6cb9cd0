"""Where Web API calls arrive: arguments, token, scope, rate limit, faults, then the method.
Sources: https://docs.slack.dev/apis/web-api/ and https://docs.slack.dev/apis/web-api/rate-limits."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from typing import Any

from aiohttp import hdrs, web

from bot.sandbox.clock import Drip, SandboxClock, Window
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi import chat, conversations, files, people, views
from bot.sandbox.webapi.desk import Args, Desk, Method
from bot.sandbox.world import Json

METHODS: dict[str, Method] = {
    **chat.METHODS,
    **conversations.METHODS,
    **people.METHODS,
    **views.METHODS,
    **files.METHODS,
}
POST_BURST = 4  # Slack allows short bursts over one message a second and channel, without saying how long


class Limits:
    """A window for each method; for chat.postMessage one message a second and channel, and 300 a minute in all."""

    def __init__(self, clock: SandboxClock) -> None:
        self.on = True
        self._windows = {name: Window(m.per_minute, 60.0, clock) for name, m in METHODS.items() if m.per_minute}
        self._posts = Drip(1.0, POST_BURST, clock)
        self._all_posts = Window(300, 60.0, clock)

    def require(self, method: str, args: Args) -> None:
        """Raises Refusal ratelimited, HTTP 429 with Retry-After."""
        if not self.on:
            return
        wait_s = self._windows[method].wait_s() if method in self._windows else 0.0
        if method == "chat.postMessage":
            wait_s = self._posts.wait_s(args.text("channel")) or self._all_posts.wait_s()
        if wait_s > 0:
            raise too_many(math.ceil(wait_s))


def too_many(wait_s: float) -> Refusal:
    return Refusal("ratelimited", status=429, headers={"Retry-After": str(math.ceil(wait_s))})


class Door:
    """The aiohttp handler of `/api/{method}`. `calls` counts what came in by method."""

    def __init__(self, desk: Desk, faults: Faults) -> None:
        self.desk = desk
        self.faults = faults
        self.limits = Limits(desk.world.clock)
        self.calls: Counter[str] = Counter()
        self.log: list[tuple[str, Json]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        self.calls[name] += 1
        fault = self.faults.striking(name)
        try:
            if fault is not None:
                _instead(fault)
            answer, status, headers = await self._run(name, request), 200, {}
        except Refusal as no:
            answer, status, headers = no.body(), no.status, no.headers
        except _BrokenError as broken:
            return web.Response(status=broken.code, text="upstream connect error")
        if fault is not None and fault.how == "slow":
            await self.desk.world.clock.sleep(fault.wait_s)
        if fault is not None and fault.how == "lose_answer" and request.transport is not None:
            request.transport.close()
        return web.json_response(answer, status=status, headers={**self._scopes(name), **headers})

    async def _run(self, name: str, request: web.Request) -> Json:
        method = METHODS.get(name)
        if method is None:
            raise Refusal("unknown_method", req_method=name)
        given = await read_arguments(request)
        self._authorise(method, _token(request, given))
        args = Args(given)
        self.limits.require(name, args)
        self.log.append((name, {key: value for key, value in given.items() if key != "token"}))
        return {"ok": True, **method.run(self.desk, args)}

    def _authorise(self, method: Method, token: str) -> None:
        app = self.desk.app
        if method.caller == "anybody":
            return
        if not token:
            raise Refusal("not_authed")
        if token not in (app.bot_token, app.app_token):
            raise Refusal("invalid_auth")
        if app.revoked:
            raise Refusal("token_revoked")
        if token != (app.bot_token if method.caller == "bot" else app.app_token):
            raise Refusal("not_allowed_token_type")
        if method.scope is not None:
            self.desk.need(method.scope)

    def _scopes(self, name: str) -> dict[str, str]:
        method = METHODS.get(name)
        accepted = method.scope if method is not None and method.scope is not None else ""
        return {"x-oauth-scopes": ",".join(sorted(self.desk.app.scopes)), "x-accepted-oauth-scopes": accepted}


class _BrokenError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def _instead(fault: Fault) -> None:
    """Raise what is answered in the method's place, if anything is."""
    if fault.how == "error":
        raise Refusal(fault.error)
    if fault.how == "status" and fault.code == 429:
        raise too_many(fault.wait_s)
    if fault.how == "status":
        raise _BrokenError(fault.code)


def _token(request: web.Request, given: Json) -> str:
    kind, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else str(given.get("token", ""))


async def read_arguments(request: web.Request) -> Json:
    """Query, then form or JSON body. Raises Refusal json_not_object, invalid_json, invalid_post_type."""
    given: Json = dict(request.query)
    if request.method == "POST" and request.can_read_body:
        given |= await _body(request)
    given |= _basic(request)
    return given


async def _body(request: web.Request) -> Json:
    if request.content_type == "application/json":
        return _json_object(await request.text())
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    raise Refusal("invalid_post_type" if request.content_type else "missing_post_type")


def _json_object(text: str) -> Json:
    try:
        said: Any = json.loads(text or "{}")
    except ValueError:
        raise Refusal("invalid_json") from None
    if not isinstance(said, dict):
        raise Refusal("json_not_object")
    return said


def _basic(request: web.Request) -> Json:
    """oauth.v2.access comes with HTTP Basic."""
    kind, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if kind.lower() != "basic":
        return {}
    client_id, _, secret = base64.b64decode(value).decode().partition(":")
    return {"client_id": client_id, "client_secret": secret}
