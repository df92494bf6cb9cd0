"""Whether a value may travel: each check gives None, or the reason in words. Pure.

An empty value passes every check: emptiness is another rule's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeAlias

import phonenumbers
from babel.core import Locale, get_global
from stdnum import exceptions as stdnum_errors
from stdnum import get_cc_module
from stdnum.eu.vat import MEMBER_STATES

from connectors.canon.fields import Value
from connectors.canon.values import Address, TaxId, TaxIdentity

CheckName: TypeAlias = Literal["email", "phone", "address", "tax_id", "currency"]

# RFC 5321 §4.5.3.1: 64 octets before the @, 255 after, 254 in all.
_EMAIL = re.compile(r"(?P<local>[^\s@<>,;:\"()\[\]]{1,64})@(?P<domain>[^\s@<>,;:\"()\[\]]{1,255})")
_DOMAIN_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
# Where post does not arrive, or tax cannot be worked out, without a postcode.
_POSTCODE_NEEDED = frozenset(
    ("AT", "AU", "BE", "BR", "CA", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "IN", "IT", "JP", "MX", "NL",
     "NO", "PL", "PT", "SE", "US", "ZA")
)  # fmt: skip
_US_ZIP = re.compile(r"\d{5}(-?\d{4})?")
_CC = re.compile(r"[A-Z]{2}")


def check_email(value: Value, region: str | None = None) -> str | None:
    """An address that a mail server would take: one @, a domain with a dot, no spaces."""
    text = str(value).strip()
    found = _EMAIL.fullmatch(text)
    if found is None or len(text) > 254:
        return f'"{text}" is no e-mail address'
    labels = found["domain"].split(".")
    local = found["local"]
    if ".." in local or local.startswith(".") or local.endswith("."):
        return f'"{text}" is no e-mail address: a dot too many before the @'
    if len(labels) < 2 or not all(_DOMAIN_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        return f'"{text}" is no e-mail address: "{found["domain"]}" is no mail domain'
    return None


def check_phone(value: Value, region: str | None = None) -> str | None:
    """A number of possible length for its country; without a country code it is read in `region`."""
    text = str(value).strip()
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        where = f" in {region}" if region is not None else ": it has no country code"
        return f'"{text}" is no phone number{where}'
    if not phonenumbers.is_possible_number(number):
        return f'"{text}" is no possible phone number of +{number.country_code}: too long or too short'
    return None


@cache
def territories() -> dict[str, str]:
    """ISO 3166-1 alpha-2 -> English name, from CLDR as Babel ships it."""
    known = Locale("en").territories
    codes = {code for code in get_global("territory_zones") if _CC.fullmatch(code)} - {"ZZ"}  # ZZ: unknown
    return {code: known[code] for code in sorted(codes | {"XK"})}  # Kosovo's code is in use, though not in ISO


def check_address(value: Value, region: str | None = None) -> str | None:
    """A country that exists, and a postcode where one is needed. `region` stands for a country not named."""
    if not isinstance(value, Address):
        return "this is no address"
    country = value.country or region
    if country is None:
        return "the address names no country"
    if country not in territories():
        return f'"{country}" is no country code (ISO 3166-1, two letters)'
    if country in _POSTCODE_NEEDED and not (value.postcode or "").strip():
        return f"the address has no postcode, and one is needed in {territories()[country]}"
    if country == "US" and not _US_ZIP.fullmatch((value.postcode or "").strip()):
        return f'"{value.postcode}" is no ZIP code'
    return None


@cache
def currencies() -> frozenset[str]:
    """ISO 4217 codes that are legal tender somewhere today, from CLDR."""
    spells = get_global("territory_currencies").values()
    return frozenset(code for spell in spells for code, _start, end, tender in spell if end is None and tender)


def check_currency(value: Value, region: str | None = None) -> str | None:
    """A currency code that is in use."""
    return None if str(value).strip() in currencies() else f'"{value}" is no currency code in use (ISO 4217)'


def tax_scheme(text: str, region: str | None) -> str | None:
    """The python-stdnum scheme of a number without one: an EU prefix says `eu.vat`, else the country decides."""
    number = compact_tax_id(text)
    if number[:2].lower() in _EU_PREFIXES and len(number) > 4:
        return "eu.vat"
    if region is None:
        return None
    name = "ein" if region == "US" else "vat"  # the US have no VAT; their books ask for the employer's number
    module = get_cc_module(region.lower(), name)
    return str(vars(module)["__name__"]).removeprefix("stdnum.") if module is not None else None


_EU_PREFIXES = frozenset(MEMBER_STATES) | {"el"}  # Greece writes EL, not GR


def compact_tax_id(text: str) -> str:
    return re.sub(r"[\s.\-/]", "", text).upper()


def _stdnum(scheme: str) -> Any:
    country, _, name = scheme.partition(".")
    return get_cc_module(country.rstrip("_"), name) if name else None


def _tax_reason(tax_id: TaxId) -> str | None:
    module = _stdnum(tax_id.scheme)
    if module is None:
        return f'nothing is known about tax numbers of the kind "{tax_id.scheme}"'
    try:
        module.validate(tax_id.value)
    except stdnum_errors.InvalidChecksum:
        return f"tax id {tax_id.value}: its check digit fails, so at least one of its digits is wrong"
    except stdnum_errors.InvalidLength:
        digits = len(compact_tax_id(tax_id.value))
        return f"tax id {tax_id.value}: {digits} characters are too many or too few for {tax_id.scheme}"
    except stdnum_errors.ValidationError:
        return f"tax id {tax_id.value} is not written like a number of {tax_id.scheme}"
    return None


def check_tax_id(value: Value, region: str | None = None) -> str | None:
    """Every number right by its scheme's own arithmetic. A text without a scheme is read as its prefix or country
    says; where neither is known nothing can be said, and it passes. Numbers read with stars in them fail."""
    if isinstance(value, TaxIdentity):
        if value.masked:
            return "the tax id was read with stars in it"
        return next((reason for one in value.ids if (reason := _tax_reason(one)) is not None), None)
    text = str(value).strip()
    if "*" in text or "•" in text:
        return "the tax id was read with stars in it"
    scheme = tax_scheme(text, region)
    return _tax_reason(TaxId(scheme, text)) if scheme is not None else None


_CHECKS: dict[CheckName, Callable[[Value, str | None], str | None]] = {
    "email": check_email,
    "phone": check_phone,
    "address": check_address,
    "tax_id": check_tax_id,
    "currency": check_currency,
}


def check(name: CheckName, value: Value, region: str | None = None) -> str | None:
    """The reason why `value` fails the named check, or None. An empty value passes."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _CHECKS[name](value, region)
