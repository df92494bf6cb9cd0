"""The webhook sender: both shapes, its signature, the retry ladder, duplicates and disorder."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web

from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.unit.quickbooks_sandbox.qbo_caller import NOW

VERIFIER = "verifier-of-a-test"


class Receiver:
    """An endpoint that keeps what it got and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, str]] = []
        self.status = 200
        self.url = ""
        self.called = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((await request.read(), request.headers["intuit-signature"]))
        self.called.set()
        return web.Response(status=self.status)

    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(body) for body, _ in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


def company(receiver: Receiver, at: datetime = NOW) -> QuickBooksSandbox:
    books = QuickBooksSandbox(VirtualClock(at, fixed=True))
    books.webhooks.subscribe(receiver.url, VERIFIER)
    return books


async def test_changes_are_told_as_cloud_events(receiver: Receiver) -> None:
    """An array of events that name entity, operation, id and company, and carry no values."""
    books = company(receiver)
    customer = books.add_customer("Acme")
    invoice = books.add_invoice(customer, [{"amount": "1"}])
    books.void("Invoice", invoice)
    books.delete("Invoice", invoice)
    assert await books.deliver_webhooks() == 1
    [events] = receiver.bodies()
    told = [(event["type"], event["intuitentityid"]) for event in events]
    assert told == [
        ("qbo.customer.created.v1", customer),
        ("qbo.item.created.v1", "1"),
        ("qbo.invoice.created.v1", invoice),
        ("qbo.invoice.voided.v1", invoice),
        ("qbo.invoice.deleted.v1", invoice),
    ]
    assert {event["intuitaccountid"] for event in events} == {books.realm}
    assert all(event["specversion"] == "1.0" and event["data"] == {} for event in events)


async def test_before_august_2026_the_older_envelope_is_sent(receiver: Receiver) -> None:
    """By the clock; either shape can be asked for."""
    books = company(receiver, datetime(2026, 7, 31, 12, tzinfo=UTC))
    books.add_customer("Acme")
    await books.deliver_webhooks()
    [body] = receiver.bodies()
    notice = body["eventNotifications"][0]
    assert notice["realmId"] == books.realm
    assert notice["dataChangeEvent"]["entities"] == [
        {"name": "Customer", "id": "1", "operation": "Create", "lastUpdated": "2026-07-31T05:00:00-0700"}
    ]
    books.webhooks.style = "cloudevents"
    books.add_customer("Other")
    await books.deliver_webhooks()
    assert receiver.bodies()[1][0]["specversion"] == "1.0"


async def test_the_signature_is_of_the_raw_body(receiver: Receiver) -> None:
    """Base64 of HMAC-SHA256; one changed byte and it does not fit."""
    books = company(receiver)
    books.add_customer("Acme")
    await books.deliver_webhooks()
    [(body, signature)] = receiver.got
    wanted = base64.b64encode(hmac.digest(VERIFIER.encode(), body, hashlib.sha256)).decode()
    changed = base64.b64encode(hmac.digest(VERIFIER.encode(), body + b" ", hashlib.sha256)).decode()
    assert signature == wanted
    assert signature != changed


async def test_a_failed_call_is_tried_again_on_the_ladder(receiver: Receiver) -> None:
    """After 10, 20, 30 s, 5 and 20 min, 2, 4, 6 h, then every 6 h; newer events wait behind."""
    books = company(receiver)
    receiver.status = 500
    books.add_customer("Acme")
    waits = [10, 20, 30, 300, 1200, 7200, 14400, 21600, 21600]
    await books.deliver_webhooks()
    for wait_s in waits:
        books.clock.advance(wait_s - 1)
        await books.deliver_webhooks()
        books.clock.advance(1)
        await books.deliver_webhooks()
    assert len(receiver.got) == 1 + len(waits)
    books.add_customer("Newer")
    await books.deliver_webhooks()
    assert len(receiver.got) == 1 + len(waits)
    receiver.status = 200
    books.clock.advance(21600)
    assert await books.deliver_webhooks() == 1
    assert [event["intuitentityid"] for event in receiver.bodies()[-1]] == ["1", "2"]


async def test_nobody_at_home_counts_as_failed() -> None:
    """A refused connection keeps the event."""
    books = QuickBooksSandbox(VirtualClock(NOW, fixed=True))
    books.webhooks.subscribe("http://127.0.0.1:9/hook", VERIFIER)
    books.add_customer("Acme")
    assert await books.deliver_webhooks() == 0
    assert (len(books.webhooks.waiting), books.webhooks.deliveries[0].status) == (1, 0)


async def test_duplicates_and_disorder_on_demand(receiver: Receiver) -> None:
    """The same event again has the same id; reversed, the newest comes first."""
    books = company(receiver)
    books.webhooks.repeats, books.webhooks.reverse = 1, True
    books.add_customer("Acme")
    books.add_customer("Other")
    await books.deliver_webhooks()
    [events] = receiver.bodies()
    assert [event["intuitentityid"] for event in events] == ["2", "2", "1", "1"]
    assert len({event["id"] for event in events}) == 2


async def test_a_served_sandbox_tells_by_itself(receiver: Receiver) -> None:
    """Nobody has to ask: the call arrives while it serves."""
    books = company(receiver)
    async with books:
        books.add_customer("Acme")
        async with asyncio.timeout(10):
            await receiver.called.wait()
    assert receiver.bodies()[0][0]["type"] == "qbo.customer.created.v1"


async def test_without_a_subscription_nothing_is_kept() -> None:
    """Events from before are not told later."""
    books = QuickBooksSandbox(VirtualClock(NOW, fixed=True))
    books.add_customer("Acme")
    assert books.webhooks.waiting == []
