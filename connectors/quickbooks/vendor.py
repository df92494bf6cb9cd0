"""QuickBooks Online's facts: hosts, limits, lengths, fault codes. Each with its source; README.md has the doubts.

Sources, by short name:
    docs     https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/<entity>
    limits   https://developer.intuit.com/app/developer/qbo/docs/learn/limits-and-throttles
    query    https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries
    cdc      https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/changedatacapture
    xsd      Finance.xsd of Intuit's .NET SDK (Apache-2.0)
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import PACE, Facts, KindFacts, OAuth, Operation, Replay, Setting

SYSTEM: Final = "quickbooks"
PRODUCTION: Final = "https://quickbooks.api.intuit.com"
AUTHORIZE_URL: Final = "https://appcenter.intuit.com/connect/oauth2"
TOKEN_URL: Final = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105  an address, no secret
SCOPE: Final = "com.intuit.quickbooks.accounting"
REQUEST_ID_HEADER: Final = "intuit_tid"

# Versions 1-74 were switched off on 1 August 2025; a lower or missing value is taken as 75 (docs, minor versions).
MINOR_VERSION: Final = "75"

ENTITY: Final[dict[Kind, str]] = {
    Kind.CUSTOMER: "Customer",
    Kind.ITEM: "Item",
    Kind.INVOICE: "Invoice",
    Kind.CREDIT_NOTE: "CreditMemo",
    Kind.PAYMENT: "Payment",
}
KIND: Final[dict[str, Kind]] = {entity: kind for kind, entity in ENTITY.items()}

# Rows that a query leaves out when they are inactive, unless it names Active (query). They cannot be hard-deleted.
NAME_LISTS: Final = frozenset({"Customer", "Item", "Account", "Term", "Vendor", "Employee", "TaxCode", "TaxRate"})

PAGE: Final = 1000  # rows of one query at most (query)
BATCH: Final = 30  # items of one batch at most (docs, batch); an older page says 10
READ_BY_ID: Final = 200  # ids in one IN list: our choice, it keeps the address far below 8 kB
NAMES_IN_QUERY: Final = 30  # quoted values in one IN list: our choice, for the same reason
CDC_OBJECTS: Final = 1000  # objects in one change-data-capture answer, all kinds together (cdc)
LOOK_BACK: Final = timedelta(days=30)  # how far change data capture sees (cdc)
LOOK_BACK_MARGIN: Final = timedelta(hours=12)  # so that a cursor does not run out between the check and the call
OVERLAP: Final = timedelta(seconds=30)  # our choice: the second's resolution and a late commit; 600 creates at most
MARK_FRESH_S: Final = 60.0  # a response's time serves as a mark for so long

CALLS_PER_SECOND: Final = (10, 1.0)  # per company and app (limits)
CALLS_PER_MINUTE: Final = (500, 60.0)  # per company (limits)
BATCHES_PER_MINUTE: Final = (40, 60.0)  # per company and app (limits)
REALTIME_SHARE: Final = Decimal("0.2")  # of each limit is kept for those who wait
CALL_DEADLINE_S: Final = 125.0  # QuickBooks gives up after 120 s with 504 (limits)
THROTTLE_WAIT_S: Final = 60.0  # after 429, which has no dependable Retry-After (limits)

REQUEST_ID_LENGTH: Final = 50

# Longest values, in characters (docs, each entity; where they and the comments in the xsd differ: the docs).
LENGTH: Final[dict[str, int]] = {
    "DisplayName": 500,
    "CompanyName": 100,
    "Notes": 2000,
    "PrivateNote": 4000,
    "DocNumber": 21,
    "PONumber": 15,
    "CustomerMemo": 1000,
    "Description": 4000,
    "Name": 100,
    "Sku": 100,
    "FreeFormNumber": 30,
    "Address": 100,
    "PaymentRefNum": 21,
    "PostalCode": 30,
    "City": 255,
    "Line": 500,
    "URI": 1000,
}

# The item that stands for shipping; valid where SalesFormsPrefs.AllowShipping is on (docs, invoice).
SHIPPING_ITEM: Final = "SHIPPING_ITEM_ID"

# US companies mark a line taxable or not; the rate is the document's (docs, invoice).
US_TAXABLE: Final = "TAX"
US_EXEMPT: Final = "NON"

# Where our marker stands in a private note, and what our markers look like when one is a document's number.
NOTE_MARKER: Final = re.compile(r"\s*\[tieout ([A-Za-z0-9_.-]+)\]")
NUMBER_MARKER: Final = re.compile(r"T-[A-Z2-7]{14}")
VOIDED: Final = re.compile(r"\s*voided\b[\s:.-]*", re.IGNORECASE)

# The settings-independent facts of each kind.
CUSTOMER_WRITABLE: Final = frozenset(
    {
        "legal_name",
        "display_name",
        "phone",
        "website",
        "notes",
        "active",
        "payment_terms",
        "emails.general",
        "addresses.billing",
        "addresses.shipping",
        "tax_identity",
        "default_tax_code",
        "parent",
    }
)
ITEM_WRITABLE: Final = frozenset(
    {"name", "sku", "description", "price", "income_account", "tax_class", "cost", "active"}
)
# Not the internal note: our marker stands in it, and an update that does not know it would wipe it out.
INVOICE_WRITABLE: Final = frozenset({"due_date", "memo", "po_number"})
CREDIT_WRITABLE: Final = frozenset({"memo"})

_REPLAY = Replay(memory_s=0, scope="company")


def _kind(*operations: Operation, marker: str | None = None, writable: frozenset[str] = frozenset()) -> KindFacts:
    return KindFacts(
        operations=frozenset(operations),
        page=PAGE,
        batch_read=READ_BY_ID,
        batch_write=BATCH,
        repeat=_REPLAY,
        marker=marker,
        lands_within_s=CALL_DEADLINE_S,
        optimistic_lock=True,
        rounding="document",
        delta="time",
        overlap_s=OVERLAP.total_seconds(),
        writable=writable,
    )


FACTS: Final = Facts(
    system=SYSTEM,
    title="QuickBooks",
    sides=frozenset({"books"}),
    logins=(
        OAuth(
            authorize_url=AUTHORIZE_URL,
            token_url=TOKEN_URL,
            scopes=(SCOPE,),
            account_param="realmId",
            account_setting="realm_id",
            rotates=True,
            basic_auth=True,
        ),
    ),
    settings=(
        Setting("realm_id", "The company's id; it comes with the login (realmId)."),
        Setting("base_url", "Where QuickBooks answers.", PRODUCTION),
        Setting("token_url", "Where tokens are renewed.", TOKEN_URL),
        Setting("authorize_url", "Where a person logs in.", AUTHORIZE_URL),
        Setting("page", "Rows of one query, at most 1000.", str(PAGE)),
        Setting("batch", "Writes of one batch, at most 30; 10 where QuickBooks refuses more.", str(BATCH)),
        PACE,
    ),
    kinds={
        Kind.CUSTOMER: _kind("create", "update", "archive", writable=CUSTOMER_WRITABLE),
        Kind.ITEM: _kind("create", "update", "archive", writable=ITEM_WRITABLE),
        Kind.INVOICE: _kind(
            "create", "update", "void", "delete", "send", marker="PrivateNote", writable=INVOICE_WRITABLE
        ),
        # Made unapplied: a payment of zero, which is a call of its own, brings it to its invoice (docs, payment).
        Kind.CREDIT_NOTE: msgspec.structs.replace(
            _kind("create", "update", "delete", "send", marker="PrivateNote", writable=CREDIT_WRITABLE),
            credits_invoices=False,
        ),
        Kind.PAYMENT: _kind("create", "void", "delete", marker="PrivateNote"),
    },
    rates=(CALLS_PER_SECOND, CALLS_PER_MINUTE),
    batch_rate=BATCHES_PER_MINUTE,
    call_deadline_s=CALL_DEADLINE_S,
)
