"""Whether a webhook call was signed with the secret that we share. Every comparison takes constant time, and a
signature that is missing or is not what its encoding allows is simply wrong: False, never an error."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta


def _same(wanted: str, given: str | None) -> bool:
    if given is None:
        return False
    return hmac.compare_digest(wanted.encode(), given.strip().encode())


def hmac_sha256_base64(secret: str, message: bytes, given: str | None) -> bool:
    """Whether `given` is the base64 of HMAC-SHA256 over `message`, keyed with `secret`."""
    digest = hmac.digest(secret.encode(), message, hashlib.sha256)
    return _same(b64encode(digest).decode(), given)


def hmac_sha256_hex(secret: str, message: bytes, given: str | None) -> bool:
    """Whether `given` is the hex (either case) of HMAC-SHA256 over `message`, keyed with `secret`."""
    digest = hmac.digest(secret.encode(), message, hashlib.sha256)
    return _same(digest.hex(), given.lower() if given is not None else None)


def sha256_hex(message: bytes, given: str | None) -> bool:
    """Whether `given` is the hex of SHA-256 over `message`, for vendors that put the secret into the message."""
    return _same(hashlib.sha256(message).hexdigest(), given.lower() if given is not None else None)


def fresh(sent_ms: str | None, now: datetime, within_s: float = 300) -> bool:
    """Whether a call stamped `sent_ms` (epoch milliseconds, as a header gives it) was sent within `within_s`
    seconds of `now`, before or after: an old call is a replay. A stamp that is no number is not fresh."""
    try:
        sent = datetime.fromtimestamp(int(sent_ms or "") / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return False
    return abs(now - sent) <= timedelta(seconds=within_s)
