"""Propose a plan: from everything dirty to an ordered, guarded, fingerprinted list of changes in the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.crash import crash
from worker.engine.drawing import Drawing, Subject, Waiting
from worker.engine.guard import emptied_side, trips
from worker.engine.plan import FLOW_ORDER, Change, Fingerprint, Sum, held_together, summed
from worker.outside import new_id
from worker.store import conflicts as conflict_store
from worker.store import connections, dirty_set, links, mirror, plans, tallies
from worker.store.audit import Entry, append
from worker.store.database import Unit, chunks
from worker.store.dirty_set import Dirt, Parked
from worker.usecases.office import OTHER, SIDES, Desk
from worker.usecases.propose_documents import propose_documents
from worker.usecases.propose_linked import propose_linked
from worker.usecases.propose_payments import propose_payments
from worker.usecases.scope import customers_scope, gather, items_scope

SLICE = 5_000


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands now. `refused`: why nothing was planned at all; `emptied`: since a side looks empty."""

    plan_id: str
    fingerprint: str
    summary: Sum
    superseded: tuple[str, ...] = ()
    refused: str | None = None
    emptied: bool = False


Hold: TypeAlias = Callable[[Unit], Awaitable[None]]


async def nobody_else(tx: Unit) -> None:
    """For whoever plans without a lease."""


async def propose_plan(
    desk: Desk, run_id: str, *, emptied_by: str | None = None, still_ours: Hold = nobody_else
) -> Proposed:
    """Draw the pair's plan. Everything it reads and writes is one transaction: what was dirty is planned, or
    settled, or waits with its reason; nothing is lost between two plans. `emptied_by`: who confirmed that a
    side that looks empty is. `still_ours` is called last, and raises if the lease was lost: then nothing is
    decided."""
    async with desk.db.write() as tx:
        busy, empty = await is_applied(tx, desk), await _looks_empty(tx, desk)
        if empty is not None and emptied_by is not None:
            await append(
                tx, desk.pair.id, [Entry(action="guard.confirmed", actor=emptied_by, subject=run_id, why=empty)]
            )
            empty = None
        refused = busy or empty
        drawing = Drawing()
        changes = await _drawn(tx, desk, drawing) if refused is None else []
        proposed = await store_plan(tx, desk, run_id, changes, refused)
        await append(tx, desk.pair.id, _entries(drawing, proposed, run_id, len(changes)))
        await still_ours(tx)
        crash("plan.stored")
    crash("plan.committed")
    return msgspec.structs.replace(proposed, emptied=busy is None and empty is not None)


async def is_applied(tx: Unit, desk: Desk) -> str | None:
    """While a plan is carried out nothing else is planned: what is on its way would look like something new."""
    current = await plans.current_plan(tx, desk.pair.id)
    if current is None or current.state != "applying":
        return None
    return "a plan is still being carried out: preview again when it is done"


async def _looks_empty(tx: Unit, desk: Desk) -> str | None:
    linked, alive = await links.linked_and_alive(tx, desk.pair.id, {side: desk.pair.connection(side) for side in SIDES})
    return emptied_side(linked, alive)


async def _drawn(tx: Unit, desk: Desk, drawing: Drawing) -> list[Change]:
    """The plan's changes; what else was decided on the way is stored."""
    dirt = await _draw(tx, desk, drawing)
    changes = await guarded(tx, desk, held_by_flow(desk, _ordered(drawing.changes)))
    await _store_decisions(tx, desk, drawing, changes, dirt)
    return changes


async def _draw(tx: Unit, desk: Desk, drawing: Drawing) -> Dirt:
    known = await gather(tx, desk)
    customers, items = customers_scope(desk, known), items_scope(desk, known)
    for scope in (customers, items):
        if scope.named and scope.kind in desk.connector("crm").facts.kinds:
            await propose_linked(tx, scope, drawing)
    await propose_documents(tx, desk, customers, items, drawing)
    await propose_payments(tx, desk, known, drawing)
    return known.dirt


def _ordered(changes: Sequence[Change]) -> list[Change]:
    """Customers and items before the documents that name them, documents before what is written back."""
    rank = {flow: n for n, flow in enumerate(FLOW_ORDER)}
    return sorted(changes, key=lambda change: (rank[change.flow], change.operation != "create"))


def held_by_flow(desk: Desk, changes: list[Change]) -> list[Change]:
    """A flow that only observes writes nothing, and what needs one of its changes waits with it."""
    flows = {
        "customers": desk.mapping.customers,
        "items": desk.mapping.items,
        "invoices": desk.mapping.invoices,
        "payments": desk.mapping.payments,
    }
    observed = {name for name, flow in flows.items() if flow is not None and flow.apply == "observe"}
    held: dict[str, str] = {}
    for change in changes:
        if change.flow in observed:
            held[change.id] = f"{change.flow} only observe: set apply to ask or auto"
        elif any(need in held for need in change.needs):
            held[change.id] = "it needs a change that is held"
    return [
        msgspec.structs.replace(change, held=held[change.id]) if change.id in held else change for change in changes
    ]


async def guarded(tx: Unit, desk: Desk, changes: list[Change]) -> list[Change]:
    """The changes, with what a guard holds back held."""
    now = await tx.now()
    done = await tallies.window(tx, desk.pair.id, now - timedelta(hours=24))
    population = {}
    for side in SIDES:
        for kind, number in (await mirror.counts(tx, desk.pair.connection(side))).items():
            population[side, kind] = number
    free = [change for change in changes if change.held is None]
    held = {id_: trip.reason for trip in trips(free, done, population, desk.mapping.guards) for id_ in trip.change_ids}
    return held_together(
        [
            msgspec.structs.replace(change, held=f"{plans.GUARD}{held[change.id]}") if change.id in held else change
            for change in changes
        ]
    )


async def store_plan(
    tx: Unit, desk: Desk, run_id: str, changes: list[Change], refused: str | None, *, undoes: str | None = None
) -> Proposed:
    """Store the changes as the pair's open plan, fingerprinted. `undoes`: the run that it takes back."""
    pair_id, plan_id = desk.pair.id, new_id("pl")
    await plans.open_plan(tx, pair_id, plan_id, run_id, desk.pair.mapping_version, undoes=undoes)
    fingerprint = Fingerprint()
    for start in range(0, len(changes), SLICE):
        part = changes[start : start + SLICE]
        for change in part:
            fingerprint.add(change)
        await plans.store_changes(tx, pair_id, plan_id, start, part)
    open_now = await conflict_store.count_open(tx, pair_id)
    waiting = sum((await connections.waiting_counts(tx, pair_id)).values())
    summary = summed(changes, conflicts=open_now, waiting=waiting)
    older = await plans.finish_plan(tx, pair_id, plan_id, fingerprint.hexdigest(), summary)
    return Proposed(
        plan_id=plan_id,
        fingerprint=fingerprint.hexdigest(),
        summary=summary,
        superseded=tuple(older),
        refused=refused,
    )


def _entries(drawing: Drawing, proposed: Proposed, run_id: str, changes: int) -> list[Entry]:
    """What planning itself decided: what belongs together, and what was proposed."""
    found = [
        Entry(action=j.how, actor="tieout", subject=_named(j.records[0]), source=_named(j.records[1]), run=run_id,
              why=j.why)
        for j in drawing.joined
    ]  # fmt: skip
    if changes:
        detail = {"changes": changes, "fingerprint": proposed.fingerprint}
        proposal = Entry(action="plan.proposed", actor="tieout", subject=proposed.plan_id, run=run_id, detail=detail)
        found.append(proposal)
    return found


def _named(subject: Subject) -> str:
    return f"{subject.side}:{subject.kind.value}:{subject.ref}"


async def _store_decisions(tx: Unit, desk: Desk, drawing: Drawing, changes: Sequence[Change], dirt: Dirt) -> None:
    """Bases that moved by agreement, questions, records that leave the dirty set, records that wait."""
    pair_id = desk.pair.id
    await links.store_bases(tx, drawing.bases)
    for kind, ref, rule, verdict in drawing.lifted:
        await conflict_store.lift(tx, pair_id, ("crm", kind, ref), rule, verdict)
    considered = {(s.side, s.kind, s.ref) for s in drawing.considered}
    await conflict_store.close_unasked(tx, pair_id, considered, drawing.asked, drawing.fields)
    await conflict_store.ask(tx, pair_id, drawing.asked)
    busy = drawing.busy | {subject for change in changes for subject in _subjects(change)}
    made = {_subjects(c)[0] for c in changes if c.operation == "create" and c.kind is c.source_kind}
    parked = _parked(drawing, dirt, busy, made)
    waiting = {Subject(row.side, row.kind, row.ref) for row in parked}
    stamps = {(r.side, r.kind, r.ref): found.stamp for r in parked if (found := dirt.row(r.side, r.kind, r.ref))}
    settled = [
        row
        for s in dict.fromkeys(drawing.settled)
        if s not in waiting and s not in busy and (row := dirt.row(s.side, s.kind, s.ref)) is not None
    ]
    await dirty_set.forget_reasons(tx, pair_id, desk.settings)
    for part in chunks(parked, SLICE):
        await dirty_set.park(tx, pair_id, part, desk.settings, stamps)
    for cleared in chunks(settled, SLICE):
        await dirty_set.clear(tx, pair_id, cleared)
    crash("parked.stored")


def _subjects(change: Change) -> list[Subject]:
    """The records that a change is planned from and for. They stay dirty until the change is done, for it may be
    discarded, expire or go stale."""
    source: Side = "crm" if change.source_kind is Kind.DEAL else OTHER[change.side]
    found = [Subject(source, change.source_kind, change.source_ref)]
    return found if change.ref is None else [*found, Subject(change.side, change.kind, change.ref)]


def _parked(drawing: Drawing, dirt: Dirt, busy: Collection[Subject], made: Collection[Subject]) -> list[Parked]:
    """One row for each record that waits, with all its reasons. What waited to be `made` waits no more."""
    waits: dict[Subject, list[Waiting]] = {}
    for wait in drawing.waiting:
        waits.setdefault(wait.subject, []).append(wait)
    return [
        Parked(
            side=subject.side,
            kind=subject.kind,
            ref=subject.ref,
            reason="; ".join(dict.fromkeys(w.reason for w in said if w.reason is not None)) or None,
            waits_for=next((w.waits_for for w in said if w.waits_for is not None), None),
            again=subject in busy or any(w.again for w in said),
        )
        for subject, said in waits.items()
        if subject not in made and dirt.row(subject.side, subject.kind, subject.ref) is not None
    ]
