"""HubSpot's webhook calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.hubspot import HubSpot
from connectors.hubspot.webhooks import decoded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "app-secret"
URL = "https://bot.test/hooks/hubspot?a=%3Ax%26"
BODY = b'[{"eventId":1}]'


def signed(url: str = URL, body: bytes = BODY, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    """Headers as the documentation says they are made, from the parts."""
    stamp = str(int(at.timestamp() * 1000))
    plain = url.replace("%3A", ":")
    mac = hmac.new(secret.encode(), b"POST" + plain.encode() + body + stamp.encode(), hashlib.sha256)
    return {
        "X-HubSpot-Signature-v3": base64.b64encode(mac.digest()).decode(),
        "X-HubSpot-Request-Timestamp": stamp,
    }


def verified(headers: dict[str, str], **changed: Any) -> bool:
    call: dict[str, Any] = {"secret": SECRET, "method": "POST", "url": URL, "body": BODY, "now": NOW, **changed}
    return HubSpot.verify_webhook(headers=headers, **call)


def test_a_call_of_hubspot_is_believed() -> None:
    """Headers in any case."""
    assert verified(signed()) is True
    assert verified({name.lower(): value for name, value in signed().items()}) is True


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": "other"},
        {"method": "PUT"},
        {"url": "https://evil.test/hooks/hubspot?a=%3Ax%26"},
        {"body": b'[{"eventId":2}]'},
        {"now": NOW + timedelta(minutes=5, seconds=1)},
        {"now": NOW - timedelta(minutes=5, seconds=1)},
    ],
)
def test_anything_changed_is_not(changed: dict[str, Any]) -> None:
    """Secret, method, address, body and age all count."""
    assert verified(signed(), **changed) is False


def test_missing_headers_are_no_error() -> None:
    """A stranger's call is simply not HubSpot's."""
    assert verified({}) is False
    assert verified({"X-HubSpot-Request-Timestamp": "soon", "X-HubSpot-Signature-v3": "x"}) is False


def test_only_the_listed_escapes_are_written_out() -> None:
    """Twelve are decoded before signing, all others stay."""
    assert decoded("%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B") == ":/?@!$'()*,;"
    assert decoded("%20%26%3D%25%3a") == "%20%26%3D%25:"


def test_events_name_records_and_carry_no_values() -> None:
    """Created, changed, deleted; contacts with their type; what we do not follow is left out."""
    body = msgspec.json.encode(
        [
            {"eventId": 1, "portalId": 62515, "subscriptionType": "company.creation", "objectId": 12, "occurredAt": 0},
            {"eventId": 2, "portalId": 62515, "subscriptionType": "contact.propertyChange", "objectId": 51},
            {"eventId": 3, "portalId": 62515, "subscriptionType": "deal.deletion", "objectId": 7},
            {"eventId": 4, "portalId": 62515, "subscriptionType": "ticket.creation", "objectId": 8},
            {
                "eventId": 5,
                "portalId": 62515,
                "subscriptionType": "object.creation",
                "objectTypeId": "0-7",
                "objectId": 9,
            },
            {"eventId": 6, "portalId": 62515, "subscriptionType": "line_item.deletion", "objectId": 10},
        ]
    )
    assert [(e.kind, e.ref, e.what) for e in HubSpot.parse_webhook(body)] == [
        (Kind.CUSTOMER, "12", "created"),
        (Kind.CUSTOMER, "contact:51", "updated"),
        (Kind.DEAL, "7", "deleted"),
        (Kind.ITEM, "9", "created"),
        (Kind.DEAL, "line_item:10", "updated"),
    ]


def test_a_merge_moves_the_old_ids_to_the_survivor() -> None:
    """Since 2025 the survivor may have an id of its own."""
    body = msgspec.json.encode(
        [
            {
                "eventId": 1,
                "portalId": 62515,
                "subscriptionType": "company.merge",
                "primaryObjectId": 1,
                "mergedObjectIds": [2],
                "newObjectId": 3,
            }
        ]
    )
    assert [(e.ref, e.what, e.survivor) for e in HubSpot.parse_webhook(body)] == [
        ("1", "merged", "3"),
        ("2", "merged", "3"),
        ("3", "updated", None),
    ]


def test_the_same_delivery_twice_is_one_event() -> None:
    """The attempt is no part of an event's id, the record is."""
    first = {"eventId": 1, "portalId": 1, "subscriptionType": "deal.creation", "objectId": 7, "attemptNumber": 0}
    again, other = {**first, "attemptNumber": 1}, {**first, "objectId": 8}
    ids = [e.id for e in HubSpot.parse_webhook(msgspec.json.encode([first, again, other]))]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"<html>"])
def test_what_is_no_array_of_events_is_none(body: bytes) -> None:
    """Nothing is marked dirty by nonsense."""
    assert HubSpot.parse_webhook(body) == []
