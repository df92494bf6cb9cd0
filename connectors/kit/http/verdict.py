"""Definite or doubtful: one table for every vendor, and nothing else decides it."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kit.errors import ConnectorError


def verdict(
    status: int, headers: Mapping[str, str], body_is_json: bool, *, write: bool
) -> type[ConnectorError] | None:
    """The error that an answer means, or None: it is a yes.

    `body_is_json` is true for a whole JSON body and for one that is rightly empty. What is doubtful for a write is
    TryLater for a read, which can be asked again without harm."""
    raise NotImplementedError


def unanswered(failure: BaseException, *, write: bool) -> type[ConnectorError]:
    """The error that a call without a whole answer means: not sent (DNS, connect, TLS) is TryLater; anything later
    is Doubtful for a write."""
    raise NotImplementedError
