"""One API call on its way through: what a handler is given, and how records are shown.

https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from connectors.hubspot.sandbox.catalogue import SPELLINGS, ObjectType
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.links import LINK_TYPES
from connectors.hubspot.sandbox.portal import Origin, Portal
from connectors.hubspot.sandbox.refusals import Body, Refusal, invalid, not_found
from connectors.hubspot.sandbox.search import Finder
from connectors.hubspot.sandbox.table import Table
from connectors.hubspot.sandbox.values import iso

INLINE_MAX = 500


class Answer(NamedTuple):
    """What a handler answers. `body` None: no content."""

    status: int
    body: Body | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call: `version` is v1, v3, v4, 2026-03 or 2026-09; `match` the path's parts; `size` of the body in
    characters; `path` as it was called, for paging links."""

    portal: Portal
    finders: Mapping[str, Finder]
    version: str
    match: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    size: int
    origin: Origin
    stale: bool
    address: str

    @property
    def kind(self) -> ObjectType:
        return object_type(self.match["object"])

    @property
    def table(self) -> Table:
        return self.portal.tables[self.kind.name]

    def now(self) -> str:
        return iso(self.portal.now_ms())

    def flag(self, name: str) -> bool:
        """A query parameter that is true or not."""
        return self.query.get(name, "false").lower() == "true"

    def names(self, name: str) -> list[str]:
        """A query parameter that lists names, separated by commas."""
        return [part.strip() for part in self.query.get(name, "").split(",") if part.strip()]

    def whole(self, name: str, default: int, most: int) -> int:
        """A query parameter that is a whole number of at most `most`. Raises Refusal."""
        text = self.query.get(name, str(default))
        if not text.isdecimal() or not 0 < int(text) <= most:
            raise invalid(f"{name} must be a number from 1 to {most}, but was {text}")
        return int(text)

    def inputs(self, most: int) -> list[Mapping[str, Any]]:
        """The inputs of a batch. Raises Refusal for more than `most`, or for none."""
        inputs = self.body.get("inputs") if isinstance(self.body, dict) else None
        if not isinstance(inputs, list) or not all(isinstance(i, dict) for i in inputs):
            raise invalid("Invalid input JSON: inputs is required")
        if not 0 < len(inputs) <= most:
            raise invalid(f"The batch has {len(inputs)} inputs; it must have between 1 and {most}.")
        return inputs


def object_type(spelling: str) -> ObjectType:
    """An object type by its plural, its singular or its id."""
    kind = SPELLINGS.get(spelling.lower())
    if kind is None:
        raise invalid(f"Unable to infer object type from: {spelling}")
    return kind


def record_id(raw: object) -> int:
    """An id as sent: text or number; -1 for what is neither."""
    text = str(raw)
    return int(text) if text.isascii() and text.isdecimal() else -1


def found(table: Table, raw: object, *, archived: bool = False, stale: bool = False) -> Record:
    """The record with an id. Raises Refusal (404)."""
    record = table.find(record_id(raw), archived=archived, stale=stale)
    if record is None:
        raise not_found()
    return record


def by_property(call: Call, name: str | None, raw: object, *, stale: bool = False) -> Record | None:
    """The live record with an id, or with a unique value where `name` says so. Raises Refusal for a name that is
    not unique."""
    table = call.table
    if name is None:
        return table.find(record_id(raw), stale=stale)
    table.require_unique(name, call.portal.account.portal_id)
    value = str(raw).strip().lower() if name == "email" else str(raw)
    holder = table.holder(name, value)
    return None if holder is None else table.find(holder, stale=stale)


# --------------------------------------------------------------------------- showing


class View(NamedTuple):
    """Which properties are shown: asked for, or the default set; unset ones as null."""

    names: tuple[str, ...]
    history: tuple[str, ...] = ()


def view_of(table: Table, names: Sequence[str], history: Sequence[str] = ()) -> View:
    """Unknown names are passed over. Id and times are always shown."""
    if not names:
        return View(table.kind.defaults, tuple(history))
    always = ("createdate", table.kind.modified, "hs_object_id")
    known = tuple(n for n in dict.fromkeys([*names, *always]) if n in table.catalogue)
    return View(known, tuple(history))


def shown(table: Table, record: Record, view: View) -> Body:
    """A record as the API shows it."""
    held = record.properties
    body: Body = {
        "id": held["hs_object_id"],
        "properties": {name: held.get(name) for name in view.names},
        "createdAt": held["createdate"],
        "updatedAt": held[table.kind.modified],
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        body["archivedAt"] = record.archived_at
    if view.history:
        body["propertiesWithHistory"] = {name: _past(table, record.id, name) for name in view.history}
    return body


def _past(table: Table, record: int, name: str) -> list[Body]:
    return [
        {"value": p.value, "timestamp": p.timestamp, "sourceType": p.source_type, "sourceId": p.source_id}
        for p in table.history.get(record, {}).get(name, [])
    ]


def inline_associations(call: Call, record: Record, targets: Sequence[ObjectType]) -> Body:
    """`associations` of a record: a labelled tie appears twice, once for each type."""
    shown_lists = {}
    for target in targets:
        ties = call.portal.near(call.kind.name, record.id, target.name)
        entries = [{"id": str(i), "type": LINK_TYPES[t].inline} for i, types in ties.items() for t in sorted(types)]
        if entries:
            shown_lists[target.inline] = _capped(call, record, target, entries)
    return shown_lists


def _capped(call: Call, record: Record, target: ObjectType, entries: list[Body]) -> Body:
    if len(entries) <= INLINE_MAX:
        return {"results": entries}
    after = entries[INLINE_MAX - 1]["id"]
    kind = call.kind.name
    link = f"/crm/v4/objects/{kind}/{record.id}/associations/{target.name}?after={after}"
    return {"results": entries[:INLINE_MAX], "paging": {"next": {"after": after, "link": link}}}


def batch_answer(call: Call, status: int, results: list[Body], errors: Sequence[Body] = ()) -> Answer:
    """The envelope of every batch. With errors it is 207."""
    now = call.now()
    body: Body = {
        "status": "COMPLETE",
        "results": results,
        "requestedAt": now,
        "startedAt": now,
        "completedAt": now,
    }
    if not errors:
        return Answer(status, body)
    return Answer(207, {**body, "numErrors": len(errors), "errors": list(errors)})


Handler = Callable[[Call], Answer]

__all__ = [
    "Answer",
    "Call",
    "Handler",
    "Refusal",
    "View",
    "batch_answer",
    "by_property",
    "found",
    "inline_associations",
    "object_type",
    "record_id",
    "shown",
    "view_of",
]
