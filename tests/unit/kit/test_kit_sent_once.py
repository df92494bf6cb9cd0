"""No write is sent twice, neither by us nor by the HTTP library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from connectors.kit.errors import Doubtful, TryLater

METHODS = ("PUT", "DELETE", "POST", "PATCH")


class HangUp:
    """A server that reads a whole request and closes the connection. `polite` requests are answered before."""

    def __init__(self, polite: int = 0) -> None:
        self.polite = polite
        self.requests: list[bytes] = []
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head + await self._body(head, reader))
                if len(self.requests) > self.polite:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def _body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return await reader.readexactly(int(line.partition(b":")[2]))
        return b""


@pytest.fixture
async def hang_up() -> AsyncIterator[HangUp]:
    server = HangUp()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield server
    listening.close()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("polite", [0, 1], ids=["fresh", "kept-alive"])
@pytest.mark.parametrize("json", [{"a": 1}, None], ids=["body", "no body"])
async def test_a_write_arrives_once(make_http, hang_up: HangUp, method: str, polite: int, json: object) -> None:
    """The server reads a write and hangs up: exactly one request arrived, and nobody knows what became of it."""
    http = make_http(hang_up.url)
    hang_up.polite = polite
    for _ in range(polite):
        await http.write("POST", "/first", operation="note.first", json={})
    with pytest.raises(Doubtful) as raised:
        await http.write(method, "/x", operation="note.save", json=json, ref="7")
    assert len(hang_up.requests) - polite == 1
    assert (
        str(raised.value),
        raised.value.answer,
    ) == ("notes note.save 7: the answer was lost (ServerDisconnectedError)", None)


@pytest.mark.parametrize(("method", "arrived"), [("PUT", 2), ("DELETE", 2), ("GET", 2), ("POST", 1)])
async def test_the_library_alone_sends_again(
    session: aiohttp.ClientSession, hang_up: HangUp, method: str, arrived: int
) -> None:
    """Saboteur: without our middleware the same library sends idempotent methods a second time."""
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.request(method, hang_up.url, json={"a": 1})
    assert arrived == len(hang_up.requests)


async def test_a_read_is_tried_five_times(make_http, hang_up: HangUp) -> None:
    """A read is sent again, by us alone: five requests, not ten."""
    with pytest.raises(TryLater):
        await make_http(hang_up.url).read("GET", "/x", operation="note.list")
    assert len(hang_up.requests) == 5
