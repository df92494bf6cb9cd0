"""`tieout undo` on the sandboxes of HubSpot and QuickBooks, in processes of their own."""

from __future__ import annotations

from tests.flows.terminal import Terminal, Vendor, books, crm, paired, phone_in, tieout

__all__ = ["books", "crm", "paired", "tieout"]  # fixtures


def test_what_was_posted_is_voided_and_what_was_made_is_inactive(paired: Terminal, books: Vendor) -> None:
    """Unsent invoices are voided and their number stays used; the customer made for them is inactive, not deleted;
    and the next preview plans none of it again."""
    changes = paired.expect(0, "sync --yes --json").json["changes"]
    made = next(c["title"] for c in changes if c["kind"] == "customer")
    unasked = paired.expect(3, "undo last")
    assert "2 invoices to void in QuickBooks. 1 customer change." in unasked.out.splitlines()[0]
    assert "tieout undo last --yes" in unasked.err
    done = paired.expect(0, "undo last --yes --json").json
    assert {"done"} == {change["state"] for change in done["changes"]}
    assert "Invoice 1001 voided; its number stays used." in done["notes"]
    entities = books.state()["entities"]
    assert [0.0, 0.0] == [invoice["TotalAmt"] for invoice in entities["Invoice"]]
    assert [False] == [c["Active"] for c in entities["Customer"] if c["DisplayName"] == made]
    after = paired.expect(3, "preview").out.splitlines()[0]  # the deals hear that nothing is invoiced any more
    assert "2 deal changes." == after
    paired.expect(0, "sync --yes")
    assert "In step: nothing to change." == paired.expect(0, "preview").out.splitlines()[0]
    billed_again(paired, made, sorted(c["title"] for c in changes if c["kind"] == "invoice"))


def billed_again(paired: Terminal, made: str, deals: list[str]) -> None:
    """Only when a person says so; the deal of the inactive customer waits until that is active."""
    said = [paired.expect(0, "bill-again --why", "they ordered after all", deal).out for deal in deals]
    assert 1 == sum(f"{made} is inactive in QuickBooks: make it active there." in each for each in said)
    assert all("is to be billed again (it was settled: taken back by terminal:alice)." in each for each in said)
    assert "1 invoice, " in paired.expect(3, "preview").out.splitlines()[0]


def test_a_phone_is_put_back_in_either_system(paired: Terminal, crm: Vendor, books: Vendor) -> None:
    """By the ending of the run's id, as the history lists it; undone again, it is what it was."""
    paired.expect(0, "sync --yes")
    before = phone_in(books, "Betatech Inc")
    company = next(c["id"] for c in crm.state()["companies"] if c["properties"]["name"] == "Betatech Inc")
    crm.hand("edit", object="companies", id=company, properties={"phone": "+12025550999"})
    crm.hand("clock/advance", seconds=60)
    run = paired.expect(0, "sync --yes --json").json["run"]["id"]
    assert run in paired.expect(0, "history").out
    paired.expect(0, f"undo {run[-8:]} --yes")
    assert before == phone_in(books, "Betatech Inc")
    assert "In step: nothing to change." == paired.expect(0, "preview").out.splitlines()[0]
    said = paired.expect(0, f"undo {run} --yes")
    assert "Undo of" in said.out and "undone already by run" in said.out
