"""What the story came to, as figures. Nothing here is typed in: all of it is counted or added up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from bot.demo.snapshots import Snapshot
from worker.api.views import ChangeView, PlanView, ReportView

# As many as one call takes: rows of a page, writes of a batch.
# https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis
HUBSPOT_PAGE = HUBSPOT_BATCH = 100
# https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries and .../batch
QUICKBOOKS_PAGE, QUICKBOOKS_BATCH = 1000, 30


class Preview(msgspec.Struct, frozen=True):
    creates: int
    updates: int
    conflicts: int


class SecondRun(msgspec.Struct, frozen=True):
    changes: int
    writes: int


class Invoiced(msgspec.Struct, frozen=True):
    """What Tieout posted in the whole story."""

    documents: int
    net: str


class CallCount(msgspec.Struct, frozen=True):
    """`made`: what the first preview and its apply took of both vendors. `floor`: the fewest calls that could read
    the same records once and write the same changes, with full pages and full batches."""

    made: int
    floor: int


class Reconciliation(msgspec.Struct, frozen=True):
    """`agreed`: deals and documents of the month that agree. `discrepancies`: items that are open. `unexplained`:
    money that no item explains, all bridges together."""

    month: str
    agreed: int
    discrepancies: int
    unexplained: str


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` writes."""

    company: dict[str, int]
    preview: Preview
    applied: int
    invoiced: Invoiced
    conflicts_opened: int
    conflicts_resolved: int
    second_run: SecondRun
    calls: CallCount
    reconciliation: Reconciliation
    promises: dict[str, bool]
    broken: dict[str, str]
    vendor_limits: bool
    seconds: float

    @property
    def kept(self) -> bool:
        return all(self.promises.values())


def preview_of(plan: PlanView) -> Preview:
    operations: Counter[str] = Counter()
    for name, number in plan.counts.items():
        operations[name.rpartition(".")[2]] += number
    return Preview(operations["create"], operations["update"], plan.conflicts)


def reconciliation_of(report: ReportView) -> Reconciliation:
    figures: Mapping[str, Any] = report.figures
    whole = figures["completeness"]
    agreed = sum(1 for placed in (*whole["deals"], *whole["documents"]) if placed.get("line") is None)
    away = [Decimal(b["unexplained"]) for b in figures["bridges"] if b.get("unexplained") is not None]
    unexplained = sum((abs(amount) for amount in away), Decimal(0))
    return Reconciliation(report.period, agreed, report.open_items, f"{unexplained:.2f}")


def floor_of(crm: Snapshot, books: Snapshot, changes: Iterable[ChangeView], *, crm_pages: bool) -> int:
    """The fewest calls for a first run. `crm_pages`: the CRM is asked by calls at all (a file is not)."""
    calls = sum(_full(len(books.of(kind)), QUICKBOOKS_PAGE) for kind in ("customer", "item", "invoice", "payment"))
    if crm_pages:
        calls += sum(_full(len(crm.of(kind)), HUBSPOT_PAGE) for kind in ("customer", "item", "deal", "contact", "line"))
    sorts: Counter[tuple[str, str, str]] = Counter((c.side, c.kind, c.operation) for c in changes)
    in_books: Counter[bool] = Counter()
    for (side, kind, _), number in sorts.items():
        if side == "crm":
            calls += _full(number, HUBSPOT_BATCH)
        else:
            in_books[kind == "invoice"] += number  # an invoice names what was made before, so it is a later batch
    return calls + sum(_full(number, QUICKBOOKS_BATCH) for number in in_books.values())


def _full(number: int, size: int) -> int:
    return -(-number // size)
