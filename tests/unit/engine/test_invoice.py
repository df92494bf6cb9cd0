"""The document for a position: complete and to the cent, or held."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from connectors.canon.records import Customer, Deal, DealLine
from connectors.canon.values import Address, Discount, Money, TaxIdentity, Terms
from connectors.kit.contract import Catalogue, TaxCode
from worker.engine.billing import Held, Position
from worker.engine.forecast import TaxPart
from worker.engine.invoice import (
    Books,
    BooksItem,
    Drafted,
    Sale,
    books_facts,
    draft_invoice,
    due_date,
    net_of_gross,
)
from worker.engine.mapping_model import Accounts, InvoicesFlow, Ready, TaxRule

TODAY = date(2026, 11, 23)
NO_LINES = Deal(ref="").lines


def D(text: str) -> Decimal:
    return Decimal(text)


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


BUYER = Customer(
    ref="b1",
    legal_name="Betatech",
    emails={"billing": "ap@betatech.test"},
    addresses={"billing": Address(lines=("1 Main St",), city="Albany", region="NY", country="US")},
    tax_identity=TaxIdentity(status="taxable"),
    currency="USD",
    payment_terms=Terms(name="Net 30", net_days=30),
)
PUMPS = DealLine(key="l1", item="p1", item_name="Pump", qty=D("3"), unit_price=D("2000.00"))
SEALS = DealLine(key="l2", item_name="Seals", qty=D("1"), unit_price=D("150.00"), discount=Discount("percent", D("20")))
DEAL = Deal(
    ref="d1",
    name="Q4 pumps",
    sold_to="c1",
    owner="o1",
    status="won",
    won_at=datetime(2026, 11, 20, 16, 0, tzinfo=UTC),
    amount=usd("6120.00"),
    lines=(PUMPS, SEALS),
    po_number="PO-7",
    memo="Thank you",
)
POSITION = Position(deal="d1", seq=1, role="final", planned_on=date(2026, 11, 20), net=usd("6120.00"))
SALE = Sale(deal=DEAL, position=POSITION, won_on=date(2026, 11, 20))
FLOW = InvoicesFlow(
    ready=Ready(require=("bill_to", "billing_email", "tax_status")),
    accounts=Accounts(shipping="Freight", rounding="Round Off"),
    tax=(
        TaxRule(code="NY-GOODS", ship_to="US-NY", item_class="goods", status="taxable"),
        TaxRule(code="NON", status="exempt"),
    ),
)
BOOKS = Books(
    home_currency="USD",
    items={
        "p1": BooksItem(ref="11", name="Pump", tax_class="goods", income_account="Sales"),
        "Seals": BooksItem(ref="12", name="Seals", tax_class="goods"),
    },
    rates={"3": (TaxPart("NY", D("8")),), "NON": (TaxPart("none", D("0")),)},
    codes={"NY-GOODS": "3", "NON": "NON"},
)


def draft(
    sale: Sale = SALE, buyer: Customer = BUYER, flow: InvoicesFlow = FLOW, books: Books = BOOKS
) -> Drafted | Held:
    return draft_invoice(sale, buyer, flow, books, marker="TO-1", today=TODAY)


def drafted(*args: object, **kwargs: object) -> Drafted:
    made = draft(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
    assert isinstance(made, Drafted), made
    return made


def held(*args: object, **kwargs: object) -> Held:
    made = draft(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
    assert isinstance(made, Held), made
    return made


def test_the_document_holds_the_deal_line_by_line() -> None:
    """Items are the books' own, the tax code too; the net is the position's, the total the forecast."""
    made = drafted()
    invoice = made.invoice
    assert isinstance(invoice.lines, tuple)
    assert [("11", D("3"), D("2000.00"), D("6000.00")), ("12", D("1"), D("120"), D("120.00"))] == [
        (line.item, line.qty, line.unit_price, line.net) for line in invoice.lines
    ]
    assert ["3", "3"] == [line.tax_code for line in invoice.lines]
    assert (D("6120.00"), D("489.60"), D("6609.60")) == (invoice.net, invoice.tax, invoice.total)
    assert (invoice.total, invoice.tax) == (made.forecast.total, made.forecast.tax)


def test_the_document_carries_what_the_books_need() -> None:
    """Dates, terms, the buyer as printed, purchase order, marker, and whose it is."""
    invoice = drafted().invoice
    assert (date(2026, 11, 20), date(2026, 12, 20), "posted") == (invoice.date, invoice.due_date, invoice.state)
    assert ("b1", "USD", "PO-7", "Thank you", "TO-1", "tieout") == (
        invoice.customer,
        invoice.currency,
        invoice.po_number,
        invoice.memo,
        invoice.marker,
        invoice.origin,
    )
    assert {"d1/1"} == {line.position for line in invoice.lines or ()}


def test_one_line_with_the_amount_of_the_deal() -> None:
    """Where the mapping wants no lines, the position is one line by the deal's name."""
    invoice = drafted(flow=replace(FLOW, lines="one_line")).invoice
    assert [("Q4 pumps", D("1"), D("6120.00"))] == [(x.text, x.qty, x.net) for x in invoice.lines or ()]


def test_an_instalment_is_one_line_on_the_day_of_its_plan() -> None:
    """A part of a deal cannot show the deal's lines; it is dated by its plan, not by the win."""
    part = replace(POSITION, seq=2, role="instalment", planned_on=date(2027, 2, 1), net=usd("3000.00"))
    invoice = drafted(replace(SALE, position=part, whole=False)).invoice
    assert [("Q4 pumps, instalment 2", D("3000.00"))] == [(x.text, x.net) for x in invoice.lines or ()]
    assert (date(2027, 2, 1), date(2027, 3, 3)) == (invoice.date, invoice.due_date)


@pytest.mark.parametrize(
    ("buyer", "field", "reason"),
    [
        (replace(BUYER, emails={}), "billing_email", "Missing: billing email."),
        (replace(BUYER, emails={"billing": " "}), "billing_email", "Missing: billing email."),
        (replace(BUYER, tax_identity=None), "tax_status", "Missing: tax status."),
        (replace(BUYER, on_hold=True), "on_hold", "The customer is on hold in the books."),
        (
            replace(BUYER, currency="EUR"),
            "currency",
            "The customer is kept in EUR, the deal is in USD: that needs a second customer.",
        ),
        (
            replace(BUYER, tax_identity=TaxIdentity(status="exempt", expires=date(2026, 11, 19))),
            "tax_identity",
            "The exemption certificate ended on 2026-11-19.",
        ),
        (replace(BUYER, payment_terms=None), "payment_terms", "No payment terms: the due date cannot be told."),
        (replace(BUYER, addresses={}), "ship_to", "The tax is not decided: no ship-to place."),
        (
            replace(BUYER, credit_limit=usd("10000"), balance=usd("8200")),
            "credit_limit",
            "The credit limit of USD 10,000.00 would be passed by USD 4,809.60.",
        ),
    ],
)
def test_what_the_customer_lacks_is_named(buyer: Customer, field: str, reason: str) -> None:
    """Each hold says what is missing, in which field, and so who is asked."""
    made = held(buyer=buyer)
    assert (field, reason) == (made.field, made.reason)


def test_a_limit_is_passed_by_the_cent_that_is_over_it() -> None:
    """Limit 10,000, A/R 8,200, new 2,400: 600.00 over."""
    small = replace(DEAL, lines=NO_LINES, amount=usd("2400.00"))
    sale = replace(SALE, deal=small, position=replace(POSITION, net=usd("2400.00")))
    buyer = replace(BUYER, credit_limit=usd("10000"), balance=usd("8200"), tax_identity=TaxIdentity(status="exempt"))
    assert "The credit limit of USD 10,000.00 would be passed by USD 600.00." == held(sale, buyer=buyer).reason


def test_a_missing_purchase_order_asks_the_owner_of_the_deal() -> None:
    """What a person of the deal can mend goes to that person."""
    flow = replace(FLOW, ready=Ready(require=("po_number",)))
    made = held(replace(SALE, deal=replace(DEAL, po_number=None)), flow=flow)
    assert ("po_number", "deal.owner", "Missing: po number.") == (made.field, made.who, made.reason)


def test_an_item_that_the_books_do_not_have_is_held() -> None:
    """It is never posted to some other item."""
    made = held(books=replace(BOOKS, items={}))
    assert ('The books have no item "Pump".', "admin") == (made.reason, made.who)


def test_a_code_that_the_books_do_not_have_is_held() -> None:
    """A typo in the tax table is found before anything is sent."""
    assert "The books have no tax code NY-GOODS." == held(books=replace(BOOKS, rates={})).reason


def test_a_closed_period_holds() -> None:
    """The later lock of books and pair counts, and its last day is closed."""
    made = held(books=replace(BOOKS, locked_until=date(2026, 11, 20)))
    assert "2026-11-20 is in a closed period (closed to 2026-11-20)." == made.reason


def test_a_net_that_is_not_the_positions_is_held() -> None:
    """A position of 6,130.00 is not billed with lines of 6,120.00."""
    assert "amount" == held(replace(SALE, position=replace(POSITION, net=usd("6130.00")))).field


def test_shipping_and_the_order_s_discount_are_lines_of_their_own() -> None:
    """Freight to its account, the discount before tax; the net still agrees."""
    deal = replace(DEAL, discount=Discount("per_line", D("120.00")), shipping=D("28.40"))
    flow = replace(FLOW, tax=(TaxRule(code="NON", item_class="shipping"), *FLOW.tax))
    sale = replace(SALE, deal=deal, position=replace(POSITION, net=usd("6028.40")))
    invoice = drafted(sale, flow=flow).invoice
    assert [("item", D("6000.00")), ("item", D("120.00")), ("shipping", D("28.40")), ("discount", D("-120.00"))] == [
        (x.role, x.net) for x in invoice.lines or ()
    ]
    assert (D("6028.40"), D("480.00")) == (invoice.net, invoice.tax)


def test_a_gross_deal_is_billed_at_its_gross() -> None:
    """1,080.00 with 8% in it is 1,000.00 net, and the document totals 1,080.00."""
    sale = replace(SALE, deal=replace(DEAL, lines=NO_LINES, amount=usd("1080.00")), gross=usd("1080.00"))
    flow = replace(FLOW, tax=(TaxRule(code="NY-GOODS", status="taxable"),))
    net = net_of_gross(sale, BUYER, flow, BOOKS)
    assert usd("1000.00") == net
    invoice = drafted(replace(sale, position=replace(POSITION, net=usd("1000.00"))), flow=flow).invoice
    assert (D("1000.00"), D("80.00"), D("1080.00")) == (invoice.net, invoice.tax, invoice.total)


def test_a_unit_price_always_multiplies_up_to_its_amount() -> None:
    """Three at 100.00 together have no price in cents: 33.333333 each, so that the vendor does not refuse it."""
    line = replace(PUMPS, unit_price=D("40"), net=D("100.00"))
    sale = replace(SALE, deal=replace(DEAL, lines=(line,)), position=replace(POSITION, net=usd("100.00")))
    invoice = drafted(sale).invoice
    assert [(D("3"), D("33.333333"))] == [(x.qty, x.unit_price) for x in invoice.lines or ()]


def test_books_without_tax_need_no_tax_table() -> None:
    """A company that charges no tax bills without codes."""
    made = drafted(flow=replace(FLOW, tax=()), books=replace(BOOKS, taxed=False))
    assert (None, D("0"), D("6120.00")) == (made.invoice.lines[0].tax_code, made.forecast.tax, made.forecast.total)  # type: ignore[index, union-attr]  # drafted lines


def test_a_draft_is_asked_for_as_a_draft() -> None:
    """The mapping says post or draft."""
    assert "draft" == drafted(flow=replace(FLOW, as_="draft")).invoice.state


@pytest.mark.parametrize(
    ("terms", "due"),
    [
        (Terms(net_days=30), date(2026, 12, 20)),
        (Terms(net_days=30, end_of_month=True), date(2026, 12, 31)),
        (Terms(end_of_month=True), date(2026, 11, 30)),
        (Terms(net_days=0), date(2026, 11, 20)),
        (Terms(name="By agreement"), None),
    ],
)
def test_terms_give_the_last_day_to_pay(terms: Terms, due: date | None) -> None:
    """Net days, then to the end of the month; terms by name alone give no day."""
    assert due == due_date(date(2026, 11, 20), terms)


def test_the_catalogue_gives_codes_and_the_later_lock() -> None:
    """A code is known by name and by ref; of the two locks the later counts."""
    catalogue = Catalogue(
        account_id="1",
        account_name="Acme",
        home_currency="USD",
        tax_regime="rates",
        tax_codes=(TaxCode(ref="3", name="NY-GOODS", rate=D("8")),),
        locked_until=date(2026, 9, 30),
    )
    made = books_facts(catalogue, items={}, locked_until=date(2026, 10, 31))
    assert ({"NY-GOODS": "3"}, (TaxPart("NY-GOODS", D("8")),)) == (made.codes, made.rates["3"])
    assert (date(2026, 10, 31), True) == (made.locked_until, made.taxed)
