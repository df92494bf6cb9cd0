"""Webhook calls of both shapes."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.kit.contract import Event
from connectors.quickbooks.connector import QuickBooks

LEGACY = msgspec.json.encode({"eventNotifications": [{"realmId": "11", "dataChangeEvent": {"entities": [
    {"name": "Customer", "id": "1", "operation": "Create", "lastUpdated": "2015-10-05T14:42:19-0700"},
    {"name": "Vendor", "id": "2", "operation": "Create", "lastUpdated": "2015-10-05T14:42:19-0700"},
    {"name": "Customer", "id": "3", "operation": "Merge", "deletedId": "4",
     "lastUpdated": "2015-10-05T14:42:19-0700"},
]}}]})  # fmt: skip
CLOUD = msgspec.json.encode([
    {"specversion": "1.0", "id": "88cd52aa", "type": "qbo.invoice.voided.v1",
     "time": "2025-09-10T21:31:25.179453Z", "intuitentityid": "1234", "intuitaccountid": "11", "data": {}},
    {"specversion": "1.0", "id": "88cd52ab", "type": "qbo.creditmemo.emailed.v1", "time": "2025-09-10T21:31:25Z",
     "intuitentityid": "1235", "intuitaccountid": "12", "data": {}},
    {"specversion": "1.0", "id": "88cd52ac", "type": "qbo.account.created.v1", "intuitentityid": "1"},
])  # fmt: skip


def test_the_older_shape() -> None:
    """Kinds that we do not read are left out; a merge tells who survives."""
    at = datetime(2015, 10, 5, 21, 42, 19, tzinfo=UTC)
    stamp = "2015-10-05T14:42:19-0700"
    assert [
        Event(
            id=f"11.Customer.1.Create.{stamp}", account="11", kind=Kind.CUSTOMER, ref="1", what="created", at=at
        ),
        Event(
            id=f"11.Customer.4.Merge.{stamp}", account="11", kind=Kind.CUSTOMER, ref="4", what="merged", at=at,
            survivor="3",
        ),
    ] == QuickBooks.parse_webhook(LEGACY)  # fmt: skip


def test_cloud_events() -> None:
    """One call may hold several companies; an e-mailed document is an updated one."""
    assert [(each.id, each.account, each.kind, each.ref, each.what) for each in QuickBooks.parse_webhook(CLOUD)] == [
        ("88cd52aa", "11", Kind.INVOICE, "1234", "voided"),
        ("88cd52ab", "12", Kind.CREDIT_NOTE, "1235", "updated"),
    ]


@pytest.mark.parametrize("body", [b"", b"no json", b"7"])
def test_what_is_neither_shape_is_refused(body: bytes) -> None:
    """A ValueError, not an event and not a crash further on."""
    with pytest.raises(ValueError, match="webhook"):
        QuickBooks.parse_webhook(body)


def verified(body: bytes, signature: str, header: str = "intuit-signature", secret: str = "verifier") -> bool:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return QuickBooks.verify_webhook(
        secret=secret, method="POST", url="https://t.test/", headers={header: signature}, body=body, now=now
    )


def test_the_signature_is_over_the_raw_body() -> None:
    """The right one passes under any case of the header; another body, another secret and no header do not."""
    good = b64encode(digest(b"verifier", LEGACY, sha256)).decode()
    assert [
        verified(LEGACY, good),
        verified(LEGACY, good, header="Intuit-Signature"),
        verified(LEGACY + b" ", good),
        verified(LEGACY, good, secret="other"),
        verified(LEGACY, good, header="x-other"),
    ] == [True, True, False, False, False]
