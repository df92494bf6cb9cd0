"""Writes: one batch, or one plain call; an outcome for each. Nothing is ever sent twice from here.

Sources: developer.intuit.com, batch; invoice and payment (create, sparse update, delete, void, send).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from connectors.canon.records import AnyRecord, Kind, kind_of
from connectors.kit.contract import Act, Create, Denied, Done, InDoubt, NotSent, Outcome, Update, Write
from connectors.kit.errors import ConnectorError, NotAllowed, Reconnect
from connectors.kit.table import Unreadable
from connectors.quickbooks.api import Api
from connectors.quickbooks.bodies import create_body, update_body
from connectors.quickbooks.company import Company
from connectors.quickbooks.faults import faults_in, outcome_of, outcome_of_error
from connectors.quickbooks.fields import Reading, is_void, record_from
from connectors.quickbooks.fitting import Body, Unfit
from connectors.quickbooks.vendor import ENTITY, REQUEST_ID_LENGTH
from connectors.quickbooks.wire import Wire, part, text


def not_sent(error: ConnectorError) -> NotSent:
    """What it means for a write that something before it failed: surely nothing was sent."""
    match error:
        case Reconnect():
            return NotSent(error.message, "reconnect", None, error.request_id)
        case NotAllowed():
            return NotSent(error.message, "allow", None, error.request_id)
    return NotSent(error.message, "wait", error.wait_s, error.request_id)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """One write, ready for the wire. `operation` as a batch calls it; `options` its optionsData."""

    kind: Kind
    operation: str
    body: Body
    options: str | None = None

    @property
    def entity(self) -> str:
        return ENTITY[self.kind]


def request_id(key: str) -> str:
    """The `requestid` of a call: the key if QuickBooks takes it (50 letters and digits), else its digest."""
    if len(key) <= REQUEST_ID_LENGTH and key.isalnum():
        return key
    return sha256(key.encode()).hexdigest()[:32]


def prepared(write: Write, company: Company) -> Prepared:
    """What is sent for a write. Raises Unfit if QuickBooks cannot take it."""
    match write:
        case Create():
            return Prepared(
                kind=kind_of(write.record),
                operation="create",
                body=create_body(write.record, write.marker, company),
            )
        case Update():
            body = update_body(write.kind, write.after, company) | {"sparse": True}
            return Prepared(kind=write.kind, operation="update", body=body | _version(write.ref, write.version))
    return _act(write)


def _version(ref: str, version: str | None) -> Body:
    if version is None:
        raise Unfit("version", "QuickBooks wants to know which version this changes; read the record first.")
    return {"Id": ref, "SyncToken": version}


def _act(act: Act) -> Prepared:
    """Name lists are made inactive, since they cannot be deleted. A void inside a batch is an update with the
    option "void" (docs, batch); it is sent sparse, so that it empties nothing if the option should get lost."""
    body = _version(act.ref, act.version)
    match act.operation:
        case "archive":
            return Prepared(kind=act.kind, operation="update", body=body | {"sparse": True, "Active": False})
        case "void":
            return Prepared(kind=act.kind, operation="update", body=body | {"sparse": True}, options="void")
        case "delete":
            return Prepared(kind=act.kind, operation="delete", body=body)
        case "send":
            return Prepared(kind=act.kind, operation="send", body=body)
    raise Unfit("operation", f"QuickBooks cannot {act.operation} this.")


class Writer:
    """Sends what is prepared and reads each answer. `reading` is what the translation has to know."""

    def __init__(self, api: Api, company: Company, reading: Reading) -> None:
        self._api = api
        self._company = company
        self._reading = reading

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        """An outcome for each write, in order. What QuickBooks cannot take is denied here and not sent."""
        outcomes: dict[int, Outcome] = {}
        ready: dict[int, Prepared] = {}
        for number, write in enumerate(writes):
            try:
                ready[number] = prepared(write, self._company)
            except Unfit as unfit:
                outcomes[number] = Denied(unfit.reason, None, unfit.field)
        if len(ready) > 1 and not any(each.operation == "send" for each in ready.values()):
            outcomes |= await self._batch(ready, key)
        else:
            outcomes |= await self._one_by_one(ready, key)
        return [outcomes[number] for number in range(len(writes))]

    async def _one_by_one(self, ready: dict[int, Prepared], key: str) -> dict[int, Outcome]:
        """Plain calls: a single write, or e-mails, which no batch sends. After a doubt nothing more is sent."""
        outcomes: dict[int, Outcome] = {}
        for number, each in ready.items():
            if any(isinstance(outcome, InDoubt | NotSent) for outcome in outcomes.values()):
                outcomes[number] = NotSent("an earlier one of these is not settled yet", "wait")
                continue
            outcomes[number] = await self._single(each, key if len(ready) == 1 else f"{key}{number:02d}")
        return outcomes

    async def _single(self, each: Prepared, key: str) -> Outcome:
        path, params, body = plain_call(each)
        try:
            data, request = await self._api.post(
                path,
                body,
                params | {"requestid": request_id(key)},
                operation=f"{each.options or each.operation} {each.entity}",
                octets=each.operation == "send",
            )
        except ConnectorError as error:
            return outcome_of_error(error, each.kind)
        return self.outcome(each, data, request)

    async def _batch(self, ready: dict[int, Prepared], key: str) -> dict[int, Outcome]:
        items = [batch_item(str(number), each) for number, each in ready.items()]
        try:
            answers, request = await self._api.batch(items, request_id(key))
        except ConnectorError as error:
            return {number: outcome_of_error(error, each.kind) for number, each in ready.items()}
        lost = InDoubt("QuickBooks' answer to the batch leaves this one out", request)
        return {
            number: self.outcome(each, answers[str(number)], request) if str(number) in answers else lost
            for number, each in ready.items()
        }

    def outcome(self, each: Prepared, data: Wire, request: str | None) -> Outcome:
        """What one answer means: a fault, the stored record, or nothing that can be read."""
        faults = faults_in(data)
        if faults:
            return outcome_of(faults[0], each.kind, request)
        stored = part(data, each.entity)
        ref = text(stored, "Id")
        if ref is None:
            return InDoubt("QuickBooks' answer names no record", request)
        if each.operation == "delete":
            return Done(ref, None, None, request)
        if each.options == "void" and not is_void(stored) and stored.get("status") != "Voided":
            return InDoubt("QuickBooks answered a void with a record that is not void", request)
        return Done(ref, text(stored, "SyncToken"), self._read(each.kind, stored), request)

    def _read(self, kind: Kind, stored: Wire) -> AnyRecord | None:
        """The record as stored; None if it cannot be read, which the next poll reports."""
        try:
            return record_from(kind, stored, self._reading)
        except (Unreadable, KeyError, ValueError, TypeError, ArithmeticError):
            return None


def plain_call(each: Prepared) -> tuple[str, dict[str, str], Any]:
    """(path, parameters, body) of a write outside a batch."""
    path = f"/{each.entity.lower()}"
    if each.operation == "send":
        return f"{path}/{each.body['Id']}/send", {}, None
    if each.operation == "delete":
        return path, {"operation": "delete"}, each.body
    if each.options == "void":
        body = {name: each.body[name] for name in ("Id", "SyncToken")}
        if each.kind is Kind.PAYMENT:
            return path, {"operation": "update", "include": "void"}, body | {"sparse": True}
        return path, {"operation": "void"}, body
    return path, {}, each.body


def batch_item(number: str, each: Prepared) -> dict[str, Any]:
    item: dict[str, Any] = {"bId": number, "operation": each.operation, each.entity: each.body}
    return item | ({"optionsData": each.options} if each.options is not None else {})
