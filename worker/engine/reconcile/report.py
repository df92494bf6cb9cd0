"""What a reconciliation says: four bridges, the items in them, ageing and completeness. Frozen, to be signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.values import Money
from worker.engine.reconcile.ledger import Excluded, Header


class Category(StrEnum):
    """The one category of an item. There is no "other": what no category explains stays unexplained."""

    # bridge 1: won -> invoiced
    MISSING = "missing"
    WAITING = "waiting"
    LATER_INSTALMENT = "later instalment"
    EARLIER_PLAN = "earlier plan"
    CUT_OFF_OUT = "cut-off out"
    CUT_OFF_IN = "cut-off in"
    NOT_BILLABLE = "not billable"
    REVERSED_DEAL = "reversed deal"
    VOIDED = "voided in the books"
    AMOUNT_DIFFERS = "amount differs"
    CHARGE_NOT_IN_DEAL = "charge not in the deal"
    NO_DEAL_EXPECTED = "no deal, expected"
    NO_DEAL_UNEXPECTED = "no deal, unexpected"
    DUPLICATE = "duplicate"
    ROUNDING = "rounding"
    BEFORE_CUT_OVER = "before cut-over"
    # bridge 2: net -> gross
    TAX = "tax"
    # bridge 3: receivables
    INVOICES = "invoices"
    CREDIT_NOTES = "credit notes"
    CASH = "cash"
    WITHHELD = "withheld"
    DISCOUNTS_TAKEN = "discounts taken"
    BANK_CHARGES = "bank charges"
    WRITE_OFFS = "write-offs"
    VOIDS_OF_OLDER = "voids of older invoices"
    REFUNDS = "refunds of credit"
    REALISED_FX = "realised FX"
    REVALUATION = "revaluation"
    JOURNALS = "manual journals"
    # bridge 4: books -> CRM payment fields
    NOT_MARKED = "paid, not marked"
    MARKED_OTHERWISE = "marked otherwise"
    MARKED_UNPAID = "marked, not paid"


CLOSES_BY: Mapping[Category, str] = {
    Category.MISSING: "bill",
    Category.WAITING: "the person named",
    Category.LATER_INSTALMENT: "plan",
    Category.EARLIER_PLAN: "plan",
    Category.CUT_OFF_OUT: "next month",
    Category.CUT_OFF_IN: "carried from last month",
    Category.REVERSED_DEAL: "credit or restore",
    Category.VOIDED: "bill again or accept",
    Category.AMOUNT_DIFFERS: "credit and re-issue, correct the deal, or accept",
    Category.NO_DEAL_UNEXPECTED: "link",
    Category.DUPLICATE: "void one",
    Category.NOT_MARKED: "plan the marks",
    Category.MARKED_OTHERWISE: "plan the marks",
    Category.MARKED_UNPAID: "plan the marks",
}

# What stays open until somebody acts or the next report closes it. A later instalment is planned: nothing to do.
OPEN = frozenset(
    {
        Category.MISSING,
        Category.WAITING,
        Category.CUT_OFF_OUT,
        Category.REVERSED_DEAL,
        Category.VOIDED,
        Category.AMOUNT_DIFFERS,
        Category.NO_DEAL_UNEXPECTED,
        Category.DUPLICATE,
        Category.NOT_MARKED,
        Category.MARKED_OTHERWISE,
        Category.MARKED_UNPAID,
    }
)

BridgeNumber: TypeAlias = Literal[1, 2, 3, 4]


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a bridge. `id` is stable from report to report (category, record, position); `amount` is what it
    adds to the bridge; `home` the same in home currency where a rate is known. `exposure` is the amount at stake
    where the bridge itself is not moved. `age_days` from the win or the document's date to the report's day."""

    id: str
    category: Category
    side: Literal["crm", "books"]
    ref: str
    label: str
    amount: Money
    customer: str = ""
    home: Decimal | None = None
    exposure: Money | None = None
    on: date | None = None
    age_days: int | None = None
    closes_by: str = ""
    open: bool = False
    who: str | None = None
    why: str = ""


class BridgeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A category's sum. `label` is the category, or the tax code in bridge 2."""

    category: Category
    label: str
    amount: Decimal
    count: int


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """From `start` through `lines` to `expected`. `read` is the same total from our own mirror; `independent` is
    the vendor's. `unexplained` = independent - expected; None: not independently checked."""

    number: BridgeNumber
    title: str
    currency: str
    home: bool
    start_label: str
    start: Decimal
    start_count: int
    lines: tuple[BridgeLine, ...]
    end_label: str
    expected: Decimal
    read: Decimal
    read_count: int
    independent: Decimal | None
    unexplained: Decimal | None
    source: str = ""

    @property
    def ties(self) -> bool:
        """The vendor's total (or, where it gives none, what was read) is explained to the last cent."""
        return self.unexplained == 0 if self.unexplained is not None else self.read == self.expected


class AgedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is open of an invoice at the report's day, in home currency."""

    ref: str
    number: str
    customer: str
    due_date: date | None
    days_overdue: int
    bucket: Literal["not due", "1-30", "31-60", "61-90", "over 90"]
    balance: Money
    home: Decimal


class AgedReport(msgspec.Struct, frozen=True, kw_only=True):
    """Receivables by age in home currency. `unapplied` is money and credit not yet used, a positive amount;
    total - unapplied = what the control account should say. `aged_total` is the vendor's own aged total."""

    documents: tuple[AgedDocument, ...]
    buckets: Mapping[str, Decimal]
    total: Decimal
    unapplied: Decimal
    net: Decimal
    control: Decimal | None
    aged_total: Decimal | None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A number series in the period. `gaps` are numbers that no document has, on whatever date; `elsewhere` are
    inside the range, on documents dated outside the period; not `checked`: the numbers do not count on."""

    kind: Literal["invoice", "credit_note"]
    name: str
    first: str
    last: str
    found: int
    of: int
    voided: int
    gaps: tuple[str, ...]
    repeats: tuple[str, ...]
    elsewhere: int = 0
    checked: bool = True

    @property
    def whole(self) -> bool:
        return not self.gaps and not self.repeats


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of completeness. `found` is ours, `wanted` theirs; None: the vendor gives no such number."""

    what: str
    found: str
    wanted: str | None
    detail: tuple[str, ...] = ()

    @property
    def passed(self) -> bool | None:
        """None: not independently checked."""
        return None if self.wanted is None else self.found == self.wanted


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The one line that a won deal or a posted document stands in. `line` None: it agrees."""

    ref: str
    label: str
    line: Category | None
    net: Money | None


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """That nothing was left out, both ways."""

    checks: tuple[Check, ...]
    series: tuple[Series, ...]
    deals: tuple[Placed, ...]
    documents: tuple[Placed, ...]
    excluded: tuple[Excluded, ...]

    @property
    def whole(self) -> bool:
        return all(check.passed is not False for check in self.checks) and all(s.whole for s in self.series)


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """Won, invoiced (net) and paid (cash) in one week, home currency. `start` is its Monday, or the period's first
    day."""

    start: date
    end: date
    won: Decimal
    invoiced: Decimal
    paid: Decimal


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A period's reconciliation. `bridges` per currency, then in home currency. `carried` are items of earlier
    periods that are still open and move no bridge of this one."""

    header: Header
    home_currency: str
    bridges: tuple[Bridge, ...]
    items: tuple[Item, ...]
    carried: tuple[Item, ...]
    ageing: AgedReport
    completeness: Completeness
    weeks: tuple[Week, ...] = ()

    @property
    def ties(self) -> bool:
        """Every bridge is explained to the last cent."""
        return all(bridge.ties for bridge in self.bridges)

    @property
    def open_items(self) -> tuple[Item, ...]:
        return tuple(item for item in (*self.items, *self.carried) if item.open)

    def bridge(self, number: BridgeNumber, currency: str | None = None) -> Bridge:
        """The bridge of a number in a currency; without one, in home currency over all. Raises KeyError."""
        for bridge in self.bridges:
            if bridge.number == number and (bridge.home if currency is None else bridge.currency == currency):
                return bridge
        raise KeyError((number, currency))
