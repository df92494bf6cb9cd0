"""Handlers of single records: list, read, create, update, archive, merge, search, GDPR delete.

https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.sandbox import search as questions
from connectors.hubspot.sandbox.calls import (
    Answer,
    Call,
    View,
    by_property,
    found,
    inline_associations,
    object_type,
    record_id,
    shown,
    view_of,
)
from connectors.hubspot.sandbox.catalogue import ObjectType
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.links import LINK_TYPES
from connectors.hubspot.sandbox.portal import Bond
from connectors.hubspot.sandbox.refusals import Body, invalid, not_found
from connectors.hubspot.sandbox.shapes import listed, mapping

LIST_MAX, LIST_MAX_WITH_HISTORY = 100, 50
STRICT_VERSION = "2026-09"  # the first version that enforces the account's own rules


def list_records(call: Call) -> Answer:
    """GET: a page of records in order of id. No sort, no filter."""
    history = call.names("propertiesWithHistory")
    limit = call.whole("limit", 10, LIST_MAX_WITH_HISTORY if history else LIST_MAX)
    records, more = call.table.page(_after(call), limit, archived=call.flag("archived"))
    view, targets = view_of(call.table, call.names("properties"), history), _targets(call)
    body: Body = {"results": [_with_ties(call, record, view, targets) for record in records]}
    if more:
        after = str(records[-1].id)
        body["paging"] = {"next": {"after": after, "link": f"{call.address}?after={after}"}}
    return Answer(200, body)


def _after(call: Call) -> int:
    text = call.query.get("after", "0")
    if not text.isdecimal():
        raise invalid(f"after {text} is not a paging cursor")
    return int(text)


def _targets(call: Call) -> list[ObjectType]:
    return [object_type(name) for name in call.names("associations")]


def _with_ties(call: Call, record: Record, view: View, targets: Sequence[ObjectType]) -> Body:
    body = shown(call.table, record, view)
    ties = inline_associations(call, record, targets) if targets else {}
    return {**body, "associations": ties} if ties else body


def read_record(call: Call) -> Answer:
    """GET one, by id or by a unique property; the id of a merged record gives its survivor."""
    name, raw = call.query.get("idProperty"), call.match["id"]
    if name is None:
        record = found(call.table, raw, archived=call.flag("archived"), stale=call.stale)
    else:
        holder = by_property(call, name, raw, stale=call.stale)
        if holder is None:
            raise not_found()
        record = holder
    view = view_of(call.table, call.names("properties"), call.names("propertiesWithHistory"))
    return Answer(200, _with_ties(call, record, view, _targets(call)))


def sent_properties(sent: object) -> Mapping[str, object]:
    """The `properties` of a create or update. Raises Refusal."""
    return mapping(mapping(sent).get("properties"))


def sent_bonds(kind: ObjectType, sent: Mapping[str, Any]) -> list[Bond]:
    """The `associations` of a create. Raises Refusal for a type that does not start at this object."""
    bonds = []
    for item in map(mapping, listed(sent.get("associations"))):
        ids = tuple(record_id(mapping(spec).get("associationTypeId")) for spec in listed(item.get("types")))
        kinds = {LINK_TYPES[i].target if i in LINK_TYPES and LINK_TYPES[i].source == kind.name else "" for i in ids}
        if len(kinds) != 1 or kinds == {""}:
            raise invalid(f"Association types {list(ids)} are not valid for {kind.name}")
        bonds.append(Bond(kinds.pop(), record_id(mapping(item.get("to")).get("id")), ids))
    return bonds


def create_record(call: Call) -> Answer:
    """POST: 201 with the default properties."""
    draft = call.portal.draft_create(
        call.kind,
        sent_properties(call.body),
        bonds=sent_bonds(call.kind, call.body),
        strict=call.version == STRICT_VERSION,
    )
    record = call.portal.commit(draft, call.origin)
    return Answer(201, shown(call.table, record, view_of(call.table, [])))


def update_record(call: Call) -> Answer:
    """PATCH: sets the properties that are sent, "" clears; 200 with what was set."""
    record = by_property(call, call.query.get("idProperty"), call.match["id"])
    if record is None:
        raise not_found()
    sent = sent_properties(call.body)
    after = call.portal.commit(call.portal.draft_update(call.kind, record, sent), call.origin)
    return Answer(200, shown(call.table, after, view_of(call.table, [*call.table.kind.defaults, *sent])))


def archive_record(call: Call) -> Answer:
    """DELETE: 204, also for what is not there."""
    call.portal.archive(call.kind, record_id(call.match["id"]), call.origin)
    return Answer(204)


def merge_records(call: Call) -> Answer:
    """POST /merge: 200 with the survivor, which has an id of its own."""
    if not call.kind.merges:
        raise invalid(f"{call.kind.name} cannot be merged")
    sent = mapping(call.body)
    primary, other = (record_id(sent.get(name)) for name in ("primaryObjectId", "objectIdToMerge"))
    record = call.portal.merge(call.kind, primary, other, call.origin)
    return Answer(200, shown(call.table, record, view_of(call.table, [])))


def gdpr_delete(call: Call) -> Answer:
    """POST /gdpr-delete (contacts): 204; nothing ever shows the contact again."""
    if call.kind.name != "contacts":
        raise invalid("Only contacts can be deleted for privacy.")
    sent = mapping(call.body)
    record = by_property(call, sent.get("idProperty"), sent.get("objectId"))
    call.portal.erase(call.kind, record_id(sent.get("objectId")) if record is None else record.id, call.origin)
    return Answer(204)


def search_records(call: Call) -> Answer:
    """POST /search: what the index has seen so far."""
    table = call.table
    query = questions.parsed(mapping(call.body), call.size, table.catalogue)
    table.index.catch_up(call.portal.now_ms())
    total, records = call.finders[table.kind.name].find(query, table.catalogue)
    view = view_of(table, query.properties)
    body: Body = {"total": total, "results": [shown(table, record, view) for record in records]}
    upto = query.after + len(records)
    if upto < total:
        body["paging"] = {"next": {"after": str(upto)}}
    return Answer(200, body)
