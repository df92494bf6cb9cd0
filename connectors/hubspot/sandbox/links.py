"""Associations: which record is tied to which, with the type ids and labels of v4.

https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import msgspec


class LinkType(NamedTuple):
    """One direction of a HubSpot-defined association. `inline` is its name in an object's inline list."""

    type_id: int
    source: str
    target: str
    inverse: int
    inline: str
    label: str | None = None
    primary: bool = False


LINK_TYPES = {
    link.type_id: link
    for link in (
        LinkType(279, "contacts", "companies", 280, "contact_to_company_unlabeled"),
        LinkType(1, "contacts", "companies", 2, "contact_to_company", "Primary", primary=True),
        LinkType(280, "companies", "contacts", 279, "company_to_contact_unlabeled"),
        LinkType(2, "companies", "contacts", 1, "company_to_contact", "Primary", primary=True),
        LinkType(4, "contacts", "deals", 3, "contact_to_deal"),
        LinkType(3, "deals", "contacts", 4, "deal_to_contact"),
        LinkType(341, "deals", "companies", 342, "deal_to_company_unlabeled"),
        LinkType(5, "deals", "companies", 6, "deal_to_company", "Primary", primary=True),
        LinkType(342, "companies", "deals", 341, "company_to_deal_unlabeled"),
        LinkType(6, "companies", "deals", 5, "company_to_deal", "Primary", primary=True),
        LinkType(20, "line_items", "deals", 19, "line_item_to_deal"),
        LinkType(19, "deals", "line_items", 20, "deal_to_line_item"),
        LinkType(931, "contacts", "companies", 930, "billing_contact_to_company", "Billing contact"),
        LinkType(930, "companies", "contacts", 931, "company_to_billing_contact", "Billing contact"),
    )
}
DEFAULT_TYPES = {(link.source, link.target): link.type_id for link in LINK_TYPES.values() if link.label is None}
ONE_PRIMARY_FROM = {"contacts", "deals"}  # each of them has at most one primary company

Pair: TypeAlias = tuple[str, str]
Ends: TypeAlias = dict[int, dict[int, frozenset[int]]]


class Tie(msgspec.Struct, frozen=True):
    """One record tied to another, as seen from `source`."""

    source: str
    source_id: int
    target: str
    target_id: int

    def turned(self) -> Tie:
        return Tie(self.target, self.target_id, self.source, self.source_id)


class Links:
    """All associations of a portal, kept in both directions."""

    def __init__(self) -> None:
        self._ends: dict[Pair, Ends] = {}

    def types(self, tie: Tie) -> frozenset[int]:
        """The type ids of a tie; empty if the two are not tied."""
        return self.targets(tie.source, tie.source_id, tie.target).get(tie.target_id, frozenset())

    def targets(self, source: str, source_id: int, target: str) -> dict[int, frozenset[int]]:
        """Whom a record is tied to, in the order they were tied: id -> type ids."""
        return self._ends.get((source, target), {}).get(source_id, {})

    def tie(self, tie: Tie, type_ids: Iterable[int]) -> None:
        """Tie two records; the unlabelled type always comes along. A new primary company takes the label from the
        one before, which stays associated."""
        added = {*type_ids, DEFAULT_TYPES[tie.source, tie.target]}
        if any(LINK_TYPES[t].primary for t in added):
            self._unseat(tie if tie.source in ONE_PRIMARY_FROM else tie.turned())
        self._put(tie, self.types(tie) | added)

    def untie(self, tie: Tie, type_ids: Iterable[int] | None = None) -> frozenset[int]:
        """Take types from a tie (None: all). Returns the types that were taken."""
        held = self.types(tie)
        taken = held if type_ids is None else held & frozenset(type_ids)
        self._put(tie, held - taken)
        return taken

    def ties_of(self, name: str, record_id: int) -> list[Tie]:
        """Everything a record is tied to."""
        found = [(pair[1], ends.get(record_id, {})) for pair, ends in self._ends.items() if pair[0] == name]
        return [Tie(name, record_id, target, target_id) for target, held in found for target_id in held]

    def primary(self, source: str, source_id: int, target: str) -> int | None:
        """The record's primary company."""
        held = self.targets(source, source_id, target)
        return next((i for i, types in held.items() if any(LINK_TYPES[t].primary for t in types)), None)

    def _unseat(self, tie: Tie) -> None:
        for other in list(self.targets(tie.source, tie.source_id, tie.target)):
            rival = Tie(tie.source, tie.source_id, tie.target, other)
            self._put(rival, frozenset(t for t in self.types(rival) if not LINK_TYPES[t].primary))

    def _put(self, tie: Tie, types: frozenset[int]) -> None:
        self._put_one(tie, types)
        self._put_one(tie.turned(), frozenset(LINK_TYPES[t].inverse for t in types))

    def _put_one(self, tie: Tie, types: frozenset[int]) -> None:
        held = self._ends.setdefault((tie.source, tie.target), {}).setdefault(tie.source_id, {})
        if types:
            held[tie.target_id] = types
        else:
            held.pop(tie.target_id, None)
