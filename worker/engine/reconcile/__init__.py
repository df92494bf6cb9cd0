"""Reconciliation: do the won deals, the invoices and the payments of a period agree, and if not, why.

reconcile(ledger, header) -> Report
changed(before, after)    -> what a new version of a report says differently
"""

from __future__ import annotations

from worker.engine.reconcile.completeness import completeness
from worker.engine.reconcile.gross import net_and_gross
from worker.engine.reconcile.index import Index
from worker.engine.reconcile.ledger import (
    Accepted,
    Excluded,
    Header,
    Ledger,
    LedgerDeal,
    Opening,
    Period,
    ReceivableEntry,
    Waiting,
    ledger_deal,
)
from worker.engine.reconcile.marks import payment_marks
from worker.engine.reconcile.receivable import receivables
from worker.engine.reconcile.report import (
    AgedDocument,
    AgedReport,
    Bridge,
    BridgeLine,
    Category,
    Check,
    Completeness,
    Item,
    Placed,
    Report,
    Series,
    Week,
)
from worker.engine.reconcile.versions import Changed, changed
from worker.engine.reconcile.weeks import weeks
from worker.engine.reconcile.won_invoiced import won_invoiced

__all__ = [
    "Accepted", "AgedDocument", "AgedReport", "Bridge", "BridgeLine", "Category", "Changed", "Check",
    "Completeness",
    "Excluded", "Header", "Item", "Ledger", "LedgerDeal", "Opening", "Period", "Placed", "ReceivableEntry",
    "Report", "Series", "Waiting", "Week", "changed", "ledger_deal", "reconcile",
]  # fmt: skip


def reconcile(ledger: Ledger, header: Header) -> Report:
    """The report of a period: four bridges per currency and in home currency, every item in one category, ageing,
    and that nothing was left out. Pure: the same ledger and header give the same report."""
    index = Index(ledger, header)
    found = won_invoiced(index)
    owed, ageing = receivables(index)
    marks, marked = payment_marks(index)
    return Report(
        header=header,
        home_currency=ledger.home_currency,
        bridges=(*net_and_gross(index, found), *owed, *marks),
        items=(*found.items, *marked),
        carried=found.carried,
        ageing=ageing,
        completeness=completeness(index, found, ageing),
        weeks=weeks(index, found),
    )
