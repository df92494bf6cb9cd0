"""QuickBooks' wire -> canonical records."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors.canon.records import Allocation, Customer, Invoice, Item, Kind
from connectors.canon.values import ABSENT, Address, Money, TaxId, TaxIdentity, Terms
from connectors.kit.contract import NamedTerms
from connectors.kit.http import Answer
from connectors.quickbooks import fields
from connectors.quickbooks.fields import Reading, record_from

READING = Reading(home_currency="USD", terms={"3": NamedTerms(ref="3", name="Net 30", net_days=30)})

CUSTOMER: dict[str, Any] = {
    "Id": "7",
    "SyncToken": "2",
    "MetaData": {"CreateTime": "2026-10-01T09:00:00-07:00", "LastUpdatedTime": "2026-10-02T09:00:00-07:00"},
    "DisplayName": "Acacia (C)",
    "CompanyName": "Acacia Ltd",
    "PrimaryEmailAddr": {"Address": "ap@acacia.test"},
    "PrimaryPhone": {"FreeFormNumber": "(212) 555-0100"},
    "BillAddr": {"Id": "9", "Line1": "1 Main St", "City": "Albany", "CountrySubDivisionCode": "NY",
                 "Country": "USA", "PostalCode": "12207", "Lat": "42.6", "Long": "-73.7"},
    "SalesTermRef": {"value": "3"},
    "CurrencyRef": {"value": "EUR"},
    "Balance": Decimal("12.50"),
    "PrimaryTaxIdentifier": "XXXXX1234",
    "Taxable": True,
}  # fmt: skip


def invoice(**more: Any) -> dict[str, Any]:
    """An invoice of two lines, a discount and tax, as QuickBooks sends it."""
    lines = [
        {"Id": "1", "Amount": Decimal("59.97"), "DetailType": "SalesItemLineDetail", "Description": "Widgets",
         "SalesItemLineDetail": {"ItemRef": {"value": "5", "name": "A"}, "Qty": 3, "UnitPrice": Decimal("19.99"),
                                 "TaxCodeRef": {"value": "TAX"}}},
        {"Id": "2", "Amount": Decimal("6.90"), "DetailType": "SalesItemLineDetail",
         "SalesItemLineDetail": {"ItemRef": {"value": "SHIPPING_ITEM_ID"}, "TaxCodeRef": {"value": "NON"}}},
        {"Amount": Decimal("66.87"), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        {"Amount": Decimal("5.00"), "DetailType": "DiscountLineDetail",
         "DiscountLineDetail": {"PercentBased": False}},
    ]  # fmt: skip
    made: dict[str, Any] = {
        "Id": "130", "SyncToken": "0", "DocNumber": "1041", "TxnDate": "2026-10-05", "DueDate": "2026-11-04",
        "CustomerRef": {"value": "7", "name": "Acacia (C)"}, "Line": lines,
        "TxnTaxDetail": {"TotalTax": Decimal("4.53"), "TaxLine": [
            {"Amount": Decimal("4.53"), "DetailType": "TaxLineDetail",
             "TaxLineDetail": {"TaxRateRef": {"value": "4"}, "TaxPercent": Decimal("8.25"),
                               "NetAmountTaxable": Decimal("54.97")}}]},
        "TotalAmt": Decimal("66.40"), "Balance": Decimal("66.40"), "EmailStatus": "EmailSent",
        "SalesTermRef": {"value": "3"},
    }  # fmt: skip
    return made | more


def test_customer_is_read_whole() -> None:
    """Names, e-mail, address with ISO country, terms by their days, balance in the customer's currency."""
    made = record_from(Kind.CUSTOMER, CUSTOMER, READING)
    assert isinstance(made, Customer)
    expected = (
        "7", "2", datetime(2026, 10, 1, 16, tzinfo=UTC), "Acacia (C)", "Acacia Ltd", {"general": "ap@acacia.test"},
        "(212) 555-0100",
        {"billing": Address(lines=("1 Main St",), city="Albany", region="NY", postcode="12207", country="US"),
         "shipping": None},
        Terms(name="Net 30", ref="3", net_days=30), Money(Decimal("12.50"), "EUR"), True, False,
    )  # fmt: skip
    assert expected == (
        made.ref, made.version, made.created_at, made.display_name, made.legal_name, made.emails, made.phone,
        made.addresses, made.payment_terms, made.balance, made.active, made.is_person,
    )  # fmt: skip


def test_a_customer_without_a_company_is_called_by_its_display_name() -> None:
    """legal_name falls back to DisplayName, and a name of a person's parts makes a person."""
    wire = {"Id": "8", "DisplayName": "Amy Lauterbach", "GivenName": "Amy"}
    made = record_from(Kind.CUSTOMER, wire, READING)
    assert isinstance(made, Customer)
    assert (made.legal_name, made.is_person, made.phone) == ("Amy Lauterbach", True, None)


def test_a_masked_tax_id_says_so() -> None:
    """PrimaryTaxIdentifier comes back crossed out: it is read as masked."""
    made = record_from(Kind.CUSTOMER, CUSTOMER, READING)
    assert isinstance(made, Customer)
    expected = TaxIdentity(ids=(TaxId("us.ein", "XXXXX1234"),), status="taxable", masked=True)
    assert expected == made.tax_identity


def test_an_invoice_drops_the_subtotal_line() -> None:
    """Net is what people entered, less the discount: the subtotal line, counted, would double it."""
    made = record_from(Kind.INVOICE, invoice(), READING)
    assert isinstance(made, Invoice)
    roles = ("item", "shipping", "discount")
    assert (roles, Decimal("61.87"), Decimal("4.53"), Decimal("66.40")) == (
        tuple(line.role for line in made.lines), made.net, made.tax, made.total,
    )  # fmt: skip


def test_the_subtotal_check_can_fail() -> None:
    """A reader that counts the subtotal line gets another net."""
    counted = sum((Decimal(line["Amount"]) for line in invoice()["Line"][:3]), Decimal(0)) - Decimal("5.00")
    assert Decimal("61.87") != counted


def test_numbers_never_pass_through_a_float() -> None:
    """An amount that no float can hold comes out with all its digits."""
    body = b'{"Id": "5", "Name": "A", "UnitPrice": 90071992547409.93}'
    made = record_from(Kind.ITEM, Answer(200, {}, body).json(), READING)
    assert isinstance(made, Item)
    assert made.price is not None
    assert made.price is not ABSENT
    assert Decimal("90071992547409.93") == made.price.amount
    assert Decimal(str(msgspec.json.decode(b"9007199254740993.1"))) != Decimal("9007199254740993.1")


def test_void_is_told_by_total_and_note() -> None:
    """An invoice of nothing is void only if its note says so; the note that a person wrote is what is left."""
    void = record_from(Kind.INVOICE, invoice(TotalAmt=0, Balance=0, PrivateNote="Voided - ask Bo"), READING)
    free = record_from(Kind.INVOICE, invoice(TotalAmt=0, Balance=0, PrivateNote="ask Bo"), READING)
    assert isinstance(void, Invoice)
    assert isinstance(free, Invoice)
    assert (
        void.state,
        void.internal_note,
        free.state,
        free.internal_note,
    ) == ("void", "ask Bo", "posted", "ask Bo")


def test_our_marker_is_read_back() -> None:
    """From the private note, which loses it; or from a number that can only be ours."""
    noted = record_from(Kind.INVOICE, invoice(PrivateNote="ask Bo\n[tieout T-ABCDEFGHIJKLMN]"), READING)
    numbered = record_from(Kind.INVOICE, invoice(DocNumber="T-ABCDEFGHIJKLM2"), READING)
    other = record_from(Kind.INVOICE, invoice(DocNumber="T-100"), READING)
    assert isinstance(noted, Invoice)
    assert noted.internal_note == "ask Bo"
    assert [each.marker for each in (noted, numbered, other) if each is not None] == [
        "T-ABCDEFGHIJKLMN",
        "T-ABCDEFGHIJKLM2",
        None,
    ]
    assert (noted.origin, other.origin if isinstance(other, Invoice) else None) == ("tieout", ABSENT)


def test_an_invoice_of_a_template_is_recurring() -> None:
    """RecurDataRef names the template that QuickBooks made it from."""
    made = record_from(Kind.INVOICE, invoice(RecurDataRef={"value": "4"}), READING)
    assert isinstance(made, Invoice)
    assert made.origin == "recurring"


def test_a_line_without_an_item_counts_nothing() -> None:
    """QuickBooks ignores the amount of a line without an item, and so does the net."""
    bare = {"Amount": Decimal("9.99"), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}
    assert (Decimal(0), "text") == ((line := fields.lines_from([bare])[0]).net, line.role)


PAYMENT = {
    "Id": "140", "CustomerRef": {"value": "7"}, "TotalAmt": 100, "TxnDate": "2026-10-09", "UnappliedAmt": 0,
    "Line": [
        {"Amount": Decimal("120.00"), "LinkedTxn": [{"TxnId": "130", "TxnType": "Invoice"}]},
        {"Amount": Decimal("30.00"), "LinkedTxn": [{"TxnId": "131", "TxnType": "Invoice"}]},
        {"Amount": Decimal("50.00"), "LinkedTxn": [{"TxnId": "90", "TxnType": "CreditMemo"}]},
    ],
}  # fmt: skip


def test_a_payment_brings_credit_and_cash() -> None:
    """Credit memos go to the invoices first, in order, and cash covers the rest; cash adds up to the payment."""
    on = date(2026, 10, 9)
    expected = (
        Allocation(document="130", amount=Decimal("50.00"), on=on, via="90"),
        Allocation(document="130", amount=Decimal("70.00"), on=on),
        Allocation(document="131", amount=Decimal("30.00"), on=on),
    )
    made = fields.payment_from(PAYMENT, READING)
    cash = sum((each.amount for each in made.allocations if each.via is None), Decimal(0))
    assert (expected, Money(Decimal(100), "USD")) == (made.allocations, made.amount)
    assert cash == Decimal(100)


def test_an_item_category_is_no_item() -> None:
    """Categories are folders: they are left out."""
    assert record_from(Kind.ITEM, {"Id": "1", "Name": "Parts", "Type": "Category"}, READING) is None
