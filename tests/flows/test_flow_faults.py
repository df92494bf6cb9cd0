"""Between preview and the vendor's yes: answers get lost, records move, items are refused. Each ends where it must."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from connectors.canon.records import Kind
from connectors.memory.faults import Call, Fault
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, invoice, mapping, told
from worker.jobs import runner
from worker.store import billing, plans, runs
from worker.store.links import NewLink, make_links
from worker.store.tables import changes as changes_table
from worker.usecases import apply_plan

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE


def creates(world: MemoryWorld, kind: Kind = I) -> int:
    """Create calls of a kind that reached the vendor."""
    return sum(c.point == "write" and c.kind is kind and c.operation == "create" for c in world.calls)


async def won(rig: Rig, *amounts: str) -> str:
    """A customer in both systems with a won deal for each amount, previewed."""
    acme, _ = await rig.linked("Acme")
    for amount in amounts:
        rig.crm.add(deal(acme, amount, name=f"Deal {amount}"))
    await rig.preview()
    return acme


def nets(rig: Rig) -> list[Decimal]:
    return sorted(i.net for i in rig.invoices())  # type: ignore[type-var]  # each has one


async def provenance(rig: Rig) -> list[str]:
    async with rig.db.read() as tx:
        found = await billing.documents_by_ref(tx, rig.pair.id, [(I, i.ref) for i in rig.invoices()])
    return sorted(document.provenance for document in found.values())


# --------------------------------------------------------------------------- the answer is lost


@pytest.mark.parametrize("marker", ["searchable", "kept", "none"])
async def test_a_lost_answer_is_looked_up_and_adopted(opened: Open, marker: Any) -> None:
    """By marker where the vendor can search it, else among what was made since the mark: no second invoice."""
    async with opened(books=Knobs(marker=marker)) as rig:
        await rig.pair_up(mapping())
        await won(rig, "100.00")
        rig.books.script.add(Fault(what="lose", kind=I))
        run = await rig.apply()
        assert ("done", {"done": 1}, 1, ["adopted"]) == (
            run.state, run.outcome, creates(rig.books), await provenance(rig),
        )  # fmt: skip
        await rig.settled()
        assert 1 == len(rig.invoices())


async def test_a_call_that_never_arrived_is_sent_again_but_not_too_early(rig: Rig) -> None:
    """Absence counts only when the call can land no more: its deadline, and what the vendor says calls may take."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="doubt", kind=I))
    started = await rig.db.now()
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    await runner.advance(rig.office, run_id, "tests")
    view = await rig.api.run(run_id)
    assert ("waiting", 1) == (view.state, creates(rig.books))
    assert "looked up" in (view.error or "")
    async with rig.db.read() as tx:
        run = await runs.get(tx, run_id)
    assert run is not None and run.not_before is not None
    assert run.not_before - started >= timedelta(seconds=5 + 120)
    run_view = await rig.advance(run_id)
    assert ({"done": 1}, 2, 1) == (run_view.outcome, creates(rig.books), len(rig.invoices()))


async def test_saboteur_a_probe_before_the_call_can_have_landed_makes_two(rig: Rig) -> None:
    """The client gave up, the call lands a minute later. Looked for at once it is not there; sent again, there are
    two. Waited for, there is one."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="late", kind=I, after_s=60))
    careful = rig.books.copy("careful")
    run = await rig.apply()
    rig.pass_time(180)  # whatever was on its way has landed
    await rig.settled()
    assert ({"done": 1}, 1) == (run.outcome, len(rig.invoices()))
    assert 0 == len(careful.all(I))
    careful.execute(_landing(careful, rig), "late")
    careful.execute(_landing(careful, rig), "again")
    assert 2 == len(careful.all(I))


def _landing(world: MemoryWorld, rig: Rig) -> Any:
    from connectors.kit.contract import Create

    made = rig.invoices()[0]
    return (Create(record=msgspec.structs.replace(made, ref="", marker=None), marker="m", key="k"),)


async def test_half_a_batch_arrived(rig: Rig) -> None:
    """The line was cut in the middle: what is there is adopted, the rest is sent again. Each deal has one invoice."""
    await won(rig, "1.00", "2.00", "3.00", "4.00")
    rig.books.script.add(Fault(what="cut", kind=I, first=2))
    run = await rig.apply()
    assert ({"done": 4}, ["adopted", "adopted", "created", "created"]) == (run.outcome, await provenance(rig))
    assert [Decimal(n) for n in ("1.00", "2.00", "3.00", "4.00")] == nets(rig)


@pytest.mark.parametrize("marker", ["searchable", "kept"])
async def test_alike_invoices_of_a_lost_batch_are_told_apart_by_their_marker(opened: Open, marker: Any) -> None:
    """Same customer, same amount, three times over: each finds its own."""
    async with opened(books=Knobs(marker=marker)) as rig:
        await rig.pair_up(mapping())
        await won(rig, "5.00", "5.00", "5.00")
        rig.books.script.add(Fault(what="lose", kind=I))
        run = await rig.apply()
        assert ({"done": 3}, 3) == (run.outcome, len(rig.invoices()))


async def test_two_that_look_like_it_and_no_marker_are_held(opened: Open) -> None:
    """The vendor keeps no marker, and somebody typed the same invoice while ours was on its way: a person is asked,
    nothing is sent again."""
    async with opened(books=Knobs(marker="none")) as rig:
        await rig.pair_up(mapping())
        await won(rig, "100.00")
        rig.books.script.add(Fault(what="lose", kind=I))
        customer = rig.books.all(C)[0].ref

        def meanwhile(world: MemoryWorld, call: Call) -> None:
            if call.point == "created_since":
                world.hooks.clear()
                world.add(invoice(customer, "100.00"))

        rig.books.hooks.append(meanwhile)
        run = await rig.apply()
        assert ({"held": 1}, 1, 2) == (run.outcome, creates(rig.books), len(rig.invoices()))
        await rig.settled()  # ours names the deal in its line: it is told apart after all, and nothing is made
        assert (2, ["matched"], 1) == (len(rig.invoices()), await provenance(rig), creates(rig.books))


async def test_doubts_of_two_calls_look_back_to_each_ones_mark(opened: Open) -> None:
    """Two batches in doubt, marked at 9 and at 10 of the vendor's counter: which is the earlier is not a matter of
    spelling. Nothing is sent twice."""
    async with opened(books=Knobs(batch_write=1, marker="none")) as rig:
        await rig.pair_up(mapping())
        acme, _ = await rig.linked("Acme")
        while rig.books.state.head < 8:
            rig.books.add(told(f"Filler {rig.books.state.head}"))
        await rig.settled()
        for amount in ("1.00", "2.00"):
            rig.crm.add(deal(acme, amount, name=amount))
        await rig.preview()
        rig.books.script.add(Fault(what="lose", kind=I, times=2))
        marks = []
        rig.books.hooks.append(lambda world, call: marks.append(world.state.head) if call.point == "mark" else None)
        run = await rig.apply()
        assert ({"done": 2}, 2) == (run.outcome, len(rig.invoices()))
        assert min(map(str, marks)) != str(min(marks))  # or the test would prove nothing


async def test_a_lost_customer_is_adopted_before_its_invoice_goes_on(rig: Rig) -> None:
    """The invoice waits for the customer whose answer was lost, and then goes on by itself."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    rig.books.script.add(Fault(what="lose", kind=C))
    run = await rig.apply()
    assert ({"done": 2}, ["Acme"], 1) == (run.outcome, rig.names(rig.books), len(rig.invoices()))


async def test_a_lost_update_is_read_not_repeated(rig: Rig) -> None:
    """As after: done. The vendor saw one update."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="lose", kind=C, operation="update"))
    run = await rig.apply()
    updates = sum(c.operation == "update" for c in rig.books.calls)
    assert ({"done": 1}, "new", 1) == (run.outcome, rig.see(rig.books, books).notes, updates)


async def test_an_update_that_did_not_arrive_is_sent_again(rig: Rig) -> None:
    """As before: planned again, once it can land no more."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="doubt", kind=C, operation="update"))
    run = await rig.apply()
    assert ({"done": 1}, "new") == (run.outcome, rig.see(rig.books, books).notes)


async def test_an_update_in_doubt_that_somebody_overtook_is_stale(rig: Rig) -> None:
    """Neither as before nor as after: a person was there. Their value stands and is merged by the next plan."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="lose", kind=C, operation="update"))

    def meanwhile(world: MemoryWorld, call: Call) -> None:
        if call.point == "get":
            world.hooks.clear()
            world.edit(C, books, notes="typed by hand")

    rig.books.hooks.append(meanwhile)
    run = await rig.apply()
    assert ({"stale": 1}, "typed by hand") == (run.outcome, rig.see(rig.books, books).notes)
    await rig.preview()
    assert "typed by hand" == (await rig.question()).books


async def test_while_a_plan_is_carried_out_no_other_is_drawn(rig: Rig) -> None:
    """What is on its way would look like something new: the lost invoice is not taken for one typed by hand, and no
    second is planned."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="doubt", kind=I))
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    await runner.advance(rig.office, run_id, "tests")
    other = await rig.run("preview")
    assert "still being carried out" in other.result["refused"]
    run = await rig.advance(run_id)
    assert ({"done": 1}, ["created"]) == (run.outcome, await provenance(rig))


async def test_what_cannot_be_written_down_is_not_sent(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store goes right before the intent: the vendor hears nothing, and once the store is back it goes on."""
    await won(rig, "100.00")
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")

    async def gone(*_: Any) -> bool:
        raise OperationalError("update changes", {}, OSError("disk I/O error"))

    with monkeypatch.context() as away:
        away.setattr(plans, "intend", gone)
        await runner.advance(rig.office, run_id, "tests")
    assert 0 == creates(rig.books)
    assert ({"done": 1}, 1) == ((await rig.advance(run_id)).outcome, len(rig.invoices()))


async def test_the_worker_is_stopped_in_the_middle_of_a_call(rig: Rig) -> None:
    """Cancelled while the vendor works: the change is in doubt, not forgotten; the next worker adopts what came of
    it."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="hang", kind=I))
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    task = asyncio.create_task(runner.advance(rig.office, run_id, "first"))
    while creates(rig.books) == 0:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {"unknown": 1} == await rig.states()
    rig.pass_time(20)
    run = await rig.advance(run_id)
    assert ({"done": 1}, 1, ["adopted"]) == (run.outcome, len(rig.invoices()), await provenance(rig))


# --------------------------------------------------------------------------- the vendor says no


async def test_one_bad_item_does_not_spoil_its_batch(rig: Rig) -> None:
    """The others are posted; the bad one says why, and is not tried again until something changes."""
    acme = await won(rig, "1.00", "2.00", "3.00")
    rig.books.script.add(Fault(what="refuse", kind=I, item=1, reason="the ledger is locked"))
    run = await rig.apply()
    assert ({"done": 2, "rejected": 1}, [Decimal("1.00"), Decimal("3.00")]) == (run.outcome, nets(rig))
    await rig.settled()
    refused = next(d.ref for d in rig.crm.all(D) if d.amount.amount == Decimal("2.00"))  # type: ignore[union-attr]  # they are deals
    why = "Memory says: the ledger is locked"
    assert (2, why) == (len(rig.invoices()), (await rig.waiting())["crm", "deal", refused])
    counted = creates(rig.books)
    for _ in range(3):
        await rig.preview()
    assert (0, counted) == (rig.plan.changes, creates(rig.books))
    rig.crm.edit(D, refused, memo="mended")
    await rig.settled()
    assert (3, {}) == (len(rig.invoices()), await rig.waiting())
    assert acme == "c1"


async def test_a_refused_document_is_tried_again_when_its_customer_is_mended(rig: Rig) -> None:
    """The deal did not move; what the vendor minded did."""
    await won(rig, "1.00")
    rig.books.script.add(Fault(what="refuse", kind=I, reason="the customer is inactive"))
    await rig.apply()
    await rig.preview()
    assert 0 == rig.plan.changes
    rig.books.edit(C, rig.books.all(C)[0].ref, website="acme.com")
    await rig.settled()
    assert 1 == len(rig.invoices())


async def test_a_refused_customer_holds_its_invoice_and_says_why(rig: Rig) -> None:
    """The name is taken by a record that the pair may not see: nothing half is done, and nothing is retried."""
    taken = rig.books.add(told("Acme"))
    rig.books.hide(C, taken)
    ref = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    run = await rig.done()
    assert ({"rejected": 1, "held": 1}, []) == (run.outcome, rig.invoices())
    await rig.preview()
    assert 0 == rig.plan.changes
    assert "Another record has this name" in (await rig.waiting())["crm", "deal", ref]


async def test_an_edit_that_came_while_it_was_refused_is_looked_at(rig: Rig) -> None:
    """Refused as it was sent; the record moved meanwhile: the next plan tries what it is now."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="refuse", kind=C, operation="update"))

    async def edited() -> None:
        rig.crm.edit(C, crm, notes="newer")
        desk = await rig.desk()
        await runner.pull_pair(desk)

    world_call: list[Call] = []
    rig.books.hooks.append(lambda world, call: world_call.append(call) if call.point == "write" else None)
    task = asyncio.create_task(rig.apply())
    while not world_call:
        await asyncio.sleep(0)
    await edited()
    run = await task
    assert {"rejected": 1} == run.outcome
    await rig.settled()
    assert "newer" == rig.see(rig.books, books).notes


# --------------------------------------------------------------------------- nothing was sent


async def test_told_to_wait_it_waits_and_goes_on(rig: Rig) -> None:
    """429: what was done is done, the rest comes after the wait; nothing twice."""
    await won(rig, *(f"{n}.00" for n in range(1, 16)))
    rig.books.script.add(Fault(what="throttle", kind=I, skip=1, wait_s=40))
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    await runner.advance(rig.office, run_id, "tests")
    view = await rig.api.run(run_id)
    assert ("waiting", "Too many calls.", 10) == (view.state, view.error, len(rig.invoices()))
    run = await rig.advance(run_id)
    assert ({"done": 15}, 15) == (run.outcome, len(rig.invoices()))


async def test_a_login_that_is_gone_holds_the_work_until_it_is_back(rig: Rig) -> None:
    """The run waits and says what to do; connecting the account again wakes it, and it goes on by itself."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="expired", kind=I))
    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    await runner.advance(rig.office, run_id, "tests")
    view = await rig.api.run(run_id)
    assert ("waiting", 0) == (view.state, len(rig.invoices()))
    assert "Connect the account again" in (view.next_step or "")
    async with rig.db.read() as tx:
        assert [] == await runs.due(tx)
    await rig.api.connect("memory", {"world": rig.books.name, "clock": "house"})
    async with rig.db.read() as tx:
        assert [run_id] == await runs.due(tx)
    run = await rig.advance(run_id)
    assert ({"done": 1}, 1) == (run.outcome, len(rig.invoices()))


async def test_a_preview_with_a_dead_login_fails_with_what_to_do(rig: Rig) -> None:
    """Nothing waits on it: a person is told at once."""
    rig.crm.script.add(Fault(what="expired", point="changes"))
    run = await rig.run("preview")
    assert ("failed", "Connect the account again; held work then goes on by itself.") == (run.state, run.next_step)


async def test_a_missing_right_holds_the_change_and_not_the_others(rig: Rig) -> None:
    """The customer may be written, the invoice may not: it is held with the reason, and planned again later."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    rig.books.script.add(Fault(what="forbidden", kind=I))
    run = await rig.apply()
    assert ({"done": 1, "held": 1}, 0) == (run.outcome, len(rig.invoices()))
    (held,) = await rig.api.changes(rig.plan.id, ["held"])
    assert "may not write" in (held.reason or "")
    await rig.settled()
    assert 1 == len(rig.invoices())


@pytest.mark.parametrize("point", ["changes", "get", "mark", "catalogue"])
async def test_a_vendor_that_is_down_in_the_middle_is_waited_for(rig: Rig, point: Any) -> None:
    """What was done is done; the run goes on where it was when the vendor is back."""
    await won(rig, *(f"{n}.00" for n in range(1, 16)))
    rig.pass_time(1000)  # the catalogues are read anew
    world = rig.crm if point == "get" else rig.books
    rig.books.script.add(Fault(what="down", point=point, skip=1 if point == "mark" else 0))
    if point == "get":
        world.script.add(Fault(what="down", point="get", skip=1))
    run = await rig.apply()
    assert ("done", {"done": 15}, 15) == (run.state, run.outcome, len(rig.invoices()))


async def test_a_pull_that_fails_loses_nothing(rig: Rig) -> None:
    """Pages before it are stored, the next pull goes on from there."""
    for n in range(250):
        rig.crm.add(told(f"Customer {n}"))
    rig.crm.script.add(Fault(what="down", point="changes", kind=C, skip=2))
    run_id = await rig.api.ask(rig.pair.id, "preview", "tests")
    await runner.advance(rig.office, run_id, "tests")
    view = await rig.api.run(run_id)
    assert "waiting" == view.state
    view = await rig.advance(run_id)
    assert ("done", 250) == (view.state, len(await rig.waiting()))


# --------------------------------------------------------------------------- it moved since the preview


async def test_a_target_that_moved_is_left_out_and_previewed_again(rig: Rig) -> None:
    """What you saw is what happens: the field that somebody changed since is not overwritten, the other change is
    made."""
    one, theirs = await rig.linked("Acme", notes="old")
    two, other = await rig.linked("Beta Works", notes="old")
    for ref in (one, two):
        rig.crm.edit(C, ref, notes="new")
    await rig.preview()
    rig.books.edit(C, theirs, notes="typed since")
    run = await rig.apply()
    assert ({"done": 1, "stale": 1}, "typed since", "new") == (
        run.outcome, rig.see(rig.books, theirs).notes, rig.see(rig.books, other).notes,
    )  # fmt: skip
    await rig.preview()
    assert ("typed since", 0) == ((await rig.question()).books, rig.plan.changes)


async def test_a_source_that_moved_is_previewed_with_its_new_value(rig: Rig) -> None:
    """The old value is not written."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.crm.edit(C, crm, notes="newest")
    run = await rig.apply()
    assert ({"stale": 1}, "old") == (run.outcome, rig.see(rig.books, books).notes)
    await rig.settled()
    assert "newest" == rig.see(rig.books, books).notes


async def test_a_deal_that_changed_since_the_preview_is_not_billed_as_it_was(rig: Rig) -> None:
    """From a fresh read of the deal, also if no delta told."""
    await won(rig, "100.00")
    ref = rig.crm.all(D)[0].ref
    rig.crm.edit(D, ref, amount=deal("c1", "90.00").amount)
    run = await rig.apply()
    assert ({"stale": 1}, []) == (run.outcome, rig.invoices())
    await rig.settled()
    assert [Decimal("90.00")] == nets(rig)


async def test_a_deal_that_cannot_be_read_any_more_is_not_billed(opened: Open) -> None:
    """Deleted at a vendor that tells no deletions: the mirror still has it, the fresh read does not."""
    async with opened(crm=Knobs(tombstones=False)) as rig:
        await rig.pair_up(mapping())
        await won(rig, "100.00")
        rig.crm.delete(D, rig.crm.all(D)[0].ref)
        run = await rig.apply()
        assert ({"stale": 1}, []) == (run.outcome, rig.invoices())


async def test_another_field_that_moved_is_no_reason_to_stop(rig: Rig) -> None:
    """Stale is a field that the change relies on, not the version: it is read again and goes on."""
    crm, books = await rig.linked("Acme", notes="old", phone="+1 212 555 0100")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.edit(C, books, website="acme.com")
    run = await rig.apply()
    assert ({"done": 1}, "new", "acme.com") == (
        run.outcome, rig.see(rig.books, books).notes, rig.see(rig.books, books).website,
    )  # fmt: skip


async def test_a_version_that_moved_right_before_the_write_is_read_again(rig: Rig) -> None:
    """The vendor says that the record moved; its fields are as planned, so it is written with the new version."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="stale", kind=C, operation="update"))
    run = await rig.apply()
    assert ({"done": 1}, "new") == (run.outcome, rig.see(rig.books, books).notes)


async def test_a_record_that_keeps_moving_is_left_for_the_next_plan(rig: Rig) -> None:
    """Three times stale by version: it stops there."""
    crm, _ = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    rig.books.script.add(Fault(what="stale", kind=C, operation="update", times=3))
    run = await rig.apply()
    assert {"stale": 1} == run.outcome
    await rig.settled()
    assert "new" == rig.see(rig.books, rig.books.all(C)[0].ref).notes


async def test_without_an_optimistic_lock_the_record_is_read_right_before(opened: Open) -> None:
    """A person's value typed after the delta is seen by that read, and stands."""
    async with opened(books=Knobs(optimistic_lock=False)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="new")
        await rig.preview()

        def typed(world: MemoryWorld, call: Call) -> None:
            if call.point == "get" and call.kind is C:
                world.hooks.clear()
                world.edit(C, books, notes="typed since")

        rig.books.hooks.append(typed)
        run = await rig.apply()
        assert ({"stale": 1}, "typed since") == (run.outcome, rig.see(rig.books, books).notes)


# --------------------------------------------------------------------------- what a failed run leaves behind


async def test_a_run_that_failed_does_not_block_the_pair(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw, after the call was sent: the next preview looks up what became of it, leaves the rest
    to a new plan, and nothing is made twice."""
    await won(rig, *(f"{n}.00" for n in range(1, 13)))
    from worker.usecases import apply_plan

    real = apply_plan.record_outcomes
    counted: list[int] = []

    async def broken(*args: Any, **more: Any) -> Any:
        counted.append(1)
        if len(counted) == 1:
            raise ValueError("nobody foresaw this")
        return await real(*args, **more)

    monkeypatch.setattr(apply_plan, "record_outcomes", broken)
    run = await rig.apply()
    assert ("failed", 10, {"intended": 10, "planned": 2}) == (run.state, len(rig.invoices()), await rig.states())
    old = rig.plan.id
    await rig.settled()
    assert (12, [Decimal(n) for n in range(1, 13)]) == (len(rig.invoices()), nets(rig))
    async with rig.db.read() as tx:
        plan = await plans.get_plan(tx, old)
        counted_states = await plans.count_states(tx, old)
    assert plan is not None
    assert ("applied", {"done": 10, "discarded": 2}) == (plan.state, counted_states)


async def test_a_second_link_does_not_lose_the_outcome(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a customer is being made somebody says that it is another one: that stands, what was made is on record
    and asked about."""
    await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
    crm = rig.crm.add(told("Acme"))
    await rig.preview()
    theirs = rig.books.add(told("Acme Holding"))
    rig.books.script.add(Fault(what="lose", kind=C))
    record = apply_plan._record

    async def linked_meanwhile(*told_: Any) -> None:
        await record(*told_)
        async with rig.db.write() as tx:
            await make_links(tx, rig.pair.id, [NewLink(C, crm, theirs, "matched", "a person said so")])

    monkeypatch.setattr(apply_plan, "_record", linked_meanwhile)
    run = await rig.advance(await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests"))
    assert ("done", {"done": 1}) == (run.state, run.outcome)
    await rig.preview()
    assert (0, 2) == (rig.plan.changes, len(rig.names(rig.books)))


async def test_keys_of_calls_differ_between_attempts(rig: Rig) -> None:
    """After proven absence the call has another key: a vendor that remembers the first would answer it again."""
    await won(rig, "100.00")
    rig.books.script.add(Fault(what="doubt", kind=I))
    keys: list[str] = []

    async def key() -> str:
        async with rig.db.read() as tx:
            return str(await tx.scalar(changes_table.select().with_only_columns(changes_table.c.call_key).where(
                changes_table.c.plan_id == rig.plan.id)))  # fmt: skip

    run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
    await runner.advance(rig.office, run_id, "tests")
    keys.append(await key())
    await rig.advance(run_id)
    keys.append(await key())
    assert 2 == len(set(keys))
