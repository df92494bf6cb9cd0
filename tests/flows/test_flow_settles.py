"""It settles: what was agreed is left alone, what was not carried out is still there, own writes come back unseen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from connectors.canon.records import Kind
from connectors.canon.values import Address
from connectors.memory.faults import Call
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, mapping, name, payment, told
from worker.api import Problem
from worker.store import dirty_set, mirror
from worker.store.tables import cursors, dirty

C, D = Kind.CUSTOMER, Kind.DEAL
ALWAYS = {"create": {"books": "always", "crm": "always"}}


async def busy(rig: Rig) -> None:
    """A little of everything, carried out."""
    await rig.pair_up(mapping(customers=ALWAYS))
    for n in range(12):
        rig.crm.add(told(name(n), phone=f"+1 212 555 01{n:02}", notes=f"note {n}"))
    rig.books.add(told("Books Only", addresses={"billing": Address(lines=("1 Main",), country="US")}))
    for n, customer in enumerate(rig.crm.all(C)[:4]):
        rig.crm.add(deal(customer.ref, f"{n + 1}00.00", name=f"Deal {n}"))
    await rig.settled()
    first = rig.invoices()[0]
    rig.books.add(payment(str(first.customer), first.ref, "50.00"))
    await rig.settled()


# --------------------------------------------------------------------------- the second run


@pytest.mark.parametrize("knobs", [Knobs(), Knobs(trims=True, places=2, marker="none", optimistic_lock=False)])
async def test_the_second_run_plans_nothing_and_writes_nothing(opened: Open, knobs: Knobs) -> None:
    """With a pleasant vendor and with one that trims, rounds and keeps no marker."""
    async with opened(books=knobs) as rig:
        await busy(rig)
        writes = rig.writes()
        for what in ("preview", "sync", "preview"):
            run = await rig.run(what)
            plan = await rig.api.plan(run.plan_id or run.result["plan_id"])
            assert ("done", 0, writes) == (run.state, plan.changes, rig.writes())
        assert ([], []) == (await rig.dirty(), await rig.conflicts())


async def test_own_writes_come_back_and_cause_nothing(rig: Rig) -> None:
    """Read anew from the beginning, every record of it: no echo."""
    await busy(rig)
    async with rig.db.write() as tx:
        await tx.run(cursors.delete())
    writes = rig.writes()
    await rig.preview()
    assert (0, writes, []) == (rig.plan.changes, rig.writes(), await rig.dirty())


async def test_everything_marked_dirty_settles_again(rig: Rig) -> None:
    """Whatever woke them: agreement is found by values, not by who moved last."""
    await busy(rig)
    desk = await rig.desk()
    async with rig.db.write() as tx:
        for side in ("crm", "books"):
            refs = await mirror.all_refs(tx, desk.pair.connection(side))
            await dirty_set.mark(tx, [dirty_set.Listener(rig.pair.id, side)], refs)
    await rig.preview()
    assert (0, [], []) == (rig.plan.changes, await rig.dirty(), await rig.conflicts())


async def test_a_runs_cost_is_what_is_dirty(rig: Rig) -> None:
    """One edit among many records: the calls of a sync do not grow with the books."""
    counted = []
    for size in (20, 200):
        for n in range(size):
            rig.crm.add(told(name(1000 * size + n)))
        await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
        await rig.settled()
        rig.crm.edit(C, rig.crm.all(C)[0].ref, notes=f"edited {size}")
        before = len(rig.crm.calls) + len(rig.books.calls)
        await rig.done()
        counted.append(len(rig.crm.calls) + len(rig.books.calls) - before)
    assert counted[0] == counted[1]


# --------------------------------------------------------------------------- what was not carried out is still there


@pytest.mark.parametrize("fate", ["superseded", "discarded", "expired"])
async def test_a_plan_that_comes_to_nothing_is_planned_again(rig: Rig, fate: str) -> None:
    """The dirty set is what plans read, not what a pull brought."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    rig.crm.add(deal(crm))
    plan = await rig.preview()
    if fate == "discarded":
        await rig.api.discard(plan.id, "tests")
    if fate == "expired":
        rig.pass_time(timedelta(hours=25).total_seconds())
    again = await rig.preview()
    assert (2, 2) == (plan.changes, again.changes)
    with pytest.raises(Problem):
        await rig.apply(plan)
    await rig.apply(again)
    assert "new" == rig.see(rig.books, books).notes


async def test_a_change_beside_a_question_is_planned_again_too(rig: Rig) -> None:
    """One field is asked about, another is to be written: discarded, both are still there."""
    crm, books = await rig.linked("Acme", notes="old", phone="+1 212 555 0100")
    rig.crm.edit(C, crm, notes="new", phone="+1 212 555 0101")
    rig.books.edit(C, books, phone="+1 212 555 0102")
    counted = [(await rig.preview()).changes for _ in range(3)]
    assert ([1, 1, 1], 1) == (counted, len(await rig.conflicts()))
    await rig.apply()
    assert "new" == rig.see(rig.books, books).notes
    await rig.preview()
    assert (0, 1) == (rig.plan.changes, len(await rig.conflicts()))


async def test_a_subset_leaves_the_rest_for_the_next_plan(rig: Rig) -> None:
    """Everything without money: the invoice is planned again."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    await rig.apply(part="without_money")
    assert (["Acme"], []) == (rig.names(rig.books), rig.invoices())
    plan = await rig.preview()
    assert {"books.invoice.create": 1} == plan.counts


async def test_saboteur_cursor_as_dirty_set_forgets_what_was_not_applied(rig: Rig) -> None:
    """Were a plan made of what the last pull brought, a discarded change would be gone: emptying the dirty set after
    each plan loses it for good."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()
    async with rig.db.write() as tx:
        await tx.run(dirty.delete())
    await rig.settled()
    assert "old" == rig.see(rig.books, books).notes


async def test_saboteur_base_of_one_value_writes_for_ever(rig: Rig) -> None:
    """With a common base the books' own spelling is an edit each time: the run after would plan it back. Here the base
    row is made common, and the next preview is not empty."""
    from worker.store.tables import bases

    crm, books = await rig.linked("Acme", notes="old")
    rig.books.edit(C, books, notes="OLD, really")
    await rig.done()
    await rig.preview()
    assert 0 == rig.plan.changes
    rig.crm.put(rig.see(rig.crm, crm))
    async with rig.db.write() as tx:
        await tx.run(update(bases).where(bases.c.rule == "notes:notes").values(books='"old"'))
        await dirty_set.mark(tx, [dirty_set.Listener(rig.pair.id, "crm")], [(C, crm)])
    rig.crm.edit(C, crm, notes="OLD, REALLY.")
    await rig.preview()
    assert 0 < rig.plan.changes + len(await rig.conflicts())


async def test_an_edit_while_a_plan_is_drawn_is_not_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull of another pair stores a newer value between the plan's reading and its end: the record stays dirty."""
    from worker.usecases import propose_plan as module

    crm, books = await rig.linked("Acme", notes="old")
    rig.books.edit(C, books, website="x.com")  # dirty, and in agreement
    real = module.guarded

    async def meanwhile(tx: Any, *args: Any) -> Any:
        await dirty_set.mark(tx, [dirty_set.Listener(rig.pair.id, "books")], [(C, books)])
        return await real(tx, *args)

    monkeypatch.setattr(module, "guarded", meanwhile)
    await rig.preview()
    assert [books] == [row.ref for row in await rig.dirty()]
    assert crm == "c1"


# --------------------------------------------------------------------------- pages and overlap


async def test_an_edit_between_two_pages_of_a_pull_is_seen(opened: Open) -> None:
    """The first page is stored, then somebody edits one of its records."""
    async with opened(crm=Knobs(page=3)) as rig:
        await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
        refs = [rig.crm.add(told(name(n), notes="old")) for n in range(8)]

        def edit(world: MemoryWorld, call: Call) -> None:
            if call.point == "changes" and len([c for c in world.calls if c.point == "changes" and c.kind is C]) == 2:
                world.hooks.clear()
                world.edit(C, refs[0], notes="edited between")

        rig.crm.hooks.append(edit)
        await rig.settled()
        by_name = {str(r.legal_name): r for r in rig.books.all(C)}  # type: ignore[union-attr]  # they are customers
        assert "edited between" == by_name[name(0)].notes  # type: ignore[union-attr]  # as above


async def test_two_pairs_of_one_connection_each_have_their_own_plan(rig: Rig) -> None:
    """The mirror is shared, what is dirty is not; a field has one writing pair."""
    world = MemoryWorld.make("third-books")
    await rig.api.connect("memory", {"world": "third-books", "clock": "house"})
    first = rig.pair
    one_way = {"fields": [{"crm": "name", "books": "legal_name", "direction": "crm-to-books", "authority": "crm"}]}
    text = mapping("customers", pair="second", customers={**one_way, "create": {"books": "always", "crm": "never"}})
    rig.crm.add(told("Acme"))
    await rig.preview()
    rig.pair = await rig.api.pair(text, "t.yaml", "tests", {"crm": rig.crm.name, "books": "third-books"})
    await rig.settled()
    assert (["Acme"], []) == (rig.names(world), rig.names(rig.books))
    with pytest.raises(Problem, match=f'pair "{first.name}" writes'):
        await rig.api.pair(
            mapping("customers", pair="second"), "t.yaml", "tests", {"crm": rig.crm.name, "books": "third-books"}
        )
