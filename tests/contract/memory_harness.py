"""The reference connector under the contract: small pages, small batches, a slow search index."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count

from connectors.canon.fields import read
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    CreditNote,
    Customer,
    Deal,
    DealLine,
    Invoice,
    InvoiceLine,
    Item,
    Kind,
    Payment,
)
from connectors.canon.values import Address, Money, Price, Terms
from connectors.kit.contract import Connector
from connectors.memory.connector import Memory
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs, facts_of
from connectors.memory.world import WORLDS, MemoryWorld
from tests.contract.harness import Harness, WebhookCall, deps_in_process

KNOBS = Knobs(page=3, batch_read=4, batch_write=5, search_delay_s=30, history=True)
ON = date(2026, 10, 12)
_NUMBERS = count()


class MemoryHarness(Harness):
    """A fresh world for each clause. `connector_type` is where a saboteur comes in."""

    name = "memory"
    kinds = tuple(Kind)
    text_path = {  # noqa: RUF012  # read only
        Kind.CUSTOMER: "notes",
        Kind.ITEM: "description",
        Kind.DEAL: "memo",
        Kind.INVOICE: "memo",
        Kind.CREDIT_NOTE: "reason",
        Kind.PAYMENT: "reference",
    }
    find_path = {  # noqa: RUF012  # read only
        Kind.CUSTOMER: "legal_name",
        Kind.ITEM: "name",
        Kind.DEAL: "name",
        Kind.INVOICE: "po_number",
        Kind.PAYMENT: "method",
    }

    customer = ""
    invoice = ""

    def __init__(self, connector_type: type[Memory] = Memory, knobs: Knobs = KNOBS) -> None:
        self._type = connector_type
        self._knobs = knobs
        self.facts = facts_of(knobs)

    async def start(self) -> None:
        self.world = MemoryWorld.make(f"contract-{next(_NUMBERS)}", self._knobs)
        self.customer = self.world.add(Customer(legal_name="Standing Customer"))
        self.invoice = self.world.add(self._invoice("standing", Decimal(900)))
        self.connector = self._open()

    async def close(self) -> None:
        del WORLDS[self.world.name]

    def _open(self) -> Connector:
        return self._type.open({"world": self.world.name}, deps_in_process())

    async def reopened(self) -> Connector:
        return self._open()

    def sample(self, kind: Kind, label: str) -> AnyRecord:
        match kind:
            case Kind.CUSTOMER:
                return Customer(
                    legal_name=f"{label} Ltd",
                    emails={"billing": "ap@example.test"},
                    phone="+254 20 2710000",
                    addresses={"billing": Address(("1 Main St",), "Nairobi", None, "00100", "KE")},
                    payment_terms=Terms(net_days=30),
                    credit_limit=Money(Decimal("1000.50"), "USD"),
                    properties={"sector": label},
                )
            case Kind.ITEM:
                return Item(name=label, sku=f"S-{label}", price=Price(Decimal("19.99"), "USD"))
            case Kind.DEAL:
                return self._deal(label, Decimal("1054.10"))
            case Kind.INVOICE:
                return self._invoice(label, Decimal("240.00"))
            case Kind.CREDIT_NOTE:
                line = InvoiceLine(text=label, net=Decimal("20.00"), tax_code="NON")
                return CreditNote(customer=self.customer, date=ON, currency="USD", reason=label, lines=(line,))
            case Kind.PAYMENT:
                return self._payment(label, Decimal("12.50"))

    def _deal(self, label: str, amount: Decimal) -> Deal:
        return Deal(
            name=label,
            sold_to=self.customer,
            status="won",
            won_at=datetime(2026, 10, 12, 8, tzinfo=UTC),
            won_on=ON,
            amount=Money(amount, "USD"),
            lines=(DealLine(key="1", text=label, unit_price=amount),),
        )

    def _invoice(self, label: str, net: Decimal) -> Invoice:
        line = InvoiceLine(text=label, net=net, tax_code="NON")
        return Invoice(
            customer=self.customer, date=ON, due_date=ON, currency="USD", po_number=f"PO {label}", lines=(line,)
        )

    def _payment(self, label: str, amount: Decimal) -> Payment:
        return Payment(
            customer=self.customer,
            date=ON,
            amount=Money(amount, "USD"),
            method=label,
            allocations=(Allocation(document=self.invoice, amount=Decimal("0.01")),),
        )

    def spoiled(self, kind: Kind) -> AnyRecord | None:
        match kind:
            case Kind.CUSTOMER:
                return Customer(legal_name="  ")
            case Kind.ITEM:
                return Item(name=None)
            case Kind.INVOICE:
                return Invoice(customer="nobody", date=ON)
            case Kind.CREDIT_NOTE:
                return CreditNote(customer="nobody", date=ON)
            case Kind.PAYMENT:
                return Payment(customer="nobody", date=ON, amount=Money(Decimal(1), "USD"))
            case Kind.DEAL:
                return None

    def zero(self, kind: Kind) -> tuple[AnyRecord, str] | None:
        match kind:
            case Kind.CUSTOMER:
                return Customer(legal_name="Zero", credit_limit=Money.zero("USD")), "credit_limit"
            case Kind.ITEM:
                return Item(name="zero", price=Price(Decimal(0), "USD")), "price"
            case Kind.DEAL:
                return Deal(name="zero", amount=Money.zero("USD")), "amount"
            case _:
                return None

    def priced(self, kind: Kind, amount: Decimal, label: str) -> AnyRecord | None:
        match kind:
            case Kind.ITEM:
                return Item(name=label, price=Price(amount, "USD"))
            case Kind.DEAL:
                return self._deal(label, amount)
            case Kind.INVOICE:
                return self._invoice(label, amount)
            case Kind.PAYMENT:
                return self._payment(label, amount)
            case _:
                return None

    def amount_of(self, record: AnyRecord) -> Decimal | None:
        value = read(record, {Item: "price", Deal: "amount", Payment: "amount"}.get(type(record), "total"))  # type: ignore[call-overload]  # the keys are record types
        return value.amount if isinstance(value, Money | Price) else value if isinstance(value, Decimal) else None

    async def person_adds(self, kind: Kind, label: str) -> str:
        return self.world.add(self.sample(kind, label))

    async def person_edits(self, kind: Kind, ref: str, text: str) -> None:
        self.world.edit(kind, ref, **{self.text_path[kind]: text})

    async def person_removes(self, kind: Kind, ref: str) -> None:
        self.world.delete(kind, ref)

    async def person_invoices(self, net: Decimal, on: date) -> str | None:
        line = InvoiceLine(text="by hand", net=net, tax_code="NON")
        return self.world.add(Invoice(customer=self.customer, date=on, currency="USD", lines=(line,)))

    async def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    def write_calls(self) -> int:
        return len(self.world.state.write_calls)

    async def lose_next_answer(self, kind: Kind) -> bool:
        self.world.script.add(Fault(what="lose", kind=kind))
        return True

    async def throttle_next_write(self, kind: Kind) -> bool:
        self.world.script.add(Fault(what="throttle", kind=kind))
        return True

    async def webhook(self) -> WebhookCall | None:
        since = self.world.state.head
        ref = self.world.add(Customer(legal_name="Told By Webhook"))
        headers, body = self.world.webhook("secret", since)
        return WebhookCall(
            secret="secret",
            method="POST",
            url="http://localhost/hooks/memory",
            headers=headers,
            body=body,
            now=self.world.now,
            ref=ref,
        )
