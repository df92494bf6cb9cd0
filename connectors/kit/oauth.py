"""Logging in by OAuth 2 with an authorization code, and one refresh for many who need it."""

from __future__ import annotations

from typing import Any

from connectors.kit import contract


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
        raise NotImplementedError

    def authorization_url(self, redirect_uri: str, state: str) -> str:
        """Where a person goes to say yes. `state` comes back with the code and must be compared by the caller."""
        raise NotImplementedError

    async def exchange(self, code: str, redirect_uri: str) -> contract.Token:
        """A token for the code that came back. Raises Reconnect, TryLater or BadSettings."""
        raise NotImplementedError

    async def refresh(self, token: contract.Token) -> contract.Token:
        """A new token for an old one. The refresh token is whatever came back, else the old one. Raises Reconnect
        if the grant is gone, TryLater if surely nothing happened, BadSettings if the app itself is refused."""
        raise NotImplementedError


class MemoryTokens:
    """A `contract.Tokens` for one process: many callers with the same stale token cause one refresh."""

    def __init__(self, token: contract.Token) -> None:
        raise NotImplementedError

    async def current(self) -> contract.Token:
        raise NotImplementedError

    async def renewed(self, stale: contract.Token, renew: contract.Renew) -> contract.Token:
        raise NotImplementedError
