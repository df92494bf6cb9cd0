"""Ids, made up in one place: everything else is given them. (Time is the store's; waiting is the kit's clock.)"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS, _COUNT_BITS = 38, 12
_last = 0


def new_id(prefix: str) -> str:
    """A sortable id: prefix, then milliseconds since 1970, a count within the millisecond and 38 random bits, in
    lower-case base 32. Those of one process sort in the order in which they were made."""
    global _last  # noqa: PLW0603  one count for the whole process
    _last = max(_last + 1, time.time_ns() // 1_000_000 << _COUNT_BITS)
    number = _last << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    digits = []
    while number:
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return f"{prefix}_{''.join(reversed(digits))}"
