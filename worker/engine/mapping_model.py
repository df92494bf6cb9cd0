"""What a pair's mapping says, read and valid: frozen, with the line of each rule for messages.

It is the customer's choice which canonical fields travel, which way, transformed how, and who wins.
`mapping.parse` makes it from text; nothing else should.
"""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.fields import FieldType
from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.check import CheckName
from worker.engine.transform import Conversion, Transform, ValueMap

Apply: TypeAlias = Literal["observe", "ask", "auto"]
Direction: TypeAlias = Literal["two-way", "crm-to-books", "books-to-crm"]
Authority: TypeAlias = Literal["crm", "books", "ask"]
CreateInBooks: TypeAlias = Literal["first_document", "always", "ask", "never"]
CreateInCrm: TypeAlias = Literal["always", "ask", "never"]
Removed: TypeAlias = Literal["deactivate", "ask", "leave"]

Evidence: TypeAlias = Literal["marker", "tax_id", "email", "name+postal_code", "phone", "name", "sku"]

CustomersFrom: TypeAlias = Literal["companies", "contacts", "both"]
DealAmount: TypeAlias = Literal["net", "gross", "tcv", "lines"]


class Problem(msgspec.Struct, frozen=True):
    """Something in a mapping that cannot stand: where (1-based), on which path, why, and what to write instead."""

    line: int
    column: int
    path: str
    message: str
    hint: str | None = None
    source: str = "mapping"

    def __str__(self) -> str:
        where = f"{self.source}.yaml" if "." not in self.source else self.source
        path = f"{self.path}: " if self.path else ""
        hint = f".  {self.hint}" if self.hint is not None else ""
        return f"{where}:{self.line}:{self.column} {path}{self.message}{hint}"


class MappingError(ValueError):
    """The text is no mapping. All problems at once, in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class FieldRule(msgspec.Struct, frozen=True, kw_only=True):
    """One field that is kept in step: a canonical path on each side.

    key             stable name of the rule, stored in tables: "<crm path>:<books path>"
    crm, books      canonical paths (aliases resolved); one of them None: the field stays home, and never merges
    authority       who wins when both sides changed the field
    after_posting   authority once the customer has a posted document, where that differs (legal name, by default)
    said            the mapping names the authority (False: it is the default of accounting)
    implied         the mapping names no fields for its flow: kept in step only as far as both systems can (`fit`)
    conversion      from one side's value to the other's, and whether two values mean the same
    derived         the books' value is worked out, as a deal's settlement is: the CRM's field is there to hold it,
                    so what stood in it when the two were first compared is overwritten, and kept in the audit
    check           what a value must pass before it travels
    """

    key: str
    crm: str | None
    books: str | None
    crm_type: FieldType | None
    books_type: FieldType | None
    authority: Authority
    direction: Direction
    conversion: Conversion
    check: CheckName | None = None
    after_posting: Authority | None = None
    said: bool = True
    implied: bool = False
    derived: bool = False
    line: int = 0
    column: int = 0

    @property
    def stays_home(self) -> bool:
        return self.crm is None or self.books is None

    @property
    def transform(self) -> Transform | None:
        return self.conversion.transform

    @property
    def values(self) -> ValueMap | None:
        return self.conversion.values

    def writes(self, side: Side) -> bool:
        """Whether an edit may travel to `side`."""
        return not self.stays_home and self.direction in ("two-way", f"{_OTHER[side]}-to-{side}")

    def authority_for(self, *, posted: bool) -> Authority:
        """Who wins; `posted`: the customer has a posted document."""
        return self.after_posting if posted and self.after_posting is not None else self.authority

    def path(self, side: Side) -> str:
        """The path on one side of a rule that travels."""
        path = self.crm if side == "crm" else self.books
        if path is None:
            raise ValueError(f"{self.key} stays home")
        return path


_OTHER: dict[Side, Side] = {"crm": "books", "books": "crm"}


class CustomersFlow(msgspec.Struct, frozen=True, kw_only=True):
    """Customers, both ways by default. `match` is the evidence that is looked at, in order."""

    apply: Apply = "observe"
    direction: Direction = "two-way"
    create_books: CreateInBooks = "first_document"
    create_crm: CreateInCrm = "ask"
    match: tuple[Evidence, ...] = ("marker", "tax_id", "email", "name+postal_code", "phone")
    removed_crm: Removed = "ask"
    removed_books: Removed = "ask"
    fields: tuple[FieldRule, ...] = ()
    line: int = 0

    @property
    def travelling(self) -> tuple[FieldRule, ...]:
        return tuple(rule for rule in self.fields if not rule.stays_home)


class ItemsFlow(msgspec.Struct, frozen=True, kw_only=True):
    """Items, from the books to the CRM by default."""

    apply: Apply = "observe"
    direction: Direction = "books-to-crm"
    create_books: CreateInBooks = "ask"
    create_crm: CreateInCrm = "ask"
    match: tuple[Evidence, ...] = ("marker", "sku", "name")
    removed_crm: Removed = "ask"
    removed_books: Removed = "ask"
    fields: tuple[FieldRule, ...] = ()
    line: int = 0

    @property
    def travelling(self) -> tuple[FieldRule, ...]:
        return tuple(rule for rule in self.fields if not rule.stays_home)


class TaxRule(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the tax table: the first whose every condition holds gives its code. None: any. `ship_to` is an
    ISO 3166-1 country or 3166-2 region ("US", "US-NY"); `item_class` an item's tax_class."""

    code: str
    ship_to: str | None = None
    item_class: str | None = None
    status: str | None = None
    line: int = 0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What must be there before a document is made, how long to wait after the win, and who is asked."""

    require: tuple[str, ...] = ("bill_to", "tax_status")
    wait_after_won_min: int = 60
    missing: str = "ask deal.owner"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """Ledger accounts by name, as the books call them. `income` None: by item. None: the books' own default."""

    income: str | None = None
    shipping: str | None = None
    rounding: str | None = None
    discount: str | None = None
    deposit: str | None = None


class When(msgspec.Struct, frozen=True, kw_only=True):
    """Which deals are billed: those of this status, and of these stages if any are named."""

    status: Literal["won"] = "won"
    stages: tuple[str, ...] = ()


class InvoicesFlow(msgspec.Struct, frozen=True, kw_only=True):
    """Documents from deals. `due_days` None: by payment terms. `tax_otherwise` "hold" or a code."""

    apply: Apply = "observe"
    when: When = When()
    as_: Literal["draft", "post"] = "post"
    date: Literal["won_on", "planned_on", "today"] = "won_on"
    due_days: int | None = None
    lines: Literal["line_items", "one_line"] = "line_items"
    number: Literal["books", "template"] = "books"
    number_template: str | None = None
    ready: Ready = Ready()
    accounts: Accounts = Accounts()
    tax: tuple[TaxRule, ...] = ()
    tax_otherwise: str = "hold"
    cents: Literal["adjust_line", "rounding_line", "match_charged", "hold"] = "adjust_line"
    changed_after_posting: Literal["ask", "credit_and_reissue", "leave"] = "ask"
    line: int = 0


class PaymentsFlow(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back to the deal. The books paths of `fields` are those of `SETTLEMENT`, the CRM's a deal's."""

    apply: Apply = "observe"
    direction: Direction = "books-to-crm"
    fields: tuple[FieldRule, ...] = ()
    line: int = 0


# What the books say of a deal, from allocations over its live documents (accounting.md, "Back to the deal").
# Amounts are in the deal's currency.
SETTLEMENT: dict[str, FieldType] = {
    "state": FieldType.CODE,
    "invoiced": FieldType.DECIMAL,
    "invoiced_net": FieldType.DECIMAL,
    "paid_cash": FieldType.DECIMAL,
    "credited": FieldType.DECIMAL,
    "withheld": FieldType.DECIMAL,
    "discount": FieldType.DECIMAL,
    "written_off": FieldType.DECIMAL,
    "balance": FieldType.DECIMAL,
    "due_date": FieldType.DAY,
    "settled_on": FieldType.DAY,
    "number": FieldType.TEXT,
}


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """Over `over` (a plan's sum, net, in `currency`) this many approvers must agree."""

    over: Decimal
    currency: str
    approvers: int = 1


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """Limits over a sliding 24 hours. `changed_share` is a fraction (0.10); a share counts only from
    `changed_at_least` changes on."""

    changed_share: Decimal = Decimal("0.1")
    changed_at_least: int = 25
    removed: int = 5
    emptied_share: Decimal = Decimal("0.1")
    emptied_at_least: int = 10
    approvals: Approvals | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Which lock counts, and what happens to a document dated inside it. `locked_until`: the pair's own lock."""

    lock: Literal["books", "pair", "later"] = "later"
    closed: Literal["hold"] = "hold"
    locked_until: date | None = None


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """Invoices that need no deal: of this origin, or with a number like this pattern (`POS-*`)."""

    origin: str | None = None
    number: str | None = None
    line: int = 0


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Again and again, `minutes` apart."""

    minutes: int


class DayAt(msgspec.Struct, frozen=True, tag="day"):
    """At a time of day in the pair's zone, on these days of the week (0 Monday ... 6 Sunday)."""

    days: tuple[int, ...]
    at: time


class WorkingDayAt(msgspec.Struct, frozen=True, tag="working_day"):
    """At a time of the n-th working day (Monday to Friday) of the month."""

    day: int
    at: time


Timing: TypeAlias = Every | DayAt | WorkingDayAt
Task: TypeAlias = Literal["sync", "preview", "digest", "reconcile", "ageing"]


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the schedule. `text` is what the mapping says."""

    do: Task
    when: Timing
    text: str
    line: int = 0


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """A pair's mapping. `version` is a digest of what it means: layout and comments do not change it.

    time_zone   IANA name: the pair's day
    cut_over    deals won before this day are matched to existing invoices, never billed
    region      ISO 3166-1 country in which phone numbers without a country code are read; None: unknown
    columns     left to the CSV connector
    """

    pair: str
    crm: str
    books: str
    time_zone: str
    cut_over: date
    customers_from: CustomersFrom = "companies"
    deal_amount: DealAmount = "net"
    region: str | None = None
    customers: CustomersFlow | None = None
    items: ItemsFlow | None = None
    invoices: InvoicesFlow | None = None
    payments: PaymentsFlow | None = None
    guards: Guards = Guards()
    period: Period = Period()
    four_eyes: tuple[str, ...] = ()
    expected_without_deal: tuple[Expected, ...] = ()
    schedule: tuple[Scheduled, ...] = ()
    columns: dict[str, Any] = {}
    version: str = ""

    @property
    def writes_alone(self) -> bool:
        """Whether any flow may write without a person's Apply."""
        flows = (self.customers, self.items, self.invoices, self.payments)
        return any(flow is not None and flow.apply == "auto" for flow in flows)

    def rules(self, kind: Kind) -> tuple[FieldRule, ...]:
        """The rules that travel for customers or items (those of `payments` are a deal's settlement)."""
        flow = {Kind.CUSTOMER: self.customers, Kind.ITEM: self.items}.get(kind)
        return flow.travelling if flow is not None else ()
