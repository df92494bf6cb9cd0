"""Bridge 4: from what the books say was paid on the deals' documents to what the CRM's payment field says."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import msgspec

from connectors.canon.records import Invoice
from connectors.canon.values import Money
from worker.engine.reconcile.gross import by_category
from worker.engine.reconcile.index import ZERO, Index, bill_positions, deal_name
from worker.engine.reconcile.ledger import LedgerDeal
from worker.engine.reconcile.report import CLOSES_BY, Bridge, Category, Item
from worker.engine.settlement import settle


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One deal: what was paid on its documents, and what its field says (None: empty)."""

    entry: LedgerDeal
    paid: Money
    marked: Decimal | None


def _documents(index: Index, entry: LedgerDeal) -> list[Invoice]:
    found = {i.ref: i for p in bill_positions(entry) for i in index.documents.get(p.key, ())}
    return list(found.values())


def _marks(index: Index) -> list[Mark]:
    """Deals whose CRM field is mapped and that have documents, or a mark without any."""
    marks = []
    for entry in index.ledger.deals:
        if isinstance(entry.marked, msgspec.UnsetType):
            continue
        documents = _documents(index, entry)
        if documents or (entry.marked is not None and entry.marked != 0):
            currency = entry.net.currency if entry.net is not None else index.home
            paid = settle(documents, index.settlements, currency).paid_cash
            marks.append(Mark(entry=entry, paid=paid, marked=entry.marked))
    return marks


def _item(index: Index, mark: Mark) -> Item | None:
    said = mark.marked if mark.marked is not None else ZERO
    away = said - mark.paid.amount
    if away == 0:
        return None
    if mark.paid.amount == 0:
        category = Category.MARKED_UNPAID
    else:
        category = Category.NOT_MARKED if said == 0 else Category.MARKED_OTHERWISE
    return Item(
        id=f"{category}:{mark.entry.deal.ref}",
        category=category,
        side="crm",
        ref=mark.entry.deal.ref,
        label=deal_name(mark.entry),
        amount=Money(away, mark.paid.currency),
        customer=index.deal_customer(mark.entry),
        closes_by=CLOSES_BY[category],
        open=True,
        why=f"Paid {mark.paid.amount:,} by the books, the CRM says {'nothing' if mark.marked is None else said}.",
    )


def _bridge(index: Index, currency: str, marks: list[Mark], items: list[Item]) -> Bridge:
    rows = [(i.category, str(i.category), i.amount.amount) for i in items if i.amount.currency == currency]
    start = sum((m.paid.amount for m in marks), ZERO)
    return Bridge(
        number=4,
        title="Paid by the books to marked in the CRM",
        currency=currency,
        home=currency == index.home,
        start_label="paid, by the books",
        start=start,
        start_count=sum(1 for m in marks if m.paid.amount != 0),
        lines=by_category(rows),
        end_label="marked as paid",
        expected=start + sum((amount for _, _, amount in rows), ZERO),
        read=sum((m.marked for m in marks if m.marked is not None), ZERO),
        read_count=sum(1 for m in marks if m.marked is not None),
        independent=None,
        unexplained=None,
    )


def payment_marks(index: Index) -> tuple[tuple[Bridge, ...], tuple[Item, ...]]:
    """Bridge 4 by currency and its items; nothing where no payment field is mapped. The field is today's, so the
    books' side of it is too."""
    marks = _marks(index)
    items = [item for mark in marks if (item := _item(index, mark)) is not None]
    by_currency: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        by_currency[mark.paid.currency].append(mark)
    return tuple(_bridge(index, c, by_currency[c], items) for c in sorted(by_currency)), tuple(items)
