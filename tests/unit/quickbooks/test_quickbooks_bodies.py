"""Canonical records -> what QuickBooks is sent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.records import Allocation as Settled
from connectors.canon.records import BillTo, Customer, Invoice, InvoiceLine, Item, Kind, Payment, TaxLine
from connectors.canon.values import Address, Money, Price, TaxId, TaxIdentity, Terms, to_places
from connectors.kit.contract import Account, NamedTerms, TaxCode
from connectors.quickbooks.bodies import create_body, update_body
from connectors.quickbooks.company import Company, Preferences, SoldItem
from connectors.quickbooks.fitting import Unfit

MARKER = "T-ABCDEFGHIJKLMN"


def company(country: str = "US", **more: Any) -> Company:
    """A company with two rates, terms, an income account, discounts and shipping."""
    switches: dict[str, Any] = {"home_currency": "USD", "uses_tax": True, "allow_discount": True} | more
    return Company(
        realm_id="1",
        name="Acme",
        country=country,
        fiscal_month=1,
        preferences=Preferences(**switches),
        accounts=(
            Account(ref="79", name="Consulting", type="income"),
            Account(ref="4", name="Till", type="other"),
        ),
        paths={"79": "Sales:Consulting"},
        tax_codes=(
            TaxCode(ref="2", name="NY-GOODS", rate=Decimal("8.25")),
            TaxCode(ref="3", name="NJ", rate=Decimal("6.625")),
            TaxCode(ref="NON", name="NON", rate=Decimal(0), taxable=False),
            TaxCode(ref="TAX", name="TAX", rate=None),
        ),
        terms=(NamedTerms(ref="3", name="Net 30", net_days=30), NamedTerms(ref="2", name="Net 15", net_days=15)),
    )


def invoice(*lines: InvoiceLine, **more: Any) -> Invoice:
    return Invoice(customer="7", date=date(2026, 10, 5), currency="USD", lines=lines, **more)


def line(**more: Any) -> InvoiceLine:
    return InvoiceLine(
        **{"item": "5", "qty": Decimal(3), "unit_price": Decimal("19.99"), "net": Decimal("59.97")} | more
    )


def test_a_customer_is_named_cleanly() -> None:
    """Colon, tab and new line leave the DisplayName (code 2040); an empty field is not sent with a create."""
    made = create_body(Customer(legal_name="Acme:\tEast\n Ltd", emails={"general": None}), MARKER, company())
    assert made == {"DisplayName": "Acme East Ltd", "CompanyName": "Acme:\tEast\n Ltd"}


def test_an_update_sends_its_fields_alone() -> None:
    """Only what changed, an emptied field as "", and an address with each of its parts."""
    after = {"phone": None, "addresses.billing": Address(lines=("1 Main St",), city="Albany")}
    made = update_body(Kind.CUSTOMER, after, company())
    assert {"PrimaryPhone", "BillAddr"} == set(made)
    assert (
        made["PrimaryPhone"], made["BillAddr"]["Line1"], made["BillAddr"]["Line2"], made["BillAddr"]["PostalCode"],
    ) == ({"FreeFormNumber": ""}, "1 Main St", "", "")  # fmt: skip


def test_a_masked_tax_id_is_never_written_back() -> None:
    """Neither if it says that it is masked, nor if it only looks so."""
    for identity in (
        TaxIdentity(ids=(TaxId("us.ein", "12-3456789"),), masked=True),
        TaxIdentity(ids=(TaxId("us.ein", "XXXXX6789"),)),
    ):
        with pytest.raises(Unfit, match="crossed out"):
            update_body(Kind.CUSTOMER, {"tax_identity": identity}, company())
    plain = TaxIdentity(ids=(TaxId("us.ein", "12-3456789"),))
    assert update_body(Kind.CUSTOMER, {"tax_identity": plain}, company()) == {"PrimaryTaxIdentifier": "12-3456789"}


def test_terms_are_the_companys_own() -> None:
    """By name, or by their days; unknown ones name those that there are."""
    for terms in (Terms(name="net 30"), Terms(net_days=30)):
        assert update_body(Kind.CUSTOMER, {"payment_terms": terms}, company()) == {"SalesTermRef": {"value": "3"}}
    with pytest.raises(Unfit, match="Net 15, Net 30"):
        update_body(Kind.CUSTOMER, {"payment_terms": Terms(net_days=45)}, company())


def test_a_new_item_needs_its_account() -> None:
    """By id, name or full name; without one it is refused, never guessed."""
    item = Item(name="Advice", item_kind="service", price=Price(Decimal("150"), "USD"))
    with pytest.raises(Unfit, match="names none"):
        create_body(item, MARKER, company())
    for account in ("79", "Consulting", "sales:consulting"):
        made = create_body(Item(name="Advice", item_kind="goods", income_account=account), MARKER, company())
        assert made == {"Name": "Advice", "Type": "NonInventory", "IncomeAccountRef": {"value": "79"}}
    with pytest.raises(Unfit, match="no income account Till"):
        create_body(Item(name="Advice", income_account="Till"), MARKER, company())


def test_an_invoice_is_whole() -> None:
    """Lines, one discount, shipping, tax by its code with the forecast amount, note with marker, number, buyer."""
    made = create_body(
        invoice(
            line(tax_code="NY-GOODS"),
            InvoiceLine(role="shipping", net=Decimal("6.90"), tax_code="NON"),
            InvoiceLine(role="discount", net=Decimal("-5.00")),
            tax=Decimal("4.53"),
            taxes=(TaxLine(code="2", rate=None, base=Decimal("54.97"), tax=Decimal("4.53"), decided_by="rule"),),
            internal_note="ask Bo",
            bill_to=BillTo(email="ap@acacia.test"),
            payment_terms=Terms(net_days=30),
            due_date=date(2026, 11, 4),
        ),
        MARKER,
        company(allow_shipping=True, custom_numbers=True),
    )
    assert {
        "CustomerRef": {"value": "7"},
        "Line": [
            {"DetailType": "SalesItemLineDetail", "Amount": Decimal("59.97"), "SalesItemLineDetail": {
                "ItemRef": {"value": "5"}, "Qty": Decimal(3), "UnitPrice": Decimal("19.99"),
                "TaxCodeRef": {"value": "TAX"}}},
            {"DetailType": "SalesItemLineDetail", "Amount": Decimal("6.90"), "SalesItemLineDetail": {
                "ItemRef": {"value": "SHIPPING_ITEM_ID"}, "TaxCodeRef": {"value": "NON"}}},
            {"DetailType": "DiscountLineDetail", "Amount": Decimal("5.00"),
             "DiscountLineDetail": {"PercentBased": False}},
        ],
        "ApplyTaxAfterDiscount": True,
        "TxnDate": "2026-10-05",
        "DueDate": "2026-11-04",
        "SalesTermRef": {"value": "3"},
        "DocNumber": MARKER,
        "PrivateNote": f"ask Bo\n[tieout {MARKER}]",
        "BillEmail": {"Address": "ap@acacia.test"},
        "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": Decimal("4.53")},
    } == made  # fmt: skip


def test_no_number_is_sent_where_quickbooks_numbers() -> None:
    """A number sent anyway would be dropped, or make a duplicate."""
    made = create_body(invoice(line(), number="1041"), MARKER, company())
    assert ("DocNumber" in made, made["PrivateNote"]) == (False, f"[tieout {MARKER}]")


@given(
    qty=st.decimals("0.01", "10000", places=2),
    price=st.decimals("0", "10000", places=5),
    off=st.decimals("0", "1", places=2),
)
def test_a_line_always_multiplies(qty: Decimal, price: Decimal, off: Decimal) -> None:
    """What is sent as quantity and price gives the sent amount, rounded half up at the cent (code 6070), and the
    amount is the line's net whatever the price was."""
    net = to_places(qty * price * (1 - off), 2)
    made = create_body(invoice(line(qty=qty, unit_price=price, net=net)), MARKER, company())["Line"][0]
    detail = made["SalesItemLineDetail"]
    assert made["Amount"] == net
    if "Qty" in detail:
        assert to_places(detail["Qty"] * detail["UnitPrice"], 2) == net
        assert -detail["UnitPrice"].as_tuple().exponent <= 7


def test_the_multiplication_check_can_fail() -> None:
    """A third of 100.00 as a price of two decimals does not give 100.00 back."""
    assert to_places(Decimal(3) * to_places(Decimal(100) / 3, 2), 2) != Decimal("100.00")


def test_tax_outside_the_us_stands_on_each_line() -> None:
    """A line names its code by id, a line without one is refused (code 6000), and no amount is sent."""
    british = company("GB", home_currency="GBP")
    made = create_body(Invoice(customer="7", lines=(line(tax_code="NJ"),), tax=Decimal(1)), MARKER, british)
    assert (
        made["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"], made["GlobalTaxCalculation"], "TxnTaxDetail" in made,
    ) == ({"value": "3"}, "TaxExcluded", False)  # fmt: skip
    with pytest.raises(Unfit, match="tax code on each line"):
        create_body(Invoice(customer="7", lines=(line(),)), MARKER, british)


def test_one_us_document_has_one_code() -> None:
    """Two taxable codes in one document cannot be said to QuickBooks."""
    with pytest.raises(Unfit, match="NJ, NY-GOODS"):
        create_body(invoice(line(tax_code="NJ"), line(tax_code="NY-GOODS")), MARKER, company())


def test_what_is_switched_off_is_refused_with_where_to_switch_it_on() -> None:
    """Discounts and a second currency depend on the company's settings."""
    discount = InvoiceLine(role="discount", net=Decimal(-1))
    with pytest.raises(Unfit, match="Discounts are switched off"):
        create_body(invoice(line(), discount), MARKER, company(allow_discount=False))
    with pytest.raises(Unfit, match="keeps USD only"):
        create_body(Invoice(customer="7", lines=(line(),), currency="EUR"), MARKER, company())


def test_a_posted_document_keeps_its_money() -> None:
    """Neither lines nor dates nor the note with our marker can be updated."""
    for path in ("lines", "date", "customer", "internal_note"):
        with pytest.raises(Unfit, match="not changed"):
            update_body(Kind.INVOICE, {path: "x"}, company())
    assert update_body(Kind.INVOICE, {"due_date": date(2026, 12, 1)}, company()) == {"DueDate": "2026-12-01"}


def test_a_long_text_is_refused_not_cut() -> None:
    """QuickBooks would cut or refuse it; a cut would be an edit that nobody made."""
    with pytest.raises(Unfit, match="at most 30 characters"):
        update_body(Kind.CUSTOMER, {"phone": "1" * 31}, company())


def test_a_payment_settles_by_invoice_and_credit() -> None:
    """One line for each invoice, one for each credit memo that is brought to them."""
    payment = Payment(
        customer="7",
        amount=Money(Decimal("70"), "USD"),
        allocations=(
            Settled(document="130", amount=Decimal("50"), via="90"),
            Settled(document="130", amount=Decimal("70")),
        ),
    )
    made = create_body(payment, MARKER, company())
    assert [
        {"Amount": Decimal("120"), "LinkedTxn": [{"TxnId": "130", "TxnType": "Invoice"}]},
        {"Amount": Decimal("50"), "LinkedTxn": [{"TxnId": "90", "TxnType": "CreditMemo"}]},
    ] == made["Line"]
    assert made["PaymentRefNum"] == MARKER


def test_a_line_without_an_item_gets_the_service_that_books_to_its_account() -> None:
    """The one called like the account, else the only one; two others are a question, and no account is a no."""
    bare = line(item=None, income_account="Sales:Consulting")

    def item_of(*items: SoldItem) -> str:
        made = create_body(invoice(bare), MARKER, msgspec.structs.replace(company(), items=items))
        ref: str = made["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"]
        return ref

    one, other, called = SoldItem("8", "Hours", "79"), SoldItem("9", "Days", "79"), SoldItem("7", "Consulting", "79")
    assert (item_of(one), item_of(one, other, called)) == ("8", "7")
    for items in ((), (one, other), (SoldItem("8", "Hours", "4"),)):
        with pytest.raises(Unfit, match="books to Sales:Consulting"):
            item_of(*items)
    with pytest.raises(Unfit, match="neither item nor account"):
        create_body(invoice(line(item=None)), MARKER, company())
