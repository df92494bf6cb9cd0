"""Credit and re-issue: a posted document whose deal changed is credited and another takes its place, both or neither,
whatever is refused, moves or dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import CreditNote, Kind
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, mapping, payment, told, usd
from tests.flows.test_flow_undo import planned, undo
from worker import crash
from worker.api import Problem
from worker.jobs import runner
from worker.store import billing
from worker.usecases import approve_plan

C, D, I, N = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE, Kind.CREDIT_NOTE
STAMPED = [("create", "invoice"), ("create", "credit_note")]


class Died(BaseException):
    """The worker is gone: nothing of it runs any more."""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No trap stays behind."""
    yield
    crash.arm(None)


def die_at(name: str, nth: int = 1) -> None:
    """The process is gone at the n-th visit of a point."""
    seen: list[str] = []

    def trap(point: str) -> None:
        seen.append(point)
        if seen.count(name) == nth and point == name:
            crash.arm(None)
            raise Died

    crash.arm(trap)


async def changed(rig: Rig, amount: str = "120.00") -> str:
    """A deal of 100.00 that was billed, and says something else now; its question is asked."""
    ref = rig.crm.add(deal(rig.crm.add(told("Nordwind")), name="Q4 pumps"))
    await rig.settled()
    rig.crm.edit(D, ref, amount=usd(amount))
    await rig.preview()
    return ref


async def decided(rig: Rig, amount: str = "120.00") -> str:
    """As `changed`, answered, and planned."""
    ref = await changed(rig, amount)
    await rig.settle("reissue")
    await rig.preview()
    assert 2 == rig.plan.changes
    return ref


def documents(rig: Rig) -> list[tuple[str, str, str]]:
    """Invoices as (net, balance, state), in the order in which they were made."""
    return [(str(i.net), str(i.balance), str(i.state)) for i in sorted(rig.invoices(), key=lambda i: str(i.number))]


def notes(rig: Rig) -> list[CreditNote]:
    return [n for n in rig.books.all(N) if isinstance(n, CreditNote)]


async def position(rig: Rig, ref: str) -> tuple[str, int, str, list[tuple[int, str]]]:
    """The deal's only position: net, generation, state, and its documents as (generation, state)."""
    async with rig.db.read() as tx:
        (row,) = (await billing.positions_of(tx, rig.pair.id, [ref]))[ref]
        held = (await billing.documents_of(tx, [row.id])).get(row.id, [])
    found = sorted((d.generation, str(d.state)) for d in held)
    return f"{row.net:.2f}", row.generation, row.state, found


AS_BEFORE = [("100.00", "100.00", "posted")]
DONE = [("100.00", "0.00", "posted"), ("120.00", "120.00", "posted")]


async def is_done(rig: Rig, ref: str, generation: int = 1) -> None:
    """Credited and re-issued once, and nothing more to do."""
    await rig.settled()
    live = [d for d in documents(rig) if d[2] == "posted"]
    stands = await position(rig, ref)
    assert (DONE, 1, []) == (live, len(notes(rig)), await rig.conflicts())
    assert ("120.00", generation, "billed") == stands[:3]
    assert [(generation, "live")] == [d for d in stands[3] if d[1] == "live"]
    assert (0, "credited") in stands[3]
    counted = rig.writes()
    await rig.preview()
    assert (0, counted) == (rig.plan.changes, rig.writes())


# --------------------------------------------------------------------------- the way through


async def test_a_changed_deal_is_credited_and_reissued(rig: Rig) -> None:
    """Asked, answered, previewed, applied; nothing is written before *Apply*."""
    ref = await changed(rig)
    asked = await rig.question()
    old = rig.one_invoice()
    assert f"invoice {old.number} says USD 100.00, the deal now USD 120.00" == asked.reason
    assert ("reissue", "leave") == asked.choices
    counted = rig.writes()
    await rig.settle("reissue")
    await rig.preview()
    assert (STAMPED, counted) == ([(o, k) for o, k, _ in await planned(rig)], rig.writes())
    new, note = await rig.changes()
    assert f"Q4 pumps: instead of invoice {old.number}" == new.title
    assert f"Q4 pumps: credit for invoice {old.number}" == note.title
    assert "the deal now says USD 120.00; dated 2026-11-10" == note.why
    assert {"done": 2} == (await rig.apply()).outcome
    (made,) = notes(rig)
    assert (Decimal("100.00"), (old.ref,)) == (made.total, made.corrects)
    await is_done(rig, ref)
    said = rig.see(rig.crm, ref, D).properties
    assert ("open", "120.00") == (said["invoice_status"], str(said["balance_due"]))


async def test_it_can_change_again(rig: Rig) -> None:
    """The new document is one like any other; an answer is to one question only."""
    ref = await decided(rig)
    await rig.apply()
    rig.crm.edit(D, ref, amount=usd("130.00"))
    await rig.preview()
    assert "the deal now USD 130.00" in (await rig.question()).reason
    await rig.settle("reissue")
    await rig.done()
    await rig.settled()
    assert ("130.00", 2, "billed", [(0, "credited"), (1, "credited"), (2, "live")]) == await position(rig, ref)


async def test_an_answer_to_what_changed_since_is_void(rig: Rig) -> None:
    """It was to 120.00; 130.00 is asked about anew, and 120.00 too should it come back."""
    ref = await decided(rig)
    rig.crm.edit(D, ref, amount=usd("130.00"))
    await rig.preview()
    assert (0, "the deal now USD 130.00") == (rig.plan.changes, (await rig.question()).reason.partition(", ")[2])
    rig.crm.edit(D, ref, amount=usd("120.00"))
    await rig.preview()
    assert (0, "the deal now USD 120.00") == (rig.plan.changes, (await rig.question()).reason.partition(", ")[2])


async def test_by_rule_it_is_planned_without_a_question(rig: Rig) -> None:
    """Where the mapping says credit_and_reissue; a person applies it all the same."""
    await rig.pair_up(mapping(invoices={"changed_after_posting": "credit_and_reissue", "apply": "auto"}))
    ref = await changed(rig)
    run = await rig.run("sync")
    assert ({}, AS_BEFORE) == (run.outcome, documents(rig))
    await rig.preview()
    assert (2, 0) == (rig.plan.changes, rig.plan.conflicts)
    await rig.apply()
    await is_done(rig, ref)


@pytest.mark.parametrize("how", ["lost", "gone"])
async def test_a_reversed_deal_is_credited_alone(rig: Rig, how: str) -> None:
    """Its position is settled: nothing is billed again."""
    ref = await changed(rig, "100.00")
    rig.crm.delete(D, ref) if how == "gone" else rig.crm.edit(D, ref, status="lost")
    await rig.preview()
    assert ("credit", "leave") == (await rig.question()).choices
    await rig.settle("credit")
    await rig.preview()
    assert [("create", "credit_note")] == [(o, k) for o, k, _ in await planned(rig)]
    assert {"done": 1} == (await rig.apply()).outcome
    await rig.settled()
    assert ([("100.00", "0.00", "posted")], 1) == (documents(rig), len(notes(rig)))
    assert ("100.00", 0, "settled", [(0, "credited")]) == await position(rig, ref)
    assert [] == await rig.conflicts()


async def test_what_is_partly_paid_is_only_left(rig: Rig) -> None:
    """An allocation that Tieout did not make is never taken off. Paid after the answer, it waits and says so."""
    ref = await decided(rig)
    made = rig.one_invoice()
    paid = rig.books.add(payment(str(made.customer), made.ref, "40.00", on=date(2026, 11, 10)))
    await rig.preview()
    why = f"It is to be credited, and cannot be yet: part of invoice {made.number} is settled: take that off first."
    assert why == (await rig.waiting())["crm", "deal", ref]
    rig.crm.edit(D, ref, amount=usd("125.00"))
    await rig.preview()
    assert ("leave",) == (await rig.question()).choices
    rig.books.delete(Kind.PAYMENT, paid)
    rig.crm.edit(D, ref, memo="paid by mistake")
    await rig.preview()
    assert ("reissue", "leave") == (await rig.question()).choices


async def test_the_month_ties_after_it(rig: Rig) -> None:
    """Won and invoiced agree; the credited document is a difference that is closed."""
    await decided(rig)
    await rig.apply()
    await rig.settled()
    run = await rig.run("reconcile", month="2026-11")
    report = await rig.api.report(str(run.result["report_id"]))
    assert (True, 0) == (report.ties, report.open_items)


async def test_the_month_ties_where_no_credit_note_names_its_invoice(rig: Rig) -> None:
    """As in QuickBooks: that it was credited is known from who did it."""
    await decided(rig)
    await rig.apply()
    await rig.settled()
    (note,) = notes(rig)
    rig.books.replace(msgspec.structs.replace(note, corrects=(), allocations=()))
    run = await rig.run("reconcile", month="2026-11")
    report = await rig.api.report(str(run.result["report_id"]))
    assert "duplicate" not in report.tables


# --------------------------------------------------------------------------- never half


async def test_a_refused_credit_note_takes_the_new_invoice_back(rig: Rig) -> None:
    """The position is as it was, the question is asked again; answered again it goes through."""
    ref = await decided(rig)
    rig.books.script.add(Fault(what="refuse", kind=N))
    assert {"done": 1, "rejected": 1} == (await rig.apply()).outcome
    assert (
        "Invoice 1002 voided; its number stays used.",
        "What belongs together was not done whole: what was made of it is taken back.",
    ) == (await rig.api.plan(rig.plan.id)).notes
    assert ["posted", "void"] == [state for *_, state in documents(rig)]
    assert ("100.00", 0, "billed", [(0, "live"), (1, "void")]) == await position(rig, ref)
    await rig.preview()
    assert (0, "document") == (rig.plan.changes, (await rig.question()).what)
    await rig.preview()
    assert (0, 1) == (rig.plan.changes, len(await rig.conflicts()))
    await rig.settle("reissue")
    await rig.done()
    await is_done(rig, ref, generation=2)


async def test_saboteur_without_compensation_two_documents_stand(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes the new one back."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(runner, "close_groups", nothing)
    await decided(rig)
    rig.books.script.add(Fault(what="refuse", kind=N))
    await rig.apply(patience=1)
    assert ["posted", "posted"] == [state for *_, state in documents(rig)]


async def test_a_refused_new_invoice_leaves_all_as_it_was(rig: Rig) -> None:
    """Nothing was made, nothing is credited, a person is asked again."""
    ref = await decided(rig)
    rig.books.script.add(Fault(what="refuse", kind=I))
    assert {"rejected": 1, "held": 1} == (await rig.apply()).outcome
    assert (AS_BEFORE, []) == (documents(rig), notes(rig))
    await rig.preview()
    assert (0, "document") == (rig.plan.changes, (await rig.question()).what)
    await rig.settle("reissue")
    await rig.done()
    await is_done(rig, ref)


async def test_what_cannot_be_taken_back_is_asked_about_until_somebody_closes_it(rig: Rig) -> None:
    """Half done is shown and counted; previews do not forget it; *leave* ends it."""
    await decided(rig)
    rig.books.script.add(Fault(what="refuse", kind=N), Fault(what="refuse", operation="void"))
    await rig.apply()
    assert ["posted", "posted"] == [state for *_, state in documents(rig)]
    for _ in range(2):
        await rig.preview()
        half = next(q for q in await rig.conflicts() if q.what == "half")
        assert rig.plan.conflicts == len(await rig.conflicts())
    assert "the invoice was made, and what belongs to it was not (refused by the script)" == half.reason
    assert (("leave",), 2) == (half.choices, len(half.candidates))
    (other,) = (q for q in await rig.conflicts() if q.what == "document")
    assert ("leave",) == other.choices  # two documents stand: a third would not mend that
    await rig.settle("leave", half.number)
    await rig.preview()
    assert ["document"] == [q.what for q in await rig.conflicts()]


@pytest.mark.parametrize(("kind", "what"), [(I, "lose"), (N, "lose"), (N, "doubt"), (N, "late")])
async def test_a_lost_answer_settles(rig: Rig, kind: Kind, what: Any) -> None:
    """Looked up before anything is sent again: one of each in the end."""
    ref = await decided(rig)
    rig.books.script.add(Fault(what=what, kind=kind))
    assert {"done": 2} == (await rig.apply()).outcome
    await is_done(rig, ref)


@pytest.mark.parametrize(("point", "nth"), [("batch.done", 1), ("call.answered", 2)])
async def test_a_worker_that_dies_between_the_two_is_followed_by_another(opened: Open, point: str, nth: int) -> None:
    """The end is as if nobody had died."""
    async with opened() as rig:
        await rig.pair_up(mapping())
        ref = await decided(rig)
        run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
        die_at(point, nth)
        with pytest.raises(Died):
            await runner.advance(rig.office, run_id, "first")
        async with opened(shared=rig) as other:
            other.pass_time(16)
            assert {"done": 2} == (await other.advance(run_id)).outcome
            await is_done(other, ref)


@pytest.mark.parametrize(
    ("point", "nth"), [("close.committed", 1), ("groups.committed", 1), ("call.answered", 3), ("groups.closing", 1)]
)
async def test_a_worker_that_dies_over_a_half_is_followed_by_another(opened: Open, point: str, nth: int) -> None:
    """Between failure and compensation, and in the middle of it: the new invoice is void, once, and a person is asked
    once."""
    async with opened() as rig:
        await rig.pair_up(mapping())
        ref = await decided(rig)
        rig.books.script.add(Fault(what="refuse", kind=N))
        run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
        die_at(point, nth)
        with pytest.raises(Died):
            await runner.advance(rig.office, run_id, "first")
        async with opened(shared=rig) as other:
            other.pass_time(16)
            await other.advance(run_id)
            assert ["posted", "void"] == [state for *_, state in documents(other)]
            assert ("100.00", 0, "billed", [(0, "live"), (1, "void")]) == await position(other, ref)
            await other.preview()
            assert (0, ["document"]) == (other.plan.changes, [q.what for q in await other.conflicts()])


async def test_a_half_that_a_failed_run_left_is_closed_by_the_next(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ended with an error in between: the next preview takes back what it made, before it plans."""
    ref = await decided(rig)
    real = rig.office.registry["memory"].write

    async def broken(self: Any, writes: Any, call: str) -> Any:
        if writes[0].kind is N if hasattr(writes[0], "kind") else isinstance(writes[0].record, CreditNote):
            raise ZeroDivisionError("nobody foresaw this")
        return await real(self, writes, call)

    monkeypatch.setattr(rig.office.registry["memory"], "write", broken)
    assert "failed" == (await rig.apply()).state
    monkeypatch.undo()
    rig.pass_time(300)
    await rig.preview()
    assert ["posted", "void"] == [state for *_, state in documents(rig)]
    assert ("100.00", "billed") == (await position(rig, ref))[::2]


async def test_a_credit_note_in_doubt_is_not_made_twice(opened: Open) -> None:
    """Its answer was lost, and somebody made another one like it: which is ours nobody can tell. The new invoice is
    taken back, and nothing is credited again by itself."""
    async with opened(books=Knobs(marker="none")) as rig:
        await rig.pair_up(mapping())
        await decided(rig)
        old = rig.one_invoice()
        rig.books.script.add(Fault(what="lose", kind=N))

        def types(world: Any, call: Any) -> None:
            if call.point == "created_since":
                world.hooks.clear()
                said = notes(rig)[0].internal_note
                world.add(
                    CreditNote(customer=old.customer, date=date(2026, 11, 10), lines=old.lines, internal_note=said)
                )

        rig.books.hooks.append(types)
        assert {"done": 1, "held": 1} == (await rig.apply()).outcome
        assert ["posted", "void"] == [state for *_, state in documents(rig)]
        for _ in range(2):
            await rig.preview()
            assert {c.kind for c in await rig.changes()} <= {"deal"}  # what is credited is told to the deal
            assert (("leave",), 2) == ((await rig.question()).choices, len(notes(rig)))


async def test_the_old_invoice_moved_and_none_is_sent(rig: Rig) -> None:
    """Somebody paid a part of it after the preview: neither goes, though only one of them is about it."""
    await decided(rig)
    made = rig.one_invoice()
    rig.books.add(payment(str(made.customer), made.ref, "40.00", on=date(2026, 11, 10)))
    counted = len(rig.invoices())
    assert {"stale": 2} == (await rig.apply()).outcome
    assert (counted, []) == (len(rig.invoices()), notes(rig))


async def test_the_old_invoice_moves_in_between(rig: Rig) -> None:
    """The new one was made by then: it is taken back."""
    ref = await decided(rig)
    made = rig.one_invoice()

    def pays(world: Any, call: Any) -> None:
        if (call.point == "mark" and call.kind is N) or (
            call.point == "get" and call.kind is I and len(rig.invoices()) > 1
        ):
            world.hooks.clear()
            world.add(payment(str(made.customer), made.ref, "40.00", on=date(2026, 11, 10)))

    rig.books.hooks.append(pays)
    assert {"done": 1, "stale": 1} == (await rig.apply()).outcome
    assert ["posted", "void"] == [state for *_, state in documents(rig)]
    assert ("100.00", 0, "billed") == (await position(rig, ref))[:3]


@pytest.mark.parametrize(
    ("part", "made"),
    [("without_money", AS_BEFORE), (("books.invoice.create",), AS_BEFORE), (("books.credit_note.create",), DONE)],
)
async def test_a_part_of_a_plan_is_never_half_of_a_group(rig: Rig, part: Any, made: Any) -> None:
    """The new invoice chosen alone does not go; the credit note goes with what it needs. The rest is left out."""
    crm, books = await rig.linked("Acme", notes="old")
    await decided(rig)
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    await rig.apply(part=part)
    assert (made, made is DONE) == (documents(rig), len(notes(rig)) == 1)
    assert ("new" if part == "without_money" else "old") == rig.see(rig.books, books).notes


async def test_saboteur_members_that_are_approved_one_by_one(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice of kinds sends the new invoice alone, and the old one stands beside it."""
    monkeypatch.setattr(approve_plan, "left_out", lambda changes, out: set(out))
    await decided(rig)
    await rig.apply(part=("books.invoice.create",), patience=1)
    assert 2 == len(rig.invoices())


async def test_an_undo_takes_back_both_or_none(rig: Rig) -> None:
    """A credit note is not taken back by Tieout, so the new invoice stays too, and it is said why."""
    await decided(rig)
    number = rig.one_invoice().number
    run = await rig.apply()
    left = await undo(rig, run.id)
    assert 0 == rig.plan.changes
    assert sorted(left) == [
        "credit note made: it is taken back by hand",
        f"invoice made: it belongs to Q4 pumps: credit for invoice {number}, which is left as it is",
    ]


async def test_both_count_against_the_limit_and_a_credit_note_needs_two(rig: Rig) -> None:
    """100.00 and 120.00 are over 200.00 together; where four_eyes names credit notes, two people agree to any."""
    limit = {"guards": {"approvals": {"over": 200, "currency": "USD", "approvers": 2}}}
    for head in (limit, {"four_eyes": ["credit_note"]}):
        await rig.pair_up(mapping(head=head))
        if not rig.invoices():
            await decided(rig)
        await rig.preview()
        with pytest.raises(Problem, match="1 of 2 people agreed: one"):
            await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "one")
    await rig.advance(await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "two"))
    assert 1 == len(notes(rig))
