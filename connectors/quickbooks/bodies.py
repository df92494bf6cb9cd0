"""From canonical records to what QuickBooks is sent. What is read stands in `fields.py`.

Nothing is sent that QuickBooks would cut or change silently where we can know it: `Unfit` names the field instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.canon.fields import Value
from connectors.canon.records import (
    AnyRecord,
    CreditNote,
    Customer,
    Document,
    Invoice,
    InvoiceLine,
    Item,
    Kind,
    Payment,
)
from connectors.canon.values import ABSENT, Absent, Address, Price, TaxIdentity, Terms, currency_places, to_places
from connectors.kit.contract import TaxCode
from connectors.quickbooks.company import Company
from connectors.quickbooks.fields import is_masked
from connectors.quickbooks.vendor import LENGTH, NOTE_MARKER, SHIPPING_ITEM, US_EXEMPT, US_TAXABLE
from connectors.quickbooks.wire import to_ref

Body = dict[str, Any]


class Unfit(ValueError):
    """QuickBooks cannot take this value. `field` is the canonical path, the text is for a person."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def fit(text: str, name: str, field: str) -> str:
    """The text, if it is not longer than QuickBooks takes. Raises Unfit: cutting would be a silent edit."""
    longest = LENGTH[name]
    if len(text) > longest:
        raise Unfit(field, f"QuickBooks takes at most {longest} characters here; this has {len(text)}.")
    return text


def clean_name(text: str) -> str:
    """A DisplayName: no colon (it parts parents from children), tab or newline (code 2040); spaces collapsed."""
    return " ".join(text.replace(":", " ").split())


def given(value: Any) -> bool:
    """Whether there is something to send: neither not told nor known to be empty."""
    return value is not ABSENT and value is not None


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


def address_body(address: Address | None, field: str) -> Body:
    """Every part of the address, the empty ones as "": then nothing of an older address can be left standing,
    whether QuickBooks takes an address of a sparse update whole or part by part."""
    address = address if address is not None else Address()
    lines = [fit(line, "Line", field) for line in address.lines]
    if len(lines) > 5:
        lines = [*lines[:4], fit(", ".join(lines[4:]), "Line", field)]
    body = {f"Line{n}": lines[n - 1] if n <= len(lines) else "" for n in range(1, 6)}
    return body | {
        "City": fit(address.city or "", "City", field),
        "CountrySubDivisionCode": address.region or "",
        "PostalCode": fit(address.postcode or "", "PostalCode", field),
        "Country": address.country or "",
    }


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


# --------------------------------------------------------------------------- documents


def note_body(note: str | Absent | None, marker: str | None) -> str:
    """The private note: the internal note, then our marker on a line of its own."""
    said = NOTE_MARKER.sub("", note).strip() if isinstance(note, str) else ""
    mark = f"[tieout {marker}]" if marker is not None else ""
    return fit("\n".join(part for part in (said, mark) if part), "PrivateNote", "internal_note")


def invoice_body(invoice: Invoice, marker: str, company: Company) -> Body:
    """A new invoice. Saving it posts it: QuickBooks has no drafts."""
    body = document_body(invoice, marker, company)
    if isinstance(invoice.due_date, date):
        body["DueDate"] = invoice.due_date.isoformat()
    terms = invoice.payment_terms
    known = company.terms_for(terms) if isinstance(terms, Terms) else None
    if known is not None:
        body["SalesTermRef"] = to_ref(known.ref)
    if isinstance(invoice.po_number, str) and company.american:
        body["PONumber"] = fit(invoice.po_number, "PONumber", "po_number")
    return body


def credit_note_body(note: CreditNote, marker: str, company: Company) -> Body:
    """A new credit memo: lines positive. Only Indian companies say which invoice it corrects (InvoiceRef)."""
    body = document_body(note, marker, company)
    if company.country == "IN" and isinstance(note.corrects, tuple) and note.corrects:
        body["InvoiceRef"] = to_ref(note.corrects[0])
    return body


def document_body(document: Document, marker: str, company: Company) -> Body:
    """What invoices and credit memos share."""
    if not isinstance(document.customer, str):
        raise Unfit("customer", "A document in QuickBooks needs a customer.")
    if not isinstance(document.lines, tuple) or not document.lines:
        raise Unfit("lines", "A document in QuickBooks needs at least one line.")
    body: Body = {"CustomerRef": to_ref(document.customer), "Line": lines_body(document, company)}
    if any(line["DetailType"] == "DiscountLineDetail" for line in body["Line"]) and company.american:
        body["ApplyTaxAfterDiscount"] = True  # our net is after the discount, and tax is due on the net
    if isinstance(document.date, date):
        body["TxnDate"] = document.date.isoformat()
    number = document.number if isinstance(document.number, str) else marker
    if company.preferences.custom_numbers and len(number) <= LENGTH["DocNumber"]:
        body["DocNumber"] = number
    body["PrivateNote"] = note_body(document.internal_note, marker)
    return body | _buyer(document) | _currency(document, company) | _tax(document, company)


def _buyer(document: Document) -> Body:
    body: Body = {}
    if isinstance(document.memo, str):
        body["CustomerMemo"] = {"value": fit(document.memo, "CustomerMemo", "memo")}
    if document.bill_to is not ABSENT and document.bill_to is not None:
        if document.bill_to.email is not None:
            body["BillEmail"] = {"Address": fit(document.bill_to.email, "Address", "bill_to.email")}
        if document.bill_to.address is not None:
            body["BillAddr"] = address_body(document.bill_to.address, "bill_to.address")
    dimensions = document.dimensions if isinstance(document.dimensions, dict) else {}
    for name, field in (("class", "ClassRef"), ("department", "DepartmentRef")):
        if name in dimensions:
            body[field] = to_ref(dimensions[name])
    return body


def _currency(document: Document, company: Company) -> Body:
    currency = document.currency
    home = company.preferences.home_currency
    if not isinstance(currency, str):
        return {}
    if not company.preferences.multi_currency:
        if home is not None and currency != home:
            raise Unfit("currency", f"This QuickBooks company keeps {home} only; the document is in {currency}.")
        return {}
    body: Body = {"CurrencyRef": to_ref(currency)}
    if document.exchange_rate is not ABSENT and document.exchange_rate is not None:
        body["ExchangeRate"] = document.exchange_rate.rate
    return body


def _tax(document: Document, company: Company) -> Body:
    """How tax is said. US: one code for the whole document, its amount as forecast, unless QuickBooks computes it
    from addresses; then only an amount that a rule decided is sent. Elsewhere each line's code decides."""
    if not company.american:
        return {"GlobalTaxCalculation": _calculation(document, company)}
    code = _document_code(document, company)
    decided = isinstance(document.taxes, tuple) and any(tax.decided_by == "rule" for tax in document.taxes)
    if code is None:
        return {}
    detail: Body = {"TxnTaxCodeRef": to_ref(code.ref)}
    if isinstance(document.tax, Decimal) and (decided or not company.preferences.automatic_tax):
        detail["TotalTax"] = document.tax
    return {"TxnTaxDetail": detail}


def _calculation(document: Document, company: Company) -> str:
    if not company.preferences.uses_tax:
        return "NotApplicable"
    return "TaxInclusive" if document.prices_include_tax else "TaxExcluded"


def _document_code(document: Document, company: Company) -> TaxCode | None:
    """The one taxable code of a US document; None if no line names more than TAX or NON."""
    lines = document.lines if isinstance(document.lines, tuple) else ()
    codes = {code.ref: code for code in (_code(line, company) for line in lines) if code is not None}
    real = [code for ref, code in codes.items() if ref not in (US_TAXABLE, US_EXEMPT) and code.taxable]
    if len(real) > 1:
        names = ", ".join(sorted(code.name for code in real))
        raise Unfit("lines", f"QuickBooks takes one tax code for an invoice; this has {names}.")
    return real[0] if real else None


def _code(line: InvoiceLine, company: Company) -> TaxCode | None:
    if line.tax_code is None:
        return None
    code = company.tax_code(line.tax_code)
    if code is None:
        raise Unfit("lines", f"QuickBooks knows no tax code {line.tax_code}.")
    return code


# --------------------------------------------------------------------------- lines


def lines_body(document: Document, company: Company) -> list[Body]:
    """The lines, with one discount line at most: QuickBooks takes one discount for the whole document."""
    lines = document.lines if isinstance(document.lines, tuple) else ()
    currency = document.currency if isinstance(document.currency, str) else company.preferences.home_currency
    places = currency_places(currency) if currency is not None else 2
    made = [_line(line, company, places) for line in lines if line.role != "discount"]
    discounts = [line for line in lines if line.role == "discount"]
    return [*made, *_discount(discounts, company, places)]


def _line(line: InvoiceLine, company: Company, places: int) -> Body:
    if line.role == "text":
        return {
            "DetailType": "DescriptionOnly",
            "Description": _description(line),
            "DescriptionLineDetail": {},
        }
    detail: Body = {"ItemRef": to_ref(_item(line, company))} | _price_of(line, places) | _line_tax(line, company)
    if line.service_from is not None:
        detail["ServiceDate"] = line.service_from.isoformat()
    if "class" in line.dimensions:
        detail["ClassRef"] = to_ref(line.dimensions["class"])
    body: Body = {
        "DetailType": "SalesItemLineDetail",
        "Amount": to_places(line.net, places),
        "SalesItemLineDetail": detail,
    }
    return body | ({"Description": _description(line)} if line.text is not None else {})


def _description(line: InvoiceLine) -> str:
    return fit(line.text or "", "Description", "lines")


def _item(line: InvoiceLine, company: Company) -> str:
    if line.role == "shipping" and line.item is None:
        if not company.preferences.allow_shipping:
            raise Unfit("lines", "Shipping is switched off in QuickBooks (Settings, Sales); name an item for it.")
        return SHIPPING_ITEM
    if line.item is None:
        raise Unfit("lines", f"QuickBooks needs an item on each line; this has none: {line.text or line.role}.")
    return line.item


def _price_of(line: InvoiceLine, places: int) -> Body:
    """Quantity and unit price, if they give the line's amount to the cent (code 6070): as they are, else the price
    that does, to seven decimals. If none does, the amount goes alone and QuickBooks works the price out."""
    if line.qty is None or line.qty == 0:
        return {}
    amount = to_places(line.net, places)
    for price in (line.unit_price, to_places(line.net / line.qty, 7)):
        if price is not None and to_places(price * line.qty, places) == amount and _seven(price):
            return {"Qty": line.qty, "UnitPrice": price.normalize() + 0}
    return {}


def _seven(price: Decimal) -> bool:
    return to_places(price, 7) == price


def _line_tax(line: InvoiceLine, company: Company) -> Body:
    code = _code(line, company)
    if code is None:
        if not company.american and company.preferences.uses_tax:
            raise Unfit("lines", "QuickBooks needs a tax code on each line; one line has none.")
        return {}
    if company.american:
        return {"TaxCodeRef": to_ref(US_TAXABLE if code.taxable else US_EXEMPT)}
    return {"TaxCodeRef": to_ref(code.ref)}


def _discount(lines: Sequence[InvoiceLine], company: Company, places: int) -> list[Body]:
    if not lines:
        return []
    if not company.preferences.allow_discount:
        raise Unfit("lines", "Discounts are switched off in QuickBooks (Settings, Sales).")
    amount = -sum((line.net for line in lines), Decimal(0))
    body: Body = {"DetailType": "DiscountLineDetail", "Amount": to_places(amount, places)}
    return [body | {"DiscountLineDetail": {"PercentBased": False}}]


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
            body |= _document_part(path, value)
    return body


def _document_part(path: str, value: Any) -> Body:
    """What may change of a posted document: what is neither money, tax, date, customer nor line."""
    match path:
        case "due_date":
            return {"DueDate": value.isoformat() if isinstance(value, date) else ""}
        case "memo":
            return {"CustomerMemo": {"value": fit(value or "", "CustomerMemo", path)}}
        case "po_number":
            return {"PONumber": fit(value or "", "PONumber", path)}
    raise Unfit(path, "A posted document is not changed: void or credit it and make a new one.")
