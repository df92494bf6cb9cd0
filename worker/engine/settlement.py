"""What settled a document, from allocations: cash, credit, tax withheld, discount taken, written off.

Settled is more than paid: an invoice closed by a credit note brought no money. Balances as of a day are rebuilt
from the dates of the allocations, never from a vendor's `balance`, which is today's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import Allocation, CreditNote, Invoice, Payment
from connectors.canon.values import Money

ZERO = Decimal(0)
How: TypeAlias = Literal["payment", "credit_note"]
SettlementState: TypeAlias = Literal["not_invoiced", "open", "part_paid", "paid", "settled"]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What one payment or credit note settled of one invoice, in the invoice's currency. `cash` is what the
    customer paid, with the `bank_charge` that the bank kept of it."""

    document: str
    source: str
    how: How
    on: date | None
    cash: Decimal = ZERO
    credit: Decimal = ZERO
    withheld: Decimal = ZERO
    discount: Decimal = ZERO
    written_off: Decimal = ZERO
    bank_charge: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.cash + self.credit + self.withheld + self.discount + self.written_off


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say of a deal's live documents; goes back to the deal. `invoiced` is with tax and equals
    paid_cash + credited + withheld + discount + written_off + balance.

    state  not_invoiced | open | part_paid | paid (nothing left, no credit or write-off in it) | settled (nothing
           left, partly or wholly by credit or write-off)
    due_date    the earliest of the documents still open, else the latest
    settled_on  the day the last of them was closed; None while anything is open
    """

    invoiced: Money
    invoiced_net: Money
    paid_cash: Money
    credited: Money
    withheld: Money
    discount: Money
    written_off: Money
    balance: Money
    due_date: date | None
    settled_on: date | None
    state: SettlementState
    numbers: tuple[str, ...] = ()


def known(value: Decimal | msgspec.UnsetType | None) -> Decimal:
    """An amount that a record tells; zero where it tells none."""
    return ZERO if value is None or isinstance(value, msgspec.UnsetType) else value


def day(value: date | msgspec.UnsetType | None) -> date | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def text(value: str | msgspec.UnsetType | None) -> str | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def is_live(document: Invoice | CreditNote) -> bool:
    """Posted and not void: it counts in the books."""
    return document.state == "posted"


def _charged(payment: Payment) -> tuple[tuple[Allocation, Decimal], ...]:
    """Each allocation of cash with the bank charge in it. Where the allocations add up without the charges, the
    charges settled the largest one: the customer paid them."""
    own = [a for a in payment.allocations if a.via is None]
    charges = known(payment.bank_charges)
    if not own or charges == 0:
        return tuple((a, ZERO) for a in own)
    largest = max(range(len(own)), key=lambda n: own[n].amount)
    cash = payment.amount.amount if isinstance(payment.amount, Money) else ZERO
    if sum((a.amount for a in own), known(payment.unapplied)) == cash:
        own[largest] = msgspec.structs.replace(own[largest], amount=own[largest].amount + charges)
    return tuple((a, charges if n == largest else ZERO) for n, a in enumerate(own))


def _by_payment(payment: Payment) -> Iterable[Settled]:
    for allocation, charge in _charged(payment):
        yield Settled(
            document=allocation.document,
            source=payment.ref,
            how="payment",
            on=allocation.on or day(payment.date),
            cash=allocation.amount,
            withheld=allocation.withheld,
            discount=allocation.discount,
            written_off=allocation.written_off,
            bank_charge=charge,
        )


def _brought(payments: Iterable[Payment], told: set[tuple[str, str]]) -> Iterable[Settled]:
    """Credit that a payment brought to an invoice, unless the credit note tells of it itself."""
    for payment in payments:
        for a in payment.allocations:
            if a.via is None or (a.via, a.document) in told:
                continue
            on = a.on or day(payment.date)
            yield Settled(document=a.document, source=a.via, how="credit_note", on=on, credit=a.amount)


def _by_credit(note: CreditNote) -> Iterable[Settled]:
    for a in () if isinstance(note.allocations, msgspec.UnsetType) else note.allocations:
        on = a.on or day(note.date)
        yield Settled(
            document=a.document,
            source=note.ref,
            how="credit_note",
            on=on,
            credit=a.amount,
            withheld=a.withheld,
            discount=a.discount,
            written_off=a.written_off,
        )


class Settlements(msgspec.Struct, frozen=True):
    """All that was settled, looked up by invoice and by payment or credit note."""

    by_document: Mapping[str, tuple[Settled, ...]]
    by_source: Mapping[str, tuple[Settled, ...]]

    def of(self, document: str, on: date | None = None) -> tuple[Settled, ...]:
        """What settled an invoice, up to and including the day `on` (None: all)."""
        return tuple(s for s in self.by_document.get(document, ()) if on is None or s.on is None or s.on <= on)

    def by(self, source: str, on: date | None = None) -> tuple[Settled, ...]:
        """What a payment or credit note settled, up to and including the day `on` (None: all)."""
        return tuple(s for s in self.by_source.get(source, ()) if on is None or s.on is None or s.on <= on)


def gather(payments: Sequence[Payment], credit_notes: Sequence[CreditNote]) -> Settlements:
    """Every allocation of posted payments and live credit notes, each once."""
    live = [payment for payment in payments if payment.state == "posted"]
    rows = [row for note in credit_notes if is_live(note) for row in _by_credit(note)]
    rows += list(_brought(live, {(row.source, row.document) for row in rows}))
    rows += [row for payment in live for row in _by_payment(payment)]
    by_document: dict[str, list[Settled]] = defaultdict(list)
    by_source: dict[str, list[Settled]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.on or date.min, row.source)):
        by_document[row.document].append(row)
        by_source[row.source].append(row)
    return Settlements(
        {ref: tuple(found) for ref, found in by_document.items()},
        {ref: tuple(found) for ref, found in by_source.items()},
    )


def balance(invoice: Invoice, settlements: Settlements, on: date | None = None) -> Decimal:
    """What is open of an invoice at the end of the day `on`, in its currency."""
    return known(invoice.total) - sum((s.total for s in settlements.of(invoice.ref, on)), ZERO)


def _state(invoiced: int, balance_left: Decimal, rows: Sequence[Settled]) -> SettlementState:
    if not invoiced:
        return "not_invoiced"
    if balance_left > 0:
        return "part_paid" if any(row.total != 0 for row in rows) else "open"
    return "settled" if any(row.credit != 0 or row.written_off != 0 for row in rows) else "paid"


def _due(live: Sequence[Invoice], open_refs: set[str]) -> date | None:
    still_open = [due for i in live if i.ref in open_refs and (due := day(i.due_date)) is not None]
    if still_open:
        return min(still_open)
    return max((due for i in live if (due := day(i.due_date)) is not None), default=None)


def settle(
    documents: Sequence[Invoice], settlements: Settlements, currency: str, *, on: date | None = None
) -> Settlement:
    """What was invoiced, paid and settled of a deal's documents (those that are posted, in `currency`); with `on`,
    as of the end of that day. Write-backs use no day: what the books say now."""
    live = [i for i in documents if is_live(i) and (on is None or (day(i.date) or date.min) <= on)]
    rows = [row for invoice in live for row in settlements.of(invoice.ref, on)]
    left = {invoice.ref: balance(invoice, settlements, on) for invoice in live}
    total = sum(left.values(), ZERO)
    is_open = {ref for ref, amount in left.items() if amount > 0}
    last = max((row.on for row in rows if row.on is not None), default=None)

    def money(amounts: Iterable[Decimal]) -> Money:
        return Money(sum(amounts, ZERO), currency)

    return Settlement(
        invoiced=money(known(i.total) for i in live),
        invoiced_net=money(known(i.net) for i in live),
        paid_cash=money(row.cash for row in rows),
        credited=money(row.credit for row in rows),
        withheld=money(row.withheld for row in rows),
        discount=money(row.discount for row in rows),
        written_off=money(row.written_off for row in rows),
        balance=Money(total, currency),
        due_date=_due(live, is_open),
        settled_on=last if live and not is_open else None,
        state=_state(len(live), total, rows),
        numbers=tuple(number for i in live if (number := text(i.number)) is not None),
    )
