"""What a pair's channel is told, written to the outbox in the unit that made it true.

Messages have stable names: `run:<id>` (a preview, which its apply goes on editing), `needs:<pair>` with a
`card:<pair>:<number>` for each conflict in its thread, `file:...` for what is attached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from worker.store import conflicts, connections, outbox, plans, runs
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.store.polls import POLL
from worker.store.runs import Run
from worker.store.schedules import Schedule
from worker.store.tables import outbox as outbox_table
from worker.store.tables import plans as plans_table

CARDS = 20  # cards that stand in a thread at a time; the next ones come as these are settled
SHOWN = 8  # changes in a preview's message; with more, all of them follow as a file in its thread


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's progress and outcome are said: a channel, a message, and who asked. `quiet`: only if there is
    something to say."""

    channel: str
    message: str = ""
    user: str = ""
    quiet: bool = False


def run_message(run_id: str) -> str:
    return f"run:{run_id}"


def card_message(pair_id: str, number: int) -> str:
    return f"card:{pair_id}:{number}"


def needs_message(pair_id: str) -> str:
    return f"needs:{pair_id}"


async def tell_run(tx: Unit, run: Run, state: runs.RunState) -> None:
    """Say how a run stands, what it replaced and what needs a person now."""
    pair = await connections.get_pair(tx, run.pair_id)
    if run.what == "settle":
        await tell_conflict(tx, pair, int(run.request["conflict"]), run_id=run.id)
    elif "tell" in run.request and not await _found_nothing(tx, run, state):
        tell = msgspec.convert(run.request["tell"], Tell)
        message = tell.message or run_message(run.id)
        if tell.quiet and state == "failed":
            message = await _trouble_message(tx, run)
        if state != "waiting" or not tell.quiet:
            await outbox.put(tx, pair.id, tell.channel, message, "run", _body(run, tell))
        if state == "done":
            await _attachments(tx, run, tell, message)
    if pair.channel is not None and state in ("done", "failed"):
        closed = await _close_previews(tx, pair)
        if closed and run.what == "settle":  # what was shown and is still to be done is shown again
            await outbox.put(tx, pair.id, pair.channel, run_message(run.id), "run", {"run": run.id, "quiet": True})
        await tell_needs(tx, pair)


async def _found_nothing(tx: Unit, run: Run, state: runs.RunState) -> bool:
    """Whether it is a poll that led to no plan: there are a thousand of them a day, and nobody has to hear of any."""
    if run.what != POLL or state != "done":
        return False
    stored = await runs.get(tx, run.id)
    return stored is not None and "plan_id" not in (stored.result or {})


async def _trouble_message(tx: Unit, run: Run) -> str:
    """A scheduled run that fails for one cause again and again says so once a day, not each time."""
    stored = await runs.get(tx, run.id)
    error = (stored.error if stored is not None else None) or {}
    cause = hashlib.blake2b(str(error.get("message", "")).encode(), digest_size=6).hexdigest()
    return f"trouble:{run.pair_id}:{run.what}:{await tx.now():%Y-%m-%d}:{cause}"


def _body(run: Run, tell: Tell) -> dict[str, Any]:
    return {"run": run.id, "user": tell.user, "quiet": tell.quiet}


async def _attachments(tx: Unit, run: Run, tell: Tell, message: str) -> None:
    stored = await runs.get(tx, run.id)
    result = (stored.result if stored is not None else None) or {}
    if "report_id" in result:
        body = {"report": result["report_id"], "thread": message}
        await outbox.put(tx, run.pair_id, tell.channel, f"file:{run.id}", "report_file", body)
    plan = await plans.get_plan(tx, str(result.get("plan_id", "")))
    if plan is not None and plan.state == "open" and plan.summary.changes + plan.summary.held > SHOWN:
        body = {"plan": plan.id, "thread": message}
        await outbox.put(tx, run.pair_id, tell.channel, f"file:{run.id}", "changes_file", body)


async def _close_previews(tx: Unit, pair: Pair) -> int:
    """A preview that is shown and is replaced, or too old, says so and loses its buttons; how many did."""
    closed = 0
    for row in await _shown_and_over(tx, pair):
        current = await plans.current_plan(tx, pair.id)
        if current is not None and current.run_id == row["run_id"]:
            continue  # the same message shows the plan that came after
        channel = await outbox.knows(tx, run_message(row["run_id"]))
        if channel is not None:
            body = {"plan": row["id"], "run": row["run_id"]}
            await outbox.put(tx, pair.id, channel, run_message(row["run_id"]), "plan_over", body)
            closed += 1
    return closed


async def _shown_and_over(tx: Unit, pair: Pair) -> Sequence[Mapping[str, Any]]:
    """(id, run_id) of plans that are over and whose message stands, or is on its way, and does not say so yet. One
    that was taken away, for there was nothing in it, stays away; one that still waits is put into words when it is
    sent, and is true by then."""
    message = outbox_table.c.message == "run:" + plans_table.c.run_id

    def has(condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists(select(outbox_table.c.id).where(and_(message, condition)))

    stands_at = (
        select(outbox_table.c.slack_ts)
        .where(message, outbox_table.c.state == "sent")
        .order_by(outbox_table.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return await tx.all(
        select(plans_table.c.id, plans_table.c.run_id).where(
            plans_table.c.pair_id == pair.id,
            plans_table.c.state.in_(("superseded", "expired")),
            has(outbox_table.c.what == "run"),
            ~has(outbox_table.c.what == "plan_over"),
            ~has(outbox_table.c.state == "pending"),
            or_(stands_at.is_not(None), has(outbox_table.c.state == "sending")),
        )
    )


# --------------------------------------------------------------------------- what needs a person


async def tell_needs(tx: Unit, pair: Pair) -> None:
    """One message a pair, and a card in its thread for each open conflict; cards that are over say how they ended."""
    if pair.channel is None:
        return
    found = await conflicts.open_conflicts(tx, pair.id)
    cards = await _cards(tx, pair.id)
    shown = {number: body for number, body in cards.items() if body["state"] == "open"}
    asked = {c.number: c.question.fingerprint for c in found}
    moved = [number for number in shown if number not in asked]
    fresh = [number for number in asked if number not in cards]
    told_anew = [
        number for number in asked if number in shown and shown[number].get("shown") not in (None, asked[number])
    ]
    room = max(0, CARDS - len(shown) + len(moved))
    if moved or fresh or (found and await outbox.knows(tx, needs_message(pair.id)) is None):
        await outbox.put(tx, pair.id, pair.channel, needs_message(pair.id), "needs", {"open": len(found)})
    for number in [*moved, *fresh[:room], *told_anew]:
        await _put_card(tx, pair, number, "over" if number in moved else "open", shown=asked.get(number))


async def tell_conflict(tx: Unit, pair: Pair, number: int, note: str = "", run_id: str | None = None) -> None:
    """Show one conflict's card as it stands now, and count again in the message above it. `run_id`: the run that
    carries the answer out."""
    if pair.channel is None:
        return
    conflict = await conflicts.get(tx, pair.id, number)
    if conflict is not None and number in await _cards(tx, pair.id):
        state = "open" if conflict.state == "open" else "over"
        await _put_card(tx, pair, number, state, note, run_id, shown=conflict.question.fingerprint)
        left = await conflicts.count_open(tx, pair.id)
        await outbox.put(tx, pair.id, pair.channel, needs_message(pair.id), "needs", {"open": left})


async def _put_card(
    tx: Unit, pair: Pair, number: int, state: str, note: str = "", run_id: str | None = None, shown: str | None = None
) -> None:
    """`shown`: the question's fingerprint, by which a card that shows it as it was is found."""
    message = card_message(pair.id, number)
    channel = await outbox.knows(tx, message) or pair.channel or ""
    body = {
        "number": number,
        "state": state,
        "note": note,
        "run": run_id,
        "thread": needs_message(pair.id),
        "shown": shown,
    }
    await outbox.put(tx, pair.id, channel, message, "card", body)


async def _cards(tx: Unit, pair_id: str) -> dict[int, dict[str, Any]]:
    """Conflict number -> what its card was last told."""
    newest = (
        select(func.max(outbox_table.c.id))
        .where(outbox_table.c.pair_id == pair_id, outbox_table.c.what == "card")
        .group_by(outbox_table.c.message)
    )
    bodies: Sequence[Any] = await tx.rows(select(outbox_table.c.body).where(outbox_table.c.id.in_(newest)))
    said = [msgspec.json.decode(body) for (body,) in bodies]
    return {int(body["number"]): body for body in said}


# --------------------------------------------------------------------------- the rest


async def tell_digest(tx: Unit, pair: Pair, schedule: Schedule) -> None:
    if pair.channel is not None:
        at = int((await tx.now()).timestamp())
        await outbox.put(tx, pair.id, pair.channel, f"digest:{schedule.id}:{at}", "digest", {})


async def tell_plan(tx: Unit, pair_id: str, plan_id: str) -> None:
    """Show a plan's message again as the plan stands now: approved by one more, or discarded."""
    plan = await plans.get_plan(tx, plan_id)
    if plan is None:
        return
    channel = await outbox.knows(tx, run_message(plan.run_id))
    if channel is not None:
        await outbox.put(tx, pair_id, channel, run_message(plan.run_id), "run", {"run": plan.run_id})
