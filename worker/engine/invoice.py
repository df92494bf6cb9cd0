"""The document for one billing position, as it will be sent: whole and to the cent, or held for what it lacks."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from connectors.canon.fields import field_type, read
from connectors.canon.records import (
    BillTo,
    Customer,
    Deal,
    DealLine,
    Invoice,
    InvoiceLine,
    Kind,
    LineRole,
)
from connectors.canon.values import Address, Money, Terms, currency_places, to_places
from connectors.kit.contract import Catalogue
from worker.engine import forecast as reckoning
from worker.engine.billing import DEAL_OWNER, Held, Position, header_discount, line_amount, shipping
from worker.engine.forecast import (
    CentsPolicy,
    Forecast,
    ForecastLine,
    HeaderDiscount,
    PricedLine,
    TaxPart,
    TaxRates,
)
from worker.engine.mapping_model import InvoicesFlow
from worker.engine.tax import TaxCase, TaxTable, decide, place, status_of

ZERO = Decimal(0)
ONE = Decimal(1)
SHIPPING_KEY = "shipping"


class BooksItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item as the books know it: its ref there, the tax class it counts as, where its income goes."""

    ref: str
    name: str
    tax_class: str | None = None
    income_account: str | None = None


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the books tell that a document depends on.

    items      by the CRM's item ref, and by item name, the books' own item
    rates      the taxes behind each tax code, by the code's ref
    codes      the ref of a code that the mapping calls by name
    rounding   how the vendor rounds tax
    discount   how the vendor takes an order's discount: a line of its own, or spread over the lines
    total_to   what the vendor's totals are rounded to by a rounding line (1: whole rupees); None: they are not
    locked_until  last day of the closed period (the later of books and pair)
    """

    home_currency: str
    items: Mapping[str, BooksItem] = {}
    rates: TaxRates = {}
    codes: Mapping[str, str] = {}
    taxed: bool = True
    rounding: Literal["line", "document"] = "document"
    discount: Literal["line", "spread"] = "line"
    total_to: Decimal | None = None
    locked_until: date | None = None
    multi_currency: bool = False


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """The position to bill and where it comes from.

    whole    the position is all of its deal, so that the deal's own lines can be shown
    gross    the deal's amount with tax, where the pair's amounts are gross
    charged  what the customer was charged already (e-commerce)
    ship_to  where the goods go, if that is not the customer's own shipping address
    """

    deal: Deal
    position: Position
    won_on: date
    whole: bool = True
    gross: Money | None = None
    charged: Decimal | None = None
    ship_to: Address | None = None


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """A document ready to send and what it will come to at the vendor."""

    invoice: Invoice
    forecast: Forecast


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line before it is priced."""

    priced: PricedLine
    item: BooksItem | None = None
    source: DealLine | None = None
    text: str | None = None
    account: str | None = None


def books_facts(
    catalogue: Catalogue,
    *,
    items: Mapping[str, BooksItem],
    rounding: Literal["line", "document"] = "document",
    parts: TaxRates | None = None,
    locked_until: date | None = None,
) -> Books:
    """What the books' catalogue tells. A mapping may name a code by its name or its ref; `parts` gives the taxes
    of codes (by ref) that hold several; `locked_until` is the pair's own lock."""
    rates = {code.ref: (TaxPart(code.name, code.rate),) for code in catalogue.tax_codes}
    locks = [day for day in (catalogue.locked_until, locked_until) if day is not None]
    return Books(
        home_currency=catalogue.home_currency or "",
        items=items,
        rates={**rates, **(parts or {})},
        codes={code.name: code.ref for code in catalogue.tax_codes},
        taxed=catalogue.tax_regime != "none",
        rounding=rounding,
        locked_until=max(locks, default=None),
        multi_currency=catalogue.multi_currency,
    )


# --------------------------------------------------------------------------- what must be there


def _empty(value: object) -> bool:
    return value is None or value is msgspec.UNSET or (isinstance(value, str) and not value.strip())


def _name(customer: Customer) -> str | None:
    for name in (customer.legal_name, customer.display_name):
        if isinstance(name, str) and name.strip():
            return name
    return None


def _required(field: str, sale: Sale, customer: Customer) -> object:
    """The value that `require` asks for. Our names first, then a deal's field (`deal.x`), then a customer's."""
    match field:
        case "bill_to":
            return _name(customer)
        case "billing_email":
            return customer.emails.get("billing")
        case "billing_address":
            return customer.addresses.get("billing")
        case "tax_status":
            return status_of(customer.tax_identity)
        case "ship_to":
            return place(_ship_to(sale, customer))
        case "payment_terms":
            return _terms(sale, customer)
    if field.startswith("deal.") or field in ("po_number", "billing_contact"):
        return read(sale.deal, field.removeprefix("deal."))
    if field_type(Kind.CUSTOMER, field) is not None:
        return read(customer, field)
    return None


def _not_ready(sale: Sale, customer: Customer, flow: InvoicesFlow) -> Held | None:
    missing = [field for field in flow.ready.require if _empty(_required(field, sale, customer))]
    if not missing:
        return None
    names = " and ".join(field.removeprefix("deal.").replace("_", " ") for field in missing)
    return Held(reason=f"Missing: {names}.", field=missing[0], who=flow.ready.missing.removeprefix("ask "))


def _refused_customer(sale: Sale, customer: Customer, books: Books, day: date) -> Held | None:
    currency = sale.position.net.currency
    if customer.on_hold is True:
        return Held(reason="The customer is on hold in the books.", field="on_hold", who="finance")
    known = customer.currency if isinstance(customer.currency, str) else books.home_currency
    if known not in ("", currency):
        reason = f"The customer is kept in {known}, the deal is in {currency}: that needs a second customer."
        return Held(reason=reason, field="currency", who="finance")
    identity = customer.tax_identity
    if isinstance(identity, msgspec.UnsetType) or identity is None or identity.status != "exempt":
        return None
    if identity.expires is not None and identity.expires < day:
        return Held(
            reason=f"The exemption certificate ended on {identity.expires}.", field="tax_identity", who="finance"
        )
    return None


# --------------------------------------------------------------------------- dates


def _dated(sale: Sale, flow: InvoicesFlow, books: Books, today: date) -> date | Held:
    days = {"won_on": sale.won_on, "planned_on": sale.position.planned_on, "today": today}
    # An instalment is dated by its plan, whatever the day of the win.
    day = days[flow.date] if sale.whole or flow.date != "won_on" else sale.position.planned_on
    if books.locked_until is not None and day <= books.locked_until:
        reason = f"{day} is in a closed period (closed to {books.locked_until})."
        return Held(reason=reason, field="date", who="finance")
    return day


def due_date(day: date, terms: Terms) -> date | None:
    """The last day to pay: `net_days` on, then to the end of that month where the terms say so."""
    if terms.net_days is None and not terms.end_of_month:
        return None
    due = day + timedelta(days=terms.net_days if terms.net_days is not None else 0)
    if terms.end_of_month:
        return due.replace(day=calendar.monthrange(due.year, due.month)[1])
    return due


def _terms(sale: Sale, customer: Customer) -> Terms | None:
    for terms in (sale.deal.payment_terms, customer.payment_terms):
        if isinstance(terms, Terms):
            return terms
    return None


def _due(day: date, sale: Sale, customer: Customer, flow: InvoicesFlow) -> date | Held:
    if flow.due_days is not None:
        return day + timedelta(days=flow.due_days)
    terms = _terms(sale, customer)
    due = due_date(day, terms) if terms is not None else None
    if due is None:
        return Held(reason="No payment terms: the due date cannot be told.", field="payment_terms", who="finance")
    return due


def _dates(context: _Context, today: date) -> tuple[date, date] | Held:
    """Date and due date of the document."""
    day = _dated(context.sale, context.flow, context.books, today)
    if isinstance(day, Held):
        return day
    due = _due(day, context.sale, context.customer, context.flow)
    return due if isinstance(due, Held) else (day, due)


# --------------------------------------------------------------------------- lines


def _ship_to(sale: Sale, customer: Customer) -> Address | None:
    return sale.ship_to or customer.addresses.get("shipping") or customer.addresses.get("billing")


def _code(
    item_class: str | None, sale: Sale, customer: Customer, flow: InvoicesFlow, books: Books
) -> str | Held | None:
    if not books.taxed and not flow.tax:
        return None
    where, status = place(_ship_to(sale, customer)), status_of(customer.tax_identity)
    named = decide(TaxTable(flow.tax, flow.tax_otherwise), TaxCase(place=where, item_class=item_class, status=status))
    if isinstance(named, Held):
        return named
    code = books.codes.get(named, named)
    if code not in books.rates:
        return Held(reason=f"The books have no tax code {named}.", field="tax", who="admin")
    return code


def _item(line: DealLine, books: Books) -> BooksItem | None:
    for key in (line.item, line.item_name):
        if key is not None and key in books.items:
            return books.items[key]
    return None


class _Context(msgspec.Struct, frozen=True):
    """What every line of one document is made with."""

    sale: Sale
    customer: Customer
    flow: InvoicesFlow
    books: Books

    def code(self, item_class: str | None) -> str | Held | None:
        return _code(item_class, self.sale, self.customer, self.flow, self.books)


def _item_line(line: DealLine, context: _Context) -> _Line | Held:
    item = _item(line, context.books)
    if item is None:
        name = line.item_name or line.item or line.text or line.key
        return Held(reason=f'The books have no item "{name}".', field="item", who="admin")
    code = context.code(line.tax_class or item.tax_class)
    if isinstance(code, Held):
        return code
    amount = line_amount(line, context.sale.position.net.currency)
    return _Line(
        priced=PricedLine(key=line.key, qty=line.qty, unit_price=line.unit_price, amount=amount, code=code),
        item=item,
        source=line,
        text=line.text or line.item_name or item.name,
        account=item.income_account or context.flow.accounts.income,
    )


def _shipping_line(context: _Context) -> _Line | Held | None:
    amount = shipping(context.sale.deal)
    if amount == 0:
        return None
    code = context.code("shipping")
    if isinstance(code, Held):
        return code
    account = context.flow.accounts.shipping
    if account is None:
        return Held(reason="No account for shipping is chosen.", field="accounts.shipping", who="admin")
    priced = PricedLine(key=SHIPPING_KEY, amount=amount, code=code, role="shipping")
    return _Line(priced=priced, text="Shipping", account=account)


def _deal_lines(context: _Context) -> list[_Line] | Held:
    lines: list[_Line] = []
    for source in _source_lines(context.sale.deal):
        line = _item_line(source, context)
        if isinstance(line, Held):
            return line
        lines.append(line)
    freight = _shipping_line(context)
    if isinstance(freight, Held):
        return freight
    return lines if freight is None else [*lines, freight]


def _source_lines(deal: Deal) -> tuple[DealLine, ...]:
    return () if isinstance(deal.lines, msgspec.UnsetType) else deal.lines


def _one_line(context: _Context) -> list[_Line] | Held:
    """One line of the position's net (or, for a gross deal, of its amount)."""
    sale, sources = context.sale, _source_lines(context.sale.deal)
    items = [_item(line, context.books) for line in sources]
    classes = {s.tax_class or (i.tax_class if i is not None else None) for s, i in zip(sources, items, strict=True)}
    if len(classes) > 1:
        names = ", ".join(sorted(name or "none" for name in classes))
        return Held(reason=f"One line cannot hold several tax classes ({names}).", field="lines", who="admin")
    code = context.code(classes.pop() if classes else None)
    if isinstance(code, Held):
        return code
    amount = sale.gross.amount if sale.gross is not None and sale.whole else sale.position.net.amount
    only = items[0] if len(items) == 1 else None
    return [
        _Line(
            priced=PricedLine(key=f"position-{sale.position.seq}", unit_price=amount, amount=amount, code=code),
            item=only,
            text=_one_text(sale),
            account=(only.income_account if only is not None else None) or context.flow.accounts.income,
        )
    ]


def _one_text(sale: Sale) -> str:
    name = sale.deal.name if isinstance(sale.deal.name, str) else sale.deal.ref
    return name if sale.whole else f"{name}, {sale.position.role} {sale.position.seq}"


def _shows_lines(context: _Context) -> bool:
    return context.flow.lines == "line_items" and context.sale.whole and bool(_source_lines(context.sale.deal))


# --------------------------------------------------------------------------- the forecast


def _includes_tax(context: _Context) -> bool | Held:
    if not _shows_lines(context):
        return context.sale.gross is not None and context.sale.whole
    flags = {line.includes_tax for line in _source_lines(context.sale.deal)}
    if len(flags) > 1:
        reason = "Some lines have prices with tax, some without."
        return Held(reason=reason, field="lines", who=DEAL_OWNER)
    return flags.pop()


def _header_discount(context: _Context) -> HeaderDiscount | None:
    if not _shows_lines(context):
        return None
    currency = context.sale.position.net.currency
    goods = sum((line_amount(line, currency) for line in _source_lines(context.sale.deal)), ZERO)
    off = header_discount(context.sale.deal, goods, currency)
    return HeaderDiscount(amount=off, shown=context.books.discount) if off != 0 else None


def _forecast(lines: Sequence[_Line], context: _Context, net: Decimal | None) -> Forecast | Held:
    included = _includes_tax(context)
    if isinstance(included, Held):
        return included
    gross = context.sale.gross.amount if context.sale.gross is not None and context.sale.whole else None
    terms = reckoning.Terms(
        currency=context.sale.position.net.currency,
        rates=context.books.rates,
        rounding=context.books.rounding,
        prices_include_tax=included,
        discount=_header_discount(context),
        cents=CentsPolicy(kind=context.flow.cents, total_to=context.books.total_to),
        net=net,
        charged=context.sale.charged if context.sale.charged is not None else gross,
    )
    return reckoning.forecast([line.priced for line in lines], terms)


def _prepared(context: _Context) -> list[_Line] | Held:
    return _deal_lines(context) if _shows_lines(context) else _one_line(context)


def net_of_gross(sale: Sale, customer: Customer, flow: InvoicesFlow, books: Books) -> Money | Held:
    """The net inside a deal's gross amount (`sale.gross`), with the taxes that its lines would get. The position
    need not exist yet: its net is not looked at."""
    if sale.gross is None:
        raise ValueError("the deal's amount is not gross")
    context = _Context(sale, customer, flow, books)
    lines = _prepared(context)
    if isinstance(lines, Held):
        return lines
    made = _forecast(lines, context, None)
    return made if isinstance(made, Held) else Money(made.net, made.currency)


def _over_limit(customer: Customer, total: Decimal, currency: str) -> Held | None:
    limit, owed = customer.credit_limit, customer.balance
    if not isinstance(limit, Money) or not isinstance(owed, Money):
        return None
    if {limit.currency, owed.currency} != {currency}:
        return None
    over = owed.amount + total - limit.amount
    if over <= 0:
        return None
    reason = f"The credit limit of {limit} would be passed by {Money(over, currency)}."
    return Held(reason=reason, field="credit_limit", who="finance")


# --------------------------------------------------------------------------- the document


def draft_invoice(
    sale: Sale, customer: Customer, flow: InvoicesFlow, books: Books, *, marker: str, today: date
) -> Drafted | Held:
    """The invoice for a position and its forecast, or what is missing and who can mend it.

    `customer` is the books' record. The net equals the position's to the cent (charges and rounding apart)."""
    context = _Context(sale, customer, flow, books)
    dates = _not_ready(sale, customer, flow) or _dates(context, today)
    if isinstance(dates, Held):
        return dates
    lines = _refused_customer(sale, customer, books, dates[0]) or _prepared(context)
    if isinstance(lines, Held):
        return lines
    made = _forecast(lines, context, sale.position.net.amount)
    if isinstance(made, Held):
        return made
    over = _over_limit(customer, made.total, made.currency)
    return over or Drafted(invoice=_invoice(context, lines, made, dates, marker), forecast=made)


def _invoice(
    context: _Context, lines: Sequence[_Line], made: Forecast, dates: tuple[date, date], marker: str
) -> Invoice:
    sale, customer = context.sale, context.customer
    terms = _terms(sale, customer)
    return Invoice(
        marker=marker,
        customer=customer.ref,
        date=dates[0],
        due_date=dates[1],
        payment_terms=terms if context.flow.due_days is None and terms is not None else msgspec.UNSET,
        state="draft" if context.flow.as_ == "draft" else "posted",
        currency=made.currency,
        prices_include_tax=_includes_tax(context) is True,
        lines=_document_lines(context, lines, made),
        net=made.net + made.rounding,
        taxes=made.taxes,
        tax=made.tax,
        total=made.total,
        bill_to=_bill_to(customer),
        po_number=sale.deal.po_number,
        memo=sale.deal.memo,
        sales_rep=sale.deal.owner,
        origin="tieout",
    )


def _bill_to(customer: Customer) -> BillTo:
    identity = customer.tax_identity
    ids = () if isinstance(identity, msgspec.UnsetType) or identity is None else identity.ids
    return BillTo(
        name=_name(customer),
        address=customer.addresses.get("billing"),
        tax_id=ids[0].value if ids else None,
        email=customer.emails.get("billing"),
    )


def _document_lines(context: _Context, lines: Sequence[_Line], made: Forecast) -> tuple[InvoiceLine, ...]:
    by_key = {line.priced.key: line for line in lines}
    return tuple(_document_line(context, by_key.get(line.key), line, made.currency) for line in made.lines)


def _document_line(context: _Context, line: _Line | None, made: ForecastLine, currency: str) -> InvoiceLine:
    if line is None:
        return _own_line(context, made)
    qty, unit_price = _qty_and_price(line.priced, made.net, currency)
    source = line.source
    return InvoiceLine(
        key=made.key,
        role=made.role,
        item=line.item.ref if line.item is not None else None,
        item_name=line.item.name if line.item is not None else None,
        text=line.text,
        qty=qty,
        unit_price=unit_price,
        net=made.net,
        tax_code=made.code,
        service_from=source.service_from if source is not None else None,
        service_to=source.service_to if source is not None else None,
        income_account=line.account,
        position=context.sale.position.key,
        dimensions=source.dimensions if source is not None else {},
    )


def _own_line(context: _Context, made: ForecastLine) -> InvoiceLine:
    """A line that no deal line stands for: the order's discount, or rounding."""
    accounts = context.flow.accounts
    names: dict[LineRole, tuple[str, str | None]] = {
        "discount": ("Discount", accounts.discount),
        "rounding": (accounts.rounding or "Rounding", accounts.rounding),
    }
    label, account = names[made.role]
    return InvoiceLine(
        key=made.key,
        role=made.role,
        text=label,
        net=made.net,
        tax_code=made.code,
        income_account=account,
        position=context.sale.position.key,
    )


def _qty_and_price(priced: PricedLine, net: Decimal, currency: str) -> tuple[Decimal, Decimal]:
    """Quantity and unit price whose product is the net to the cent: the deal's own, else a price of up to six
    decimals, else one piece at the net. Vendors refuse a line whose amount is not quantity x price
    (QuickBooks error 6070)."""
    places = currency_places(currency)
    price = priced.unit_price
    if priced.qty == 0:
        return ONE, net
    if to_places(priced.qty * price, places) == net:
        return priced.qty, price
    price = to_places(net / priced.qty, 6).normalize()
    if to_places(priced.qty * price, places) == net:
        return priced.qty, price
    return ONE, net
