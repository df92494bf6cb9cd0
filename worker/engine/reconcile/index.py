"""The ledger, looked up: which document stands for which position, at what rate, and what settled it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from connectors.canon.records import CreditNote, ExchangeRate, Invoice, Kind, Payment
from connectors.canon.values import Money, currency_places, to_places
from worker.engine.billing import Position
from worker.engine.reconcile.ledger import Header, Ledger, LedgerDeal
from worker.engine.settlement import Settlements, day, gather, is_live, known, text

ZERO = Decimal(0)
SMALL_UNITS = 5  # rounding: up to 0.05 a document


def within_working_days(start: date, end: date, limit: int, holidays: frozenset[date]) -> bool:
    """Whether at most `limit` working days (no Saturday, Sunday or holiday) lie after `start` up to `end`."""
    passed = 0
    for n in range(1, (end - start).days + 1):
        each = start + timedelta(days=n)
        passed += each.weekday() < 5 and each not in holidays
        if passed > limit:
            return False
    return True


def bill_positions(entry: LedgerDeal) -> tuple[Position, ...]:
    """The deal's positions; one of the whole for a deal that is held or history, so that it has a place."""
    if entry.positions or entry.net is None or entry.won_on is None:
        return entry.positions
    return (Position(deal=entry.deal.ref, seq=1, role="final", planned_on=entry.won_on, net=entry.net),)


class Index:
    """Look-ups over one ledger for one report. Reads only; every table is made once."""

    def __init__(self, ledger: Ledger, header: Header) -> None:
        self.ledger = ledger
        self.header = header
        self.period = header.period
        self.home = ledger.home_currency
        self.home_places = currency_places(ledger.home_currency)

    @cached_property
    def invoices(self) -> Mapping[str, Invoice]:
        return {invoice.ref: invoice for invoice in self.ledger.invoices}

    @cached_property
    def deals(self) -> Mapping[str, LedgerDeal]:
        return {entry.deal.ref: entry for entry in self.ledger.deals}

    @cached_property
    def settlements(self) -> Settlements:
        return gather(self.ledger.payments, self.ledger.credit_notes, self.ledger.kept)

    @cached_property
    def positions(self) -> Mapping[str, tuple[LedgerDeal, Position]]:
        return {p.key: (entry, p) for entry in self.deals.values() for p in bill_positions(entry)}

    @cached_property
    def documents(self) -> Mapping[str, tuple[Invoice, ...]]:
        """A position's invoices in the mirror, by generation, then date."""
        found: dict[str, list[tuple[int, date, str, Invoice]]] = defaultdict(list)
        for link in self.ledger.links:
            invoice = self.invoices.get(link.ref) if link.kind is Kind.INVOICE else None
            if invoice is not None:
                row = (link.generation, day(invoice.date) or date.max, invoice.ref, invoice)
                found[link.position].append(row)
        return {key: tuple(row[3] for row in sorted(rows, key=lambda row: row[:3])) for key, rows in found.items()}

    @cached_property
    def linked(self) -> Mapping[str, tuple[str, ...]]:
        """The positions that an invoice stands for."""
        found: dict[str, list[str]] = defaultdict(list)
        for link in self.ledger.links:
            if link.kind is Kind.INVOICE:
                found[link.ref].append(link.position)
        return {ref: tuple(keys) for ref, keys in found.items()}

    @cached_property
    def posted(self) -> tuple[Invoice, ...]:
        """Live invoices dated in the period."""
        return tuple(i for i in self.ledger.invoices if is_live(i) and self.period.holds(day(i.date)))

    def primary(self, position: str) -> Invoice | None:
        """The document that stands for a position: its first that is posted and not credited in full; its first, if
        all of them were."""
        live = [i for i in self.documents.get(position, ()) if is_live(i)]
        return next((i for i in live if not self.credited_in_full(i)), live[0] if live else None)

    def credited_in_full(self, invoice: Invoice) -> bool:
        """Whether credit notes took back all of an invoice: by allocation, by naming it, or as we made them."""
        if invoice.ref in self.credited:
            return True
        allocated = sum((row.credit for row in self.settlements.of(invoice.ref)), ZERO)
        named = sum((known(note.total) for note in self.corrections.get(invoice.ref, ())), ZERO)
        return max(allocated, named) >= known(invoice.total)

    @cached_property
    def credited(self) -> frozenset[str]:
        """The invoices that we credited in full."""
        return frozenset(link.ref for link in self.ledger.links if link.credited and link.kind is Kind.INVOICE)

    @cached_property
    def corrections(self) -> Mapping[str, tuple[CreditNote, ...]]:
        found: dict[str, list[CreditNote]] = defaultdict(list)
        for note in self.ledger.credit_notes:
            if is_live(note) and isinstance(note.corrects, tuple):
                for ref in note.corrects:
                    found[ref].append(note)
        return {ref: tuple(notes) for ref, notes in found.items()}

    # ------------------------------------------------------------------ money

    def currency(self, document: Invoice | CreditNote) -> str:
        return text(document.currency) or self.home

    def rate(self, document: Invoice | CreditNote) -> Decimal | None:
        """Home per unit of the document's currency: its own rate, what its home total says, or the ledger's."""
        currency = self.currency(document)
        if currency == self.home:
            return Decimal(1)
        if isinstance(document.exchange_rate, ExchangeRate):
            return document.exchange_rate.rate
        total = known(document.total)
        if isinstance(document.home_total, Decimal) and total != 0:
            return document.home_total / total
        return self.ledger.rates.get(currency)

    def payment_rate(self, payment: Payment) -> Decimal | None:
        if not isinstance(payment.amount, Money) or payment.amount.currency == self.home:
            return Decimal(1)
        if isinstance(payment.exchange_rate, ExchangeRate):
            return payment.exchange_rate.rate
        return self.ledger.rates.get(payment.amount.currency)

    def in_home(self, amount: Decimal, rate: Decimal) -> Decimal:
        return to_places(amount * rate, self.home_places)

    def position_rate(self, position: Position) -> Decimal | None:
        """The rate of the position's document, else of another document of its deal, else the ledger's."""
        if position.net.currency == self.home:
            return Decimal(1)
        entry = self.deals.get(position.deal)
        siblings = bill_positions(entry) if entry is not None else ()
        for key in (position.key, *(p.key for p in siblings)):
            document = self.primary(key)
            if document is not None:
                return self.rate(document)
        return self.ledger.rates.get(position.net.currency)

    # ------------------------------------------------------------------ names

    def deal_customer(self, entry: LedgerDeal) -> str:
        ref = text(entry.deal.bill_to) or text(entry.deal.sold_to) or ""
        return self.ledger.deal_customers.get(ref, ref)

    def customer(self, document: Invoice | CreditNote) -> str:
        ref = text(document.customer) or ""
        return self.ledger.customers.get(ref, ref)

    def age(self, on: date | None) -> int | None:
        return None if on is None else max(0, (self.header.as_of - on).days)

    def currencies(self) -> tuple[str, ...]:
        """Every currency in the report, the home currency first."""
        found = {self.currency(i) for i in self.ledger.invoices}
        found |= {p.net.currency for e in self.ledger.deals if self.period.holds(e.won_on) for p in bill_positions(e)}
        return (self.home, *sorted(found - {self.home}))


def deal_name(entry: LedgerDeal) -> str:
    return text(entry.deal.name) or entry.deal.ref


def number(document: Invoice | CreditNote) -> str:
    return text(document.number) or document.ref


def total(amounts: Iterator[Decimal] | Sequence[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
