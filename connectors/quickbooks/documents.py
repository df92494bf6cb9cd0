"""Invoices and credit memos as QuickBooks is sent them: lines, tax, note, number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.canon.records import (
    AnyRecord,
    CreditNote,
    Document,
    Invoice,
    InvoiceLine,
)
from connectors.canon.values import ABSENT, Absent, Terms, currency_places, to_places
from connectors.kit.contract import TaxCode
from connectors.quickbooks.company import Company
from connectors.quickbooks.fitting import Body, Unfit, address_body, fit
from connectors.quickbooks.vendor import LENGTH, NOTE_MARKER, SHIPPING_ITEM, US_EXEMPT, US_TAXABLE
from connectors.quickbooks.wire import to_ref


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
    if code is None:
        return {}
    decided = isinstance(document.taxes, tuple) and any(tax.decided_by == "rule" for tax in document.taxes)
    detail: Body = {"TxnTaxCodeRef": to_ref(code)}
    if isinstance(document.tax, Decimal) and (decided or not company.preferences.automatic_tax):
        detail["TotalTax"] = document.tax
    return {"TxnTaxDetail": detail}


def _calculation(document: Document, company: Company) -> str:
    if not company.preferences.uses_tax:
        return "NotApplicable"
    return "TaxInclusive" if document.prices_include_tax else "TaxExcluded"


def _document_code(document: Document, company: Company) -> str | None:
    """The id of a US document's one taxable code: what its lines name; the company's own where they say TAX alone;
    None where nothing is taxed or QuickBooks finds the rate by itself."""
    lines = document.lines if isinstance(document.lines, tuple) else ()
    codes = {code.ref: code for code in (_code(line, company) for line in lines) if code is not None and code.taxable}
    real = [code for ref, code in codes.items() if ref != US_TAXABLE]
    if len(real) > 1:
        names = ", ".join(sorted(code.name for code in real))
        raise Unfit("lines", f"QuickBooks takes one tax code for an invoice; this has {names}.")
    if real:
        return real[0].ref
    prefs = company.preferences
    return prefs.default_tax_code if US_TAXABLE in codes and not prefs.automatic_tax else None


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
    if line.item is not None:
        return line.item
    if line.role == "shipping" and company.preferences.allow_shipping:
        return SHIPPING_ITEM
    booking = company.item_for(line.income_account)
    if booking is not None:
        return booking.ref
    raise Unfit("lines", _no_item(line))


def lacks_item(record: AnyRecord) -> bool:
    """Whether a document has a line that needs an item and names none."""
    lines = record.lines if isinstance(record, Invoice | CreditNote) and isinstance(record.lines, tuple) else ()
    return any(line.item is None and line.role not in ("text", "discount") for line in lines)


def _no_item(line: InvoiceLine) -> str:
    said = line.text or line.role
    if line.income_account is None:
        return f"QuickBooks needs an item on each line, and this names neither item nor account: {said}."
    return f"QuickBooks needs an item on each line. Make one service there that books to {line.income_account}: {said}."


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
    detail: Body = {"PercentBased": False}
    account = company.account(lines[0].income_account)
    if account is not None:
        detail["DiscountAccountRef"] = to_ref(account.ref)
    body: Body = {"DetailType": "DiscountLineDetail", "Amount": to_places(amount, places)}
    return [body | {"DiscountLineDetail": detail}]


def document_part(path: str, value: Any) -> Body:
    """What may change of a posted document: what is neither money, tax, date, customer nor line."""
    match path:
        case "due_date":
            return {"DueDate": value.isoformat() if isinstance(value, date) else ""}
        case "memo":
            return {"CustomerMemo": {"value": fit(value or "", "CustomerMemo", path)}}
        case "po_number":
            return {"PONumber": fit(value or "", "PONumber", path)}
    raise Unfit(path, "A posted document is not changed: void or credit it and make a new one.")
