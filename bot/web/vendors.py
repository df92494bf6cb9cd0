"""Vendors' webhooks: `POST /webhooks/<connection>`, answered once the events are stored."""

from __future__ import annotations

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from worker.api import Refusal, Webhooks, trouble

log = structlog.get_logger()
ROUTE = "/webhooks/{connection}"
SAID = {400: "unreadable", 401: "not signed as agreed, or too old", 404: "unknown"}


class Hooks:
    """Takes calls and answers them with a status alone: what is wrong with a call is nobody's business outside.
    `public_url` is where the vendor calls, if that is not where this process listens."""

    def __init__(self, webhooks: Webhooks, public_url: str | None = None) -> None:
        self._webhooks = webhooks
        self._public_url = public_url.rstrip("/") if public_url is not None else None

    def serve(self, app: web.Application, registry: CollectorRegistry) -> None:
        """Add the route, and count its calls."""
        counted = Counter("tieout_webhook_calls", "Webhook calls of vendors", ("status",), registry=registry)

        async def take(request: web.Request) -> web.Response:
            response = await self._take(request)
            counted.labels(str(response.status)).inc()
            return response

        app.router.add_post(ROUTE, take)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            await self._webhooks.take(
                request.match_info["connection"], request.method, self._url(request), request.headers, body
            )
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=f"{SAID[refusal.status]}\n")
        except Exception as error:
            if trouble(error) is None:
                raise
            log.warning("webhooks.store_unreachable", error=type(error).__name__)
            return web.Response(status=503, text="try again\n")  # vendors do, for hours
        return web.Response(text="ok\n")

    def _url(self, request: web.Request) -> str:
        """The address that the vendor called, as it spelled it."""
        root = self._public_url if self._public_url is not None else f"{request.scheme}://{request.host}"
        return f"{root}{request.raw_path}"
