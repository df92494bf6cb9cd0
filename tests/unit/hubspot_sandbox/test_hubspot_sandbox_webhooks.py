"""Webhooks: what is told, how it is signed, and what happens when nobody answers."""

import base64
import hashlib
import hmac
import json

import pytest
from aiohttp import web

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.hubspot.sandbox.webhooks import RETRIES_S, signed
from connectors.kit.sandbox import VirtualClock


class Receiver:
    """Somebody who listens, and answers as told."""

    def __init__(self):
        self.calls = []
        self.status = 200
        self.url = ""

    async def take(self, request):
        self.calls.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    @property
    def events(self):
        return [event for _, body in self.calls for event in json.loads(body)]


@pytest.fixture
async def receiver():
    listening = Receiver()
    application = web.Application()
    application.router.add_post("/hooks", listening.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listening.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield listening
    await runner.cleanup()


@pytest.fixture
def hooked(receiver):
    """A sandbox that tells the receiver, when it is asked to deliver."""
    sandbox = HubSpotSandbox(VirtualClock(fixed=True), limits=False)
    sandbox.webhooks.url = receiver.url
    return sandbox


async def told(hooked, receiver, *types):
    await hooked.webhooks.deliver()
    return [e for e in receiver.events if e["subscriptionType"] in types or not types]


async def test_an_edit_by_a_person_is_told_with_id_and_one_value(hooked, receiver):
    """changeSource says who it was."""
    company = hooked.add_company("Acme")
    await told(hooked, receiver)
    receiver.calls.clear()
    hooked.edit("companies", company, phone="1")
    (event,) = await told(hooked, receiver)
    expected = {
        "portalId": 62515,
        "appId": 54321,
        "subscriptionType": "company.propertyChange",
        "attemptNumber": 0,
        "objectId": int(company),
        "propertyName": "phone",
        "propertyValue": "1",
        "changeSource": "CRM_UI",
        "sourceId": "userId:9001",
    }
    assert expected == {name: event[name] for name in expected}
    assert {"eventId", "subscriptionId", "occurredAt"} <= set(event)


async def test_own_writes_are_told_as_integration(hooked, receiver, api_of):
    """A write through the API comes back as a webhook too."""
    await hooked.start()
    await hooked.webhooks.halt()
    await api_of(hooked)("POST", "/crm/v3/objects/companies", {"properties": {"name": "Acme"}})
    sources = {event["changeSource"] for event in await told(hooked, receiver)}
    await hooked.stop()
    assert {"INTEGRATION"} == sources


async def test_life_and_death_are_told(hooked, receiver):
    """creation, deletion, restore, merge with all its ids, privacyDeletion, associationChange."""
    one, other = hooked.add_company("A"), hooked.add_company("B")
    hooked.archive("companies", other)
    hooked.restore("companies", other)
    survivor = hooked.merge("companies", one, other)
    contact = hooked.add_contact("a@x.example", company=survivor)
    hooked.erase(contact)
    events = await told(hooked, receiver)
    kinds = {event["subscriptionType"] for event in events}
    (merge,) = [event for event in events if event["subscriptionType"] == "company.merge"]
    (tie,) = [event for event in events if event["subscriptionType"] == "contact.associationChange"]
    assert {"company.creation", "company.deletion", "company.restore", "contact.privacyDeletion"} <= kinds
    assert (int(one), [int(other)], int(survivor)) == (
        merge["primaryObjectId"],
        merge["mergedObjectIds"],
        merge["newObjectId"],
    )
    assert ("CONTACT_TO_COMPANY", int(contact), int(survivor), False, True) == (
        tie["associationType"],
        tie["fromObjectId"],
        tie["toObjectId"],
        tie["associationRemoved"],
        tie["isPrimaryAssociation"],
    )


async def test_arrays_have_100_events_at_most(hooked, receiver):
    """What is more goes in the next one."""
    hooked.webhooks.types = frozenset({"company.creation"})
    for n in range(150):
        hooked.add_company(f"C{n}")
    await told(hooked, receiver)
    assert [len(json.loads(body)) for _, body in receiver.calls] == [100, 50]


async def test_version_3_of_the_signature_covers_method_address_body_and_time(hooked, receiver):
    """Computed here by hand, from the documentation."""
    hooked.add_company("Acme")
    await told(hooked, receiver)
    headers, body = receiver.calls[0]
    stamp = headers["X-HubSpot-Request-Timestamp"]
    source = b"POST" + receiver.url.encode() + body + stamp.encode()
    expected = base64.b64encode(hmac.new(b"sandbox-secret", source, hashlib.sha256).digest()).decode()
    assert expected == headers["X-HubSpot-Signature-v3"]
    assert hashlib.sha256(b"sandbox-secret" + body).hexdigest() == headers["X-HubSpot-Signature"]
    assert str(round(hooked.clock.now().timestamp() * 1000)) == stamp


def test_an_address_is_decoded_before_it_is_signed():
    """%2F and its like count as what they mean; %20 stays."""
    one, other = (signed("s", "POST", f"https://x.example/{path}", b"", 1) for path in ("a%2fb%40%20", "a/b@%20"))
    assert one == other
    assert one != signed("s", "POST", "https://x.example/a/b@ ", b"", 1)


async def test_a_refused_array_is_tried_ten_times_more_within_a_day(hooked, receiver):
    """attemptNumber counts; then it is given up."""
    hooked.webhooks.types = frozenset({"company.creation"})
    receiver.status = 500
    hooked.add_company("Acme")
    await hooked.webhooks.deliver()
    await hooked.webhooks.deliver()
    early = len(receiver.calls)
    spent = 0.0
    for wait_s in RETRIES_S:
        hooked.clock.advance(wait_s * 1.1)
        spent += wait_s * 1.1
        await hooked.webhooks.deliver()
    attempts = [event["attemptNumber"] for event in receiver.events]
    assert (1, list(range(11)), 0, True) == (early, attempts, hooked.webhooks.waiting, spent <= 86_400)


async def test_an_answer_after_the_deadline_counts_as_none(hooked, receiver):
    """The same event comes again, though it was received."""
    hooked.webhooks.deadline_s = 0.000_001
    hooked.webhooks.types = frozenset({"company.creation"})
    hooked.add_company("Acme")
    await hooked.webhooks.deliver()
    assert ([d.status for d in hooked.webhooks.sent], hooked.webhooks.waiting) == ([None], 1)


async def test_duplicates_and_disorder_on_demand(hooked, receiver):
    """Twice the same array, the newest first."""
    hooked.webhooks.types = frozenset({"company.creation"})
    hooked.webhooks.duplicate = hooked.webhooks.disorder = True
    ids = [int(hooked.add_company(name)) for name in "AB"]
    await hooked.webhooks.deliver()
    assert [ids[1], ids[0], ids[1], ids[0]] == [event["objectId"] for event in receiver.events]


async def test_a_served_sandbox_delivers_by_itself(hooked, receiver):
    """No call of deliver is needed."""
    async with hooked:
        hooked.add_company("Acme")
        while not receiver.calls:
            await hooked.clock.sleep(0)
    assert receiver.events[0]["subscriptionType"] == "company.creation"


async def test_without_an_address_nothing_is_kept(receiver):
    """Nobody subscribed."""
    sandbox = HubSpotSandbox()
    sandbox.add_company("Acme")
    assert sandbox.webhooks.waiting == 0


async def test_an_unlabelled_association_is_told_both_ways(hooked, receiver):
    """One event for each end."""
    contact, company = hooked.add_contact("a@x.example"), hooked.add_company("Acme")
    hooked.tie("contacts", contact, "companies", company, 279)
    events = await told(hooked, receiver, "contact.associationChange", "company.associationChange")
    assert [(event["associationType"], event["isPrimaryAssociation"]) for event in events] == [
        ("CONTACT_TO_COMPANY", False),
        ("COMPANY_TO_CONTACT", False),
    ]
