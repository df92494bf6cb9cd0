"""From canonical records to what QuickBooks is sent; documents in `documents.py`, reading in `fields.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.canon.fields import Value
from connectors.canon.records import (
    AnyRecord,
    CreditNote,
    Customer,
    Invoice,
    Item,
    Kind,
    Payment,
)
from connectors.canon.values import ABSENT, Absent, Price, TaxIdentity, Terms
from connectors.quickbooks.company import Company
from connectors.quickbooks.documents import credit_note_body, document_part, invoice_body, note_body
from connectors.quickbooks.fields import is_masked
from connectors.quickbooks.fitting import Body, Unfit, address_body, clean_name, fit, given
from connectors.quickbooks.vendor import US_TAXABLE
from connectors.quickbooks.wire import to_ref

# --------------------------------------------------------------------------- customers


_CREATED_WITH = (
    "legal_name",
    "phone",
    "website",
    "notes",
    "payment_terms",
    "tax_identity",
    "default_tax_code",
    "parent",
)


def customer_body(customer: Customer, company: Company) -> Body:
    """A new customer. QuickBooks wants a DisplayName, unique among customers, vendors and employees."""
    values: dict[str, Value] = {path: getattr(customer, path) for path in _CREATED_WITH}
    values["emails.general"] = customer.emails.get("general")
    for role in ("billing", "shipping"):
        values[f"addresses.{role}"] = customer.addresses.get(role)
    values |= {f"properties.{name}": value for name, value in customer.properties.items()}
    body = customer_changes({path: value for path, value in values.items() if given(value)}, company)
    body |= _part("display_name", _first(customer.display_name, customer.legal_name), company)
    if given(customer.currency) and company.preferences.multi_currency:
        body["CurrencyRef"] = to_ref(str(customer.currency))
    return body


def _first(*values: str | Absent | None) -> str | None:
    for value in values:
        if isinstance(value, str) and value.strip() != "":
            return value
    return None


def customer_changes(after: Mapping[str, Value], company: Company) -> Body:
    """The wire fields of these canonical ones, for a sparse update."""
    body: Body = {}
    for path, value in after.items():
        if value is not ABSENT:
            body |= _part(path, value, company)
    return body


# Plain texts of a customer: canonical path -> (wire name, whose length holds).
_TEXTS: dict[str, tuple[str, str]] = {
    "legal_name": ("CompanyName", "CompanyName"),
    "emails.general": ("PrimaryEmailAddr.Address", "Address"),
    "phone": ("PrimaryPhone.FreeFormNumber", "FreeFormNumber"),
    "website": ("WebAddr.URI", "URI"),
    "notes": ("Notes", "Notes"),
}


def _part(path: str, value: Any, company: Company) -> Body:
    if path in _TEXTS:
        return _text_part(path, value)
    match path:
        case "display_name":
            return {"DisplayName": fit(_name(value, path, "customer"), "DisplayName", path)}
        case "active":
            return {"Active": value is not False}
        case "addresses.billing":
            return {"BillAddr": address_body(value, path)}
        case "addresses.shipping":
            return {"ShipAddr": address_body(value, path)}
        case "tax_identity":
            return _tax_identity(value)
        case "payment_terms":
            return {"SalesTermRef": to_ref(term_ref(value, company))}
        case "default_tax_code":
            return {"DefaultTaxCodeRef": to_ref(_needed(value, path))}
        case "parent":
            return {"Job": True, "ParentRef": to_ref(_needed(value, path))}
    if path.startswith("properties."):
        return {path.removeprefix("properties."): value or ""}
    raise Unfit(path, "QuickBooks has no place for this.")


def _text_part(path: str, value: str | None) -> Body:
    name, length = _TEXTS[path]
    head, _, tail = name.partition(".")
    text = fit(value or "", length, path)
    return {head: {tail: text} if tail else text}


def _name(value: str | None, path: str, what: str) -> str:
    name = clean_name(value or "")
    if name == "":
        raise Unfit(path, f"QuickBooks wants a name for each {what}.")
    return name


def _needed(value: Any, path: str) -> str:
    if not isinstance(value, str) or value == "":
        raise Unfit(path, "QuickBooks cannot empty this once it is set; change it there.")
    return value


def _tax_identity(value: TaxIdentity | None) -> Body:
    identity = value if value is not None else TaxIdentity()
    if identity.masked or any(is_masked(each.value) for each in identity.ids):
        raise Unfit("tax_identity", "This tax id was read crossed out; it would replace the real one.")
    body: Body = {}
    if not identity.ids:
        body["PrimaryTaxIdentifier"] = ""
    for each in identity.ids:
        body["GSTIN" if each.scheme == "in_.gstin" else "PrimaryTaxIdentifier"] = each.value
    if identity.status is not None:
        body["Taxable"] = identity.status == "taxable"
    if identity.certificate is not None:
        body["ResaleNum"] = identity.certificate
    return body


def term_ref(terms: Terms | None, company: Company) -> str:
    """The id of the company's own terms. Raises Unfit if it has none such."""
    known = company.terms_for(terms) if terms is not None else None
    if known is not None:
        return known.ref
    asked = "no terms" if terms is None else terms.name or f"{terms.net_days} days"
    names = ", ".join(sorted(each.name for each in company.terms)) or "none"
    raise Unfit("payment_terms", f"QuickBooks does not know {asked}. It knows: {names}.")


# --------------------------------------------------------------------------- items

# Inventory items need three accounts, a quantity and a date that a CRM does not have: goods are made NonInventory.
_TYPE = {"goods": "NonInventory"}


def item_body(item: Item, company: Company) -> Body:
    """A new item. QuickBooks wants an income account for it, and Tieout never picks one by itself."""
    values: dict[str, Value] = {
        path: getattr(item, path) for path in ("name", "sku", "description", "price", "tax_class", "cost")
    }
    body = item_changes({path: value for path, value in values.items() if given(value)}, company)
    if "Name" not in body:
        raise Unfit("name", "QuickBooks wants a name for each item.")
    kind = item.item_kind if isinstance(item.item_kind, str) else "service"
    body["Type"] = _TYPE.get(kind, "Service")
    if not given(item.income_account):
        raise Unfit("income_account", "A new item needs an income account, and the mapping names none.")
    return body | item_changes({"income_account": item.income_account}, company)


def item_changes(after: Mapping[str, Value], company: Company) -> Body:
    """The wire fields of these canonical ones, for a sparse update."""
    body: Body = {}
    for path, value in after.items():
        if value is not ABSENT:
            body |= _item_part(path, value, company)
    return body


def _item_part(path: str, value: Any, company: Company) -> Body:
    match path:
        case "name":
            return {"Name": fit(_name(value, path, "item"), "Name", path)}
        case "sku":
            return {"Sku": fit(value or "", "Sku", path)}
        case "description":
            return {"Description": fit(value or "", "Description", path)}
        case "active":
            return {"Active": value is not False}
        case "price":
            return _price(value, company)
        case "cost":
            return {"PurchaseCost": value if value is not None else Decimal(0)}
        case "tax_class":
            return _tax_class(value, company)
        case "income_account":
            return {"IncomeAccountRef": to_ref(_income_account(value, company))}
    raise Unfit(path, "QuickBooks has no place for this.")


def _price(value: Price | None, company: Company) -> Body:
    if value is None:
        return {"UnitPrice": Decimal(0)}
    home = company.preferences.home_currency
    if value.currency is not None and home is not None and value.currency != home:
        raise Unfit("price", f"QuickBooks keeps item prices in {home}, not in {value.currency}.")
    return {"UnitPrice": value.amount, "SalesTaxIncluded": value.includes_tax}


def _tax_class(value: str | None, company: Company) -> Body:
    if company.american:
        return {"Taxable": value == US_TAXABLE}
    code = company.tax_code(value) if value is not None else None
    if code is None:
        raise Unfit("tax_class", f"QuickBooks knows no tax code {value}.")
    return {"SalesTaxCodeRef": to_ref(code.ref)}


def _income_account(value: str | None, company: Company) -> str:
    account = company.account(value)
    if account is None or account.type != "income":
        raise Unfit("income_account", f"QuickBooks has no income account {value}.")
    return account.ref


# --------------------------------------------------------------------------- payments and updates


def payment_body(payment: Payment, marker: str, company: Company) -> Body:
    """A new payment. The reference carries our marker where nothing else does."""
    if not isinstance(payment.customer, str) or payment.amount is ABSENT:
        raise Unfit("customer", "A payment in QuickBooks needs a customer and an amount.")
    reference = payment.reference if isinstance(payment.reference, str) else marker
    body: Body = {
        "CustomerRef": to_ref(payment.customer),
        "TotalAmt": payment.amount.amount,
        "PrivateNote": note_body(payment.internal_note, marker),
        "PaymentRefNum": fit(reference, "PaymentRefNum", "reference"),
    }
    if isinstance(payment.date, date):
        body["TxnDate"] = payment.date.isoformat()
    if payment.allocations:
        body["Line"] = _settled(payment)
    if isinstance(payment.deposit_account, str):
        account = company.account(payment.deposit_account)
        if account is None:
            raise Unfit("deposit_account", f"QuickBooks has no account {payment.deposit_account}.")
        body["DepositToAccountRef"] = to_ref(account.ref)
    return body | _payment_currency(payment, company)


def _payment_currency(payment: Payment, company: Company) -> Body:
    if payment.amount is ABSENT or not company.preferences.multi_currency:
        return {}
    body: Body = {"CurrencyRef": to_ref(payment.amount.currency)}
    if payment.exchange_rate is not ABSENT and payment.exchange_rate is not None:
        body["ExchangeRate"] = payment.exchange_rate.rate
    return body


def _settled(payment: Payment) -> list[Body]:
    """One line for each invoice, and one for each credit memo that is brought to them."""
    amounts: dict[tuple[str, str], Decimal] = {}
    for each in payment.allocations:
        for kind, document in (("Invoice", each.document), ("CreditMemo", each.via)):
            if document is not None:
                amounts[kind, document] = amounts.get((kind, document), Decimal(0)) + each.amount
    return [
        {"Amount": amount, "LinkedTxn": [{"TxnId": document, "TxnType": kind}]}
        for (kind, document), amount in amounts.items()
    ]


def create_body(record: AnyRecord, marker: str, company: Company) -> Body:
    """The body of a create. Raises Unfit."""
    match record:
        case Customer():
            return customer_body(record, company)
        case Item():
            return item_body(record, company)
        case Invoice():
            return invoice_body(record, marker, company)
        case CreditNote():
            return credit_note_body(record, marker, company)
        case Payment():
            return payment_body(record, marker, company)
    raise Unfit("kind", "QuickBooks keeps no deals.")


def update_body(kind: Kind, after: Mapping[str, Value], company: Company) -> Body:
    """The body of a sparse update, without Id and SyncToken. Raises Unfit."""
    if kind is Kind.CUSTOMER:
        return customer_changes(after, company)
    if kind is Kind.ITEM:
        return item_changes(after, company)
    body: Body = {}
    for path, value in after.items():
        if value is not ABSENT:
            body |= document_part(path, value)
    return body
