"""Matching, whole: records of the two sides, invoices of deals, and what a lost answer made. Pure.

Index, match_all, twins      customers and items
match_invoice(s)             existing invoices of deals won before the cut-over
adopt, parked                after a lost answer, and while an intent is open
"""

from __future__ import annotations

from worker.engine.adopt import Absent, Adopt, Finding, Hold, OpenIntent, Sought, adopt, parked
from worker.engine.match_invoices import InvoiceIndex, Wanted, match_invoice, match_invoices
from worker.engine.match_records import (
    DEFAULT_EVIDENCE,
    ITEM_EVIDENCE,
    NO_MATCH,
    Candidate,
    Index,
    Match,
    Twins,
    match_all,
    twins,
)

__all__ = [
    "DEFAULT_EVIDENCE", "ITEM_EVIDENCE", "NO_MATCH", "Absent", "Adopt", "Candidate", "Finding", "Hold", "Index",
    "InvoiceIndex", "Match", "OpenIntent", "Sought", "Twins", "Wanted", "adopt", "match_all", "match_invoice",
    "match_invoices", "parked", "twins",
]  # fmt: skip
