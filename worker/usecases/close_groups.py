"""Effects of several calls that came to a half: what was made of them is taken back as was declared when they were
planned, and what cannot be is a question until a person closed it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from worker.crash import crash
from worker.engine.plan import Fingerprint, summed
from worker.engine.questions import Question
from worker.engine.undo import DONE, Written, take_back
from worker.outside import new_id
from worker.store import conflicts, plans, undoing
from worker.store.audit import Entry, append
from worker.usecases.apply_plan import Applied, apply_plan, end_plan
from worker.usecases.office import Desk
from worker.usecases.propose_undo import house_of, read_again, stand

BY = "tieout (half of it failed)"
CLOSES = "closes"  # the compensation of what is itself one


async def close_groups(desk: Desk, plan_id: str, groups: Sequence[str], run_id: str, actor: str) -> Applied | None:
    """Take back what was done of these groups of a plan that is over. What waits comes back; None: they are closed,
    or a person is asked."""
    async with desk.db.read() as tx:
        done = [w for w in await undoing.written(tx, plan_id) if w.change.group_id in groups]
        back = await undoing.taking_back(tx, [w.change.id for w in done])
    declared = [w for w in done if w.change.compensation is not None]
    if back is None and declared:
        back = await _begin(desk, plan_id, declared, run_id)
    if back is not None:
        applied = await apply_plan(desk, back, run_id, actor)
        if applied.not_before is not None:
            return applied
    await _ask(desk, plan_id)
    return None


async def _begin(desk: Desk, plan_id: str, done: Sequence[Written], run_id: str) -> str | None:
    """A plan of the reverse, approved with the plan that it belongs to. None: nothing can be taken back."""
    unseen = await read_again(desk, done)
    async with desk.db.write() as tx:
        now = await stand(tx, desk, plan_id, done, unseen)
        taken = take_back(done, now, await house_of(tx, desk), new_id, whole=False)
        changes = [msgspec.structs.replace(change, compensation=CLOSES) for change in taken.changes]
        if not changes:
            return None
        fingerprint, back = Fingerprint(), new_id("pl")
        for change in changes:
            fingerprint.add(change)
        await plans.open_plan(tx, desk.pair.id, back, run_id, desk.pair.mapping_version)
        await plans.store_changes(tx, desk.pair.id, back, 0, changes)
        await plans.begin_beside(tx, back, fingerprint.hexdigest(), summed(changes), BY)
        why = "a part of what belongs together came to nothing: what was made of it is taken back"
        detail = {"changes": len(changes), "of": plan_id}
        await append(
            tx,
            desk.pair.id,
            [Entry(action="plan.approved", actor=BY, subject=back, run=run_id, why=why, detail=detail)],
        )
        crash("groups.stored")
    crash("groups.committed")
    return back


async def _ask(desk: Desk, plan_id: str) -> None:
    """What is half done still is shown until a person says that it is closed; the plan is over."""
    async with desk.db.write() as tx:
        questions = []
        known = await conflicts.questions(tx, desk.pair.id)
        for group in await plans.torn_groups(tx, plan_id):
            mates = await plans.read_group(tx, plan_id, group)
            asked = _question(group, [m for m in mates if m.state == "done"], mates)
            if not known.is_left(asked.side, asked.kind, asked.ref, asked.rule, asked.fingerprint):
                questions.append(asked)
        await conflicts.ask(tx, desk.pair.id, questions)
        await end_plan(tx, desk, plan_id)
        crash("groups.closing")
    crash("groups.closed")


def _how(member: plans.StoredChange) -> str:
    """`invoice made`, `credit note not made: no such account`."""
    said = f"{member.change.kind.value.replace('_', ' ')} {'' if member.state == 'done' else 'not '}"
    said += DONE[member.change.operation]
    return said if member.state == "done" else f"{said}: {member.reason or member.state}"


def _question(group: str, done: Sequence[plans.StoredChange], mates: Sequence[plans.StoredChange]) -> Question:
    made = done[0].change
    failed = next(m for m in mates if m.state in plans.CAME_TO_NOTHING)
    said = f"the {made.kind.value.replace('_', ' ')} was {DONE[made.operation]}"
    return Question(
        what="half",
        kind=made.kind,
        side=made.side,
        ref=made.ref or made.source_ref,
        title=f"{made.title}: half done",
        reason=f"{said}, and what belongs to it was not ({failed.reason or failed.state})",
        rule=f"group:{group}",
        candidates=tuple(
            {"ref": m.change.ref or "", "title": m.change.title, "state": m.state, "reasons": [_how(m)]} for m in mates
        ),
    )
