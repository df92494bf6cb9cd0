"""Bridge 3: the receivables account rolled forward over the period, and what is owed by age at its end.

Every balance is rebuilt from documents and the dates of allocations, in home currency: an invoice at its own rate,
money at the rate of its day; what lies between is realised FX.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import CreditNote, Invoice, Payment
from connectors.canon.values import Money
from worker.engine.reconcile.gross import by_category, unexplained
from worker.engine.reconcile.index import ZERO, Index, number
from worker.engine.reconcile.report import AgedDocument, AgedReport, Bridge, Category
from worker.engine.settlement import Kept, Settled, day, is_live, kept_as, known

Bucket: TypeAlias = Literal["not due", "1-30", "31-60", "61-90", "over 90"]
BUCKETS: tuple[Bucket, ...] = ("not due", "1-30", "31-60", "61-90", "over 90")
Row: TypeAlias = tuple[Category, str, Decimal]

ENTRY_CATEGORY: Mapping[str, Category] = {
    "refund": Category.REFUNDS,
    "write_off": Category.WRITE_OFFS,
    "discount": Category.DISCOUNTS_TAKEN,
    "bank_charge": Category.BANK_CHARGES,
    "revaluation": Category.REVALUATION,
    "journal": Category.JOURNALS,
}
KEPT_CATEGORY: Mapping[Kept | None, Category] = {
    None: Category.CREDIT_NOTES,
    "withheld": Category.WITHHELD,
    "bank_charge": Category.BANK_CHARGES,
    "discount": Category.DISCOUNTS_TAKEN,
    "written_off": Category.WRITE_OFFS,
}


class Relief(msgspec.Struct, frozen=True, kw_only=True):
    """One allocation in home currency: `relief` is what it took off the invoice at the invoice's rate, `spent`
    what it used of its payment or credit note at theirs."""

    row: Settled
    relief: Decimal
    spent: Decimal


class Receivables:
    """Receivables of one report: with `currency` None all of them in home currency, else the documents of that
    currency, in it."""

    def __init__(self, index: Index, currency: str | None = None) -> None:
        self.index = index
        self.only = currency
        self.invoices = [i for i in index.ledger.invoices if is_live(i) and self._mine(index.currency(i))]
        self.credit_notes = [n for n in index.ledger.credit_notes if is_live(n) and self._mine(index.currency(n))]
        self.payments = [p for p in index.ledger.payments if p.state == "posted" and self._mine(_currency(p))]
        self.reliefs = self._reliefs()

    def _mine(self, currency: str) -> bool:
        return self.only is None or currency == self.only

    def _rate(self, record: Invoice | CreditNote | Payment) -> Decimal:
        """Home per unit; one where the bridge stays in its own currency. No rate counts as zero: the difference to
        the control account shows it."""
        if self.only is not None:
            return Decimal(1)
        found = self.index.payment_rate(record) if isinstance(record, Payment) else self.index.rate(record)
        return found if found is not None else ZERO

    def _round(self, amount: Decimal, rate: Decimal) -> Decimal:
        return amount if rate == 1 else self.index.in_home(amount, rate)

    def total(self, document: Invoice | CreditNote) -> Decimal:
        if self.only is None and isinstance(document.home_total, Decimal):
            return document.home_total
        return self._round(known(document.total), self._rate(document))

    def cash(self, payment: Payment) -> Decimal:
        amount = payment.amount.amount if isinstance(payment.amount, Money) else ZERO
        return self._round(amount, self._rate(payment))

    def charges(self, payment: Payment) -> Decimal:
        return self._round(known(payment.bank_charges), self._rate(payment))

    # ------------------------------------------------------------------ allocations

    def _sources(self) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
        """Payments and credit notes: rate, home value, own value."""
        found: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
        for p in self.payments:
            own = (p.amount.amount if isinstance(p.amount, Money) else ZERO) + known(p.bank_charges)
            found[p.ref] = (self._rate(p), self.cash(p) + self.charges(p), own)
        for n in self.credit_notes:
            found[n.ref] = (self._rate(n), self.total(n), known(n.total))
        return found

    def _reliefs(self) -> list[Relief]:
        """Every allocation to an invoice we know, in home currency. The one that closes an invoice, or uses up a
        payment, takes what is left of it, so that no cent stays."""
        sources, used = self._sources(), defaultdict[str, Decimal](lambda: ZERO)
        spent = defaultdict[str, Decimal](lambda: ZERO)
        reliefs = []
        for invoice in self.invoices:
            left_home, left_own, rate = self.total(invoice), known(invoice.total), self._rate(invoice)
            for row in self.index.settlements.of(invoice.ref):
                left_own -= row.total
                relief = left_home if left_own == 0 else self._round(row.total, rate)
                left_home -= relief
                taken = self._spent(row, sources.get(row.source), used, spent, relief)
                reliefs.append(Relief(row=row, relief=relief, spent=taken))
        return reliefs

    def _spent(
        self,
        row: Settled,
        source: tuple[Decimal, Decimal, Decimal] | None,
        used: dict[str, Decimal],
        spent: dict[str, Decimal],
        relief: Decimal,
    ) -> Decimal:
        """What an allocation used of its source; of a source that was not read, what it relieved."""
        if source is None:
            return relief
        rate, home, own = source
        used[row.source] += row.drawn
        whole = used[row.source] == own
        taken = home - spent[row.source] if whole else self._round(row.drawn, rate)
        spent[row.source] += taken
        return taken

    # ------------------------------------------------------------------ balances

    def balances(self, on: date) -> dict[str, Decimal]:
        """What is open of each invoice at the end of `on`."""
        left = {i.ref: self.total(i) for i in self.invoices if _by(i.date, on)}
        for each in self.reliefs:
            if each.row.document in left and _by(each.row.on, on):
                left[each.row.document] -= each.relief
        return left

    def unapplied(self, on: date) -> Decimal:
        """Money and credit not yet used at the end of `on`, a positive amount."""
        given = {p.ref: self.cash(p) + self.charges(p) for p in self.payments if _by(p.date, on)}
        given.update({n.ref: self.total(n) for n in self.credit_notes if _by(n.date, on)})
        dated = {i.ref for i in self.invoices if _by(i.date, on)}
        for each in self.reliefs:
            if _by(each.row.on, on) and each.row.document in dated and each.row.source in given:
                given[each.row.source] -= each.spent
        return sum(given.values(), ZERO)

    def entries(self, before: date) -> Decimal:
        """What journals and the like moved before a day."""
        return sum(
            (self._entry(e.amount, e.foreign, e.currency) for e in self.index.ledger.entries if e.on < before),
            ZERO,
        )

    def _entry(self, home: Decimal, foreign: Decimal | None, currency: str | None) -> Decimal:
        if self.only is None:
            return home
        if (currency or self.index.home) != self.only:
            return ZERO
        return foreign if foreign is not None else home

    def rebuilt(self, on: date) -> Decimal:
        """What was owed at the end of `on`: open invoices, less what is unapplied, with the entries."""
        owed = sum(self.balances(on).values(), ZERO)
        return owed - self.unapplied(on) + self.entries(on + timedelta(days=1))

    # ------------------------------------------------------------------ movements

    def _settled(self) -> Iterable[Row]:
        """What settled invoices without cash in the period, and realised FX."""
        rates = {i.ref: self._rate(i) for i in self.invoices}
        for each in self.reliefs:
            if not self.index.period.holds(each.row.on):
                continue
            rate, row = rates[each.row.document], each.row
            # What a credit note was made for is counted with the credit note.
            parts = (
                []
                if row.total == row.drawn
                else [
                    (Category.WITHHELD, self._round(row.withheld, rate)),
                    (Category.DISCOUNTS_TAKEN, self._round(row.discount, rate)),
                    (Category.WRITE_OFFS, self._round(row.written_off, rate)),
                ]
            )
            yield from ((category, str(category), -amount) for category, amount in parts if amount != 0)
            fx = each.spent + sum((amount for _, amount in parts), ZERO) - each.relief
            if fx != 0:
                yield Category.REALISED_FX, str(Category.REALISED_FX), fx

    def _documents(self) -> Iterable[Row]:
        holds = self.index.period.holds
        for invoice in self.invoices:
            if holds(day(invoice.date)):
                yield Category.INVOICES, str(Category.INVOICES), self.total(invoice)
        for note in self.credit_notes:
            if holds(day(note.date)):
                category = KEPT_CATEGORY[kept_as(note, self.index.ledger.kept)]
                yield category, str(category), -self.total(note)
        for payment in self.payments:
            if not holds(day(payment.date)):
                continue
            if self.cash(payment) != 0:
                yield Category.CASH, str(Category.CASH), -self.cash(payment)
            if self.charges(payment) != 0:
                yield Category.BANK_CHARGES, str(Category.BANK_CHARGES), -self.charges(payment)

    def _others(self) -> Iterable[Row]:
        for entry in self.index.ledger.entries:
            amount = self._entry(entry.amount, entry.foreign, entry.currency)
            if self.index.period.holds(entry.on) and amount != 0:
                category = ENTRY_CATEGORY[entry.kind]
                yield category, str(category), amount
        opening = self.index.ledger.opening
        if opening is None or self.only is not None:
            return
        for ref, amount in opening.documents.items():
            invoice = self.index.invoices.get(ref)
            if invoice is not None and invoice.state == "void":
                yield Category.VOIDS_OF_OLDER, str(Category.VOIDS_OF_OLDER), -amount

    def movements(self) -> list[Row]:
        return [*self._documents(), *self._settled(), *self._others()]

    def opening(self) -> Decimal:
        told = self.index.ledger.opening
        if told is not None and self.only is None:
            return told.receivable
        return self.rebuilt(self.index.period.start - timedelta(days=1))


def _currency(payment: Payment) -> str:
    return payment.amount.currency if isinstance(payment.amount, Money) else ""


def _by(on: object, end: date) -> bool:
    """Whether a record of that date exists at the end of a day. One without a date always does."""
    return not isinstance(on, date) or on <= end


# --------------------------------------------------------------------------- the bridge


def _bridge(index: Index, owed: Receivables, *, home: bool) -> Bridge:
    period, rows = index.period, owed.movements()
    start = owed.opening()
    expected = start + sum((amount for _, _, amount in rows), ZERO)
    figures = index.ledger.figures
    control = figures.receivable_control if figures is not None and home else None
    open_documents = sum(1 for left in owed.balances(period.end).values() if left != 0)
    return Bridge(
        number=3,
        title="Receivables",
        currency=owed.only or index.home,
        home=home,
        start_label=f"A/R {period.start - timedelta(days=1)}",
        start=start,
        start_count=0,
        lines=by_category(rows),
        end_label=f"A/R {period.end}",
        expected=expected,
        read=owed.rebuilt(period.end),
        read_count=open_documents,
        independent=control,
        unexplained=unexplained(control, expected),
        source="control account" if control is not None else "",
    )


def receivables(index: Index) -> tuple[tuple[Bridge, ...], AgedReport]:
    """Bridge 3 for each currency (where there are several) and in home currency, with the ageing."""
    home = Receivables(index)
    currencies = index.currencies()
    own = [] if len(currencies) == 1 else [_bridge(index, Receivables(index, c), home=False) for c in currencies]
    return (*own, _bridge(index, home, home=True)), _aged(index, home)


# --------------------------------------------------------------------------- ageing


def bucket(days_overdue: int) -> Bucket:
    if days_overdue <= 0:
        return "not due"
    return BUCKETS[min((days_overdue - 1) // 30, 3) + 1]


def _aged_document(index: Index, invoice: Invoice, home: Decimal, own: Decimal) -> AgedDocument:
    due = day(invoice.due_date) or day(invoice.date)
    overdue = max(0, (index.period.end - due).days) if due is not None else 0
    return AgedDocument(
        ref=invoice.ref,
        number=number(invoice),
        customer=index.customer(invoice),
        due_date=due,
        days_overdue=overdue,
        bucket=bucket(overdue),
        balance=Money(own, index.currency(invoice)),
        home=home,
    )


def _aged(index: Index, owed: Receivables) -> AgedReport:
    end = index.period.end
    documents = []
    for ref, left in owed.balances(end).items():
        if left != 0:
            invoice = index.invoices[ref]
            own = known(invoice.total) - sum((r.total for r in index.settlements.of(ref, end)), ZERO)
            documents.append(_aged_document(index, invoice, left, own))
    buckets: dict[str, Decimal] = {name: sum((d.home for d in documents if d.bucket == name), ZERO) for name in BUCKETS}
    total, unapplied = sum(buckets.values(), ZERO), owed.unapplied(end)
    figures = index.ledger.figures
    aged = sum((a.total for a in figures.ageing), ZERO) if figures is not None and figures.ageing else None
    return AgedReport(
        documents=tuple(sorted(documents, key=lambda d: (-d.days_overdue, d.number))),
        buckets=buckets,
        total=total,
        unapplied=unapplied,
        net=total - unapplied,
        control=figures.receivable_control if figures is not None else None,
        aged_total=aged,
    )
