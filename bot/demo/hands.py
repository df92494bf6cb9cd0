"""A person's hands and eyes at the two sandboxes, through their own doors over HTTP: look, type, count."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol

import aiohttp
import msgspec

from bot.demo import snapshots
from bot.demo.snapshots import Calls, Snapshot


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person typed. `said`: in words; `side`, `ref` and `path` where, `value` what; `gives_way`:
    the mapping or a person will let the other side win, so that it is overwritten, but must be on record."""

    said: str
    side: str
    kind: str
    ref: str
    path: str
    value: Any
    gives_way: bool = False


class Won(msgspec.Struct, frozen=True):
    """A won deal as the CRM shows it: who bought, when, for how much net."""

    ref: str
    customer: str
    on: date
    amount: Decimal


class Crm(Protocol):
    """The CRM of the demonstration, whichever it is."""

    title: str
    seen_after_s: float

    async def look(self) -> Snapshot: ...

    async def calls(self) -> Calls: ...

    async def won(self) -> list[Won]: ...

    async def win_deal(self, customer: str, on: date) -> Edit: ...

    async def spoil(self) -> str:
        """Do something terrible to the customers; says what."""
        ...

    async def mend(self) -> None: ...

    async def wait(self, seconds: float) -> None:
        """Let the vendor's time pass."""
        ...


class NotTaken(RuntimeError):
    """A sandbox refused what a person did."""


class _Hands:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self.url = session, url

    async def get(self, what: str) -> Any:
        async with self._session.get(f"{self.url}/_sandbox/{what}") as response:
            return await response.json()

    async def post(self, what: str, body: dict[str, Any]) -> Any:
        async with self._session.post(f"{self.url}/_sandbox/{what}", json=body) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise NotTaken(f"{what} refused {body}: {answer}")
            return answer

    async def wait(self, seconds: float) -> None:
        await self.post("clock/advance", {"seconds": seconds})


class QuickBooksHands(_Hands):
    """Somebody in QuickBooks."""

    title = "QuickBooks"

    async def look(self) -> Snapshot:
        return snapshots.quickbooks(await self.get("state"))

    async def calls(self) -> Calls:
        told = await self.get("requests")
        return Calls(told["calls"], snapshots.quickbooks_writes(told["by_path"]))

    async def edit_customer(self, ref: str, said: str, path: str, value: Any, *, gives_way: bool = False) -> Edit:
        """Type into a customer: `path` is what a plan calls the field."""
        wire = {"phone": "phone", "legal_name": "CompanyName", "notes": "notes", snapshots.ADDRESS: "BillAddr"}[path]
        sent: Any = value
        if path == snapshots.ADDRESS:
            parts = ("Line1", "City", "CountrySubDivisionCode", "PostalCode")
            sent = {**dict(zip(parts, value, strict=True)), "Country": "US"}
        await self.post("edit", {"entity": "Customer", "id": ref, "fields": {wire: sent}})
        return Edit(said=said, side="books", kind="customer", ref=ref, path=path, value=value, gives_way=gives_way)

    async def set_price(self, ref: str, said: str, price: Decimal) -> Edit:
        await self.post("edit", {"entity": "Item", "id": ref, "fields": {"price": str(price)}})
        return Edit(said=said, side="books", kind="item", ref=ref, path="price", value=price)

    async def take_money(self, invoice: str, customer: str, amount: Decimal, on: date) -> None:
        paid = {"customer": customer, "amount": str(amount), "date": on.isoformat(), "invoices": {invoice: str(amount)}}
        await self.post("add", {"entity": "Payment", **paid})


class HubSpotHands(_Hands):
    """Somebody in HubSpot. What is typed is found by its search a few seconds later."""

    title = "HubSpot"
    seen_after_s = 10.0

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__(session, url)
        self._kept: dict[str, str] = {}

    async def look(self) -> Snapshot:
        return snapshots.hubspot(await self.get("state"))

    async def calls(self) -> Calls:
        told = await self.get("requests")
        return Calls(told["calls"], snapshots.hubspot_writes(told["by_path"]))

    async def won(self) -> list[Won]:
        seen = await self.look()
        names = {ref: str(record["legal_name"]) for ref, record in seen.of("customer").items()}
        return [
            Won(ref, names.get(deal["customer"] or "", ""), _new_york_day(deal["on"]), deal["amount"])
            for ref, deal in seen.of("deal").items()
            if deal["won"] and deal["amount"] is not None
        ]

    async def edit_phone(self, ref: str, said: str, phone: str) -> Edit:
        await self.post("edit", {"object": "companies", "id": ref, "properties": {"phone": phone}})
        return Edit(said=said, side="crm", kind="customer", ref=ref, path="phone", value=phone)

    async def win_deal(self, customer: str, on: date) -> Edit:
        """A deal of two dosing pumps is won."""
        name, amount = "Dosing station, by phone", Decimal("1380.00")
        closed = datetime.combine(on, time(15, 30, tzinfo=UTC)).isoformat().replace("+00:00", "Z")
        said = {"dealname": name, "amount": str(amount), "deal_currency_code": "USD", "closedate": closed}
        stage = {"pipeline": "default", "dealstage": "closedwon", "hubspot_owner_id": "70001"}
        body = {"object": "deals", "properties": {**said, **stage}, "ties": {"companies": [customer]}}
        deal = str((await self.post("add", body))["id"])
        products = (await self.look()).of("item")
        pump = next(ref for ref, product in products.items() if product["sku"] == "PU-D05")
        sold = {"hs_product_id": pump, "quantity": "2", "price": "690.00"}
        await self.post("add", {"object": "line_items", "properties": sold, "ties": {"deals": [deal]}})
        words = f'the deal "{name}" is won, USD {amount:,}'
        return Edit(said=words, side="crm", kind="deal", ref=deal, path="amount", value=amount)

    async def spoil(self) -> str:
        """A wrong list is imported over the phone numbers of nearly everybody."""
        customers = (await self.look()).of("customer")
        chosen = [ref for ref, record in customers.items() if record["phone"]][:180]
        for number, ref in enumerate(chosen):
            self._kept[ref] = customers[ref]["phone"]
            wrong = f"+1 202 555 01{number % 100:02}"
            await self.post("edit", {"object": "companies", "id": ref, "properties": {"phone": wrong}})
        return f"somebody imports a wrong list over the phone numbers of {len(chosen)} companies"

    async def mend(self) -> None:
        for ref, phone in self._kept.items():
            await self.post("edit", {"object": "companies", "id": ref, "properties": {"phone": phone}})


def _new_york_day(closed: str) -> date:
    """The made-up deals close about noon, so five hours back is the same day in winter and in summer."""
    return (datetime.fromisoformat(closed) - timedelta(hours=5)).date()
