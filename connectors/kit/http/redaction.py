"""What must never reach an error message or a log: tokens, login headers, client secrets, e-mails in addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SCHEME = re.compile(r"(?i)\b(bearer(?=\s+\S{4})|basic(?=\s+\S{16}))\s+[\w.~+/=-]+")
_NAMED = re.compile(
    r"(?i)\b(access_token|refresh_token|id_token|client_secret|authorization|api_?key|hapikey)"
    r"""("?\s*[=:]\s*"?)[^\s"'&,}]+"""
)
_CODE = re.compile(r"([?&](?:code|token|state)=)[^\s&]+")
_ADDRESS = re.compile(r"\S*/\S+")
_EMAIL = re.compile(r"(?i)[^\s/?&=<>:]+(?:@|%40)[^\s/?&=<>]+")


def redacted(text: str, secrets: Iterable[str | None] = ()) -> str:
    """The text with every one of `secrets`, and everything that looks like one, replaced by ***."""
    for secret in sorted({s for s in secrets if s is not None and len(s) >= 4}, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _SCHEME.sub(r"\1 ***", text)
    text = _NAMED.sub(r"\1\2***", text)
    text = _CODE.sub(r"\1***", text)
    return _ADDRESS.sub(lambda address: _EMAIL.sub("***", address.group()), text)


def cleared(body: bytes, secrets: Iterable[str | None]) -> bytes:
    """An answer's body without the secrets of its own request: a vendor that quotes them, in whatever field, has not
    told them to whoever reads the answer."""
    for secret in secrets:
        if secret is not None and len(secret) >= 8:
            body = body.replace(secret.encode(), b"***")
    return body
