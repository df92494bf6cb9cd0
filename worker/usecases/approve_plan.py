"""Approve a plan, or a part of it: by one person, or by as many as its sum needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from worker.engine.guard import over_limit
from worker.engine.mapping import Mapping as PairMapping
from worker.engine.mapping import parse
from worker.store import approvals, audit, connections, plans, runs
from worker.store.database import Unit
from worker.store.plans import PlanRow, StoredChange
from worker.usecases.post_messages import tell_plan

# All of it; all but documents and payments; or kinds of changes, like "books.customer.create".
Part: TypeAlias = Literal["all", "without_money"] | tuple[str, ...]


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """`run_id` None: more people have to agree. `by` has who agreed so far, `needed` how many it takes."""

    run_id: str | None
    by: tuple[str, ...]
    needed: int


class NotThatPlan(Exception):
    """It is not the plan that was shown any more, or somebody was first."""

    def __init__(self, state: str, by: str | None) -> None:
        super().__init__(state)
        self.state, self.by = state, by


class OwnRules(Exception):
    """Whoever changed the mapping may not approve what it lets through."""


async def approve_plan(tx: Unit, plan_id: str, fingerprint: str, by: str, part: Part, tell: dict[str, Any]) -> Approved:
    """Agree to a plan as it was shown; with enough agreeing, a run carries it out. Raises LookupError, NotThatPlan or
    OwnRules."""
    row = await plans.get_plan(tx, plan_id)
    if row is None:
        raise LookupError(f"there is no plan {plan_id}")
    if row.state != "open" or row.fingerprint != fingerprint:
        raise NotThatPlan(row.state if row.fingerprint == fingerprint else "superseded", row.approved_by)
    mapping = parse(await connections.mapping_text(tx, row.pair_id, row.mapping_version))
    await _not_their_own(tx, row, mapping, by)
    chosen = await _chosen(tx, plan_id, part)
    needed = _needed(mapping, chosen)
    covers = msgspec.json.encode(part).decode()
    await approvals.give(tx, plan_id, by, covers)
    agreed = await approvals.given(tx, plan_id, covers)
    if len(agreed) < needed:
        entry = audit.Entry(action="plan.agreed", actor=by, subject=plan_id, detail={"of": needed})
        await tell_plan(tx, row.pair_id, plan_id)
        await audit.append(tx, row.pair_id, [entry])
        return Approved(run_id=None, by=agreed, needed=needed)
    only = None if part == "all" else [stored.change.id for stored in chosen]
    if not await plans.approve(tx, plan_id, fingerprint, ", ".join(agreed), only):
        raise NotThatPlan("expired", None)
    run_id = await runs.ask(tx, row.pair_id, "apply", {"plan_id": plan_id, "tell": tell}, by)
    detail = {"fingerprint": fingerprint, "part": covers, "agreed": list(agreed)}
    await audit.append(tx, row.pair_id, [audit.Entry(action="plan.approved", actor=by, subject=plan_id, detail=detail)])
    return Approved(run_id=run_id, by=agreed, needed=needed)


async def _not_their_own(tx: Unit, row: PlanRow, mapping: PairMapping, by: str) -> None:
    """accounting.md, "Who may do what": switched on by naming mapping or rules under four_eyes."""
    apart = {"mapping", "rules"} & set(mapping.four_eyes)
    if apart and await connections.mapping_saved_by(tx, row.pair_id, row.mapping_version) == by:
        raise OwnRules


async def _chosen(tx: Unit, plan_id: str, part: Part) -> list[StoredChange]:
    """The part's changes with everything they need; what needs something left out is left out."""
    every = await plans.read_changes(tx, plan_id, ["planned"])
    if part == "all":
        return every
    if part == "without_money":
        return _without(every, {s.change.id for s in every if s.change.is_money})
    wanted = {s.change.id for s in every if group_of(s) in part}
    needs = {s.change.id: s.change.needs for s in every}
    todo = list(wanted)
    while todo:
        more = [need for need in needs.get(todo.pop(), ()) if need not in wanted]
        wanted.update(more)
        todo += more
    return [s for s in every if s.change.id in wanted]


def group_of(stored: StoredChange) -> str:
    """As a plan's counts call it: "books.invoice.create"."""
    change = stored.change
    return f"{change.side}.{change.kind.value}.{change.operation}"


def _without(every: Sequence[StoredChange], out: set[str]) -> list[StoredChange]:
    kept = []
    for stored in every:  # in order: what a change needs comes before it
        if stored.change.id in out or set(stored.change.needs) & out:
            out.add(stored.change.id)
        else:
            kept.append(stored)
    return kept


def _needed(mapping: PairMapping, chosen: Sequence[StoredChange]) -> int:
    limit = mapping.guards.approvals
    if limit is None or over_limit([s.change for s in chosen], mapping.guards) is None:
        return 1
    return limit.approvers
