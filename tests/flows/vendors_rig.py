"""HubSpot's and QuickBooks' sandboxes over HTTP with the worker driven by hand: the rig's verbs on real vendors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import aiohttp

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.contract import Clock, Token
from connectors.kit.timers import SystemClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from tests.flows.rig import Rig
from worker.api import Api
from worker.house import House
from worker.queue import Queue
from worker.settings import WorkerSettings
from worker.store.database import open_database
from worker.usecases.office import Office
from worker.vault import Vault

_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

MAPPING = """
pair: acme
crm: hubspot
books: quickbooks
time_zone: America/New_York
cut_over: {cut_over}
customers_from: companies
deal_amount: net
flows:
  customers:
    apply: ask
    create: {{books: {books}, crm: {crm}}}
    match: [marker, email, name]
    fields:
      - {{crm: name, books: legal_name, authority: crm}}
      - {{crm: phone, books: phone, authority: ask, transform: phone(US)}}
  items:
    apply: ask
    direction: books-to-crm
    create: {{books: never, crm: never}}
    fields:
      - {{crm: name, books: name, authority: books}}
  invoices:
    apply: ask
    due: 30
    ready: {{require: [bill_to], wait_after_won_min: 0}}
    accounts: {{income: Services}}
    tax: [{{otherwise: NON}}]
    changed_after_posting: ask
  payments:
    apply: ask
    direction: books-to-crm
    fields:
      - {{books: state, crm: properties.invoice_status}}
      - {{books: balance, crm: properties.balance_due}}
guards:
  changed_in_24_h: {{share: 90%, at_least: 500}}
  removed_in_24_h: 50
"""


class NoQueue:
    """A queue that nobody reads: the test is the worker."""

    async def wake(self, run_id: str, lane: str) -> bool:
        return True


class VendorRig(Rig):
    """One pair of both sandboxes. `hubspot` and `quickbooks` are where people type."""

    def __init__(self, api: Api, office: Office, hubspot: HubSpotSandbox, quickbooks: QuickBooksSandbox) -> None:
        super().__init__(office.db, office, api, cast(Any, {"crm": hubspot, "books": quickbooks}))
        self.hubspot, self.quickbooks = hubspot, quickbooks

    def pass_time(self, seconds: float) -> None:
        """At the vendors too: HubSpot's search sees what was written a little later."""
        super().pass_time(seconds)
        self.hubspot.clock.advance(seconds)
        self.quickbooks.clock.advance(seconds)

    async def run(self, what: str, *, patience: int = 20, **request: Any) -> Any:
        self.pass_time(10)
        return await super().run(what, patience=patience, **request)

    # ----------------------------------------------------------------- people

    def wins(self, name: str, company: str, amount: str = "100.00") -> str:
        """A company's deal is won today."""
        day = self.hubspot.clock.now().astimezone(UTC) - timedelta(days=1)
        return self.hubspot.add_deal(
            name, amount, company=company, dealstage="closedwon", closedate=f"{day:%Y-%m-%dT%H:%M:%SZ}",
            deal_currency_code="USD",
        )  # fmt: skip

    # ----------------------------------------------------------------- what is to be seen

    def rows(self, entity: str) -> list[dict[str, Any]]:
        """The books' rows of an entity, oldest first."""
        return [dict(row) for row in self.quickbooks.company.rows[entity].values()]

    def customers(self) -> list[tuple[str, bool]]:
        """(name, active) of the books' customers."""
        return [(row["DisplayName"], row["Active"]) for row in self.rows("Customer")]

    def companies(self) -> list[str]:
        return sorted(self.hubspot.properties("companies", each)["name"] for each in self.hubspot.ids("companies"))

    def documents(self, entity: str = "Invoice") -> list[tuple[Decimal, Decimal]]:
        """(total, balance) of each."""
        return [(row["TotalAmt"], row["Balance"]) for row in self.rows(entity)]

    async def receivable(self) -> tuple[Decimal | None, dict[str, Decimal]]:
        """The control account, and what each customer owes, from the books' own reports."""
        desk = await self.desk()
        today = self.quickbooks.clock.now().date()
        found = await desk.connector("books").figures(today - timedelta(days=90), today + timedelta(days=1))
        assert found is not None
        return found.receivable_control, {row.customer: row.total for row in found.ageing}


@contextlib.asynccontextmanager
async def open_vendors(
    url: str, folder: Path, books: str = "first_document", crm: str = "ask"
) -> AsyncIterator[VendorRig]:
    """Both sandboxes connected and paired. `books`, `crm`: how new customers are made there."""
    hubspot, quickbooks = HubSpotSandbox(limits=False), QuickBooksSandbox(limits=False)
    db = open_database(url)
    vault = Vault([_KEY])
    async with hubspot, quickbooks, aiohttp.ClientSession() as session:
        clock = cast(Clock, SystemClock())
        office = Office(db=db, vault=vault, registry=CONNECTORS, session=session, clock=clock)
        house = House(WorkerSettings(data=folder), db, vault, cast(Queue, NoQueue()), office, CONNECTORS, serves=False)
        rig = VendorRig(Api(house), office, hubspot, quickbooks)
        try:
            token = Token(access=next(iter(hubspot.portal.account.private_tokens)))
            at = {"base_url": hubspot.url, "app_url": hubspot.url, "pace": "off"}
            await rig.api.connect("hubspot", at, token)
            given = Token(access=quickbooks.token()["access_token"])
            there = {"realm_id": quickbooks.realm, "base_url": quickbooks.url, "pace": "off"}
            await rig.api.connect("quickbooks", there, given)
            cut_over = f"{datetime.now(UTC) - timedelta(days=60):%Y-%m-%d}"
            rig.pair = await rig.api.pair(MAPPING.format(cut_over=cut_over, books=books, crm=crm), "t.yaml", "tests")
            quickbooks.add_item("Services")
            yield rig
        finally:
            await office.close()
            await db.close()
