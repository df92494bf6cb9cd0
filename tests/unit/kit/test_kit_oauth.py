"""Logging in and renewing against a token endpoint that misbehaves as told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from connectors.kit.contract import OAuth, Token
from connectors.kit.errors import BadSettings, Reconnect, TryLater
from connectors.kit.oauth import Login, MemoryTokens
from connectors.kit.sandbox import Sandbox, reply
from connectors.kit.sandbox.faults import cut_body, delay, drop_before, html_502, lose_answer, status


class Authority(Sandbox):
    """Gives tokens. With `rotates` an old refresh token is refused once a new one is out."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.rotates = True
        self.good = "refresh-0"
        self.given = 0
        self.reached = asyncio.Event()
        self.asked: list[tuple[dict[str, str], str | None]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/token", self.token)]

    async def token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.reached.set()
        self.asked.append((form, request.headers.get("Authorization")))
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.good:
            return reply({"error": "invalid_grant"}, 400)
        self.given += 1
        if self.rotates:
            self.good = f"refresh-{self.given}"
        said = {"access_token": f"access-{self.given}", "expires_in": 1800, "token_type": "bearer"}
        if self.rotates:
            said |= {"refresh_token": self.good, "x_refresh_token_expires_in": "8726400"}
        return reply(said)


@pytest.fixture
async def authority(clock) -> AsyncIterator[Authority]:
    async with Authority(clock=clock) as serving:
        yield serving


@pytest.fixture
def login(session, clock, authority):
    def make(*, basic: bool = False, rotates: bool = False, **more: Any) -> Login:
        authority.rotates = rotates
        facts = OAuth(
            authorize_url="http://127.0.0.1:1/authorize?optional=1",
            token_url=authority.url + "/token",
            scopes=("books.read", "books.write"),
            rotates=rotates,
            basic_auth=basic,
        )
        app = {"client_id": "app", "client_secret": "hush-hush", **more}
        return Login(facts, system="notes", session=session, clock=clock, **app)

    return make


OLD = Token(access="access-0", refresh="refresh-0")


def test_where_a_person_says_yes(login) -> None:
    """The address names app, scopes, state and where to come back to, and keeps what it had."""
    url = urlsplit(login().authorization_url("https://me.test/back?x=1", "s t"))
    assert (url.scheme, url.netloc, url.path) == ("http", "127.0.0.1:1", "/authorize")
    assert parse_qs(url.query) == {
        "optional": ["1"],
        "response_type": ["code"],
        "client_id": ["app"],
        "redirect_uri": ["https://me.test/back?x=1"],
        "scope": ["books.read books.write"],
        "state": ["s t"],
    }


def test_plain_http_is_for_this_machine_only(session, clock) -> None:
    """A login page elsewhere must be HTTPS."""
    facts = OAuth(authorize_url="http://vendor.test/authorize", token_url="http://vendor.test/t", scopes=())
    with pytest.raises(Exception, match="insecure_transport"):
        Login(facts, system="notes", session=session, clock=clock, client_id="a", client_secret="b").authorization_url(
            "https://me.test", "s"
        )


async def test_a_code_becomes_a_token(login, authority, clock) -> None:
    """The token says when it and its refresh token end, by our clock."""
    token = await login(rotates=True).exchange("code-1", "https://me.test/back")
    assert (
        Token(
            access="access-1",
            refresh="refresh-1",
            expires_at=clock.now() + timedelta(seconds=1800),
            refresh_expires_at=clock.now() + timedelta(seconds=8726400),
            client_id="app",
            client_secret="hush-hush",
        )
        == token
    )
    form = {"grant_type": "authorization_code", "code": "code-1", "redirect_uri": "https://me.test/back"}
    assert [({**form, "client_id": "app", "client_secret": "hush-hush"}, None)] == authority.asked


async def test_basic_auth_keeps_the_secret_out_of_the_body(login, authority) -> None:
    """Where the facts say so, id and secret go in the header alone."""
    await login(basic=True).refresh(OLD)
    header = "Basic " + base64.b64encode(b"app:hush-hush").decode()
    assert [({"grant_type": "refresh_token", "refresh_token": "refresh-0"}, header)] == authority.asked


async def test_what_comes_back_is_kept(login) -> None:
    """A rotated refresh token is taken over; where none comes back the old one stays."""
    rotated = await login(rotates=True).refresh(OLD)
    assert (rotated.access, rotated.refresh) == ("access-1", "refresh-1")
    stays = await login(rotates=False).refresh(rotated)
    assert (stays.access, stays.refresh) == ("access-2", "refresh-1")


async def test_the_tokens_own_app_comes_first(login, authority) -> None:
    """A token that carries its app's id and secret is renewed with those."""
    own = Token(access="a", refresh="refresh-0", client_id="own", client_secret="own-secret")
    renewed = await login().refresh(own)
    assert (
        authority.asked[0][0]["client_id"],
        renewed.client_id,
        renewed.client_secret,
    ) == ("own", "own", "own-secret")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(400, body={"error": "invalid_grant"}), Reconnect),
        (
            status(400, body={"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}),
            Reconnect,
        ),
        (status(400, body="<html>"), Reconnect),
        (status(401, body={"error": "access_denied"}), Reconnect),
        (status(401, body={"error": "invalid_client"}), BadSettings),
        (status(400, body={"error": "unauthorized_client"}), BadSettings),
        (status(429, headers={"Retry-After": "9"}), TryLater),
        (status(500), TryLater),
        (html_502(), TryLater),
        (drop_before(), TryLater),
        (cut_body(), TryLater),
        (lose_answer(), TryLater),
        (status(200, body="<html>"), TryLater),
        (status(200, body={"token": "?"}), TryLater),
    ],
)
async def test_what_a_no_means(login, authority, fault, kind) -> None:
    """A refused grant asks a person to reconnect, a refused app is a setting, the rest is for later."""
    authority.faults.add(fault)
    with pytest.raises(kind):
        await login(rotates=False).refresh(OLD)
    assert authority.calls == 1


async def test_nobody_there_is_for_later(login, authority) -> None:
    """What was not sent did not rotate anything."""
    renewing = login(rotates=True)
    await authority.stop()
    with pytest.raises(TryLater):
        await renewing.refresh(OLD)


async def test_no_app_is_a_setting(login) -> None:
    """Without an app's id and secret nothing is asked."""
    with pytest.raises(BadSettings):
        await login(client_id=None).refresh(OLD)


async def test_no_refresh_token_asks_to_reconnect(login) -> None:
    """A login that cannot be renewed ends when it ends."""
    with pytest.raises(Reconnect):
        await login().refresh(Token(access="a"))


async def test_a_lost_code_exchange_asks_to_reconnect(login, authority) -> None:
    """A code works once: after a lost answer it is not tried again."""
    authority.faults.add(lose_answer())
    with pytest.raises(Reconnect):
        await login().exchange("code-1", "https://me.test/back")
    assert authority.calls == 1


async def test_a_lost_rotation_ends_in_reconnect(login, authority) -> None:
    """The vendor rotated and the answer was lost: the old token is refused, and a person connects again."""
    authority.faults.add(lose_answer())
    with pytest.raises(Reconnect, match="invalid_grant"):
        await login(rotates=True).refresh(OLD)
    assert authority.calls == 2


async def test_a_rotation_that_never_happened_goes_on(login, authority) -> None:
    """The connection dropped before the vendor rotated: the old token still works, and nobody is bothered."""
    authority.faults.add(drop_before())
    token = await login(rotates=True).refresh(OLD)
    assert (token.access, token.refresh) == ("access-1", "refresh-1")


@pytest.mark.parametrize("fault", [lose_answer(times=2), drop_before(times=2)])
async def test_a_rotation_lost_twice_ends_in_reconnect(login, authority, fault) -> None:
    """If nobody can know, work is held until somebody connects again."""
    authority.faults.add(fault)
    with pytest.raises(Reconnect):
        await login(rotates=True).refresh(OLD)
    assert authority.calls == 2


async def test_secrets_stay_out_of_the_refusal(login, authority) -> None:
    """A vendor that echoes what it was sent does not make us repeat it."""
    authority.faults.add(status(400, body={"error": "invalid_grant", "error_description": "refresh-0 hush-hush no"}))
    with pytest.raises(Reconnect, match=r"\*\*\* \*\*\* no"):
        await login().refresh(OLD)


async def test_fifty_callers_cause_one_refresh(login, authority) -> None:
    """Many callers with the same stale token: one request, and all get the new token."""
    tokens = MemoryTokens(OLD)
    renew = login(rotates=True).refresh
    authority.faults.add(delay(0.05))
    given = await asyncio.gather(*(tokens.renewed(OLD, renew) for _ in range(50)))
    late = await tokens.renewed(OLD, renew)
    assert (1, {"access-1"}, "access-1") == (authority.calls, {t.access for t in given}, late.access)


async def test_fifty_callers_without_the_store_break_the_grant(login, authority) -> None:
    """Saboteur: refreshing without the store sends fifty requests, and rotation refuses all but the first."""
    renew = login(rotates=True).refresh
    given = await asyncio.gather(*(renew(OLD) for _ in range(50)), return_exceptions=True)
    assert (authority.calls, sum(isinstance(outcome, Reconnect) for outcome in given)) == (50, 49)


async def test_a_cancelled_caller_does_not_lose_the_token(login, authority) -> None:
    """The refresh goes on for whoever comes next: a rotated token is not thrown away."""
    tokens = MemoryTokens(OLD)
    renew = login(rotates=True).refresh
    authority.faults.add(delay(0.05))
    first = asyncio.create_task(tokens.renewed(OLD, renew))
    await authority.reached.wait()
    first.cancel()
    assert (await tokens.renewed(OLD, renew)).access == "access-1"
    assert ((await tokens.current()).access, authority.calls) == ("access-1", 1)


async def test_all_who_wait_share_the_failure(login, authority) -> None:
    """A refused grant is asked about once, not fifty times; the next caller after that asks again."""
    tokens = MemoryTokens(OLD)
    renew = login().refresh
    authority.faults.add(status(400, body={"error": "invalid_grant"}))
    outcomes = await asyncio.gather(*(tokens.renewed(OLD, renew) for _ in range(50)), return_exceptions=True)
    assert (authority.calls, sum(isinstance(o, Reconnect) for o in outcomes)) == (1, 50)
    assert (await tokens.renewed(OLD, renew)).access == "access-1"
