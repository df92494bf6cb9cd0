"""Over HTTP: who may call, how often, envelopes, batches, replays, changed data, reports."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from connectors.kit.sandbox import VirtualClock
from connectors.kit.sandbox.faults import lose_answer, stale
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.quickbooks.sandbox.oauth import ACCOUNTING
from tests.unit.quickbooks_sandbox.qbo_caller import NOW, Caller


async def test_a_record_comes_in_its_envelope(caller: Caller) -> None:
    """Create and read answer 200 with entity and time, and every answer has an intuit_tid."""
    made = await caller.post("customer", {"DisplayName": "Acme"})
    read = await caller.get("customer/1", minorversion="75")
    assert made.status == 200
    assert made.body["Customer"] == read.body["Customer"]
    assert read.body["time"] == "2026-11-02T09:00:00.000-08:00"
    assert {key: made.body["Customer"][key] for key in ("Id", "SyncToken", "domain", "sparse")} == {
        "Id": "1",
        "SyncToken": "0",
        "domain": "QBO",
        "sparse": False,
    }
    assert made.headers["intuit_tid"] != read.headers["intuit_tid"]


async def test_a_fault_has_its_status_code_and_shape(caller: Caller) -> None:
    """400 and a ValidationFault for what is wrong, also for what is not there."""
    assert (await caller.get("customer/99")).fault == (400, "610")
    assert (await caller.post("customer", {"Colour": "red"})).fault == (400, "2010")
    assert (await caller.query("select * from Unicorn")).fault == (400, "4001")
    assert (await caller.post("unicorn", {})).fault == (400, "500")
    body = (await caller.get("customer/99")).body
    assert body["Fault"]["type"] == "ValidationFault"
    assert sorted(body["Fault"]["Error"][0]) == ["Detail", "Message", "code", "element"]


async def test_without_a_valid_token_the_gateway_answers(caller: Caller) -> None:
    """401 with 3200 in lower-case keys for a bad or expired token."""
    token = caller.token
    caller.token = "wrong"
    assert (await caller.get("customer/1")).fault == (401, "3200")
    caller.token = token
    caller.books.clock.advance(3601)
    answer = await caller.get("customer/1")
    assert answer.fault == (401, "3200")
    assert answer.body["fault"]["type"] == "AUTHENTICATION"


async def test_a_token_is_for_one_company_and_one_scope(caller: Caller) -> None:
    """403 with 3100 for another company, an unknown one, or a token without the accounting scope."""
    caller.books.add_company("9341450000000002")
    caller.token = caller.books.token("9341450000000002")["access_token"]
    assert (await caller.get("customer/1")).fault == (403, "3100")
    caller.token = caller.books.authority.issue(caller.books.realm, frozenset({"openid"}))["access_token"]
    assert (await caller.get("customer/1")).fault == (403, "3100")
    caller.token = caller.books.authority.issue("123", frozenset({ACCOUNTING}))["access_token"]
    assert (await caller.get("customer/1")).fault == (403, "3100")


async def test_without_accept_the_answer_is_xml(caller: Caller) -> None:
    """Records and faults alike; a reference keeps its name as an attribute."""
    caller.books.add_customer("A & B", terms="Net 30", currency="USD")
    caller.headers = {}
    answer = await caller.get("customer/1")
    root = ElementTree.fromstring(answer.raw)
    space = {"q": "http://schema.intuit.com/finance/v3"}
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert root.findtext("q:Customer/q:DisplayName", namespaces=space) == "A & B"
    fault = ElementTree.fromstring((await caller.get("customer/99")).raw)
    error = fault.find("q:Fault/q:Error", space)
    assert error is not None
    assert error.get("code") == "610"
    caller.token = "wrong"
    gateway = ElementTree.fromstring((await caller.get("customer/1")).raw)
    assert gateway.find("q:Fault/q:Error", space) is not None


async def test_ten_a_second_and_five_hundred_a_minute() -> None:
    """429 with 003001 and no Retry-After; a second later it goes on; batches have 40 a minute of their own."""
    books = QuickBooksSandbox(VirtualClock(NOW, fixed=True))
    async with books, aiohttp.ClientSession() as session:
        caller = Caller(books, session)
        answers = [await caller.get("preferences") for _ in range(11)]
        assert [answer.status for answer in answers] == [200] * 10 + [429]
        assert answers[-1].fault == (429, "003001")
        assert "Retry-After" not in answers[-1].headers
        allowed = 10
        for _ in range(51):
            books.clock.advance(1)
            allowed += sum([(await caller.get("preferences")).status == 200 for _ in range(10)])
        assert allowed == 500
        books.clock.advance(60)
        item = {"BatchItemRequest": [{"bId": "1", "Query": "select * from Term"}]}
        statuses = []
        for _ in range(41):
            books.clock.advance(0.2)
            statuses.append((await caller.post("batch", item)).status)
        assert statuses == [200] * 40 + [429]


async def test_a_repeated_requestid_gives_the_first_answer(caller: Caller) -> None:
    """One customer is made of two calls, and one of each of two companies; without the id there are two."""
    first = await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")
    again = await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")
    assert again.body == first.body
    other = caller.books.add_company("9341450000000002")
    caller.books.realm, caller.token = other.realm, caller.books.token(other.realm)["access_token"]
    assert (await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")).status == 200
    assert len(other.rows["Customer"]) == 1
    caller.books.forget_requestids()
    assert (await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")).fault == (400, "6240")


async def test_a_fault_is_not_remembered(caller: Caller) -> None:
    """After a refusal the same requestid can succeed."""
    assert (await caller.post("customer", {}, requestid="r1")).fault == (400, "2020")
    assert (await caller.post("customer", {"DisplayName": "A"}, requestid="r1")).status == 200


async def test_a_batch_answers_each_item(caller: Caller) -> None:
    """200 although items fail; the others go on; queries and deletes belong in it, too."""
    customer = caller.books.add_customer("Acme")
    doomed = caller.books.add_payment(customer, "5")
    items: list[dict[str, Any]] = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "New"}},
        {"bId": "2", "operation": "create", "Customer": {"DisplayName": "Acme"}},
        {"bId": "3", "Query": "select count(*) from Customer"},
        {"bId": "4", "operation": "delete", "Payment": {"Id": doomed, "SyncToken": "0"}},
        {"bId": "5", "operation": "update", "Customer": {"Id": customer, "SyncToken": "7", "DisplayName": "X"}},
    ]
    answer = await caller.post("batch", {"BatchItemRequest": items}, requestid="b1")
    found = answer.body["BatchItemResponse"]
    assert answer.status == 200
    assert [item["bId"] for item in found] == ["1", "2", "3", "4", "5"]
    assert found[0]["Customer"]["DisplayName"] == "New"
    assert found[1]["Fault"]["Error"][0]["code"] == "6240"
    assert found[2]["QueryResponse"] == {"totalCount": 2}
    assert found[3]["Payment"]["status"] == "Deleted"
    assert found[4]["Fault"]["Error"][0]["code"] == "5010"
    assert (await caller.post("batch", {"BatchItemRequest": items}, requestid="b1")).body == answer.body


async def test_an_item_cannot_use_what_the_same_batch_makes(caller: Caller) -> None:
    """2500 within the batch; in the next one the customer is there."""
    line = {"DetailType": "SalesItemLineDetail", "Amount": 1, "SalesItemLineDetail": {"ItemRef": {"value": "1"}}}
    caller.books.add_item("Widget")
    invoice = {"CustomerRef": {"value": "1"}, "Line": [line]}
    items = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "New"}},
        {"bId": "2", "operation": "create", "Invoice": invoice},
    ]
    found = (await caller.post("batch", {"BatchItemRequest": items})).body["BatchItemResponse"]
    assert found[1]["Fault"]["Error"][0]["code"] == "2500"
    assert (await caller.post("batch", {"BatchItemRequest": items[1:]})).body["BatchItemResponse"][0]["Invoice"]


async def test_a_batch_has_thirty_items_at_most(caller: Caller) -> None:
    """31 are refused as a whole."""
    item = {"bId": "1", "Query": "select * from Term"}
    assert (await caller.post("batch", {"BatchItemRequest": [item] * 30})).status == 200
    assert (await caller.post("batch", {"BatchItemRequest": [item] * 31})).status == 400
    assert (await caller.post("batch", {})).fault == (400, "2020")


async def test_changed_data_tells_changes_and_deletes(caller: Caller) -> None:
    """One list for each entity asked for, an empty object where nothing changed; deleted ones by their id."""
    books = caller.books
    customer = books.add_customer("Old")
    books.clock.advance(60)
    since = books.clock.now().isoformat()
    books.clock.advance(1)
    invoice, gone = (books.add_invoice(customer, [{"amount": "1"}]) for _ in range(2))
    books.delete("Invoice", gone)
    body = (await caller.get("cdc", entities="Customer,Invoice,Vendor", changedSince=since)).body
    customers, invoices, vendors = body["CDCResponse"][0]["QueryResponse"]
    assert (customers, vendors) == ({}, {})
    assert [(row["Id"], row.get("status")) for row in invoices["Invoice"]] == [(gone, "Deleted"), (invoice, None)]
    assert invoices["Invoice"][1]["TotalAmt"] == 1.0
    assert {key: invoices[key] for key in ("startPosition", "maxResults", "totalCount")} == {
        "startPosition": 1,
        "maxResults": 2,
        "totalCount": 2,
    }


async def test_changed_data_has_its_limits(caller: Caller) -> None:
    """30 days back, 1,000 objects over all entities, and not every entity."""
    books = caller.books
    for number in range(1005):
        books.add_customer(f"Customer {number}")
    books.add_vendor("Paper Supply")
    now = books.clock.now()
    recent, long_ago = (now - timedelta(days=29)).isoformat(), (now - timedelta(days=31)).isoformat()
    body = (await caller.get("cdc", entities="Customer,Vendor", changedSince=recent)).body
    customers, vendors = body["CDCResponse"][0]["QueryResponse"]
    assert (len(customers["Customer"]), vendors) == (1000, {})
    assert (await caller.get("cdc", entities="Customer", changedSince=long_ago)).status == 400
    assert (await caller.get("cdc", entities="TaxCode", changedSince=recent)).status == 400
    assert (await caller.get("cdc", entities="Customer")).fault == (400, "2020")


async def test_void_send_and_payment_void_have_their_own_calls(caller: Caller) -> None:
    """operation=void for invoices, operation=update&include=void for payments, /send for mail."""
    books = caller.books
    customer = books.add_customer("Acme")
    invoice = books.add_invoice(customer, [{"amount": "1"}])
    payment = books.add_payment(customer, "5")
    sent = await caller.post(f"invoice/{invoice}/send", None, sendTo="a@b.example")
    assert sent.body["Invoice"]["EmailStatus"] == "EmailSent"
    voided = await caller.post("invoice", {"Id": invoice, "SyncToken": "1"}, operation="void")
    assert voided.body["Invoice"]["PrivateNote"] == "Voided"
    version = {"Id": payment, "SyncToken": "0", "sparse": True}
    assert (await caller.post("payment", version, operation="void")).fault == (400, "500")
    done = await caller.post("payment", version, operation="update", include="void")
    assert done.body["Payment"]["TotalAmt"] == 0


async def test_settings_and_rates_are_read(caller: Caller) -> None:
    """Company info, preferences and the rate of a day."""
    caller.books.preferences(multi_currency=True, custom_numbers=True, automated_tax=True)
    caller.books.close_books("2026-09-30")
    caller.books.set_rate("EUR", "1.0800", "2026-10-14")
    body = (await caller.get("preferences")).body["Preferences"]
    assert body["SalesFormsPrefs"]["CustomTxnNumbers"] is True
    assert body["CurrencyPrefs"] == {"MultiCurrencyEnabled": True, "HomeCurrency": {"value": "USD"}}
    assert body["TaxPrefs"]["PartnerTaxEnabled"] is True
    assert body["AccountingInfoPrefs"]["BookCloseDate"] == "2026-09-30"
    info = (await caller.get(f"companyinfo/{caller.books.realm}")).body["CompanyInfo"]
    assert (info["Country"], info["FiscalYearStartMonth"]) == ("US", "January")
    rate = (await caller.get("exchangerate", sourcecurrencycode="EUR", asofdate="2026-10-20")).body["ExchangeRate"]
    assert (rate["Rate"], rate["TargetCurrencyCode"]) == (1.08, "USD")
    found = (await caller.query("select * from ExchangeRate where SourceCurrencyCode = 'EUR'")).body
    assert found["QueryResponse"]["ExchangeRate"][0]["Rate"] == 1.08


async def test_reports_come_in_the_vendor_s_shape(caller: Caller) -> None:
    """Header, Columns and Rows; an empty report says so; what there is not is refused."""
    empty = (await caller.get("reports/AgedReceivables", report_date="2026-10-31")).body
    assert {"Name": "NoReportData", "Value": "true"} in empty["Header"]["Option"]
    assert empty["Rows"] == {}
    customer = caller.books.add_customer("Acme")
    caller.books.add_invoice(customer, [{"amount": "12.5"}], date="2026-10-01")
    report = (await caller.get("reports/BalanceSheet", end_date="2026-10-31")).body
    header = {key: report["Header"][key] for key in ("ReportName", "ReportBasis", "EndPeriod", "Currency")}
    assert header == {
        "ReportName": "BalanceSheet",
        "ReportBasis": "Accrual",
        "EndPeriod": "2026-10-31",
        "Currency": "USD",
    }
    assert report["Columns"]["Column"][1] == {"ColTitle": "Total", "ColType": "Money"}
    listed = (
        await caller.get(
            "reports/TransactionList", start_date="2026-10-01", end_date="2026-10-31", transaction_type="Invoice"
        )
    ).body
    assert listed["Rows"]["Row"][0]["ColData"][-1] == {"value": "12.50"}
    assert (await caller.get("reports/Horoscope")).status == 400
    assert (await caller.get("reports/BalanceSheet", accounting_method="Cash")).status == 400
    assert (await caller.get("reports/BalanceSheet", end_date="soon")).status == 400


async def test_a_lost_answer_is_a_write_that_happened(caller: Caller) -> None:
    """The connection is cut after the commit; the same requestid then tells what was made."""
    caller.books.faults.add(lose_answer("POST", "/customer"))
    with pytest.raises(aiohttp.ClientError):
        await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")
    assert len(caller.books.company.rows["Customer"]) == 1
    assert (await caller.post("customer", {"DisplayName": "Acme"}, requestid="r1")).body["Customer"]["Id"] == "1"


async def test_a_stale_read_is_from_before_the_last_write(caller: Caller) -> None:
    """A replica that lags: the edited record as it was, a new one not yet there."""
    id = caller.books.add_customer("Acme", notes="old")
    caller.books.edit("Customer", id, notes="new")
    caller.books.faults.add(stale("GET"))
    assert (await caller.get(f"customer/{id}")).body["Customer"]["Notes"] == "old"
    assert (await caller.get(f"customer/{id}")).body["Customer"]["Notes"] == "new"
    caller.books.add_customer("Newer")
    caller.books.faults.add(stale("GET"))
    assert len((await caller.query("select * from Customer")).body["QueryResponse"]["Customer"]) == 1


async def test_money_keeps_its_digits_on_the_wire(caller: Caller) -> None:
    """Decimals go in and out as numbers, to the last cent."""
    caller.books.preferences(custom_numbers=True)
    customer = caller.books.add_customer("Acme")
    item = caller.books.add_item("Widget")
    detail = {"ItemRef": {"value": item}}
    line = {"DetailType": "SalesItemLineDetail", "Amount": Decimal("90071992547409.93"), "SalesItemLineDetail": detail}
    sent = {"CustomerRef": {"value": customer}, "Line": [line]}
    answer = await caller.post("invoice", sent)
    assert b'"TotalAmt":90071992547409.93' in answer.raw
