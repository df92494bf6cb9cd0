"""Single records: what HubSpot shows, takes and refuses."""

import json

import msgspec
import pytest

from connectors.kit.sandbox.faults import stale

DEALS = "/crm/v3/objects/deals"
CONTACTS = "/crm/v3/objects/contacts"
COMPANIES = "/crm/v3/objects/companies"


def flaws(reply):
    """The list that HubSpot hides in the message."""
    return json.loads(reply.body["message"].removeprefix("Property values were not valid: "))


@pytest.mark.parametrize(
    "path",
    [
        "/crm/v3/objects/deals",
        "/crm/v3/objects/0-3",
        "/crm/v3/objects/deal",
        "/crm/objects/2026-03/0-3",
        "/crm/objects/2026-03/deals",
        "/crm/objects/2026-09/deals",
    ],
)
async def test_every_prefix_and_spelling_leads_to_the_same_records(api, sandbox, path):
    """Legacy and dated paths, names and type ids are alike."""
    deal = sandbox.add_deal("Desk", 100)
    reply = await api("GET", f"{path}/{deal}")
    assert (reply.status, reply.body["properties"]["dealname"]) == (200, "Desk")


async def test_an_unknown_object_type_is_refused(api):
    """A name that is no object is a validation error."""
    reply = await api("GET", "/crm/v3/objects/boats")
    assert (reply.status, reply.body["message"]) == (400, "Unable to infer object type from: boats")


async def test_a_create_answers_201_with_default_properties_as_text(api):
    """Numbers may be sent, text comes back; what was not asked for is not told."""
    sent = {"dealname": "Desk", "dealstage": "qualifiedtobuy", "amount": 1500.5, "description": "oak"}
    reply = await api("POST", DEALS, {"properties": sent})
    expected = {
        "amount": "1500.5",
        "closedate": None,
        "createdate": "2026-03-02T12:00:00Z",
        "dealname": "Desk",
        "dealstage": "qualifiedtobuy",
        "hs_lastmodifieddate": "2026-03-02T12:00:00Z",
        "hs_object_id": reply.body["id"],
        "pipeline": "default",
    }
    assert (201, expected) == (reply.status, reply.body["properties"])
    assert (reply.body["createdAt"], reply.body["archived"]) == ("2026-03-02T12:00:00Z", False)


async def test_a_read_tells_only_what_properties_asks_for(api, sandbox):
    """Id and times always come along; unknown names are passed over; unset ones are null."""
    company = sandbox.add_company("Acme", phone="1")
    reply = await api("GET", f"{COMPANIES}/{company}", properties="phone,city,nonsense")
    always = {"createdate", "hs_lastmodifieddate", "hs_object_id"}
    assert {"phone", "city", *always} == set(reply.body["properties"])
    assert (reply.body["properties"]["phone"], reply.body["properties"]["city"]) == ("1", None)


async def test_a_contact_has_its_own_name_for_the_modified_time(api, sandbox):
    """contacts: lastmodifieddate; everything else: hs_lastmodifieddate."""
    reply = await api("GET", f"{CONTACTS}/{sandbox.add_contact('a@x.example')}")
    assert {"createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"} == set(
        reply.body["properties"]
    )


async def test_an_unknown_property_is_refused_in_the_message(api):
    """400 whose message carries a JSON list."""
    reply = await api("POST", COMPANIES, {"properties": {"name": "Acme", "missing": "1"}})
    flaw = {
        "isValid": False,
        "message": 'Property "missing" does not exist',
        "error": "PROPERTY_DOESNT_EXIST",
        "name": "missing",
        "localizedErrorMessage": 'Property "missing" does not exist',
    }
    assert (reply.status, reply.body["category"], reply.body["status"]) == (400, "VALIDATION_ERROR", "error")
    assert [flaw] == flaws(reply)


@pytest.mark.parametrize(
    ("object", "properties", "error"),
    [
        ("companies", {"name": "A", "hubspot_owner_id": "9001"}, "INVALID_OPTION"),
        ("companies", {"name": "A", "hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ("companies", {"name": None}, "INVALID_VALUE"),
        ("contacts", {"email": "nobody"}, "INVALID_EMAIL"),
        ("deals", {"dealname": "A", "dealstage": "Closed Won"}, "INVALID_OPTION"),
        ("deals", {"dealname": "A", "dealstage": "closedwon", "amount": "1,000"}, "INVALID_INTEGER"),
        ("deals", {"dealname": "A", "dealstage": "closedwon", "deal_currency_code": "JPY"}, "INVALID_OPTION"),
        ("deals", {"dealname": "A", "dealstage": "closedwon", "hs_is_closed": "true"}, "READ_ONLY_VALUE"),
        ("deals", {"dealname": "A", "dealstage": "closedwon", "closedate": "soon"}, "INVALID_DATE"),
        ("line_items", {"price": "-1"}, "NUMBER_OUT_OF_RANGE"),
        ("line_items", {"hs_recurring_billing_start_date": "1767225600001"}, "INVALID_DATE"),
        ("line_items", {"hs_product_id": "77"}, "INVALID_OPTION"),
    ],
)
async def test_values_that_do_not_fit_are_refused(api, object, properties, error):
    """Each with HubSpot's code for it, in the message and in errors."""
    reply = await api("POST", f"/crm/v3/objects/{object}", {"properties": properties})
    assert (400, [error]) == (reply.status, [flaw["error"] for flaw in flaws(reply)])
    assert [error] == [detail["code"] for detail in reply.body["errors"]]


@pytest.mark.parametrize(
    ("object", "properties", "names"),
    [
        ("contacts", {"phone": "1"}, ["email", "firstname", "lastname"]),
        ("companies", {"phone": "1"}, ["name", "domain"]),
        ("deals", {"amount": "1"}, ["dealname", "dealstage"]),
    ],
)
async def test_a_create_needs_its_required_properties(api, object, properties, names):
    """One of e-mail and names; name or domain; name and stage."""
    reply = await api("POST", f"/crm/v3/objects/{object}", {"properties": properties})
    assert (400, names) == (reply.status, reply.body["context"]["properties"])


async def test_a_taken_email_is_409_and_names_the_contact(api, sandbox):
    """The id stands in the message; case does not matter."""
    existing = sandbox.add_contact("a@x.example")
    reply = await api("POST", CONTACTS, {"properties": {"email": "A@x.example"}})
    expected = (409, "CONFLICT", f"Contact already exists. Existing ID: {existing}")
    assert expected == (reply.status, reply.body.get("category"), reply.body.get("message"))


async def test_a_company_domain_is_not_deduplicated(api, sandbox):
    """A second company with the same domain is made without a word."""
    sandbox.add_company("Acme", domain="acme.example")
    reply = await api("POST", COMPANIES, {"properties": {"name": "Acme", "domain": "acme.example"}})
    assert (reply.status, len(sandbox.ids("companies"))) == (201, 2)


async def test_an_empty_text_clears_and_a_patch_leaves_the_rest(api, sandbox):
    """PATCH sets what is sent; "" empties."""
    company = sandbox.add_company("Acme", phone="1", city="Bonn")
    reply = await api("PATCH", f"{COMPANIES}/{company}", {"properties": {"phone": "", "city": "Ulm"}})
    held = sandbox.properties("companies", company)
    assert (reply.status, held["name"], held["city"], "phone" in held) == (200, "Acme", "Ulm", False)


async def test_a_record_can_be_read_and_patched_by_a_unique_property(api, sandbox):
    """idProperty=email works; a property that is not unique does not."""
    sandbox.add_contact("a@x.example", firstname="A")
    read = await api("GET", f"{CONTACTS}/a@x.example", idProperty="email")
    patched = await api("PATCH", f"{CONTACTS}/a@x.example?idProperty=email", {"properties": {"firstname": "B"}})
    refused = await api("GET", f"{COMPANIES}/acme.example", idProperty="domain")
    assert (
        read.status,
        read.body["properties"]["firstname"],
        patched.body["properties"]["firstname"],
    ) == (200, "A", "B")
    assert (refused.status, "non-unique 0-2 property domain" in refused.body["message"]) == (400, True)


async def test_every_write_moves_the_modified_time_even_on_a_clock_that_stands(api, sandbox):
    """Two edits in the same millisecond have two times."""
    company = sandbox.add_company("Acme")
    sandbox.edit("companies", company, phone="1")
    sandbox.edit("companies", company, phone="2")
    assert sandbox.properties("companies", company)["hs_lastmodifieddate"] == "2026-03-02T12:00:00.002Z"


async def test_times_carry_no_fraction_at_whole_seconds(api, sandbox):
    """Epoch milliseconds and ISO dates are both taken."""
    deal = sandbox.add_deal("Desk")
    by_number = await api("PATCH", f"{DEALS}/{deal}", {"properties": {"closedate": "1767225600000"}})
    by_text = await api("PATCH", f"{DEALS}/{deal}", {"properties": {"closedate": "2026-01-02T03:04:05.678Z"}})
    seen = [reply.body["properties"]["closedate"] for reply in (by_number, by_text)]
    assert seen == ["2026-01-01T00:00:00Z", "2026-01-02T03:04:05.678Z"]


async def test_a_list_is_in_order_of_id_and_ends_without_paging(api, sandbox):
    """after is the last id of the page; ids pass from four digits to five in numeric order."""
    made = [sandbox.add_company(f"C{n}") for n in range(5)]
    first = await api("GET", COMPANIES, limit="3")
    last = await api("GET", COMPANIES, limit="3", after=first.body["paging"]["next"]["after"])
    assert made[2] == first.body["paging"]["next"]["after"]
    assert made == [r["id"] for r in first.body["results"] + last.body["results"]]
    assert "paging" not in last.body


async def test_a_list_takes_100_at_most_and_50_with_history(api):
    """limit above is 400."""
    statuses = [
        (await api("GET", COMPANIES, limit="100")).status,
        (await api("GET", COMPANIES, limit="101")).status,
        (await api("GET", COMPANIES, limit="51", propertiesWithHistory="name")).status,
    ]
    assert statuses == [200, 400, 400]


async def test_history_is_told_newest_first_with_who_wrote(api, sandbox):
    """A person's edit and a call of the API differ in their source."""
    company = sandbox.add_company("Acme", phone="1")
    await api("PATCH", f"{COMPANIES}/{company}", {"properties": {"phone": "2"}})
    reply = await api("GET", f"{COMPANIES}/{company}", propertiesWithHistory="phone")
    past = reply.body["propertiesWithHistory"]["phone"]
    assert [(p["value"], p["sourceType"]) for p in past] == [("2", "INTEGRATION"), ("1", "CRM_UI")]


async def test_a_deleted_record_is_404_hidden_from_lists_and_shown_as_archived(api, sandbox):
    """DELETE is 204, also twice; archived=true lists it with archivedAt."""
    company = sandbox.add_company("Acme")
    deleted = [(await api("DELETE", f"{COMPANIES}/{company}")).status for _ in range(2)]
    read = await api("GET", f"{COMPANIES}/{company}")
    live, archived = await api("GET", COMPANIES), await api("GET", COMPANIES, archived="true")
    assert (deleted, read.status, read.body["category"]) == ([204, 204], 404, "OBJECT_NOT_FOUND")
    assert (read.body["message"], live.body["results"]) == ("resource not found", [])
    assert [r["archivedAt"] for r in archived.body["results"]] == ["2026-03-02T12:00:00Z"]


async def test_a_restored_record_is_back_under_its_id(api, sandbox):
    """A person takes it out of the recycle bin."""
    company = sandbox.add_company("Acme")
    sandbox.archive("companies", company)
    sandbox.restore("companies", company)
    assert (await api("GET", f"{COMPANIES}/{company}")).status == 200


async def test_an_archived_contact_gives_its_email_free(api, sandbox):
    """The unique value belongs to live records only."""
    sandbox.archive("contacts", sandbox.add_contact("a@x.example"))
    assert (await api("POST", CONTACTS, {"properties": {"email": "a@x.example"}})).status == 201


async def test_a_merge_makes_a_new_id_to_which_both_old_ones_lead(api, sandbox):
    """The primary's values win, gaps are filled, associations come along."""
    deal = sandbox.add_deal("Desk")
    one = sandbox.add_company("Acme", phone="1")
    other = sandbox.add_company("ACME Inc", phone="2", city="Bonn")
    sandbox.tie("deals", deal, "companies", other)
    reply = await api("POST", f"{COMPANIES}/merge", {"primaryObjectId": one, "objectIdToMerge": other})
    survivor = reply.body["id"]
    reads = [(await api("GET", f"{COMPANIES}/{old}")).body.get("id") for old in (one, other)]
    held = sandbox.properties("companies", survivor)
    assert (200, [survivor, survivor]) == (reply.status, reads)
    assert survivor not in {one, other}
    assert ("Acme", "1", "Bonn", f"{one};{other}") == (
        held["name"],
        held["phone"],
        held["city"],
        held["hs_merged_object_ids"],
    )
    assert [survivor] == sandbox.ids("companies")
    assert {int(survivor): frozenset({5, 341})} == sandbox.portal.near("deals", int(deal), "companies")


async def test_a_contact_deleted_for_privacy_is_nowhere(api, sandbox):
    """No list, archived or not, shows it."""
    contact = sandbox.add_contact("a@x.example")
    done = await api("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "a@x.example", "idProperty": "email"})
    archived = await api("GET", CONTACTS, archived="true")
    assert (
        done.status,
        (await api("GET", f"{CONTACTS}/{contact}")).status,
        archived.body["results"],
    ) == (204, 404, [])


async def test_a_deal_moved_to_a_closed_stage_is_dated_now(api, sandbox):
    """closedate is set unless it is sent along; won and lost follow from the stage."""
    deal = sandbox.add_deal("Desk", 100, closedate="2026-12-31")
    await api("PATCH", f"{DEALS}/{deal}", {"properties": {"dealstage": "closedwon"}})
    held = sandbox.properties("deals", deal)
    assert (
        held["closedate"],
        held["hs_is_closed"],
        held["hs_is_closed_won"],
        held["hs_is_closed_lost"],
        held["hs_deal_stage_probability"],
        held["hs_closed_amount"],
    ) == ("2026-03-02T12:00:00Z", "true", "true", "false", "1.0", "100")


async def test_a_deals_amount_in_home_currency_follows_its_rate(sandbox):
    """EUR is worth 1.10 of the home currency here."""
    deal = sandbox.add_deal("Desk", "100", deal_currency_code="EUR")
    assert sandbox.properties("deals", deal)["hs_deal_amount_in_home_currency"] == "110.00"


async def test_a_stale_read_shows_the_record_before_its_last_write(api, sandbox):
    """A fault can ask for it."""
    company = sandbox.add_company("Acme", phone="1")
    sandbox.edit("companies", company, phone="2")
    sandbox.faults.add(stale("GET", "/companies/"))
    seen = [(await api("GET", f"{COMPANIES}/{company}", properties="phone")).body for _ in range(2)]
    assert [body["properties"]["phone"] for body in seen] == ["1", "2"]


async def test_the_accounts_own_rules_bind_from_2026_09_on(api, sandbox):
    """The same create passes on v3 and fails on 2026-09."""
    sandbox.set_account(msgspec.structs.replace(sandbox.portal.account, rules={"companies": ("phone",)}))
    body = {"properties": {"name": "Acme"}}
    legacy, dated = await api("POST", COMPANIES, body), await api("POST", "/crm/objects/2026-09/companies", body)
    assert (legacy.status, dated.status) == (201, 400)
    assert dated.body["errors"][0]["code"] == "MISSING_REQUIRED_PROPERTY"


async def test_bodies_must_be_json_and_urls_short(api, sandbox):
    """415 without a JSON content type, 400 for broken JSON, 414 for a URL that names too much."""
    headers = {"Authorization": "Bearer pat-na1-sandbox"}
    async with api.session.post(f"{sandbox.url}{COMPANIES}", data="a=1", headers=headers) as no_json:
        pass
    headers["Content-Type"] = "application/json"
    async with api.session.post(f"{sandbox.url}{COMPANIES}", data="{", headers=headers) as broken:
        pass
    long = await api("GET", COMPANIES, properties="x" * 8_050)
    assert (no_json.status, broken.status, long.status) == (415, 400, 414)
