"""Carries requests to the app, whichever way it listens, and carries events again when they were not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from bot.sandbox.deliver import http, payloads
from bot.sandbox.deliver.answer import Answer
from bot.sandbox.deliver.sockets import Sockets
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.world import Json

ACK_S = 3.0  # https://docs.slack.dev/interactivity/handling-user-interaction: within 3 seconds
RETRY_S = (0.0, 60.0, 300.0)  # events come again at once, after a minute, after five minutes


class Postman:
    """`ack_s`: real seconds that the app has. `twice`: so many interactions to come are delivered two times, as
    when a person presses twice. `skew_s` is added to signatures' timestamps. `sent`: all that went out."""

    def __init__(self, desk: Desk, sockets: Sockets) -> None:
        self.desk = desk
        self.sockets = sockets
        self.ack_s = ACK_S
        self.twice = 0
        self.skew_s = 0
        self.sent: list[tuple[str, Json]] = []
        self._session: aiohttp.ClientSession | None = None
        self._events: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        self._session = aiohttp.ClientSession(trust_env=False)

    async def close(self) -> None:
        for task in list(self._events):
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def carry(self, kind: str, payload: Json, headers: Mapping[str, str] | None = None) -> Answer:
        """One request, as often as the `twice` knob says; the first answer counts."""
        copies = 1
        if kind == "interactive" and self.twice > 0:
            self.twice -= 1
            copies = 2
        answers = await asyncio.gather(*(self._once(kind, payload, headers or {}) for _ in range(copies)))
        return answers[0]

    async def _once(self, kind: str, payload: Json, headers: Mapping[str, str]) -> Answer:
        self.sent.append((kind, payload))
        if self.sockets.count > 0:
            more: Json = {"retry_attempt": 0, "retry_reason": ""} if kind == "events_api" else {}
            if "X-Slack-Retry-Num" in headers:
                more = {
                    "retry_attempt": int(headers["X-Slack-Retry-Num"]),
                    "retry_reason": headers["X-Slack-Retry-Reason"],
                }
            return await self.sockets.deliver(kind, payload, self.ack_s, more)
        app = self.desk.app
        if app.request_url is None or self._session is None:
            return Answer(trouble="dispatch_failed", reason="connection_failed")
        return await http.deliver(
            self._session,
            app.request_url,
            (kind, payload),
            secret=app.signing_secret,
            at=int(self.desk.world.clock.wall()) + self.skew_s,
            headers=headers,
            ack_s=self.ack_s,
        )

    def tell(self, inner: Json) -> None:
        """An event, if the app subscribed to it; in the background, and again if it was not taken."""
        kind = inner["type"] if inner["type"] != "message" else f"message.{inner['channel_type']}"
        if kind in self.desk.app.events:
            task = asyncio.create_task(self._insist(payloads.event(self.desk, inner)))
            self._events.add(task)
            task.add_done_callback(self._events.discard)

    async def _insist(self, payload: Json) -> None:
        answer = await self.carry("events_api", payload)
        for attempt, wait_s in enumerate(RETRY_S, start=1):
            if answer.trouble is None or answer.no_retry:
                return
            await self.desk.world.clock.sleep(wait_s)
            headers = {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": answer.reason}
            answer = await self.carry("events_api", payload, headers)
