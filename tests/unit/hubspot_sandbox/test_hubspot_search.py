"""Search: its limits, its lateness and its order."""

from datetime import timedelta

import pytest

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.hubspot.sandbox.values import epoch_ms, iso
from connectors.kit.sandbox import VirtualClock

NAME = {"propertyName": "name", "operator": "HAS_PROPERTY"}


def since(value, operator="GTE"):
    return {"propertyName": "hs_lastmodifieddate", "operator": operator, "value": str(value)}


def names(reply):
    return [r["properties"]["name"] for r in reply.body["results"]]


async def test_a_new_record_is_found_only_after_the_index_delay(api, sandbox):
    """Before that, search finds nothing: a caller that creates then would make a duplicate."""
    sandbox.add_company("Acme")
    early = await api.search("companies", NAME)
    sandbox.clock.advance(sandbox.index_delay_s)
    late = await api.search("companies", NAME)
    assert (early.body["total"], late.body["total"]) == (0, 1)


async def test_a_changed_record_is_found_with_its_old_values_until_then(api, sandbox):
    """The index shows the version it has seen, modified time included."""
    company = sandbox.add_company("Acme")
    sandbox.clock.advance(60)
    await api.search("companies")
    sandbox.edit("companies", company, name="Beta")
    early = await api.search("companies", NAME)
    sandbox.clock.advance(60)
    late = await api.search("companies", NAME)
    assert (names(early), names(late)) == (["Acme"], ["Beta"])


async def test_the_check_finds_an_index_without_delay(session, api_of):
    """Saboteur: where search sees at once, the promise above breaks."""
    async with HubSpotSandbox(limits=False, index_delay_s=0) as kind:
        kind.add_company("Acme")
        assert (await api_of(kind).search("companies", NAME)).body["total"] != 0


async def test_an_archived_record_is_not_found_at_once(api, sandbox):
    """Deletions are not told by search at all."""
    company = sandbox.add_company("Acme")
    sandbox.clock.advance(60)
    sandbox.archive("companies", company)
    assert (await api.search("companies", NAME)).body["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"after": "x"},
        {"after": "10000"},
        {"after": "9950", "limit": 100},
        {"filterGroups": [{"filters": [NAME]}] * 6},
        {"filterGroups": [{"filters": [NAME] * 7}]},
        {"filterGroups": [{"filters": [NAME] * 5}] * 4},
        {"sorts": [{"propertyName": "name"}, {"propertyName": "domain"}]},
        {"sorts": ["nonsense"]},
        {"filterGroups": [{"filters": [{"propertyName": "nonsense", "operator": "EQ", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "name", "operator": "LIKE", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "name", "operator": "EQ"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "name", "operator": "IN", "value": "a"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "soon"}]}]},
        {"query": "x" * 3_000},
    ],
)
async def test_what_is_over_a_limit_or_makes_no_sense_is_400(api, body):
    """Groups, filters, sorts, page, 10,000 results, 3,000 characters, unknown names and operators."""
    reply = await api("POST", "/crm/v3/objects/companies/search", body)
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")


async def test_paging_counts_and_ends(api, sandbox):
    """after is an offset; total is the whole; the last page has no paging."""
    for n in range(5):
        sandbox.add_company(f"C{n}")
    sandbox.clock.advance(60)
    first = await api.search("companies", limit=3)
    last = await api.search("companies", limit=3, after=first.body["paging"]["next"]["after"])
    assert (first.body["total"], first.body["paging"]["next"]["after"], "paging" in last.body) == (5, "3", False)
    assert names(first) + names(last) == ["C0", "C1", "C2", "C3", "C4"]


async def test_ten_thousand_results_end_in_a_400(api, sandbox):
    """The page at 9,800 still promises a next one, which is refused."""
    sandbox.populate(10_500)
    last = await api.search("contacts", limit=200, after="9800")
    beyond = await api.search("contacts", limit=200, after=last.body["paging"]["next"]["after"])
    assert (last.body["total"], last.body["paging"]["next"]["after"], beyond.status) == (10_500, "10000", 400)


async def test_a_window_of_time_in_order_of_modification(api, sandbox):
    """The cursor recipe: GTE and ascending."""
    for n in range(4):
        sandbox.add_company(f"C{n}")
        sandbox.clock.advance(10)
    start = epoch_ms(sandbox.clock.now() - timedelta(seconds=30))
    for sorts in ([{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}], ["hs_lastmodifieddate"]):
        found = await api.search("companies", since(start), sorts=sorts)
        assert (names(found), found.body["total"]) == (["C1", "C2", "C3"], 3)
    after = await api.search("companies", since(start, "GT"), sorts=["-hs_lastmodifieddate"])
    assert names(after) == ["C3", "C2"]


async def test_records_of_one_moment_come_in_no_order_of_ids(api, sandbox):
    """An import gives many records the same time; only a second question by id tells them apart."""
    at = iso(epoch_ms(sandbox.clock.now()))
    ids = [sandbox.add("companies", {"name": f"C{n}", "hs_lastmodifieddate": at}) for n in range(30)]
    sandbox.clock.advance(60)
    found = await api.search("companies", sorts=["hs_lastmodifieddate"], limit=200)
    seen = [r["id"] for r in found.body["results"]]
    by_id = {"propertyName": "hs_object_id", "operator": "GT", "value": ids[9]}
    rest = await api.search("companies", by_id, since(epoch_ms(sandbox.clock.now()) - 60_000), sorts=["hs_object_id"])
    assert (set(ids), False) == (set(seen), seen == ids)
    assert ids[10:20] == [r["id"] for r in rest.body["results"]]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"propertyName": "name", "operator": "EQ", "value": "acme gmbh"}, ["Acme GmbH"]),
        ({"propertyName": "name", "operator": "NEQ", "value": "acme gmbh"}, ["Beta AG"]),
        ({"propertyName": "name", "operator": "IN", "values": ["acme gmbh"]}, ["Acme GmbH"]),
        ({"propertyName": "name", "operator": "IN", "values": ["Acme GmbH"]}, []),
        ({"propertyName": "name", "operator": "NOT_IN", "values": ["acme gmbh"]}, ["Beta AG"]),
        ({"propertyName": "name", "operator": "CONTAINS_TOKEN", "value": "gmbh"}, ["Acme GmbH"]),
        ({"propertyName": "name", "operator": "CONTAINS_TOKEN", "value": "ac*"}, ["Acme GmbH"]),
        ({"propertyName": "name", "operator": "CONTAINS_TOKEN", "value": "ac"}, []),
        ({"propertyName": "phone", "operator": "NOT_HAS_PROPERTY"}, ["Beta AG"]),
        ({"propertyName": "lifecyclestage", "operator": "EQ", "value": "Customer"}, []),
        ({"propertyName": "lifecyclestage", "operator": "EQ", "value": "customer"}, ["Acme GmbH"]),
        ({"propertyName": "numberofemployees", "operator": "GT", "value": "9"}, ["Acme GmbH"]),
        (
            {"propertyName": "numberofemployees", "operator": "BETWEEN", "value": "10", "highValue": "10"},
            ["Acme GmbH"],
        ),
    ],
)
async def test_operators(api, sandbox, filter, expected):
    """Text without case but IN in lower case, enumerations as they are, numbers as numbers."""
    sandbox.add_company("Acme GmbH", phone="1", lifecyclestage="customer", numberofemployees=10)
    sandbox.add_company("Beta AG", numberofemployees=8)
    sandbox.clock.advance(60)
    assert expected == names(await api.search("companies", filter))


async def test_groups_are_alternatives(api, sandbox):
    """OR between groups, AND within."""
    for name in "ABC":
        sandbox.add_company(name)
    sandbox.clock.advance(60)
    groups = [{"filters": [{"propertyName": "name", "operator": "EQ", "value": v}]} for v in "ac"]
    found = await api("POST", "/crm/v3/objects/companies/search", {"filterGroups": groups})
    assert names(found) == ["A", "C"]


async def test_associated_records_are_found_by_the_pseudo_property(api, sandbox):
    """associations.contact EQ an id; a tie made since the last question counts."""
    contact = sandbox.add_contact("a@x.example")
    deal = sandbox.add_deal("Desk")
    sandbox.clock.advance(60)
    asked = {"propertyName": "associations.contact", "operator": "EQ", "value": contact}
    before = await api.search("deals", asked)
    sandbox.tie("deals", deal, "contacts", contact)
    sandbox.clock.advance(60)
    assert (before.body["total"], (await api.search("deals", asked)).body["total"]) == (0, 1)


async def test_search_never_tells_associations(api, sandbox):
    """Neither does a batch read."""
    company = sandbox.add_company("Acme")
    sandbox.add_deal("Desk", company=company)
    sandbox.clock.advance(60)
    found = await api.search("deals", associations=["companies"])
    assert "associations" not in found.body["results"][0]


async def test_a_clock_that_runs_shows_records_by_itself(session, api_of):
    """On real time the delay passes by itself."""
    async with HubSpotSandbox(VirtualClock(speed=100_000), limits=False) as sandbox:
        sandbox.add_company("Acme")
        await sandbox.clock.sleep(10)
        assert (await api_of(sandbox).search("companies", NAME)).body["total"] == 1
