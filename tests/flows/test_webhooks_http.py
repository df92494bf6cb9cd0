"""Webhooks over real HTTP: HubSpot's and QuickBooks' sandboxes call the bot's route, and the workers of a house do the
rest. Nobody previews, nobody syncs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import func, select

from bot.web.vendors import Hooks
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.hubspot.sandbox.webhooks import signed
from connectors.kit.contract import Token
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.registry import CONNECTORS
from worker.api import Api, Webhooks
from worker.api.views import PairView
from worker.house import House, open_house
from worker.settings import WorkerSettings
from worker.store.tables import runs, webhook_events

VERIFIER = "verifier token of the app"
MAPPING = """
pair: hooks
crm: hubspot
books: quickbooks
time_zone: America/New_York
cut_over: 2026-09-01
flows:
  customers:
    apply: auto
    create: {books: always, crm: always}
    match: [name]
    fields:
      - {crm: name, books: legal_name, authority: crm}
      - {crm: phone, books: phone, authority: ask, transform: phone(US)}
"""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Both sandboxes, one linked customer, and the route at `url`."""

    house: House
    pair: PairView
    hubspot: HubSpotSandbox
    quickbooks: QuickBooksSandbox
    url: str
    registry: CollectorRegistry
    company: str
    customer: str

    def phone(self) -> str | None:
        """As the books have it."""
        row = self.quickbooks.company.read("Customer", self.customer)
        told: str | None = row.get("PrimaryPhone", {}).get("FreeFormNumber")
        return told

    def version(self) -> str:
        """Of the books' customer: each write makes another."""
        return str(self.quickbooks.company.read("Customer", self.customer)["SyncToken"])

    async def at_rest(self) -> None:
        """Nothing waits to be delivered, and no run is left."""
        for _ in range(400):
            async with self.house.db.read() as tx:
                left = await tx.scalar(
                    select(func.count()).select_from(runs).where(runs.c.state.in_(("queued", "running", "waiting")))
                )
            if not left and not self.hubspot.webhooks.waiting and not self.quickbooks.webhooks.waiting:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it does not come to rest")

    async def heard(self) -> int:
        """Events that were stored."""
        async with self.house.db.read() as tx:
            return int(await tx.scalar(select(func.count()).select_from(webhook_events)))


async def becomes(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


@contextlib.asynccontextmanager
async def served(hooks: Hooks, registry: CollectorRegistry) -> AsyncIterator[str]:
    app = web.Application()
    hooks.serve(app, registry)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    registry = CollectorRegistry()
    async with (
        HubSpotSandbox(limits=False, index_delay_s=0) as hubspot,
        QuickBooksSandbox(limits=False) as quickbooks,
        open_house(WorkerSettings(data=tmp_path / "data"), CONNECTORS) as house,
        served(Hooks(Webhooks(house)), registry) as root,
    ):
        company = hubspot.add_company("Acme", phone="+12125550100")
        pair = await _paired(house, hubspot, quickbooks)
        api = Api(house)
        await api.wait(await api.ask(pair.id, "sync", "tests"))
        await _listening(house, pair, hubspot, quickbooks, root)
        customer = quickbooks.company.named("Customer", "Acme")
        assert customer is not None
        yield Scene(
            house=house,
            pair=pair,
            hubspot=hubspot,
            quickbooks=quickbooks,
            url=root,
            registry=registry,
            company=company,
            customer=str(customer["Id"]),
        )


async def _paired(house: House, hubspot: HubSpotSandbox, quickbooks: QuickBooksSandbox) -> PairView:
    api, account = Api(house), hubspot.portal.account
    token = Token(access=next(iter(account.private_tokens)), client_secret=account.client_secret)
    await api.connect("hubspot", {"base_url": hubspot.url, "app_url": hubspot.url, "pace": "off"}, token)
    settings = {"realm_id": quickbooks.realm, "base_url": quickbooks.url, "pace": "off"}
    await api.connect("quickbooks", settings, Token(access=quickbooks.token()["access_token"]))
    return await api.pair(MAPPING, "hooks.yaml", "tests")


async def _listening(
    house: House, pair: PairView, hubspot: HubSpotSandbox, quickbooks: QuickBooksSandbox, root: str
) -> None:
    """HubSpot signs with the app's client secret, QuickBooks with a verifier token."""
    crm = await Webhooks(house).expect("hubspot", None)
    books = await Webhooks(house).expect("quickbooks", VERIFIER)
    hubspot.webhooks.url = f"{root}{crm.path}"
    quickbooks.webhooks.subscribe(f"{root}{books.path}", VERIFIER)


# --------------------------------------------------------------------------- an edit on one side reaches the other


async def test_an_edit_in_hubspot_is_in_quickbooks_without_anybodys_doing(scene: Scene) -> None:
    """HubSpot calls, the record is read, the books are written. What QuickBooks says of that causes nothing."""
    before = int(scene.version())
    scene.hubspot.edit("companies", scene.company, phone="+12125550199")
    await becomes(lambda: scene.phone() not in (None, "+12125550100", "(212) 555-0100"))
    await scene.at_rest()
    assert (before + 1, True) == (int(scene.version()), str(scene.phone()).endswith("0199"))
    assert {200} == {each.status for each in scene.hubspot.webhooks.sent}
    assert {200} == {each.status for each in scene.quickbooks.webhooks.deliveries}


async def test_an_edit_in_quickbooks_is_in_hubspot(scene: Scene) -> None:
    """The other way, in QuickBooks' own format."""
    scene.quickbooks.edit("Customer", scene.customer, phone="+1 212 555 0177")
    typed = scene.version()
    await becomes(lambda: "0177" in scene.hubspot.properties("companies", scene.company)["phone"])
    await scene.at_rest()
    assert typed == scene.version()  # what HubSpot says of our write brings nothing back


async def test_delivered_twice_and_out_of_order_is_written_once(scene: Scene) -> None:
    """HubSpot sends each array twice, the newest first."""
    scene.hubspot.webhooks.duplicate = scene.hubspot.webhooks.disorder = True
    before = int(scene.version())
    scene.hubspot.edit("companies", scene.company, phone="+12125550199", domain="acme.example")
    await becomes(lambda: str(scene.phone()).endswith("0199"))
    await scene.at_rest()
    told = [each.events for each in scene.hubspot.webhooks.sent]
    assert (before + 1, 2 * (sum(told) // 2)) == (int(scene.version()), sum(told))
    assert sum(told) // 2 <= await scene.heard()


async def test_dropped_once_the_poll_finds_it(scene: Scene) -> None:
    """The call never comes; the next sync does what it would have done."""
    url, scene.hubspot.webhooks.url = scene.hubspot.webhooks.url, None
    scene.hubspot.edit("companies", scene.company, phone="+12125550199")
    scene.hubspot.webhooks.url = url
    api = Api(scene.house)
    await api.wait(await api.ask(scene.pair.id, "sync", "tests"))
    assert str(scene.phone()).endswith("0199")


# --------------------------------------------------------------------------- what is refused


async def post(url: str, body: bytes = b"[]", **headers: str) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def test_what_is_not_the_vendors_is_refused(scene: Scene) -> None:
    """No signature, a wrong one, an old one, another address, an unknown connection, a body that is nothing."""
    url = str(scene.hubspot.webhooks.url)
    secret, now = scene.hubspot.portal.account.client_secret, scene.hubspot.clock.now()

    def headers(signed_url: str, body: bytes = b"[]", age_s: float = 0, key: str = secret) -> dict[str, str]:
        at = round((now.timestamp() - age_s) * 1000)
        signature = signed(key, "POST", signed_url, body, at)
        return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": str(at)}

    books = str(scene.quickbooks.webhooks.url)
    scene.quickbooks.webhooks.verifier = VERIFIER
    junk = {"intuit-signature": scene.quickbooks.webhooks.signature(b"junk")}
    answers: dict[str, int] = {
        "good": await post(url, **headers(url)),
        "unsigned": await post(url),
        "another secret": await post(url, **headers(url, key="another")),
        "six minutes old": await post(url, **headers(url, age_s=360)),
        "signed for another address": await post(url, **headers(f"{url}x")),
        "another body": await post(url, b"[{}]", **headers(url)),
        "no such connection": await post(f"{scene.url}/webhooks/cn_nobody", **headers(url)),
        "junk, signed": await post(books, b"junk", **junk),
    }
    assert {
        "good": 200,
        "unsigned": 401,
        "another secret": 401,
        "six minutes old": 401,
        "signed for another address": 401,
        "another body": 401,
        "no such connection": 404,
        "junk, signed": 400,
    } == answers
    assert 'tieout_webhook_calls_total{status="401"} 5.0' in generate_latest(scene.registry).decode()


async def test_behind_a_proxy_the_public_address_counts(scene: Scene) -> None:
    """HubSpot signs the address that it calls, which is not the one that the bot hears."""
    registry = CollectorRegistry()
    async with served(Hooks(Webhooks(scene.house), "https://tieout.example/"), registry) as root:
        path = f"/webhooks/{scene.pair.crm.id}"
        secret, at = scene.hubspot.portal.account.client_secret, round(scene.hubspot.clock.now().timestamp() * 1000)
        told = signed(secret, "POST", f"https://tieout.example{path}", b"[]", at)
        stamped = {"X-HubSpot-Signature-v3": told, "X-HubSpot-Request-Timestamp": str(at)}
        assert 200 == await post(f"{root}{path}", **stamped)
