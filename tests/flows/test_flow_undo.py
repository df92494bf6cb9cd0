"""Undo: the reverse of a run is a plan like any other; what moved since is left out and said; and nothing that was
taken back is done again by itself."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import CreditNote, Customer, Invoice, Item, Kind
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import PAID_FIELDS, Rig, deal, line, mapping, payment, told
from worker.engine import undo as engine
from worker.engine.plan import Change
from worker.jobs import runner
from worker.store import conflicts
from worker.store.links import find_links
from worker.store.plans import StoredChange
from worker.usecases import apply_plan, outcomes, settle_doubts, settle_undone

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE


async def undo(rig: Rig, run_id: str) -> list[str]:
    """Preview the reverse of a run; what is left out comes back, with the reason."""
    run = await rig.run("undo", undoes=run_id)
    assert run.state == "done", run.error
    assert run.plan_id is not None
    rig.plan = await rig.api.plan(run.plan_id, limit=None)
    assert rig.plan.left_out == len(rig.plan.left)
    return [f"{each.what}: {each.reason}" for each in rig.plan.left]


async def undone(rig: Rig, run_id: str) -> dict[str, int]:
    """Take a run back, whole."""
    assert [] == await undo(rig, run_id)
    return (await rig.apply()).outcome


async def noted(rig: Rig, was: str | None = "old", now: str = "new") -> tuple[str, str, str]:
    """A note that a run took from the CRM to the books: (crm ref, books ref, run)."""
    crm, books = await rig.linked("Acme", notes=was)
    rig.crm.edit(C, crm, notes=now)
    return crm, books, (await rig.done()).id


async def billed(rig: Rig, name: str = "Nordwind", **more: Any) -> tuple[str, str]:
    """A new customer with a won deal, billed in one run: (the deal, the run)."""
    ref = rig.crm.add(deal(rig.crm.add(told(name)), name="Q4 pumps", **more))
    run = await rig.done()
    assert {"done": 2} == run.outcome
    return ref, run.id


async def planned(rig: Rig) -> list[tuple[str, str, str]]:
    return [(c.operation, c.kind, c.title) for c in await rig.changes()]


def notes(rig: Rig, crm: str, books: str) -> tuple[Any, Any]:
    return rig.see(rig.crm, crm).notes, rig.see(rig.books, books).notes


# --------------------------------------------------------------------------- fields


async def test_a_field_is_put_back_and_the_next_sync_does_not_redo_it(rig: Rig) -> None:
    """The two agree to differ until somebody edits; then that edit travels."""
    crm, books, run = await noted(rig)
    assert {"done": 1} == await undone(rig, run)
    assert ("new", "old") == notes(rig, crm, books)
    counted = rig.writes()
    await rig.preview()
    assert (0, 0, counted) == (rig.plan.changes, rig.plan.conflicts, rig.writes())
    rig.crm.edit(C, crm, notes="newer")
    await rig.settled()
    assert "newer" == rig.see(rig.books, books).notes


async def test_saboteur_an_undo_that_leaves_the_base_is_done_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the base the old value in the books looks like an edit, and travels."""
    _, _, run = await noted(rig)
    await undo(rig, run)
    monkeypatch.setattr(outcomes, "_bases", lambda answer, link_id: [])
    await rig.apply()
    await rig.preview()
    assert 0 < rig.plan.changes


async def test_a_filled_field_is_emptied_again(rig: Rig) -> None:
    """It was empty before, and stays empty."""
    crm, books, run = await noted(rig, was=None)
    assert {"done": 1} == await undone(rig, run)
    await rig.preview()
    assert (0, ("new", None)) == (rig.plan.changes, notes(rig, crm, books))


async def test_what_somebody_changed_since_is_left_and_said(rig: Rig) -> None:
    """Ann changed the phone in the books: it stays hers. The note, which nobody touched, is put back."""
    crm, books = await rig.linked("Acme", notes="old", phone="+1 212 555 0100")
    rig.crm.edit(C, crm, notes="new", phone="+1 212 555 0101")
    run = await rig.done()
    rig.books.edit(C, books, phone="+1 212 555 0999")
    assert ["phone: changed in Memory (books) since"] == await undo(rig, run.id)
    assert {"done": 1} == (await rig.apply()).outcome
    seen = rig.see(rig.books, books)
    assert ("old", "+1 212 555 0999") == (seen.notes, seen.phone)


async def test_saboteur_an_undo_that_does_not_look_writes_over_ann(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at what is there, her phone is lost."""
    crm, books = await rig.linked("Acme", phone="+1 212 555 0100")
    rig.crm.edit(C, crm, phone="+1 212 555 0101")
    run = await rig.done()
    rig.books.edit(C, books, phone="+1 212 555 0999")
    monkeypatch.setattr(engine._Taking, "_field_stays", lambda *_: None)
    assert {"done": 1} == await undone(rig, run.id)
    assert "+1 212 555 0100" == rig.see(rig.books, books).phone


async def test_what_moves_between_preview_and_apply_is_left(rig: Rig) -> None:
    """As with any plan, each change looks again."""
    _, books, run = await noted(rig)
    await undo(rig, run)
    rig.books.edit(C, books, notes="typed by Ann")
    assert {"stale": 1} == (await rig.apply()).outcome
    (change,) = await rig.changes()
    assert "notes changed meanwhile: left as it is" == change.reason
    assert "typed by Ann" == rig.see(rig.books, books).notes


async def test_an_edit_at_the_source_travels_instead(rig: Rig) -> None:
    """Put back and agreed to differ, the newer edit would never arrive."""
    crm, books, run = await noted(rig)
    rig.crm.edit(C, crm, notes="newer")
    assert ["notes: changed in Memory (CRM) since; the next preview brings that"] == await undo(rig, run)
    await rig.settled()
    assert ("newer", "newer") == notes(rig, crm, books)


async def test_what_a_later_run_wrote_again_is_left_with_its_name(rig: Rig) -> None:
    """Even if the value happens to be the same again. The later run first, then the earlier: both are taken back."""
    crm, books, first = await noted(rig)
    rig.crm.edit(C, crm, notes="newer")
    second = (await rig.done()).id
    rig.books.edit(C, books, notes="new")
    assert [f"notes: written again by run {second}"] == await undo(rig, first)
    rig.books.edit(C, books, notes="newer")
    assert {"done": 1} == await undone(rig, second)
    assert "new" == rig.see(rig.books, books).notes
    rig.crm.edit(C, crm, notes="new")
    await rig.settled()
    assert {"done": 1} == await undone(rig, first)
    assert "old" == rig.see(rig.books, books).notes


async def test_an_undo_is_undone_like_any_run(rig: Rig) -> None:
    """And the run that it took back cannot be taken back twice."""
    crm, books, run = await noted(rig)
    await undo(rig, run)
    took_back = (await rig.apply()).id
    assert [f"notes: undone already by run {took_back}"] == await undo(rig, run)
    assert {"done": 1} == await undone(rig, took_back)
    assert ("new", "new") == notes(rig, crm, books)
    await rig.preview()
    assert 0 == rig.plan.changes
    assert {"done": 1} == await undone(rig, run)
    assert ("new", "old") == notes(rig, crm, books)


async def test_a_value_of_one_s_own_is_taken_back_on_both_sides(rig: Rig) -> None:
    """Each side gets back what it had; that they differ is agreed on."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="crm's")
    rig.books.edit(C, books, notes="books'")
    await rig.preview()
    await rig.settle("value", value="settled")
    run = await rig.done()
    assert ("settled", "settled") == notes(rig, crm, books)
    assert {"done": 2} == await undone(rig, run.id)
    await rig.preview()
    assert (("crm's", "books'"), 0, 0) == (notes(rig, crm, books), rig.plan.changes, rig.plan.conflicts)


async def test_what_the_books_said_of_a_deal_is_taken_back(rig: Rig) -> None:
    """The marks of a payment go; a later payment marks the deal again."""
    won, _ = await billed(rig)
    run = await rig.done()
    assert {"done": 1} == await undone(rig, run.id)
    marks = rig.see(rig.crm, won, D).properties
    await rig.preview()
    assert ([None] * 4, 0) == ([marks[name] for name in PAID_FIELDS], rig.plan.changes)
    made = rig.one_invoice()
    rig.books.add(payment(str(made.customer), made.ref, "100.00"))
    await rig.settled()
    assert "paid" == rig.see(rig.crm, won, D).properties["invoice_status"]


# --------------------------------------------------------------------------- what was made


async def test_an_invoice_is_voided_and_its_customer_made_inactive_and_neither_is_made_again(rig: Rig) -> None:
    """Documents before customers; the number stays used."""
    deal_ref, run = await billed(rig)
    number = rig.one_invoice().number
    assert [] == await undo(rig, run)
    assert [("void", "invoice", number), ("archive", "customer", "Nordwind")] == await planned(rig)
    assert {"done": 2} == (await rig.apply()).outcome
    assert ("void", []) == (rig.one_invoice().state, rig.books.all(C))
    assert (
        f"Invoice {number} voided; its number stays used.",
        "1 record made inactive, not deleted.",
        "None of this is made again by itself.",
    ) == (await rig.api.plan(rig.plan.id)).notes
    await rig.settled()  # the deal hears that nothing is invoiced any more
    rig.crm.edit(C, rig.crm.all(C)[0].ref, phone="+1 212 555 0199")
    rig.crm.edit(D, deal_ref, memo="bill it, please")
    await rig.settled()
    assert (1, [], {}) == (len(rig.invoices()), rig.books.all(C), await rig.waiting())


async def test_saboteur_an_undo_that_settles_nothing_is_done_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rows that it leaves on the sources the customer is simply new, and made again."""
    await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "never"}}))
    crm = rig.crm.add(told("Nordwind"))
    run = (await rig.done()).id
    await undo(rig, run)

    async def only_unlinked(tx: Any, desk: Any, done: Any, actor: str) -> None:
        monkeypatch.setattr(conflicts, "decide_all", nothing)
        await settle_undone.settle_undone(tx, desk, done, actor)

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(outcomes, "settle_undone", only_unlinked)
    await rig.apply()
    assert [] == rig.books.all(C)
    monkeypatch.undo()
    rig.crm.edit(C, crm, phone="+1 212 555 0199")
    await rig.settled()
    assert ["Nordwind"] == rig.names(rig.books)


async def test_a_customer_that_was_taken_back_is_not_made_again(rig: Rig) -> None:
    """The same with the rows: the edit changes nothing in the books."""
    await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "never"}}))
    crm = rig.crm.add(told("Nordwind"))
    await undone(rig, (await rig.done()).id)
    rig.crm.edit(C, crm, phone="+1 212 555 0199")
    await rig.settled()
    assert [] == rig.books.all(C)


async def test_a_new_deal_of_a_customer_that_was_taken_back_asks_a_person(rig: Rig) -> None:
    """Nothing is made by itself; *Create* lifts what the undo left, for the customer and not for the old deal."""
    _, run = await billed(rig)
    await undone(rig, run)
    await rig.settled()
    rig.crm.add(deal(rig.crm.all(C)[0].ref, "70.00", name="Q1 pumps"))
    await rig.preview()
    assert (0, "its counterpart was taken back by an undo") == (rig.plan.changes, (await rig.question()).reason)
    await rig.settle("create")
    await rig.settled()
    found = sorted((str(i.state), str(i.net)) for i in rig.invoices())
    assert [("posted", "70.00"), ("void", "100.00")] == found


async def test_a_customer_that_somebody_worked_with_is_left(rig: Rig) -> None:
    """Edited, or with an invoice typed by hand: it stays, and so does its link."""
    _, run = await billed(rig)
    made = rig.books.all(C)[0].ref
    rig.books.edit(C, made, notes="a good customer")
    assert ["customer made: notes changed in Memory (books) since"] == await undo(rig, run)
    rig.books.edit(C, made, notes=None)
    rig.books.add(Invoice(customer=made, number="1002", date=date(2026, 11, 9), lines=rig.one_invoice().lines))
    assert ["customer made: invoice 1002 hangs on it"] == await undo(rig, run)
    assert {"done": 1} == (await rig.apply()).outcome
    assert (1, ["posted", "void"]) == (len(rig.books.all(C)), sorted(str(i.state) for i in rig.invoices()))


async def adopted(rig: Rig) -> str:
    """A customer that was found after a lost answer; the run."""
    await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "never"}}))
    rig.crm.add(told("Acme"))
    await rig.preview()
    rig.books.script.add(Fault(what="lose", kind=C))
    return (await rig.apply()).id


async def test_what_was_adopted_is_unlinked_and_never_made_inactive(rig: Rig) -> None:
    """It may be somebody's own. It is not linked again by itself either, whichever side moves."""
    run = await adopted(rig)
    assert [] == await undo(rig, run)
    assert [("unlink", "customer", "Acme")] == await planned(rig)
    assert {"done": 1} == (await rig.apply()).outcome
    rig.crm.edit(C, rig.crm.all(C)[0].ref, notes="edited")
    rig.books.edit(C, rig.books.all(C)[0].ref, phone="+1 212 555 0199")
    await rig.settled()
    assert (["Acme"], ["Acme"]) == (rig.names(rig.crm), rig.names(rig.books))
    assert "edited" != rig.see(rig.books, rig.books.all(C)[0].ref).notes


async def test_saboteur_an_undo_blind_to_provenance_makes_it_inactive(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for one that Tieout made, it is gone from the books."""
    run = await adopted(rig)
    real = engine._Taking._unmake

    def blind(self: Any, written: Any, now: Any, target: Any) -> None:

        real(
            self,
            msgspec.structs.replace(written, provenance="created"),
            msgspec.structs.replace(now, linked=None),
            target,
        )

    monkeypatch.setattr(engine._Taking, "_unmake", blind)
    await undone(rig, run)
    assert [] == rig.books.all(C)


async def test_an_item_goes_after_the_invoice_that_named_it(rig: Rig) -> None:
    """The reverse of how they were made."""
    pump = rig.crm.add(Item(name="Pump", item_kind="service"))
    rig.crm.add(deal(rig.crm.add(told("Nordwind")), lines=(line(pump, "100.00"),)))
    run = await rig.done()
    assert {"done": 3} == run.outcome
    assert [] == await undo(rig, run.id)
    assert ["void", "archive", "archive"] == [operation for operation, *_ in await planned(rig)]
    assert {"done": 3} == (await rig.apply()).outcome
    assert ([], []) == (rig.books.all(Kind.ITEM), rig.books.all(C))


# --------------------------------------------------------------------------- documents


async def test_a_draft_is_deleted(rig: Rig) -> None:
    """Nobody has seen it; its deal is not billed again."""
    await rig.pair_up(mapping(invoices={"as": "draft"}))
    _, run = await billed(rig)
    assert [] == await undo(rig, run)
    assert "delete" == (await planned(rig))[0][0]
    await rig.apply()
    await rig.settled()
    assert [] == rig.invoices()


async def test_a_payment_is_never_taken_off(rig: Rig) -> None:
    """It is named, and the invoice stays, and its customer with it."""
    _, run = await billed(rig)
    made = rig.one_invoice()
    rig.books.add(payment(str(made.customer), made.ref, "40.00", date(2026, 11, 20)))
    invoice, customer = await undo(rig, run)
    why = (
        "payment of USD 40.00 on 2026-11-20 is applied to it, and not by Tieout: take that off in Memory (books) first"
    )
    assert (f"invoice: {why}", 0) == (invoice, rig.plan.changes)
    assert "customer made: invoice 1001 and 1 more hang on it" == customer


async def test_a_payment_between_preview_and_apply_keeps_the_invoice(rig: Rig) -> None:
    """The void looks again, and what needs it waits."""
    _, run = await billed(rig)
    await undo(rig, run)
    made = rig.one_invoice()
    rig.books.add(payment(str(made.customer), made.ref, "40.00"))
    assert {"stale": 1, "held": 1} == (await rig.apply()).outcome
    assert ("posted", 1) == (rig.one_invoice().state, len(rig.books.all(C)))


async def test_an_invoice_that_was_sent_is_credited(rig: Rig) -> None:
    """With a credit note for all of it, dated today; the invoice stands, and the deal is not billed again."""
    _, run = await billed(rig)
    rig.books.edit(C, rig.books.all(C)[0].ref, notes=None)
    made = rig.one_invoice()

    rig.books.replace(msgspec.structs.replace(made, emailed=True))
    left = await undo(rig, run)
    assert ["customer made: invoice 1001 hangs on it"] == left
    assert [("create", "credit_note", "for invoice 1001")] == await planned(rig)
    assert {"done": 1} == (await rig.apply()).outcome
    (note,) = rig.books.all(Kind.CREDIT_NOTE)
    assert isinstance(note, CreditNote)
    assert (Decimal("100.00"), date(2026, 11, 10), (made.ref,)) == (note.total, note.date, note.corrects)
    assert (Decimal(0), "posted") == (rig.one_invoice().balance, rig.one_invoice().state)
    await rig.settled()
    assert 1 == len(rig.invoices())
    deal_now = rig.crm.all(D)[0]
    assert ("settled", "0.00") == (deal_now.properties["invoice_status"], deal_now.properties["balance_due"])


async def test_an_invoice_in_a_closed_period_is_credited_in_the_open_one(rig: Rig) -> None:
    """Never dated into what is closed."""
    _, run = await billed(rig)
    await rig.pair_up(mapping(head={"period": {"lock": "pair", "locked_until": date(2026, 11, 15)}}))
    await undo(rig, run)
    (change,) = await rig.changes()
    assert "invoice 1001 is in a period closed until 2026-11-15: credited, dated 2026-11-16" == change.why


async def test_a_void_cannot_be_undone(rig: Rig) -> None:
    """Doing it again is a new document with a new number."""
    _, run = await billed(rig)
    await undo(rig, run)
    took_back = (await rig.apply()).id
    left = await undo(rig, took_back)
    assert (
        0,
        [
            "made inactive: what was made inactive is made active again by hand",
            "voided: a void cannot be undone: doing it again is a new document with a new number",
        ],
    ) == (rig.plan.changes, sorted(left))


async def test_an_invoice_is_voided_although_its_deal_is_gone(rig: Rig) -> None:
    """That is a good reason for taking it back."""
    ref, run = await billed(rig)
    rig.crm.delete(D, ref)
    assert {"done": 2} == await undone(rig, run)
    assert "void" == rig.one_invoice().state


# --------------------------------------------------------------------------- a plan like any other


async def test_a_newer_preview_replaces_it_and_its_approval_says_so(rig: Rig) -> None:
    """One open plan a pair."""
    _, books, run = await noted(rig)
    await undo(rig, run)
    taking_back = rig.plan
    await rig.preview()
    assert "superseded" == (await rig.api.plan(taking_back.id)).state
    with pytest.raises(Exception, match="replaced by a newer preview"):
        await rig.api.apply(taking_back.id, taking_back.fingerprint, "tests")
    assert "new" == rig.see(rig.books, books).notes


async def test_many_removals_are_held_by_the_guard(rig: Rig) -> None:
    """As with any plan: more than five a day wait for a person."""
    for number in range(6):
        rig.crm.add(deal(rig.crm.add(told(f"Nordwind {number}{number} Ltd")), name=f"deal {number}"))
    run = await rig.done()
    assert {"done": 12} == run.outcome
    await undo(rig, run.id)
    assert (0, 12) == (rig.plan.changes, rig.plan.held)
    assert {"done": 12} == (await rig.apply(confirm_held=True)).outcome


async def test_a_run_that_is_none_or_wrote_nothing_is_said(rig: Rig) -> None:
    """In words, and nothing is planned."""
    run = await rig.run("undo", undoes="run_none")
    assert ("failed", "there is no run run_none: tieout history lists them") == (run.state, run.error)
    idle = await rig.run("preview")
    drawn = await rig.run("undo", undoes=idle.id)
    assert f"run {idle.id} wrote nothing" == drawn.result["refused"]


async def test_it_is_on_record_like_any_plan(rig: Rig) -> None:
    """Each write with who approved it, and the trail holds."""
    _, _, run = await noted(rig)
    await undone(rig, run)
    (chain,) = await rig.api.verify_audit()
    assert None is chain.broken_at


# --------------------------------------------------------------------------- answers get lost


@pytest.mark.parametrize("what", ["lose", "doubt", "late"])
@pytest.mark.parametrize("operation", ["void", "archive"])
async def test_a_lost_answer_to_a_void_or_archive_settles(rig: Rig, operation: Any, what: Any) -> None:
    """Whether it arrived, never did, or lands later: in the end it is done, once, and nothing is made again."""
    _, run = await billed(rig)
    await undo(rig, run)
    rig.books.script.add(Fault(what=what, operation=operation))
    assert {"done": 2} == (await rig.apply()).outcome
    await rig.settled()
    assert (["void"], []) == ([i.state for i in rig.invoices()], rig.books.all(C))


@pytest.mark.parametrize("what", ["lose", "doubt", "late"])
async def test_a_lost_answer_to_a_deletion_settles(rig: Rig, what: Any) -> None:
    await rig.pair_up(mapping(invoices={"as": "draft"}))
    _, run = await billed(rig)
    await undo(rig, run)
    rig.books.script.add(Fault(what=what, operation="delete"))
    assert {"done": 2} == (await rig.apply()).outcome
    await rig.settled()
    assert ([], []) == (rig.invoices(), rig.books.all(C))


async def test_a_worker_that_dies_over_an_unlinking_leaves_it_to_the_next(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No vendor is asked what became of it: it is done."""
    run = await adopted(rig)
    await undo(rig, run)

    def dies(ready: Any) -> Any:
        raise asyncio.CancelledError

    monkeypatch.setattr(apply_plan, "_unheard", dies)
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    with pytest.raises(asyncio.CancelledError):
        await runner.advance(rig.office, run_id, "first")
    assert {"unknown": 1} == await rig.states()
    rig.pass_time(20)
    assert {"done": 1} == (await rig.advance(run_id)).outcome
    desk = await rig.desk()
    async with desk.db.read() as tx:
        assert {} == await find_links(tx, rig.pair.id, [("crm", C, rig.crm.all(C)[0].ref)])


def test_a_doubtful_archive_of_a_record_that_is_still_shown_is_done_once_it_is_inactive() -> None:
    """As QuickBooks shows it: an inactive customer is read by id as ever."""
    change = Change(
        id="a", flow="customers", side="books", kind=C, operation="archive", source_kind=C, source_ref="1", title="",
        why="", ref="2",
    )  # fmt: skip
    stored = StoredChange(change=change, plan_id="p", seq=0, state="unknown", attempt=1)
    shown = [Customer(ref="2", active=active) for active in (False, True)]
    assert ["done", "planned"] == [settle_doubts._compare(stored, record) for record in shown]


@pytest.mark.parametrize("marker", ["searchable", "none"])
async def test_a_lost_credit_note_is_adopted_and_not_made_twice(opened: Open, marker: Any) -> None:
    """By marker, or among what was made since."""

    async with opened(books=Knobs(marker=marker)) as rig:
        await rig.pair_up(mapping())
        _, run = await billed(rig)
        rig.books.replace(msgspec.structs.replace(rig.one_invoice(), emailed=True))
        await undo(rig, run)
        rig.books.script.add(Fault(what="lose", kind=Kind.CREDIT_NOTE))
        assert {"done": 1} == (await rig.apply()).outcome
        await rig.settled()
        assert 1 == len(rig.books.all(Kind.CREDIT_NOTE))
