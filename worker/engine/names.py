"""How names, places and numbers are brought to one form before they are compared. Pure.

Only for comparing: nothing here is ever written to a system.
"""

from __future__ import annotations

import re
import unicodedata

from connectors.canon.values import Address, TaxId, TaxIdentity
from worker.engine.check import compact_tax_id

# Legal forms as people write them, each with the form it stands for.
_FORMS = {
    "inc": "inc", "incorporated": "inc", "corp": "inc", "corporation": "inc", "llc": "llc", "llp": "llp",
    "lp": "lp", "ltd": "ltd", "limited": "ltd", "plc": "plc", "pty": "ltd", "pte": "ltd", "pvt": "ltd",
    "private": "ltd",
    "gmbh": "gmbh", "mbh": "gmbh", "ag": "ag", "kg": "kg", "ohg": "ohg", "ug": "ug", "ev": "ev", "kgaa": "kgaa",
    "sa": "sa", "sas": "sas", "sarl": "sarl", "srl": "srl", "spa": "spa", "sl": "sl", "slu": "sl", "bv": "bv",
    "nv": "nv", "ab": "ab", "oy": "oy", "oyj": "oy", "aps": "aps", "se": "se", "kk": "kk", "kft": "kft",
    "doo": "doo", "sro": "sro",
}  # fmt: skip
# Said or left out without meaning anything: no form by themselves.
_FILLERS = frozenset({"co", "company", "the", "and"})
_DOTTED = re.compile(r"\b(?:[a-z]\.)+[a-z]\b\.?|\b(?:[a-z]\.){2,}")
_WORDS = re.compile(r"[^\W_]+")


def plain_words(text: str) -> list[str]:
    """Words in lower case, without accents and punctuation: "Müller & Co." -> muller and co, "S.A." -> sa."""
    folded = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    bare = "".join(c for c in folded if not unicodedata.combining(c)).replace("&", " and ").replace("'", "")
    return _WORDS.findall(_DOTTED.sub(lambda found: found[0].replace(".", ""), bare))


def split_name(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """A name's own words, and its legal forms: "Nordwind GmbH & Co. KG" -> (nordwind,), {gmbh, kg}. A name that is
    nothing but forms keeps them as its words."""
    words = plain_words(text)
    own = list(words)
    forms: set[str] = set()
    while own and (own[-1] in _FORMS or own[-1] in _FILLERS):
        last = own.pop()
        if last in _FORMS:
            forms.add(_FORMS[last])
    if own and own[0] == "the":
        own = own[1:]
    return (tuple(own), frozenset(forms)) if own else (tuple(words), frozenset())


def postcode_key(address: Address) -> str | None:
    """A postcode without spaces; of a US ZIP+4 the first five digits."""
    if address.postcode is None or not address.postcode.strip():
        return None
    code = re.sub(r"[\s\-]", "", address.postcode).upper()
    american = address.country in (None, "US") and code.isdigit() and len(code) == 9
    return code[:5] if american else code


def street_key(address: Address) -> str | None:
    """The lines' words, run together, in lower case."""
    return "".join(word for line in address.lines for word in plain_words(line)) or None


def city_key(address: Address) -> str | None:
    return "".join(plain_words(address.city)) or None if address.city is not None else None


def _tax_key(one: TaxId) -> str:
    number = compact_tax_id(one.value)
    country = one.scheme.partition(".")[0].rstrip("_").upper()
    if country == "EU" or number.startswith(country):
        return f"{number[:2]}:{number[2:]}"
    return f"{country}:{number}"


def tax_keys(identity: TaxIdentity | None) -> frozenset[str]:
    """Country and number of each tax id: DE136695976 as eu.vat and 136695976 as de.vat are one. Masked: none."""
    if identity is None or identity.masked:
        return frozenset()
    return frozenset(_tax_key(one) for one in identity.ids if compact_tax_id(one.value))
