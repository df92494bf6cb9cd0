"""Ids, made up in one place: everything else is given them. (Time is the store's; waiting is the kit's clock.)"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A sortable id: prefix, milliseconds since 1970 and 50 random bits, in lower-case base 32."""
    number = (time.time_ns() // 1_000_000 << 50) | secrets.randbits(50)
    digits = []
    while number:
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return f"{prefix}_{''.join(reversed(digits))}"
