"""Tokens: the authorize page, the token endpoint, introspection, revocation, and who may do what.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

import msgspec

from connectors.hubspot.sandbox.calls import Answer
from connectors.hubspot.sandbox.catalogue import Account
from connectors.hubspot.sandbox.refusals import Body, Refusal, missing_scopes, token_expired, unauthenticated
from connectors.hubspot.sandbox.values import iso

ACCESS_LIFE_S = 1_800
CODE_LIFE_S = 60
USER_ID = 9_001


class Grant(msgspec.Struct, frozen=True):
    """What a token allows. `scopes` None: everything. `expires_ms` None: never."""

    token: str
    scopes: frozenset[str] | None
    oauth: bool
    expires_ms: int | None = None


class Code(msgspec.Struct, frozen=True):
    """An authorization code: good once, for its redirect address, for a minute."""

    redirect_uri: str
    scopes: frozenset[str]
    expires_ms: int


class BadAuthorization(Exception):
    """The authorize page cannot go on: what it says to the person."""


class Authority:
    """The tokens of one account. `new_id` makes their secret part."""

    def __init__(self, account: Account, now_ms: Callable[[], int], new_id: Callable[[], str]) -> None:
        self.account = account
        self._now_ms = now_ms
        self._new_id = new_id
        self._codes: dict[str, Code] = {}
        self._refresh: dict[str, frozenset[str]] = {}
        self._access: dict[str, Grant] = {}

    # calls --------------------------------------------------------------------------------------

    def grant(self, header: str | None) -> Grant:
        """What the Authorization header allows. Raises Refusal (401)."""
        scheme, _, token = (header or "").partition(" ")
        grant = self.known(token) if scheme.lower() == "bearer" else None
        if grant is None:
            raise unauthenticated()
        if grant.expires_ms is not None and grant.expires_ms <= self._now_ms():
            raise token_expired((self._now_ms() - grant.expires_ms) // 1000, iso(grant.expires_ms))
        return grant

    def known(self, token: str) -> Grant | None:
        """A private app's token or an access token, expired or not."""
        if token in self.account.private_tokens:
            return Grant(token, self.account.private_tokens[token], oauth=False)
        return self._access.get(token)

    # the authorize page -------------------------------------------------------------------------

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser goes on to, with a code: consent is given at once. Raises BadAuthorization."""
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != self.account.client_id:
            raise BadAuthorization("client_id is not that of a known app")
        if not _is_loopback(redirect):
            raise BadAuthorization("redirect_uri must be a loopback address here")
        scopes = frozenset(f"{query.get('scope', '')} {query.get('optional_scope', '')}".split())
        if not query.get("scope", "").split():
            raise BadAuthorization("scope is required")
        code = self._new_id()
        self._codes[code] = Code(redirect, scopes, self._now_ms() + CODE_LIFE_S * 1000)
        answer = {"code": code} | ({"state": query["state"]} if "state" in query else {})
        return f"{redirect}{'&' if urlsplit(redirect).query else '?'}{urlencode(answer)}"

    # the token endpoint -------------------------------------------------------------------------

    def token(self, version: str, form: Mapping[str, str], *, rotate: bool = False) -> Answer:
        """POST token: a code or a refresh token for an access token of 30 minutes. HubSpot does not say that refresh
        tokens never change: with `rotate` this one does. Raises OAuthRefusal."""
        self._check_client(form)
        match form.get("grant_type"):
            case "authorization_code":
                scopes, refresh = self._spend(form), self._new_id()
                self._refresh[refresh] = scopes
            case "refresh_token":
                refresh = form.get("refresh_token", "")
                if refresh not in self._refresh:
                    raise OAuthRefusal("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
                scopes = self._refresh[refresh]
                if rotate:
                    del self._refresh[refresh]
                    refresh = self._new_id()
                    self._refresh[refresh] = scopes
            case other:
                raise OAuthRefusal("BAD_GRANT_TYPE", f"missing or unknown grant type {other}")
        return Answer(200, self._issued(version, refresh, scopes))

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self.account.client_id:
            raise OAuthRefusal("BAD_CLIENT_ID", "missing or unknown client id")
        if form.get("client_secret") != self.account.client_secret:
            raise OAuthRefusal("BAD_CLIENT_SECRET", "missing or invalid client secret")

    def _spend(self, form: Mapping[str, str]) -> frozenset[str]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.expires_ms <= self._now_ms():
            raise OAuthRefusal("BAD_AUTH_CODE", "missing or unknown auth code")
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthRefusal("BAD_REDIRECT_URI", "missing or invalid redirect uri")
        return code.scopes

    def _issued(self, version: str, refresh: str, scopes: frozenset[str]) -> Body:
        access = f"CN{self._new_id()}"
        self._access[access] = Grant(access, scopes, oauth=True, expires_ms=self._now_ms() + ACCESS_LIFE_S * 1000)
        body: Body = {
            "token_type": "bearer",
            "refresh_token": refresh,
            "access_token": access,
            "expires_in": ACCESS_LIFE_S,
        }
        if version == "v1":
            return body
        more = {"token_use": "access_token", "hub_id": self.account.portal_id, "user_id": USER_ID}
        return {**body, **more, "scopes": sorted(scopes)}

    def introspect(self, form: Mapping[str, str]) -> Answer:
        """POST token/introspect: what a token is; `active` false for one that is not known or has expired."""
        self._check_client(form)
        token = form.get("token", "")
        grant = self._access.get(token)
        if grant is not None and grant.expires_ms is not None and grant.expires_ms > self._now_ms():
            return Answer(200, self._about("access_token", grant.scopes, grant.expires_ms))
        if token in self._refresh:
            return Answer(200, self._about("refresh_token", self._refresh[token], None))
        return Answer(200, {"active": False})

    def _about(self, use: str, scopes: frozenset[str] | None, expires_ms: int | None) -> Body:
        body: Body = {
            "active": True,
            "token_use": use,
            "token_type": "bearer",
            "client_id": self.account.client_id,
            "hub_id": self.account.portal_id,
            "user_id": USER_ID,
            "app_id": self.account.app_id,
            "scopes": sorted(scopes or ()),
        }
        return body if expires_ms is None else {**body, "expires_in": (expires_ms - self._now_ms()) // 1000}

    def revoke(self, form: Mapping[str, str]) -> Answer:
        """POST token/revoke: 204, known or not. Access tokens made with a refresh token live on."""
        self._check_client(form)
        self._refresh.pop(form.get("token", ""), None)
        self._access.pop(form.get("token", ""), None)
        return Answer(204)

    def forget(self, refresh: str) -> Answer:
        """DELETE refresh-tokens (v1): live access tokens stay good."""
        if self._refresh.pop(refresh, None) is None:
            raise OAuthRefusal("BAD_REFRESH_TOKEN", "missing or invalid refresh token", 404)
        return Answer(204)

    def uninstall(self) -> None:
        """A person removes the app: every OAuth token dies at once."""
        self._refresh.clear()
        self._access.clear()


class OAuthRefusal(Exception):
    """The token endpoint's no: the code stands in `status`, where other errors say "error"."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def render(self, correlation_id: str) -> Body:
        return {
            "status": self.code,
            "message": self.message,
            "correlationId": correlation_id,
            "requestId": correlation_id,
        }


def require(grant: Grant, alternatives: tuple[str, ...]) -> None:
    """Refuse (403) a token that has none of these scopes. Nothing to have is nothing to lack."""
    if alternatives and grant.scopes is not None and not grant.scopes & set(alternatives):
        raise missing_scopes(alternatives)


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["Authority", "BadAuthorization", "Grant", "OAuthRefusal", "Refusal", "require"]
