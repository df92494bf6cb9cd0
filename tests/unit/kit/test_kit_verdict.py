"""The table of definite and doubtful answers, whole."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from connectors.kit.errors import ConnectorError, Doubtful, Gone, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import verdict
from connectors.kit.http.verdict import unanswered

# status, headers, body is whole JSON, for a write, for a read
TABLE: list[tuple[int, dict[str, str], bool, type[ConnectorError] | None, type[ConnectorError] | None]] = [
    (200, {}, True, None, None),
    (201, {}, True, None, None),
    (202, {}, True, None, None),
    (204, {}, True, None, None),
    (207, {}, True, None, None),
    (304, {}, True, None, None),
    (200, {}, False, Doubtful, TryLater),
    (201, {}, False, Doubtful, TryLater),
    (301, {}, True, Doubtful, Refused),
    (307, {}, False, Doubtful, Refused),
    (400, {}, True, Refused, Refused),
    (400, {}, False, Refused, Refused),
    (401, {}, True, Reconnect, Reconnect),
    (401, {}, False, Reconnect, Reconnect),
    (402, {}, True, NotAllowed, NotAllowed),
    (403, {}, True, NotAllowed, NotAllowed),
    (403, {"Retry-After": "7"}, True, TryLater, TryLater),
    (403, {"X-RateLimit-Remaining": "0"}, True, TryLater, TryLater),
    (403, {"X-RateLimit-Remaining": "12"}, True, NotAllowed, NotAllowed),
    (404, {}, True, Gone, Gone),
    (404, {}, False, Refused, Refused),
    (405, {}, True, Refused, Refused),
    (408, {}, True, Doubtful, TryLater),
    (409, {}, True, Refused, Refused),
    (410, {}, True, Gone, Gone),
    (412, {}, True, Refused, Refused),
    (415, {}, True, Refused, Refused),
    (422, {}, True, Refused, Refused),
    (423, {}, True, TryLater, TryLater),
    (425, {}, True, TryLater, TryLater),
    (429, {}, True, TryLater, TryLater),
    (429, {}, False, TryLater, TryLater),
    (477, {"Retry-After": "3600"}, True, TryLater, TryLater),
    (477, {}, True, Refused, Refused),
    (500, {}, True, Doubtful, TryLater),
    (502, {}, False, Doubtful, TryLater),
    (503, {"Retry-After": "1"}, True, Doubtful, TryLater),
    (504, {}, False, Doubtful, TryLater),
    (524, {}, False, Doubtful, TryLater),
]


@pytest.mark.parametrize(("status", "headers", "whole", "write", "read"), TABLE)
def test_each_row_of_the_table(status: int, headers: dict[str, str], whole: bool, write: Any, read: Any) -> None:
    """An answer means what the table says, for a write and for a read."""
    assert (write, read) == (
        verdict(status, headers, whole, write=True),
        verdict(status, headers, whole, write=False),
    )


def test_no_status_is_left_out() -> None:
    """Every status has a verdict, and no error of a write is both a doubt and below 500, but for 408 and 3xx."""
    doubtful = {s for s in range(100, 600) if verdict(s, {}, True, write=True) is Doubtful}
    assert {408, *range(100, 200), *range(300, 304), *range(305, 400), *range(500, 600)} == doubtful


def test_a_read_is_never_doubtful() -> None:
    """Asking again does no harm, so a read has no doubt."""
    kinds = {verdict(s, {}, whole, write=False) for s in range(100, 600) for whole in (True, False)}
    assert Doubtful not in kinds


KEY: Any = None
FAILURES: list[tuple[BaseException, type[ConnectorError]]] = [
    (aiohttp.ClientConnectorDNSError(KEY, OSError(1, "x")), TryLater),
    (aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), TryLater),
    (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "tls")), TryLater),
    (aiohttp.ClientConnectorCertificateError(KEY, Exception("certificate")), TryLater),
    (aiohttp.ConnectionTimeoutError(), TryLater),
    (aiohttp.InvalidURL("nowhere"), TryLater),
    (aiohttp.ServerDisconnectedError(), Doubtful),
    (aiohttp.ClientOSError(104, "reset"), Doubtful),
    (aiohttp.ClientPayloadError(), Doubtful),
    (aiohttp.SocketTimeoutError(), Doubtful),
    (TimeoutError(), Doubtful),
    (ConnectionResetError(), Doubtful),
]


@pytest.mark.parametrize(("failure", "kind"), FAILURES, ids=[type(f).__name__ for f, _ in FAILURES])
def test_no_answer(failure: BaseException, kind: type[ConnectorError]) -> None:
    """What was surely not sent may be sent later; a write whose answer is missing is in doubt; a read is not."""
    assert (kind, TryLater) == (unanswered(failure, write=True), unanswered(failure, write=False))
