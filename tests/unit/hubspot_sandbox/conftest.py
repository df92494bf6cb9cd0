"""A HubSpot sandbox on loopback, with a clock that stands still, and a way to call it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
import pytest

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.sandbox import VirtualClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Any


class Api:
    """Calls a sandbox with a token."""

    def __init__(self, sandbox: HubSpotSandbox, session: aiohttp.ClientSession, token: str = "pat-na1-sandbox") -> None:
        self.sandbox = sandbox
        self.session = session
        self.token = token

    async def __call__(self, method: str, path: str, body: Any = None, **query: str) -> Reply:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.sandbox.url}{path}"
        async with self.session.request(method, url, json=body, params=query, headers=headers) as answer:
            told = await answer.json() if "json" in answer.content_type else await answer.text()
            return Reply(answer.status, told, answer.headers)

    async def search(self, object: str, *filters: dict[str, Any], **more: Any) -> Reply:
        groups = [{"filters": list(filters)}] if filters else []
        return await self("POST", f"/crm/v3/objects/{object}/search", {"filterGroups": groups, **more})

    def as_token(self, token: str) -> "Api":
        return Api(self.sandbox, self.session, token)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def sandbox() -> AsyncIterator[HubSpotSandbox]:
    async with HubSpotSandbox(VirtualClock(NOON, fixed=True), limits=False) as serving:
        yield serving


@pytest.fixture
def api(sandbox: HubSpotSandbox, session: aiohttp.ClientSession) -> Api:
    return Api(sandbox, session)


@pytest.fixture
def api_of(session: aiohttp.ClientSession) -> Callable[[HubSpotSandbox], Api]:
    return lambda sandbox: Api(sandbox, session)


@pytest.fixture
def pair(sandbox: HubSpotSandbox) -> tuple[str, str]:
    """A contact and a company that are not associated."""
    return sandbox.add_contact("a@x.example"), sandbox.add_company("Acme")
