"""Who may call: authorisation codes, access tokens of an hour, refresh tokens whose value changes about once a day.

Source: https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connectors.quickbooks.sandbox import faults
from connectors.quickbooks.sandbox.company import Clock

ACCOUNTING = "com.intuit.quickbooks.accounting"
ACCESS_S = 3600
REFRESH_S = 8_726_400
ROTATES_AFTER = timedelta(hours=24)
CODE_LIVES = timedelta(minutes=5)


class OAuthRefusal(Exception):
    """A token request that was refused: the `error` of RFC 6749, with the vendor's description."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


class Code(msgspec.Struct, frozen=True):
    redirect_uri: str
    scopes: frozenset[str]
    realm: str
    until: datetime


class Chain(msgspec.Struct):
    """One authorisation: its only valid refresh token, when that value was given out, and its access tokens."""

    realm: str
    scopes: frozenset[str]
    refresh: str
    since: datetime
    access: dict[str, datetime]


def _random(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(30)


class Authority:
    """Gives out and checks tokens. `rotate_every_refresh`: the refresh token changes at each use, not once a day.
    `new_value` makes random values; a test can give its own."""

    def __init__(
        self, clock: Clock, client_id: str, client_secret: str, *, new_value: Callable[[str], str] = _random
    ) -> None:
        self.clock = clock
        self.client_id = client_id
        self.client_secret = client_secret
        self.rotate_every_refresh = False
        self.refreshes = 0
        self.codes: dict[str, Code] = {}
        self.chains: list[Chain] = []
        self._new = new_value

    # ----------------------------------------------------------------- authorise

    def authorise(self, query: Mapping[str, str], realm: str) -> str:
        """A code for the callback. Raises OAuthRefusal if the request is not one the vendor would show a person."""
        if query.get("client_id") != self.client_id:
            raise OAuthRefusal("invalid_client", "unknown client_id")
        if query.get("response_type") != "code":
            raise OAuthRefusal("unsupported_response_type", "response_type must be code")
        if not query.get("state"):
            raise OAuthRefusal("invalid_request", "state is missing")
        if not is_loopback(query.get("redirect_uri", "")):
            raise OAuthRefusal("invalid_request", "The redirect_uri query parameter value is invalid.")
        scopes = frozenset(query.get("scope", "").split())
        if not scopes:
            raise OAuthRefusal("invalid_scope", "scope is missing")
        code = self._new("AB1")
        self.codes[code] = Code(query["redirect_uri"], scopes, realm, self.clock.now() + CODE_LIVES)
        return code

    # ----------------------------------------------------------------- tokens

    def token(self, authorization: str | None, form: Mapping[str, str], *, rotate: bool = False) -> dict[str, Any]:
        """The answer of the token endpoint; `rotate`: with another refresh token, however young this one is. Raises
        OAuthRefusal."""
        self._check_client(authorization)
        grant = form.get("grant_type")
        if grant == "authorization_code":
            return self._exchange(form)
        if grant == "refresh_token":
            return self._refresh(form, rotate=rotate)
        raise OAuthRefusal("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")

    def _check_client(self, authorization: str | None) -> None:
        scheme, _, encoded = (authorization or "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        right = f"{self.client_id}:{self.client_secret}"
        if scheme.lower() != "basic" or not hmac.compare_digest(given.encode(), right.encode()):
            raise OAuthRefusal("invalid_client", "Client authentication failed", 401)

    def _exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.until < self.clock.now() or code.redirect_uri != form.get("redirect_uri"):
            raise OAuthRefusal("invalid_grant", "Incorrect or invalid authorization code")
        return self.issue(code.realm, code.scopes)

    def issue(self, realm: str, scopes: frozenset[str] = frozenset({ACCOUNTING})) -> dict[str, Any]:
        """A new authorisation of a company: the token answer."""
        chain = Chain(realm, scopes, self._new("RT1-"), self.clock.now(), {})
        self.chains.append(chain)
        return self._answer(chain)

    def _refresh(self, form: Mapping[str, str], *, rotate: bool) -> dict[str, Any]:
        given = form.get("refresh_token", "")
        chain = next((each for each in self.chains if each.refresh == given), None)
        if chain is None or self.clock.now() > chain.since + timedelta(seconds=REFRESH_S):
            raise OAuthRefusal("invalid_grant", "Incorrect or invalid refresh token")
        self.refreshes += 1
        if rotate or self.rotate_every_refresh or self.clock.now() >= chain.since + ROTATES_AFTER:
            chain.refresh, chain.since = self._new("RT1-"), self.clock.now()
        return self._answer(chain)

    def _answer(self, chain: Chain) -> dict[str, Any]:
        access = self._new("eyJ")
        chain.access[access] = self.clock.now() + timedelta(seconds=ACCESS_S)
        left = chain.since + timedelta(seconds=REFRESH_S) - self.clock.now()
        return {
            "token_type": "bearer",
            "access_token": access,
            "expires_in": ACCESS_S,
            "refresh_token": chain.refresh,
            "x_refresh_token_expires_in": int(left.total_seconds()),
        }

    def revoke(self, authorization: str | None, token: str) -> None:
        """End the authorisation that a refresh or access token belongs to. Raises OAuthRefusal."""
        self._check_client(authorization)
        for chain in self.chains:
            if token == chain.refresh or token in chain.access:
                self.chains.remove(chain)
                return
        raise OAuthRefusal("invalid_request", "Token is invalid")

    def disconnect(self, realm: str) -> None:
        """A person disconnects the app in QuickBooks: every token of the company is dead."""
        self.chains = [chain for chain in self.chains if chain.realm != realm]

    # ----------------------------------------------------------------- calls

    def admit(self, authorization: str | None, realm: str) -> None:
        """Let a call to a company through. Raises fault 3200 (401) or 3100 (403)."""
        scheme, _, token = (authorization or "").partition(" ")
        chain = next((each for each in self.chains if token in each.access), None)
        if scheme.lower() != "bearer" or chain is None:
            raise faults.token_refused("Token revoked or malformed")
        if chain.access[token] <= self.clock.now():
            raise faults.token_refused("Token expired")
        if chain.realm != realm or ACCOUNTING not in chain.scopes:
            raise faults.not_authorised()


def is_loopback(uri: str) -> bool:
    """Whether a redirect goes to this machine."""
    host = urlsplit(uri).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
