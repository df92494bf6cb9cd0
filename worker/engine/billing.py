"""What a won deal gives rise to: billing positions, or the reason why there are none.

A deal is never linked to an invoice. It has positions (deposit, instalments, the final amount); each position has
generations of documents, and at most one of those is live. A position whose document a person voided is spent: it
is reported, and billed again only when a person says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import BillingStep, Deal, DealLine, Kind, PositionRole
from connectors.canon.values import Discount, Money, currency_places, to_places

Basis: TypeAlias = Literal["net", "gross", "tcv", "lines"]
WhyNot: TypeAlias = Literal["open", "lost", "reversed", "before_cut_over", "held", "live", "spent"]
DEAL_OWNER = "deal.owner"


class BillingRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a pair says about its deals: what the amount means, since when it bills, and in which time zone a win
    falls on a day."""

    zone: tzinfo
    cut_over: date
    basis: Basis = "net"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One planned document of a deal. `seq` counts from 1 within the deal; `net` excludes tax."""

    deal: str
    seq: int
    role: PositionRole
    planned_on: date
    net: Money

    @property
    def key(self) -> str:
        return f"{self.deal}/{self.seq}"


class NotBillable(msgspec.Struct, frozen=True, kw_only=True):
    """Why a deal (or a position) is not billed. `why` is what a person reads, `field` what is to be mended,
    `who` may mend it (`deal.owner`, `admin`, `finance`, or nobody)."""

    reason: WhyNot
    why: str
    field: str | None = None
    who: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A document that cannot be made yet: what is missing (`reason`, `field`) and who can mend it."""

    reason: str
    field: str
    who: str


class PositionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """That a document was made (or matched as history) for a position. `position` is `Position.key`. Whether the
    document is live is what the mirrored record says, not this row; whether we credited it, where no credit note says
    which invoice it corrects, is `credited`."""

    position: str
    ref: str
    kind: Kind = Kind.INVOICE
    generation: int = 0
    credited: bool = False


def won_on(deal: Deal, zone: tzinfo) -> date | None:
    """The day of the win: its instant in the pair's zone, else the date the CRM keeps; None if it tells none."""
    if isinstance(deal.won_at, msgspec.UnsetType) or deal.won_at is None:
        return None if isinstance(deal.won_on, msgspec.UnsetType) else deal.won_on
    return deal.won_at.astimezone(zone).date()


def split(amount: Money, parts: int) -> tuple[Money, ...]:
    """`amount` in equal parts to the cent, each the step between rounded running totals: 1,000 / 3 is 333.33,
    333.34, 333.33. The parts add up to the amount."""
    places = currency_places(amount.currency)
    totals = [to_places(amount.amount * n / parts, places) for n in range(parts + 1)]
    totals[parts] = amount.amount
    return tuple(Money(after - before, amount.currency) for before, after in pairwise(totals))


def instalments(amount: Money, dates: Sequence[date], *, role: PositionRole = "instalment") -> tuple[BillingStep, ...]:
    """A billing plan of equal instalments on `dates`."""
    parts = split(amount, len(dates))
    return tuple(BillingStep(role=role, planned_on=on, net=part.amount) for on, part in zip(dates, parts, strict=True))


def discounted(amount: Decimal, qty: Decimal, discount: Discount | None) -> Decimal:
    """`amount` (qty x price) less a discount, not rounded."""
    if discount is None:
        return amount
    match discount.kind:
        case "percent":
            return amount * (100 - discount.value) / 100
        case "per_unit":
            return amount - discount.value * qty
        case "per_line":
            return amount - discount.value


def line_amount(line: DealLine, currency: str) -> Decimal:
    """What a deal line adds: the CRM's own figure, else qty x price less discount, to the currency's places. With
    tax in it where the line's price includes tax."""
    if not isinstance(line.net, msgspec.UnsetType):
        return line.net
    return to_places(discounted(line.qty * line.unit_price, line.qty, line.discount), currency_places(currency))


def header_discount(deal: Deal, goods: Decimal, currency: str) -> Decimal:
    """The deal's own discount over the sum of its lines, as a positive amount."""
    if isinstance(deal.discount, msgspec.UnsetType) or deal.discount is None:
        return Decimal(0)
    return goods - to_places(discounted(goods, Decimal(1), deal.discount), currency_places(currency))


def shipping(deal: Deal) -> Decimal:
    return Decimal(0) if isinstance(deal.shipping, msgspec.UnsetType) or deal.shipping is None else deal.shipping


def lines_total(deal: Deal, currency: str) -> Decimal | None:
    """Lines less the deal's discount plus its shipping; None if the deal has no lines."""
    if isinstance(deal.lines, msgspec.UnsetType) or not deal.lines:
        return None
    goods = sum((line_amount(line, currency) for line in deal.lines), Decimal(0))
    return goods - header_discount(deal, goods, currency) + shipping(deal)


def _held(why: str, field: str, who: str = DEAL_OWNER) -> NotBillable:
    return NotBillable(reason="held", why=why, field=field, who=who)


def _not_won(deal: Deal) -> NotBillable | None:
    match deal.status:
        case "won":
            return None
        case "lost":
            return NotBillable(reason="lost", why="The deal is lost.")
        case "reversed":
            return NotBillable(reason="reversed", why="The deal was won, then lost, archived or re-opened.")
        case _:
            return NotBillable(reason="open", why="The deal is not won.")


def _won_since(deal: Deal, rules: BillingRules) -> date | NotBillable:
    day = won_on(deal, rules.zone)
    if day is None:
        return _held("The deal has no date on which it was won.", "won_at")
    if day < rules.cut_over:
        why = f"Won {day}, before the cut-over of {rules.cut_over}: matched to what exists, never billed."
        return NotBillable(reason="before_cut_over", why=why)
    return day


def _currency(deal: Deal) -> str | NotBillable:
    """The one currency of the amount and the lines."""
    named = {line.currency for line in _lines(deal) if line.currency is not None}
    if isinstance(deal.amount, Money):
        named.add(deal.amount.currency)
    named.discard("")
    if not named and not isinstance(deal.amount, Money) and not _lines(deal):
        return _held("The deal has no amount and no currency.", "currency")
    if not named:
        return _held("The deal has no currency.", "currency")
    if len(named) > 1:
        return _held(f"The deal and its lines are in {' and '.join(sorted(named))}.", "currency")
    return named.pop()


def _lines(deal: Deal) -> tuple[DealLine, ...]:
    return () if isinstance(deal.lines, msgspec.UnsetType) else deal.lines


def _lines_disagree(deal: Deal, amount: Money) -> NotBillable | None:
    total = lines_total(deal, amount.currency)
    if total is None or Money(total, amount.currency).rounded() == amount.rounded():
        return None
    return _held(f"The lines add up to {Money(total, amount.currency)}, the deal's amount is {amount}.", "lines")


def _whole(deal: Deal, rules: BillingRules, currency: str, net: Money | None) -> Money | NotBillable:
    """The net of the whole deal under the pair's basis."""
    amount = deal.amount if isinstance(deal.amount, Money) else None
    if rules.basis == "lines":
        total = lines_total(deal, currency)
        if total is None:
            return _held("The deal has no lines, and the pair bills what the lines say.", "lines")
        amount = amount if amount is not None else Money(total, currency)
    if amount is None:
        return _held("The deal has no amount.", "amount")
    if rules.basis == "gross":
        return net if net is not None else _held(f"The tax inside {amount} is not decided.", "tax", "admin")
    if rules.basis != "tcv":
        if any(line.includes_tax for line in _lines(deal)):
            return _held("A line's price includes tax, and the pair says amounts are net.", "lines", "admin")
        disagree = _lines_disagree(deal, amount)
        if disagree is not None:
            return disagree
    return amount


def _steps(deal: Deal, whole: Money, day: date, basis: Basis) -> tuple[BillingStep, ...] | NotBillable:
    plan = () if isinstance(deal.billing_plan, msgspec.UnsetType) else deal.billing_plan
    if not plan:
        if basis == "tcv":
            return _held("A contract's total value is billed by a billing plan, and the deal has none.", "billing_plan")
        return (BillingStep(role="final", planned_on=day, net=whole.amount),)
    planned = Money(sum((step.net for step in plan), Decimal(0)), whole.currency)
    if planned.rounded() != whole.rounded():
        return _held(f"The billing plan adds up to {planned}, the deal to {whole}.", "billing_plan")
    return plan


def _refuse_amount(whole: Money) -> NotBillable | None:
    if whole.amount == 0:
        return _held("The deal's amount is 0.00: there is nothing to bill.", "amount")
    if whole.amount < 0:
        return _held(f"The deal's amount is {whole}: a credit is not made from a deal.", "amount", "finance")
    if whole.rounded().amount != whole.amount:
        return _held(f"The deal's amount {whole.amount} has more decimals than {whole.currency}.", "amount")
    return None


def positions(deal: Deal, rules: BillingRules, *, net: Money | None = None) -> tuple[Position, ...] | NotBillable:
    """The deal's billing positions, or why it is not billed. Without a plan: one `final` position of the whole.

    `net` is the deal's net where the pair's amounts are gross (`invoice.net_of_gross` computes it).
    Held: no date of the win, no account, no amount, no currency, lines or a plan that do not add up to the amount.
    """
    not_won = _not_won(deal)
    if not_won is not None:
        return not_won
    day = _won_since(deal, rules)
    if isinstance(day, NotBillable):
        return day
    if not customer_of(deal):
        return _held("The deal names no account to bill.", "sold_to")
    whole = deal_net(deal, rules, net=net)
    if isinstance(whole, NotBillable):
        return whole
    steps = _steps(deal, whole, day, rules.basis)
    return steps if isinstance(steps, NotBillable) else _numbered(deal, steps, whole.currency)


def deal_net(deal: Deal, rules: BillingRules, *, net: Money | None = None) -> Money | NotBillable:
    """The net of the whole deal under the pair's basis, whether it is won or not; or why it cannot be told."""
    currency = _currency(deal)
    if isinstance(currency, NotBillable):
        return currency
    whole = _whole(deal, rules, currency, net)
    if isinstance(whole, NotBillable):
        return whole
    return _refuse_amount(whole) or whole


def customer_of(deal: Deal) -> str | None:
    """The CRM customer that a deal is billed to."""
    for ref in (deal.bill_to, deal.sold_to):
        if not isinstance(ref, msgspec.UnsetType) and ref is not None and ref != "":
            return ref
    return None


def _numbered(deal: Deal, steps: Iterable[BillingStep], currency: str) -> tuple[Position, ...]:
    return tuple(
        Position(deal=deal.ref, seq=n, role=step.role, planned_on=step.planned_on, net=Money(step.net, currency))
        for n, step in enumerate(steps, 1)
    )


DocumentFate: TypeAlias = Literal["open", "live", "void", "gone", "credited"]


def generation_to_bill(fates: Sequence[tuple[int, DocumentFate]], *, again: bool = False) -> int | NotBillable:
    """The generation of the next document of a position, from the fates of those it had: (generation, fate) with
    `open` an intent or draft, `live` posted, `void` or `gone` ended by a person, `credited` credited in full.

    At most one document is live. After a person ended the last one the position is spent, and only `again`
    (*Bill again*, or the re-issue after a credit note) makes the next generation."""
    if not fates:
        return 0
    if any(fate in ("open", "live") for _, fate in fates):
        return NotBillable(reason="live", why="The position has a document already.")
    last = max(generation for generation, _ in fates)
    if not again:
        return NotBillable(reason="spent", why="A person voided its document: billed again only by Bill again.")
    return last + 1
