"""Webhook signatures."""

from __future__ import annotations

import pytest

from connectors.kit.sandbox import VirtualClock
from connectors.kit.signatures import fresh, hmac_sha256_base64, hmac_sha256_hex, sha256_hex

# RFC 4231, test case 2
KEY, MESSAGE = "Jefe", b"what do ya want for nothing?"
HEX = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
BASE64 = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="


def test_the_rfcs_example() -> None:
    """The published example is taken in base64 and in hex of either case."""
    assert (
        hmac_sha256_base64(KEY, MESSAGE, BASE64),
        hmac_sha256_hex(KEY, MESSAGE, HEX),
        hmac_sha256_hex(KEY, MESSAGE, HEX.upper()),
    ) == (True, True, True)


def test_sha256_of_secret_and_message() -> None:
    """FIPS 180-4's one-block example."""
    assert sha256_hex(b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


@pytest.mark.parametrize("given", [None, "", "x", BASE64[:-2] + "A=", HEX, "é", BASE64.lower()])
def test_a_wrong_signature_is_only_wrong(given: str | None) -> None:
    """Missing, cut, of another encoding or not even ASCII: False, and no error."""
    assert not hmac_sha256_base64(KEY, MESSAGE, given)


@pytest.mark.parametrize(("key", "message"), [(KEY + "x", MESSAGE), (KEY, MESSAGE + b" ")])
def test_key_and_message_both_count(key: str, message: bytes) -> None:
    """Another secret or another body makes it wrong."""
    assert (hmac_sha256_base64(key, message, BASE64), hmac_sha256_hex(key, message, HEX)) == (False, False)


@pytest.mark.parametrize(
    ("offset_s", "taken"), [(0, True), (-300, True), (300, True), (-300.001, False), (300.001, False)]
)
def test_old_calls_are_replays(offset_s: float, taken: bool) -> None:
    """Five minutes either way, to the millisecond."""
    now = VirtualClock(fixed=True).now().replace(microsecond=0)
    assert taken == fresh(str(round((now.timestamp() + offset_s) * 1000)), now)


@pytest.mark.parametrize("sent", [None, "", "soon", "1e5", "9" * 40])
def test_a_stamp_that_is_no_time_is_not_fresh(sent: str | None) -> None:
    """Nonsense is False, and no error."""
    assert not fresh(sent, VirtualClock().now())
