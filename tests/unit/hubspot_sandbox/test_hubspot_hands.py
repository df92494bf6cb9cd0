"""By hand: seeds, the controls for another process, and the page."""

import json

import pytest

from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.sandbox import VirtualClock

HOSTILE = "<script>alert(1)</script>\"'&"


async def test_add_and_edit_from_another_process(api, sandbox):
    """POST /_sandbox/add and /_sandbox/edit; the state is there to read."""
    company = (await api("POST", "/_sandbox/add", {"object": "companies", "properties": {"name": "Acme"}})).body["id"]
    deal = {"dealname": "Desk", "dealstage": "closedwon"}
    ties = {"companies": [company]}
    made = await api("POST", "/_sandbox/add", {"object": "deals", "properties": deal, "ties": ties})
    edited = await api("POST", "/_sandbox/edit", {"object": "0-2", "id": company, "properties": {"phone": "1"}})
    state = (await api("GET", "/_sandbox/state")).body
    assert (edited.status, state["companies"][0]["properties"]["phone"]) == (200, "1")
    assert [{"id": company, "types": [5, 341]}] == state["deals"][0]["associations"]["companies"]
    assert made.body["id"] == state["deals"][0]["id"]


@pytest.mark.parametrize(
    "body", [{}, {"object": "companies", "id": "1", "properties": {}}, {"object": "boats", "properties": {}}]
)
async def test_controls_refuse_what_they_do_not_understand(api, body):
    """400, no traceback."""
    assert (await api("POST", "/_sandbox/edit", body)).status == 400


async def test_a_state_can_be_taken_over(api, sandbox):
    """What one sandbox gives, another takes: records, archived ones, associations, ids."""
    company = sandbox.add_company("Acme")
    sandbox.add_deal("Desk", 10, company=company, lines=[{"name": "Oak", "price": "1", "quantity": 2}])
    sandbox.archive("contacts", sandbox.add_contact("a@x.example"))
    other = HubSpotSandbox(VirtualClock(fixed=True))
    other.load(json.loads(json.dumps(sandbox.state())))
    assert sandbox.state() == other.state()
    assert other.add_company("B") not in {company}


async def test_a_reset_forgets_records_and_keeps_logins(api, sandbox):
    """The same token goes on."""
    sandbox.add_company("Acme")
    await api("POST", "/_sandbox/reset")
    assert (await api("GET", "/crm/v3/objects/companies")).body["results"] == []


def test_a_folder_of_seeds_is_read(tmp_path):
    """CSV and JSON; rows name each other by id or by name; custom properties come first."""
    (tmp_path / "properties.json").write_text('[{"object": "deals", "name": "acct_external_id", "unique": true}]')
    (tmp_path / "companies.csv").write_text("id,name,phone\nc1,Acme,1\nc2,Beta,\n")
    (tmp_path / "contacts.csv").write_text("email,company\na@x.example,Acme\n")
    (tmp_path / "products.json").write_text('[{"id": "p1", "name": "Oak", "price": 10.5}]')
    (tmp_path / "deals.csv").write_text(
        "id,dealname,amount,dealstage,company,contact,acct_external_id\nd1,Desk,21,closedwon,c1,a@x.example,X-1\n"
    )
    (tmp_path / "line_items.csv").write_text("deal,product,quantity\nd1,p1,2\n")
    sandbox = HubSpotSandbox()
    sandbox.load(tmp_path)
    deal, line = sandbox.ids("deals")[0], sandbox.ids("line_items")[0]
    acme = sandbox.ids("companies")[0]
    assert (
        sandbox.properties("line_items", line)["amount"],
        sandbox.properties("deals", deal)["acct_external_id"],
    ) == ("21.00", "X-1")
    assert {int(acme): frozenset({5, 341})} == sandbox.portal.near("deals", int(deal), "companies")
    assert acme == sandbox.properties("contacts", sandbox.ids("contacts")[0])["associatedcompanyid"]


def test_a_bad_seed_names_file_and_row(tmp_path):
    """So that a person can mend it."""
    (tmp_path / "companies.csv").write_text("name,nonsense\nAcme,1\n")
    with pytest.raises(ValueError, match=r"companies, row 1: .*nonsense"):
        HubSpotSandbox().load(tmp_path)


async def test_populate_fills_a_portal_at_once(api, sandbox):
    """Listed by id, found by time, unique by e-mail."""
    sandbox.populate(1_000)
    listed = await api("GET", "/crm/v3/objects/contacts", limit="100")
    found = await api.search("contacts")
    taken = await api("POST", "/crm/v3/objects/contacts", {"properties": {"email": "person-7@example.com"}})
    assert (len(listed.body["results"]), found.body["total"], taken.status) == (100, 1_000, 409)


async def test_the_page_shows_records_and_escapes_everything(api, sandbox):
    """Nothing that a record holds becomes markup."""
    sandbox.add_company(HOSTILE)
    sandbox.add_deal(HOSTILE, 10)
    page = (await api("GET", "/")).body
    assert ("<script>" in page, "&lt;script&gt;" in page) == (False, True)
    assert "name='dealname' value='&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;'" in page


async def test_the_pages_form_edits_what_differs(api, sandbox):
    """And goes back to the page; other fields keep their time."""
    company = sandbox.add_company("Acme", phone="1")
    form = {"object": "companies", "id": company, "name": "Acme", "phone": "2"}
    async with api.session.post(f"{sandbox.url}/_sandbox/edit", data=form, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert (
        sandbox.properties("companies", company)["phone"],
        [n for n in sandbox.portal.tables["companies"].history[int(company)] if n != "phone"],
    ) == ("2", ["name"])


async def test_the_page_says_why_an_edit_was_refused(api, sandbox):
    """In the words of the API, escaped."""
    deal = sandbox.add_deal("Desk", 1)
    form = {"object": "deals", "id": deal, "amount": "<b>"}
    async with api.session.post(f"{sandbox.url}/_sandbox/edit", data=form) as answer:
        text = await answer.text()
    assert (answer.status, "&lt;b&gt; was not a valid number" in text, "<b>" in text) == (400, True, False)
