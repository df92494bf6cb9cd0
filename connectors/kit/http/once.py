"""Keeping the HTTP library from sending anything twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp


class HungUp(aiohttp.ClientError):
    """The connection ended before an answer came; the library does not know it as a reason to send again."""


async def sent_once(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT, DELETE or GET a second time by itself when the connection drops.

    It does so on ClientOSError and ServerDisconnectedError, outside of the middlewares (aiohttp/client.py,
    `retry_persistent_connection`); here these become an error that it does not send again for."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as dropped:
        raise HungUp(type(dropped).__name__) from None
