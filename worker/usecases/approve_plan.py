"""Approve a plan, or a part of it: by one person, or by as many as its sum needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.records import Kind
from worker.crash import crash
from worker.engine.guard import over_limit
from worker.engine.mapping import Mapping as PairMapping
from worker.engine.mapping import parse
from worker.engine.plan import left_out
from worker.store import approvals, audit, connections, plans, runs
from worker.store.database import Unit
from worker.store.plans import PlanRow, StoredChange
from worker.store.runs import Lane
from worker.usecases.post_messages import tell_plan

# All of it; all but documents and payments; or kinds of changes, like "books.customer.create".
Part: TypeAlias = Literal["all", "without_money"] | tuple[str, ...]

_DOCUMENTS = (Kind.INVOICE.value, Kind.CREDIT_NOTE.value, Kind.PAYMENT.value)


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


async def approve_plan(
    tx: Unit,
    plan_id: str,
    fingerprint: str,
    by: str,
    part: Part,
    request: Mapping[str, Any],
    *,
    confirm_held: bool = False,
    lane: Lane = "realtime",
) -> Approved:
    """Agree to a plan as it was shown; with enough agreeing, a run carries it out. `confirm_held`: to what a guard
    holds of it too. `request` goes into the run's. Raises LookupError, NotThatPlan or OwnRules."""
    row = await plans.get_plan(tx, plan_id)
    if row is None:
        raise LookupError(f"there is no plan {plan_id}")
    if row.state != "open" or row.fingerprint != fingerprint:
        raise NotThatPlan(row.state if row.fingerprint == fingerprint else "superseded", row.approved_by)
    mapping = parse(await connections.mapping_text(tx, row.pair_id, row.mapping_version))
    await _not_their_own(tx, row, mapping, by)
    chosen = await _chosen(tx, plan_id, part, confirm_held)
    needed = _needed(mapping, chosen)
    covers = msgspec.json.encode((part, "held") if confirm_held else part).decode()
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
    confirmed = [s for s in chosen if s.state == "held"]
    if confirmed:
        await plans.release(tx, plan_id, only, ", ".join(agreed))
    run_id = await runs.ask(tx, row.pair_id, "apply", {**request, "plan_id": plan_id}, by, lane)
    crash("approval.consumed")
    detail = {"fingerprint": fingerprint, "part": covers, "agreed": list(agreed)}
    approved = audit.Entry(action="plan.approved", actor=by, subject=plan_id, run=run_id, detail=detail)
    await audit.append(tx, row.pair_id, [*_guards(plan_id, run_id, by, confirmed), approved])
    return Approved(run_id=run_id, by=agreed, needed=needed)


def _guards(plan_id: str, run_id: str, by: str, confirmed: Sequence[StoredChange]) -> list[audit.Entry]:
    """Each guard that was confirmed, with what it said and how many changes it held."""
    held = Counter((stored.reason or "").removeprefix(plans.GUARD) for stored in confirmed)
    return [
        audit.Entry(
            action="guard.confirmed", actor=by, subject=plan_id, run=run_id, why=why, detail={"changes": number}
        )
        for why, number in sorted(held.items())
    ]


async def _not_their_own(tx: Unit, row: PlanRow, mapping: PairMapping, by: str) -> None:
    """accounting.md, "Who may do what": switched on by naming mapping or rules under four_eyes."""
    apart = {"mapping", "rules"} & set(mapping.four_eyes)
    if apart and await connections.mapping_saved_by(tx, row.pair_id, row.mapping_version) == by:
        raise OwnRules


async def _chosen(tx: Unit, plan_id: str, part: Part, confirm_held: bool) -> list[StoredChange]:
    """The part's changes with everything they need. What needs something left out is left out, and a group goes
    whole or not at all."""
    every = await plans.read_changes(tx, plan_id, ["planned", "held"] if confirm_held else ["planned"])
    every = [s for s in every if s.state == "planned" or (s.reason or "").startswith(plans.GUARD)]
    if part == "all":
        return every
    changes = [s.change for s in every]
    if part == "without_money":
        out = left_out(changes, {change.id for change in changes if change.is_money})
    else:
        out = left_out(changes, {change.id for change in changes} - _wanted(every, part))
    return [s for s in every if s.change.id not in out]


def _wanted(every: Sequence[StoredChange], part: tuple[str, ...]) -> set[str]:
    """Changes of these kinds, and all that they need."""
    wanted = {s.change.id for s in every if group_of(s) in part}
    needs = {s.change.id: s.change.needs for s in every}
    todo = list(wanted)
    while todo:
        more = [need for need in needs.get(todo.pop(), ()) if need not in wanted]
        wanted.update(more)
        todo += more
    return wanted


def group_of(stored: StoredChange) -> str:
    """As a plan's counts call it: "books.invoice.create"."""
    change = stored.change
    return f"{change.side}.{change.kind.value}.{change.operation}"


def _needed(mapping: PairMapping, chosen: Sequence[StoredChange]) -> int:
    """How many people it takes: as many as a large sum needs, and two for what the mapping names under four_eyes."""
    limit = mapping.guards.approvals
    free = [msgspec.structs.replace(s.change, held=None) for s in chosen]
    at_least = 2 if needs_two(map(group_of, chosen), mapping) else 1
    if limit is None or over_limit(free, mapping.guards) is None:
        return at_least
    return max(limit.approvers, at_least)


def needs_two(kinds: Iterable[str], mapping: PairMapping) -> bool:
    """accounting.md, "Who may do what": whether changes of these kinds ("books.invoice.void") hold credit notes or
    voids, where four_eyes names them."""
    found = set()
    for each in kinds:
        _, kind, operation = each.split(".")
        if kind == Kind.CREDIT_NOTE.value:
            found.add("credit_note")
        if kind in _DOCUMENTS and operation in ("void", "delete"):
            found.add("void")
    return not found.isdisjoint(mapping.four_eyes)
