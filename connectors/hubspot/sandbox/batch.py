"""Handlers of object batches. At most 100 inputs; one bad input fails the whole call and nothing is written,
unless every input carries its own objectWriteTraceId: then each input has its own outcome and the answer is 207.

https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from connectors.hubspot.sandbox.calls import Answer, Call, batch_answer, by_property, record_id, shown, view_of
from connectors.hubspot.sandbox.index import Record, scrambled
from connectors.hubspot.sandbox.objects import STRICT_VERSION, sent_bonds, sent_properties
from connectors.hubspot.sandbox.portal import Draft
from connectors.hubspot.sandbox.refusals import Body, Refusal, invalid, not_found
from connectors.hubspot.sandbox.shapes import listed

BATCH_MAX, BATCH_MAX_WITH_HISTORY = 100, 50
# As HubSpot words it: https://github.com/activepieces/activepieces/pull/9359
TOO_MANY_HISTORIES = (
    "The maximum number of inputs supported in a batch request for property histories is 50. "
    "Please reduce the number of items and try again"
)

Input: TypeAlias = Mapping[str, Any]
Drafting: TypeAlias = Callable[[Call, Input], Draft]


def batch_read(call: Call) -> Answer:
    """POST /batch/read: 200, or 207 with the ids that are not there. No associations. With history half as many."""
    inputs, name = call.inputs(BATCH_MAX), call.body.get("idProperty")
    asked = list(dict.fromkeys(str(sent.get("id")) for sent in inputs))
    hits = {raw: _read(call, name, raw) for raw in asked}
    names, history = (listed(call.body.get(key)) for key in ("properties", "propertiesWithHistory"))
    if history and len(inputs) > BATCH_MAX_WITH_HISTORY:
        raise invalid(TOO_MANY_HISTORIES)
    view = view_of(call.table, [str(n) for n in names], [str(n) for n in history])
    records = {record.id: record for record in hits.values() if record is not None}
    results = [shown(call.table, record, view) for record in _any_order(records.values())]
    missing = [raw for raw, record in hits.items() if record is None]
    return batch_answer(call, 200, results, [_lost(call, missing)] if missing else [])


def _read(call: Call, name: str | None, raw: str) -> Record | None:
    if call.flag("archived") and name is None:
        return call.table.find(record_id(raw), archived=True)
    return by_property(call, name, raw, stale=call.stale)


def _any_order(records: Any) -> list[Record]:
    """HubSpot does not promise that results come in the order of the inputs, so they never do here."""
    return sorted(records, key=lambda record: scrambled(record.id))


def _lost_words(call: Call) -> str:
    kind = call.kind.legacy
    return f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid."


def _lost(call: Call, ids: Sequence[str]) -> Body:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": _lost_words(call),
        "context": {"ids": list(ids)},
    }


def batch_create(call: Call) -> Answer:
    """POST /batch/create: 201, or 207."""
    return _write(call, call.inputs(BATCH_MAX), _draft_create, 201)


def batch_update(call: Call) -> Answer:
    """POST /batch/update: 200, or 207. The same record twice is refused."""
    inputs = call.inputs(BATCH_MAX)
    _refuse_repeats(inputs)
    return _write(call, inputs, _draft_update, 200)


def batch_upsert(call: Call) -> Answer:
    """POST /batch/upsert by a unique property: 200, or 207; each result says whether it is new."""
    inputs = call.inputs(BATCH_MAX)
    _refuse_repeats(inputs)
    return _write(call, inputs, _draft_upsert, 200, tell_new=True)


def batch_archive(call: Call) -> Answer:
    """POST /batch/archive: 204, also for ids that are not there."""
    for sent in call.inputs(BATCH_MAX):
        call.portal.archive(call.kind, record_id(sent.get("id")), call.origin)
    return Answer(204)


def _refuse_repeats(inputs: Sequence[Input]) -> None:
    ids = [str(sent.get("id")) for sent in inputs]
    repeated = sorted({one for one in ids if ids.count(one) > 1})
    if repeated:
        raise invalid(f"Duplicate IDs found in batch input: [{', '.join(repeated)}]. ID must be unique")


def _draft_create(call: Call, sent: Input) -> Draft:
    properties, bonds = sent_properties(sent), sent_bonds(call.kind, sent)
    return call.portal.draft_create(call.kind, properties, bonds=bonds, strict=call.version == STRICT_VERSION)


def _draft_update(call: Call, sent: Input) -> Draft:
    record = by_property(call, sent.get("idProperty"), sent.get("id"))
    if record is None:
        raise not_found(_lost_words(call), context={"ids": [str(sent.get("id"))]})
    return call.portal.draft_update(call.kind, record, sent_properties(sent))


def _draft_upsert(call: Call, sent: Input) -> Draft:
    name = sent.get("idProperty")
    if name is None:
        raise invalid("idProperty is required for upsert")
    record, properties = by_property(call, name, sent.get("id")), sent_properties(sent)
    if record is not None:
        return call.portal.draft_update(call.kind, record, properties)
    full = {**properties, name: sent.get("id")}
    return call.portal.draft_create(call.kind, full, strict=call.version == STRICT_VERSION)


def _write(call: Call, inputs: Sequence[Input], draft: Drafting, status: int, *, tell_new: bool = False) -> Answer:
    traces = [sent.get("objectWriteTraceId") for sent in inputs]
    one_by_one = all(isinstance(trace, str) for trace in traces) and len(set(traces)) == len(traces)
    written, errors = (_each if one_by_one else _all_or_nothing)(call, inputs, draft)
    view = view_of(call.table, [*call.kind.defaults, *(n for _, _, sent in written for n in sent["properties"])])
    results = {record.id: shown(call.table, record, view) for record, _, _ in written}
    for record, made, sent in written:
        if tell_new:
            results[record.id]["new"] = made
        if "objectWriteTraceId" in sent:
            results[record.id]["objectWriteTraceId"] = sent["objectWriteTraceId"]
    ordered = [results[record.id] for record in _any_order(record for record, _, _ in written)]
    return batch_answer(call, status, ordered, errors)


Written: TypeAlias = list[tuple[Record, bool, Input]]


def _each(call: Call, inputs: Sequence[Input], draft: Drafting) -> tuple[Written, list[Body]]:
    written: Written = []
    errors: list[Body] = []
    for sent in inputs:
        try:
            written.append(_committed(call, draft(call, sent), sent))
        except Refusal as no:
            errors.append(no.as_item(sent["objectWriteTraceId"]))
    return written, errors


def _all_or_nothing(call: Call, inputs: Sequence[Input], draft: Drafting) -> tuple[Written, list[Body]]:
    drafts = [draft(call, sent) for sent in inputs]
    _refuse_rivals(call, drafts)
    return [_committed(call, one, sent) for one, sent in zip(drafts, inputs, strict=True)], []


def _committed(call: Call, draft: Draft, sent: Input) -> tuple[Record, bool, Input]:
    return call.portal.commit(draft, call.origin), draft.before is None, sent


def _refuse_rivals(call: Call, drafts: Sequence[Draft]) -> None:
    """Two inputs of one call that want the same unique value."""
    for name in call.table.uniques():
        values = [draft.changed[name] for draft in drafts if draft.changed.get(name, "") != ""]
        if len(set(values)) < len(values):
            raise invalid(f"Duplicate values for the unique property {name} in one batch")
