"""From QuickBooks' wire to canonical records. What is written stands in `bodies.py`.

Sources: developer.intuit.com, all-entities: customer, item, invoice, creditmemo, payment; Finance.xsd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connectors.canon.fields import Value, assemble
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    BillTo,
    CreditNote,
    Customer,
    DocumentState,
    ExchangeRate,
    Invoice,
    InvoiceLine,
    Item,
    ItemKind,
    Kind,
    Payment,
    TaxLine,
)
from connectors.canon.values import (
    ABSENT,
    Absent,
    Address,
    Discount,
    Money,
    Price,
    TaxId,
    TaxIdentity,
    TaxStatus,
    Terms,
)
from connectors.kit.contract import NamedTerms
from connectors.kit.table import DECIMAL, FLAG, Table, to_canon
from connectors.kit.table import Wire as Field
from connectors.quickbooks.company import CUSTOMER_PROPERTIES, country_code
from connectors.quickbooks.vendor import NOTE_MARKER, NUMBER_MARKER, SHIPPING_ITEM, US_EXEMPT, US_TAXABLE, VOIDED
from connectors.quickbooks.wire import Wire, day, decimal, instant, part, parts, ref, ref_name, text


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the translation has to know of the company: its currency, its country and its terms by id."""

    home_currency: str | None = None
    country: str | None = None
    terms: Mapping[str, NamedTerms] = {}


# QuickBooks leaves empty fields out of whole records, and empties a field of a sparse update by "".
CUSTOMER = Table(
    [
        Field("display_name", "DisplayName"),
        Field("legal_name", "CompanyName"),
        Field("emails.general", "PrimaryEmailAddr.Address"),
        Field("phone", "PrimaryPhone.FreeFormNumber"),
        Field("website", "WebAddr.URI"),
        Field("notes", "Notes"),
        Field("active", "Active", FLAG),
        Field("parent", "ParentRef.value"),
        Field("default_tax_code", "DefaultTaxCodeRef.value"),
        Field("receivable_account", "ARAccountRef.value", writable=False),
        *(Field(f"properties.{name}", name) for name in CUSTOMER_PROPERTIES),
    ],
    missing="empty",
    empty="",
)

ITEM = Table(
    [
        Field("name", "Name"),
        Field("sku", "Sku"),
        Field("description", "Description"),
        Field("active", "Active", FLAG),
        Field("income_account", "IncomeAccountRef.name"),
        Field("cost", "PurchaseCost", DECIMAL),
    ],
    missing="empty",
    empty="",
)

_ITEM_KIND: dict[str, ItemKind] = {
    "Service": "service",
    "NonInventory": "goods",
    "Inventory": "goods",
    "Assembly": "goods",
    "Group": "goods",
    "Bundle": "goods",
    "Discount": "discount",
}

# Folders of items, not items: they stand on no invoice.
_NOT_SOLD = frozenset({"Category"})


def record_from(kind: Kind, wire: Wire, reading: Reading) -> AnyRecord | None:
    """The canonical record; None for what is no record of the kind (an item category).
    Raises Unreadable, KeyError, ValueError or ArithmeticError for what cannot be read."""
    match kind:
        case Kind.CUSTOMER:
            return customer_from(wire, reading)
        case Kind.ITEM:
            return None if wire.get("Type") in _NOT_SOLD else item_from(wire, reading)
        case Kind.INVOICE:
            return invoice_from(wire, reading)
        case Kind.CREDIT_NOTE:
            return credit_note_from(wire, reading)
        case Kind.PAYMENT:
            return payment_from(wire, reading)
    raise ValueError(f"QuickBooks has no {kind}")


def _header(wire: Wire) -> dict[str, Any]:
    times = part(wire, "MetaData")
    return {
        "ref": str(wire["Id"]),
        "version": text(wire, "SyncToken"),
        "created_at": instant(text(times, "CreateTime")),
        "updated_at": instant(text(times, "LastUpdatedTime")),
    }


# --------------------------------------------------------------------------- customers and items


def _fields(table: Table, wire: Wire) -> dict[str, Value]:
    """The table's fields; a record that does not say is active."""
    fields = to_canon(table, wire)
    return {**fields, "active": fields["active"] is not False}


def customer_from(wire: Wire, reading: Reading) -> Customer:
    fields = _fields(CUSTOMER, wire)
    company = fields["legal_name"]
    if company is None:
        fields["legal_name"] = fields["display_name"]
    currency = ref(wire, "CurrencyRef") or reading.home_currency
    person = company is None and (text(wire, "GivenName") is not None or text(wire, "FamilyName") is not None)
    made = assemble(
        Kind.CUSTOMER,
        fields,
        **_header(wire),
        is_person=person,
        addresses={"billing": address_from(wire.get("BillAddr")), "shipping": address_from(wire.get("ShipAddr"))},
        tax_identity=tax_identity_from(wire, reading),
        currency=currency if currency is not None else ABSENT,
        bill_to=ref(wire, "ParentRef") if wire.get("BillWithParent") is True else None,
        payment_terms=terms_from_ref(wire, reading),
        balance=_money(wire, "Balance", currency),
    )
    assert isinstance(made, Customer)  # noqa: S101  assemble(CUSTOMER) makes nothing else; for the type checker
    return made


def _money(wire: Wire, name: str, currency: str | None) -> Money | Absent:
    amount = decimal(wire, name)
    return Money(amount, currency) if amount is not None and currency is not None else ABSENT


def address_from(wire: Any) -> Address | None:
    """An address; None if nobody filled it in. Lat and Long are the geocoder's and no part of it."""
    if not isinstance(wire, dict):
        return None
    lines = tuple(line for line in (text(wire, f"Line{n}") for n in range(1, 6)) if line is not None)
    address = Address(
        lines=lines,
        city=text(wire, "City"),
        region=text(wire, "CountrySubDivisionCode"),
        postcode=text(wire, "PostalCode"),
        country=country_code(text(wire, "Country")),
    )
    return address if address != Address() else None


_SCHEME = {"US": "us.ein", "GB": "gb.vat", "AU": "au.abn", "CA": "ca.bn", "IN": "in_.gstin"}


def tax_identity_from(wire: Wire, reading: Reading) -> TaxIdentity | Absent | None:
    """Tax ids and whether the customer pays tax. QuickBooks shows PrimaryTaxIdentifier with all but its last
    digits crossed out ("XXXX1234"); such a value says so and is never written back."""
    ids = []
    shown = text(wire, "PrimaryTaxIdentifier")
    if shown is not None:
        ids.append(TaxId(_SCHEME.get(reading.country or "US", "vat"), shown))
    gstin = text(wire, "GSTIN")
    if gstin is not None:
        ids.append(TaxId("in_.gstin", gstin))
    if not ids and "Taxable" not in wire:
        return None
    status: TaxStatus | None = None
    if "Taxable" in wire:
        status = "taxable" if wire["Taxable"] is True else "exempt"
    return TaxIdentity(
        ids=tuple(ids),
        status=status,
        exempt_reason=text(wire, "TaxExemptionReasonId"),
        certificate=text(wire, "ResaleNum"),
        gst_treatment=text(wire, "GSTRegistrationType"),
        masked=shown is not None and is_masked(shown),
    )


def is_masked(value: str) -> bool:
    """Whether a tax id was read with its digits crossed out."""
    return "XX" in value.upper() or "*" in value or "•" in value


def terms_from_ref(wire: Wire, reading: Reading) -> Terms | None:
    term = ref(wire, "SalesTermRef")
    if term is None:
        return None
    known = reading.terms.get(term)
    if known is None:
        return Terms(name=ref_name(wire, "SalesTermRef"), ref=term)
    return Terms(
        name=known.name,
        ref=term,
        net_days=known.net_days,
        discount_percent=known.discount_percent,
        discount_days=known.discount_days,
    )


def item_from(wire: Wire, reading: Reading) -> Item:
    price = decimal(wire, "UnitPrice")
    included = wire.get("SalesTaxIncluded") is True
    kind = _ITEM_KIND.get(text(wire, "Type") or "")
    made = assemble(
        Kind.ITEM,
        _fields(ITEM, wire),
        **_header(wire),
        item_kind=kind if kind is not None else ABSENT,
        price=Price(price, reading.home_currency, included) if price is not None else None,
        tax_class=_tax_class(wire),
    )
    assert isinstance(made, Item)  # noqa: S101  assemble(ITEM) makes nothing else; for the type checker
    return made


def _tax_class(wire: Wire) -> str | Absent:
    code = ref(wire, "SalesTaxCodeRef")
    if code is not None:
        return code
    if "Taxable" not in wire:
        return ABSENT
    return US_TAXABLE if wire["Taxable"] is True else US_EXEMPT


# --------------------------------------------------------------------------- documents


def lines_from(wires: Sequence[Wire]) -> tuple[InvoiceLine, ...]:
    """The lines that a person entered. QuickBooks' own subtotal line is left out; a bundle's lines stand flat."""
    lines: list[InvoiceLine] = []
    for wire in wires:
        match text(wire, "DetailType"):
            case "SalesItemLineDetail":
                lines.append(_sales_line(wire))
            case "DiscountLineDetail":
                lines.append(_discount_line(wire))
            case "DescriptionOnly" | "DescriptionLineDetail":
                lines.append(InvoiceLine(key=text(wire, "Id") or "", role="text", text=text(wire, "Description")))
            case "GroupLineDetail":
                lines.extend(lines_from(parts(part(wire, "GroupLineDetail"), "Line")))
            case _:
                pass
    return tuple(lines)


def _sales_line(wire: Wire) -> InvoiceLine:
    """A line without an item is documentation, and its amount is not counted (docs, invoice, ItemRef)."""
    detail = part(wire, "SalesItemLineDetail")
    item = ref(detail, "ItemRef")
    amount = decimal(wire, "Amount") or Decimal(0)
    return InvoiceLine(
        key=text(wire, "Id") or "",
        role="text" if item is None else "shipping" if item == SHIPPING_ITEM else "item",
        item=item if item != SHIPPING_ITEM else None,
        item_name=ref_name(detail, "ItemRef"),
        text=text(wire, "Description"),
        qty=decimal(detail, "Qty"),
        unit_price=decimal(detail, "UnitPrice"),
        net=amount if item is not None else Decimal(0),
        tax_code=ref(detail, "TaxCodeRef"),
        service_from=day(detail, "ServiceDate"),
        income_account=ref_name(detail, "ItemAccountRef"),
        dimensions=_dimensions(detail),
    )


def _discount_line(wire: Wire) -> InvoiceLine:
    """A header discount: a positive amount on the wire, a negative net here."""
    detail = part(wire, "DiscountLineDetail")
    percent = decimal(detail, "DiscountPercent")
    by_percent = detail.get("PercentBased") is True and percent is not None
    return InvoiceLine(
        key=text(wire, "Id") or "",
        role="discount",
        text=text(wire, "Description"),
        net=-(decimal(wire, "Amount") or Decimal(0)),
        discount=Discount("percent", percent) if by_percent and percent is not None else None,
        income_account=ref_name(detail, "DiscountAccountRef"),
    )


def _dimensions(wire: Wire) -> dict[str, str]:
    named = {"class": ref(wire, "ClassRef"), "department": ref(wire, "DepartmentRef")}
    return {name: value for name, value in named.items() if value is not None}


def taxes_from(wire: Wire) -> tuple[TaxLine, ...]:
    """Tax by rate, as QuickBooks computed it on the net of each rate."""
    return tuple(
        TaxLine(
            code=ref(detail, "TaxRateRef") or "",
            rate=decimal(detail, "TaxPercent"),
            base=decimal(detail, "NetAmountTaxable") or Decimal(0),
            tax=decimal(line, "Amount") or Decimal(0),
        )
        for line, detail in (
            (line, part(line, "TaxLineDetail")) for line in parts(part(wire, "TxnTaxDetail"), "TaxLine")
        )
    )


def is_void(wire: Wire) -> bool:
    """Voided: nothing is left of it and the private note says so. There is no field for it."""
    return decimal(wire, "TotalAmt") == 0 and VOIDED.match(text(wire, "PrivateNote") or "") is not None


def note_from(wire: Wire) -> tuple[str | None, str | None]:
    """(internal note, our marker): the private note without the marker and without what voiding put before it."""
    note = text(wire, "PrivateNote")
    if note is None:
        return None, None
    found = NOTE_MARKER.search(note)
    left = NOTE_MARKER.sub("", note)
    left = (VOIDED.sub("", left, count=1) if is_void(wire) else left).strip()
    return left or None, found.group(1) if found is not None else None


def _marker(wire: Wire) -> str | None:
    _, marker = note_from(wire)
    number = text(wire, "DocNumber")
    if marker is None and number is not None and NUMBER_MARKER.fullmatch(number) is not None:
        return number
    return marker


def _document(wire: Wire, reading: Reading) -> dict[str, Any]:
    """What invoices and credit notes share."""
    lines = lines_from(parts(wire, "Line"))
    net = sum((line.net for line in lines), Decimal(0))
    total = decimal(wire, "TotalAmt") or Decimal(0)
    tax = decimal(part(wire, "TxnTaxDetail"), "TotalTax")
    currency = ref(wire, "CurrencyRef") or reading.home_currency
    state: DocumentState = "void" if is_void(wire) else "posted"
    marker = _marker(wire)
    return {
        **_header(wire),
        "marker": marker,
        "number": text(wire, "DocNumber"),
        "customer": ref(wire, "CustomerRef"),
        "date": day(wire, "TxnDate"),
        "state": state,
        "currency": currency if currency is not None else ABSENT,
        "exchange_rate": _rate(wire, currency, reading),
        "prices_include_tax": wire.get("GlobalTaxCalculation") == "TaxInclusive",
        "lines": lines,
        "net": net,
        "taxes": taxes_from(wire),
        "tax": tax if tax is not None else total - net,
        "total": total,
        "home_total": _home_total(wire, currency, reading),
        "balance": decimal(wire, "Balance"),
        "bill_to": _bill_to(wire),
        "memo": text(part(wire, "CustomerMemo"), "value"),
        "internal_note": note_from(wire)[0],
        "dimensions": _dimensions(wire),
        "origin": _origin(wire, marker),
    }


def _origin(wire: Wire, marker: str | None) -> Any:
    """Ours by its marker, QuickBooks' own by the template it was made from; else it cannot be told."""
    if marker is not None:
        return "tieout"
    return "recurring" if ref(wire, "RecurDataRef") is not None else ABSENT


def _rate(wire: Wire, currency: str | None, reading: Reading) -> ExchangeRate | None:
    rate, on = decimal(wire, "ExchangeRate"), day(wire, "TxnDate")
    if rate is None or on is None or currency == reading.home_currency:
        return None
    return ExchangeRate(rate=rate, source="quickbooks", on=on)


def _home_total(wire: Wire, currency: str | None, reading: Reading) -> Decimal | Absent:
    said = decimal(wire, "HomeTotalAmt")
    if said is not None:
        return said
    total = decimal(wire, "TotalAmt")
    return total if total is not None and currency == reading.home_currency else ABSENT


def _bill_to(wire: Wire) -> BillTo:
    return BillTo(
        name=ref_name(wire, "CustomerRef"),
        address=address_from(wire.get("BillAddr")),
        email=text(part(wire, "BillEmail"), "Address"),
    )


def invoice_from(wire: Wire, reading: Reading) -> Invoice:
    number = text(wire, "PONumber")
    return Invoice(
        **_document(wire, reading),
        due_date=day(wire, "DueDate"),
        payment_terms=terms_from_ref(wire, reading),
        po_number=number if number is not None else ABSENT,
        sent_at=instant(text(part(wire, "DeliveryInfo"), "DeliveryTime")),
        emailed=wire.get("EmailStatus") == "EmailSent",
    )


def credit_note_from(wire: Wire, reading: Reading) -> CreditNote:
    """A credit memo. Which invoices it settled stands on payments (`allocations_from`): allocations are ABSENT."""
    remaining = decimal(wire, "RemainingCredit")
    corrected = ref(wire, "InvoiceRef")
    return CreditNote(
        **_document(wire, reading),
        corrects=(corrected,) if corrected is not None else ABSENT,
        remaining=remaining if remaining is not None else decimal(wire, "Balance"),
    )


# --------------------------------------------------------------------------- payments


def allocations_from(wire: Wire) -> tuple[Allocation, ...]:
    """What a payment settled. One line of a payment settles an invoice, another brings a credit memo to it; which
    credit goes to which invoice is not said, so credits are given to the invoices in the order of the lines and
    cash covers the rest. Applying a credit memo alone is a payment with TotalAmt 0."""
    on = day(wire, "TxnDate")
    credits = [[ref, amount] for kind, ref, amount in _linked(wire) if kind == "CreditMemo"]
    made: list[Allocation] = []
    for kind, invoice, open_amount in _linked(wire):
        if kind != "Invoice":
            continue
        left = open_amount
        for credit in credits:
            used = min(left, credit[1])
            if used > 0:
                made.append(Allocation(document=invoice, amount=used, on=on, via=credit[0]))
                credit[1] -= used
                left -= used
        if left != 0:
            made.append(Allocation(document=invoice, amount=left, on=on))
    return tuple(made)


def _linked(wire: Wire) -> list[tuple[str, str, Any]]:
    """(kind, id, amount) of each linked document, in the order of the lines."""
    return [
        (text(linked, "TxnType") or "", str(linked.get("TxnId")), decimal(line, "Amount") or Decimal(0))
        for line in parts(wire, "Line")
        for linked in parts(line, "LinkedTxn")
    ]


def payment_from(wire: Wire, reading: Reading) -> Payment:
    currency = ref(wire, "CurrencyRef") or reading.home_currency
    unapplied = decimal(wire, "UnappliedAmt")
    note, marker = note_from(wire)
    return Payment(
        **_header(wire),
        marker=marker,
        customer=ref(wire, "CustomerRef"),
        date=day(wire, "TxnDate"),
        amount=_money(wire, "TotalAmt", currency),
        exchange_rate=_rate(wire, currency, reading),
        method=ref_name(wire, "PaymentMethodRef") or ref(wire, "PaymentMethodRef"),
        reference=text(wire, "PaymentRefNum"),
        deposit_account=ref(wire, "DepositToAccountRef"),
        allocations=allocations_from(wire),
        unapplied=unapplied if unapplied is not None else ABSENT,
        internal_note=note,
        state="void" if is_void(wire) else "posted",
    )
