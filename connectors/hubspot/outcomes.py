"""What HubSpot's error bodies mean: pure. Shapes and codes are in README.md, each with its source."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from connectors.hubspot.fields import Shape, ref_of
from connectors.hubspot.wire import Fault
from connectors.kit.contract import Denied, InDoubt, NotSent, Outcome
from connectors.kit.errors import ConnectorError, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import Answer, Explanation

_fault = msgspec.json.Decoder(Fault)
_EXISTING = re.compile(r"Existing ID: (\d+)|(\d+) already has that value")
_COORDINATES = re.compile(r"PropertyValueCoordinates\{.*?propertyName=(\w+)")
_NOT_VALID = re.compile(r"Property values were not valid: (\[.*\])", re.DOTALL)
_WAITS_S = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0, "DAILY": 3600.0}
_LOCKED_S = 2.0


class BadValue(msgspec.Struct, frozen=True):
    """One entry of `Property values were not valid: [...]`."""

    name: str | None = None
    error: str | None = None
    message: str = ""


_bad_values = msgspec.json.Decoder(list[BadValue])


class Sent(msgspec.Struct, frozen=True):
    """One write of a batch as it was sent: its trace id and its properties."""

    trace: str
    shape: Shape
    id: str
    properties: dict[str, str]


def fault_of(answer: Answer) -> Fault | None:
    """The error body, or None if there is none that can be read."""
    try:
        return _fault.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def explain(answer: Answer) -> Explanation | None:
    """What an answer says that the table of verdicts cannot know."""
    if answer.status < 400:
        return None
    fault = fault_of(answer)
    if fault is None or fault.message == "":
        return None
    if answer.status == 429:
        wait_s = _WAITS_S.get((fault.policy_name or "").upper(), 10.0)
        return Explanation(message=fault.message, code=fault.policy_name, next="wait", wait_s=wait_s)
    if answer.status == 423:
        return Explanation(message=fault.message, code=fault.name, next="wait", wait_s=_LOCKED_S)
    if answer.status == 477:
        return Explanation(message=fault.message, code=fault.name, next="wait")
    if fault.category == "MISSING_SCOPES":
        return Explanation(message=_missing_scopes(fault), code=fault.category, next="allow")
    return Explanation(message=reason(fault), code=code_of(fault))


def _missing_scopes(fault: Fault) -> str:
    scopes = [scope for error in fault.errors for scope in error.told("requiredGranularScopes")]
    return f"HubSpot wants these scopes: {', '.join(scopes)}" if scopes else fault.message


def bad_values(message: str) -> list[BadValue]:
    """The properties that a message calls invalid, with why."""
    found = _NOT_VALID.search(message)
    if found is None:
        return []
    try:
        return _bad_values.decode(found.group(1))
    except msgspec.DecodeError:
        return []


def named_properties(fault: Fault) -> list[BadValue]:
    """Which properties an error names: in the list in its message, else in its context or details."""
    listed = bad_values(fault.message)
    if listed:
        return listed
    names = [(fault, name) for name in (*fault.told("propertyName"), *fault.told("name"))]
    names += [(fault, name) for name in _COORDINATES.findall(fault.message)]
    names += [(detail, name) for detail in fault.errors for name in detail.told("propertyName")]
    return [BadValue(name, where.name, where.message) for where, name in names]


def reason(fault: Fault) -> str:
    """The vendor's words for a person: of the property that is wrong, if one is named."""
    listed = [value for value in bad_values(fault.message) if value.message != ""]
    return "; ".join(f"{v.name}: {v.message}" if v.name else v.message for v in listed) or fault.message


def code_of(fault: Fault) -> str | None:
    listed = named_properties(fault)
    return next((value.error for value in listed if value.error is not None), fault.name)


def existing_id(text: str) -> str | None:
    """The id of the record that already has a unique value."""
    found = _EXISTING.search(text)
    return (found.group(1) or found.group(2)) if found is not None else None


def denied(fault: Fault, item: Sent, request_id: str | None) -> Denied:
    """The vendor's no to one item."""
    listed = named_properties(fault)
    mine = next((value for value in listed if value.name in item.properties), None)
    existing = existing_id(fault.message)
    return Denied(
        reason=reason(fault),
        code=code_of(fault),
        field=item.shape.field_of(mine.name) if mine is not None and mine.name is not None else None,
        existing=ref_of(item.shape.object, existing) if existing is not None else None,
        request_id=request_id,
    )


def refused_batch(fault: Fault, items: Sequence[Sent], request_id: str | None) -> list[Outcome]:
    """A whole batch was refused and nothing of it written: the items the error names are denied, the others were
    not sent and may go again at once. If nobody is named, they go again in smaller batches until the one that is to
    blame stands alone."""
    blamed = _blamed(fault, items)
    if not blamed and len(items) > 1:
        return [NotSent(reason(fault), next="fewer", request_id=request_id)] * len(items)
    if not blamed:
        return [denied(fault, item, request_id) for item in items]
    spared = NotSent("HubSpot refused the batch because of another record.", wait_s=0, request_id=request_id)
    return [denied(fault, item, request_id) if item.trace in blamed else spared for item in items]


def _blamed(fault: Fault, items: Sequence[Sent]) -> set[str]:
    """The trace ids of the items an error speaks of: by trace id, by id, by property and quoted value, and at
    last by property alone."""
    faults = (fault, *fault.errors)
    traces = {trace for f in faults for trace in f.told("objectWriteTraceId")}
    ids = {id_ for f in faults for key in ("ids", "id", "objectId") for id_ in f.told(key)}
    by_name = {item.trace for item in items if item.trace in traces or item.id in ids}
    if by_name:
        return by_name
    carriers: dict[str, BadValue] = {}
    for value in named_properties(fault):
        carriers.update({item.trace: value for item in items if value.name in item.properties})
    quoted = {item.trace for item in items if _quotes(carriers.get(item.trace), item)}
    return quoted or set(carriers)


def _quotes(value: BadValue | None, item: Sent) -> bool:
    if value is None or value.name is None:
        return False
    sent = item.properties[value.name]
    said = value.message.partition("allowed options")[0]  # behind it stand the values that are right
    return sent != "" and re.search(rf"(?<!\w){re.escape(sent)}(?!\w)", said) is not None


def of_error(error: ConnectorError, items: Sequence[Sent]) -> list[Outcome]:
    """An outcome for each item of a call that raised."""
    request_id = error.request_id
    match error:
        case Reconnect():
            return [NotSent(error.message, next="reconnect", request_id=request_id)] * len(items)
        case NotAllowed():
            return [NotSent(error.message, next="allow", request_id=request_id)] * len(items)
        case TryLater():
            return [NotSent(error.message, wait_s=error.wait_s, request_id=request_id)] * len(items)
        case Refused():
            return _of_refusal(error, items)
    return [InDoubt(error.message, request_id=request_id)] * len(items)


def _of_refusal(error: Refused, items: Sequence[Sent]) -> list[Outcome]:
    answer: Answer | None = getattr(error, "answer", None)
    fault = fault_of(answer) if answer is not None else None
    if fault is None:
        fault = Fault(message=error.message, code=error.code)
    return refused_batch(fault, items, error.request_id)
