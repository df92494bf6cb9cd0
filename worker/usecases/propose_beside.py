"""A small plan beside one that is half carried out: what a person decided about one linked record does not wait for a
backfill of thousands.

While a plan is carried out nothing else is planned, for what is on its way would look like something new. A record that
is linked on both sides is never new, so its own changes can be drawn alone: from a read of both its records now, out of
the same dirty set and bases. Nothing else is decided with it: no question, no agreement, no mark is moved, so the next
whole plan sees all that this one left. If the plan that is half carried out holds a change of the same record, that
change finds its fields moved and is stale, or still true.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connectors.canon.records import Kind
from worker.crash import crash
from worker.engine.drawing import Drawing
from worker.engine.plan import Change, Fingerprint, summed
from worker.outside import new_id
from worker.store import conflicts, links, plans, runs
from worker.store.audit import Entry, append
from worker.store.conflicts import Conflict
from worker.store.database import Unit
from worker.store.dirty_set import Dirt, DirtyRow
from worker.store.links import Link
from worker.usecases.office import SIDES, Desk
from worker.usecases.propose_linked import propose_linked
from worker.usecases.propose_plan import Hold, guarded, held_by_flow
from worker.usecases.pull import refresh
from worker.usecases.scope import customers_scope, gather, items_scope


async def propose_beside(desk: Desk, run_id: str, number: int, by: str, still_ours: Hold) -> str | None:
    """The id of an approved plan that carries out the answer to question `number`, and nothing else; the run has it in
    the same unit. None: it cannot be carried out beside another plan, or there is nothing to write; what was decided
    stays dirty."""
    async with desk.db.read() as tx:
        answered = await _answered(tx, desk, number)
    if answered is None:
        return None
    for side in SIDES:
        await refresh(desk, side, answered.kind, [ref for ref in (answered.ref(side),) if ref is not None])
    async with desk.db.write() as tx:
        link = await _answered(tx, desk, number)
        if link is None or await _is_under_way(tx, desk, link):
            return None
        changes = await _drawn(tx, desk, link)
        plan_id = await _store(tx, desk, run_id, changes, by) if changes else None
        await still_ours(tx)
        crash("beside.stored")
    crash("beside.committed")
    return plan_id


async def _answered(tx: Unit, desk: Desk, number: int) -> Link | None:
    """The link that an answered question about a field was about."""
    conflict: Conflict | None = await conflicts.get(tx, desk.pair.id, number)
    if conflict is None or conflict.state != "settled" or conflict.question.link_id is None:
        return None
    link = (await links.get_links(tx, [conflict.question.link_id])).get(conflict.question.link_id)
    return link if link is not None and None not in (link.crm, link.books) else None


async def _is_under_way(tx: Unit, desk: Desk, link: Link) -> bool:
    """Whether a write to one of its records was sent whose end nobody knows."""
    open_now = await plans.open_intents(tx, desk.pair.id)
    return any(s.change.link_id == link.id for s in open_now)


async def _drawn(tx: Unit, desk: Desk, link: Link) -> list[Change]:
    known = await gather(tx, desk)
    rows = [known.dirt.row(side, link.kind, ref) for side in SIDES if (ref := link.ref(side)) is not None]
    alone = msgspec.structs.replace(known, dirt=Dirt([_awake(row) for row in rows if row is not None]))
    scope = (customers_scope if link.kind is Kind.CUSTOMER else items_scope)(desk, alone)
    drawing = Drawing()
    if scope.named:
        await propose_linked(tx, scope, drawing)
    changes = await guarded(tx, desk, held_by_flow(desk, drawing.changes))
    return [change for change in changes if change.link_id == link.id and change.held is None and not change.needs]


def _awake(row: DirtyRow) -> DirtyRow:
    """It may have waited for the answer."""
    return msgspec.structs.replace(row, parked=False)


async def _store(tx: Unit, desk: Desk, run_id: str, changes: Sequence[Change], by: str) -> str:
    plan_id, fingerprint = new_id("pl"), Fingerprint()
    await plans.open_plan(tx, desk.pair.id, plan_id, run_id, desk.pair.mapping_version)
    for change in changes:
        fingerprint.add(change)
    await plans.store_changes(tx, desk.pair.id, plan_id, 0, changes)
    await plans.begin_beside(tx, plan_id, fingerprint.hexdigest(), summed(changes), by)
    await runs.set_plan(tx, run_id, plan_id)
    detail = {"changes": len(changes), "fingerprint": fingerprint.hexdigest()}
    why = "the answer to a question, beside a plan that is being carried out"
    entries = [Entry(action="plan.proposed", actor="tieout", subject=plan_id, run=run_id, detail=detail),
               Entry(action="plan.approved", actor=by, subject=plan_id, run=run_id, why=why)]  # fmt: skip
    await append(tx, desk.pair.id, entries)
    return plan_id
