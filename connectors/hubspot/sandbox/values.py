"""What HubSpot takes as a property value and what it gives back: strings, whatever was sent.

https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from connectors.hubspot.sandbox.catalogue import Option, Property
from connectors.hubspot.sandbox.refusals import Flaw

DAY_MS = 86_400_000
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def iso(ms: int) -> str:
    """Epoch milliseconds as HubSpot writes a time: whole seconds carry no fraction (2026-01-02T03:04:05Z)."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def sortable(moment: str) -> str:
    """A time as HubSpot writes it, made comparable as text: always with milliseconds."""
    return moment if "." in moment else f"{moment[:-1]}.000Z"


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def moment_ms(text: str) -> int | None:
    """Epoch milliseconds of a time sent as epoch ms or ISO 8601 (without a zone: UTC); None: neither."""
    if text.lstrip("-").isdecimal() and len(text) > 7:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return epoch_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def plain(number: Decimal) -> str:
    """A number without exponent."""
    return format(number, "f")


def as_text(raw: object) -> str | None:
    """A JSON value as text; None: HubSpot takes no such value (null, list, object)."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, str):
        return raw
    return plain(Decimal(str(raw))) if isinstance(raw, int | float) else None


class Unfit(Exception):
    """A value that the property does not take: HubSpot's code and words."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


def _number(prop: Property, text: str) -> str:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise Unfit("INVALID_INTEGER", f"{text} was not a valid number")
    if prop.name == "price" and number < 0:
        raise Unfit("NUMBER_OUT_OF_RANGE", "price must be greater than or equal to 0")
    return plain(number)


def _date(prop: Property, text: str) -> str:
    if text.lstrip("-").isdecimal() and int(text) % DAY_MS == 0:
        return iso(int(text))[:10]
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else _no_date(text)
    except ValueError:
        return _no_date(text)


def _no_date(text: str) -> str:
    raise Unfit("INVALID_DATE", f"{text} was not a valid date. Dates must be midnight UTC.")


def _datetime(prop: Property, text: str) -> str:
    ms = moment_ms(text)
    if ms is None:
        raise Unfit("INVALID_DATE", f"{text} was not a valid date.")
    return iso(ms)


def _listed(options: tuple[Option, ...]) -> str:
    return ", ".join(option.value for option in options)


def _enumeration(prop: Property, text: str) -> str:
    values = text.split(";") if prop.field_type == "checkbox" else [text]
    known = {option.value for option in prop.options}
    for value in values:
        if value not in known:
            raise Unfit("INVALID_OPTION", f"{value} was not one of the allowed options: [{_listed(prop.options)}]")
    return text


def _bool(prop: Property, text: str) -> str:
    if text not in {"true", "false"}:
        raise Unfit("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text


def _string(prop: Property, text: str) -> str:
    if len(text) > 65_536:
        raise Unfit("VALUE_TOO_LONG", f"{prop.name} is longer than 65536 characters")
    if prop.name == "email" and not _MAIL.fullmatch(text.strip()):
        raise Unfit("INVALID_EMAIL", f"Email address {text} is invalid")
    return text.strip().lower() if prop.name == "email" else text


_TAKES = {
    "string": _string,
    "phone_number": _string,
    "number": _number,
    "date": _date,
    "datetime": _datetime,
    "enumeration": _enumeration,
    "bool": _bool,
}


def to_wire(prop: Property, raw: object) -> str:
    """The string HubSpot stores for a value ("" clears). Raises Unfit."""
    text = as_text(raw)
    if text is None:
        raise Unfit("INVALID_VALUE", f'"{prop.name}" takes a string')
    return _TAKES[prop.type](prop, text) if text != "" else ""


def checked(
    catalogue: dict[str, Property], sent: dict[str, object], *, person: bool
) -> tuple[dict[str, str], list[Flaw]]:
    """Stored values for what was sent, and what is wrong with the rest. A `person` is the sandbox's own hand in
    seeds: read-only properties may be set there, so that imported histories have their dates."""
    wire: dict[str, str] = {}
    flaws: list[Flaw] = []
    for name, raw in sent.items():
        try:
            wire[name] = _one(catalogue.get(name), name, raw, person=person)
        except Unfit as no:
            flaws.append(Flaw(name, no.error, no.message))
    return wire, flaws


def _one(prop: Property | None, name: str, raw: object, *, person: bool) -> str:
    if prop is None or prop.archived:
        raise Unfit("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if (prop.read_only or prop.calculated) and not person:
        raise Unfit("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    return to_wire(prop, raw)
