"""Reading QuickBooks' JSON exactly: numbers as Decimal, times with their offset, references by their value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

Wire: TypeAlias = Mapping[str, Any]

_SHORT_OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


def decimal(wire: Wire, name: str) -> Decimal | None:
    """The number at `name`; None where it is not there. QuickBooks sends numbers, its reports strings."""
    value = wire.get(name)
    if value is None or value == "":
        return None
    return Decimal(value) if isinstance(value, str | int) else Decimal(str(value))


def text(wire: Wire, name: str) -> str | None:
    """The text at `name`; None where it is missing or empty, which QuickBooks does not tell apart."""
    value = wire.get(name)
    return value if isinstance(value, str) and value != "" else None


def part(wire: Wire, name: str) -> Wire:
    """The object at `name`, or an empty one."""
    value = wire.get(name)
    return value if isinstance(value, dict) else {}


def parts(wire: Wire, name: str) -> list[Wire]:
    """The objects in the list at `name`; an empty list where there is none."""
    value = wire.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def ref(wire: Wire, name: str) -> str | None:
    """The id that a reference names: `{"value": "12", "name": "Acme"}` -> "12"."""
    return text(part(wire, name), "value")


def ref_name(wire: Wire, name: str) -> str | None:
    """The label of a reference, where QuickBooks sends it."""
    return text(part(wire, name), "name")


def to_ref(value: str) -> dict[str, str]:
    return {"value": value}


def day(wire: Wire, name: str) -> date | None:
    """A date without zone: TxnDate, DueDate."""
    value = text(wire, name)
    return date.fromisoformat(value[:10]) if value is not None else None


def instant(value: str | None) -> datetime | None:
    """A time with its offset (`-08:00`, `-0800` or `Z`), in UTC. One without an offset is taken as UTC."""
    if value is None:
        return None
    when = datetime.fromisoformat(_SHORT_OFFSET.sub(r"\1:\2", value))
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def stamp(when: datetime) -> str:
    """A time as queries and change data capture take it, in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
