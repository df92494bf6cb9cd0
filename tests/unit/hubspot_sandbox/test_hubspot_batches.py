"""Batches: all or nothing, unless every input has a trace id of its own."""

import msgspec
import pytest

from connectors.hubspot.sandbox import batch

COMPANIES = "/crm/v3/objects/companies"
CONTACTS = "/crm/v3/objects/contacts"
DEALS = "/crm/v3/objects/deals"


def inputs(*properties, trace=False):
    """Inputs of a create; with a trace id each, if asked."""
    made = [{"properties": p} for p in properties]
    return {"inputs": [{**one, "objectWriteTraceId": f"k{n}"} for n, one in enumerate(made)] if trace else made}


async def test_a_create_answers_201_with_all_results(api, sandbox):
    """Results are complete, in no promised order."""
    reply = await api("POST", f"{COMPANIES}/batch/create", inputs({"name": "A"}, {"name": "B"}, {"name": "C"}))
    assert (reply.status, reply.body["status"]) == (201, "COMPLETE")
    assert {"A", "B", "C"} == {r["properties"]["name"] for r in reply.body["results"]}
    assert {"requestedAt", "startedAt", "completedAt"} <= set(reply.body)


async def test_results_do_not_come_in_the_order_of_the_inputs(api):
    """A caller that pairs them by place would be wrong."""
    names = [f"C{n}" for n in range(20)]
    reply = await api("POST", f"{COMPANIES}/batch/create", inputs(*({"name": name} for name in names)))
    assert names != [r["properties"]["name"] for r in reply.body["results"]]


@pytest.mark.parametrize("path", ["create", "read", "update", "upsert", "archive"])
async def test_more_than_100_inputs_are_refused(api, path):
    """And so is none."""
    many = {"inputs": [{"id": str(n), "properties": {"name": "A"}, "idProperty": "x"} for n in range(101)]}
    statuses = [(await api("POST", f"{COMPANIES}/batch/{path}", body)).status for body in (many, {"inputs": []})]
    assert statuses == [400, 400]


async def test_one_bad_input_fails_the_whole_create_and_nothing_is_written(api, sandbox):
    """Without trace ids the first refusal is the answer."""
    reply = await api("POST", f"{COMPANIES}/batch/create", inputs({"name": "A"}, {"missing": "1"}))
    assert (reply.status, reply.body["category"], sandbox.ids("companies")) == (400, "VALIDATION_ERROR", [])


async def test_an_incomplete_set_of_trace_ids_counts_as_none(api, sandbox):
    """One input without, or two alike: all or nothing again."""
    lacking = inputs({"name": "A"}, {"missing": "1"}, trace=True)
    del lacking["inputs"][0]["objectWriteTraceId"]
    alike = inputs({"name": "A"}, {"missing": "1"}, trace=True)
    alike["inputs"][1]["objectWriteTraceId"] = "k0"
    statuses = [(await api("POST", f"{COMPANIES}/batch/create", body)).status for body in (lacking, alike)]
    assert (statuses, sandbox.ids("companies")) == ([400, 400], [])


async def test_with_trace_ids_the_good_half_is_written_and_the_bad_half_named(api, sandbox):
    """207, numErrors, and the trace id in each error's context and each result."""
    reply = await api("POST", f"{COMPANIES}/batch/create", inputs({"name": "A"}, {"missing": "1"}, trace=True))
    error = reply.body["errors"][0]
    assert (reply.status, reply.body["status"], reply.body["numErrors"]) == (207, "COMPLETE", 1)
    assert (
        error["status"],
        error["category"],
        error["context"]["objectWriteTraceId"],
    ) == ("error", "VALIDATION_ERROR", ["k1"])
    assert [(r["properties"]["name"], r["objectWriteTraceId"]) for r in reply.body["results"]] == [("A", "k0")]
    assert len(sandbox.ids("companies")) == 1


async def test_the_check_finds_a_batch_that_writes_half(api, sandbox, monkeypatch):
    """Saboteur: a sandbox that commits before it has checked everything leaves a company behind."""

    def half(call, inputs, draft):
        return [batch._committed(call, draft(call, sent), sent) for sent in inputs], []

    monkeypatch.setattr(batch, "_all_or_nothing", half)
    await api("POST", f"{COMPANIES}/batch/create", inputs({"name": "A"}, {"missing": "1"}))
    assert sandbox.ids("companies") != []


async def test_a_taken_email_fails_the_whole_batch_with_409(api, sandbox):
    """Only the first existing contact is named."""
    existing = sandbox.add_contact("a@x.example")
    reply = await api("POST", f"{CONTACTS}/batch/create", inputs({"email": "b@x.example"}, {"email": "a@x.example"}))
    assert (409, f"Contact already exists. Existing ID: {existing}") == (reply.status, reply.body["message"])
    assert [existing] == sandbox.ids("contacts")


async def test_two_inputs_with_one_email_are_refused(api, sandbox):
    """Rivals within one call."""
    reply = await api("POST", f"{CONTACTS}/batch/create", inputs({"email": "b@x.example"}, {"email": "B@x.example"}))
    assert (reply.status, sandbox.ids("contacts")) == (400, [])


async def test_a_read_gives_207_with_the_ids_that_are_not_there(api, sandbox):
    """The others are there, with the properties that were asked for."""
    company = sandbox.add_company("Acme", phone="1")
    body = {"inputs": [{"id": company}, {"id": "999"}], "properties": ["phone"]}
    reply = await api("POST", f"{COMPANIES}/batch/read", body)
    words = "Could not get some COMPANY objects, they may be deleted or not exist. Check that ids are valid."
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": words, "context": {"ids": ["999"]}}
    assert (207, [error], 1) == (reply.status, reply.body["errors"], reply.body["numErrors"])
    assert [(company, "1")] == [(r["id"], r["properties"]["phone"]) for r in reply.body["results"]]


async def test_a_read_with_history_takes_50_at_most(api, sandbox):
    """And tells each property's values, newest first, with who wrote: a person, or the app."""
    ids = [sandbox.add_company(f"C{n}", phone="1") for n in range(51)]
    await api("PATCH", f"{COMPANIES}/{ids[0]}", {"properties": {"phone": "2"}})
    asked = {"properties": ["phone"], "propertiesWithHistory": ["phone"]}
    many = await api("POST", f"{COMPANIES}/batch/read", {"inputs": [{"id": id_} for id_ in ids], **asked})
    reply = await api("POST", f"{COMPANIES}/batch/read", {"inputs": [{"id": id_} for id_ in ids[:50]], **asked})
    assert (many.status, reply.status) == (400, 200)
    assert many.body["category"] == "VALIDATION_ERROR"
    assert many.body["message"].startswith("The maximum number of inputs supported in a batch request for property")
    first = next(one for one in reply.body["results"] if one["id"] == ids[0])
    past = first["propertiesWithHistory"]["phone"]
    assert [(p["value"], p["sourceType"]) for p in past] == [("2", "INTEGRATION"), ("1", "CRM_UI")]


async def test_a_read_by_unique_property_sees_a_record_at_once(api, sandbox):
    """There is no index between: what search does not see yet is read here."""
    sandbox.add_property("companies", "acct_external_id", unique=True)
    company = sandbox.add_company("Acme", acct_external_id="X-1")
    body = {"idProperty": "acct_external_id", "inputs": [{"id": "X-1"}], "properties": ["name"]}
    reply = await api("POST", f"{COMPANIES}/batch/read", body)
    assert (200, [company]) == (reply.status, [r["id"] for r in reply.body["results"]])


async def test_a_merged_id_reads_as_its_survivor(api, sandbox):
    """The result's id is another one than was asked for."""
    one, other = sandbox.add_company("A"), sandbox.add_company("B")
    survivor = sandbox.merge("companies", one, other)
    reply = await api("POST", f"{COMPANIES}/batch/read", {"inputs": [{"id": one}, {"id": other}]})
    assert [survivor] == [r["id"] for r in reply.body["results"]]


async def test_an_update_of_the_same_record_twice_is_refused(api, sandbox):
    """400, and nothing is written."""
    company = sandbox.add_company("Acme")
    body = {"inputs": [{"id": company, "properties": {"phone": str(n)}} for n in range(2)]}
    reply = await api("POST", f"{COMPANIES}/batch/update", body)
    assert (reply.status, "phone" in sandbox.properties("companies", company)) == (400, False)


async def test_an_update_of_what_is_not_there_fails_alone_only_with_trace_ids(api, sandbox):
    """404 for all, or an entry of a 207."""
    company = sandbox.add_company("Acme")
    body = {"inputs": [{"id": i, "properties": {"phone": "1"}} for i in (company, "999")]}
    refused = await api("POST", f"{COMPANIES}/batch/update", body)
    untouched = "phone" not in sandbox.properties("companies", company)
    for n, sent in enumerate(body["inputs"]):
        sent["objectWriteTraceId"] = str(n)
    partial = await api("POST", f"{COMPANIES}/batch/update", body)
    assert (refused.status, untouched, partial.status) == (404, True, 207)
    assert partial.body["errors"][0]["context"] == {"ids": ["999"], "objectWriteTraceId": ["1"]}


async def test_an_upsert_says_what_is_new_and_may_be_repeated(api, sandbox):
    """By a unique property of our own; a repeat makes no second record."""
    sandbox.add_property("deals", "acct_external_id", unique=True)
    one = {
        "idProperty": "acct_external_id",
        "id": "X-1",
        "properties": {"dealname": "A", "dealstage": "closedwon"},
    }
    replies = [await api("POST", f"{DEALS}/batch/upsert", {"inputs": [one]}) for _ in range(2)]
    assert [(r.status, r.body["results"][0]["new"]) for r in replies] == [(200, True), (200, False)]
    assert len(sandbox.ids("deals")) == 1


async def test_an_upsert_needs_a_unique_property(api):
    """Neither none, nor one that many can share."""
    none = {"inputs": [{"id": "1", "properties": {"name": "A"}}]}
    shared = {"inputs": [{"id": "acme.example", "idProperty": "domain", "properties": {"name": "A"}}]}
    statuses = [(await api("POST", f"{COMPANIES}/batch/upsert", body)).status for body in (none, shared)]
    assert statuses == [400, 400]


async def test_archive_answers_204_for_known_and_unknown_ids(api, sandbox):
    """Nothing tells the difference."""
    company = sandbox.add_company("Acme")
    reply = await api("POST", f"{COMPANIES}/batch/archive", {"inputs": [{"id": company}, {"id": "999"}]})
    assert (reply.status, sandbox.ids("companies")) == (204, [])


async def test_a_unique_value_that_is_taken_is_400_and_names_two_ids(api, sandbox):
    """The first id is the record that was written to, the second the one that has the value."""
    sandbox.add_property("companies", "acct_external_id", unique=True)
    holder = sandbox.add_company("Acme", acct_external_id="X-1")
    created = await api("POST", COMPANIES, {"properties": {"name": "B", "acct_external_id": "X-1"}})
    other = sandbox.add_company("Other")
    updated = await api("PATCH", f"{COMPANIES}/{other}", {"properties": {"acct_external_id": "X-1"}})
    coordinates = (
        "Cannot set PropertyValueCoordinates{portalId=62515, objectTypeId=ObjectTypeId{legacyObjectType=COMPANY}, "
        "propertyName=acct_external_id, value=X-1} on "
    )
    never_made = int(holder) + 1
    assert (400, f"{coordinates}{never_made}. {holder} already has that value.") == (
        created.status,
        created.body["message"],
    )
    assert (400, f"{coordinates}{other}. {holder} already has that value.") == (
        updated.status,
        updated.body["message"],
    )


async def test_a_create_can_bring_its_associations(api, sandbox):
    """Inline associations in a batch create."""
    company = sandbox.add_company("Acme")
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}
    sent = inputs({"dealname": "A", "dealstage": "closedwon"})
    sent["inputs"][0]["associations"] = [{"to": {"id": company}, "types": [spec]}]
    made = (await api("POST", f"{DEALS}/batch/create", sent)).body["results"][0]["id"]
    assert {int(company): frozenset({5, 341})} == sandbox.portal.near("deals", int(made), "companies")


async def test_the_dated_path_binds_batches_to_the_accounts_rules(api, sandbox):
    """2026-09 refuses what v3 takes."""
    sandbox.set_account(msgspec.structs.replace(sandbox.portal.account, rules={"companies": ("phone",)}))
    path = "/crm/objects/2026-09/0-2/batch/create"
    assert (await api("POST", path, inputs({"name": "A"}))).status == 400
