"""What buttons carry: signed, so that nobody can make one; dated, so that an old one says so. Pure.

A button survives a restart, since nothing about it is kept here: single use is the worker's, which moves a plan or a
conflict on exactly once.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

MAC_BYTES = 12
LASTS = timedelta(days=30)


class Button(msgspec.Struct, frozen=True, array_like=True):
    """What a button means: `verb` is its action id, `subject` what it is about, `detail` what was shown."""

    verb: str
    subject: str
    detail: str
    until: int

    @property
    def once(self) -> str:
        """The same for every rendering of the button: what is started by it is started once."""
        said = "\x1f".join((self.verb, self.subject, self.detail))
        return hashlib.blake2b(said.encode(), digest_size=10).hexdigest()


class BadButton(Exception):
    """A button that was not made here, or not for this."""


class OldButton(Exception):
    """A button past its time."""


class Buttons:
    """Seals buttons with the first key, opens those of any. `now` is aware."""

    def __init__(self, keys: Sequence[bytes], now: Callable[[], datetime]) -> None:
        self._keys, self._now = tuple(keys), now

    def seal(self, verb: str, subject: str, detail: str = "", until: datetime | None = None) -> str:
        """At most 150 characters for ids and numbers: an overflow option takes no more."""
        end = until if until is not None else self._now() + LASTS
        body = msgspec.msgpack.encode(Button(verb, subject, detail, int(end.timestamp())))
        return f"{_text(body)}.{_text(_mac(self._keys[0], body))}"

    def open(self, verb: str, value: str) -> Button:
        """Raises BadButton or OldButton."""
        button = self._read(value)
        if button.verb != verb:
            raise BadButton("the button was made for something else")
        if button.until < self._now().timestamp():
            raise OldButton("the button is too old")
        return button

    def open_any(self, value: str) -> Button:
        """As `open`, for an overflow menu, whose options are verbs of their own."""
        return self.open(self._read(value).verb, value)

    def _read(self, value: str) -> Button:
        body_text, _, mac_text = value.partition(".")
        try:
            body, mac = _bytes(body_text), _bytes(mac_text)
        except ValueError as error:
            raise BadButton("the button cannot be read") from error
        if not any(hmac.compare_digest(_mac(key, body), mac) for key in self._keys):
            raise BadButton("the button's signature does not fit")
        return msgspec.msgpack.decode(body, type=Button)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[:MAC_BYTES]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
