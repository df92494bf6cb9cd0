"""A person's values: which of what a record said tell who it is, and any text without them. Pure.

What is on record about the person alone is emptied whole. This is for the rest: a report, another record's question,
a sentence that names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

ERASED = "(erased)"
# The fields that tell who somebody is, by the first part of their path. Notes do not: they are emptied, not searched.
_TELLING = frozenset((
    "name", "legal_name", "display_name", "emails", "email", "phone", "website", "people", "addresses", "tax_identity",
    "bill_to",
))  # fmt: skip
# Within these, what many have in common, or what is no value of theirs.
_COMMON = frozenset((
    "city", "region", "postcode", "country", "role", "scheme", "status", "ref", "expires", "place_of_supply",
    "gst_treatment", "exempt_reason", "type",
))  # fmt: skip
_PHONE = re.compile(r"\+?[\d\s().\-/]{7,}")
_SPACE = r"(?:\s|\\[nrt])+"
# A word may begin after an escaped line feed: this runs over JSON too.
_BEGINS = r"(?:(?<!\w)|(?<=\\[nrtbf]))"
_ENDS = r"(?!\w)"
LEAST = 4  # letters: shorter ones would be found in everything


def telling(said: Mapping[str, Any]) -> set[str]:
    """Of fields by path (`emails.general`), or of a record as JSON, the values that tell who it is."""
    return {
        value.strip()
        for path, data in said.items()
        if path.partition(".")[0] in _TELLING
        for value in _leaves(data)
        if len(value.strip()) >= LEAST
    }


def _leaves(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        yield from (leaf for key, each in data.items() if key not in _COMMON for leaf in _leaves(each))
    elif isinstance(data, list | tuple):
        yield from (leaf for each in data for leaf in _leaves(each))


class Person:
    """Somebody by their values, as they may stand in a text or in JSON: whatever its capitals and spaces; a phone
    number whatever its punctuation. A name of one word counts only where it stands alone, between quotes or as the
    whole text: inside a sentence it is a word like others."""

    def __init__(self, values: Iterable[str]) -> None:
        found = sorted({value for value in values if _can_be_found(value)}, key=lambda v: (-len(v), v))
        self.needles = tuple(sorted({needle for value in found for needle in _needles(value)}))
        self._pattern = re.compile("|".join(_pattern(value) for value in found), re.IGNORECASE) if found else None

    def is_in(self, text: str | None) -> bool:
        return text is not None and self._pattern is not None and self._pattern.search(text) is not None

    def without(self, text: str) -> str:
        """The text with each value of theirs replaced; JSON stays JSON."""
        return self._pattern.sub(ERASED, text) if self._pattern is not None else text


def _is_phone(value: str) -> bool:
    return _PHONE.fullmatch(value) is not None and len(_digits(value)) >= 7


def _digits(value: str) -> str:
    return "".join(char for char in value if char.isdigit())


def _is_word(value: str) -> bool:
    """One word of letters, which may be a word of any sentence."""
    return value.isalpha()


def _can_be_found(value: str) -> bool:
    """A single word in small letters could be one of our own: `open`, `customer`."""
    return len(value) >= LEAST and not (_is_word(value) and value.isascii() and value.islower())


def _pattern(value: str) -> str:
    if _is_phone(value):
        return rf"(?<![\w]){_phone(value)}{_ENDS}"
    if _is_word(value):
        return rf'(?-i:(?<="){re.escape(value)}(?="))|(?-i:\A{re.escape(value)}\Z)'
    plain, quoted = _words(value), _words(msgspec.json.encode(value).decode()[1:-1])
    return _BEGINS + (plain if plain == quoted else f"(?:{plain}|{quoted})") + _ENDS


def _words(value: str) -> str:
    return _SPACE.join(re.escape(word) for word in re.split(_SPACE, value) if word)


def _phone(value: str) -> str:
    """The last nine digits at most, with whatever stands between them, and the codes of country and area before."""
    digits = _digits(value)
    return r"[+(]?(?:\d[\s().\-/]{0,3}){0,7}" + r"[\s().\-/]{0,3}".join(digits[-9:])


def _needles(value: str) -> list[str]:
    """What each text with the value contains, whatever its capitals: to look for in a database."""
    if _is_phone(value):
        return [_digits(value)[-4:]]
    longest = max(re.findall(r"[A-Za-z0-9]+", value), key=len, default="")
    if len(longest) >= 3:
        return [longest.lower()]
    word = max(value.split(), key=len)
    return [word, word.lower(), word.upper(), word.title()]
