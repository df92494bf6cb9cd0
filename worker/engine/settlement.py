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
from msgspec.structs import replace

from connectors.canon.fields import folded
from connectors.canon.records import Allocation, CreditNote, Invoice, InvoiceLine, Payment
from connectors.canon.values import Money

ZERO = Decimal(0)
How: TypeAlias = Literal["payment", "credit_note"]
Kept: TypeAlias = Literal["withheld", "bank_charge", "discount", "written_off"]

# Books without a field for what a customer or a bank kept (QuickBooks) hold it as a credit note for an item of
# such a name, on an account that is no income. Names are folded.
KEPT_BY_NAME: Mapping[str, Kept] = {
    "tax withheld": "withheld",
    "withholding tax": "withheld",
    "tds": "withheld",
    "bank charge": "bank_charge",
    "bank charges": "bank_charge",
    "bank fee": "bank_charge",
    "discount taken": "discount",
    "early payment discount": "discount",
    "write-off": "written_off",
    "bad debt": "written_off",
}
SettlementState: TypeAlias = Literal["not_invoiced", "open", "part_paid", "paid", "settled"]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What one payment or credit note settled of one invoice, in the invoice's currency. `cash` is what the
    customer paid, with the `bank_charge` that the bank kept of it. `drawn` is what it used up of the payment or
    credit note itself: what was withheld, discounted or written off beside a payment is not in the payment."""

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
    drawn: Decimal = ZERO

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
        own[largest] = replace(own[largest], amount=own[largest].amount + charges)
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
            drawn=allocation.amount,
        )


def kept_as(note: CreditNote, names: Mapping[str, Kept] = KEPT_BY_NAME) -> Kept | None:
    """What a credit note really is, if all its lines are for items (or on accounts) that `names` calls so; None
    for a credit note on a sale."""
    lines = () if isinstance(note.lines, msgspec.UnsetType) else note.lines
    found = {_kept_line(line, names) for line in lines if line.net != 0}
    return found.pop() if len(found) == 1 else None


def _kept_line(line: InvoiceLine, names: Mapping[str, Kept]) -> Kept | None:
    labels = (line.item_name, line.item, line.income_account, line.text)
    return next((names[folded(label)] for label in labels if label is not None and folded(label) in names), None)


def _drawn(row: Settled, amount: Decimal, kept: Kept | None) -> Settled:
    """`row` with `amount` of a credit note in it, as the credit that it is, or as what was kept."""
    match kept:
        case None:
            return replace(row, credit=amount, drawn=amount)
        case "withheld":
            return replace(row, withheld=amount, drawn=amount)
        case "bank_charge":
            return replace(row, cash=amount, bank_charge=amount, drawn=amount)
        case "discount":
            return replace(row, discount=amount, drawn=amount)
        case "written_off":
            return replace(row, written_off=amount, drawn=amount)


def _brought(
    payments: Iterable[Payment], told: set[tuple[str, str]], kept: Mapping[str, Kept | None]
) -> Iterable[Settled]:
    """Credit that a payment brought to an invoice, unless the credit note tells of it itself."""
    for payment in payments:
        for a in payment.allocations:
            if a.via is None or (a.via, a.document) in told:
                continue
            on = a.on or day(payment.date)
            row = Settled(document=a.document, source=a.via, how="credit_note", on=on)
            yield _drawn(row, a.amount, kept.get(a.via))


def _by_credit(note: CreditNote, kept: Kept | None) -> Iterable[Settled]:
    for a in () if isinstance(note.allocations, msgspec.UnsetType) else note.allocations:
        on = a.on or day(note.date)
        yield _drawn(Settled(document=a.document, source=note.ref, how="credit_note", on=on), a.amount, kept)


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


def gather(
    payments: Sequence[Payment], credit_notes: Sequence[CreditNote], names: Mapping[str, Kept] = KEPT_BY_NAME
) -> Settlements:
    """Every allocation of posted payments and live credit notes, each once. `names` are the items (or accounts) of
    credit notes that are none: tax withheld, bank charges, discounts, write-offs."""
    live = [payment for payment in payments if payment.state == "posted"]
    kept = {note.ref: kept_as(note, names) for note in credit_notes}
    rows = [row for note in credit_notes if is_live(note) for row in _by_credit(note, kept[note.ref])]
    rows += list(_brought(live, {(row.source, row.document) for row in rows}, kept))
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
