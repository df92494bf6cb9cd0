"""Propose a plan: from everything dirty to an ordered, guarded, fingerprinted list of changes in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from connectors.canon.records import Kind
from worker.engine.drawing import Drawing, Subject
from worker.engine.guard import emptied_side, trips
from worker.engine.plan import FLOW_ORDER, Change, Fingerprint, Sum, summed
from worker.outside import new_id
from worker.store import conflicts as conflict_store
from worker.store import connections, links, mirror, plans
from worker.store.audit import Entry, append
from worker.store.conflicts import Question
from worker.store.database import Unit, chunks
from worker.store.mirror import Parked
from worker.usecases.office import SIDES, Desk
from worker.usecases.propose_documents import propose_documents
from worker.usecases.propose_linked import customers_scope, decisions, items_scope, open_intents, propose_linked
from worker.usecases.propose_payments import propose_payments

SLICE = 5_000


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands now. `refused`: why nothing was planned at all."""

    plan_id: str
    fingerprint: str
    summary: Sum
    superseded: tuple[str, ...] = ()
    refused: str | None = None


async def propose_plan(desk: Desk, run_id: str) -> Proposed:
    """Draw the pair's plan. Everything it reads and writes is one transaction: what was dirty is planned, or
    settled, or waits with its reason; nothing is lost between two plans."""
    async with desk.db.write() as tx:
        refused = await _looks_empty(tx, desk)
        drawing = Drawing()
        if refused is None:
            await _draw(tx, desk, drawing)
        changes = _held_by_flow(desk, _ordered(drawing.changes))
        changes = await _guarded(tx, desk, changes)
        return await _store(tx, desk, run_id, drawing, changes, refused)


async def _looks_empty(tx: Unit, desk: Desk) -> str | None:
    linked, alive = await links.linked_and_alive(tx, desk.pair.id, {side: desk.pair.connection(side) for side in SIDES})
    return emptied_side(linked, alive)


async def _draw(tx: Unit, desk: Desk, drawing: Drawing) -> None:
    decided = await decisions(tx, desk)
    intents = await open_intents(tx, desk)
    refused = await mirror.refused(tx, desk.pair.id, desk.settings)
    customers = customers_scope(desk, decided, intents, refused)
    items = items_scope(desk, decided, intents, refused)
    for scope, flow in ((customers, desk.mapping.customers), (items, desk.mapping.items)):
        if flow is not None and scope.kind in desk.connector("crm").facts.kinds:
            await propose_linked(tx, scope, drawing)
    await propose_documents(tx, desk, customers, items, drawing)
    await propose_payments(tx, desk, drawing)


def _ordered(changes: Sequence[Change]) -> list[Change]:
    """Customers and items before the documents that name them, documents before what is written back."""
    rank = {flow: n for n, flow in enumerate(FLOW_ORDER)}
    return sorted(changes, key=lambda change: (rank[change.flow], change.operation != "create"))


def _held_by_flow(desk: Desk, changes: list[Change]) -> list[Change]:
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


async def _guarded(tx: Unit, desk: Desk, changes: list[Change]) -> list[Change]:
    now = await tx.now()
    done = await plans.window(tx, desk.pair.id, now - timedelta(hours=24))
    population = {}
    for side in SIDES:
        for kind, number in (await mirror.counts(tx, desk.pair.connection(side))).items():
            population[side, kind] = number
    free = [change for change in changes if change.held is None]
    held = {id_: trip.reason for trip in trips(free, done, population, desk.mapping.guards) for id_ in trip.change_ids}
    return [
        msgspec.structs.replace(change, held=f"guard: {held[change.id]}") if change.id in held else change
        for change in changes
    ]


async def _store(
    tx: Unit, desk: Desk, run_id: str, drawing: Drawing, changes: list[Change], refused: str | None
) -> Proposed:
    pair_id, plan_id = desk.pair.id, new_id("pl")
    await _store_decisions(tx, desk, drawing)
    asked = [Question(**msgspec.structs.asdict(a), fingerprint=a.fingerprint) for a in drawing.asked]
    still = {(q.kind, q.ref, q.rule) for q in asked}
    await conflict_store.obsolete(tx, pair_id, [key for key in drawing.answered if key not in still])
    await conflict_store.ask(tx, pair_id, asked)
    await plans.open_plan(tx, pair_id, plan_id, run_id, desk.pair.mapping_version)
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
    if changes:
        await append(
            tx,
            pair_id,
            [Entry(action="plan.proposed", actor="tieout", subject=plan_id, run=run_id,
                   detail={"changes": len(changes), "fingerprint": fingerprint.hexdigest()})],
        )  # fmt: skip
    return Proposed(
        plan_id=plan_id,
        fingerprint=fingerprint.hexdigest(),
        summary=summary,
        superseded=tuple(older),
        refused=refused,
    )


async def _store_decisions(tx: Unit, desk: Desk, drawing: Drawing) -> None:
    """Bases that moved by agreement, records that leave the dirty set, records that wait."""
    await links.store_bases(tx, drawing.bases)
    for kind, ref, rule in drawing.lifted:
        await conflict_store.lift(tx, desk.pair.id, ("crm", kind, ref), rule, "value")
    rows = {
        Subject(row.side, row.kind, row.ref): row
        for row in await mirror.dirty_rows(
            tx, desk.pair.id, [(side, kind) for side in SIDES for kind in Kind], desk.settings
        )
    }
    waiting: dict[Subject, Parked] = {}
    for subject, reason, waits_for in drawing.waiting:
        before = waiting.get(subject)
        waiting[subject] = Parked(
            side=subject.side,
            kind=subject.kind,
            ref=subject.ref,
            reason=f"{before.reason}; {reason}" if before is not None else reason,
            waits_for=waits_for or (before.waits_for if before is not None else None),
        )
    parked = [row for subject, row in waiting.items() if subject in rows]
    stamps = {(s.side, s.kind, s.ref): row.stamp for s, row in rows.items()}
    changing = {Subject(c.side, c.kind, c.ref) for c in drawing.changes if c.ref is not None}
    settled = [rows[s] for s in dict.fromkeys(drawing.settled) if s in rows and s not in waiting and s not in changing]
    for part in chunks(parked, SLICE):
        await mirror.park_dirty(tx, desk.pair.id, part, desk.settings, stamps)
    for cleared in chunks(settled, SLICE):
        await mirror.clear_dirty(tx, desk.pair.id, cleared)
