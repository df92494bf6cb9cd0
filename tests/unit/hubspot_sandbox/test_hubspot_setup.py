"""Properties, pipelines, owners and the account."""

import pytest

DEALS = "/crm/v3/properties/deals"


def definition(name, **more):
    return {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "groupName": "dealinformation",
        **more,
    }


async def test_a_created_property_takes_values(api, sandbox):
    """201, and the next write may use it."""
    made = await api("POST", DEALS, definition("acct_invoice_number"))
    deal = sandbox.add_deal("Desk", acct_invoice_number="INV-1")
    read = await api("GET", f"/crm/v3/objects/deals/{deal}", properties="acct_invoice_number")
    assert (made.status, read.body["properties"]["acct_invoice_number"]) == (201, "INV-1")
    assert (made.body["hasUniqueValue"], made.body["type"], made.body["fieldType"]) == (False, "string", "text")


async def test_a_taken_name_is_409(api):
    """With category and subCategory as observed."""
    await api("POST", DEALS, definition("acct"))
    reply = await api("POST", DEALS, definition("acct"))
    assert (
        reply.status,
        reply.body["category"],
        reply.body["subCategory"],
    ) == (409, "OBJECT_ALREADY_EXISTS", "Properties.PROPERTY_WITH_NAME_EXISTS")
    assert reply.body["message"] == "A property named 'acct' already exists."


async def test_an_archived_name_comes_back_with_its_old_createdat(api, sandbox):
    """Archived it is 404 and takes no values."""
    made = await api("POST", DEALS, definition("acct"))
    archived = await api("DELETE", f"{DEALS}/acct")
    gone = await api("GET", f"{DEALS}/acct")
    sandbox.clock.advance(60)
    back = await api("POST", DEALS, definition("acct"))
    assert (archived.status, gone.status, back.status) == (204, 404, 201)
    assert made.body["createdAt"] == back.body["createdAt"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "acct"},
        definition("Acct"),
        definition("acct", type="date", fieldType="text"),
        definition("acct", groupName="nonsense"),
        definition("acct", type="enumeration", fieldType="select"),
        definition("acct", type="enumeration", fieldType="select", options=[{"label": "A", "value": "a"}] * 2),
    ],
)
async def test_a_definition_that_does_not_fit_is_400(api, body):
    """Missing fields, capitals, type and field type, group, options."""
    assert (await api("POST", DEALS, body)).status == 400


async def test_an_object_has_ten_unique_properties_at_most_and_products_none(api):
    """hasUniqueValue."""
    statuses = [(await api("POST", DEALS, definition(f"u{n}", hasUniqueValue=True))).status for n in range(11)]
    product = definition("u", hasUniqueValue=True, groupName="productinformation")
    assert (
        statuses,
        (await api("POST", "/crm/v3/properties/products", product)).status,
    ) == ([201] * 10 + [400], 400)


async def test_a_patch_replaces_the_whole_list_of_options(api):
    """And leaves it alone if it is not sent."""
    one, two = {"label": "A", "value": "a"}, {"label": "B", "value": "b"}
    kind = {"type": "enumeration", "fieldType": "select"}
    await api("POST", DEALS, definition("status", options=[one], **kind))
    relabelled = await api("PATCH", f"{DEALS}/status", {"label": "Status"})
    replaced = await api("PATCH", f"{DEALS}/status", {"options": [two]})
    assert tuple([o["value"] for o in r.body["options"]] for r in (relabelled, replaced)) == (["a"], ["b"])


async def test_hubspots_own_properties_cannot_be_changed(api):
    """Nor archived."""
    replies = [await api("PATCH", f"{DEALS}/amount", {"label": "x"}), await api("DELETE", f"{DEALS}/amount")]
    assert [r.status for r in replies] == [400, 400]


async def test_the_catalogue_says_what_is_calculated(api):
    """Line item amount is; price is not."""
    reply = await api("GET", "/crm/properties/2026-03/0-8")
    held = {p["name"]: p for p in reply.body["results"]}
    assert (held["amount"]["calculated"], held["price"]["calculated"]) == (True, False)
    assert True is held["amount"]["modificationMetadata"]["readOnlyValue"]


@pytest.mark.parametrize("path", ["/crm/v3/pipelines/deals", "/crm/pipelines/2026-03/deals"])
async def test_pipelines_tell_won_and_lost_by_metadata(api, path):
    """isClosed and probability are text."""
    pipeline = (await api("GET", path)).body["results"][0]
    stages = {s["id"]: s["metadata"] for s in pipeline["stages"]}
    assert (pipeline["id"], stages["closedwon"]) == ("default", {"isClosed": "true", "probability": "1.0"})
    assert (
        stages["closedlost"],
        stages["contractsent"]["isClosed"],
    ) == ({"isClosed": "true", "probability": "0.0"}, "false")


async def test_owners_are_found_by_email_and_page(api):
    """The id is not the user id."""
    found = await api("GET", "/crm/v3/owners", email="owner-2@example.com")
    paged = await api("GET", "/crm/owners/2026-03", limit="1")
    assert [(o["id"], o["userId"]) for o in found.body["results"]] == [("70002", 9002)]
    assert paged.body["paging"]["next"]["after"] == "70001"


async def test_account_details(api):
    """Time zone, currency, portal."""
    reply = await api("GET", "/account-info/v3/details")
    assert (
        reply.body["timeZone"],
        reply.body["companyCurrency"],
        reply.body["portalId"],
        reply.body["utcOffsetMilliseconds"],
    ) == ("America/New_York", "USD", 62515, -18_000_000)
