"""HubSpot under the contract, in front of its sandbox."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import AnyRecord, Customer, Item, Kind
from connectors.canon.values import Address, Money, Price
from connectors.hubspot.connector import HubSpot
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.contract import Connector, Deps, Token
from connectors.kit.sandbox import VirtualClock
from connectors.kit.sandbox.faults import status
from tests.contract.harness import WebhookCall
from tests.contract.http_harness import HttpHarness

_OBJECT = {Kind.CUSTOMER: "companies", Kind.ITEM: "products", Kind.DEAL: "deals"}
_TEXT = {Kind.CUSTOMER: "domain", Kind.ITEM: "description", Kind.DEAL: "dealname"}
_TOO_MANY = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "errorType": "RATE_LIMIT",
    "policyName": "TEN_SECONDLY_ROLLING",
}


class HubSpotHarness(HttpHarness):
    """Companies as customers, products and deals."""

    name = "hubspot"
    facts = HubSpot.facts
    kinds = (Kind.CUSTOMER, Kind.ITEM, Kind.DEAL)
    text_path = {Kind.CUSTOMER: "website", Kind.ITEM: "description", Kind.DEAL: "name"}  # noqa: RUF012  # read only
    text_required = frozenset({Kind.DEAL})
    find_path = {Kind.CUSTOMER: "legal_name", Kind.ITEM: "name", Kind.DEAL: "name"}  # noqa: RUF012  # read only
    sweep_s = 3600
    two_pages = 1005
    write_path = r"/batch/(create|update|upsert|archive)$"
    sandbox: HubSpotSandbox

    def make_sandbox(self, clock: VirtualClock) -> HubSpotSandbox:
        return HubSpotSandbox(clock)

    def token(self) -> Token:
        return Token(access=next(iter(self.sandbox.portal.account.private_tokens)))

    def settings(self) -> dict[str, str]:
        return {"base_url": self.sandbox.url}

    def open(self, settings: dict[str, str], deps: Deps) -> Connector:
        return HubSpot.open(settings, deps)

    def sample(self, kind: Kind, label: str) -> AnyRecord:
        if kind is Kind.ITEM:
            return Item(name=label, sku=f"S-{label}", price=Price(Decimal("19.99"), "USD"))
        return Customer(
            legal_name=f"{label} Ltd",
            phone="+254202710000",
            addresses={"billing": Address(("1 Main St",), "Nairobi", None, "00100", "KE")},
        )

    def spoiled(self, kind: Kind) -> AnyRecord | None:
        """Without a name HubSpot makes neither a company nor a product."""
        return Item(sku="nameless") if kind is Kind.ITEM else Customer(phone="+254202710000")

    def zero(self, kind: Kind) -> tuple[AnyRecord, str] | None:
        return (Item(name="zero", price=Price(Decimal(0), "USD")), "price") if kind is Kind.ITEM else None

    def priced(self, kind: Kind, amount: Decimal, label: str) -> AnyRecord | None:
        return Item(name=label, price=Price(amount, "USD")) if kind is Kind.ITEM else None

    def amount_of(self, record: AnyRecord) -> Decimal | None:
        value = read(record, "price")
        return value.amount if isinstance(value, Price | Money) else None

    async def person_adds(self, kind: Kind, label: str) -> str:
        made: dict[Kind, Any] = {
            Kind.CUSTOMER: self.sandbox.add_company,
            Kind.ITEM: self.sandbox.add_product,
            Kind.DEAL: self.sandbox.add_deal,
        }
        self.clock.advance(0.01)
        return str(made[kind](f"{label} by hand"))

    async def person_edits(self, kind: Kind, ref: str, text: str) -> None:
        self.sandbox.edit(_OBJECT[kind], ref, **{_TEXT[kind]: text})

    async def person_removes(self, kind: Kind, ref: str) -> None:
        self.sandbox.archive(_OBJECT[kind], ref)

    async def lose_next_answer(self, kind: Kind) -> bool:
        return self.lose()

    async def throttle_next_write(self, kind: Kind) -> bool:
        self.sandbox.faults.add(status(429, "POST", self.write_path, body=_TOO_MANY))
        return True

    async def webhook(self) -> WebhookCall | None:
        url, heard, runner = await self.caught()
        self.sandbox.webhooks.url = url
        ref = await self.person_adds(Kind.CUSTOMER, "Told")
        await self.sandbox.webhooks.deliver()
        call = await asyncio.wait_for(heard.get(), 10)
        await runner.cleanup()
        secret = self.sandbox.portal.account.client_secret
        return msgspec.structs.replace(call, ref=ref, secret=secret)
