"""Writes to HubSpot: which batch call they become, and what each item's outcome is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.canon.records import AnyRecord, Customer, Item
from connectors.hubspot.api import Api
from connectors.hubspot.fields import object_of, record_values, ref_of, to_properties
from connectors.hubspot.outcomes import Sent, denied, existing_id, fault_of, of_error
from connectors.hubspot.reading import Reader
from connectors.hubspot.vendor import COMPANY, CONTACT, MARKER, PRODUCT, CrmObject
from connectors.hubspot.wire import Batch, Fault, Rec
from connectors.kit.contract import Act, Create, Denied, Done, InDoubt, NotSent, Outcome, Update, Write
from connectors.kit.errors import ConnectorError, Doubtful, NotAllowed, Reconnect, Refused, Unsupported
from connectors.kit.http import Answer


class Ready(msgspec.Struct, frozen=True):
    """Writes of one object type and one operation as they go out: the batch verb, and what of each is sent."""

    crm_object: CrmObject
    verb: str
    sent: list[Sent]

    def inputs(self) -> list[dict[str, Any]]:
        return [_INPUTS[self.verb](item) for item in self.sent]


def _upserted(item: Sent) -> dict[str, Any]:
    return {"idProperty": MARKER, "id": item.id, "properties": item.properties, "objectWriteTraceId": item.trace}


def _created(item: Sent) -> dict[str, Any]:
    return {"properties": item.properties, "associations": [], "objectWriteTraceId": item.trace}


def _updated(item: Sent) -> dict[str, Any]:
    return {"id": item.id, "properties": item.properties, "objectWriteTraceId": item.trace}


def _archived(item: Sent) -> dict[str, Any]:
    return {"id": item.id}


_INPUTS = {"upsert": _upserted, "create": _created, "update": _updated, "archive": _archived}


class Writer:
    """Sends writes and tells their outcomes. A batch goes out once; what it did is read back for whole records."""

    def __init__(self, api: Api, reader: Reader, ensure_marker: Callable[[CrmObject], Awaitable[None]]) -> None:
        self._api = api
        self._reader = reader
        self._ensure_marker = ensure_marker

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """An outcome for each write, in order. Companies and contacts go in a call each."""
        outcomes: dict[str, Outcome] = {}
        batches: dict[tuple[str, str], Ready] = {}
        for index, write in enumerate(writes):
            try:
                crm_object, verb, sent = self._prepared(f"w{index}", write)
            except Unsupported as wrong:
                outcomes[f"w{index}"] = Denied(wrong.message, code="unsupported", field=wrong.code)
                continue
            ready = batches.setdefault((crm_object.name, verb), Ready(crm_object, verb, []))
            ready.sent.append(sent)
        for ready in batches.values():
            outcomes.update(await self._batch(ready))
        return [outcomes[f"w{index}"] for index in range(len(writes))]

    def _prepared(self, trace: str, write: Write) -> tuple[CrmObject, str, Sent]:
        match write:
            case Create():
                return self._create(trace, write)
            case Update():
                crm_object, id_ = object_of(write.kind, write.ref)
                shape = self._reader.shapes[crm_object.name]
                return (
                    crm_object,
                    "update",
                    Sent(trace, shape, id_, to_properties(shape, write.after, write.before)),
                )
            case Act():
                if write.operation not in ("archive", "delete"):
                    raise Unsupported(f"HubSpot has no {write.operation} for a {write.kind}", system="hubspot")
                crm_object, id_ = object_of(write.kind, write.ref)
                return crm_object, "archive", Sent(trace, self._reader.shapes[crm_object.name], id_, {})

    def _create(self, trace: str, write: Create) -> tuple[CrmObject, str, Sent]:
        record = write.record
        if not isinstance(record, (Customer, Item)):
            raise Unsupported("Tieout makes no deals in HubSpot: people do", system="hubspot")
        crm_object = self._object_for(record)
        shape = self._reader.shapes[crm_object.name]
        properties = {**to_properties(shape, record_values(shape, record)), MARKER: write.marker}
        verb = "upsert" if crm_object.unique_marker else "create"
        return crm_object, verb, Sent(trace, shape, write.marker, properties)

    def _object_for(self, record: Customer | Item) -> CrmObject:
        if isinstance(record, Item):
            return PRODUCT
        chosen = self._reader.choices.customers
        as_contact = record.is_person if chosen == "both" else chosen == "contacts"
        return CONTACT if as_contact else COMPANY

    # ----------------------------------------------------------------- one batch

    async def _batch(self, ready: Ready) -> dict[str, Outcome]:
        if ready.verb == "update":
            empty = [item for item in ready.sent if not item.properties]
            if empty:
                return await self._without(ready, empty)
        if ready.verb in ("upsert", "create"):
            unready = await self._without_marker(ready)
            if unready is not None:
                return {item.trace: unready for item in ready.sent}
        try:
            answer = await self._api.write(ready.crm_object, ready.verb, ready.inputs())
            if ready.verb == "archive" and answer.status != 204:
                raise Doubtful("an answer to an archive of no known shape", request_id=_id(answer))
            if ready.verb == "archive":
                return {s.trace: Done(ref_of(ready.crm_object, s.id), None, None, _id(answer)) for s in ready.sent}
            return await self._outcomes(ready, answer, answer.json(Batch))
        except ConnectorError as error:
            error = await self._whose_email(ready, error)
            return dict(zip([s.trace for s in ready.sent], of_error(error, ready.sent), strict=True))

    async def _without_marker(self, ready: Ready) -> NotSent | None:
        """Why nothing can be made yet: the property for our marker is not there and cannot be made."""
        try:
            await self._ensure_marker(ready.crm_object)
        except Reconnect as gone:
            return NotSent(gone.message, next="reconnect", request_id=gone.request_id)
        except Refused as refused:
            said = f"The property {MARKER} cannot be made: {refused.message}"
            return NotSent(said, next="allow", request_id=refused.request_id)
        except NotAllowed as refused:
            return NotSent(refused.message, next="allow", request_id=refused.request_id)
        except ConnectorError as later:
            return NotSent(later.message, wait_s=later.wait_s, request_id=later.request_id)
        return None

    async def _without(self, ready: Ready, empty: Sequence[Sent]) -> dict[str, Outcome]:
        """An update that changes nothing on the wire (an address spelt in another way) is done as it stands."""
        full = Ready(ready.crm_object, ready.verb, [item for item in ready.sent if item.properties])
        done: dict[str, Outcome] = {s.trace: Done(ref_of(ready.crm_object, s.id), None, None) for s in empty}
        stored = await self._stored(ready.crm_object, [Rec(s.id) for s in empty])
        for item in empty:
            record = stored.get(item.id)
            if record is not None:
                done[item.trace] = Done(record.ref, record.version, record)
        return {**done, **(await self._batch(full) if full.sent else {})}

    async def _outcomes(self, ready: Ready, answer: Answer, batch: Batch) -> dict[str, Outcome]:
        """What a 200, 201 or 207 says of each item; of an item that it does not mention nobody knows."""
        request_id = _id(answer)
        outcomes: dict[str, Outcome] = {}
        for fault in batch.errors:
            outcomes.update(_faulty(fault, ready.sent, request_id))
        stored = await self._stored(ready.crm_object, batch.results)
        told = _matched(batch.results, ready.sent)
        for item in ready.sent:
            rec = told.get(item.trace)
            if rec is not None:
                record = stored.get(rec.id)
                version = record.version if record is not None else rec.updated_at
                outcomes[item.trace] = Done(ref_of(ready.crm_object, rec.id), version, record, request_id)
            elif item.trace not in outcomes:
                outcomes[item.trace] = InDoubt("HubSpot's answer does not speak of this record.", request_id)
        return outcomes

    async def _stored(self, crm_object: CrmObject, results: Sequence[Rec]) -> dict[str, AnyRecord]:
        """The records as HubSpot stored them. The answer to a write tells only some properties, so the rest is
        read; what the answer tells counts, as a person may have edited in between. If that read fails, nothing
        is told, and the write is done all the same."""
        shape = self._reader.shapes[crm_object.name]
        try:
            recs = await self._api.batch_read(crm_object, shape.names, [rec.id for rec in results])
            answered = {rec.id: rec.properties for rec in results}
            for rec in recs:
                rec.properties.update(answered.get(rec.id, {}))
            read = await self._reader.records(crm_object, recs)
        except ConnectorError:
            return {}
        return {object_of(shape.kind, record.ref)[1]: record for record in read.records}

    async def _whose_email(self, ready: Ready, error: ConnectorError) -> ConnectorError:
        """A whole batch of contacts is refused because one e-mail is taken, and the answer names only the record
        that has it: its e-mail tells whose item it is."""
        if not isinstance(error, Refused) or ready.crm_object is not CONTACT or len(ready.sent) == 1:
            return error
        taken = existing_id(error.message)
        try:
            found = await self._api.one(CONTACT, ("email",), taken) if taken is not None else None
        except ConnectorError:
            return error
        email = (found.properties.get("email") or "").casefold() if found is not None else ""
        traces = [s.trace for s in ready.sent if email != "" and s.properties.get("email", "").casefold() == email]
        if not traces:
            return error
        body = fault_of(error.answer) or Fault(message=error.message, code=error.code)
        named = msgspec.structs.replace(body, context={**body.context, "objectWriteTraceId": traces})
        answer = Answer(400, {}, msgspec.json.encode(named), error.request_id)
        return Refused(error.message, code=error.code, request_id=error.request_id, answer=answer)


def _id(answer: Answer) -> str | None:
    return answer.request_id


def _matched(results: Sequence[Rec], sent: Sequence[Sent]) -> dict[str, Rec]:
    """Trace id -> result: by trace id where the answer repeats it, else by id, else by marker."""
    by_key: Mapping[str, str] = {key: item.trace for item in sent for key in (item.trace, item.id)}
    found: dict[str, Rec] = {}
    for rec in results:
        for key in (rec.object_write_trace_id, rec.id, rec.properties.get(MARKER)):
            if key is not None and key in by_key:
                found[by_key[key]] = rec
                break
    return found


def _faulty(fault: Fault, sent: Sequence[Sent], request_id: str | None) -> dict[str, Outcome]:
    """The outcome of each item that an error of a 207 names."""
    traces = set(fault.told("objectWriteTraceId"))
    ids = {*fault.told("ids"), *fault.told("id")}
    named = [item for item in sent if item.trace in traces or (not traces and item.id in ids)]
    if fault.category in ("RATE_LIMITS", "RATE_LIMIT") or fault.error_type == "RATE_LIMIT":
        waiting = NotSent(fault.message, wait_s=10, request_id=request_id)
        return {item.trace: waiting for item in named}
    return {item.trace: denied(fault, item, request_id) for item in named}
