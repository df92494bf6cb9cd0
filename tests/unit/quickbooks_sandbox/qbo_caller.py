"""Calls a company over HTTP, and keeps what came back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec

from connectors.quickbooks.sandbox import QuickBooksSandbox

ENCODER = msgspec.json.Encoder(decimal_format="number")
NOW = datetime(2026, 11, 2, 17, 0, tzinfo=UTC)


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.raw)

    @property
    def fault(self) -> tuple[int, str]:
        """Status and code of a fault."""
        body = self.body
        error = body["Fault"]["Error"][0] if "Fault" in body else body["fault"]["error"][0]
        return self.status, error["code"]


class Caller:
    """Calls one company with a valid token, and asks for JSON."""

    def __init__(self, books: QuickBooksSandbox, session: aiohttp.ClientSession) -> None:
        self.books = books
        self.session = session
        self.token = books.token()["access_token"]
        self.headers = {"Accept": "application/json"}

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        url = f"{self.books.url}/v3/company/{self.books.realm}/{path}"
        headers = {**self.headers, "Authorization": f"Bearer {self.token}"}
        data = ENCODER.encode(body) if body is not None else None
        async with self.session.request(method, url, params=query, data=data, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **query: str) -> Answer:
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("POST", path, body, **query)

    async def query(self, text: str) -> Answer:
        return await self.get("query", query=text)
