"""How the pretend vendor stores what it is sent: trimmed, rounded, numbered, taxed and added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import (
    AnyRecord,
    CreditNote,
    Deal,
    ExchangeRate,
    Invoice,
    InvoiceLine,
    Item,
    Kind,
    Payment,
    TaxLine,
    kind_of,
)
from connectors.canon.values import ABSENT, Money, Price, currency_places, to_places
from connectors.kit.contract import Denied
from connectors.memory.vendor import NAME_OF, Knobs

_ZERO = Decimal(0)
_CUSTOMER_AT: dict[Kind, str] = {Kind.INVOICE: "customer", Kind.CREDIT_NOTE: "customer", Kind.PAYMENT: "customer"}


def shaped(record: AnyRecord, knobs: Knobs) -> AnyRecord:
    """The record as this vendor keeps it: the same record for default knobs, but for what documents add up to."""
    if knobs.trims:
        record = _trimmed(record)
    if knobs.places is not None:
        record = _rounded(record, knobs.places)
    if isinstance(record, Invoice | CreditNote):
        record = _added_up(record, knobs)
    if isinstance(record, Payment):
        record = _with_free(record)
    return record


def complaint(record: AnyRecord, knobs: Knobs, known_customer: Callable[[str], bool]) -> Denied | None:
    """What this vendor has against a record, other than a name that is taken; None: nothing."""
    kind = kind_of(record)
    name_at = NAME_OF.get(kind)
    if name_at is not None and not (_text(record, name_at) or "").strip():
        return Denied("A name is required.", code="required", field=name_at)
    customer_at = _CUSTOMER_AT.get(kind)
    if customer_at is not None and not known_customer(_text(record, customer_at) or ""):
        return Denied("There is no such customer.", code="unknown_customer", field=customer_at)
    if isinstance(record, Invoice | CreditNote):
        return _document_complaint(record, knobs)
    return None


def _document_complaint(record: Invoice | CreditNote, knobs: Knobs) -> Denied | None:
    if record.state == "draft" and not knobs.drafts:
        return Denied("Documents cannot be saved as drafts.", code="no_drafts", field="state")
    if record.date is ABSENT or record.date is None:
        return Denied("A date is required.", code="required", field="date")
    if knobs.locked_until is not None and record.date <= knobs.locked_until:
        return Denied(f"The period is closed until {knobs.locked_until}.", code="period_closed", field="date")
    currency = _currency(record, knobs)
    if currency != knobs.home_currency and _exchange(record, currency, knobs) is None:
        return Denied(f"There is no rate for {currency}.", code="no_rate", field="exchange_rate")
    if record.lines is not ABSENT:
        unknown = {line.tax_code for line in record.lines} - {None} - set(knobs.tax_rates)
        if unknown:
            return Denied(f"There is no tax code {min(map(str, unknown))}.", code="unknown_tax", field="lines")
    return None


def _text(record: AnyRecord, path: str) -> str | None:
    value = read(record, path)
    return value if isinstance(value, str) else None


def _trimmed(record: AnyRecord) -> AnyRecord:
    texts = {name: value.strip() for name, value in msgspec.structs.asdict(record).items() if isinstance(value, str)}
    return msgspec.structs.replace(record, **texts)


def _rounded(record: AnyRecord, places: int) -> AnyRecord:
    changes: dict[str, Any] = {}
    if isinstance(record, Deal | Payment) and isinstance(record.amount, Money):
        changes["amount"] = Money(to_places(record.amount.amount, places), record.amount.currency)
    if isinstance(record, Item) and isinstance(record.price, Price):
        changes["price"] = msgspec.structs.replace(record.price, amount=to_places(record.price.amount, places))
    if isinstance(record, Invoice | CreditNote) and record.lines is not ABSENT:
        lines = [msgspec.structs.replace(line, net=to_places(line.net, places)) for line in record.lines]
        changes["lines"] = tuple(lines)
    return msgspec.structs.replace(record, **changes) if changes else record


def _currency(record: Invoice | CreditNote, knobs: Knobs) -> str:
    return record.currency if isinstance(record.currency, str) else knobs.home_currency


def _exchange(record: Invoice | CreditNote, currency: str, knobs: Knobs) -> ExchangeRate | None:
    if isinstance(record.exchange_rate, ExchangeRate):
        return record.exchange_rate
    rate = knobs.rates.get(currency)
    if rate is None or record.date is ABSENT or record.date is None:
        return None
    return ExchangeRate(rate=rate, source="books", on=record.date)


def _added_up(record: Invoice | CreditNote, knobs: Knobs) -> Invoice | CreditNote:
    currency = _currency(record, knobs)
    changes: dict[str, Any] = {"currency": currency}
    if record.state is ABSENT:
        changes["state"] = "posted"
    if record.lines is not ABSENT:
        taxes = _taxes(record.lines, knobs.tax_rates, currency_places(currency))
        changes |= _sums(record.lines, taxes)
    if currency != knobs.home_currency:
        changes["exchange_rate"] = _exchange(record, currency, knobs)
    return msgspec.structs.replace(record, **changes)


def _taxes(lines: tuple[InvoiceLine, ...], rates: Mapping[str, Decimal], places: int) -> tuple[TaxLine, ...]:
    bases: dict[str, Decimal] = {}
    for line in lines:
        if line.tax_code is not None:
            bases[line.tax_code] = bases.get(line.tax_code, _ZERO) + line.net
    return tuple(
        TaxLine(code=code, rate=rates[code], base=base, tax=to_places(base * rates[code] / 100, places))
        for code, base in bases.items()
    )


def _sums(lines: tuple[InvoiceLine, ...], taxes: tuple[TaxLine, ...]) -> dict[str, Any]:
    net = sum((line.net for line in lines), _ZERO)
    tax = sum((line.tax for line in taxes), _ZERO)
    return {"net": net, "taxes": taxes, "tax": tax, "total": net + tax}


def _with_free(record: Payment) -> Payment:
    charges = record.bank_charges if record.bank_charges is not ABSENT else _ZERO
    spent = sum((a.amount for a in record.allocations if a.via is None), _ZERO)
    cash = record.amount.amount if isinstance(record.amount, Money) else _ZERO
    return msgspec.structs.replace(record, unapplied=cash + charges - spent)
