"""The pretend vendor's own postings, and the figures it computes from them. Records are not looked at again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.records import Allocation, CreditNote, Invoice, Kind, Payment
from connectors.canon.values import ABSENT, Money, currency_places, to_places
from connectors.kit.contract import Ageing, Count, Figures

Source: TypeAlias = tuple[Kind, str]
Posted: TypeAlias = Invoice | CreditNote | Payment
_ZERO = Decimal(0)
_BUCKETS = ((0, "not_due"), (30, "days_1_30"), (60, "days_31_60"), (90, "days_61_90"))


class Posting(msgspec.Struct, frozen=True):
    """One entry on accounts receivable. `document` is whose open amount it changes, `amount` in that document's
    currency, `home` in home currency at the document's rate."""

    on: date
    customer: str
    document: str
    amount: Decimal
    home: Decimal


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the vendor counts of a document. `amount` is in the document's currency."""

    on: date
    customer: str
    currency: str
    rate: Decimal
    net: Decimal
    total: Decimal
    due: date | None
    void: bool


class Ledger:
    """Accounts receivable. Posting a record again replaces what it had posted."""

    def __init__(self, home_currency: str) -> None:
        self.home_currency = home_currency
        self._postings: dict[Source, tuple[Posting, ...]] = {}
        self._headers: dict[Source, Header] = {}
        self._on_document: dict[str, dict[Source, Decimal]] = {}

    def copy(self) -> Ledger:
        twin = Ledger(self.home_currency)
        twin._postings = dict(self._postings)
        twin._headers = dict(self._headers)
        twin._on_document = {ref: dict(sources) for ref, sources in self._on_document.items()}
        return twin

    def open_amount(self, document: str) -> Decimal:
        """What is still open of an invoice today (negative for a credit or a payment that is not used up)."""
        return sum(self._on_document.get(document, {}).values(), _ZERO)

    def touched_by(self, source: Source) -> set[str]:
        """The documents whose open amount this record's postings change."""
        return {posting.document for posting in self._postings.get(source, ())}

    def settled_by(self, document: str) -> set[Source]:
        """The other records that settled something of a document."""
        return {source for source in self._on_document.get(document, {}) if source[1] != document}

    def post(self, source: Source, record: Posted) -> None:
        """Put a record's postings in place of those it had. Drafts and voided records post nothing."""
        self.drop(source)
        if record.state in ("draft", "pending_approval"):
            return
        header = self._header(record)
        self._headers[source] = header
        if header.void:
            return
        postings = tuple(self._payment(record) if isinstance(record, Payment) else self._document(record, header))
        self._postings[source] = postings
        for posting in postings:
            sums = self._on_document.setdefault(posting.document, {})
            sums[source] = sums.get(source, _ZERO) + posting.amount

    def drop(self, source: Source) -> None:
        for posting in self._postings.pop(source, ()):
            self._on_document.get(posting.document, {}).pop(source, None)
        self._headers.pop(source, None)

    def _header(self, record: Posted) -> Header:
        money = record.amount if isinstance(record, Payment) else None
        currency = money.currency if isinstance(money, Money) else getattr(record, "currency", None)
        total = money.amount if isinstance(money, Money) else getattr(record, "total", _ZERO)
        exchange = record.exchange_rate
        due = record.due_date if isinstance(record, Invoice) else None
        return Header(
            on=record.date or date.min,
            customer=record.customer or "",
            currency=currency or self.home_currency,
            rate=exchange.rate if exchange is not ABSENT and exchange is not None else Decimal(1),
            net=getattr(record, "net", _ZERO) or _ZERO,
            total=total or _ZERO,
            due=due or None,
            void=record.state == "void",
        )

    def _document(self, record: Invoice | CreditNote, header: Header) -> Iterator[Posting]:
        sign = 1 if isinstance(record, Invoice) else -1
        amount = sign * header.total
        yield Posting(header.on, header.customer, record.ref, amount, self._home(amount, header))
        if isinstance(record, CreditNote) and record.allocations is not ABSENT:
            for allocation in record.allocations:
                yield from self._move(record.ref, allocation, header)

    def _payment(self, record: Payment) -> Iterator[Posting]:
        header = self._header(record)
        charges = record.bank_charges if record.bank_charges is not ABSENT else _ZERO
        spent = sum((a.amount for a in record.allocations if a.via is None), _ZERO)
        free = header.total + charges - spent
        yield Posting(header.on, header.customer, record.ref, -free, self._home(-free, header))
        for allocation in record.allocations:
            if allocation.via is not None:
                yield from self._move(allocation.via, allocation, header)
            else:
                yield self._settle(allocation, header)

    def _settle(self, allocation: Allocation, header: Header) -> Posting:
        settled = allocation.amount + allocation.withheld + allocation.discount + allocation.written_off
        invoice = self._headers.get((Kind.INVOICE, allocation.document), header)
        home = self._home(-settled, invoice)
        return Posting(allocation.on or header.on, header.customer, allocation.document, -settled, home)

    def _move(self, credit: str, allocation: Allocation, header: Header) -> Iterator[Posting]:
        on = allocation.on or header.on
        amount = allocation.amount
        yield Posting(on, header.customer, credit, amount, self._home(amount, header))
        yield self._settle(allocation, header)

    def _home(self, amount: Decimal, header: Header) -> Decimal:
        return to_places(amount * header.rate, currency_places(self.home_currency))

    def figures(self, start: date, end: date) -> Figures:
        """Control balance and ageing as of `end`, counts and net of `start` to `end`, both days included."""
        upto = [p for postings in self._postings.values() for p in postings if p.on <= end]
        return Figures(
            as_of=end,
            home_currency=self.home_currency,
            receivable_control=sum((p.home for p in upto), _ZERO),
            ageing=self._ageing(upto, end),
            counts=tuple(self._count(kind, start, end) for kind in (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)),
            invoiced_net=self._invoiced_net(start, end),
            source="postings",
        )

    def _within(self, kind: Kind, start: date, end: date) -> list[Header]:
        return [h for (k, _), h in self._headers.items() if k is kind and start <= h.on <= end]

    def _count(self, kind: Kind, start: date, end: date) -> Count:
        headers = self._within(kind, start, end)
        live = [h for h in headers if not h.void]
        return Count(
            kind=kind,
            number=len(live),
            voided=len(headers) - len(live),
            total=Money(sum((self._home(h.total, h) for h in live), _ZERO), self.home_currency),
            net=None
            if kind is Kind.PAYMENT
            else Money(sum((self._home(h.net, h) for h in live), _ZERO), self.home_currency),
        )

    def _invoiced_net(self, start: date, end: date) -> dict[str, Decimal]:
        net: dict[str, Decimal] = defaultdict(Decimal)
        for header in self._within(Kind.INVOICE, start, end):
            if not header.void:
                net[header.currency] += header.net
        return dict(net)

    def _ageing(self, postings: list[Posting], end: date) -> tuple[Ageing, ...]:
        open_by: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for posting in postings:
            open_by[posting.customer, posting.document] += posting.home
        rows: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for (customer, document), amount in open_by.items():
            rows[customer]["total"] += amount
            invoice = self._headers.get((Kind.INVOICE, document))
            if invoice is not None:
                rows[customer][_bucket(invoice, end)] += amount
        return tuple(
            Ageing(customer=customer, **{"total": _ZERO, **columns})
            for customer, columns in sorted(rows.items())
            if any(amount != 0 for amount in columns.values())
        )


def _bucket(invoice: Header, end: date) -> str:
    late = (end - (invoice.due or invoice.on)).days
    return next((name for upto, name in _BUCKETS if late <= upto), "over_90")
