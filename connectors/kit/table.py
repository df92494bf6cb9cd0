"""The declarative table between a vendor's wire names and the canonical paths.

    CUSTOMER = Table([
        Wire("legal_name", "CompanyName"),
        Wire("emails.billing", "BillEmail.Address"),
        Wire("active", "Active", FLAG),
        Wire("balance", "Balance", DECIMAL, writable=False),
    ])
    fields = to_canon(CUSTOMER, {"CompanyName": "Acacia Ltd", "BillEmail": {"Address": "ap@acacia.test"}})
    body = to_wire(CUSTOMER, {"emails.billing": None})

A wire name is dotted where the vendor nests objects. Converters come in pairs, a `Form`. Reading never guesses: a
value that is not of its form raises `Unreadable`, which a connector turns into a BadRow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.fields import Value
from connectors.canon.values import ABSENT
from connectors.kit.errors import Unsupported

Missing: TypeAlias = Literal["absent", "empty"]
_NO_KEYS: Mapping[str, Any] = {}


class Unreadable(ValueError):
    """A wire value is not of its form. `path` is the canonical field, `wire` the vendor's name for it."""

    def __init__(self, path: str, wire: str, reason: str) -> None:
        super().__init__(f"{wire}: {reason}")
        self.path = path
        self.wire = wire
        self.reason = reason


class Form(msgspec.Struct, frozen=True):
    """A pair of converters. `read` gets what is on the wire, never null or ""; `write` gets a canonical value,
    never None or ABSENT. `read` raises ValueError, TypeError or ArithmeticError for what it cannot read."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise ValueError("is no text")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, (bool, float)):
        raise ValueError("is no exact number")
    try:
        number = value if isinstance(value, Decimal) else Decimal(value)
    except InvalidOperation as wrong:
        raise ValueError("is no number") from wrong
    if not number.is_finite():
        raise ValueError("is no finite number")
    return number


def _day(value: Any) -> date:
    if len(value) > 10 and value[10] != "T":
        raise ValueError("is no date")
    return date.fromisoformat(value[:10])


def _instant(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("has no time zone")
    return moment.astimezone(UTC)


def _instant_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant_ms(value: Any) -> datetime:
    return datetime.fromtimestamp(int(value) / 1000, UTC)


def _to_ms(value: datetime) -> str:
    return str(round(value.timestamp() * 1000))


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    match value.lower() if isinstance(value, str) else value:
        case "true":
            return True
        case "false":
            return False
    raise ValueError("is neither true nor false")


def _same(value: Any) -> Any:
    return value


TEXT = Form(_text, str)
"""Text; a wire number is read as the text that it was written as."""
DECIMAL = Form(_decimal, _same)
"""An exact number, from a JSON number or text; written as a JSON number. A float is refused."""
DECIMAL_TEXT = Form(_decimal, lambda value: format(value, "f"))
"""An exact number; written as text without an exponent."""
DAY = Form(_day, date.isoformat)
"""A date, `2026-11-30`; a time behind it is cut off, in the vendor's own zone."""
INSTANT = Form(_instant, _instant_text)
"""An ISO 8601 instant with a zone, read to UTC; written as `2026-11-30T08:00:00.000Z`."""
INSTANT_MS = Form(_instant_ms, _to_ms)
"""Epoch milliseconds, as number or text; written as text."""
FLAG = Form(_flag, _same)
"""True or false, or the words; written as JSON true or false."""
FLAG_TEXT = Form(_flag, lambda value: "true" if value else "false")
"""True or false, or the words; written as the words `true` and `false`."""


class Wire(msgspec.Struct, frozen=True):
    """One field: the canonical `path`, the vendor's `wire` name, and the form in between. `writable` False: read
    only. `missing`: what it means if the vendor leaves the key out of a record (None: what the table says)."""

    path: str
    wire: str
    form: Form = TEXT
    writable: bool = True
    missing: Missing | None = None


class Table:
    """Entries, made ready for speed.

    `missing`: what a key that the vendor left out means: "absent" (not told), or "empty" for vendors that leave
    empty fields out of whole records. `empty`: what is sent to empty a field (None, or "" where the vendor wants
    that). `paths` and `writable` are the canonical paths it knows and may set; `names` the wire names in order."""

    __slots__ = ("_by_path", "_rows", "empty", "names", "paths", "writable")

    def __init__(self, entries: Sequence[Wire], *, missing: Missing = "absent", empty: Any = None) -> None:
        self._rows = tuple(_row(entry, missing) for entry in entries)
        self._by_path = {entry.path: entry for entry in entries}
        if len(self._by_path) != len(entries):
            raise ValueError("a canonical path stands twice in the table")
        self.empty = empty
        self.names = tuple(entry.wire for entry in entries)
        self.paths = frozenset(self._by_path)
        self.writable = frozenset(entry.path for entry in entries if entry.writable)


def _row(entry: Wire, missing: Missing) -> tuple[str, str, tuple[str, ...], str, Callable[[Any], Any], Any]:
    *parents, key = entry.wire.split(".")
    left_out = None if (entry.missing or missing) == "empty" else ABSENT
    return entry.path, entry.wire, tuple(parents), key, entry.form.read, left_out


def to_canon(table: Table, obj: Mapping[str, Any], asked: Collection[str] | None = None) -> dict[str, Value]:
    """Canonical path -> value for every entry. ABSENT where the key is missing (unless the table says otherwise)
    or its wire name is not in `asked` (None: all were); None where it is null, "" or its parent is null.
    Raises Unreadable."""
    found: dict[str, Value] = {}
    for path, wire, parents, key, read, left_out in table._rows:
        if asked is not None and wire not in asked:
            found[path] = ABSENT
            continue
        try:
            value = _lookup(obj, parents, key) if parents else obj.get(key, ABSENT)
            if value is None or value == "":
                found[path] = None
            else:
                found[path] = left_out if value is ABSENT else read(value)
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as wrong:
            raise Unreadable(path, wire, str(wrong)) from None
    return found


def _lookup(obj: Mapping[str, Any], parents: tuple[str, ...], key: str) -> Any:
    inner: Any = obj
    for parent in parents:
        inner = inner.get(parent, _NO_KEYS)
        if inner is None:
            return None
    return inner.get(key, ABSENT)


def to_wire(table: Table, values: Mapping[str, Value]) -> dict[str, Any]:
    """A nested wire object with these fields and no others. ABSENT is left out, None sent as `table.empty`.
    Raises Unsupported for a path that the table does not know or may not write."""
    body: dict[str, Any] = {}
    for path, value in values.items():
        if path not in table.writable:
            raise Unsupported(f"{path} cannot be written here", code=path)
        if value is ABSENT:
            continue
        entry = table._by_path[path]
        *parents, key = entry.wire.split(".")
        inner = body
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = table.empty if value is None else entry.form.write(value)
    return body
