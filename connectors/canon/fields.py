"""Which canonical fields each kind has, their types, and how to read and set them by path.

A path is what a mapping says: `legal_name`, `emails.billing`, `addresses.shipping`, `properties.vat_id`. The type
decides how two values are compared (`canonical key`), shown and transformed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
import phonenumbers

from connectors.canon.records import RECORD_TYPES, AnyRecord, Kind, kind_of
from connectors.canon.values import (
    ABSENT,
    Absent,
    Address,
    Money,
    Price,
    TaxIdentity,
    Terms,
    currency_places,
    to_places,
)

Value: TypeAlias = (
    str | bool | int | Decimal | date | datetime | Money | Address | TaxIdentity | Terms | Price | None | Absent
)


class FieldType(StrEnum):
    """How a field's values compare and convert."""

    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"
    CODE = "code"
    REF = "ref"
    FLAG = "flag"
    DAY = "day"
    INSTANT = "instant"
    DECIMAL = "decimal"
    MONEY = "money"
    ADDRESS = "address"
    TAX_IDENTITY = "tax_identity"
    TERMS = "terms"
    PRICE = "price"


T = FieldType
_EMAIL_ROLES = ("general", "billing", "statements")
_ADDRESS_ROLES = ("billing", "shipping", "registered")

FIELDS: dict[Kind, dict[str, FieldType]] = {
    Kind.CUSTOMER: {
        "legal_name": T.TEXT,
        "display_name": T.TEXT,
        "phone": T.PHONE,
        "website": T.TEXT,
        "tax_identity": T.TAX_IDENTITY,
        "currency": T.CODE,
        "parent": T.REF,
        "bill_to": T.REF,
        "payment_terms": T.TERMS,
        "credit_limit": T.MONEY,
        "on_hold": T.FLAG,
        "language": T.CODE,
        "notes": T.TEXT,
        "owner": T.TEXT,
        "receivable_account": T.TEXT,
        "default_tax_code": T.TEXT,
        "balance": T.MONEY,
        "overdue": T.MONEY,
        "unapplied": T.MONEY,
        "active": T.FLAG,
        **{f"emails.{role}": T.EMAIL for role in _EMAIL_ROLES},
        **{f"addresses.{role}": T.ADDRESS for role in _ADDRESS_ROLES},
    },
    Kind.ITEM: {
        "name": T.TEXT,
        "sku": T.CODE,
        "item_kind": T.CODE,
        "description": T.TEXT,
        "unit": T.TEXT,
        "price": T.PRICE,
        "income_account": T.TEXT,
        "tax_class": T.CODE,
        "hsn_sac": T.CODE,
        "cost": T.DECIMAL,
        "active": T.FLAG,
    },
    Kind.DEAL: {
        "name": T.TEXT,
        "sold_to": T.REF,
        "bill_to": T.REF,
        "ship_to": T.REF,
        "billing_contact": T.TEXT,
        "owner": T.TEXT,
        "status": T.CODE,
        "stage": T.CODE,
        "won_at": T.INSTANT,
        "won_on": T.DAY,
        "amount": T.MONEY,
        "po_number": T.TEXT,
        "payment_terms": T.TERMS,
        "memo": T.TEXT,
        "internal_note": T.TEXT,
    },
    Kind.INVOICE: {
        "number": T.TEXT,
        "customer": T.REF,
        "date": T.DAY,
        "due_date": T.DAY,
        "state": T.CODE,
        "currency": T.CODE,
        "net": T.DECIMAL,
        "tax": T.DECIMAL,
        "total": T.DECIMAL,
        "balance": T.DECIMAL,
        "po_number": T.TEXT,
        "memo": T.TEXT,
        "internal_note": T.TEXT,
    },
    Kind.CREDIT_NOTE: {
        "number": T.TEXT,
        "customer": T.REF,
        "date": T.DAY,
        "state": T.CODE,
        "currency": T.CODE,
        "net": T.DECIMAL,
        "total": T.DECIMAL,
        "remaining": T.DECIMAL,
        "reason": T.TEXT,
    },
    Kind.PAYMENT: {
        "customer": T.REF,
        "date": T.DAY,
        "amount": T.MONEY,
        "method": T.TEXT,
        "reference": T.TEXT,
        "unapplied": T.DECIMAL,
        "state": T.CODE,
    },
}

# What a person may write for a longer path.
ALIASES: dict[Kind, dict[str, str]] = {
    Kind.CUSTOMER: {"name": "legal_name", "email": "emails.general", "address": "addresses.billing"},
}

# Members that merge as one: the group's name and every path in it (a composite value is a group by itself).
GROUPS: dict[Kind, dict[str, tuple[str, ...]]] = {
    Kind.CUSTOMER: {},
    Kind.ITEM: {},
    Kind.INVOICE: {"terms": ("payment_terms", "due_date")},
}


def canonical_path(kind: Kind, path: str) -> str:
    return ALIASES.get(kind, {}).get(path, path)


def field_type(kind: Kind, path: str) -> FieldType | None:
    """The type of a field, or None if the kind has no such field. Any `properties.x` is text."""
    if path.startswith("properties."):
        return T.TEXT
    return FIELDS[kind].get(canonical_path(kind, path))


def read(record: AnyRecord, path: str) -> Value:
    """The value at `path`; ABSENT if the system did not tell."""
    head, _, role = canonical_path(kind_of(record), path).partition(".")
    value: Any = getattr(record, head)
    found: Value = value.get(role, ABSENT) if role else value
    return found


def assemble(kind: Kind, fields: dict[str, Value], **more: Any) -> AnyRecord:
    """A record from path -> value; `more` are attributes given whole (`ref`, `lines` ...)."""
    attributes: dict[str, Any] = dict(more)
    for path, value in fields.items():
        if value is ABSENT:
            continue
        head, _, role = canonical_path(kind, path).partition(".")
        if role:
            attributes.setdefault(head, {})[role] = value
        else:
            attributes[head] = value
    return RECORD_TYPES[kind](**attributes)


def with_fields(record: AnyRecord, fields: dict[str, Value]) -> AnyRecord:
    """The record with some fields replaced."""
    changes: dict[str, Any] = {}
    for path, value in fields.items():
        head, _, role = canonical_path(kind_of(record), path).partition(".")
        if role:
            changes.setdefault(head, dict(getattr(record, head)))[role] = value
        else:
            changes[head] = value
    return msgspec.structs.replace(record, **changes)


_SPACE = re.compile(r"\s+")


def folded(text: str) -> str:
    """Case-folded, compatibility-normalised, spaces collapsed: how two texts are compared."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


@lru_cache(maxsize=4096)  # a merge looks at the same number a dozen times, and reading one is slow
def phone_e164(text: str, region: str | None) -> str | None:
    """+254202710000, or None if the text is no possible number. `region` is for numbers without a country code."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{e164};{number.extension}" if number.extension else e164


def _text_key(value: str) -> Hashable:
    return folded(value) or None


def _phone_key(value: str, region: str | None) -> Hashable:
    return phone_e164(value, region) or "".join(c for c in value if c.isdigit()) or _text_key(value)


def _address_key(value: Address) -> Hashable:
    def part(text: str | None) -> str | None:
        return (folded(text) or None) if text is not None else None

    lines = tuple(folded(line) for line in value.lines if line.strip())
    key = (lines, part(value.city), part(value.region), part(value.postcode), part(value.country))
    return key if any(key) else None


def _tax_key(value: TaxIdentity) -> Hashable:
    ids = tuple(sorted((i.scheme, re.sub(r"[\s.\-/]", "", i.value).upper()) for i in value.ids))
    key = (ids, value.status, value.exempt_reason, value.certificate, value.expires, value.place_of_supply)
    return key if any(key) else None


def _terms_key(value: Terms) -> Hashable:
    if value.net_days is None and not value.end_of_month:
        return _text_key(value.name or "")
    return (value.net_days or 0, value.end_of_month, value.discount_percent, value.discount_days)


def _composite_key(value: Value) -> Hashable:
    match value:
        case Money():
            return (to_places(value.amount, currency_places(value.currency)), value.currency)
        case Price():
            return (value.amount.normalize(), value.currency, value.includes_tax)
        case Address():
            return _address_key(value)
        case TaxIdentity():
            return _tax_key(value)
        case Terms():
            return _terms_key(value)
        case Decimal():
            return value.normalize() + 0
        case _:
            return value


def key(kind: FieldType, value: Value, region: str | None = None) -> Hashable:
    """What two values of a field are compared by. Equal keys mean: no edit. An empty value's key is None;
    `region` (ISO 3166-1) reads phone numbers written without a country code."""
    if isinstance(value, str):
        if kind is T.PHONE:
            return _phone_key(value, region)
        if kind in (T.REF, T.CODE):
            return value.strip() or None
        return _text_key(value)
    return _composite_key(value)


_TYPES: dict[FieldType, Any] = {
    T.FLAG: bool,
    T.DAY: date,
    T.INSTANT: datetime,
    T.DECIMAL: Decimal,
    T.MONEY: Money,
    T.ADDRESS: Address,
    T.TAX_IDENTITY: TaxIdentity,
    T.TERMS: Terms,
    T.PRICE: Price,
}


def to_json(value: Value) -> Any:
    """A value as JSON builtins, for a table or a message; ABSENT becomes {"absent": true}."""
    if value is ABSENT:
        return {"absent": True}
    return msgspec.to_builtins(value, builtin_types=(), str_keys=True)


def from_json(kind: FieldType, data: Any) -> Value:
    """The value that `to_json` wrote, of a field of this type."""
    if data is None:
        return None
    if isinstance(data, dict) and data.get("absent") is True:
        return ABSENT
    value: Value = msgspec.convert(data, _TYPES.get(kind, str), strict=False)
    return value
