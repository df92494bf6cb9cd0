"""QuickBooks' faults: found in JSON of either key case, in XML, and inside answers with status 200; and what each
means for a write.

Sources: developer.intuit.com, error codes; IntuitBaseTypes.xsd (Fault); captures named in README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import ParseError

import msgspec
from defusedxml import ElementTree  # type: ignore[import-untyped]  # ships no types
from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # ships no types

from connectors.canon.records import Kind
from connectors.kit.contract import Denied, InDoubt, Moved, NotSent, Outcome
from connectors.kit.errors import ConnectorError, Doubtful, NotAllowed, Reconnect, TryLater
from connectors.kit.http import Answer, Explanation
from connectors.quickbooks.vendor import THROTTLE_WAIT_S


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One error as QuickBooks says it. `code` without leading zeros ("003200" and "3200" are the same)."""

    code: str
    message: str
    detail: str = ""
    element: str = ""
    type: str = ""

    @property
    def said(self) -> str:
        """QuickBooks' own words, once."""
        detail = " ".join(self.detail.split()).removesuffix(": null").strip()
        return detail if detail not in ("", self.message) else self.message


STALE, DUPLICATE_NAME, DUPLICATE_NUMBER = "5010", "6240", "6140"
_LOGIN_GONE = frozenset({"3200", "270"})
_APP_REFUSED = frozenset({"3100", "120", "6190"})
_THROTTLED = frozenset({"3001"})
# "An application error has occurred while processing your request": QuickBooks itself failed, and says nothing
# about whether before or after saving.
_BROKEN = frozenset({"10000"})

# What a person reads, for the codes we know; QuickBooks' own words follow.
MEANING: dict[str, str] = {
    "610": "Something that this names does not exist in QuickBooks any more, or was made inactive.",
    "2010": "QuickBooks does not know a field that was sent.",
    "2020": "QuickBooks misses a field that it needs.",
    "2040": "The name holds a character that QuickBooks refuses (a colon, a tab or a new line).",
    "2050": "A text is longer than QuickBooks takes.",
    "2500": "This names something that QuickBooks does not have.",
    "5010": "Somebody changed it in QuickBooks in the meantime.",
    "6000": "QuickBooks refuses this by a business rule.",
    "6070": "An amount is not its quantity times its price.",
    "6140": "The document number is already used in QuickBooks.",
    "6190": "The QuickBooks subscription has ended or does not allow this.",
    "6210": "The books are closed for that date.",
    "6240": "The name is already used by a customer, vendor or employee in QuickBooks, perhaps an inactive one.",
    "6480": "Another transaction is linked to it, and QuickBooks does not let it go.",
}

# Which canonical field is to blame.
_FIELD: dict[str, str] = {
    "2040": "display_name",
    "6070": "lines",
    "6140": "number",
    "6210": "date",
    "6240": "display_name",
}
_ELEMENT: dict[str, str] = {
    "DisplayName": "display_name",
    "CustomerRef": "customer",
    "DocNumber": "number",
    "SalesTermRef": "payment_terms",
    "TxnDate": "date",
    "Line": "lines",
    "ItemRef": "lines",
    "TaxCodeRef": "lines",
    "IncomeAccountRef": "income_account",
    "CurrencyRef": "currency",
}


def faults_in(data: Any) -> list[Fault]:
    """The faults of a decoded JSON object: `Fault` or the gateway's lower-case `fault`."""
    if not isinstance(data, Mapping):
        return []
    fault = _either(data, "Fault", "fault")
    if not isinstance(fault, Mapping):
        return []
    kind = str(_either(fault, "type", "Type") or "")
    errors = _either(fault, "Error", "error")
    return [_fault(each, kind) for each in errors or () if isinstance(each, Mapping)]


def _either(data: Mapping[str, Any], first: str, second: str) -> Any:
    return data.get(first) if data.get(first) is not None else data.get(second)


def _fault(error: Mapping[str, Any], kind: str) -> Fault:
    return Fault(
        code=str(_either(error, "code", "Code") or "").lstrip("0"),
        message=str(_either(error, "Message", "message") or ""),
        detail=str(_either(error, "Detail", "detail") or ""),
        element=str(error.get("element") or ""),
        type=kind,
    )


def faults_in_xml(body: bytes) -> list[Fault]:
    """The faults of an XML answer, which comes where the Accept header got lost. [] if it is no XML of ours."""
    try:
        root = ElementTree.fromstring(body)
    except (ParseError, DefusedXmlException, ValueError):
        return []
    found = []
    for fault in root.iter():
        if _tag(fault) == "Fault":
            kind = fault.get("type") or ""
            found += [_xml_fault(error, kind) for error in fault if _tag(error) == "Error"]
    return found


def _tag(node: Any) -> str:
    return str(node.tag).rpartition("}")[2]


def _xml_fault(error: Any, kind: str) -> Fault:
    said = {_tag(child): child.text or "" for child in error}
    return Fault(
        code=(error.get("code") or "").lstrip("0"),
        message=said.get("Message", ""),
        detail=said.get("Detail", ""),
        element=error.get("element") or "",
        type=kind,
    )


def faults_of(answer: Answer) -> list[Fault]:
    """All faults of a whole answer."""
    if answer.body.lstrip()[:1] == b"<":
        return faults_in_xml(answer.body)
    try:
        return faults_in(answer.json())
    except Doubtful:
        return []


def explain(answer: Answer) -> Explanation | None:
    """What an error answer, or a fault inside a 200, says and what happens next."""
    faults = faults_of(answer)
    if faults:
        return explained(faults[0], answer.status)
    if answer.status == 429:
        return Explanation(message="QuickBooks asks to slow down.", next="wait", wait_s=THROTTLE_WAIT_S)
    return None


def explained(fault: Fault, status: int) -> Explanation:
    message, code = sentence(fault), fault.code or None
    if status == 429 or fault.code in _THROTTLED:
        return Explanation(message=message, code=code, next="wait", wait_s=THROTTLE_WAIT_S)
    if fault.code in _APP_REFUSED or fault.type.casefold().startswith("authorizat"):
        return Explanation(message=message, code=code, next="allow")
    if status >= 500 or is_broken(fault):
        return Explanation(message=message, code=code, next="doubt")
    if status == 401 or fault.code in _LOGIN_GONE or fault.type.casefold().startswith("authentication"):
        return Explanation(message=message, code=code, next="reconnect")
    return Explanation(message=message, code=code, next="refuse")


def is_broken(fault: Fault) -> bool:
    """QuickBooks failed by itself: it may have saved or not."""
    return fault.code in _BROKEN or fault.type.casefold() in ("systemfault", "service")


def sentence(fault: Fault) -> str:
    """What a person reads: what it means, then QuickBooks' own words."""
    meaning = MEANING.get(fault.code)
    if meaning is None:
        return fault.said or f"QuickBooks refuses this (code {fault.code})."
    return f"{meaning} ({fault.said})" if fault.said else meaning


_HOLDER = re.compile(r"TxnType=(\w+) with TxnId=(\d+)")


def outcome_of(fault: Fault, kind: Kind, request_id: str | None) -> Outcome:
    """What a fault means for the one write that it answers."""
    message = sentence(fault)
    if fault.code == STALE:
        return Moved(request_id=request_id)
    if fault.code in _THROTTLED:
        return NotSent(message, "wait", THROTTLE_WAIT_S, request_id)
    if fault.code in _LOGIN_GONE:
        return NotSent(message, "reconnect", None, request_id)
    if fault.code in _APP_REFUSED:
        return NotSent(message, "allow", None, request_id)
    if is_broken(fault):
        return InDoubt(message, request_id)
    return Denied(message, fault.code or None, field_of(fault, kind), existing_of(fault, kind), request_id)


def field_of(fault: Fault, kind: Kind) -> str | None:
    """The canonical field that is to blame, where it can be told."""
    if fault.code in (DUPLICATE_NAME, "2040") and kind is Kind.ITEM:
        return "name"
    element = fault.element.rpartition(".")[2]
    return _FIELD.get(fault.code) or _ELEMENT.get(element)


def existing_of(fault: Fault, kind: Kind) -> str | None:
    """The document that already has the number: the fault names it."""
    found = _HOLDER.search(fault.detail)
    wanted = {Kind.INVOICE: "Invoice", Kind.CREDIT_NOTE: "CreditMemo"}.get(kind)
    return found.group(2) if found is not None and found.group(1) == wanted else None


def outcome_of_error(error: ConnectorError, kind: Kind) -> Outcome:
    """What an error of the whole call means for each write in it."""
    match error:
        case Doubtful():
            return InDoubt(error.message, error.request_id)
        case TryLater():
            return NotSent(error.message, "wait", error.wait_s, error.request_id)
        case Reconnect():
            return NotSent(error.message, "reconnect", None, error.request_id)
        case NotAllowed():
            return NotSent(error.message, "allow", None, error.request_id)
    answer = getattr(error, "answer", None)
    faults = faults_of(answer) if isinstance(answer, Answer) else []
    if faults:
        return outcome_of(faults[0], kind, error.request_id)
    return Denied(error.message, error.code, None, None, error.request_id)
