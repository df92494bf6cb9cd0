"""aiohttp routes: Slack in HTTP mode, vendors' webhooks, health, metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

from bot.post import Sender
from bot.web.vendors import Hooks
from worker.api import Messages

EVENTS = "/slack/events"
Ready = Callable[[], Awaitable[str | None]]


class Metrics:
    """What is counted, in a registry of its own: two bots in one process do not meet."""

    def __init__(self, sender: Sender) -> None:
        self.registry = CollectorRegistry()
        self.acknowledged = Histogram(
            "tieout_slack_ack_seconds",
            "Seconds from a request of Slack's to its acknowledgement",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3),
            registry=self.registry,
        )
        self.requests = Counter("tieout_slack_requests", "Requests from Slack", ("status",), registry=self.registry)
        self._outbox = Gauge("tieout_outbox_letters", "Letters in the outbox", ("state",), registry=self.registry)
        self._sender = sender
        self._figures = {
            name: Gauge(f"tieout_sender_{name}", f"Letters {name} by this process", registry=self.registry)
            for name in ("sent", "repeated", "later", "refused")
        }

    async def text(self, messages: Messages) -> bytes:
        counts = await messages.counts()
        for state in ("pending", "sending", "refused"):
            self._outbox.labels(state).set(counts.get(state, 0))
        for name, gauge in self._figures.items():
            gauge.set(getattr(self._sender.figures, name))
        return generate_latest(self.registry)


def create_web(
    app: AsyncApp | None, messages: Messages, metrics: Metrics, ready: Ready, hooks: Hooks | None = None
) -> web.Application:
    """The routes. `app` None: Socket Mode brings Slack's requests, and only the others are served. `ready` says why
    the bot cannot work at the moment; None: it can."""

    async def slack(request: web.Request) -> web.Response:
        with metrics.acknowledged.time():
            response = await _dispatch(app, request) if app is not None else web.Response(status=404)
        metrics.requests.labels(str(response.status)).inc()
        return response

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = await ready()
        return web.Response(text="ready\n") if reason is None else web.Response(text=f"{reason}\n", status=503)

    async def figures(_: web.Request) -> web.Response:
        return web.Response(body=await metrics.text(messages), headers={"Content-Type": CONTENT_TYPE_LATEST})

    made = web.Application(client_max_size=2 * 1024 * 1024)
    made.router.add_post(EVENTS, slack)
    made.router.add_get("/healthz", healthz)
    made.router.add_get("/readyz", readyz)
    made.router.add_get("/metrics", figures)
    if hooks is not None:
        hooks.serve(made, metrics.registry)
    return made


async def _dispatch(app: AsyncApp, request: web.Request) -> web.Response:
    """A timestamp that is no number would raise in slack_sdk's verifier instead of being refused."""
    stamp = request.headers.get("X-Slack-Request-Timestamp", "")
    if not stamp.isascii() or not stamp.isdigit():
        return web.json_response({"error": "invalid request"}, status=401)
    answer: web.Response = await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))
    return answer
