"""One cell, both ways: text <-> a canonical value. What may mean two things is refused, never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from connectors.canon.fields import FieldType, Value
from connectors.canon.values import Address, Money, Price, TaxId, TaxIdentity, Terms
from connectors.csv.layout import Layout

T = FieldType
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_GROUP = "[,.' \u00a0\u202f]"
_NET = re.compile(r"net\s*(\d+)", re.IGNORECASE)


class BadCell(Exception):
    """A cell that cannot be read or written: the column, and why."""

    def __init__(self, column: str, reason: str, path: str | None = None) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.path = path


def number(text: str, decimal: str) -> Decimal:
    """The number in a text. Raises ValueError with the reason."""
    plain = text.strip()
    point = re.escape(decimal)
    if re.fullmatch(rf"[+-]?\d+({point}\d+)?", plain):
        return Decimal(plain.replace(decimal, "."))
    other = "," if decimal == "." else "."
    if re.fullmatch(rf"[+-]?\d{{1,3}}{re.escape(other)}\d{{3}}", plain):
        short = plain.replace(other, "")
        raise ValueError(f'"{text}" may mean {short} or {plain.replace(other, ".")}: write it without "{other}"')
    if re.fullmatch(rf"[+-]?\d+{re.escape(other)}\d+", plain):
        raise ValueError(f'"{text}" has "{other}" where the decimal sign is "{decimal}"')
    grouped = re.fullmatch(rf"([+-]?\d{{1,3}}({_GROUP})\d{{3}}(?:\2\d{{3}})*)({point}\d+)?", plain)
    if grouped is not None and grouped[2] != decimal:
        whole = re.sub(_GROUP, "", grouped[1])
        return Decimal(whole + (grouped[3] or "").replace(decimal, "."))
    raise ValueError(f'"{text}" is not a number')


def day(text: str, dates: str) -> date:
    """The day in a text. Raises ValueError with the reason."""
    try:
        return datetime.strptime(text.strip(), dates).date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        raise ValueError(f'"{text}" is not a date of the form {dates}') from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'"{text}" is not an ISO 8601 time') from None
    if instant.tzinfo is None:
        raise ValueError(f'"{text}" has no time zone')
    return instant


def _flag(text: str) -> bool:
    if text.casefold() not in _FLAGS:
        raise ValueError(f'"{text}" is neither yes nor no')
    return _FLAGS[text.casefold()]


def value_of(kind: FieldType, text: str, layout: Layout, currency: str | None) -> Value:
    """The value in a cell; an empty cell is None. Raises ValueError with the reason."""
    plain = text.strip()
    if plain == "":
        return None
    match kind:
        case T.DECIMAL:
            return number(plain, layout.decimal)
        case T.MONEY:
            return Money(number(plain, layout.decimal), currency or "")
        case T.PRICE:
            return Price(number(plain, layout.decimal), currency)
        case T.DAY:
            return day(plain, layout.dates)
        case T.INSTANT:
            return _instant(plain)
        case T.FLAG:
            return _flag(plain)
        case T.TERMS:
            net = _NET.fullmatch(plain)
            return Terms(name=plain, net_days=int(net[1]) if net else None)
        case T.ADDRESS:
            return Address(lines=tuple(plain.splitlines()))
        case T.TAX_IDENTITY:
            return TaxIdentity(ids=(TaxId("", plain),))
        case _:
            return plain


def number_text(value: Decimal, layout: Layout) -> str:
    return format(value, "f").replace(".", layout.decimal)


def text_of(value: Value, layout: Layout) -> str:
    """What to write into a cell for a value. Raises ValueError for one that no single cell can hold."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case Decimal():
            return number_text(value, layout)
        case Money() | Price():
            return number_text(value.amount, layout)
        case datetime():
            return value.isoformat()
        case date():
            return value.strftime(layout.dates)
        case Terms():
            return value.name or (f"Net {value.net_days}" if value.net_days is not None else "")
        case Address():
            return _address_text(value)
        case TaxIdentity():
            return _tax_text(value)
        case _:
            raise ValueError("a cell cannot hold it")


def _address_text(value: Address) -> str:
    if any((value.city, value.region, value.postcode, value.country, value.attention)):
        raise ValueError("the parts of the address have no columns of their own")
    return "\n".join(value.lines)


def _tax_text(value: TaxIdentity) -> str:
    if len(value.ids) > 1:
        raise ValueError("one cell cannot hold several tax ids")
    return value.ids[0].value if value.ids else ""
