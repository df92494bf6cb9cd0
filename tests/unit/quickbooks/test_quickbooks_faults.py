"""Faults, wherever they stand, and what each means for a write."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.kit.contract import Denied, InDoubt, Moved, NotSent
from connectors.kit.errors import Doubtful, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import Answer
from connectors.quickbooks.faults import Fault, explain, faults_of, outcome_of, outcome_of_error

DUPLICATE = {"Fault": {"Error": [{"Message": "Duplicate Name Exists Error", "Detail": "The name supplied already "
             "exists. : null", "code": "6240", "element": ""}], "type": "ValidationFault"}}  # fmt: skip
GATEWAY = {"warnings": None, "fault": {"error": [{"message": "message=AuthenticationFailed; errorCode=003200",
           "detail": "Token expired", "code": "3200", "element": None}], "type": "AUTHENTICATION"}}  # fmt: skip
XML = (
    b'<?xml version="1.0"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3" time="2026-01-01">'
    b'<Fault type="ValidationFault"><Error code="006240" element="DisplayName"><Message>Duplicate</Message>'
    b"<Detail>taken</Detail></Error></Fault></IntuitResponse>"
)


def answer(status: int, body: Any) -> Answer:
    return Answer(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body), "tid-1")


def fault(code: str, detail: str = "", kind: str = "ValidationFault") -> Fault:
    return Fault(code=code, message="Message", detail=detail, type=kind)


@pytest.mark.parametrize(
    ("status", "body", "code"), [(400, DUPLICATE, "6240"), (401, GATEWAY, "3200"), (400, XML, "6240")]
)
def test_each_shape_is_read(status: int, body: Any, code: str) -> None:
    """Upper-case and lower-case keys and XML say the same."""
    assert [code] == [each.code for each in faults_of(answer(status, body))]


@pytest.mark.parametrize(
    ("status", "body", "next_"),
    [
        (400, DUPLICATE, "refuse"),
        (200, DUPLICATE, "refuse"),
        (401, GATEWAY, "reconnect"),
        (403, {"Fault": {"Error": [{"code": "003100"}], "type": "AuthorizatonFault"}}, "allow"),
        (429, {"Fault": {"Error": [{"code": "003001"}], "type": "ThrottleExceeded"}}, "wait"),
        (429, b"", "wait"),
        (500, {"Fault": {"Error": [{"code": "10000"}], "type": "SystemFault"}}, "doubt"),
    ],
)
def test_what_happens_next(status: int, body: Any, next_: str) -> None:
    """Each answer says what comes next, a fault inside a 200 too."""
    found = explain(answer(status, body))
    assert found is not None
    assert next_ == found.next


def test_a_good_answer_explains_nothing() -> None:
    """Neither a record nor a batch with single faults is a fault of the whole."""
    batch = {"BatchItemResponse": [{"bId": "1", **DUPLICATE}], "time": "2026-01-01"}
    assert [explain(answer(200, body)) for body in ({"Customer": {}}, batch, b"%PDF")] == [None, None, None]


def test_an_xml_bomb_is_no_fault() -> None:
    """Entities are not expanded."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Fault>&a;</Fault>'
    assert faults_of(answer(400, bomb)) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("5010", Moved),
        ("6240", Denied),
        ("610", Denied),
        ("6210", Denied),
        ("3001", NotSent),
        ("3200", NotSent),
        ("10000", InDoubt),
    ],
)
def test_a_fault_of_one_item_is_its_outcome(code: str, expected: type) -> None:
    """Stale is Moved, throttled and logged out are NotSent, QuickBooks' own failure is doubt, the rest a no."""
    assert isinstance(outcome_of(fault(code), Kind.CUSTOMER, "tid"), expected)


def test_a_denial_says_which_field_and_who_has_it() -> None:
    """A taken number names the invoice that has it; a taken name is the item's or the customer's."""
    detail = "This number has already been used. DocNumber=1037 is assigned to TxnType=Invoice with TxnId=145"
    number = outcome_of(fault("6140", detail), Kind.INVOICE, "tid")
    other = outcome_of(fault("6140", detail), Kind.CREDIT_NOTE, "tid")
    names = [outcome_of(fault("6240"), kind, None) for kind in (Kind.CUSTOMER, Kind.ITEM)]
    assert isinstance(number, Denied)
    assert isinstance(other, Denied)
    assert (number.field, number.existing, other.existing) == ("number", "145", None)
    assert [each.field for each in names if isinstance(each, Denied)] == ["display_name", "name"]


def test_an_error_of_the_call_is_an_outcome_of_each_write() -> None:
    """Lost is doubt; throttled, logged out and forbidden were surely not sent; a stale version moved."""
    stale = answer(400, {"Fault": {"Error": [{"code": "5010", "Message": "Stale"}], "type": "ValidationFault"}})
    made = [
        outcome_of_error(error, Kind.INVOICE)
        for error in (
            Doubtful("lost"),
            TryLater("slow", wait_s=60),
            Reconnect("gone"),
            NotAllowed("no"),
            Refused("stale", answer=stale),
        )
    ]
    assert [InDoubt, NotSent, NotSent, NotSent, Moved] == [type(each) for each in made]
    assert [each.next for each in made if isinstance(each, NotSent)] == ["wait", "reconnect", "allow"]
