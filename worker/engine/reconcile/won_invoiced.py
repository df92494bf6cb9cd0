"""Bridge 1: from what was won in the period to what was invoiced in it, net, each difference in one category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import msgspec

from connectors.canon.records import Invoice, InvoiceLine
from connectors.canon.values import Money, currency_places
from worker.engine.billing import NotBillable, Position, shipping
from worker.engine.reconcile.index import (
    SMALL_UNITS,
    ZERO,
    Index,
    bill_positions,
    deal_name,
    number,
    within_working_days,
)
from worker.engine.reconcile.ledger import GRACE_WORKING_DAYS, LedgerDeal, Waiting
from worker.engine.reconcile.report import CLOSES_BY, OPEN, Category, Item, Placed
from worker.engine.settlement import day, is_live, known, text

NEAR_DAYS = 3  # two documents of one customer and net this close together look like one made twice


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the bridge before steps of one record and category are added up."""

    category: Category
    amount: Money
    rate: Decimal | None
    on: date | None
    why: str = ""
    who: str | None = None
    open: bool | None = None
    exposure: Money | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What one deal brings to the bridge's start. `home` None: no rate is known."""

    deal: str
    amount: Money
    home: Decimal | None


class WonInvoiced(msgspec.Struct, frozen=True, kw_only=True):
    """Bridge 1 before it is added up by currency."""

    starts: tuple[Start, ...]
    items: tuple[Item, ...]
    carried: tuple[Item, ...]
    deals: tuple[Placed, ...]
    documents: tuple[Placed, ...]


# --------------------------------------------------------------------------- a position without a document


def _today(index: Index) -> date:
    return index.header.read_at.astimezone(ZoneInfo(index.header.zone)).date()


def _drafted(index: Index, position: Position) -> bool:
    return any(i.state in ("draft", "pending_approval") for i in index.documents.get(position.key, ()))


def _waits(index: Index, entry: LedgerDeal, position: Position) -> Waiting | None:
    """Who or what the position waits for, if for anything."""
    told = entry.waiting.get(position.key) or entry.waiting.get("")
    if told is not None:
        return told
    if isinstance(entry.billing, NotBillable):
        return Waiting(why=entry.billing.why, who=entry.billing.who)
    if _drafted(index, position):
        return Waiting(why="Its document is a draft.", who="approver")
    if within_working_days(position.planned_on, _today(index), GRACE_WORKING_DAYS, index.ledger.holidays):
        return Waiting(why=f"Within {GRACE_WORKING_DAYS} working days of its date.")
    return None


def _unbilled(index: Index, entry: LedgerDeal, position: Position) -> tuple[Category, str, str | None]:
    """Why a position has no document dated in the period: category, why, who."""
    if entry.accepted is not None:
        agreed = entry.accepted
        return Category.NOT_BILLABLE, f"{agreed.reason} ({agreed.by}, agreed by {agreed.agreed_by})", None
    if entry.reversed:
        return Category.REVERSED_DEAL, "The deal was won, and is not any more.", None
    if isinstance(entry.billing, NotBillable) and entry.billing.reason == "before_cut_over":
        return Category.BEFORE_CUT_OVER, entry.billing.why, None
    voided = next((i for i in index.documents.get(position.key, ()) if i.state == "void"), None)
    if voided is not None and not _drafted(index, position):
        return Category.VOIDED, f"{number(voided)} was voided in the books.", None
    if position.planned_on > index.period.end:
        return Category.LATER_INSTALMENT, f"Planned for {position.planned_on}.", None
    waits = _waits(index, entry, position)
    if waits is not None:
        return Category.WAITING, waits.why, waits.who
    return Category.MISSING, f"No document since {position.planned_on}.", None


def _outside(index: Index, position: Position, document: Invoice) -> tuple[Category, str]:
    """The category of a position whose document is dated outside the period."""
    on = day(document.date)
    if on is not None and on > index.period.end and position.planned_on > index.period.end:
        return Category.LATER_INSTALMENT, f"Invoice {number(document)} of {on}, as planned."
    return Category.CUT_OFF_OUT, f"Invoice {number(document)} is dated {on}."


def _open_part(index: Index, entry: LedgerDeal, position: Position) -> Part | None:
    """What takes a position out of the bridge; None if its document is dated in the period."""
    document = index.primary(position.key)
    who = None
    if document is not None and index.period.holds(day(document.date)):
        return None
    if document is not None:
        category, why = _outside(index, position, document)
    else:
        category, why, who = _unbilled(index, entry, position)
    on = entry.won_on if category is not Category.LATER_INSTALMENT else position.planned_on
    rate = index.position_rate(position)
    return Part(category=category, amount=-position.net, rate=rate, on=on, why=why, who=who)


def _exposed(index: Index, entry: LedgerDeal) -> Part | None:
    """A reversed deal that has live documents: nothing moves, and what is at stake is shown."""
    if not entry.reversed:
        return None
    live = [i for p in bill_positions(entry) if (i := index.primary(p.key)) is not None]
    if not live:
        return None
    currency = index.currency(live[0])
    stake = Money(sum((known(i.net) for i in live), ZERO), currency)
    why = f"The deal is not won any more, and {', '.join(number(i) for i in live)} stands."
    nothing = Money.zero(currency)
    return Part(
        category=Category.REVERSED_DEAL, amount=nothing, rate=Decimal(1), on=entry.won_on, why=why, exposure=stake
    )


# --------------------------------------------------------------------------- deals


def _planned_here(index: Index, entry: LedgerDeal) -> list[Part]:
    """Positions of a deal won earlier that are planned for the period and have no document in it: in by the plan,
    out by what is missing."""
    parts = []
    for position in bill_positions(entry):
        document = index.primary(position.key)
        before = document is not None and (day(document.date) or date.max) < index.period.start
        if before or not index.period.holds(position.planned_on):
            continue
        out = _open_part(index, entry, position)
        if out is not None:
            why = f"Planned for {position.planned_on}."
            rate = index.position_rate(position)
            on = position.planned_on
            parts += [Part(category=Category.EARLIER_PLAN, amount=position.net, rate=rate, on=on, why=why), out]
    return parts


def _carried(index: Index, entry: LedgerDeal) -> list[Part]:
    """What earlier periods left open of a deal: no document by the end of this one."""
    parts = []
    for position in bill_positions(entry):
        document = index.primary(position.key)
        done = document is not None and (day(document.date) or date.max) <= index.period.end
        if done or position.planned_on >= index.period.start:
            continue
        part = _open_part(index, entry, position)
        if part is not None and part.category in OPEN:
            parts.append(part)
    exposed = _exposed(index, entry)
    return parts if exposed is None else [*parts, exposed]


def _without_amount(index: Index, entry: LedgerDeal) -> Part:
    """A won deal whose amount nobody knows yet: it moves nothing, and is shown."""
    told = entry.billing if isinstance(entry.billing, NotBillable) else None
    nothing = Money.zero(index.home)
    why, who = (told.why, told.who) if told is not None else ("The deal has no amount.", None)
    return Part(category=Category.WAITING, amount=nothing, rate=Decimal(1), on=entry.won_on, why=why, who=who)


def _won_here(index: Index, entry: LedgerDeal) -> list[Part]:
    if not bill_positions(entry):
        return [_without_amount(index, entry)]
    parts = [part for p in bill_positions(entry) if (part := _open_part(index, entry, p)) is not None]
    exposed = _exposed(index, entry)
    return parts if exposed is None else [*parts, exposed]


def _counts(entry: LedgerDeal) -> bool:
    """Whether the deal was won, now or once."""
    return entry.deal.status == "won" or entry.reversed


def _start(index: Index, entry: LedgerDeal) -> tuple[Start, ...]:
    """What the deal brings, position by position, each at the rate of its document."""
    starts = []
    for position in bill_positions(entry):
        rate = index.position_rate(position)
        home = index.in_home(position.net.amount, rate) if rate is not None else None
        starts.append(Start(deal=entry.deal.ref, amount=position.net, home=home))
    return tuple(starts)


# --------------------------------------------------------------------------- documents


def _near(index: Index) -> Mapping[tuple[str, str, Decimal], list[tuple[date, str]]]:
    """Posted invoices of any date by customer, currency and net."""
    found: dict[tuple[str, str, Decimal], list[tuple[date, str]]] = defaultdict(list)
    for invoice in index.ledger.invoices:
        if is_live(invoice):
            found[_likeness(index, invoice)].append((day(invoice.date) or date.min, invoice.ref))
    return found


def _likeness(index: Index, invoice: Invoice) -> tuple[str, str, Decimal]:
    return text(invoice.customer) or "", index.currency(invoice), known(invoice.net)


def _twin(
    index: Index, invoice: Invoice, near: Mapping[tuple[str, str, Decimal], list[tuple[date, str]]]
) -> str | None:
    """Another document of the same customer and net within three days, made before this one or for a position."""
    own = (day(invoice.date) or date.min, invoice.ref)
    for other in near.get(_likeness(index, invoice), ()):
        if other[1] == own[1] or abs((other[0] - own[0]).days) > NEAR_DAYS:
            continue
        if other[1] in index.linked or other < own:
            return other[1]
    return None


def is_expected(index: Index, invoice: Invoice) -> bool:
    """Whether a rule says that such an invoice needs no deal."""
    for rule in index.ledger.expected:
        by_origin = rule.origin is None or invoice.origin == rule.origin
        by_number = rule.number is None or fnmatchcase(number(invoice), rule.number)
        if by_origin and by_number and (rule.origin is not None or rule.number is not None):
            return True
    return False


def _stray(
    index: Index, invoice: Invoice, near: Mapping[tuple[str, str, Decimal], list[tuple[date, str]]]
) -> tuple[Category, str]:
    """The category of an invoice that stands for no position."""
    if is_expected(index, invoice):
        return Category.NO_DEAL_EXPECTED, "A rule of the mapping expects it."
    on = day(invoice.date)
    if on is not None and on < index.ledger.cut_over:
        return Category.BEFORE_CUT_OVER, "Dated before the cut-over."
    twin = _twin(index, invoice, near)
    if twin is not None:
        return Category.DUPLICATE, f"Same customer and net as {number(index.invoices[twin])}, within three days."
    return Category.NO_DEAL_UNEXPECTED, "No deal and no rule explains it."


def _document_part(index: Index, invoice: Invoice, category: Category, amount: Decimal, why: str) -> Part:
    rate, currency = index.rate(invoice), index.currency(invoice)
    return Part(category=category, amount=Money(amount, currency), rate=rate, on=day(invoice.date), why=why)


def _second(index: Index, invoice: Invoice, position: str) -> Part:
    """A posted document beside the one that stands for its position: credited in full and re-issued, or a duplicate."""
    stands = index.primary(position)
    other = number(stands) if stands is not None else "another"
    if index.credited_in_full(invoice):
        why = f"Credited in full; {other} stands in its place."
        part = _document_part(index, invoice, Category.AMOUNT_DIFFERS, known(invoice.net), why)
        return msgspec.structs.replace(part, open=False)
    why = f"{other} stands for the same position."
    return _document_part(index, invoice, Category.DUPLICATE, known(invoice.net), why)


def _brought_in(index: Index, invoice: Invoice, entry: LedgerDeal, position: Position) -> Part | None:
    """What brings a document into the bridge whose deal is not in its start; None if the deal is."""
    if _counts(entry) and index.period.holds(entry.won_on):
        return None
    if entry.won_on is None or not _counts(entry):
        category = Category.REVERSED_DEAL if entry.reversed else Category.NO_DEAL_UNEXPECTED
        why = f'Its deal "{deal_name(entry)}" is not won.'
    elif index.period.holds(position.planned_on) and entry.won_on < index.period.start:
        category, why = Category.EARLIER_PLAN, f'Planned in "{deal_name(entry)}", won {entry.won_on}.'
    else:
        category, why = Category.CUT_OFF_IN, f'"{deal_name(entry)}" was won {entry.won_on}.'
    return _document_part(index, invoice, category, position.net.amount, why)


def _lines(invoice: Invoice) -> tuple[InvoiceLine, ...]:
    return () if isinstance(invoice.lines, msgspec.UnsetType) else invoice.lines


def _differences(index: Index, invoice: Invoice, pairs: list[tuple[LedgerDeal, Position]]) -> list[Part]:
    """Where the posted net is not the positions': charges that no deal names, rounding, and the rest."""
    agreed = sum((position.net.amount for _, position in pairs), ZERO)
    extra = known(invoice.net) - agreed
    if extra == 0:
        return []
    charged = sum((x.net for x in _lines(invoice) if x.role in ("shipping", "charge")), ZERO)
    charged -= sum((shipping(entry.deal) for entry, _ in pairs), ZERO) if charged != 0 else ZERO
    parts = []
    if charged > 0:
        why = ", ".join(x.text or x.role for x in _lines(invoice) if x.role in ("shipping", "charge"))
        parts.append(_document_part(index, invoice, Category.CHARGE_NOT_IN_DEAL, charged, why))
        extra -= charged
    rounded = sum((x.net for x in _lines(invoice) if x.role == "rounding"), ZERO)
    small = Decimal(SMALL_UNITS).scaleb(-currency_places(index.currency(invoice)))
    if extra != 0 and (abs(extra) <= small or extra == rounded):
        parts.append(_document_part(index, invoice, Category.ROUNDING, extra, "Rounded by the vendor."))
    elif extra != 0:
        why = f"Posted {known(invoice.net):,}, the deal says {agreed:,}."
        parts.append(_document_part(index, invoice, Category.AMOUNT_DIFFERS, extra, why))
    return parts


def _linked_parts(index: Index, invoice: Invoice) -> list[Part] | None:
    """The parts of a document that stands for positions; None if one of them belongs to no deal we know: what it
    adds stays unexplained."""
    keys = index.linked[invoice.ref]
    if any(key not in index.positions for key in keys):
        return None
    pairs: list[tuple[LedgerDeal, Position]] = []
    parts: list[Part] = []
    for key in keys:
        first = index.primary(key)
        if first is not None and first.ref != invoice.ref:
            return [_second(index, invoice, key)]
        entry, position = index.positions[key]
        pairs.append((entry, position))
        brought = _brought_in(index, invoice, entry, position)
        parts += [brought] if brought is not None else []
    return [*parts, *_differences(index, invoice, pairs)]


# --------------------------------------------------------------------------- items


def _item(index: Index, parts: list[Part], ref: str, label: str, customer: str, side: str) -> Item:
    """The parts of one record in one category, as one item."""
    first = parts[0]
    amount = Money(sum((part.amount.amount for part in parts), ZERO), first.amount.currency)
    homes = [index.in_home(p.amount.amount, p.rate) if p.rate is not None else None for p in parts]
    home = None if any(h is None for h in homes) else sum((h for h in homes if h is not None), ZERO)
    on = min((part.on for part in parts if part.on is not None), default=None)
    is_open = first.category in OPEN if first.open is None else first.open
    return Item(
        id=f"{first.category}:{ref}",
        category=first.category,
        side="crm" if side == "crm" else "books",
        ref=ref,
        label=label,
        amount=amount,
        customer=customer,
        home=home,
        exposure=first.exposure,
        on=on,
        age_days=index.age(on),
        closes_by="" if first.category in OPEN and not is_open else CLOSES_BY.get(first.category, ""),
        open=is_open,
        who=first.who,
        why=first.why,
    )


def _items(index: Index, parts: Iterable[Part], ref: str, label: str, customer: str, side: str) -> list[Item]:
    by_category: dict[tuple[Category, str], list[Part]] = defaultdict(list)
    for part in parts:
        by_category[part.category, part.amount.currency].append(part)
    return [_item(index, same, ref, label, customer, side) for same in by_category.values()]


def _deal_items(index: Index, entry: LedgerDeal, parts: Iterable[Part]) -> list[Item]:
    return _items(index, parts, entry.deal.ref, deal_name(entry), index.deal_customer(entry), "crm")


def _line(items: list[Item]) -> Category | None:
    return items[0].category if items else None


def _place_deals(index: Index) -> tuple[list[Start], list[Item], list[Item], list[Placed]]:
    starts: list[Start] = []
    items: list[Item] = []
    carried: list[Item] = []
    placed: list[Placed] = []
    for entry in index.ledger.deals:
        if not _counts(entry) or entry.won_on is None:
            continue
        if index.period.holds(entry.won_on):
            found = _deal_items(index, entry, _won_here(index, entry))
            starts += _start(index, entry)
            items += found
            placed.append(Placed(ref=entry.deal.ref, label=deal_name(entry), line=_line(found), net=entry.net))
        elif entry.won_on < index.period.start:
            items += _deal_items(index, entry, _planned_here(index, entry))
            carried += _deal_items(index, entry, _carried(index, entry))
    return starts, items, carried, placed


def _place_documents(index: Index) -> tuple[list[Item], list[Placed]]:
    items: list[Item] = []
    placed: list[Placed] = []
    near = _near(index)
    for invoice in index.posted:
        parts: list[Part] | None
        if invoice.ref in index.linked:
            parts = _linked_parts(index, invoice)
        else:
            category, why = _stray(index, invoice, near)
            parts = [_document_part(index, invoice, category, known(invoice.net), why)]
        if parts is None:
            continue
        found = _items(index, parts, invoice.ref, number(invoice), index.customer(invoice), "books")
        items += found
        net = Money(known(invoice.net), index.currency(invoice))
        placed.append(Placed(ref=invoice.ref, label=number(invoice), line=_line(found), net=net))
    return items, placed


def won_invoiced(index: Index) -> WonInvoiced:
    """Every won deal and every posted document of the period in its place."""
    starts, items, carried, deals = _place_deals(index)
    more, documents = _place_documents(index)
    return WonInvoiced(
        starts=tuple(starts),
        items=(*items, *more),
        carried=tuple(carried),
        deals=tuple(deals),
        documents=tuple(documents),
    )
