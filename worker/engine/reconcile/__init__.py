"""Reconciliation: do the won deals, the invoices and the payments of a period agree, and if not, why.

reconcile(ledger, header) -> Report
changed(before, after)    -> what a new version of a report says differently
"""

from __future__ import annotations

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

__all__ = [
    "Accepted", "AgedDocument", "AgedReport", "Bridge", "BridgeLine", "Category", "Check", "Completeness",
    "Excluded", "Header", "Item", "Ledger", "LedgerDeal", "Opening", "Period", "Placed", "ReceivableEntry",
    "Report", "Series", "Waiting", "Week", "ledger_deal", "reconcile",
]  # fmt: skip


def reconcile(ledger: Ledger, header: Header) -> Report:
    """The report of a period."""
    raise NotImplementedError
