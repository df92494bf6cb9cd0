"""What a reconciliation is made from: everything both sides and the store know, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import CreditNote, Deal, Invoice, Payment
from connectors.canon.values import Money
from connectors.kit.contract import Figures
from worker.engine.billing import (
    BillingRules,
    NotBillable,
    Position,
    PositionDocument,
    deal_net,
    positions,
    won_on,
)
from worker.engine.mapping_model import Expected
from worker.engine.settlement import KEPT_BY_NAME, Kept

GRACE_WORKING_DAYS = 3


class Period(msgspec.Struct, frozen=True):
    """Days from `start` to `end`, both in it, in the pair's zone."""

    start: date
    end: date

    def holds(self, day: date | None) -> bool:
        return day is not None and self.start <= day <= self.end


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of itself. `read_at` is when both sides were read last, `zone` an IANA name; `version`
    counts the signed-off reports of the period. `reviewed_by` is never `prepared_by`. `trail` is the audit trail's
    head before this report, `entry:hash`; `trail_break` says where it does not hold."""

    pair: str
    crm: str
    books: str
    period: Period
    zone: str
    as_of: date
    read_at: datetime
    status: Literal["preliminary", "final"] = "preliminary"
    version: int = 1
    mapping_version: str = ""
    prepared_by: str | None = None
    reviewed_by: str | None = None
    trail: str | None = None
    trail_break: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A deal that is not billed, by a person's word and a second person's agreement."""

    reason: str
    by: str
    agreed_by: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a position has no document yet although it should: held by a guard, an approval, or missing data."""

    why: str
    who: str | None = None


class LedgerDeal(msgspec.Struct, frozen=True, kw_only=True):
    """A deal with what is billed of it.

    billing   its positions, or why it has none (`billing.positions`)
    net       its whole net; None if it has no usable amount
    reversed  it was won once and is not now
    waiting   by position key; "" for the whole deal
    marked    what the CRM's payment field says (None: empty); ABSENT: no field is mapped
    """

    deal: Deal
    won_on: date | None
    billing: tuple[Position, ...] | NotBillable
    net: Money | None = None
    reversed: bool = False
    accepted: Accepted | None = None
    waiting: Mapping[str, Waiting] = {}
    marked: Decimal | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def positions(self) -> tuple[Position, ...]:
        return () if isinstance(self.billing, NotBillable) else self.billing


ReceivableEntryKind: TypeAlias = Literal["refund", "write_off", "discount", "bank_charge", "revaluation", "journal"]


class ReceivableEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something on the receivables account that is no invoice, credit note or payment: read and explained, never
    written. `amount` in home currency, positive where it raises what is owed."""

    kind: ReceivableEntryKind
    ref: str
    on: date
    amount: Decimal
    why: str
    currency: str | None = None
    foreign: Decimal | None = None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What was owed at the end of the day before the period, in home currency: from the last signed report, or the
    books' own figures of that day. `documents`: invoice ref -> what was open of it."""

    receivable: Decimal
    documents: Mapping[str, Decimal] = {}
    source: str = ""


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """A population left out of the bridges: what, how many, and why."""

    what: str
    count: int
    reason: str


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report is made from. Refs are those of their own side.

    deals      all deals that the mirror holds, won or not
    links      documents of billing positions, matched history included
    invoices, credit_notes, payments   all of the books' mirror, of any date: balances are rebuilt from them
    customers  books ref -> name; `deal_customers` crm ref -> name
    opening    None: rebuilt from the records before the period
    entries    what else moved the receivables account
    figures    the books' own totals for the period; None: not independently checked
    crm_figures  the CRM's own totals (counts of deals), where it has such a read
    kept       items or accounts of credit notes that are tax withheld, bank charges and the like (folded names)
    rates      home per foreign unit by currency, the books' rate at the period's end: for what has no document
    """

    home_currency: str
    cut_over: date
    deals: tuple[LedgerDeal, ...] = ()
    links: tuple[PositionDocument, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    payments: tuple[Payment, ...] = ()
    customers: Mapping[str, str] = {}
    deal_customers: Mapping[str, str] = {}
    opening: Opening | None = None
    entries: tuple[ReceivableEntry, ...] = ()
    figures: Figures | None = None
    crm_figures: Figures | None = None
    expected: tuple[Expected, ...] = ()
    rates: Mapping[str, Decimal] = {}
    unread: tuple[Excluded, ...] = ()
    holidays: frozenset[date] = frozenset()
    kept: Mapping[str, Kept] = msgspec.field(default_factory=lambda: KEPT_BY_NAME)


def ledger_deal(
    deal: Deal,
    rules: BillingRules,
    *,
    billing: tuple[Position, ...] | None = None,
    net: Money | None = None,
    was_won: bool = False,
    accepted: Accepted | None = None,
    waiting: Mapping[str, Waiting] | None = None,
    marked: Decimal | msgspec.UnsetType | None = msgspec.UNSET,
) -> LedgerDeal:
    """A deal as the report takes it. `billing`: the positions that the store holds for it, else they are computed;
    `net`: of a gross deal; `was_won`: the store knows that it was won once."""
    found = billing if billing is not None else positions(deal, rules, net=net)
    told = deal_net(deal, rules, net=net)
    whole = told if isinstance(told, Money) else None
    if whole is None and isinstance(deal.amount, Money) and rules.basis != "gross":
        whole = deal.amount
    return LedgerDeal(
        deal=deal,
        won_on=won_on(deal, rules.zone),
        billing=found,
        net=whole,
        reversed=deal.status == "reversed" or (was_won and deal.status != "won"),
        accepted=accepted,
        waiting=waiting if waiting is not None else {},
        marked=marked,
    )
