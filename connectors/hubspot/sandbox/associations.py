"""Handlers of associations v4, single and in batches.

https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectors.hubspot.sandbox.calls import Answer, Call, batch_answer, found, object_type, record_id
from connectors.hubspot.sandbox.catalogue import OBJECT_TYPES, ObjectType
from connectors.hubspot.sandbox.links import DEFAULT_TYPES, LINK_TYPES, Tie
from connectors.hubspot.sandbox.refusals import Body, Refusal, invalid, not_found
from connectors.hubspot.sandbox.shapes import listed, mapping

PAGE_MAX = 500
READ_MAX, CREATE_MAX, ARCHIVE_MAX = 1_000, 2_000, 100
NO_LIST_SINCE = "2026-09"  # the 2026-09 specification has no list of one record's associations


def _target(call: Call) -> ObjectType:
    return object_type(call.match["to"])


def _spec_types(specs: Any, source: str, target: str) -> list[int]:
    """The type ids of association specs. Raises Refusal for ids that do not lead from source to target."""
    sent = [mapping(spec) for spec in listed(specs)]
    if not sent:
        raise invalid("Invalid input JSON: association types are required")
    known = (spec for spec in sent if spec.get("associationCategory") == "HUBSPOT_DEFINED")
    ids = [record_id(spec.get("associationTypeId")) for spec in known]
    fit = [i for i in ids if i in LINK_TYPES and (LINK_TYPES[i].source, LINK_TYPES[i].target) == (source, target)]
    if len(fit) < len(sent):
        raise invalid(f"Invalid association types between {source} and {target}")
    return fit


def _types_shown(type_ids: Iterable[int]) -> list[Body]:
    return [{"category": "HUBSPOT_DEFINED", "typeId": i, "label": LINK_TYPES[i].label} for i in sorted(type_ids)]


def _page(call: Call, source: ObjectType, source_id: int, after: int, limit: int) -> tuple[list[Body], int | None]:
    """Associations of a record in order of id; and where the next page starts. `toObjectId` is a number here."""
    target = _target(call)
    near = [(i, types) for i, types in call.portal.near(source.name, source_id, target.name).items() if i > after]
    results = [{"toObjectId": i, "associationTypes": _types_shown(types)} for i, types in near[:limit]]
    return results, near[limit - 1][0] if len(near) > limit else None


def list_associations(call: Call) -> Answer:
    """GET of one record, 500 a page."""
    if call.version == NO_LIST_SINCE:
        raise not_found("No such path in 2026-09")
    record, limit = found(call.table, call.match["id"]), call.whole("limit", PAGE_MAX, PAGE_MAX)
    results, following = _page(call, call.kind, record.id, max(0, record_id(call.query.get("after", "0"))), limit)
    body: Body = {"results": results}
    if following is not None:
        body["paging"] = {"next": {"after": str(following), "link": f"{call.address}?after={following}"}}
    return Answer(200, body)


def _tie(call: Call) -> Tie:
    return Tie(call.kind.name, record_id(call.match["id"]), _target(call).name, record_id(call.match["to_id"]))


def put_labelled(call: Call) -> Answer:
    """PUT with types: 201."""
    tie = _tie(call)
    call.portal.tie(tie, _spec_types(call.body, tie.source, tie.target), call.origin)
    return Answer(201, _tie_shown(call, tie))


def _tie_shown(call: Call, tie: Tie) -> Body:
    labels = [LINK_TYPES[i].label for i in sorted(call.portal.links.types(tie))]
    return {
        "fromObjectTypeId": OBJECT_TYPES[tie.source].type_id,
        "fromObjectId": tie.source_id,
        "toObjectTypeId": OBJECT_TYPES[tie.target].type_id,
        "toObjectId": tie.target_id,
        "labels": [label for label in labels if label is not None],
    }


def put_default(call: Call) -> Answer:
    """PUT default: 200 with both directions. No company becomes the primary one by itself."""
    tie = _tie(call)
    call.portal.tie(tie, (), call.origin)
    return batch_answer(call, 200, [_default_shown(end) for end in (tie, tie.turned())])


def _default_shown(tie: Tie) -> Body:
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": DEFAULT_TYPES[tie.source, tie.target]}
    return {"from": {"id": str(tie.source_id)}, "to": {"id": str(tie.target_id)}, "associationSpec": spec}


def delete_association(call: Call) -> Answer:
    """DELETE: every type between the two; 204."""
    call.portal.untie(_tie(call), call.origin)
    return Answer(204)


def list_labels(call: Call) -> Answer:
    """GET labels: the types between two objects."""
    pair = (call.kind.name, _target(call).name)
    ids = [link.type_id for link in LINK_TYPES.values() if (link.source, link.target) == pair]
    return Answer(200, {"results": _types_shown(ids)})


# --------------------------------------------------------------------------- batches


def batch_read(call: Call) -> Answer:
    """POST batch/read: a record without associations is an error entry of a 207."""
    results, errors = [], []
    for sent in call.inputs(READ_MAX):
        source_id = record_id(sent.get("id"))
        page, following = _page(call, call.kind, source_id, max(0, record_id(sent.get("after") or 0)), PAGE_MAX)
        if page:
            results.append(_read_shown(call, source_id, page, following))
        else:
            errors.append(_nothing_found(call, str(sent.get("id"))))
    return batch_answer(call, 200, results, errors)


def _read_shown(call: Call, source_id: int, page: list[Body], following: int | None) -> Body:
    body: Body = {"from": {"id": str(source_id)}, "to": page}
    if following is not None:
        body["paging"] = {"next": {"after": str(following), "link": f"{call.address}?after={following}"}}
    return body


def _nothing_found(call: Call, source_id: str) -> Body:
    source, target = call.kind.singular, _target(call).singular
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target} is associated with {source} {source_id}.",
        "context": {"fromObjectId": [source_id], "fromObjectType": [source], "toObjectType": [target]},
    }


def _ties(call: Call, sent: Mapping[str, Any]) -> list[Tie]:
    """The ties of one input: from one record to one or several."""
    ends = sent.get("to")
    targets: Sequence[Any] = ends if isinstance(ends, list) else [ends]
    source_id = record_id(mapping(sent.get("from")).get("id"))
    return [Tie(call.kind.name, source_id, _target(call).name, record_id(mapping(t).get("id"))) for t in targets]


def _each(call: Call, status: int, most: int, write: Callable[[Tie, Mapping[str, Any]], list[Body]]) -> Answer:
    """Carry out each input; those that are refused are entries of a 207."""
    results: list[Body] = []
    errors: list[Body] = []
    for sent in call.inputs(most):
        for tie in _ties(call, sent):
            try:
                results += write(tie, sent)
            except Refusal as no:
                context = {"fromObjectId": [str(tie.source_id)], "toObjectId": [str(tie.target_id)]}
                errors.append({"status": "error", "category": no.category, "message": no.message, "context": context})
    return batch_answer(call, status, results, errors)


def batch_create(call: Call) -> Answer:
    """POST batch/create with types: 201, or 207."""

    def write(tie: Tie, sent: Mapping[str, Any]) -> list[Body]:
        call.portal.tie(tie, _spec_types(sent.get("types"), tie.source, tie.target), call.origin)
        return [_tie_shown(call, tie)]

    return _each(call, 201, CREATE_MAX, write)


def batch_default(call: Call) -> Answer:
    """POST batch/associate/default: 200, or 207."""

    def write(tie: Tie, sent: Mapping[str, Any]) -> list[Body]:
        call.portal.tie(tie, (), call.origin)
        return [_default_shown(end) for end in (tie, tie.turned())]

    return _each(call, 200, CREATE_MAX, write)


def batch_archive(call: Call) -> Answer:
    """POST batch/archive: every type; 204."""
    inputs = call.inputs(CREATE_MAX)
    if len({str(mapping(sent.get("from")).get("id")) for sent in inputs}) > ARCHIVE_MAX:
        raise invalid(f"A batch can name at most {ARCHIVE_MAX} records to take associations from.")
    for tie in (tie for sent in inputs for tie in _ties(call, sent)):
        call.portal.untie(tie, call.origin)
    return Answer(204)


def labels_archive(call: Call) -> Answer:
    """POST batch/labels/archive: the named types; 204."""
    for sent in call.inputs(CREATE_MAX):
        for tie in _ties(call, sent):
            types = _spec_types(sent.get("types"), tie.source, tie.target)
            call.portal.untie(tie, call.origin, types)
    return Answer(204)
