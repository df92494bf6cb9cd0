"""Customers, items and the other name lists: names, versions, sparse and full updates, forms."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.quickbooks.sandbox import QuickBooksFault, QuickBooksSandbox, Settings, operations
from connectors.quickbooks.sandbox.faults import QuickBooksFault as Fault


def write(books: QuickBooksSandbox, entity: str, **body: Any) -> dict[str, Any]:
    return operations.write(books.company, entity, body)


def refused(books: QuickBooksSandbox, entity: str, **body: Any) -> str:
    with pytest.raises(QuickBooksFault) as caught:
        write(books, entity, **body)
    return caught.value.code


def test_names_are_one_namespace_over_customers_vendors_and_employees(books: QuickBooksSandbox) -> None:
    """6240 for a name that any of the three has, in any case, inactive rows included."""
    acme = books.add_customer("Acme")
    books.add_vendor("Paper Supply")
    assert refused(books, "Customer", DisplayName="ACME") == "6240"
    assert refused(books, "Vendor", DisplayName="Acme") == "6240"
    assert refused(books, "Employee", DisplayName="Paper Supply") == "6240"
    books.edit("Customer", acme, active=False)
    assert refused(books, "Customer", DisplayName="Acme") == "6240"
    books.edit("Customer", acme, name="Acme (old)")
    assert write(books, "Customer", DisplayName="Acme")["DisplayName"] == "Acme"


def test_items_and_accounts_have_their_own_names(books: QuickBooksSandbox) -> None:
    """An item may be called like a customer, but not like another item."""
    books.add_customer("Widget")
    books.add_item("Widget")
    with pytest.raises(Fault, match="6240"):
        books.add_item("widget")
    assert refused(books, "Account", Name="Checking", AccountType="Bank") == "6240"


def test_a_stale_version_is_refused(books: QuickBooksSandbox) -> None:
    """5010, and nothing is stored."""
    id = books.add_customer("Acme")
    write(books, "Customer", Id=id, SyncToken="0", sparse=True, Notes="one")
    assert refused(books, "Customer", Id=id, SyncToken="0", sparse=True, Notes="two") == "5010"
    assert refused(books, "Customer", Id=id, sparse=True, Notes="two") == "2020"
    row = books.company.read("Customer", id)
    assert (row["SyncToken"], row["Notes"]) == ("1", "one")


def test_sparse_changes_what_it_names_and_full_empties_the_rest(books: QuickBooksSandbox) -> None:
    """A sparse update leaves absent and null fields, an empty text empties; a full one empties all it leaves out."""
    id = books.add_customer("Acme", notes="n", email="a@b.example", phone="1")
    row = write(books, "Customer", Id=id, SyncToken="0", sparse=True, PrimaryPhone=None, Notes="")
    assert "Notes" not in row
    assert row["PrimaryPhone"] == {"FreeFormNumber": "1"}
    row = write(books, "Customer", Id=id, SyncToken="1", DisplayName="Acme", PrimaryPhone={"FreeFormNumber": "2"})
    assert row["PrimaryPhone"] == {"FreeFormNumber": "2"}
    assert "PrimaryEmailAddr" not in row
    assert refused(books, "Customer", Id=id, SyncToken="2", Notes="no name") == "2020"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"DisplayName": "a", "Colour": "red"}, "2010"),
        ({}, "2020"),
        ({"DisplayName": "a:b"}, "2040"),
        ({"DisplayName": "a\tb"}, "2040"),
        ({"DisplayName": "a\nb"}, "2040"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"DisplayName": "a", "PrimaryPhone": {"FreeFormNumber": "1" * 31}}, "2050"),
        ({"DisplayName": "a", "BillAddr": {"City": "x" * 256}}, "2050"),
        ({"DisplayName": "a", "PrimaryEmailAddr": {"Address": "nobody"}}, "2210"),
        ({"DisplayName": "a", "CreditLimit": "much"}, "2030"),
        ({"DisplayName": "a", "PrimaryPhone": "555"}, "2010"),
        ({"DisplayName": "a", "SalesTermRef": {"value": "999"}}, "2500"),
        ({"DisplayName": "a", "ParentRef": {"value": "999"}, "Job": True}, "2500"),
        ({"DisplayName": "a", "CurrencyRef": {"value": "EUR"}}, "6000"),
    ],
)
def test_a_wrong_customer_is_refused(books: QuickBooksSandbox, body: dict[str, Any], code: str) -> None:
    """Each with the vendor's own code, and nothing is made."""
    assert refused(books, "Customer", **body) == code
    assert books.company.rows["Customer"] == {}


def test_names_are_made_from_parts_and_parents(books: QuickBooksSandbox) -> None:
    """Without a DisplayName the parts are joined; a sub-customer's full name has its parent's before it."""
    parent = write(books, "Customer", GivenName="Ada", FamilyName="Lovelace")
    child = write(books, "Customer", DisplayName="Engine", Job=True, ParentRef={"value": parent["Id"]})
    assert parent["DisplayName"] == "Ada Lovelace"
    assert (child["FullyQualifiedName"], child["Level"]) == ("Ada Lovelace:Engine", 1)


def test_a_tax_number_is_read_back_masked(books: QuickBooksSandbox) -> None:
    """Only the last five characters show, so writing back what was read destroys it."""
    id = books.add_customer("Acme", PrimaryTaxIdentifier="123-45-6789")
    assert books.company.read("Customer", id)["PrimaryTaxIdentifier"] == "XXXXXX-6789"
    write(books, "Customer", Id=id, SyncToken="0", sparse=True, Notes="other")
    assert books.company.secrets["Customer", id] == {"PrimaryTaxIdentifier": "123-45-6789"}
    write(books, "Customer", Id=id, SyncToken="1", sparse=True, PrimaryTaxIdentifier="XXXXXX-6789")
    assert books.company.secrets["Customer", id] == {"PrimaryTaxIdentifier": "XXXXXX-6789"}


def test_a_currency_is_for_ever(books: QuickBooksSandbox) -> None:
    """A customer has one currency, another than the home currency only with multi-currency on."""
    books.preferences(multi_currency=True)
    id = books.add_customer("Euro", currency="EUR")
    assert refused(books, "Customer", Id=id, SyncToken="0", sparse=True, CurrencyRef={"value": "GBP"}) == "6000"


def test_name_lists_cannot_be_deleted(books: QuickBooksSandbox) -> None:
    """A customer is made inactive, never deleted."""
    id = books.add_customer("Acme")
    with pytest.raises(QuickBooksFault, match="Unsupported Operation"):
        operations.delete(books.company, "Customer", {"Id": id, "SyncToken": "0"})


def test_items_need_their_accounts(books: QuickBooksSandbox) -> None:
    """A service needs an income account; a type that the API cannot make is refused."""
    income = {"value": books.company.named("Account", "Services")["Id"]}  # type: ignore[index]  # it is set up
    assert refused(books, "Item", Name="Work") == "2020"
    assert refused(books, "Item", Name="Work", Type="Bundle", IncomeAccountRef=income) == "2170"
    assert write(books, "Item", Name="Work", IncomeAccountRef=income)["IncomeAccountRef"]["name"] == "Services"


def test_what_the_api_cannot_write(books: QuickBooksSandbox) -> None:
    """Tax codes and preferences are read-only over the wire."""
    assert refused(books, "TaxCode", Name="X") == "500"
    assert refused(books, "Preferences", SalesFormsPrefs={}) == "500"


def test_a_new_company_has_terms_accounts_and_tax_codes() -> None:
    """What is there on the first day."""
    books = QuickBooksSandbox(settings=Settings(country="GB", home_currency="GBP"))
    terms = [(row["Name"], row["DueDays"]) for row in books.company.rows["Term"].values()]
    assert terms == [("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30), ("2% 10 Net 30", 30)]
    assert [row["Name"] for row in books.company.rows["TaxCode"].values()] == ["20.0% S", "5.0% R", "0.0% Z"]
    us = QuickBooksSandbox()
    assert [row["RateValue"] for row in us.company.rows["TaxRate"].values()] == [8, 0]
