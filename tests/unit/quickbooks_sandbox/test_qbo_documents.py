"""Invoices and credit memos: lines, tax, discount, numbers, terms, closing date."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksFault, QuickBooksSandbox, Settings, operations


def invoice(books: QuickBooksSandbox, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Over the wire, to the one customer there is."""
    customer = books.company.named("Customer", "Acme")
    id = customer["Id"] if customer else books.add_customer("Acme")
    body = {"CustomerRef": {"value": id}, "Line": [books._line(line) for line in lines], **fields}
    return operations.write(books.company, "Invoice", body)


def refused(books: QuickBooksSandbox, *lines: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(QuickBooksFault) as caught:
        invoice(books, *lines, **fields)
    return caught.value.code


def sold(amount: str, **detail: Any) -> dict[str, Any]:
    return {"DetailType": "SalesItemLineDetail", "Amount": Decimal(amount), "SalesItemLineDetail": detail}


def test_numbers_are_the_company_s_own_unless_custom_numbers_are_on(books: QuickBooksSandbox) -> None:
    """Off: 1001, 1002 ..., and a number that is sent is dropped. On: what is sent, or none at all."""
    assert invoice(books, {"amount": "1"})["DocNumber"] == "1001"
    assert invoice(books, {"amount": "1"}, DocNumber="MINE")["DocNumber"] == "1002"
    books.preferences(custom_numbers=True)
    assert invoice(books, {"amount": "1"}, DocNumber="MINE")["DocNumber"] == "MINE"
    assert "DocNumber" not in invoice(books, {"amount": "1"})


def test_a_used_number_is_a_warning_of_the_preferences(books: QuickBooksSandbox) -> None:
    """6140 names the document that has it; with the preference off, or when told so, duplicates pass."""
    books.preferences(custom_numbers=True)
    first = invoice(books, {"amount": "1"}, DocNumber="1037")
    with pytest.raises(
        QuickBooksFault, match=f"DocNumber=1037 is assigned to TxnType=Invoice with TxnId={first['Id']}"
    ):
        invoice(books, {"amount": "1"}, DocNumber="1037")
    body = {"CustomerRef": first["CustomerRef"], "Line": [books._line({"amount": 1})], "DocNumber": "1037"}
    assert operations.write(books.company, "Invoice", body, duplicates=True)["DocNumber"] == "1037"
    books.preferences(warn_duplicate_numbers=False)
    assert invoice(books, {"amount": "1"}, DocNumber="1037")["DocNumber"] == "1037"


def test_amount_must_be_price_times_quantity_rounded_half_up(books: QuickBooksSandbox) -> None:
    """6070 for a cent's difference; 0.125 x 1 is 0.13."""
    item = {"value": books.add_item("Widget")}
    assert refused(books, sold("10.01", ItemRef=item, UnitPrice=Decimal("3.33"), Qty=3)) == "6070"
    assert invoice(books, sold("9.99", ItemRef=item, UnitPrice=Decimal("3.33"), Qty=3))["TotalAmt"] == Decimal("9.99")
    assert refused(books, sold("0.12", ItemRef=item, UnitPrice=Decimal("0.125"), Qty=1)) == "6070"
    assert invoice(books, sold("0.13", ItemRef=item, UnitPrice=Decimal("0.125"), Qty=1))["TotalAmt"] == Decimal("0.13")


def test_references_must_be_there_and_active(books: QuickBooksSandbox) -> None:
    """2500 for what is not there, 610 for what is inactive."""
    item = books.add_item("Widget")
    assert refused(books, {"amount": "1"}, CustomerRef={"value": "999"}) == "2500"
    assert refused(books, sold("1", ItemRef={"value": "999"})) == "2500"
    books.edit("Item", item, active=False)
    assert refused(books, sold("1", ItemRef={"value": item})) == "610"
    assert refused(books) == "2020"
    assert refused(books, {"amount": "1"}, Colour="red") == "2010"
    assert refused(books, sold("1", ItemRef={"value": item}, Colour="red")) == "2010"
    assert refused(books, {"amount": "1"}, PrivateNote="x" * 4001) == "2050"
    assert refused(books, {"shipping": True, "amount": "1"}) == "2500"


def test_a_line_without_an_item_is_documentation(books: QuickBooksSandbox) -> None:
    """Its amount is ignored, as the vendor says."""
    row = invoice(books, {"amount": "5"}, {**sold("7"), "Description": "by hand"})
    assert row["TotalAmt"] == Decimal("5.00")
    assert [line["DetailType"] for line in row["Line"]] == [
        "SalesItemLineDetail",
        "DescriptionOnly",
        "SubTotalLineDetail",
    ]
    assert "Id" not in row["Line"][2]


def test_us_tax_is_of_the_document(books: QuickBooksSandbox) -> None:
    """TAX lines at the company's rate on their sum; NON and nothing are untaxed; an exempt customer pays none."""
    row = invoice(books, {"amount": "800", "tax": "TAX"}, {"amount": "28.40", "tax": "NON"}, {"amount": "1"})
    assert row["TotalAmt"] == Decimal("893.40")
    detail = row["TxnTaxDetail"]
    assert (detail["TotalTax"], detail["TaxLine"][0]["TaxLineDetail"]["NetAmountTaxable"]) == (64, 800)
    assert refused(books, {"amount": "1", "tax": "7"}) == "2500"
    books.edit("Customer", "Acme", taxable=False)
    assert invoice(books, {"amount": "800", "tax": "TAX"})["TotalAmt"] == Decimal("800.00")


def test_an_order_charged_by_card_comes_out_at_the_charged_total(books: QuickBooksSandbox) -> None:
    """Goods 100.47, discount 5.00 before tax, shipping 6.90 untaxed, 8.25%: 110.25."""
    books.preferences(allow_shipping=True)
    code = books.add_tax_code("8.25", "8.25")
    row = invoice(
        books,
        {"qty": 3, "price": "19.99", "tax": "TAX"},
        {"amount": "40.50", "tax": "TAX"},
        {"discount": True, "amount": "5.00"},
        {"shipping": True, "amount": "6.90", "tax": "NON"},
        ApplyTaxAfterDiscount=True,
        TxnTaxDetail={"TxnTaxCodeRef": {"value": code}},
    )
    assert (row["TxnTaxDetail"]["TotalTax"], row["TotalAmt"]) == (Decimal("7.88"), Decimal("110.25"))
    subtotal = next(line for line in row["Line"] if line["DetailType"] == "SubTotalLineDetail")
    assert subtotal["Amount"] == Decimal("100.47")


def test_a_discount_after_tax_leaves_the_tax_alone(books: QuickBooksSandbox) -> None:
    """Without ApplyTaxAfterDiscount tax is on the full net; percentages are of the subtotal."""
    percent = {
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10},
    }
    row = invoice(books, {"amount": "100", "tax": "TAX"}, percent)
    assert row["TotalAmt"] == Decimal("98.00")
    books.preferences(allow_discount=False)
    assert refused(books, {"amount": "100"}, percent) == "6000"


def test_automated_sales_tax_ignores_what_is_sent(books: QuickBooksSandbox) -> None:
    """The state shipped to decides; only a code with a total overrides."""
    books.preferences(automated_tax=True)
    code = {"value": books.add_tax_code("Mine", 50)}
    to = {"Line1": "1 Main St", "CountrySubDivisionCode": "NY"}
    line = {"amount": "100", "tax": "TAX"}
    row = invoice(books, line, ShipAddr=to, TxnTaxDetail={"TxnTaxCodeRef": code})
    assert row["TxnTaxDetail"]["TotalTax"] == Decimal("8.88")
    assert row["TxnTaxDetail"]["TxnTaxCodeRef"] != code
    assert invoice(books, line, ShipAddr={"CountrySubDivisionCode": "OR"})["TotalAmt"] == Decimal("100.00")
    given = {"TxnTaxCodeRef": code, "TotalTax": Decimal("7.00")}
    assert invoice(books, line, ShipAddr=to, TxnTaxDetail=given)["TotalAmt"] == Decimal("107.00")


def british() -> QuickBooksSandbox:
    return QuickBooksSandbox(VirtualClock(fixed=True), settings=Settings(country="GB", home_currency="GBP"))


def test_outside_the_us_tax_is_by_rate_on_the_summed_net() -> None:
    """VAT of 3 x 0.02 at 20% is 0.01 (line by line it would be none); a line without a code is refused with 6000."""
    books = british()
    line = {"amount": "0.02", "tax": "20.0% S"}
    row = invoice(books, line, line, line, {"amount": "5", "tax": "0.0% Z"})
    assert row["TxnTaxDetail"]["TotalTax"] == Decimal("0.01")
    with pytest.raises(QuickBooksFault, match="Make sure all your transactions have a VAT rate"):
        invoice(books, {"amount": "5"})


def test_prices_that_include_tax_are_read_back_net() -> None:
    """3 x 9.99 + 4.95 at 20%: 34.92 in all, VAT 5.82 of the document; Amount is net, TaxInclusiveAmt gross."""
    books = british()
    row = invoice(
        books,
        {"qty": 3, "price": "9.99", "tax": "20.0% S"},
        {"amount": "4.95", "tax": "20.0% S"},
        GlobalTaxCalculation="TaxInclusive",
    )
    assert (row["TotalAmt"], row["TxnTaxDetail"]["TotalTax"]) == (Decimal("34.92"), Decimal("5.82"))
    lines = [line for line in row["Line"] if "Id" in line]
    assert sum(line["Amount"] for line in lines) == Decimal("29.10")
    assert [line["SalesItemLineDetail"]["TaxInclusiveAmt"] for line in lines] == [Decimal("29.97"), Decimal("4.95")]


def test_terms_make_the_due_date(books: QuickBooksSandbox) -> None:
    """The document's terms, else the customer's; a due date that is sent stands; without terms it is due at once."""
    assert invoice(books, {"amount": "1"}, TxnDate="2026-10-01")["DueDate"] == "2026-10-01"
    books.edit("Customer", "Acme", terms="Net 30")
    row = invoice(books, {"amount": "1"}, TxnDate="2026-10-01")
    assert row["DueDate"] == "2026-10-31"
    assert invoice(books, {"amount": "1"}, TxnDate="2026-10-01", DueDate="2026-12-24")["DueDate"] == "2026-12-24"
    assert books.edit("Invoice", row["Id"], terms="Net 15")["DueDate"] == "2026-10-16"


def test_a_closed_period_is_closed_over_the_wire(books: QuickBooksSandbox) -> None:
    """6210 for making, changing, voiding or deleting in it; a person is only warned."""
    row = invoice(books, {"amount": "1"}, TxnDate="2026-09-30")
    books.close_books("2026-09-30")
    assert refused(books, {"amount": "1"}, TxnDate="2026-09-15") == "6210"
    version = {"Id": row["Id"], "SyncToken": "0"}
    for act in (operations.void, operations.delete):
        with pytest.raises(QuickBooksFault, match="6210"):
            act(books.company, "Invoice", version)
    with pytest.raises(QuickBooksFault, match="6210"):
        operations.write(books.company, "Invoice", {**version, "sparse": True, "TxnDate": "2026-10-05"})
    assert invoice(books, {"amount": "1"}, TxnDate="2026-10-01")["TotalAmt"] == 1
    assert books.edit("Invoice", row["Id"], note="seen")["PrivateNote"] == "seen"


def test_a_void_keeps_the_document_and_its_number(books: QuickBooksSandbox) -> None:
    """Amounts zero, note Voided, nothing posted; a delete leaves nothing but its mark."""
    row = invoice(books, {"amount": "100", "tax": "TAX"}, PrivateNote="for D1")
    voided = operations.void(books.company, "Invoice", {"Id": row["Id"], "SyncToken": "0"})
    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided - for D1")
    assert voided["DocNumber"] == row["DocNumber"]
    assert {line["Amount"] for line in voided["Line"]} == {0}
    assert books.receivable(books.company.today()) == 0
    with pytest.raises(QuickBooksFault, match="5010"):
        operations.delete(books.company, "Invoice", {"Id": row["Id"], "SyncToken": "0"})
    operations.delete(books.company, "Invoice", {"Id": row["Id"], "SyncToken": "1"})
    with pytest.raises(QuickBooksFault, match="610"):
        books.company.read("Invoice", row["Id"])


def test_lines_are_replaced_as_a_whole_and_keep_their_ids(books: QuickBooksSandbox) -> None:
    """A sparse update of Line replaces all lines; a line with a known Id keeps it, others get new ones."""
    row = invoice(books, {"amount": "1"}, {"amount": "2"})
    kept = {**books._line({"amount": "5"}), "Id": "2"}
    body = {"Id": row["Id"], "SyncToken": "0", "sparse": True, "Line": [kept, books._line({"amount": "7"})]}
    changed = operations.write(books.company, "Invoice", body)
    assert [(line["Id"], line["Amount"]) for line in changed["Line"] if "Id" in line] == [("2", 5), ("3", 7)]
    assert changed["Balance"] == 12


def test_a_full_update_empties_what_it_leaves_out(books: QuickBooksSandbox) -> None:
    """Memo and note are gone after an update that does not name them."""
    row = invoice(books, {"amount": "1"}, CustomerMemo={"value": "thanks"}, PrivateNote="n")
    body = {"Id": row["Id"], "SyncToken": "0", "CustomerRef": row["CustomerRef"], "Line": row["Line"]}
    changed = operations.write(books.company, "Invoice", body)
    assert "CustomerMemo" not in changed
    assert "PrivateNote" not in changed
    assert changed["DocNumber"] == row["DocNumber"]


def test_foreign_documents_follow_the_customer(books: QuickBooksSandbox) -> None:
    """The customer's currency only; the rate of the day, else what is sent, else 1."""
    books.preferences(multi_currency=True)
    euro = books.add_customer("Euro", currency="EUR")
    lines = [books._line({"amount": "100"})]
    body = {"CustomerRef": {"value": euro}, "Line": lines, "TxnDate": "2026-10-14"}
    assert operations.write(books.company, "Invoice", body)["ExchangeRate"] == 1
    books.set_rate("EUR", "1.08", "2026-10-01")
    row = operations.write(books.company, "Invoice", body)
    assert (row["ExchangeRate"], row["HomeTotalAmt"], row["HomeBalance"]) == (Decimal("1.08"), 108, 108)
    with pytest.raises(QuickBooksFault, match="currency of the transaction is invalid"):
        operations.write(books.company, "Invoice", {**body, "CurrencyRef": {"value": "USD"}})


def test_e_mails_are_sent_and_counted(books: QuickBooksSandbox) -> None:
    """Sending needs an address, sets EmailSent, and ends at 40 a day."""
    row = invoice(books, {"amount": "1"})
    with pytest.raises(QuickBooksFault, match="2020"):
        operations.send(books.company, "Invoice", row["Id"], None, limited=True)
    sent = operations.send(books.company, "Invoice", row["Id"], "a@b.example", limited=True)
    assert (sent["EmailStatus"], sent["BillEmail"]) == ("EmailSent", {"Address": "a@b.example"})
    for _ in range(39):
        operations.send(books.company, "Invoice", row["Id"], None, limited=True)
    with pytest.raises(QuickBooksFault, match="limit of e-mails"):
        operations.send(books.company, "Invoice", row["Id"], None, limited=True)


def test_tax_follows_the_lines_of_a_sparse_update(books: QuickBooksSandbox) -> None:
    """New lines, new tax; a TxnTaxDetail that is sent back as it was read keeps the old total, as the vendor warns."""
    row = invoice(books, {"amount": "100", "tax": "TAX"})
    line = books._line({"amount": "200", "tax": "TAX"})
    body = {"Id": row["Id"], "SyncToken": "0", "sparse": True, "Line": [line]}
    changed = operations.write(books.company, "Invoice", body)
    assert (changed["TxnTaxDetail"]["TotalTax"], changed["TotalAmt"]) == (16, 216)
    again = {**body, "SyncToken": "1", "Line": [books._line({"amount": "300", "tax": "TAX"})]}
    kept = operations.write(books.company, "Invoice", {**again, "TxnTaxDetail": changed["TxnTaxDetail"]})
    assert kept["TotalAmt"] == 316


def test_a_document_moves_to_another_customer_only_while_nothing_is_settled(books: QuickBooksSandbox) -> None:
    """Both balances follow; with a payment applied it is refused."""
    row = invoice(books, {"amount": "100"})
    other = books.add_customer("Other")
    moved = books.edit("Invoice", row["Id"], CustomerRef={"value": other})
    balances = [books.company.read("Customer", id)["Balance"] for id in (row["CustomerRef"]["value"], other)]
    assert balances == [0, 100]
    books.add_payment(other, "10", invoices={moved["Id"]: "10"})
    with pytest.raises(QuickBooksFault, match="6000"):
        books.edit("Invoice", row["Id"], CustomerRef=row["CustomerRef"])
