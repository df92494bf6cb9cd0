"""Plans and changes: who is first is decided in the database, and what was approved is what is sent."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from connectors.canon.fields import FieldType
from connectors.canon.records import Customer, Invoice, InvoiceLine, Kind
from connectors.canon.values import ABSENT, Money
from tests.store.conftest import Place, a_plan, approved, change
from worker.engine.plan import FieldChange, Fingerprint, Relied, summed
from worker.store import plans, tallies
from worker.store.database import Database
from worker.store.plans import Intent, LostRace, Step
from worker.store.tables import plans as plans_table


async def intend(db: Database, plan_id: str, *ids: str, attempt: int = 0) -> bool:
    async with db.write() as tx:
        until = await tx.now() + timedelta(seconds=30)
        return await plans.intend(
            tx, plan_id, [Intent(id=i, attempt=attempt, call_key="k", mark="7", call_until=until) for i in ids]
        )


async def states(db: Database, plan_id: str) -> list[str]:
    async with db.read() as tx:
        return [stored.state for stored in await plans.read_changes(tx, plan_id)]


# --------------------------------------------------------------------------- as it was stored


async def test_a_change_comes_back_as_it_was(db: Database, place: Place) -> None:
    """Every part of it: fields with absent and empty values, record, money, what it needs and relies on."""
    name = FieldChange(
        path="legal_name", rule="name:legal_name", type=FieldType.TEXT, before=None, after="Acme",
        seen="Acme ", seen_type=FieldType.TEXT, overwrites=ABSENT, empties=False,
    )  # fmt: skip
    first = change("d1", held="guard: too many")
    whole = change(
        "d2", fields=(name,), needs=(first.id,), requires=(Relied("crm", Kind.DEAL, "d2", "abc"),), group_id="g",
        group_seq=2, compensation="void", position_id="po1", generation=1, link_id="lk1",
        record=Invoice(customer="c1", date=date(2026, 11, 1), lines=(InvoiceLine(net=Decimal("33.10")),)),
    )  # fmt: skip
    plan_id = await a_plan(db, place, first, whole)
    async with db.read() as tx:
        stored = await plans.read_changes(tx, plan_id)
    assert [("held", "guard: too many"), ("planned", None)] == [(s.state, s.reason) for s in stored]
    assert whole == stored[1].change


async def test_one_change_for_a_record(db: Database, place: Place) -> None:
    """Two writes of one record in a plan are refused: one would overwrite the other's base."""
    update_ = {"operation": "update", "kind": Kind.CUSTOMER, "ref": "b1", "record": None, "net": None}
    with pytest.raises(IntegrityError):
        await a_plan(db, place, change("c1", **update_), change("c2", **update_))


# --------------------------------------------------------------------------- one open plan


async def test_a_new_preview_supersedes_the_open_one(db: Database, place: Place) -> None:
    """The old *Apply* finds that its plan is replaced."""
    old = await a_plan(db, place, change())
    new = await a_plan(db, place, change())
    async with db.read() as tx:
        found = [plan.state for i in (old, new) if (plan := await plans.get_plan(tx, i)) is not None]
    assert (["superseded", "open"], False, True) == (found, await approved(db, old), await approved(db, new))


async def test_a_pair_has_one_open_plan(db: Database, place: Place) -> None:
    """The index says so, not only the code that finishes plans."""
    old, _ = await a_plan(db, place, change()), await a_plan(db, place, change())
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await tx.run(update(plans_table).where(plans_table.c.id == old).values(state="open"))


async def test_a_plan_that_is_applied_stays(db: Database, place: Place) -> None:
    """A plan drawn meanwhile is discarded instead."""
    applying = await a_plan(db, place, change())
    assert await approved(db, applying)
    late = await a_plan(db, place, change())
    async with db.read() as tx:
        current, discarded = await plans.current_plan(tx, place.pair), await plans.get_plan(tx, late)
    assert current is not None and discarded is not None
    assert (applying, "applying", "discarded") == (current.id, current.state, discarded.state)


# --------------------------------------------------------------------------- approval


async def test_approved_once_as_it_was_shown(db: Database, place: Place) -> None:
    """Ten presses at once: one is first. Another fingerprint is another plan."""
    plan_id = await a_plan(db, place, change())
    assert not await approved(db, plan_id, "f2")
    assert [True] == [won for won in await asyncio.gather(*(approved(db, plan_id) for _ in range(10))) if won]


async def test_an_expired_plan_is_not_applied(db: Database, place: Place) -> None:
    """A day later the world is another."""
    plan_id = await a_plan(db, place, change())
    db.shift += timedelta(hours=25)
    assert not await approved(db, plan_id)
    async with db.write() as tx:
        await plans.expire_plans(tx)
        plan = await plans.get_plan(tx, plan_id)
    assert plan is not None and "expired" == plan.state


async def test_an_approval_covers_a_subset_never_more(db: Database, place: Place) -> None:
    """What was not chosen is discarded with the plan, and stays dirty for the next."""
    one, two = change("d1"), change("d2")
    plan_id = await a_plan(db, place, one, two)
    assert await approved(db, plan_id, only=[two.id])
    assert ["discarded", "planned"] == await states(db, plan_id)


async def test_only_a_guards_hold_can_be_confirmed(db: Database, place: Place) -> None:
    """A flow that observes writes nothing, whoever confirms; nor does what needs something that is held."""
    guarded = change("d1", held="guard: 30 customers would be changed")
    observed = change("d2", held="invoices only observe: set apply to ask or auto")
    plan_id = await a_plan(db, place, guarded, observed)
    async with db.write() as tx:
        assert 1 == await plans.release(tx, plan_id, None, "tests")
    assert ["planned", "held"] == await states(db, plan_id)


# --------------------------------------------------------------------------- intents


async def test_two_workers_cannot_both_send(db: Database, place: Place) -> None:
    """The compare-and-set on (change, attempt, plan state): of ten that try at once one may send."""
    one = change()
    plan_id = await a_plan(db, place, one)
    await approved(db, plan_id)

    async def try_it() -> bool:
        try:
            return await intend(db, plan_id, one.id)
        except LostRace:
            return False

    assert 1 == sum(await asyncio.gather(*(try_it() for _ in range(10))))
    assert ["intended"] == await states(db, plan_id)


async def test_saboteur_a_look_before_the_write_sends_twice(db: Database, place: Place) -> None:
    """Read the state, then send: both workers read `planned`."""
    one = change()
    plan_id = await a_plan(db, place, one)
    await approved(db, plan_id)
    seen = [await states(db, plan_id) for _ in range(2)]
    assert [["planned"], ["planned"]] == seen


async def test_a_batch_is_intended_whole_or_not_at_all(db: Database, place: Place) -> None:
    """One item that somebody else has sent keeps the whole call back, and leaves no trace of it."""
    one, two = change("d1"), change("d2")
    plan_id = await a_plan(db, place, one, two)
    await approved(db, plan_id)
    await intend(db, plan_id, two.id)
    with pytest.raises(LostRace):
        await intend(db, plan_id, one.id, two.id)
    assert ["planned", "intended"] == await states(db, plan_id)


@pytest.mark.parametrize("state", ["open", "superseded", "discarded", "applied"])
async def test_nothing_is_intended_but_for_a_plan_that_is_applied(db: Database, place: Place, state: str) -> None:
    """Without approval, or once the plan is over, no call goes out."""
    one = change()
    plan_id = await a_plan(db, place, one)
    async with db.write() as tx:
        await plans.close_plan(tx, plan_id, state)
    assert not await intend(db, plan_id, one.id)


async def test_attempt_rises_with_each_intent(db: Database, place: Place) -> None:
    """After a definite no the next call has another key; the old attempt cannot send."""
    one = change()
    plan_id = await a_plan(db, place, one)
    await approved(db, plan_id)
    await intend(db, plan_id, one.id)
    async with db.write() as tx:
        await plans.step(tx, [Step(id=one.id, to="planned", reason="429")])
    with pytest.raises(LostRace):
        await intend(db, plan_id, one.id, attempt=0)
    assert await intend(db, plan_id, one.id, attempt=1)


# --------------------------------------------------------------------------- steps


async def test_a_step_moves_only_from_where_it_starts(db: Database, place: Place) -> None:
    """An outcome for a change that is settled already changes nothing."""
    one = change()
    plan_id = await a_plan(db, place, one)
    await approved(db, plan_id)
    await intend(db, plan_id, one.id)
    async with db.write() as tx:
        done = Step(id=one.id, to="done", ref="i1", stored=Invoice(ref="i1"), customer="b1", request_id="r9")
        late = Step(id=one.id, to="unknown", come_from=("intended",))
        moved = [await plans.step(tx, [step]) for step in (done, late)]
        stored = (await plans.read_changes(tx, plan_id))[0]
    assert ([[one.id], []], "done", "i1", "r9") == (moved, stored.state, stored.change.ref, stored.request_id)


async def test_open_intents_are_those_on_their_way_or_in_doubt(db: Database, place: Place) -> None:
    """What the sweeper and the probes look for, whichever plan they belong to."""
    items = [change(f"d{n}") for n in range(4)]
    plan_id = await a_plan(db, place, *items)
    await approved(db, plan_id)
    await intend(db, plan_id, *(c.id for c in items[:3]))
    async with db.write() as tx:
        await plans.step(tx, [Step(id=items[0].id, to="unknown"), Step(id=items[1].id, to="done")])
        found = await plans.open_intents(tx, place.pair)
        counted = await plans.count_states(tx, plan_id)
    assert [("unknown", "7"), ("intended", "7")] == [(s.state, s.mark) for s in found]
    assert {"unknown": 1, "done": 1, "intended": 1, "planned": 1} == counted


async def test_tallies_count_records_in_a_window(db: Database, place: Place) -> None:
    """Distinct records, not writes; what is older than the window does not count."""
    row = {"side": "books", "kind": "customer", "rule": "", "what": "changed"}
    long = {**row, "what": "emptied:properties.a_property_with_a_rather_long_name_of_its_own"}
    async with db.write() as tx:
        await tallies.add(tx, place.pair, [{**row, "ref": "b0"}])
    db.shift += timedelta(hours=25)
    async with db.write() as tx:
        await tallies.add(tx, place.pair, [{**row, "ref": "b1"}, {**row, "ref": "b1"}, {**row, "ref": "b2"}])
        await tallies.add(tx, place.pair, [{**long, "ref": "b1"}])
        found = await tallies.window(tx, place.pair, await tx.now() - timedelta(hours=24))
    assert {
        ("books", Kind.CUSTOMER, "changed"): {"b1", "b2"},
        ("books", Kind.CUSTOMER, long["what"]): {"b1"},
    } == found


async def test_customers_that_were_billed(db: Database, place: Place) -> None:
    """By the books' ref of documents that are done."""
    one = change()
    plan_id = await a_plan(db, place, one)
    await approved(db, plan_id)
    await intend(db, plan_id, one.id)
    async with db.write() as tx:
        assert set() == await plans.customers_with_documents(tx, place.pair, ["b1", "b2"])
        await plans.step(tx, [Step(id=one.id, to="done", ref="i1", customer="b1")])
        assert {"b1"} == await plans.customers_with_documents(tx, place.pair, ["b1", "b2"])


# --------------------------------------------------------------------------- fingerprint and sum


def _print(*items: object) -> str:
    whole = Fingerprint()
    for item in items:
        whole.add(item)  # type: ignore[arg-type]  # they are changes
    return whole.hexdigest()


def test_fingerprint_is_of_what_is_shown_not_of_ids() -> None:
    """Two previews of the same world are the same plan, also where an invoice names a customer yet to be made;
    another amount, order or hold is another."""

    def drawn(net: str = "10") -> list[object]:
        made = change("c1", flow="customers", kind=Kind.CUSTOMER, source_kind=Kind.CUSTOMER, record=Customer())
        record = Invoice(customer=f"@{made.id}", lines=(InvoiceLine(net=Decimal(net)),))
        return [made, change("d1", needs=(made.id,), record=record)]

    same, other = drawn(), drawn("11")
    assert _print(*drawn()) == _print(*same)
    assert _print(*same) != _print(*other)
    assert _print(*same) != _print(*reversed(same))
    assert _print(change()) != _print(change(held="guard: x"))


def test_held_changes_add_no_money() -> None:
    """The first line of a preview counts what would be posted."""
    found = summed([change("d1"), change("d2", net=Money(Decimal("0.10"), "USD"), total=Decimal("0.11")),
                    change("d3", held="x")])  # fmt: skip
    assert (2, 1, {"USD": Decimal("100.10")}, {"USD": Decimal("8.01")}) == (
        found.changes, found.held, found.net, found.tax,
    )  # fmt: skip
