"""Definite or doubtful: one table for every vendor, and nothing else decides it.

A definite no lets the engine send again with a higher attempt; a doubt sends it looking first. So whatever is not
surely a yes or surely a no is a doubt.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from connectors.kit.errors import ConnectorError, Doubtful, Gone, NotAllowed, Reconnect, Refused, TryLater

_ANSWERS: dict[int, type[ConnectorError]] = {
    401: Reconnect,
    402: NotAllowed,
    403: NotAllowed,
    404: Gone,
    409: Refused,  # see what exists
    410: Gone,
    412: Refused,  # the version moved
    423: TryLater,
    425: TryLater,
    429: TryLater,
}
_NOT_SENT = (
    aiohttp.ClientConnectorError,  # name not found, connection refused, TLS
    aiohttp.ConnectionTimeoutError,  # no connection in time, or none free
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


def _is_limit(headers: Mapping[str, str]) -> bool:
    """Whether a 403 is a limit in disguise: it says when to come back, or that nothing remains."""
    if "Retry-After" in headers:
        return True
    return any("remaining" in name.lower() and value.strip() == "0" for name, value in headers.items())


def verdict(status: int, headers: Mapping[str, str], body_is_json: bool, *, write: bool) -> type[ConnectorError] | None:
    """The error that an answer means, or None: it is a yes.

    `body_is_json` is true for a whole JSON body and for one that is rightly empty. What is doubtful for a write is
    TryLater for a read, which can be asked again without harm. A page that says 404 is no evidence that a record
    is gone: a proxy may have said it."""
    broken = Doubtful if write else TryLater
    if 200 <= status < 300 or status == 304:
        return None if body_is_json else broken
    if status < 400:
        return Doubtful if write else Refused
    if status >= 500 or status == 408:
        return broken
    if status in (404, 410) and not body_is_json:
        return Refused
    if status == 403 and _is_limit(headers):
        return TryLater
    return _ANSWERS.get(status, TryLater if "Retry-After" in headers else Refused)


def unanswered(failure: BaseException, *, write: bool) -> type[ConnectorError]:
    """The error that a call without a whole answer means: not sent (name, connection, TLS) is TryLater; anything
    later (reset, time-out, cut) is Doubtful for a write."""
    if isinstance(failure, _NOT_SENT) or not write:
        return TryLater
    return Doubtful
