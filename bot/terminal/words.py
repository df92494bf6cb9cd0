"""Small words: money, moments, counts, the names of fields and values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

FIELD_NAMES = {
    "legal_name": "name",
    "display_name": "display name",
    "emails.general": "e-mail",
    "emails.billing": "billing e-mail",
    "emails.statements": "statement e-mail",
    "addresses.billing": "billing address",
    "addresses.shipping": "shipping address",
    "tax_identity": "tax identity",
    "payment_terms": "payment terms",
    "credit_limit": "credit limit",
    "on_hold": "on hold",
    "default_tax_code": "tax code",
    "income_account": "income account",
    "tax_class": "tax class",
}
EMPTY = "(empty)"
UNKNOWN = "(not told)"


def money(amount: Decimal, currency: str) -> str:
    """`USD 18,240.00`, with the currency's own places."""
    from babel.numbers import get_currency_precision

    places = Decimal(1).scaleb(-get_currency_precision(currency))
    return f"{currency} {amount.quantize(places, rounding=ROUND_HALF_UP):,}"


def plain_money(amount: Decimal, currency: str) -> str:
    return money(amount, currency).removeprefix(f"{currency} ")


def zone_name(zone: str) -> str:
    """`New York` of America/New_York."""
    return zone.rpartition("/")[2].replace("_", " ")


def moment(at: datetime, zone: str) -> str:
    """`2026-11-23 09:04 New York`: absolute, with year and zone."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone_name(zone)}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 invoice`, `1,204 invoices`."""
    return f"{number:,} {noun if number == 1 else plural if plural is not None else f'{noun}s'}"


def kind_name(kind: str) -> str:
    return kind.replace("_", " ")


def field_name(path: str) -> str:
    """A canonical path as people say it."""
    if path.startswith("properties."):
        return path.removeprefix("properties.")
    return FIELD_NAMES.get(path, path.replace("_", " ").replace(".", " "))


def value(data: Any) -> str:
    """A field's value, as `worker.api` gives it, on one line. Absent, empty and zero stay apart."""
    if data is None or data == "":
        return EMPTY
    if isinstance(data, bool):
        return "yes" if data else "no"
    if isinstance(data, Mapping):
        return _record(data)
    if isinstance(data, Sequence) and not isinstance(data, str):
        return ", ".join(value(part) for part in data) or EMPTY
    return " ".join(str(data).split())


def _record(data: Mapping[str, Any]) -> str:
    if data.get("absent") is True:
        return UNKNOWN
    if set(data) >= {"amount", "currency"} and data["currency"] is not None:
        return money(Decimal(str(data["amount"])), str(data["currency"]))
    if data.get("name") is not None and set(data) & {"net_days", "end_of_month", "ref"}:
        return str(data["name"])
    parts = [value(part) for part in data.values() if part is not None and part not in ("", [], ())]
    return ", ".join(parts) or EMPTY


def clipped(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
