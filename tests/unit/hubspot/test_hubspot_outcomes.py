"""HubSpot's error bodies and what they mean."""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.hubspot.fields import shape_of
from connectors.hubspot.outcomes import Sent, bad_values, existing_id, explain, of_error, refused_batch
from connectors.hubspot.vendor import COMPANY, CONTACT
from connectors.hubspot.wire import Fault
from connectors.kit.contract import Denied, InDoubt, NotSent
from connectors.kit.errors import Doubtful, NotAllowed, Reconnect, Refused, TryLater
from connectors.kit.http import Answer

NOT_VALID = (
    'Property values were not valid: [{"isValid":false,"message":"red was not one of the allowed options: [blue]",'
    '"error":"INVALID_OPTION","name":"colour","localizedErrorMessage":"red was not one of the allowed options"}]'
)
COMPANY_SHAPE = shape_of(COMPANY)


def answer(status: int, body: Any) -> Answer:
    return Answer(status, {}, body if isinstance(body, bytes) else msgspec.json.encode(body), "r1")


def sent(trace: str, **properties: str) -> Sent:
    return Sent(trace, COMPANY_SHAPE, trace.removeprefix("w"), properties)


def test_a_rolling_limit_waits_ten_seconds_and_a_search_one() -> None:
    """429 bodies have no category, and no Retry-After is promised."""
    rolling = explain(
        answer(429, {"message": "limit", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"})
    )
    search = explain(answer(429, {"message": "limit", "policyName": "SECONDLY"}))
    assert rolling is not None
    assert search is not None
    assert (rolling.next, rolling.wait_s) == ("wait", 10.0)
    assert (search.next, search.wait_s) == ("wait", 1.0)


def test_locked_and_moving_accounts_wait() -> None:
    """423 for two seconds, 477 for what the header says."""
    locked, moving = explain(answer(423, {"message": "locked"})), explain(answer(477, {"message": "moving"}))
    assert locked is not None
    assert moving is not None
    assert (locked.next, locked.wait_s) == ("wait", 2.0)
    assert (moving.next, moving.wait_s) == ("wait", None)


def test_missing_scopes_are_named() -> None:
    """A person reads which right to give."""
    body = {
        "message": "This app hasn't been granted all required scopes",
        "category": "MISSING_SCOPES",
        "errors": [{"message": "x", "context": {"requiredGranularScopes": ["crm.objects.deals.write"]}}],
    }
    found = explain(answer(403, body))
    assert found is not None
    assert found.next == "allow"
    assert "crm.objects.deals.write" in found.message


def test_a_body_that_cannot_be_read_explains_nothing() -> None:
    """The table of verdicts stands."""
    assert explain(answer(502, b"<html>")) is None
    assert explain(answer(200, {"message": "fine"})) is None
    assert explain(answer(207, {"status": "COMPLETE", "message": "x"})) is None


def test_the_list_in_the_message_is_read() -> None:
    """Which property, which code, and words for a person."""
    (value,) = bad_values(NOT_VALID)
    assert (value.name, value.error) == ("colour", "INVALID_OPTION")
    assert bad_values("Property values were not valid: [oops]") == []


def test_the_existing_record_is_read_from_the_words() -> None:
    """Both ways in which HubSpot names it."""
    assert existing_id("Contact already exists. Existing ID: 6001") == "6001"
    assert existing_id("Cannot set PropertyValueCoordinates{x} on 11. 6002 already has that value.") == "6002"
    assert existing_id("nothing") is None


def test_a_contact_that_exists_is_named_with_its_type() -> None:
    """A 409 tells whom to link instead."""
    item = Sent("w0", shape_of(CONTACT), "m", {"email": "a@x.test"})
    (outcome,) = refused_batch(Fault("Contact already exists. Existing ID: 6001", category="CONFLICT"), [item], "r1")
    assert outcome == Denied(
        "Contact already exists. Existing ID: 6001", code="CONFLICT", existing="contact:6001", request_id="r1"
    )


def test_only_the_item_whose_value_is_named_is_denied() -> None:
    """A whole batch was refused: the bad one is denied with its field, the others go again at once."""
    items = [sent("w0", colour="blue"), sent("w1", colour="red"), sent("w2", name="x")]
    outcomes = refused_batch(Fault(NOT_VALID, category="VALIDATION_ERROR"), items, None)
    assert [type(o) for o in outcomes] == [NotSent, Denied, NotSent]
    assert isinstance(outcomes[1], Denied)
    assert (outcomes[1].field, outcomes[1].code) == ("properties.colour", "INVALID_OPTION")
    assert isinstance(outcomes[0], NotSent)
    assert (outcomes[0].next, outcomes[0].wait_s) == ("wait", 0)


def test_all_carriers_are_denied_where_the_value_is_not_quoted() -> None:
    """Without a value to go by, whoever carries the property is denied; nobody is sent round for ever."""
    fault = Fault('Property values were not valid: [{"name":"nope","message":"does not exist","error":"X"}]')
    outcomes = refused_batch(fault, [sent("w0", nope="1"), sent("w1", nope="2"), sent("w2", name="x")], None)
    assert [type(o) for o in outcomes] == [Denied, Denied, NotSent]


def test_a_refusal_that_names_nobody_is_sought_in_smaller_batches() -> None:
    """Nobody can say whose fault it is, so the good ones are not denied with the bad one; sent alone it is clear."""
    fault = Fault("Invalid input JSON")
    outcomes = refused_batch(fault, [sent("w0"), sent("w1")], None)
    assert [NotSent("Invalid input JSON", next="fewer")] * 2 == outcomes
    assert [Denied("Invalid input JSON")] == refused_batch(fault, [sent("w0")], None)


def test_saboteur_sparing_everybody_would_send_the_batch_for_ever() -> None:
    """The check above turns red for a reading that lets everybody go again as they are."""
    spared = [NotSent("Invalid input JSON", wait_s=0)] * 2
    assert spared != refused_batch(Fault("Invalid input JSON"), [sent("w0"), sent("w1")], None)


def test_trace_ids_and_ids_name_items() -> None:
    """By the trace id that we sent, or by the record's id."""
    items = [sent("w0", name="a"), sent("w1", name="b")]
    by_trace = refused_batch(Fault("no", context={"objectWriteTraceId": ["w1"]}), items, None)
    by_id = refused_batch(Fault("no", context={"ids": ["0"]}), items, None)
    assert [type(o) for o in by_trace] == [NotSent, Denied]
    assert [type(o) for o in by_id] == [Denied, NotSent]


def test_the_field_that_a_person_knows_is_named() -> None:
    """`city` is part of the billing address, `name` the legal name."""
    assert COMPANY_SHAPE.field_of("city") == "addresses.billing"
    assert COMPANY_SHAPE.field_of("name") == "legal_name"
    assert COMPANY_SHAPE.field_of("vat_id") == "properties.vat_id"
    assert shape_of(CONTACT).field_of("email") == "emails.general"


def test_each_error_has_its_outcome() -> None:
    """Reconnect, wait, allow, doubt: for every item of the call."""
    items = [sent("w0"), sent("w1")]
    assert of_error(Reconnect("x"), items) == [NotSent("x", next="reconnect")] * 2
    assert of_error(NotAllowed("x"), items) == [NotSent("x", next="allow")] * 2
    assert of_error(TryLater("x", wait_s=3), items) == [NotSent("x", wait_s=3)] * 2
    assert of_error(Doubtful("x", request_id="r"), items) == [InDoubt("x", request_id="r")] * 2
    assert of_error(Refused("x"), items) == [NotSent("x", next="fewer")] * 2
    assert [type(o) for o in of_error(Refused("x"), items[:1])] == [Denied]
