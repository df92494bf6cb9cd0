"""The canonical records: what a CRM and the books both mean, free of any vendor's wire format.

A field that the system cannot tell is ABSENT; one that it knows to be empty is None. A `ref` points at a record
of the same connection. Amounts inside a document are Decimals in the document's currency.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.values import (
    ABSENT,
    Absent,
    Address,
    Discount,
    Money,
    Person,
    Price,
    TaxIdentity,
    Terms,
)

Day: TypeAlias = date  # documents have a field named `date`


class Kind(StrEnum):
    """What a record is. The value stands in tables, logs and mappings."""

    CUSTOMER = "customer"
    ITEM = "item"
    DEAL = "deal"
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    PAYMENT = "payment"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all records share. `ref` is "" until the system has named it; `version` is its etag, SyncToken or
    updated-at: a precondition for a write, never evidence that nothing changed. `marker` is ours, read back.
    `origin` says who made it, where the system tells. `source` is where a person finds it (a CSV file and row)."""

    ref: str = ""
    version: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    marker: str | None = None
    source: str | None = None
    properties: dict[str, str | None] = {}


class Customer(Record, frozen=True, kw_only=True, omit_defaults=True, tag="customer"):
    """An organisation or a person, with its people. `emails` by role general, billing, statements; `addresses` by
    role billing, shipping, registered. `display_name` is unique in the books and never travels."""

    is_person: bool = False
    active: bool = True
    legal_name: str | Absent | None = ABSENT
    display_name: str | Absent | None = ABSENT
    emails: dict[str, str | None] = {}
    phone: str | Absent | None = ABSENT
    website: str | Absent | None = ABSENT
    people: tuple[Person, ...] | Absent = ABSENT
    addresses: dict[str, Address | None] = {}
    tax_identity: TaxIdentity | Absent | None = ABSENT
    currency: str | Absent | None = ABSENT
    parent: str | Absent | None = ABSENT
    bill_to: str | Absent | None = ABSENT
    payment_terms: Terms | Absent | None = ABSENT
    credit_limit: Money | Absent | None = ABSENT
    on_hold: bool | Absent = ABSENT
    language: str | Absent | None = ABSENT
    notes: str | Absent | None = ABSENT
    owner: str | Absent | None = ABSENT
    receivable_account: str | Absent | None = ABSENT
    default_tax_code: str | Absent | None = ABSENT
    dimensions: dict[str, str] | Absent = ABSENT
    balance: Money | Absent | None = ABSENT
    overdue: Money | Absent | None = ABSENT
    unapplied: Money | Absent | None = ABSENT
    as_of: datetime | Absent | None = ABSENT


ItemKind = Literal["goods", "service", "shipping", "discount", "deposit", "expense"]


class Item(Record, frozen=True, kw_only=True, omit_defaults=True, tag="item"):
    """Something sold. `tax_class` is the class that the mapping's tax table speaks of (goods, service ...)."""

    active: bool = True
    name: str | Absent | None = ABSENT
    sku: str | Absent | None = ABSENT
    item_kind: ItemKind | Absent = ABSENT
    description: str | Absent | None = ABSENT
    unit: str | Absent | None = ABSENT
    price: Price | Absent | None = ABSENT
    income_account: str | Absent | None = ABSENT
    tax_class: str | Absent | None = ABSENT
    hsn_sac: str | Absent | None = ABSENT
    cost: Decimal | Absent | None = ABSENT


class DealLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a deal. `net` is qty x unit_price less discount where the CRM says it, else ABSENT."""

    key: str
    item: str | None = None
    item_name: str | None = None
    text: str | None = None
    qty: Decimal = Decimal(1)
    unit: str | None = None
    unit_price: Decimal = Decimal(0)
    net: Decimal | Absent = ABSENT
    currency: str | None = None
    includes_tax: bool = False
    discount: Discount | None = None
    tax_class: str | None = None
    service_from: date | None = None
    service_to: date | None = None
    dimensions: dict[str, str] = {}


PositionRole = Literal["deposit", "instalment", "milestone", "final", "extra", "credit", "reissue"]


class BillingStep(msgspec.Struct, frozen=True, kw_only=True):
    """One planned document of a deal: when, in what role, for how much (net)."""

    role: PositionRole
    planned_on: date
    net: Decimal


class Deal(Record, frozen=True, kw_only=True, omit_defaults=True, tag="deal"):
    """A sale in the CRM. `sold_to`, `bill_to`, `ship_to` are customer refs of the same connection.
    `won_at` is an instant where the CRM keeps one; `won_on` a date where it keeps only that. What the amount
    means (net, gross, tcv, lines) is the pair's word, not the record's."""

    name: str | Absent | None = ABSENT
    sold_to: str | Absent | None = ABSENT
    bill_to: str | Absent | None = ABSENT
    ship_to: str | Absent | None = ABSENT
    billing_contact: str | Absent | None = ABSENT
    owner: str | Absent | None = ABSENT
    status: Literal["open", "won", "lost", "reversed"] | Absent = ABSENT
    stage: str | Absent | None = ABSENT
    won_at: datetime | Absent | None = ABSENT
    won_on: date | Absent | None = ABSENT
    amount: Money | Absent | None = ABSENT
    lines: tuple[DealLine, ...] | Absent = ABSENT
    discount: Discount | Absent | None = ABSENT
    shipping: Decimal | Absent | None = ABSENT
    po_number: str | Absent | None = ABSENT
    payment_terms: Terms | Absent | None = ABSENT
    memo: str | Absent | None = ABSENT
    internal_note: str | Absent | None = ABSENT
    billing_plan: tuple[BillingStep, ...] | Absent = ABSENT


class TaxLine(msgspec.Struct, frozen=True, kw_only=True):
    """Tax of one rate on a document. `rate` in percent; `base` is the net it was computed on."""

    code: str
    rate: Decimal | None
    base: Decimal
    tax: Decimal
    decided_by: Literal["rule", "vendor"] = "vendor"


LineRole = Literal["item", "shipping", "discount", "deposit", "rounding", "charge", "text"]


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a document. `net` excludes tax and is what the line adds to the document's net; `position`
    names the billing position it stands for, where Tieout made it."""

    key: str = ""
    role: LineRole = "item"
    item: str | None = None
    item_name: str | None = None
    text: str | None = None
    qty: Decimal | None = None
    unit_price: Decimal | None = None
    net: Decimal = Decimal(0)
    tax_code: str | None = None
    discount: Discount | None = None
    service_from: date | None = None
    service_to: date | None = None
    income_account: str | None = None
    position: str | None = None
    dimensions: dict[str, str] = {}


class BillTo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The buyer as printed on a document: a snapshot, frozen at posting."""

    name: str | None = None
    address: Address | None = None
    tax_id: str | None = None
    email: str | None = None


class ExchangeRate(msgspec.Struct, frozen=True, kw_only=True):
    """Home currency units per one foreign unit, the books' rate of that day."""

    rate: Decimal
    source: str
    on: date


class Allocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a payment or credit settled of one invoice, in the document's currency. `amount` is cash or credit;
    `withheld`, `discount` and `written_off` settle without cash. A payment that itself names the credit note it
    brings to the invoice says so in `via`."""

    document: str
    amount: Decimal
    on: date | None = None
    withheld: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    written_off: Decimal = Decimal(0)
    via: str | None = None


DocumentState = Literal["draft", "pending_approval", "posted", "void"]
Origin = Literal["tieout", "person", "recurring", "import"]


class Document(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What invoices and credit notes share. `net + shipping + rounding` are inside `lines`; `total` is with tax.
    `balance` is what is still open today, by the books."""

    number: str | Absent | None = ABSENT
    series: str | Absent | None = ABSENT
    customer: str | Absent | None = ABSENT
    date: Day | Absent | None = ABSENT
    state: DocumentState | Absent = ABSENT
    currency: str | Absent | None = ABSENT
    exchange_rate: ExchangeRate | Absent | None = ABSENT
    prices_include_tax: bool = False
    lines: tuple[InvoiceLine, ...] | Absent = ABSENT
    net: Decimal | Absent | None = ABSENT
    taxes: tuple[TaxLine, ...] | Absent = ABSENT
    tax: Decimal | Absent | None = ABSENT
    total: Decimal | Absent | None = ABSENT
    home_total: Decimal | Absent | None = ABSENT
    balance: Decimal | Absent | None = ABSENT
    bill_to: BillTo | Absent | None = ABSENT
    memo: str | Absent | None = ABSENT
    internal_note: str | Absent | None = ABSENT
    dimensions: dict[str, str] | Absent = ABSENT
    origin: Origin | Absent = ABSENT


class Invoice(Document, frozen=True, kw_only=True, omit_defaults=True, tag="invoice"):
    """What the customer owes. The settlement fields are the books' word (B -> C)."""

    due_date: Day | Absent | None = ABSENT
    payment_terms: Terms | Absent | None = ABSENT
    po_number: str | Absent | None = ABSENT
    sales_rep: str | Absent | None = ABSENT
    sent_at: datetime | Absent | None = ABSENT
    emailed: bool | Absent = ABSENT
    fiscal_status: str | Absent | None = ABSENT
    period: Literal["open", "closed", "filed"] | Absent = ABSENT


class CreditNote(Document, frozen=True, kw_only=True, omit_defaults=True, tag="credit_note"):
    """What the company owes back. `allocations` say which invoices it has settled; `remaining` is free."""

    reason: str | Absent | None = ABSENT
    corrects: tuple[str, ...] | Absent = ABSENT
    allocations: tuple[Allocation, ...] | Absent = ABSENT
    remaining: Decimal | Absent | None = ABSENT


class Payment(Record, frozen=True, kw_only=True, omit_defaults=True, tag="payment"):
    """Money that came in. `amount` is cash in the payment's currency; `bank_charges` were kept by the bank."""

    customer: str | Absent | None = ABSENT
    date: Day | Absent | None = ABSENT
    amount: Money | Absent = ABSENT
    exchange_rate: ExchangeRate | Absent | None = ABSENT
    method: str | Absent | None = ABSENT
    reference: str | Absent | None = ABSENT
    deposit_account: str | Absent | None = ABSENT
    bank_charges: Decimal | Absent = ABSENT
    allocations: tuple[Allocation, ...] = ()
    unapplied: Decimal | Absent = ABSENT
    internal_note: str | Absent | None = ABSENT
    state: Literal["posted", "void"] = "posted"


AnyRecord = Customer | Item | Deal | Invoice | CreditNote | Payment

RECORD_TYPES: dict[Kind, type[AnyRecord]] = {
    Kind.CUSTOMER: Customer,
    Kind.ITEM: Item,
    Kind.DEAL: Deal,
    Kind.INVOICE: Invoice,
    Kind.CREDIT_NOTE: CreditNote,
    Kind.PAYMENT: Payment,
}

_KINDS: dict[type, Kind] = {cls: kind for kind, cls in RECORD_TYPES.items()}


def kind_of(record: AnyRecord) -> Kind:
    return _KINDS[type(record)]


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> bytes:
    """Canonical JSON of a record; ABSENT fields are left out. `decode(encode(r)) == r`."""
    return _encoder.encode(record)


def decode(data: bytes | str) -> AnyRecord:
    record: AnyRecord = _decoder.decode(data)
    return record
