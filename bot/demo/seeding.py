"""The company as its two systems know it: what is added to the HubSpot sandbox and to the QuickBooks sandbox, through
the doors that a person's hands use (`POST /_sandbox/add`). `@key` in a body stands for the id that `key` was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP
from typing import Any

import aiohttp
import msgspec

from bot.demo.company import CENT, Bill, Company, Firm, Good, Place, Receipt, Sale
from bot.demo.mapping import BILLING_EMAIL

OWNERS = ("70001", "70002")  # those of the HubSpot sandbox's account
CLOSED_AT = time(15, 30, tzinfo=UTC)  # about noon in New York


class NotSeeded(RuntimeError):
    """A sandbox refused a record of the made-up company."""


class Add(msgspec.Struct, frozen=True):
    """One request to a sandbox. `key`: what others call the record that it makes."""

    key: str
    body: dict[str, Any]
    path: str = "/_sandbox/add"


# --------------------------------------------------------------------------- HubSpot


def hubspot_seeds(company: Company) -> Iterator[Add]:
    """Products, companies, contacts, deals and their lines, in an order in which each finds what it names."""
    for good in company.goods:
        yield Add(good.sku, {"object": "products", "properties": _product(good)})
    for firm in company.firms:
        if firm.in_crm:
            yield Add(firm.key, {"object": "companies", "properties": _company(firm)})
            yield from _contact(firm)
    for number, sale in enumerate(company.sales):
        yield from _deal(sale, OWNERS[number % len(OWNERS)])


def _product(good: Good) -> dict[str, Any]:
    return {"name": good.name, "hs_sku": good.sku, "price": str(good.price), "description": good.text}


def _company(firm: Firm) -> dict[str, Any]:
    place = firm.crm_place
    found = {"address": place.street, "city": place.city, "state": place.state, "zip": place.postcode}
    known = firm.email if firm.in_books else None
    phone = firm.crm_phone or None
    return {"name": firm.name, "domain": firm.domain, "phone": phone, BILLING_EMAIL: known, **found} | {
        "country": "United States"
    }


def _contact(firm: Firm) -> Iterator[Add]:
    if firm.person is not None:
        given, family = firm.person
        email = f"{given}.{family}@{firm.domain}".casefold()
        said = {"email": email, "firstname": given, "lastname": family}
        ties = {"companies": [f"@{firm.key}"]}
        yield Add(f"{firm.key}-person", {"object": "contacts", "properties": said, "ties": ties})


def _deal(sale: Sale, owner: str) -> Iterator[Add]:
    said = {
        "dealname": sale.name,
        "amount": str(sale.amount),
        "deal_currency_code": "USD",
        "pipeline": "default",
        "dealstage": sale.stage,
        "closedate": datetime.combine(sale.on, CLOSED_AT).isoformat().replace("+00:00", "Z"),
        "hubspot_owner_id": owner,
    }
    ties = {"companies": [f"@{sale.firm}"]} if sale.firm is not None else {}
    yield Add(sale.key, {"object": "deals", "properties": said, "ties": ties})
    for number, line in enumerate(sale.lines):
        sold = {"hs_product_id": f"@{line.good.sku}", "quantity": str(line.qty), "price": str(line.good.price)}
        body = {"object": "line_items", "properties": sold, "ties": {"deals": [f"@{sale.key}"]}}
        yield Add(f"{sale.key}-{number}", body)


# --------------------------------------------------------------------------- QuickBooks


def quickbooks_seeds(company: Company) -> Iterator[Add]:
    """Items, customers, and the documents day by day, so that their numbers run with their dates."""
    for good in (*company.goods, *company.new_goods):
        yield Add(good.sku, {"entity": "Item", **_item(good)})
    for firm in company.firms:
        if firm.in_books:
            yield Add(firm.key, {"entity": "Customer", **_customer(firm)})
    receipts = {receipt.bill: receipt for receipt in company.receipts}
    for bill in company.bills:
        yield Add(bill.key, {"entity": "Invoice", **_invoice(bill)})
    for bill in company.bills:
        if bill.void:
            yield Add(f"{bill.key}-void", {"entity": "Invoice", "id": f"@{bill.key}"}, "/_sandbox/void")
        if bill.key in receipts:
            yield from _receipt(bill, receipts[bill.key])


def _item(good: Good) -> dict[str, Any]:
    kind = "Service" if good.service else "NonInventory"
    said = {"name": good.name, "price": str(good.price), "type": kind, "sku": good.sku, "description": good.text}
    return {**said, "Taxable": not good.service}


def _customer(firm: Firm) -> dict[str, Any]:
    said = {"name": firm.name, "email": firm.email, "BillAddr": _address(firm.books_place), "terms": "Net 30"}
    return {**said, "phone": firm.books_phone} if firm.books_phone else said


def _address(place: Place) -> dict[str, str]:
    return {
        "Line1": place.street,
        "City": place.city,
        "CountrySubDivisionCode": place.state,
        "PostalCode": place.postcode,
        "Country": "US",
    }


def _invoice(bill: Bill) -> dict[str, Any]:
    tax = "TAX" if bill.taxed else "NON"
    lines: list[dict[str, Any]] = [
        {"item": line.good.name, "text": line.good.text, "qty": line.qty, "price": str(line.good.price), "tax": tax}
        for line in bill.lines
    ]
    if bill.less:
        price = bill.lines[0].amount - bill.less
        lines[0] |= {"qty": 1, "price": str(price), "text": f"{lines[0]['text']}, as agreed by phone"}
    more = {"RecurDataRef": {"value": "1"}} if bill.recurring else {}
    memo = {"memo": bill.said} if bill.said else {}
    return {"customer": f"@{bill.firm}", "lines": lines, "date": bill.on.isoformat(), **memo, **more}


def _receipt(bill: Bill, receipt: Receipt) -> Iterator[Add]:
    customer, on = f"@{bill.firm}", receipt.on.isoformat()
    share = str((bill.total * receipt.percent / 100).quantize(CENT, ROUND_HALF_UP))
    if not receipt.by_credit:
        paid = {"entity": "Payment", "customer": customer, "amount": share, "date": on}
        yield Add(f"{bill.key}-paid", {**paid, "invoices": {f"@{bill.key}": share}, "method": "Bank transfer"})
        return
    memo = f"{bill.key}-credit"
    yield Add(memo, {**_invoice(bill), "entity": "CreditMemo", "date": on, "memo": "Returned", "number": "CM-1"})
    settled = {"invoices": {f"@{bill.key}": share}, "credits": {f"@{memo}": share}}
    yield Add(f"{memo}-applied", {"entity": "Payment", "customer": customer, "amount": "0", "date": on, **settled})


# --------------------------------------------------------------------------- planting


class Planter:
    """Adds seeds to a running sandbox. `ids`: what each key was given."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self.ids: dict[str, str] = {}

    async def plant(self, seeds: Iterator[Add]) -> dict[str, str]:
        """Add all of them. Raises NotSeeded."""
        for seed in seeds:
            answer = await self.post(seed.path, self._filled(seed.body))
            self.ids[seed.key] = str(answer.get("id", answer.get("Id", "")))
        return self.ids

    async def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """What the sandbox answered. Raises NotSeeded."""
        async with self._session.post(f"{self._url}{path}", json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise NotSeeded(f"{path} refused {body}: {answer}")
            return answer

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._filled(key): self._filled(held) for key, held in value.items()}
        if isinstance(value, list):
            return [self._filled(held) for held in value]
        return self.ids[value[1:]] if isinstance(value, str) and value.startswith("@") else value
