"""Companies that do not exist, the same ones each time, and unlike each other."""

from __future__ import annotations

import hashlib

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_TRADES = ("Systems", "Trading", "Foods", "Logistics", "Media", "Pumps", "Tools", "Glass")


def name(number: int) -> str:
    """A company's name: five syllables and a trade, from the digest of its number."""
    digest = hashlib.blake2b(str(number).encode(), digest_size=6).digest()
    word = "".join(_SYLLABLES[byte % len(_SYLLABLES)] for byte in digest[:5])
    return f"{word.capitalize()} {_TRADES[digest[5] % len(_TRADES)]}"


def email(number: int) -> str:
    return f"office@c{number}.example"


def phone(number: int) -> str:
    """A number of the range that is kept for fiction."""
    return f"+1 {200 + number // 10_000 % 700}-555-{number % 10_000:04}"


def postcode(number: int) -> str:
    return f"{10_000 + number * 7 % 90_000}"
