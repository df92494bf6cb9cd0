"""What a vendor answered, and what the vendor's connector says that it means."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec

from connectors.kit.errors import Doubtful

Next = Literal["refuse", "wait", "reconnect", "allow", "gone", "doubt"]


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=Decimal)


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. `headers` are case-insensitive. Its repr shows neither headers nor body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str | None = None

    def json(self, type: Any = Any) -> Any:
        """The body, decoded; a number with a point comes back as Decimal, never as float. `type` may be any type
        that msgspec decodes to. Raises Doubtful if the body is no JSON (a page, cut, empty) or not of the type."""
        try:
            return _decoder(type).decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._unreadable() from None

    def _unreadable(self) -> Doubtful:
        kind = self.headers.get("Content-Type", "no content type").partition(";")[0]
        said = f"the answer ({self.status}, {kind}, {len(self.body)} bytes) cannot be read"
        return Doubtful(said, request_id=self.request_id)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor's error says: its words for a person, its code, and what happens next. `next` None: what the
    table of verdicts says. `wait_s` in seconds, for `wait`, where the answer has no Retry-After; None: back off."""

    message: str
    code: str | None = None
    next: Next | None = None
    wait_s: float | None = None


def is_whole(answer: Answer) -> bool:
    """Whether the body is whole JSON, or empty where it may be: an error, 202 to 205, 304, or said to be empty."""
    if not answer.body:
        declared = answer.headers.get("Content-Length") == "0"
        return declared or answer.status not in (200, 201)
    try:
        msgspec.json.decode(answer.body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Retry-After in seconds from now: a number or a date (RFC 9110, 10.2.3). None if it says neither."""
    if header is None:
        return None
    with suppress(ValueError):
        seconds = float(header)
        return seconds if 0 <= seconds < float("inf") else None
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    return None
