"""Undo, and credit and re-issue, through the sandboxes of HubSpot and QuickBooks over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bot.terminal import tables
from connectors.kit.sandbox.faults import lose_answer, status
from tests.flows.vendors_rig import VendorRig, open_vendors
from worker.usecases import billed_and_changed


@pytest.fixture
async def vendors(flow_url: str, tmp_path: Path) -> AsyncIterator[VendorRig]:
    async with open_vendors(flow_url, tmp_path) as rig:
        yield rig


def money(*said: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(each) for each in said)


async def undo(rig: VendorRig, run_id: str) -> list[str]:
    """Preview the reverse of a run; what is left out comes back, with the reason."""
    run = await rig.run("undo", undoes=run_id)
    assert run.state == "done", run.error
    rig.plan = await rig.api.plan(run.plan_id or "", limit=None)
    return [f"{each.kind} {each.what}: {each.reason}" for each in rig.plan.left]


async def said(rig: VendorRig) -> list[tuple[str, str, str, str | None]]:
    return [(c.operation, c.kind, c.state or "", c.reason) for c in await rig.changes()]


async def nothing(rig: VendorRig) -> None:
    plan = await rig.preview()
    assert (0, 0) == (plan.changes, plan.conflicts), (await said(rig), await rig.conflicts())


async def billed(rig: VendorRig, name: str = "Nordwind") -> tuple[str, str]:
    """A new company with a won deal, billed in one run, and its deal marked: (the deal, the run)."""
    deal = rig.wins("Q4 pumps", rig.hubspot.add_company(name))
    run = await rig.done()
    assert {"done": 2} == run.outcome, await said(rig)
    return deal, run.id


async def test_an_invoice_is_voided_and_its_customer_made_inactive(vendors: VendorRig) -> None:
    """And neither is made again by itself."""
    _, run = await billed(vendors)
    assert [] == await undo(vendors, run)
    assert {"done": 2} == (await vendors.apply()).outcome, await said(vendors)
    assert [money("0", "0")] == vendors.documents()
    assert [False] == [active for _, active in vendors.customers()]
    await vendors.settled()
    await nothing(vendors)


async def test_it_is_billed_again_once_its_customer_is_active(vendors: VendorRig) -> None:
    """QuickBooks keeps an inactive customer's name: no second one is made, and who lifts it is told to make that one
    active. Until then the deal waits; then it is billed once, with a new number."""
    _, run = await billed(vendors)
    await undo(vendors, run)
    await vendors.apply()
    await vendors.settled()
    lifted = await vendors.api.again(vendors.pair.id, "bill", "Q4 pumps", "ann")
    assert ("Nordwind is inactive in QuickBooks: make it active there",) == lifted.inactive
    await vendors.preview()
    assert (0, 0) == (vendors.plan.changes, vendors.plan.conflicts)
    assert "is inactive in QuickBooks: make it active there" in " ".join((await vendors.waiting()).values())
    vendors.quickbooks.edit("Customer", "1", Active=True)
    await vendors.preview()
    assert [("create", "invoice")] == [each[:2] for each in await said(vendors)]
    await vendors.apply()
    await vendors.settled()
    await nothing(vendors)
    assert [money("0", "0"), money("100", "100")] == vendors.documents()
    assert ["1001", "1002"] == [row["DocNumber"] for row in vendors.rows("Invoice")]
    assert 1 == len(vendors.customers())


async def test_companies_made_in_hubspot_are_archived(flow_url: str, tmp_path: Path) -> None:
    async with open_vendors(flow_url, tmp_path, crm="always") as rig:
        rig.quickbooks.add_customer("Nordwind", email="office@nordwind.example")
        run = await rig.done()
        assert {"done": 1} == run.outcome, await said(rig)
        assert ["Nordwind"] == rig.companies()
        assert [] == await undo(rig, run.id)
        assert {"done": 1} == (await rig.apply()).outcome, await said(rig)
        assert ([], [("Nordwind", True)]) == (rig.companies(), rig.customers())
        await nothing(rig)
        await rig.api.again(rig.pair.id, "make", "Nordwind", "ann")
        assert {"done": 1} == (await rig.done()).outcome, await said(rig)
        assert ["Nordwind"] == rig.companies()
        await nothing(rig)


# --------------------------------------------------------------------------- credit and re-issue

CREATES_PAYMENT = ("POST", "/payment?")


async def reissued(rig: VendorRig) -> str:
    """A billed deal that says 120 now, with the answer *Credit and re-issue* given and its plan open; the deal."""
    deal, _ = await billed(rig)
    await rig.settled()
    rig.hubspot.edit("deals", deal, amount="120.00")
    await rig.preview()
    await rig.settle("reissue")
    await rig.preview()
    assert ["invoice", "credit_note", "payment"] == [kind for _, kind, *_ in await said(rig)]
    return deal


async def test_a_reissue_closes_the_old_invoice_with_its_credit_memo(vendors: VendorRig) -> None:
    """A payment of zero brings the credit to the old invoice: only the new one is open, for the control account and
    for the customer; no cash moved; and there is nothing more to do."""
    await reissued(vendors)
    shown = tables.preview(vendors.plan, vendors.pair)
    assert (
        "1 credit note, USD 100.00 net, to post in QuickBooks. 1 credit to bring to its invoice in QuickBooks." in shown
    )
    assert "1 invoice, USD 120.00 net (+ tax 0.00), to post in QuickBooks." in shown
    assert "apply credit" in shown and "by hand" not in shown
    assert {"done": 3} == (await vendors.apply()).outcome, await said(vendors)
    assert [money("100", "0"), money("120", "120")] == vendors.documents()
    assert [money("100", "0")] == vendors.documents("CreditMemo")
    (payment,) = vendors.rows("Payment")
    linked = [(line["Amount"], line["LinkedTxn"][0]["TxnType"]) for line in payment["Line"]]
    assert (0, [(100, "Invoice"), (100, "CreditMemo")]) == (payment["TotalAmt"], linked)
    assert (Decimal(120), {"1": Decimal(120)}) == await vendors.receivable()
    await vendors.settled()
    await nothing(vendors)


async def test_an_undo_of_a_reissue_takes_none_of_it(vendors: VendorRig) -> None:
    """A credit memo that settled something is taken back by hand, so the new invoice stays too."""
    await reissued(vendors)
    run = await vendors.apply()
    left = await undo(vendors, run.id)
    assert (3, 0) == (len(left), vendors.plan.changes)
    assert any(each.endswith("which is left as it is") for each in left)


async def test_saboteur_without_the_payment_the_old_invoice_stays_open(
    vendors: VendorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The balance of the customer is right all the same, and the preview says what is left to do by hand."""
    monkeypatch.setattr(billed_and_changed, "credits_by", lambda desk: "hand")
    deal, _ = await billed(vendors)
    await vendors.settled()
    vendors.hubspot.edit("deals", deal, amount="120.00")
    await vendors.preview()
    await vendors.settle("reissue")
    await vendors.preview()
    assert "apply it to the invoice by hand" in tables.preview(vendors.plan, vendors.pair)
    await vendors.apply()
    assert [money("100", "100"), money("120", "120")] == vendors.documents()
    assert (Decimal(120), {"1": Decimal(120)}) == await vendors.receivable()


async def test_a_lost_answer_to_that_payment_is_looked_up_and_not_repeated(vendors: VendorRig) -> None:
    """By the marker in its note and reference."""
    await reissued(vendors)
    vendors.quickbooks.faults.add(lose_answer(*CREATES_PAYMENT))
    await vendors.apply()
    assert ({"done": 3}, []) == (await vendors.states(), vendors.quickbooks.faults.unfired)
    assert 1 == len(vendors.rows("Payment"))
    assert [money("100", "0"), money("120", "120")] == vendors.documents()
    await vendors.settled()
    await nothing(vendors)


async def test_a_refused_payment_leaves_what_is_right_and_says_what_to_do(vendors: VendorRig) -> None:
    """The two documents stand and the customer's balance is right; the credit is brought to the invoice by hand, and
    nothing is taken back."""
    await reissued(vendors)
    fault = {"Fault": {"Error": [{"Message": "no", "Detail": "not today", "code": "6000"}], "type": "ValidationFault"}}
    vendors.quickbooks.faults.add(status(400, *CREATES_PAYMENT, body=fault))
    assert {"done": 2, "rejected": 1} == (await vendors.apply()).outcome
    assert [] == vendors.quickbooks.faults.unfired
    assert (Decimal(120), {"1": Decimal(120)}) == await vendors.receivable()
    plan = await vendors.preview()
    assert ({"deal"}, 0) == ({kind for _, kind, *_ in await said(vendors)}, plan.conflicts)
    assert any("not today" in reason for reason in (await vendors.waiting()).values())
    await vendors.apply()
    vendors.quickbooks.apply_credit(vendors.rows("CreditMemo")[0]["Id"], vendors.rows("Invoice")[0]["Id"], "100.00")
    await vendors.settled()
    await nothing(vendors)


async def test_a_sent_invoice_is_credited_by_undo_and_closed(vendors: VendorRig) -> None:
    """What a customer has seen is not voided: a credit memo, brought to it, and nothing is owed."""
    _, run = await billed(vendors)
    vendors.quickbooks.edit("Invoice", "1001", EmailStatus="EmailSent")
    left = await undo(vendors, run)
    assert [("create", "credit_note"), ("create", "payment")] == [each[:2] for each in await said(vendors)], left
    assert {"done": 2} == (await vendors.apply()).outcome, await said(vendors)
    assert ([money("100", "0")], [money("100", "0")]) == (vendors.documents(), vendors.documents("CreditMemo"))
    assert (0, {}) == await vendors.receivable()
    notes = (await vendors.api.plan(vendors.plan.id)).notes
    assert 1 == sum("Credit note posted" in note for note in notes)
    await vendors.settled()
    await nothing(vendors)


async def test_books_that_apply_credits_by_themselves_are_left_to_it(vendors: VendorRig) -> None:
    """With QuickBooks' own setting on, Tieout sends no such payment."""
    desk = await vendors.desk()
    catalogue = msgspec.structs.replace(desk.catalogues["books"], credits_apply_themselves=True)
    asked = msgspec.structs.replace(desk, catalogues={**desk.catalogues, "books": catalogue})
    assert ("payment", "itself") == (billed_and_changed.credits_by(desk), billed_and_changed.credits_by(asked))
