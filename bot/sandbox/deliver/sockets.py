"""Socket Mode: envelopes over a websocket, each acknowledged by its id.
Source: https://docs.slack.dev/apis/events-api/using-socket-mode."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from aiohttp import WSMsgType, web

from bot.sandbox.deliver.answer import Answer
from bot.sandbox.ids import Ids
from bot.sandbox.world import Json

MOST = 10  # connections an app may hold at once
Reason = Literal["warning", "refresh_requested", "link_disabled"]


class Sockets:
    """The app's open connections; each envelope goes to one of them, in turn."""

    def __init__(self, ids: Ids, app_id: str) -> None:
        self._ids = ids
        self._app_id = app_id
        self._open: list[web.WebSocketResponse] = []
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._turn = 0

    @property
    def count(self) -> int:
        return len(self._open)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The websocket itself, until either end closes it."""
        if self.count >= MOST:
            return web.json_response({"ok": False, "error": "too_many_websockets"}, status=429)
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        self._open.append(socket)
        try:
            await socket.send_json(self._hello())
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    self._heard(frame.data)
        finally:
            self._drop(socket)
        return socket

    def _drop(self, socket: web.WebSocketResponse) -> None:
        if socket in self._open:
            self._open.remove(socket)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": self.count,
            "debug_info": {"host": "sandbox", "approximate_connection_time": 3600},
            "connection_info": {"app_id": self._app_id},
        }

    def _heard(self, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(said.get("envelope_id", "")) if isinstance(said, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(said.get("payload"))

    async def deliver(self, kind: str, payload: Json, ack_s: float, more: Json) -> Answer:
        """Send one envelope and wait `ack_s` real seconds for its acknowledgement."""
        if not self._open:
            return Answer(trouble="dispatch_failed", reason="connection_failed")
        self._turn += 1
        socket = self._open[self._turn % self.count]
        envelope_id = self._ids.uuid("envelope")
        waiting = self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
            "payload": payload,
            **more,
        }
        try:
            async with asyncio.timeout(ack_s):
                await socket.send_json(envelope)
                return Answer(body=await waiting or None)
        except TimeoutError:
            return Answer(trouble="operation_timeout", reason="http_timeout")
        except ConnectionError:
            self._drop(socket)
            return Answer(trouble="dispatch_failed", reason="connection_failed")
        finally:
            self._waiting.pop(envelope_id, None)

    async def disconnect(self, reason: Reason = "refresh_requested") -> None:
        """Tell every connection to come back (or, with `warning`, that it soon has to), as Slack does hourly."""
        for socket in list(self._open):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}})
            if reason != "warning":
                self._drop(socket)
                await socket.close()

    async def close(self) -> None:
        for socket in list(self._open):
            await socket.close()
