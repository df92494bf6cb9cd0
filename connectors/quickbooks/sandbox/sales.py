"""Invoices and credit memos: lines, discount, tax, totals, due date, numbers and what they post."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from connectors.quickbooks.sandbox import accounts, faults, settlement
from connectors.quickbooks.sandbox.bodies import decimal_of, money_of
from connectors.quickbooks.sandbox.company import Company, Row, cents
from connectors.quickbooks.sandbox.ledger import Posting
from connectors.quickbooks.sandbox.tax import TaxableLine, Taxed, TaxQuestion, tax

SHIPPING = "SHIPPING_ITEM_ID"
_DETAILS = ("SalesItemLineDetail", "DiscountLineDetail", "SubTotalLineDetail", "DescriptionOnly")
_MODES = ("TaxExcluded", "TaxInclusive", "NotApplicable")
ZERO = Decimal(0)


class Lines(msgspec.Struct, frozen=True):
    """A document's lines, sorted out: what is sold, what is shipped, what is taken off."""

    sold: list[Row]
    texts: list[Row]
    discount: Row | None

    @property
    def subtotal(self) -> Decimal:
        """What is sold, without shipping."""
        return sum((line["Amount"] for line in self.sold if not is_shipping(line)), ZERO)


def is_shipping(line: Row) -> bool:
    return bool(line.get("SalesItemLineDetail", {}).get("ItemRef", {}).get("value") == SHIPPING)


def write(
    company: Company, entity: str, draft: Row, existing: Row | None, *, person: bool, duplicates: bool = False
) -> Row:
    """Store an invoice or credit memo. Raises the fault that speaks against it."""
    if "CustomerRef" not in draft:
        raise faults.missing("CustomerRef")
    if not draft.get("Line"):
        raise faults.missing("Line")
    customer = company.refer("Customer", draft["CustomerRef"], "CustomerRef")
    row = {key: value for key, value in draft.items() if key not in ("TotalAmt", "TxnTaxDetail", "Line")}
    row["CustomerRef"] = {"value": customer["Id"], "name": customer["FullyQualifiedName"]}
    row["TxnDate"] = draft.get("TxnDate", company.today().isoformat())
    _currency(company, row, customer)
    _addresses(row, customer)
    lines = _lines(company, draft["Line"], existing)
    _amounts(company, row, lines, draft, customer)
    _terms(company, entity, row, customer, existing)
    _statuses(entity, row)
    _number(company, entity, row, existing, person=person, duplicates=duplicates)
    return store(company, entity, row, existing)


def store(company: Company, entity: str, row: Row, existing: Row | None, what: Any = None) -> Row:
    """Save, post, and bring balances and what was applied up to date."""
    applied = company.applications.total(existing["Id"]) if existing else ZERO
    if existing is not None and existing["CustomerRef"]["value"] != row["CustomerRef"]["value"]:
        if applied != 0:
            raise faults.business("The customer cannot be changed while payments are applied to this transaction.")
        company.set_open(existing["Id"], existing["CustomerRef"]["value"], ZERO)
    if applied > row["TotalAmt"]:
        raise faults.business("The amount applied to this transaction is larger than its total.")
    _open(company, entity, row, row["TotalAmt"] - applied)
    stored = company.save(entity, row, id=existing["Id"] if existing else None, what=what)
    company.set_open(
        stored["Id"], stored["CustomerRef"]["value"],
        stored["Balance"] if entity == "Invoice" else -stored["RemainingCredit"],
    )  # fmt: skip
    company.rebook(entity, stored["Id"], _postings(company, entity, stored))
    if existing is not None:
        settlement.repost(company, stored["Id"])
    return stored


def _open(company: Company, entity: str, row: Row, remaining: Decimal) -> None:
    if entity == "CreditMemo":
        row["RemainingCredit"] = remaining
    row["Balance"] = remaining
    if company.settings.multi_currency:
        row["HomeBalance"] = cents(remaining * row["ExchangeRate"])


# --------------------------------------------------------------------------- heads


def _currency(company: Company, row: Row, customer: Row) -> None:
    own: Row = customer["CurrencyRef"]
    sent: Row = row.get("CurrencyRef", own)
    if sent.get("value") != own["value"]:
        raise faults.business("The currency of the transaction is invalid for customer / supplier / account.")
    row["CurrencyRef"] = dict(own)
    if company.settings.multi_currency:
        foreign = own["value"] != company.settings.home_currency
        usual = company.rate_on(own["value"], date.fromisoformat(row["TxnDate"]))
        row["ExchangeRate"] = row.get("ExchangeRate", usual) if foreign else Decimal(1)
    else:
        row.pop("ExchangeRate", None)


def _addresses(row: Row, customer: Row) -> None:
    """What the document does not say is taken from the customer."""
    for name in ("BillAddr", "ShipAddr"):
        if name not in row and name in customer:
            row[name] = dict(customer[name])


def _terms(company: Company, entity: str, row: Row, customer: Row, existing: Row | None) -> None:
    if entity == "CreditMemo":
        row.pop("DueDate", None)
        row.pop("SalesTermRef", None)
        return
    ref = row.get("SalesTermRef") or customer.get("SalesTermRef")
    if ref is None and company.settings.default_terms is not None:
        ref = {"value": company.settings.default_terms}
    if ref is not None:
        term = company.refer("Term", ref, "SalesTermRef")
        row["SalesTermRef"] = {"value": term["Id"], "name": term["Name"]}
    if "DueDate" not in row or (existing is not None and _moved(row, existing)):
        row["DueDate"] = due_date(company, row)


def _moved(row: Row, existing: Row) -> bool:
    """Whether date or terms changed while the due date was left as it stood."""
    kept = row["DueDate"] == existing.get("DueDate")
    return kept and (row["TxnDate"], row.get("SalesTermRef")) != (
        existing["TxnDate"],
        existing.get("SalesTermRef"),
    )


def due_date(company: Company, row: Row) -> str:
    """By the terms; without terms on the day itself."""
    day = date.fromisoformat(row["TxnDate"])
    if "SalesTermRef" not in row:
        return day.isoformat()
    term = company.rows["Term"][row["SalesTermRef"]["value"]]
    if term["Type"] == "STANDARD":
        return (day + timedelta(days=term["DueDays"])).isoformat()
    month = day.replace(day=1)
    if day.day + int(term.get("DueNextMonthDays", 0)) > int(term["DayOfMonthDue"]):
        month = (month + timedelta(days=32)).replace(day=1)
    return month.replace(day=min(int(term["DayOfMonthDue"]), 28)).isoformat()


def _number(company: Company, entity: str, row: Row, existing: Row | None, *, person: bool, duplicates: bool) -> None:
    """Custom numbers on: what is sent, or none. Off: the company numbers, and what is sent with a create is dropped.
    https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/invoice ("DocNumber")"""
    settings = company.settings
    if existing is not None and not settings.custom_numbers:
        row.setdefault("DocNumber", existing.get("DocNumber", ""))
    elif existing is None and not settings.custom_numbers and not (person and "DocNumber" in row):
        row["DocNumber"] = next_number(company)
    if "DocNumber" not in row or duplicates or person or not settings.warn_duplicate_numbers:
        return
    for other in company.numbered(entity, row["DocNumber"]):
        if existing is None or other["Id"] != existing["Id"]:
            raise faults.duplicate_number(row["DocNumber"], entity, other["Id"])


def next_number(company: Company) -> str:
    """One more than the last number given out; invoices and credit memos share the series."""
    number = company.settings.first_number
    while company.numbered("Invoice", str(number)) or company.numbered("CreditMemo", str(number)):
        number += 1
    company.settings.first_number = number + 1
    return str(number)


def _statuses(entity: str, row: Row) -> None:
    row.setdefault("EmailStatus", "NotSet")
    row.setdefault("PrintStatus", "NeedToPrint")
    row.setdefault("LinkedTxn", [])
    if row["EmailStatus"] not in ("NotSet", "NeedToSend", "EmailSent"):
        raise faults.invalid_enumeration("EmailStatus", row["EmailStatus"])
    if row["EmailStatus"] == "NeedToSend" and "BillEmail" not in row:
        raise faults.missing("BillEmail")
    if entity == "Invoice":
        for name in (
            "AllowOnlineCreditCardPayment",
            "AllowOnlineACHPayment",
            "AllowIPNPayment",
            "AllowOnlinePayment",
        ):
            row.setdefault(name, False)


# --------------------------------------------------------------------------- lines


def _lines(company: Company, sent: list[Row], existing: Row | None) -> Lines:
    known = {line["Id"] for line in (existing or {}).get("Line", ()) if "Id" in line}
    highest = max((int(id) for id in known), default=0)
    sold: list[Row] = []
    texts: list[Row] = []
    discounts: list[Row] = []
    for line in sent:
        made = _line(company, line)
        if made is None:
            continue
        if str(line.get("Id")) in known:
            made["Id"] = str(line["Id"])
        else:
            highest += 1
            made["Id"] = str(highest)
        kind = made["DetailType"]
        (discounts if kind == "DiscountLineDetail" else texts if kind == "DescriptionOnly" else sold).append(made)
    if not sold and not texts:
        raise faults.missing("Line")
    if len(discounts) > 1:
        raise faults.business("Only one discount is allowed on a transaction.")
    return Lines(sold, texts, discounts[0] if discounts else None)


def _line(company: Company, line: Row) -> Row | None:
    kind = line.get("DetailType")
    if kind is None:
        raise faults.missing("DetailType")
    if kind not in _DETAILS:
        raise faults.invalid_enumeration("DetailType", kind)
    if kind == "SubTotalLineDetail":
        return None
    if kind == "DescriptionOnly" or (kind == "SalesItemLineDetail" and "ItemRef" not in line.get(kind, {})):
        # A line without an item is documentation, and its amount is ignored.
        text = {"Description": line["Description"]} if "Description" in line else {}
        return {**text, "DetailType": "DescriptionOnly", "DescriptionLineDetail": {}}
    if kind == "DiscountLineDetail":
        return _discount_line(company, line)
    return _sales_line(company, line)


def _sales_line(company: Company, line: Row) -> Row:
    if "Amount" not in line:
        raise faults.missing("Amount")
    detail = dict(line["SalesItemLineDetail"])
    amount = money_of(line["Amount"], "Amount")
    for name in ("UnitPrice", "Qty", "TaxInclusiveAmt"):
        if name in detail:
            detail[name] = decimal_of(detail[name], name)
    if "UnitPrice" in detail and "Qty" in detail:
        exact = detail["UnitPrice"] * detail["Qty"]
        if amount != exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP):
            raise faults.amount_differs(line["Amount"])
    if detail["ItemRef"].get("value") == SHIPPING:
        if not company.settings.allow_shipping:
            raise faults.invalid_reference("ItemRef", SHIPPING)
        detail["ItemRef"] = {"value": SHIPPING}
    else:
        item = company.refer("Item", detail["ItemRef"], "ItemRef")
        if "IncomeAccountRef" not in item:
            raise faults.business(
                "An item in this transaction is set up as a category instead of a product or service."
            )
        detail["ItemRef"] = {"value": item["Id"], "name": item["FullyQualifiedName"]}
        detail["ItemAccountRef"] = dict(item["IncomeAccountRef"])
    made = {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
    return {**made, "Description": line["Description"]} if "Description" in line else made


def _discount_line(company: Company, line: Row) -> Row:
    if not company.settings.allow_discount:
        raise faults.business("Discounts are turned off for this company.")
    detail = dict(line.get("DiscountLineDetail", {}))
    detail["PercentBased"] = str(detail.get("PercentBased", False)).lower() == "true"
    if detail["PercentBased"]:
        if "DiscountPercent" not in detail:
            raise faults.missing("DiscountPercent")
        detail["DiscountPercent"] = decimal_of(detail["DiscountPercent"], "DiscountPercent")
    elif "Amount" not in line:
        raise faults.missing("Amount")
    if "DiscountAccountRef" in detail:
        company.refer("Account", detail["DiscountAccountRef"], "DiscountAccountRef")
    else:
        detail["DiscountAccountRef"] = accounts.ref(company, accounts.DISCOUNTS)
    amount = ZERO if detail["PercentBased"] else money_of(line["Amount"], "Amount")
    return {"Amount": amount, "DetailType": "DiscountLineDetail", "DiscountLineDetail": detail}


# --------------------------------------------------------------------------- amounts


def _amounts(company: Company, row: Row, lines: Lines, draft: Row, customer: Row) -> None:
    settings = company.settings
    if settings.country != "US":
        row.setdefault("GlobalTaxCalculation", "TaxExcluded")
        if row["GlobalTaxCalculation"] not in _MODES:
            raise faults.invalid_enumeration("GlobalTaxCalculation", row["GlobalTaxCalculation"])
    else:
        row.pop("GlobalTaxCalculation", None)
        for line in lines.sold:
            line["SalesItemLineDetail"].setdefault("TaxCodeRef", {"value": "NON"})
    row["ApplyTaxAfterDiscount"] = str(row.get("ApplyTaxAfterDiscount", False)).lower() == "true"
    discount = _discount(lines)
    taxed = tax(company, _question(row, lines, draft, customer, discount))
    _show_net(row, lines, taxed)
    net = sum(taxed.nets, ZERO)
    row["Line"] = _shown(lines)
    if settings.using_sales_tax:
        row["TxnTaxDetail"] = taxed.detail
    row["TotalAmt"] = net - discount + taxed.total
    if row["TotalAmt"] < 0:
        raise faults.business("The transaction amount must be 0 or greater.")
    if settings.multi_currency:
        row["HomeTotalAmt"] = cents(row["TotalAmt"] * row["ExchangeRate"])


def _discount(lines: Lines) -> Decimal:
    """The discount's amount; a percentage is of the subtotal. It is set on the line, too."""
    if lines.discount is None:
        return ZERO
    detail = lines.discount["DiscountLineDetail"]
    if detail["PercentBased"]:
        lines.discount["Amount"] = cents(lines.subtotal * detail["DiscountPercent"] / 100)
    amount: Decimal = lines.discount["Amount"]
    return amount


def _question(row: Row, lines: Lines, draft: Row, customer: Row, discount: Decimal) -> TaxQuestion:
    taxable = []
    for line in lines.sold:
        detail = line["SalesItemLineDetail"]
        inclusive = row.get("GlobalTaxCalculation") == "TaxInclusive"
        amount = detail["TaxInclusiveAmt"] if inclusive and "TaxInclusiveAmt" in detail else line["Amount"]
        taxable.append(TaxableLine(amount, detail.get("TaxCodeRef", {}).get("value")))
    return TaxQuestion(
        lines=taxable,
        customer=customer,
        sent=draft.get("TxnTaxDetail", {}),
        ship_to=row.get("ShipAddr") or row.get("BillAddr") or {},
        discount=discount,
        subtotal=lines.subtotal,
        discount_first=row["ApplyTaxAfterDiscount"],
        mode=row.get("GlobalTaxCalculation", "TaxExcluded"),
    )


def _show_net(row: Row, lines: Lines, taxed: Taxed) -> None:
    """With prices that include tax, Amount is read back net, and the gross stands in TaxInclusiveAmt."""
    if row.get("GlobalTaxCalculation") != "TaxInclusive":
        return
    for line, net in zip(lines.sold, taxed.nets, strict=True):
        line["SalesItemLineDetail"].setdefault("TaxInclusiveAmt", line["Amount"])
        line["Amount"] = net


def _shown(lines: Lines) -> list[Row]:
    """As the vendor shows lines: numbered, then the subtotal without an Id, then discount and shipping."""
    shown = [line for line in (*lines.sold, *lines.texts) if not is_shipping(line)]
    shown.sort(key=lambda line: int(line["Id"]))
    for number, line in enumerate(shown, 1):
        line["LineNum"] = number
    subtotal = {"Amount": lines.subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    after = [lines.discount] if lines.discount is not None else []
    return [*shown, subtotal, *after, *(line for line in lines.sold if is_shipping(line))]


# --------------------------------------------------------------------------- postings


def _postings(company: Company, entity: str, row: Row) -> list[Posting]:
    """Receivable against income, discount and tax, in home currency; a credit memo the other way round."""
    sign = 1 if entity == "Invoice" else -1
    day = date.fromisoformat(row["TxnDate"])
    rate = row.get("ExchangeRate", Decimal(1))
    customer = row["CustomerRef"]["value"]
    total = cents(row["TotalAmt"] * rate)
    against = [(account, cents(amount * rate)) for account, amount in _credits(company, row)]
    rest = total - sum((amount for _, amount in against), ZERO)
    if against and rest != 0:
        against[0] = (against[0][0], against[0][1] + rest)
    receivable = accounts.receivable(company, row["CurrencyRef"]["value"])
    return [
        Posting(day, receivable, sign * total, customer),
        *(Posting(day, account, -sign * amount, customer) for account, amount in against),
    ]


def _credits(company: Company, row: Row) -> list[tuple[str, Decimal]]:
    found: list[tuple[str, Decimal]] = []
    for line in row["Line"]:
        detail = line.get("SalesItemLineDetail")
        if detail is not None:
            shipping = is_shipping(line)
            account = accounts.id_of(company, accounts.SHIPPING) if shipping else detail["ItemAccountRef"]["value"]
            found.append((account, line["Amount"]))
        elif line["DetailType"] == "DiscountLineDetail":
            found.append((line["DiscountLineDetail"]["DiscountAccountRef"]["value"], -line["Amount"]))
    total_tax = row.get("TxnTaxDetail", {}).get("TotalTax", ZERO)
    if total_tax != 0:
        found.append((accounts.id_of(company, accounts.SALES_TAX), total_tax))
    return found


# --------------------------------------------------------------------------- void and delete


def void(company: Company, entity: str, row: Row) -> Row:
    """The document stays, all amounts zero, the note says Voided; what was applied to it is free again."""
    settlement.release(company, row["Id"])
    note = row.get("PrivateNote")
    voided = dict(company.rows[entity][row["Id"]])
    voided["PrivateNote"] = f"Voided - {note}" if note else "Voided"
    voided["Line"] = [_zeroed(line) for line in row["Line"]]
    voided["TotalAmt"] = ZERO
    if "HomeTotalAmt" in voided:
        voided["HomeTotalAmt"] = ZERO
    if "TxnTaxDetail" in voided:
        voided["TxnTaxDetail"] = {"TotalTax": ZERO}
    return store(company, entity, voided, row, "voided")


def _zeroed(line: Row) -> Row:
    zeroed = {**line, "Amount": ZERO}
    detail = line.get("SalesItemLineDetail")
    if detail is not None:
        zeroed["SalesItemLineDetail"] = {**detail, **({"Qty": ZERO} if "Qty" in detail else {})}
    return zeroed


def delete(company: Company, entity: str, row: Row) -> None:
    settlement.release(company, row["Id"])
    company.set_open(row["Id"], row["CustomerRef"]["value"], ZERO)
    company.rebook(entity, row["Id"], ())
    company.remove(entity, row["Id"])
