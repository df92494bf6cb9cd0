"""QuickBooks under the contract, in front of its sandbox."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    CreditNote,
    Customer,
    Invoice,
    InvoiceLine,
    Item,
    Kind,
    Payment,
)
from connectors.canon.values import Address, Money, Price
from connectors.kit.contract import Connector, Deps, Token
from connectors.kit.sandbox import VirtualClock
from connectors.kit.sandbox.faults import status
from connectors.quickbooks.connector import QuickBooks
from connectors.quickbooks.sandbox import QuickBooksSandbox, accounts
from connectors.quickbooks.sandbox.server import CLIENT_ID, CLIENT_SECRET
from tests.contract.harness import WebhookCall
from tests.contract.http_harness import SECRET, HttpHarness

ON = date(2026, 10, 12)
_ENTITY = {
    Kind.CUSTOMER: "Customer",
    Kind.ITEM: "Item",
    Kind.INVOICE: "Invoice",
    Kind.CREDIT_NOTE: "CreditMemo",
    Kind.PAYMENT: "Payment",
}
_TEXT = {
    Kind.CUSTOMER: "notes",
    Kind.ITEM: "description",
    Kind.INVOICE: "memo",
    Kind.CREDIT_NOTE: "memo",
    Kind.PAYMENT: "reference",
}
_TOO_MANY = {
    "Fault": {
        "Error": [{"Message": "message=ThrottleExceeded; errorCode=003001", "code": "3001"}],
        "type": "LIMIT",
    }
}


class QuickBooksHarness(HttpHarness):
    """A US company in dollars with one standing customer, item and invoice."""

    name = "quickbooks"
    facts = QuickBooks.facts
    kinds = tuple(_ENTITY)
    text_path = {  # noqa: RUF012  # read only
        Kind.CUSTOMER: "notes",
        Kind.ITEM: "description",
        Kind.INVOICE: "memo",
        Kind.CREDIT_NOTE: "memo",
        Kind.PAYMENT: "reference",
    }
    find_path = {Kind.CUSTOMER: "legal_name", Kind.ITEM: "name"}  # noqa: RUF012  # read only
    write_path = r"/v3/company/\d+/(batch|customer|item|invoice|creditmemo|payment)(/|\?|$)"
    sandbox: QuickBooksSandbox
    customer = ""
    item = ""
    invoice = ""

    def make_sandbox(self, clock: VirtualClock) -> QuickBooksSandbox:
        return QuickBooksSandbox(clock)

    def token(self) -> Token:
        given = self.sandbox.token()
        return Token(
            access=given["access_token"],
            refresh=given["refresh_token"],
            expires_at=self.clock.now() + timedelta(seconds=given["expires_in"]),
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
        )

    def settings(self) -> dict[str, str]:
        url = self.sandbox.url
        token_url = f"{url}/oauth2/v1/tokens/bearer"
        return {"realm_id": self.sandbox.realm, "base_url": url, "token_url": token_url, "page": "3"}

    def open(self, settings: dict[str, str], deps: Deps) -> Connector:
        return QuickBooks.open(settings, deps)

    async def prepare(self) -> None:
        self.customer = self.sandbox.add_customer("Standing Customer")
        self.item = self.sandbox.add_item("Standing Item", price=10)
        self.invoice = self.sandbox.add_invoice(self.customer, [{"amount": "900", "tax": "NON"}], date=ON)

    def removable(self, kind: Kind) -> bool:
        """Names in lists can only be made inactive."""
        return kind not in (Kind.CUSTOMER, Kind.ITEM)

    def sample(self, kind: Kind, label: str) -> AnyRecord:
        match kind:
            case Kind.CUSTOMER:
                return Customer(
                    legal_name=f"{label} Ltd",
                    display_name=f"{label} Ltd",
                    emails={"general": "info@example.test"},
                    phone="+254 20 2710000",
                    addresses={"billing": Address(("1 Main St",), "Nairobi", None, "00100", "KE")},
                )
            case Kind.ITEM:
                return self._item(label, Decimal("19.99"))
            case Kind.PAYMENT:
                return self._payment(label, Decimal("12.50"))
            case Kind.CREDIT_NOTE:
                return CreditNote(customer=self.customer, date=ON, currency="USD", lines=(self._line(label, "20.00"),))
            case _:
                return self._invoice(label, "240.00")

    def _item(self, name: str, price: Decimal) -> Item:
        return Item(name=name, item_kind="service", price=Price(price, "USD"), income_account=accounts.SERVICES)

    def _line(self, label: str, net: str) -> InvoiceLine:
        return InvoiceLine(item=self.item, text=label, net=Decimal(net), tax_code="NON")

    def _invoice(self, label: str, net: str) -> Invoice:
        lines = (self._line(label, net),)
        return Invoice(customer=self.customer, date=ON, due_date=ON, currency="USD", lines=lines)

    def _payment(self, label: str, amount: Decimal) -> Payment:
        return Payment(
            customer=self.customer,
            date=ON,
            amount=Money(amount, "USD"),
            allocations=(Allocation(document=self.invoice, amount=Decimal("0.01")),),
        )

    def spoiled(self, kind: Kind) -> AnyRecord | None:
        match kind:
            case Kind.CUSTOMER:
                return Customer(legal_name="Standing Customer", display_name="Standing Customer")
            case Kind.ITEM:
                return self._item("Standing Item", Decimal(1))
            case Kind.INVOICE:
                return Invoice(customer="424242", date=ON, currency="USD", lines=(self._line("bad", "1.00"),))
            case Kind.CREDIT_NOTE:
                return CreditNote(customer="424242", date=ON, currency="USD", lines=(self._line("bad", "1.00"),))
            case _:
                return Payment(customer="424242", date=ON, amount=Money(Decimal(1), "USD"))

    def zero(self, kind: Kind) -> tuple[AnyRecord, str] | None:
        if kind is Kind.ITEM:
            return self._item("zero", Decimal(0)), "price"
        return None

    def priced(self, kind: Kind, amount: Decimal, label: str) -> AnyRecord | None:
        match kind:
            case Kind.ITEM:
                return self._item(label, amount)
            case Kind.INVOICE:
                return self._invoice(label, str(amount))
            case Kind.PAYMENT:
                return self._payment(label, amount)
            case _:
                return None

    def amount_of(self, record: AnyRecord) -> Decimal | None:
        path = "price" if isinstance(record, Item) else "amount" if isinstance(record, Payment) else "total"
        value = read(record, path)
        return value.amount if isinstance(value, Money | Price) else value if isinstance(value, Decimal) else None

    async def person_adds(self, kind: Kind, label: str) -> str:
        self.clock.advance(1)
        match kind:
            case Kind.CUSTOMER:
                return self.sandbox.add_customer(label, company=label)
            case Kind.ITEM:
                return self.sandbox.add_item(label, price=10)
            case Kind.INVOICE:
                return self.sandbox.add_invoice(self.customer, [{"amount": "10", "tax": "NON"}], date=ON)
            case Kind.CREDIT_NOTE:
                return self.sandbox.add_credit_memo(self.customer, [{"amount": "10", "tax": "NON"}], date=ON)
            case _:
                return self.sandbox.add_payment(self.customer, 10, date=ON)

    async def person_edits(self, kind: Kind, ref: str, text: str) -> None:
        self.sandbox.edit(_ENTITY[kind], ref, **{_TEXT[kind]: text})

    async def person_removes(self, kind: Kind, ref: str) -> None:
        self.sandbox.delete(_ENTITY[kind], ref)

    async def person_invoices(self, net: Decimal, on: date) -> str | None:
        return self.sandbox.add_invoice(self.customer, [{"amount": str(net), "tax": "NON"}], date=on)

    async def lose_next_answer(self, kind: Kind) -> bool:
        return self.lose()

    async def throttle_next_write(self, kind: Kind) -> bool:
        self.sandbox.faults.add(status(429, "POST", self.write_path, body=_TOO_MANY))
        return True

    async def webhook(self) -> WebhookCall | None:
        url, heard, runner = await self.caught()
        self.sandbox.webhooks.subscribe(url, SECRET)
        ref = await self.person_adds(Kind.CUSTOMER, "Told")
        await self.sandbox.deliver_webhooks()
        call = await asyncio.wait_for(heard.get(), 10)
        await runner.cleanup()
        return msgspec.structs.replace(call, ref=ref)
