"""Associations: types, the primary company, pages and batches."""

import pytest

READ = "/crm/v4/associations/{}/{}/batch/read"


def spec(type_id):
    return {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}


def typed(reply):
    """Who is associated, with which type ids."""
    return {r["toObjectId"]: [t["typeId"] for t in r["associationTypes"]] for r in reply.body["results"]}


async def test_a_default_association_is_200_and_makes_nothing_primary(api, pair):
    """279 one way, 280 the other."""
    contact, company = pair
    put = await api("PUT", f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}")
    there = await api("GET", f"/crm/v4/objects/contacts/{contact}/associations/companies")
    back = await api("GET", f"/crm/v4/objects/companies/{company}/associations/contacts")
    assert (200, {int(company): [279]}, {int(contact): [280]}) == (put.status, typed(there), typed(back))
    assert [r["associationSpec"]["associationTypeId"] for r in put.body["results"]] == [279, 280]


async def test_a_labelled_association_is_201_and_brings_the_unlabelled_along(api, pair):
    """toObjectId is a number; the label of type 1 is Primary."""
    contact, company = pair
    put = await api("PUT", f"/crm/v4/objects/0-1/{contact}/associations/0-2/{company}", [spec(1)])
    read = await api("GET", f"/crm/v4/objects/contacts/{contact}/associations/companies")
    types = [
        {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
        {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
    ]
    assert (put.status, put.body["labels"]) == (201, ["Primary"])
    assert [{"toObjectId": int(company), "associationTypes": types}] == read.body["results"]


async def test_there_is_one_primary_company(api, sandbox, pair):
    """A new one takes the label; the one before stays associated. The contact's own property follows."""
    contact, company = pair
    other = sandbox.add_company("Other")
    for one in (company, other):
        await api("PUT", f"/crm/v4/objects/contacts/{contact}/associations/companies/{one}", [spec(1)])
    read = await api("GET", f"/crm/v4/objects/contacts/{contact}/associations/companies")
    assert {int(company): [279], int(other): [1, 279]} == typed(read)
    assert other == sandbox.properties("contacts", contact)["associatedcompanyid"]


async def test_delete_takes_every_type(api, sandbox, pair):
    """204, both ways, and the primary company with it."""
    contact, company = pair
    sandbox.tie("contacts", contact, "companies", company)
    done = await api("DELETE", f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}")
    read = await api("GET", f"/crm/v4/objects/companies/{company}/associations/contacts")
    assert (done.status, typed(read)) == (204, {})
    assert "associatedcompanyid" not in sandbox.properties("contacts", contact)


async def test_a_type_of_another_pair_is_refused(api, pair):
    """Type 5 leads from deals to companies."""
    contact, company = pair
    reply = await api("PUT", f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}", [spec(5)])
    assert (reply.status, reply.body["category"]) == (400, "VALIDATION_ERROR")


async def test_what_is_not_there_cannot_be_associated(api, pair):
    """404."""
    reply = await api("PUT", f"/crm/v4/objects/contacts/{pair[0]}/associations/default/companies/999")
    assert reply.status == 404


async def test_a_page_has_500(api, sandbox):
    """And after leads on."""
    deal = sandbox.add_deal("Desk")
    for n in range(501):
        sandbox.add_line(deal, name=f"L{n}")
    path = f"/crm/v4/objects/deals/{deal}/associations/line_items"
    first = await api("GET", path, limit="500")
    last = await api("GET", path, after=first.body["paging"]["next"]["after"])
    assert (len(first.body["results"]), len(last.body["results"]), "paging" in last.body) == (500, 1, False)
    assert (await api("GET", path, limit="501")).status == 400


async def test_2026_09_has_no_list_of_one_records_associations(api, pair):
    """The specification leaves it out; 2026-03 has it."""
    statuses = [
        (await api("GET", f"/crm/objects/{version}/contacts/{pair[0]}/associations/companies")).status
        for version in ("2026-03", "2026-09")
    ]
    assert statuses == [200, 404]


async def test_a_batch_read_says_who_has_none(api, sandbox):
    """207 with NO_ASSOCIATIONS_FOUND; ids of `from` are text, of `to` numbers."""
    company = sandbox.add_company("Acme")
    deal, bare = sandbox.add_deal("Desk", company=company), sandbox.add_deal("Bare")
    reply = await api("POST", READ.format("deals", "companies"), {"inputs": [{"id": deal}, {"id": bare}]})
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No company is associated with deal {bare}.",
        "context": {"fromObjectId": [bare], "fromObjectType": ["deal"], "toObjectType": ["company"]},
    }
    types = [
        {"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary"},
        {"category": "HUBSPOT_DEFINED", "typeId": 341, "label": None},
    ]
    assert (207, [error]) == (reply.status, reply.body["errors"])
    assert [{"from": {"id": deal}, "to": [{"toObjectId": int(company), "associationTypes": types}]}] == reply.body[
        "results"
    ]


async def test_a_batch_read_pages_each_record(api, sandbox):
    """after per input."""
    deal = sandbox.add_deal("Desk")
    for n in range(501):
        sandbox.add_line(deal, name=f"L{n}")
    path = "/crm/associations/2026-09/deals/line_items/batch/read"
    first = (await api("POST", path, {"inputs": [{"id": deal}]})).body["results"][0]
    after = first["paging"]["next"]["after"]
    last = (await api("POST", path, {"inputs": [{"id": deal, "after": after}]})).body["results"][0]
    assert (len(first["to"]), len(last["to"])) == (500, 1)


@pytest.mark.parametrize(("path", "most"), [("read", 1_000), ("create", 2_000), ("associate/default", 2_000)])
async def test_batches_have_their_own_sizes(api, path, most):
    """1,000 for reads, 2,000 for writes."""
    one = {"id": "1", "from": {"id": "1"}, "to": {"id": "1"}, "types": [spec(5)]}
    statuses = [
        (await api("POST", f"/crm/v4/associations/deals/companies/batch/{path}", {"inputs": [one] * n})).status
        for n in (most, most + 1)
    ]
    assert statuses == [207, 400]


async def test_batches_create_and_archive(api, sandbox):
    """201, a label taken alone is 204, everything is 204."""
    company, deal = sandbox.add_company("Acme"), sandbox.add_deal("Desk")
    base = "/crm/v4/associations/deals/companies/batch"
    one = {"from": {"id": deal}, "to": {"id": company}}
    made = await api("POST", f"{base}/create", {"inputs": [{**one, "types": [spec(5)]}]})
    label = await api("POST", f"{base}/labels/archive", {"inputs": [{**one, "types": [spec(5)]}]})
    left = sandbox.portal.near("deals", int(deal), "companies")
    gone = await api("POST", f"{base}/archive", {"inputs": [{"from": {"id": deal}, "to": [{"id": company}]}]})
    assert (201, 204, {int(company): frozenset({341})}, 204, {}) == (
        made.status,
        label.status,
        left,
        gone.status,
        sandbox.portal.near("deals", int(deal), "companies"),
    )


async def test_inline_associations_name_a_primary_company_twice(api, sandbox):
    """Once for each type; line items are spelled with a space."""
    company = sandbox.add_company("Acme")
    deal = sandbox.add_deal("Desk", company=company, lines=[{"name": "Oak"}])
    reply = await api("GET", f"/crm/v3/objects/deals/{deal}", associations="companies,line_items,contacts")
    line = sandbox.ids("line_items")[0]
    assert {
        "companies": {
            "results": [
                {"id": company, "type": "deal_to_company"},
                {"id": company, "type": "deal_to_company_unlabeled"},
            ]
        },
        "line items": {"results": [{"id": line, "type": "deal_to_line_item"}]},
    } == reply.body["associations"]


async def test_archived_records_are_not_told(api, sandbox):
    """They are back when they are restored."""
    company = sandbox.add_company("Acme")
    deal = sandbox.add_deal("Desk", company=company)
    sandbox.archive("companies", company)
    hidden = await api("GET", f"/crm/v4/objects/deals/{deal}/associations/companies")
    sandbox.restore("companies", company)
    back = await api("GET", f"/crm/v4/objects/deals/{deal}/associations/companies")
    assert ({}, {int(company): [5, 341]}) == (typed(hidden), typed(back))


async def test_labels_of_a_pair(api):
    """The types with their labels."""
    reply = await api("GET", "/crm/v4/associations/contacts/companies/labels")
    assert {(1, "Primary"), (279, None), (931, "Billing contact")} == {
        (r["typeId"], r["label"]) for r in reply.body["results"]
    }
