"""Name lists: customers, vendors, employees, items, accounts, terms, payment methods. They are never deleted,
only made inactive, and an inactive row keeps its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from connectors.quickbooks.sandbox import bodies, faults
from connectors.quickbooks.sandbox.company import Company, Row
from connectors.quickbooks.sandbox.schema import ENTITIES, PEOPLE

_NAME_PARTS = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
_MASKED = ("PrimaryTaxIdentifier", "SecondaryTaxIdentifier")
_ITEM_TYPES = ("Service", "NonInventory", "Inventory", "Category")
CLASSIFICATION = {
    "Bank": "Asset", "Accounts Receivable": "Asset", "Other Current Asset": "Asset", "Fixed Asset": "Asset",
    "Other Asset": "Asset", "Accounts Payable": "Liability", "Credit Card": "Liability",
    "Other Current Liability": "Liability", "Long Term Liability": "Liability", "Equity": "Equity",
    "Income": "Revenue", "Other Income": "Revenue", "Cost of Goods Sold": "Expense", "Expense": "Expense",
    "Other Expense": "Expense",
}  # fmt: skip
_TERM_TYPES = ("STANDARD", "DATE_DRIVEN")


def write(
    company: Company, entity: str, draft: Row, existing: Row | None, *, sent: Collection[str] | None = None
) -> Row:
    """Store a row of a name list; `sent` are the members the body had (None: all). Raises the fault that speaks
    against it."""
    row = dict(draft)
    row["Active"] = _flag(row.get("Active", existing.get("Active", True) if existing else True))
    _COMPLETE[entity](company, row, existing)
    id = existing["Id"] if existing else None
    company.claim_name(entity, row[_name_field(entity)], id)
    known = company.secrets.get((entity, id), {}) if id is not None else {}
    secrets = _take_secrets(row, known, row.keys() if sent is None else sent)
    stored = company.save(entity, row, id=id)
    company.secrets[entity, stored["Id"]] = secrets
    return stored


def _name_field(entity: str) -> str:
    return "DisplayName" if entity in PEOPLE else "Name"


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _take_secrets(row: Row, known: Mapping[str, str], sent: Collection[str]) -> dict[str, str]:
    """Tax numbers are kept apart; what is read back shows the last five characters only. Who writes back what was
    read stores the mask."""
    secrets = {}
    for name in _MASKED:
        if name not in row:
            continue
        plain = str(row[name]) if name in sent else known.get(name, str(row[name]))
        secrets[name] = plain
        row[name] = "X" * max(0, len(plain) - 5) + plain[-5:]
    return secrets


def _person(company: Company, row: Row, existing: Row | None) -> None:
    if "DisplayName" not in row:
        parts = [str(row[part]) for part in _NAME_PARTS if part in row]
        if not parts:
            raise faults.missing("DisplayName")
        row["DisplayName"] = " ".join(parts)
    row.setdefault("PrintOnCheckName", row.get("CompanyName", row["DisplayName"]))


def _customer(company: Company, row: Row, existing: Row | None) -> None:
    _person(company, row, existing)
    _hierarchy(company, "Customer", row)
    _currency(company, row, existing)
    _references(company, row)
    row["Taxable"] = _flag(row.get("Taxable", "TaxExemptionReasonId" not in row))
    row["Job"] = _flag(row.get("Job", False))
    row["BillWithParent"] = _flag(row.get("BillWithParent", False))
    row.setdefault("PreferredDeliveryMethod", "None")
    row["IsProject"] = False
    row["Balance"] = existing["Balance"] if existing else Decimal(0)
    row["BalanceWithJobs"] = existing["BalanceWithJobs"] if existing else Decimal(0)


def _references(company: Company, row: Row) -> None:
    for element, entity in (
        ("SalesTermRef", "Term"), ("PaymentMethodRef", "PaymentMethod"), ("DefaultTaxCodeRef", "TaxCode")
    ):  # fmt: skip
        if element in row:
            company.refer(entity, row[element], element)


def _hierarchy(company: Company, entity: str, row: Row) -> None:
    field = _name_field(entity)
    row["FullyQualifiedName"], row["Level"] = row[field], 0
    if "ParentRef" in row:
        parent = company.refer(entity, row["ParentRef"], "ParentRef")
        row["FullyQualifiedName"] = f"{parent['FullyQualifiedName']}:{row[field]}"
        row["Level"] = parent.get("Level", 0) + 1
        if row["Level"] > 4:
            raise faults.business("You can have only up to 4 levels of nesting under a top-level customer.")


def _currency(company: Company, row: Row, existing: Row | None) -> None:
    """One currency for each customer, for ever; another than the home currency only with multi-currency on."""
    home = company.settings.home_currency
    kept: Row = existing["CurrencyRef"] if existing else {"value": home}
    wanted: Row = row.get("CurrencyRef", kept)
    code = str(wanted.get("value"))
    if existing is not None and existing["CurrencyRef"]["value"] != code:
        raise faults.business("You can not change the currency type of a customer.", "CurrencyRef")
    if code != home and not company.settings.multi_currency:
        raise faults.business("Multi Currency should be enabled to perform this operation.", "CurrencyRef")
    row["CurrencyRef"] = {"value": code, "name": wanted.get("name", CURRENCY_NAMES.get(code, code))}


CURRENCY_NAMES = {
    "USD": "United States Dollar", "EUR": "Euro", "GBP": "British Pound Sterling", "CAD": "Canadian Dollar",
    "AUD": "Australian Dollar", "INR": "Indian Rupee", "CHF": "Swiss Franc", "JPY": "Japanese Yen",
}  # fmt: skip


def _item(company: Company, row: Row, existing: Row | None) -> None:
    if "Name" not in row:
        raise faults.missing("Name")
    row.setdefault("Type", existing["Type"] if existing else "Service")
    if row["Type"] not in _ITEM_TYPES:
        raise faults.invalid_enumeration("Type", row["Type"])
    needed = {
        "Service": ("IncomeAccountRef",),
        "NonInventory": ("IncomeAccountRef",),
        "Inventory": ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef", "QtyOnHand", "InvStartDate"),
    }
    for element in needed.get(row["Type"], ()):
        if element not in row:
            raise faults.missing(element)
    for element in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
        if element in row:
            account = company.refer("Account", row[element], element)
            row[element] = {"value": account["Id"], "name": account["FullyQualifiedName"]}
    _hierarchy(company, "Item", row)
    row["Taxable"] = _flag(row.get("Taxable", False))
    row.setdefault("UnitPrice", Decimal(0))
    row["TrackQtyOnHand"] = row["Type"] == "Inventory"


def _account(company: Company, row: Row, existing: Row | None) -> None:
    if "Name" not in row:
        raise faults.missing("Name")
    row.setdefault("AccountType", existing["AccountType"] if existing else None)
    if row["AccountType"] is None:
        raise faults.missing("AccountType")
    if row["AccountType"] not in CLASSIFICATION:
        raise faults.invalid_enumeration("AccountType", row["AccountType"])
    row["Classification"] = CLASSIFICATION[row["AccountType"]]
    row.setdefault("AccountSubType", row["AccountType"].replace(" ", ""))
    row.setdefault("CurrencyRef", {"value": company.settings.home_currency})
    row["SubAccount"] = "ParentRef" in row
    row["CurrentBalance"] = existing["CurrentBalance"] if existing else Decimal(0)
    row["CurrentBalanceWithSubAccounts"] = row["CurrentBalance"]
    _hierarchy(company, "Account", row)


def _term(company: Company, row: Row, existing: Row | None) -> None:
    if "Name" not in row:
        raise faults.missing("Name")
    row.setdefault("Type", "DATE_DRIVEN" if "DayOfMonthDue" in row else "STANDARD")
    if row["Type"] not in _TERM_TYPES:
        raise faults.invalid_enumeration("Type", row["Type"])
    if row["Type"] == "STANDARD":
        row["DueDays"] = int(bodies.decimal_of(row.get("DueDays", 0), "DueDays"))


def _plain(company: Company, row: Row, existing: Row | None) -> None:
    if "Name" not in row:
        raise faults.missing("Name")


_COMPLETE = {
    "Customer": _customer,
    "Vendor": _person,
    "Employee": _person,
    "Item": _item,
    "Account": _account,
    "Term": _term,
    "PaymentMethod": _plain,
    "TaxCode": _plain,
    "TaxRate": _plain,
}


def add(company: Company, entity: str, **fields: Any) -> Row:
    """A row of a name list as the company itself makes it (chart of accounts, tax codes)."""
    return write(company, entity, bodies.draft(ENTITIES[entity], fields, None), None)
