"""Logging in by OAuth 2 with an authorization code, and one refresh for many who need it.

oauthlib knows the protocol (RFC 6749) and does no I/O; the requests go through the session here. They are sent
once by the library, as a refresh that rotates its token must be.
"""

from __future__ import annotations

import asyncio
import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import msgspec
from oauthlib.oauth2 import WebApplicationClient
from yarl import URL

from connectors.kit import contract
from connectors.kit.errors import BadSettings, ConnectorError, Reconnect, TryLater
from connectors.kit.http.answer import retry_after_s
from connectors.kit.http.once import sent_once
from connectors.kit.http.redaction import redacted
from connectors.kit.http.verdict import unanswered

_T = TypeVar("_T")
_CONNECT_S = 10.0
_APP_REFUSED = frozenset({"invalid_client", "unauthorized_client"})


class _Lost(Exception):
    """The token request was sent and its answer did not come whole."""


class _Grant(msgspec.Struct, frozen=True):
    """A token endpoint's yes (RFC 6749, 5.1), and the refresh token's life as some vendors tell it."""

    access_token: str
    refresh_token: str | None = None
    expires_in: int | float | str | None = None
    x_refresh_token_expires_in: int | float | str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    """A token endpoint's no (RFC 6749, 5.2); `status` and `message` are vendors' own names for it."""

    error: Any = None
    error_description: Any = None
    status: Any = None
    message: Any = None


class Login:
    """One vendor's OAuth 2 login. `oauth` are the vendor's facts (for a local sandbox: with its addresses).

    `client_id` and `client_secret` are the app's; a token that carries its own goes by those. They go in a Basic
    header if the facts say `basic_auth`, else in the form body. `refresh` is a `contract.Renew`."""

    def __init__(
        self,
        oauth: contract.OAuth,
        *,
        system: str,
        session: Any,
        clock: contract.Clock,
        client_id: str | None = None,
        client_secret: str | None = None,
        deadline_s: float = 30,
    ) -> None:
        self._oauth = oauth
        self._system = system
        self._session = session
        self._clock = clock
        self._app = contract.Token(access="", client_id=client_id, client_secret=client_secret)
        self._deadline_s = deadline_s

    def authorization_url(self, redirect_uri: str, state: str) -> str:
        """Where a person goes to say yes. `state` comes back with the code and must be compared by the caller."""
        client_id, _ = self._credentials(self._app)
        url = self._oauth.authorize_url
        # oauthlib refuses plain HTTP, which is right everywhere but on this machine.
        plain = _is_plain_loopback(url)
        asked: str = WebApplicationClient(client_id).prepare_request_uri(
            "https" + url[4:] if plain else url, redirect_uri=redirect_uri, scope=self._oauth.scopes, state=state
        )
        return "http" + asked[5:] if plain else asked

    async def exchange(self, code: str, redirect_uri: str) -> contract.Token:
        """A token for the code that came back. Raises Reconnect, TryLater or BadSettings."""
        client_id, secret = self._credentials(self._app)
        in_body = not self._oauth.basic_auth
        form = WebApplicationClient(client_id).prepare_request_body(
            code=code,
            redirect_uri=redirect_uri,
            include_client_id=in_body,
            client_secret=secret if in_body else None,
        )
        try:
            grant = await self._ask(form, client_id, secret, (code,))
        except _Lost:
            raise self._error(Reconnect, "the answer to the login was lost, and a code works only once") from None
        return self._token(grant, self._app)

    async def refresh(self, token: contract.Token) -> contract.Token:
        """A new token for an old one. The refresh token is whatever came back, else the old one.

        If the answer to a rotating refresh is lost, it is asked for once more: the old refresh token then either
        still works or is definitely refused. Raises Reconnect if the grant is gone, or if that too was lost;
        TryLater if nothing happened that matters; BadSettings if the app itself is refused."""
        client_id, secret = self._credentials(token)
        if token.refresh is None:
            raise self._error(Reconnect, "this login cannot be renewed")
        form = WebApplicationClient(client_id).prepare_refresh_body(
            refresh_token=token.refresh,
            **({} if self._oauth.basic_auth else {"client_id": client_id, "client_secret": secret}),
        )
        try:
            grant = await self._asked_again_if_lost(form, client_id, secret, token)
        except _Lost:
            if self._oauth.rotates:
                raise self._error(Reconnect, "the answer to the renewal of the login was lost") from None
            raise self._error(TryLater, "the login could not be renewed yet") from None
        return self._token(grant, token)

    async def _asked_again_if_lost(self, form: str, client_id: str, secret: str, token: contract.Token) -> _Grant:
        secrets = (token.access, token.refresh)
        try:
            return await self._ask(form, client_id, secret, secrets)
        except _Lost:
            if not self._oauth.rotates:
                raise
        try:
            return await self._ask(form, client_id, secret, secrets)
        except TryLater:
            raise _Lost from None

    def _credentials(self, token: contract.Token) -> tuple[str, str]:
        client_id = token.client_id if token.client_id is not None else self._app.client_id
        secret = token.client_secret if token.client_secret is not None else self._app.client_secret
        if client_id is None or secret is None:
            raise self._error(BadSettings, "the app's client id and client secret are not set")
        return client_id, secret

    async def _ask(self, form: str, client_id: str, secret: str, secrets: tuple[str | None, ...]) -> _Grant:
        """The token endpoint's yes. Raises _Lost, or what a no means."""
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self._oauth.basic_auth:
            headers["Authorization"] = "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()
        status, answered, body = await self._post(form, headers)
        if not 200 <= status < 300:
            raise self._refusal(status, answered, _decoded(body, _Refusal), (*secrets, secret))
        grant = _decoded(body, _Grant)
        if grant is None:
            raise _Lost
        return grant

    async def _post(self, form: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._session.post(
                self._oauth.token_url,
                data=form.encode(),
                headers=headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=aiohttp.ClientTimeout(total=self._deadline_s, connect=_CONNECT_S),
                middlewares=(sent_once,),
            ) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            if unanswered(failure, write=True) is TryLater:
                raise self._error(TryLater, f"the login cannot be reached ({type(failure).__name__})") from None
            raise _Lost from None

    def _refusal(
        self, status: int, headers: Mapping[str, str], said: _Refusal | None, secrets: tuple[str | None, ...]
    ) -> ConnectorError:
        code, words = _words(said)
        message = redacted(words if words is not None else f"the login was refused ({status})", secrets)
        if status >= 500 or status in (408, 425, 429):
            wait_s = retry_after_s(headers.get("Retry-After"), self._clock.now())
            return self._error(TryLater, f"the login is busy or out of order ({status})", wait_s=wait_s)
        if code in _APP_REFUSED:
            return self._error(BadSettings, message, code=code)
        return self._error(Reconnect, message, code=code)

    def _token(self, grant: _Grant, old: contract.Token) -> contract.Token:
        now = self._clock.now()
        ends = _after(now, grant.x_refresh_token_expires_in)
        return contract.Token(
            access=grant.access_token,
            refresh=grant.refresh_token if grant.refresh_token is not None else old.refresh,
            expires_at=_after(now, grant.expires_in),
            refresh_expires_at=ends if ends is not None else old.refresh_expires_at,
            client_id=old.client_id,
            client_secret=old.client_secret,
        )

    def _error(self, kind: type[ConnectorError], message: str, **more: Any) -> ConnectorError:
        return kind(message, system=self._system, operation="login", **more)


def _is_plain_loopback(address: str) -> bool:
    url = URL(address)
    if url.scheme != "http" or url.host is None:
        return False
    if url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False


def _decoded(body: bytes, type: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _words(said: _Refusal | None) -> tuple[str | None, str | None]:
    """Code and words of a refusal, by the standard's names or the ones that vendors use beside them."""
    if said is None:
        return None, None
    code = said.error if said.error is not None else said.status
    words = said.error_description if said.error_description is not None else said.message
    code, words = (str(part) if part is not None else None for part in (code, words))
    return code, words if words is not None else code


def _after(now: datetime, seconds: int | float | str | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return now + timedelta(seconds=float(seconds))
    except (ValueError, OverflowError):
        return None


class MemoryTokens:
    """A `contract.Tokens` for one process: many callers with the same stale token cause one refresh."""

    def __init__(self, token: contract.Token) -> None:
        self._token = token
        self._renewing: asyncio.Task[contract.Token] | None = None

    async def current(self) -> contract.Token:
        return self._token

    async def renewed(self, stale: contract.Token, renew: contract.Renew) -> contract.Token:
        """The newer token if there is one already, else what `renew` gives. All who wait share its outcome, an
        error too. A caller that is cancelled does not stop the refresh: a rotated token would be lost with it."""
        if self._token.access != stale.access:
            return self._token
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(stale, renew))
            self._renewing.add_done_callback(self._over)
        return await asyncio.shield(self._renewing)

    async def _renew(self, stale: contract.Token, renew: contract.Renew) -> contract.Token:
        self._token = await renew(stale)
        return self._token

    def _over(self, task: asyncio.Task[contract.Token]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # it reached whoever still waits; nobody else needs a warning
