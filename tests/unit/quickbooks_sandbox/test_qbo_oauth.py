"""Authorising: the redirect with realmId, tokens that expire, a refresh token that changes about once a day."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.quickbooks.sandbox.server import CLIENT_ID, CLIENT_SECRET
from tests.unit.quickbooks_sandbox.qbo_caller import NOW

BACK = "http://127.0.0.1:9/callback?keep=1"
GOOD = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "scope": "com.intuit.quickbooks.accounting",
    "redirect_uri": BACK,
    "state": "s1",
}


class Browser:
    def __init__(self, books: QuickBooksSandbox, session: aiohttp.ClientSession) -> None:
        self.books = books
        self.session = session

    async def authorise(self, **query: str) -> tuple[int, str]:
        url = f"{self.books.url}/connect/oauth2"
        async with self.session.get(url, params={**GOOD, **query}, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def token(self, secret: str = CLIENT_SECRET, **form: str) -> tuple[int, dict[str, Any]]:
        basic = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
        url = f"{self.books.url}/oauth2/v1/tokens/bearer"
        async with self.session.post(url, data=form, headers={"Authorization": f"Basic {basic}"}) as answer:
            return answer.status, await answer.json()

    async def code(self) -> str:
        _, location = await self.authorise()
        return parse_qs(urlsplit(location).query)["code"][0]

    async def connected(self) -> dict[str, Any]:
        _, body = await self.token(grant_type="authorization_code", code=await self.code(), redirect_uri=BACK)
        return body

    async def refreshed(self, refresh: str) -> tuple[int, dict[str, Any]]:
        return await self.token(grant_type="refresh_token", refresh_token=refresh)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    books = QuickBooksSandbox(VirtualClock(NOW, fixed=True))
    async with books, aiohttp.ClientSession() as session:
        yield Browser(books, session)


async def test_authorising_goes_straight_back_with_code_state_and_realm(browser: Browser) -> None:
    """A loopback redirect is answered at once; the callback's own query is kept."""
    status, location = await browser.authorise()
    query = parse_qs(urlsplit(location).query)
    assert status == 302
    assert location.startswith("http://127.0.0.1:9/callback?")
    assert (query["state"], query["realmId"], query["keep"]) == (["s1"], [browser.books.realm], ["1"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": "https://elsewhere.example/callback"},
        {"client_id": "somebody"},
        {"response_type": "token"},
        {"state": ""},
        {"scope": ""},
    ],
)
async def test_a_wrong_request_is_not_redirected(browser: Browser, wrong: dict[str, str]) -> None:
    """400, and no code leaves the sandbox."""
    assert await browser.authorise(**wrong) == (400, "")
    assert browser.books.authority.codes == {}


async def test_a_code_is_good_once_and_for_its_redirect(browser: Browser) -> None:
    """The token answer has the vendor's members; a second use, a wrong redirect or a wrong secret is refused."""
    code = await browser.code()
    status, body = await browser.token(grant_type="authorization_code", code=code, redirect_uri=BACK)
    assert status == 200
    assert (body["token_type"], body["expires_in"], body["x_refresh_token_expires_in"]) == ("bearer", 3600, 8726400)
    again = await browser.token(grant_type="authorization_code", code=code, redirect_uri=BACK)
    assert (again[0], again[1]["error"]) == (400, "invalid_grant")
    other = await browser.token(grant_type="authorization_code", code=await browser.code(), redirect_uri="http://x/")
    assert (other[0], other[1]["error"]) == (400, "invalid_grant")
    stranger = await browser.token("no", grant_type="authorization_code", code=await browser.code(), redirect_uri=BACK)
    assert (stranger[0], stranger[1]["error"]) == (401, "invalid_client")


async def test_the_refresh_token_changes_after_a_day(browser: Browser) -> None:
    """Within 24 hours it keeps its value; after that the old one is dead."""
    first = await browser.connected()
    browser.books.clock.advance(3600)
    _, second = await browser.refreshed(first["refresh_token"])
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    browser.books.clock.advance(24 * 3600)
    _, third = await browser.refreshed(first["refresh_token"])
    assert third["refresh_token"] != first["refresh_token"]
    status, body = await browser.refreshed(first["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")
    assert body["error_description"] == "Incorrect or invalid refresh token"
    assert (await browser.refreshed(third["refresh_token"]))[0] == 200


async def test_rotation_at_every_refresh_can_be_asked_for(browser: Browser) -> None:
    """With the knob each value works once, so a lost answer breaks the chain."""
    browser.books.rotate_every_refresh = True
    first = await browser.connected()
    assert (await browser.refreshed(first["refresh_token"]))[0] == 200
    assert (await browser.refreshed(first["refresh_token"]))[0] == 400


async def test_a_refresh_token_ends_after_its_time(browser: Browser) -> None:
    """Unused for 101 days it is dead."""
    first = await browser.connected()
    browser.books.clock.advance(8_726_401)
    assert (await browser.refreshed(first["refresh_token"]))[0] == 400


async def test_revoking_and_disconnecting_end_every_token(browser: Browser) -> None:
    """By the app or by a person: calls get 401, refreshes invalid_grant."""
    first, second = await browser.connected(), await browser.connected()
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    url = f"{browser.books.url}/v2/oauth2/tokens/revoke"
    body = {"token": first["refresh_token"]}
    async with browser.session.post(url, json=body, headers={"Authorization": f"Basic {basic}"}) as answer:
        assert answer.status == 200
    assert (await browser.refreshed(first["refresh_token"]))[0] == 400
    assert (await browser.refreshed(second["refresh_token"]))[0] == 200
    browser.books.authority.disconnect(browser.books.realm)
    assert (await browser.refreshed(second["refresh_token"]))[0] == 400


async def test_discovery_names_this_sandbox(browser: Browser) -> None:
    """So that a client can be pointed at it by one address."""
    url = f"{browser.books.url}/.well-known/openid_sandbox_configuration"
    async with browser.session.get(url) as answer:
        body = await answer.json()
    assert body["token_endpoint"] == f"{browser.books.url}/oauth2/v1/tokens/bearer"
