"""What people typed, and of that what nobody who saw it has typed over: the values that must not be lost."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeAlias

from connectors.canon.fields import FieldType, Value, field_type, key
from connectors.canon.records import Kind
from connectors.kit.contract import Side

Record: TypeAlias = tuple[Side, str]  # side and ref of a customer
SIDES: tuple[Side, Side] = ("crm", "books")
OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}


def type_of(path: str) -> FieldType:
    return field_type(Kind.CUSTOMER, path) or FieldType.TEXT


def key_of(path: str, value: Value) -> Hashable:
    """What two values of a customer's field are compared by."""
    return key(type_of(path), value)


class Typed:
    """The model. A claim is a value that a person typed into a field of a record. It ends when a person types over
    that value (wherever it had come to by then), removes the record, or decides against it. Values are unique, so
    that each can be followed; only empty ones are alike, and end where they were typed.

    `partners`: record -> the record that Tieout has linked it to. `bases`: (record, path) -> what was seen there when
    the two last agreed. Both are brought up to date by whoever looks."""

    def __init__(self) -> None:
        self._claims: dict[tuple[Record, str], dict[Hashable, Value]] = {}
        self.partners: dict[Record, Record] = {}
        self.bases: dict[tuple[Record, str], Value] = {}

    def enter(self, record: Record, values: Mapping[str, Value]) -> None:
        """A person made a record: what is not empty is claimed."""
        for path, value in values.items():
            if key_of(path, value) is not None:
                self._at(record, path)[key_of(path, value)] = value

    def type(self, record: Record, path: str, before: Value, after: Value) -> None:
        """A person saw `before` and typed `after`. What the two had agreed on is no news; nor is nothing where
        nothing was agreed."""
        self.end(record, path, before)
        if key_of(path, after) != key_of(path, self.bases.get((record, path))):
            self._at(record, path)[key_of(path, after)] = after

    def remove(self, record: Record) -> None:
        """A person removed a record, and what it said with it."""
        for at in [at for at in self._claims if at[0] == record]:
            del self._claims[at]

    def end(self, record: Record, path: str, value: Value) -> None:
        """A person saw this value of a record, and put another in its place."""
        ended = key_of(path, value)
        for at, claims in self._holders(path):
            if ended is not None or at in (record, self.partners.get(record)):
                claims.pop(ended, None)

    def claims(self, record: Record, path: str) -> list[Value]:
        """What was typed into a field of a record, or of its partner, and stands."""
        partner = self.partners.get(record)
        there = self._at(partner, path) if partner is not None else {}
        return list((self._at(record, path) | there).values())

    def is_claimed(self, record: Record, path: str, value: Value) -> bool:
        """Whether it was typed into just this record."""
        return key_of(path, value) in self._at(record, path)

    def _at(self, record: Record, path: str) -> dict[Hashable, Value]:
        return self._claims.setdefault((record, path), {})

    def _holders(self, path: str) -> Iterator[tuple[Record, dict[Hashable, Value]]]:
        return ((at, claims) for (at, where), claims in list(self._claims.items()) if where == path)
