"""From outside: seed folders, control from another process, the page for people."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.unit.quickbooks_sandbox.qbo_caller import Caller


def seed(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        if isinstance(content, str):
            (folder / f"{name}.csv").write_text(content, encoding="utf-8")
        else:
            (folder / f"{name}.json").write_bytes(msgspec.json.encode(content))
    return folder


def test_a_folder_of_files_fills_a_company(books: QuickBooksSandbox, tmp_path: Path) -> None:
    """JSON lists or CSV tables; rows of one invoice number are its lines; payments say what they settle."""
    seed(
        tmp_path,
        preferences={"custom_numbers": True},
        customers="name,email,terms\nAcme,ap@acme.example,Net 30\nOther,,\n",
        items=[{"name": "Widget", "type": "NonInventory", "price": "20.00"}],
        invoices=(
            "customer,number,date,item,qty,price,amount,tax\n"
            "Acme,A-1,2026-10-01,Widget,3,20.00,,TAX\n"
            "Acme,A-1,2026-10-01,,,,5.00,\n"
            "Other,A-2,2026-10-02,,,,7.00,\n"
        ),
        payments="customer,amount,date,invoices\nAcme,69.80,2026-10-09,A-1=69.80\n",
    )
    books.load(tmp_path)
    first, second = books.company.rows["Invoice"].values()
    assert (first["TotalAmt"], first["Balance"], first["DueDate"]) == (Decimal("69.80"), 0, "2026-10-31")
    assert (second["DocNumber"], second["Balance"]) == ("A-2", 7)
    assert books.receivable(books.company.today()) == 7


def test_a_bad_row_is_named(books: QuickBooksSandbox, tmp_path: Path) -> None:
    """File and row, and what is wrong."""
    seed(tmp_path, customers="name,email\nAcme,\nAcme,\n")
    with pytest.raises(ValueError, match=r"customers\.csv, row 3: 6240"):
        books.load(tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        books.load(tmp_path / "nowhere")


async def control(caller: Caller, path: str, body: Any) -> tuple[int, Any]:
    async with caller.session.post(f"{caller.books.url}/_sandbox/{path}", json=body) as answer:
        return answer.status, await answer.json()


async def test_another_process_can_work_in_the_company(caller: Caller) -> None:
    """Add, edit, void, delete and set preferences as a person would; a refusal is answered as such."""
    _, made = await control(caller, "add", {"entity": "Customer", "name": "Acme", "phone": "1"})
    lines = [{"amount": "100"}]
    _, invoice = await control(caller, "add", {"entity": "Invoice", "customer": "Acme", "lines": lines})
    status, edited = await control(caller, "edit", {"entity": "Customer", "id": "Acme", "fields": {"phone": "2"}})
    assert (status, edited["Id"], edited["PrimaryPhone"]) == (200, made["Id"], {"FreeFormNumber": "2"})
    assert (await control(caller, "add", {"entity": "Customer", "name": "acme"}))[0] == 400
    assert (await control(caller, "add", {"entity": "Unicorn"}))[0] == 400
    assert (await control(caller, "edit", {"entity": "Customer"}))[0] == 400
    assert (await control(caller, "preferences", {"books_closed": "2026-09-30"}))[1]["books_closed"] == "2026-09-30"
    assert (await control(caller, "void", {"entity": "Invoice", "id": invoice["Id"]}))[1]["TotalAmt"] == 0
    assert (await control(caller, "delete", {"entity": "Invoice", "id": invoice["Id"]}))[0] == 200


async def test_the_state_tells_records_and_control_totals(caller: Caller) -> None:
    """All entities, counts, and the receivable by the ledger."""
    customer = caller.books.add_customer("Acme")
    caller.books.add_invoice(customer, [{"amount": "12.34"}])
    async with caller.session.get(f"{caller.books.url}/_sandbox/state") as answer:
        body = await answer.json()
    assert (body["receivable"], body["counts"]["Invoice"]) == (12.34, 1)
    assert body["entities"]["Customer"][0]["DisplayName"] == "Acme"


async def test_a_reset_is_a_new_first_day(caller: Caller) -> None:
    """Records are gone, the chart of accounts is there, the token still works."""
    caller.books.add_customer("Acme")
    await control(caller, "reset", {})
    assert (await caller.query("select count(*) from Customer")).body["QueryResponse"] == {"totalCount": 0}
    assert caller.books.company.named("Account", "Checking") is not None


async def form(session: aiohttp.ClientSession, url: str, **fields: str) -> tuple[int, str]:
    async with session.post(f"{url}/customer", data=fields) as answer:
        return answer.status, await answer.text()


async def test_the_page_shows_records_and_edits_a_field(caller: Caller) -> None:
    """What people see is escaped; a saved field is saved, a refused one says why."""
    id = caller.books.add_customer("<script>alert(1)</script>", BillAddr={"Line1": "1 Main St", "City": "Old"})
    caller.books.add_invoice(id, [{"amount": "12.34"}])
    async with caller.session.get(caller.books.url) as answer:
        page = await answer.text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "12.34" in page
    status, said = await form(caller.session, caller.books.url, id=id, field="4", value="New York")
    assert (status, "Saved." in said) == (200, True)
    assert caller.books.company.read("Customer", id)["BillAddr"] == {"Line1": "1 Main St", "City": "New York"}
    status, said = await form(caller.session, caller.books.url, id=id, field="0", value="a:b")
    assert (status, "Not saved." in said) == (400, True)
    assert (await form(caller.session, caller.books.url, id=id))[0] == 400
