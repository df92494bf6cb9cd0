"""What may not happen by itself: too much at once, a side that looks empty, flows that only watch or act alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.canon.values import Money
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import PAID_FIELDS, Rig, deal, mapping, name, payment, told

C, I = Kind.CUSTOMER, Kind.INVOICE
ALWAYS = {"create": {"books": "always", "crm": "never"}}
UNLESS = "without somebody's confirmation"


async def many(rig: Rig, number: int = 40, **guards: Any) -> list[str]:
    """Linked customers with a note, under these guards."""
    head = {"guards": guards} if guards else {}
    await rig.pair_up(mapping(head=head, customers=ALWAYS))
    refs = [rig.crm.add(told(name(n), notes="old", phone=f"+1 212 555 01{n:02}")) for n in range(number)]
    await rig.settled()
    return refs


def edit(rig: Rig, refs: list[str], **fields: Any) -> None:
    for ref in refs:
        rig.crm.edit(C, ref, **fields)


def noted(rig: Rig, value: str | None) -> int:
    return sum(r.notes == value for r in rig.books.all(C))  # type: ignore[union-attr]  # they are customers


# --------------------------------------------------------------------------- guards


async def test_an_unusual_share_is_held_until_somebody_confirms(rig: Rig) -> None:
    """With the counts; confirmed, it is written."""
    refs = await many(rig)
    edit(rig, refs[:26], notes="new")
    plan = await rig.preview()
    (reason,) = {c.reason for c in await rig.changes()}
    assert (0, 26, f"guard: 26 of 40 customers in the books would change within 24 hours; at most 25 {UNLESS}") == (
        plan.changes, plan.held, reason,
    )  # fmt: skip
    await rig.apply()
    assert 0 == noted(rig, "new")
    await rig.preview()
    await rig.apply(confirm_held=True)
    assert 26 == noted(rig, "new")


async def test_the_window_slides_over_runs(rig: Rig) -> None:
    """Twenty and then ten within a day are thirty; the next day they are ten."""
    refs = await many(rig)
    edit(rig, refs[:20], notes="new")
    await rig.done()
    edit(rig, refs[20:30], notes="new")
    plan = await rig.preview()
    assert (20, 0, 10) == (noted(rig, "new"), plan.changes, plan.held)
    rig.pass_time(timedelta(hours=25).total_seconds())
    plan = await rig.preview()
    assert (10, 0) == (plan.changes, plan.held)


async def test_saboteur_a_guard_for_each_run_lets_slices_through(rig: Rig) -> None:
    """Counted per run alone, thirty go through in two slices: without the tallies the guard says nothing."""
    from worker.store.tables import tallies

    refs = await many(rig)
    for part in (refs[:20], refs[20:30]):
        edit(rig, part, notes="new")
        await rig.done()
        async with rig.db.write() as tx:
            await tx.run(tallies.delete())
    assert 30 == noted(rig, "new")


async def test_emptying_a_field_on_many_is_held(rig: Rig) -> None:
    """Fewer than would trip the share, but filled to empty: a broken export, most likely."""
    refs = await many(rig)
    edit(rig, refs[:11], notes=None)
    await rig.preview()
    said = f"guard: notes would be emptied on 11 of 40 customers in the books within 24 hours; at most 10 {UNLESS}"
    assert {said} == {c.reason for c in await rig.changes()}


async def test_removals_are_held_from_the_sixth_on(rig: Rig) -> None:
    """Five a day go, six are asked about."""
    removed = {**ALWAYS, "removed": {"crm": "deactivate", "books": "ask"}}
    await rig.pair_up(mapping(customers=removed))
    refs = [rig.crm.add(told(name(n))) for n in range(20)]
    await rig.settled()
    for ref in refs[:6]:
        rig.crm.delete(C, ref)
    plan = await rig.preview()
    assert (0, 6, 20) == (plan.changes, plan.held, len(rig.names(rig.books)))
    assert "6 of 20 customers in the books would be removed" in str((await rig.changes())[0].reason)


async def test_a_record_counts_once_however_often_it_changes(rig: Rig) -> None:
    """Twenty records edited twice a day are twenty."""
    refs = await many(rig)
    for notes in ("new", "newer"):
        edit(rig, refs[:20], notes=notes)
        await rig.done()
    assert 20 == noted(rig, "newer")


async def billed(rig: Rig, number: int) -> list[str]:
    """Won deals of one customer, and their invoices; nothing was marked in the CRM yet."""
    acme = rig.crm.add(told("Acme"))
    refs = [rig.crm.add(deal(acme, name=f"Deal {n}")) for n in range(number)]
    await rig.done()
    return refs


async def test_the_first_marks_on_deals_are_no_unusual_change(both: Rig) -> None:
    """Thirty deals are billed, their empty fields filled with what the books say: Tieout alone writes those."""
    refs = await billed(both, 30)
    plan = await both.preview()
    await both.apply()
    marked = [both.see(both.crm, ref, Kind.DEAL).properties["invoice_status"] for ref in refs]
    assert ({"crm.deal.update": 30}, 0, ["open"] * 30) == (plan.counts, plan.held, marked)


async def test_marks_that_change_afterwards_count(rig: Rig) -> None:
    """All of them paid in one night: somebody looks at that first."""
    refs = await billed(rig, 30)
    await rig.done()
    for paid in rig.invoices():
        rig.books.add(payment(str(paid.customer), paid.ref, "100.00"))
    plan = await rig.preview()
    (reason,) = {c.reason for c in await rig.changes()}
    assert (0, 30, f"guard: 30 of 30 deals in the CRM would change within 24 hours; at most 25 {UNLESS}") == (
        plan.changes, plan.held, reason,
    )  # fmt: skip
    assert 30 == len(refs)


async def test_marks_over_what_a_person_typed_count(rig: Rig) -> None:
    """The fields were not empty: what stood there is shown, and a guard looks at it."""
    acme = rig.crm.add(told("Acme"))
    typed = dict.fromkeys(PAID_FIELDS) | {"invoice_status": "sent by fax"}
    for n in range(30):
        rig.crm.add(deal(acme, name=f"Deal {n}", properties=typed))
    await rig.done()
    plan = await rig.preview()
    assert (0, 30) == (plan.changes, plan.held)


async def test_saboteur_counting_first_marks_holds_the_first_write_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every update were a change, the first thirty deals would wait for somebody."""
    from worker.engine import guard

    await billed(rig, 30)
    monkeypatch.setattr(guard, "tallied", lambda change: ["changed"] if change.operation == "update" else [])
    plan = await rig.preview()
    assert (0, 30) == (plan.changes, plan.held)


async def test_creates_are_no_changes(rig: Rig) -> None:
    """A first sync is not an accident."""
    await many(rig, 60)
    assert 60 == len(rig.names(rig.books))


# --------------------------------------------------------------------------- a side that looks empty


async def test_a_side_that_looks_empty_plans_nothing_until_confirmed(rig: Rig) -> None:
    """A wrong portal, a revoked scope, a folder that was not mounted: nobody's records are touched, nobody is asked a
    hundred questions."""
    refs = await many(rig, 10)
    for ref in refs[:6]:
        rig.crm.delete(C, ref)
    run = await rig.run("preview")
    plan = await rig.api.plan(run.plan_id or "")
    assert "the crm shows 4 of 10 linked customers" in (plan.refused or "")
    assert (0, [], 10) == (plan.changes, await rig.conflicts(), len(rig.names(rig.books)))
    await rig.preview(confirm_emptied=True)
    assert (6, None) == (len(await rig.conflicts()), rig.plan.refused)


async def test_an_automatic_sync_stops_at_a_side_that_looks_empty(rig: Rig) -> None:
    """Also where every flow may act alone."""
    await rig.pair_up(mapping(customers={**ALWAYS, "apply": "auto", "removed": {"crm": "deactivate", "books": "ask"}}))
    refs = [rig.crm.add(told(name(n))) for n in range(10)]
    await rig.run("sync")
    for ref in refs:
        rig.crm.delete(C, ref)
    run = await rig.run("sync")
    assert ("done", 10) == (run.state, len(rig.names(rig.books)))
    assert "nothing is planned" in run.result["refused"]


# --------------------------------------------------------------------------- observe, ask, auto


async def test_observe_writes_nothing_whatever_is_pressed(rig: Rig) -> None:
    """Apply, confirm, sync: the vendor hears no write."""
    flows = {name: {"apply": "observe"} for name in ("customers", "items", "invoices", "payments")}
    await rig.pair_up(mapping(**flows))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    plan = await rig.preview()
    assert (0, 2) == (plan.changes, plan.held)
    await rig.apply(confirm_held=True)
    await rig.run("sync")
    assert 0 == rig.writes()


async def test_what_needs_an_observed_flow_is_held_with_it(rig: Rig) -> None:
    """The invoice may be made, its customer may not."""
    await rig.pair_up(mapping(customers={"apply": "observe"}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    reasons = {c.kind: c.reason for c in await rig.changes()}
    assert "only observe" in str(reasons["customer"]) and "needs a change that is held" in str(reasons["invoice"])
    await rig.apply(confirm_held=True)
    assert 0 == rig.writes()


async def test_a_new_flow_observes(rig: Rig) -> None:
    """Without a word in the mapping."""
    await rig.pair_up(mapping(customers={"apply": None, **ALWAYS}, invoices={"apply": None}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.done()
    assert 0 == rig.writes()


async def test_sync_carries_out_what_may_go_alone_and_leaves_the_rest_open(rig: Rig) -> None:
    """Customers by themselves, the invoice after somebody's Apply."""
    await rig.pair_up(mapping(customers={"apply": "auto", **ALWAYS}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    run = await rig.run("sync")
    assert ({"done": 1, "discarded": 1}, ["Acme"], []) == (run.outcome, rig.names(rig.books), rig.invoices())
    plan = await rig.api.current_plan(rig.pair.id)
    assert plan is not None and {"books.invoice.create": 1} == plan.counts
    await rig.apply(plan)
    assert 1 == len(rig.invoices())


async def test_everything_alone(rig: Rig) -> None:
    """All flows auto: one sync bills, the next marks, the third has nothing to do."""
    flows: dict[str, Any] = {name: {"apply": "auto"} for name in ("customers", "items", "invoices", "payments")}
    await rig.pair_up(mapping(**flows))
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    outcomes = [(await rig.run("sync")).outcome for _ in range(3)]
    assert [{"done": 2}, {"done": 1}, {}] == outcomes
    assert "open" == rig.see(rig.crm, won, Kind.DEAL).properties["invoice_status"]


@pytest.mark.parametrize(("amounts", "alone"), [(["900.00"], 1), (["600.00", "600.00"], 0)])
async def test_alone_only_under_the_limit(rig: Rig, amounts: list[str], alone: int) -> None:
    """The plan's sum counts, not only its largest invoice; over it people approve."""
    limit = {"guards": {"approvals": {"over": 1000, "currency": "USD", "approvers": 1}}}
    flows: dict[str, Any] = {name: {"apply": "auto"} for name in ("customers", "invoices", "payments", "items")}
    await rig.pair_up(mapping(head=limit, **flows))
    acme = rig.crm.add(told("Acme"))
    for n, amount in enumerate(amounts):
        rig.crm.add(deal(acme, amount, name=f"Deal {n}"))
    await rig.run("sync")
    assert alone == len(rig.invoices())
    if not alone:
        plan = await rig.api.current_plan(rig.pair.id)
        assert plan is not None and {"USD": Decimal("1200.00")} == plan.net


async def test_the_limit_counts_what_went_alone_within_a_day(rig: Rig) -> None:
    """Many small plans are one large one; the next day it begins anew."""
    limit = {"guards": {"approvals": {"over": 1000, "currency": "USD", "approvers": 1}}}
    flows: dict[str, Any] = {name: {"apply": "auto"} for name in ("customers", "invoices", "payments", "items")}
    await rig.pair_up(mapping(head=limit, **flows))
    acme = rig.crm.add(told("Acme"))
    alone = []
    for n in range(3):
        rig.crm.add(deal(acme, "400.00", name=f"Deal {n}"))
        await rig.run("sync")
        alone.append(len(rig.invoices()))
    rig.pass_time(timedelta(hours=25).total_seconds())
    await rig.run("sync")
    assert ([1, 2, 2], 3) == (alone, len(rig.invoices()))


async def test_what_the_limit_does_not_measure_does_not_go_alone(opened: Open) -> None:
    """A limit in dollars says nothing about pounds: somebody approves those."""
    limit = {"guards": {"approvals": {"over": 1000, "currency": "USD", "approvers": 1}}}
    flows: dict[str, Any] = {name: {"apply": "auto"} for name in ("customers", "invoices", "payments", "items")}
    async with opened(books=Knobs(rates={"GBP": Decimal("1.3")})) as rig:
        await rig.pair_up(mapping(head=limit, **flows))
        rig.books.add(told("Acme", currency="GBP", emails={"general": "a@acme.example"}))
        acme = rig.crm.add(told("Acme", emails={"general": "a@acme.example"}))
        rig.crm.add(msgspec.structs.replace(deal(acme), amount=Money(Decimal(50), "GBP")))
        await rig.run("sync")
        plan = await rig.api.current_plan(rig.pair.id)
        assert plan is not None and ({"books.invoice.create": 1}, []) == (plan.counts, rig.invoices()), plan.waiting


async def test_alone_stops_at_a_guard(rig: Rig) -> None:
    """Held changes are nobody's to carry out without a person."""
    refs = await many(rig)
    await rig.pair_up(mapping(customers={**ALWAYS, "apply": "auto"}))
    edit(rig, refs[:30], notes="new")
    run = await rig.run("sync")
    plan = await rig.api.plan(run.result["plan_id"])
    assert (0, 30) == (noted(rig, "new"), plan.held)


async def test_a_sync_without_anything_to_do_alone_is_a_preview(rig: Rig) -> None:
    """It waits for Apply."""
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    run = await rig.run("sync")
    plan = await rig.api.current_plan(rig.pair.id)
    assert ("done", {}, 0) == (run.state, run.outcome, rig.writes())
    assert plan is not None and 2 == plan.changes
