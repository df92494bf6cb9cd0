"""Advance one run: take its lease, do its next part, give the lease back.

A job does at most `SLICE_S` of work and starts nothing after that; what is left goes on in the next job. It gives
way when somebody presses a button for the same pair.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from connectors.kit.errors import ConnectorError, Reconnect, TryLater
from worker.engine.guard import over_limit
from worker.engine.mapping import MappingError
from worker.store import plans, runs
from worker.store.runs import LeaseLost, Run
from worker.store.tables import runs as runs_table
from worker.usecases.apply_plan import Applied, apply_plan, close_left
from worker.usecases.office import Desk, Office, open_desk
from worker.usecases.post_messages import tell_run
from worker.usecases.propose_plan import Proposed, propose_plan
from worker.usecases.pull import pull_pair
from worker.usecases.reconcile_period import NotAMonth, reconcile_period
from worker.usecases.settle_conflict import decided_changes

SLICE_S = 45.0
GIVE_WAY_S = 5.0
RENEW_S = 5.0
RECONNECT_S = 300.0  # how often held work tries a login that was refused; connecting again wakes it
log = structlog.get_logger()


class TimeUp(Exception):
    """This job's slice is over; the run goes on in the next."""


class Waiting(Exception):
    """The run can do nothing before `seconds` are over."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason, self.seconds = reason, seconds


async def advance(office: Office, run_id: str, worker: str) -> None:
    """Do the next part of a run, if nobody else is at it. Never raises but for cancellation."""
    async with office.db.write() as tx:
        run = await runs.take(tx, run_id, worker)
    if run is None:
        return
    log.info("run.advance", run=run.id, what=run.what)
    before = {connection: count.total for connection, count in office.calls.items()}
    async with _renewed(office, run):
        await _settle_run(office, run, before)


async def _settle_run(office: Office, run: Run, before: dict[str, int]) -> None:
    """Run the work and write down how it ended."""
    try:
        result = await WORK[run.what](office, run)
    except TimeUp:
        await _end(office, run, "queued")
    except LeaseLost:
        log.info("run.lease_lost", run=run.id)
    except Waiting as wait:
        await _end(office, run, "waiting", wait_s=wait.seconds, error={"message": wait.reason, "kind": "waiting"})
    except TryLater as error:
        await _end(office, run, "waiting", wait_s=error.wait_s or 60, error=_said(error))
    except Reconnect as error:
        held = await _holds_work(office, run)
        await _end(office, run, "waiting" if held else "failed", wait_s=RECONNECT_S if held else 0, error=_said(error))
    except (ConnectorError, MappingError, LookupError, NotAMonth) as error:
        await _end(office, run, "failed", error=_said(error))
    except Exception as error:  # the last border: a run must never be stuck without a word
        log.exception("run.failed", run=run.id, what=run.what)
        await _end(office, run, "failed", error={"kind": type(error).__name__, "message": str(error), "unknown": True})
    else:
        calls = {c: count.total - before.get(c, 0) for c, count in office.calls.items()}
        await _end(office, run, "done", result={**result, "calls": {c: n for c, n in calls.items() if n}})


async def _holds_work(office: Office, run: Run) -> bool:
    """Whether the run carries out a plan, which goes on once the account is connected again."""
    async with office.db.read() as tx:
        fresh = await runs.get(tx, run.id)
        plan = await plans.get_plan(tx, fresh.plan_id) if fresh is not None and fresh.plan_id is not None else None
        return plan is not None and plan.state == "applying"


def _said(error: Exception) -> dict[str, Any]:
    """An error as a person reads it: what happened, and what to do next."""
    next_step = getattr(error, "next_step", None)
    system = getattr(error, "system", None)
    return {"kind": type(error).__name__, "message": str(error), "next": next_step, "system": system}


async def _end(
    office: Office, run: Run, state: runs.RunState, *, wait_s: float = 0, result: Any = None, error: Any = None
) -> None:
    async with office.db.write() as tx:
        not_before = await tx.now() + timedelta(seconds=wait_s) if wait_s else None
        await runs.end(tx, run, state, result=result, error=error, not_before=not_before)
        if state != "queued":
            await tell_run(tx, run, state)
    log.info("run.ended", run=run.id, what=run.what, state=state)


@contextlib.asynccontextmanager
async def _renewed(office: Office, run: Run) -> AsyncIterator[None]:
    """Keep the lease while the work goes on."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                async with office.db.write() as tx:
                    await runs.renew(tx, run)
            except SQLAlchemyError as error:  # the next renewal may succeed; what decides asks for itself
                log.warning("run.not_renewed", run=run.id, error=type(error).__name__)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _checkpoint(office: Office, run: Run) -> Callable[[str, int, int], Awaitable[None]]:
    """Says how far the run is, and ends the slice when its time is up or somebody waits for the pair."""
    started = office.clock.monotonic()
    told = [started]

    async def say(step: str, done: int, total: int) -> None:
        now = office.clock.monotonic()
        if now - told[0] >= 0.5:
            told[0] = now
            async with office.db.write() as tx:
                await runs.still_ours(tx, run)
                await runs.progress(tx, run, {"step": step, "done": done, "total": total})
                waiting = await _somebody_waits(tx, run) if now - started >= GIVE_WAY_S else False
            if waiting:
                raise TimeUp
        if now - started >= SLICE_S:
            raise TimeUp

    return say


async def _somebody_waits(tx: Any, run: Run) -> bool:
    if run.lane == "realtime":
        return False
    found = await tx.scalar(
        select(runs_table.c.id).where(
            runs_table.c.pair_id == run.pair_id, runs_table.c.lane == "realtime", runs_table.c.state == "queued"
        )
    )
    return found is not None


async def _desk(office: Office, run: Run, *, fresh: bool = False) -> Desk:
    return await open_desk(office, run.pair_id, _checkpoint(office, run), fresh=fresh)


# --------------------------------------------------------------------------- the kinds of runs


async def _preview(office: Office, run: Run) -> dict[str, Any]:
    """Pull both sides and propose a plan. `confirm_emptied` in the request: a person saw that a side that looks empty
    is."""
    desk = await _desk(office, run, fresh=True)
    pulled = await pull_pair(desk)
    await desk.say("Planning", 0, 0)
    proposed = await _propose(desk, run)
    async with office.db.write() as tx:
        await runs.set_plan(tx, run.id, proposed.plan_id)
    return {**_proposed(proposed), "read": {side: p.seen for side, p in pulled.items()}}


async def _propose(desk: Desk, run: Run) -> Proposed:
    """A plan of what is dirty. What a failed run left of its plan is looked up first."""
    left = await close_left(desk, run.id, run.requested_by)
    if left is not None:
        raise await _waiting(desk, left)
    return await propose_plan(
        desk,
        run.id,
        emptied=run.request.get("confirm_emptied") is True,
        still_ours=lambda tx: runs.still_ours(tx, run),
    )


async def _waiting(desk: Desk, applied: Applied) -> Waiting:
    async with desk.db.read() as tx:
        now = await tx.now()
    until = applied.not_before if applied.not_before is not None else now
    return Waiting(applied.why or "", max((until - now).total_seconds(), 0.2))


def _proposed(proposed: Proposed) -> dict[str, Any]:
    return {
        "plan_id": proposed.plan_id,
        "fingerprint": proposed.fingerprint,
        "refused": proposed.refused,
        "superseded": list(proposed.superseded),
    }


async def _apply(office: Office, run: Run) -> dict[str, Any]:
    """Carry out an approved plan."""
    desk = await _desk(office, run)
    plan_id = str(run.request["plan_id"])
    async with office.db.write() as tx:
        await runs.set_plan(tx, run.id, plan_id)
    return await _carry_out(desk, run, plan_id)


async def _carry_out(desk: Desk, run: Run, plan_id: str) -> dict[str, Any]:
    applied = await apply_plan(desk, plan_id, run.id, run.requested_by)
    if applied.not_before is not None:
        raise await _waiting(desk, applied)
    return {"plan_id": plan_id, "states": dict(applied.states)}


async def _sync(office: Office, run: Run) -> dict[str, Any]:
    """Pull, plan, and carry out alone what the mapping lets go alone; the rest stays as an open plan."""
    plan_id = run.plan_id
    desk = await _desk(office, run, fresh=plan_id is None)
    if plan_id is None:
        await pull_pair(desk)
        proposed = await _propose(desk, run)
        async with office.db.write() as tx:
            auto = await _auto(tx, desk, proposed.plan_id)
            if not auto or not await plans.approve(
                tx, proposed.plan_id, proposed.fingerprint, "tieout (auto)", only=auto
            ):
                return {**_proposed(proposed), "states": {}}
            await runs.set_plan(tx, run.id, proposed.plan_id)
        plan_id = proposed.plan_id
    done = await _carry_out(desk, run, plan_id)
    rest = await _propose(desk, run)
    return {**_proposed(rest), "states": done["states"]}


async def _auto(tx: Any, desk: Desk, plan_id: str) -> list[str]:
    """Changes of flows that may write alone, and everything they need. Documents only while their sum is under the
    limit from which people approve."""
    mapping = desk.mapping
    flows = {
        "customers": mapping.customers,
        "items": mapping.items,
        "invoices": mapping.invoices,
        "payments": mapping.payments,
    }
    auto = {name for name, flow in flows.items() if flow is not None and flow.apply == "auto"}
    planned = [stored.change for stored in await plans.read_changes(tx, plan_id, ["planned"])]
    wanted = [change for change in planned if change.flow in auto]
    if over_limit(wanted, mapping.guards) is not None:
        wanted = [change for change in wanted if not change.is_money]
    chosen: set[str] = set()
    for change in wanted:
        if set(change.needs) <= chosen:
            chosen.add(change.id)
    return sorted(chosen)


async def _reconcile(office: Office, run: Run) -> dict[str, Any]:
    """Make a period's report."""
    desk = await _desk(office, run, fresh=True)
    made = await reconcile_period(desk, run.request.get("month"), run.requested_by)
    return {"report_id": made.report_id, "ties": made.report.ties}


async def _settle(office: Office, run: Run) -> dict[str, Any]:
    """Carry out what somebody decided about one record, and nothing else; the rest stays as an open plan."""
    desk = await _desk(office, run, fresh=run.plan_id is None)
    plan_id = run.plan_id
    if plan_id is None:
        await pull_pair(desk)
        proposed = await _propose(desk, run)
        async with office.db.write() as tx:
            chosen = await decided_changes(tx, desk.pair.id, proposed.plan_id, int(run.request["conflict"]))
            if not chosen or not await plans.approve(
                tx, proposed.plan_id, proposed.fingerprint, run.requested_by, only=chosen
            ):
                return {**_proposed(proposed), "states": {}}
            await runs.set_plan(tx, run.id, proposed.plan_id)
        plan_id = proposed.plan_id
    done = await _carry_out(desk, run, plan_id)
    rest = await _propose(desk, run)
    return {**_proposed(rest), "states": done["states"]}


WORK: dict[str, Callable[[Office, Run], Awaitable[dict[str, Any]]]] = {
    "preview": _preview,
    "apply": _apply,
    "sync": _sync,
    "reconcile": _reconcile,
    "settle": _settle,
}
