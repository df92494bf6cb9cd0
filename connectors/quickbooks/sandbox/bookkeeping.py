"""What a person does in QuickBooks, as Python methods: the same rules as over the wire, but a person is only warned
of a used number or a closed period, and may number documents by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from connectors.quickbooks.sandbox import accounts, lists, operations, tax
from connectors.quickbooks.sandbox.bodies import money_of
from connectors.quickbooks.sandbox.company import Company, Row, Settings
from connectors.quickbooks.sandbox.schema import NAME_FIELD, TRANSACTIONS

Amount: TypeAlias = Decimal | int | str
Day: TypeAlias = date | str

_SHORT: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "email": lambda value: ("PrimaryEmailAddr", {"Address": value}),
    "phone": lambda value: ("PrimaryPhone", {"FreeFormNumber": value}),
    "website": lambda value: ("WebAddr", {"URI": value}),
    "company": lambda value: ("CompanyName", value),
    "notes": lambda value: ("Notes", value),
    "note": lambda value: ("PrivateNote", value),
    "memo": lambda value: ("CustomerMemo", {"value": value}),
    "taxable": lambda value: ("Taxable", value),
    "active": lambda value: ("Active", value),
    "currency": lambda value: ("CurrencyRef", {"value": value}),
    "sku": lambda value: ("Sku", value),
    "description": lambda value: ("Description", value),
    "price": lambda value: ("UnitPrice", value),
    "due": lambda value: ("DueDate", str(value)),
    "reference": lambda value: ("PaymentRefNum", value),
    "rate": lambda value: ("ExchangeRate", value),
    "name": lambda value: ("DisplayName", value),
}


def new_company(realm: str, clock: Any, settings: Settings | None = None) -> Company:
    """A company as it is on its first day: chart of accounts, terms, payment methods, tax codes."""
    company = Company(realm, clock, settings)
    accounts.set_up(company)
    if company.settings.country == "US":
        company.settings.sales_tax_code = tax.add_code(company, "TAX", Decimal(8))["Id"]
        tax.add_code(company, "NON", Decimal(0))
    else:
        for name, percent in (("20.0% S", 20), ("5.0% R", 5), ("0.0% Z", 0)):
            tax.add_code(company, name, Decimal(percent))
    return company


class Bookkeeping:
    """Drives `self.company`. Records are named by id or by name (documents by id or number)."""

    company: Company

    # ----------------------------------------------------------------- lists

    def add_customer(self, name: str, **fields: Any) -> str:
        """A customer; fields by their wire name (`BillAddr={...}`) or short: email, phone, company, terms ("Net 30"),
        currency, taxable, notes, parent. Returns its id."""
        return self._add("Customer", {"DisplayName": name}, fields)

    def add_vendor(self, name: str, **fields: Any) -> str:
        return self._add("Vendor", {"DisplayName": name}, fields)

    def add_employee(self, name: str, **fields: Any) -> str:
        return self._add("Employee", {"DisplayName": name}, fields)

    def add_item(
        self,
        name: str,
        *,
        price: Amount | None = None,
        type: str = "Service",
        account: str | None = None,
        **fields: Any,
    ) -> str:
        """Something sold; `account` is the income account by name (Services; goods: Sales of Product Income)."""
        income = account or (accounts.SERVICES if type == "Service" else accounts.SALES)
        body: Row = {"Name": name, "Type": type, "IncomeAccountRef": accounts.ref(self.company, income)}
        if price is not None:
            body["UnitPrice"] = Decimal(price)
        return self._add("Item", body, fields)

    def add_account(self, name: str, type: str, **fields: Any) -> str:
        return self._add("Account", {"Name": name, "AccountType": type}, fields)

    def add_tax_code(self, name: str, percent: Amount) -> str:
        """A tax code with one rate in percent."""
        id: str = tax.add_code(self.company, name, Decimal(percent))["Id"]
        return id

    def add_term(self, name: str, days: int, **fields: Any) -> str:
        return self._add("Term", {"Name": name, "Type": "STANDARD", "DueDays": days}, fields)

    # ----------------------------------------------------------------- documents

    def add_invoice(
        self,
        customer: str,
        lines: Sequence[Mapping[str, Any]],
        *,
        date: Day | None = None,
        number: str | None = None,
        **fields: Any,
    ) -> str:
        """An invoice. A line is a wire object (with DetailType), or says amount, or qty and price; and item, text, tax
        ("TAX", "NON" or a code's name), shipping=True, discount=True. Short fields: terms, due, rate, note, memo,
        tax_code. Returns its id."""
        return self._document("Invoice", customer, lines, date, number, fields)

    def add_credit_memo(
        self,
        customer: str,
        lines: Sequence[Mapping[str, Any]],
        *,
        date: Day | None = None,
        number: str | None = None,
        **fields: Any,
    ) -> str:
        """A credit memo, with lines as an invoice has them; it settles nothing until `apply_credit` or a payment
        brings it to an invoice."""
        return self._document("CreditMemo", customer, lines, date, number, fields)

    def add_payment(
        self,
        customer: str,
        amount: Amount,
        *,
        date: Day | None = None,
        invoices: Mapping[str, Amount] | None = None,
        credits: Mapping[str, Amount] | None = None,
        deposit_to: str | None = None,
        method: str | None = None,
        **fields: Any,
    ) -> str:
        """Money received: what it settles of which invoices (id or number -> amount), which credit memos it brings
        along, where it was deposited (an account's name; Undeposited Funds). What is left over stays unapplied."""
        body: Row = {"CustomerRef": {"value": self._id("Customer", customer)}, "TotalAmt": Decimal(amount)}
        body["Line"] = [
            {"Amount": Decimal(part), "LinkedTxn": [{"TxnId": self._id(entity, document), "TxnType": entity}]}
            for entity, parts in (("Invoice", invoices), ("CreditMemo", credits))
            for document, part in (parts or {}).items()
        ]
        if date is not None:
            body["TxnDate"] = str(date)
        if deposit_to is not None:
            body["DepositToAccountRef"] = accounts.ref(self.company, deposit_to)
        if method is not None:
            body["PaymentMethodRef"] = {"value": self._id("PaymentMethod", method)}
        return self._add("Payment", body, fields)

    def apply_credit(self, memo: str, invoice: str, amount: Amount, *, date: Day | None = None) -> str:
        """Bring a credit memo to an invoice: QuickBooks keeps that as a payment of zero. Returns the payment's id."""
        row = self.company.read("CreditMemo", self._id("CreditMemo", memo))
        customer = row["CustomerRef"]["value"]
        return self.add_payment(customer, 0, date=date, invoices={invoice: amount}, credits={memo: amount})

    # ----------------------------------------------------------------- changes

    def edit(self, entity: str, id: str, **fields: Any) -> Row:
        """Change some fields of a record; an empty text empties a field. Returns it as it now is."""
        row = self.company.read(entity, self._id(entity, id))
        body = {"Id": row["Id"], "SyncToken": row["SyncToken"], **self._wire(entity, fields)}
        return operations.write(self.company, entity, body, person=True, sparse=True)

    def void(self, entity: str, id: str) -> Row:
        return operations.void(self.company, entity, self._version(entity, id), person=True)

    def delete(self, entity: str, id: str) -> None:
        operations.delete(self.company, entity, self._version(entity, id), person=True)

    def close_books(self, on: Day | None) -> None:
        """Set the closing date: nothing on or before that day can be changed over the wire. None: opened again."""
        self.company.settings.books_closed = None if on is None else date.fromisoformat(str(on))

    def preferences(self, **settings: Any) -> None:
        """Change settings of the company, by the names of `Settings` (custom_numbers, multi_currency, allow_shipping,
        automated_tax, warn_duplicate_numbers, ...). Raises AttributeError for one that there is not."""
        for name, value in settings.items():
            getattr(self.company.settings, name)
            setattr(self.company.settings, name, value)

    def set_rate(self, currency: str, rate: Amount, on: Day) -> None:
        """Home units for one foreign unit, from that day on."""
        operations.set_rate(self.company, currency, Decimal(rate), date.fromisoformat(str(on)))

    # ----------------------------------------------------------------- inside

    def _version(self, entity: str, id: str) -> Row:
        row = self.company.read(entity, self._id(entity, id))
        return {"Id": row["Id"], "SyncToken": row["SyncToken"]}

    def _add(self, entity: str, body: Row, fields: Mapping[str, Any]) -> str:
        made = operations.write(self.company, entity, {**body, **self._wire(entity, fields)}, person=True)
        id: str = made["Id"]
        return id

    def _id(self, entity: str, key: str) -> str:
        """A record's id from its number or name, else what was given."""
        if entity in TRANSACTIONS:
            numbered = self.company.numbered(entity, str(key))
            return str(numbered[0]["Id"]) if numbered else str(key)
        named = self.company.named(entity, str(key))
        return str(named["Id"]) if named is not None else str(key)

    def _wire(self, entity: str, fields: Mapping[str, Any]) -> Row:
        body: Row = {}
        for name, value in fields.items():
            if name == "terms":
                body["SalesTermRef"] = {"value": self._id("Term", value)}
            elif name == "parent":
                body |= {"ParentRef": {"value": self._id(entity, value)}, "Job": True}
            elif name == "tax_code":
                body["TxnTaxDetail"] = {"TxnTaxCodeRef": {"value": self._id("TaxCode", value)}}
            elif name == "date":
                body["TxnDate"] = str(value)
            elif name == "name":
                body[NAME_FIELD.get(entity, "Name")] = value
            elif name in _SHORT:
                key, wire = _SHORT[name](value)
                body[key] = wire
            else:
                body[name] = value
        return body

    def _document(
        self,
        entity: str,
        customer: str,
        lines: Sequence[Mapping[str, Any]],
        on: Day | None,
        number: str | None,
        fields: Mapping[str, Any],
    ) -> str:
        body: Row = {"CustomerRef": {"value": self._id("Customer", customer)}}
        body["Line"] = [self._line(line) for line in lines]
        if on is not None:
            body["TxnDate"] = str(on)
        if number is not None:
            body["DocNumber"] = number
        return self._add(entity, body, fields)

    def _line(self, line: Mapping[str, Any]) -> Row:
        if "DetailType" in line:
            return dict(line)
        if line.get("discount") is True:
            return {
                "DetailType": "DiscountLineDetail",
                "Amount": Decimal(line["amount"]),
                "DiscountLineDetail": {},
            }
        detail: Row = {"ItemRef": {"value": "SHIPPING_ITEM_ID" if line.get("shipping") is True else self._item(line)}}
        if "price" in line:
            detail |= {"UnitPrice": Decimal(line["price"]), "Qty": Decimal(line.get("qty", 1))}
        if "tax" in line:
            us = line["tax"] in ("TAX", "NON")
            detail["TaxCodeRef"] = {"value": line["tax"] if us else self._id("TaxCode", line["tax"])}
        amount = line["amount"] if "amount" in line else detail["UnitPrice"] * detail["Qty"]
        made: Row = {"DetailType": "SalesItemLineDetail", "Amount": money_of(amount, "Amount")}
        if "text" in line:
            made["Description"] = line["text"]
        return {**made, "SalesItemLineDetail": detail}

    def _item(self, line: Mapping[str, Any]) -> str:
        """The item a line names; without one, an item "Services" that is made when it is first needed."""
        name = str(line.get("item", "Services"))
        row = self.company.named("Item", name) or self.company.find("Item", name)
        if row is None:
            income = accounts.ref(self.company, accounts.SERVICES)
            row = lists.add(self.company, "Item", Name=name, Type="Service", IncomeAccountRef=income)
        id: str = row["Id"]
        return id
