"""Advance one run: take its lease, do its next part, give the lease back.

A job does at most `SLICE_S` of work and starts nothing after that; what is left goes on in the next job. It gives
way when somebody presses a button for the same pair.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from connectors.canon.records import Kind
from connectors.kit.errors import ConnectorError, Reconnect, TryLater
from worker.crash import crash
from worker.engine.guard import under_limit
from worker.engine.mapping import MappingError
from worker.engine.plan import left_out
from worker.store import connections, plans, polls, runs
from worker.store.audit import Entry, append
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.store.runs import LeaseLost, Run
from worker.store.trouble import Trouble, passes, trouble
from worker.usecases.apply_plan import Applied, apply_plan, close_left
from worker.usecases.close_groups import close_groups
from worker.usecases.office import Desk, Office, open_desk
from worker.usecases.post_messages import tell_run
from worker.usecases.propose_beside import propose_beside
from worker.usecases.propose_plan import Proposed, propose_plan
from worker.usecases.propose_undo import propose_undo
from worker.usecases.pull import pull_pair
from worker.usecases.reconcile_period import NotAMonth, reconcile_period
from worker.usecases.reverify import RECORDS_A_DAY, result_of, reverify
from worker.usecases.settle_conflict import decided_changes

SLICE_S = 45.0
GIVE_WAY_S = 1.0  # a slice does at least so much, so that people who press again and again do not stop it
AUTO = "tieout (auto)"
RENEW_S = 5.0
BESIDE_AGAIN_S = 5.0  # how often an answer that cannot go beside a plan looks whether it is over
STORE_S = 5.0
RECONNECT_S = 300.0  # how often held work tries a login that was refused; connecting again wakes it
LEFT_SHOWN = 500  # of what an undo leaves out, as many are listed; the rest is counted
log = structlog.get_logger()


class TimeUp(Exception):
    """This job's slice is over; the run goes on in the next."""


End: TypeAlias = Callable[..., Awaitable[None]]  # see `_end`


class Waiting(Exception):
    """The run can do nothing before `seconds` are over."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason, self.seconds = reason, seconds


async def advance(office: Office, run_id: str, worker: str) -> list[tuple[str, runs.Lane]]:
    """Do the next part of a run, if nobody else is at it. Never raises but for cancellation. What may go on now, for
    the pair is free, comes back: to be woken at once."""
    run = await _taken(office, run_id, worker)
    if run is None:
        return []
    crash("lease.taken")
    log.info("run.advance", run=run.id, what=run.what)
    before = {connection: count.total for connection, count in office.calls.items()}
    async with _renewed(office, run):
        try:
            await _settle_run(office, run, partial(_end, office, run, before))
        except Exception as error:
            if (found := trouble(error)) is None:
                raise
            log.warning("run.not_ended", run=run.id, trouble=found.message)  # its lease runs out: somebody goes on
            return []
    try:
        async with office.db.read() as tx:
            return await runs.next_of(tx, run.pair_id)
    except (SQLAlchemyError, OSError):  # the sweeper finds them
        return []


async def _taken(office: Office, run_id: str, worker: str) -> Run | None:
    """The run, if it is this worker's now. A store that cannot say so has given it to nobody."""
    try:
        async with office.db.write() as tx:
            return await runs.take(tx, run_id, worker)
    except Exception as error:
        found = trouble(error)
        if found is None:
            raise
        log.warning("run.not_taken", run=run_id, trouble=found.message)
        return None


async def _settle_run(office: Office, run: Run, end: End) -> None:
    """Run the work and write down how it ended."""
    try:
        result = await WORK[run.what](office, run)
    except TimeUp:
        await end("queued")
    except LeaseLost:
        log.info("run.lease_lost", run=run.id)
    except Waiting as wait:
        await end("waiting", wait_s=wait.seconds, error={"message": wait.reason, "kind": "waiting"})
    except TryLater as error:
        await end("waiting", wait_s=error.wait_s or 60, error=_said(error))
    except Reconnect as error:
        held = await _holds_work(office, run)
        await end("waiting" if held else "failed", wait_s=RECONNECT_S if held else 0, error=_said(error))
    except (ConnectorError, MappingError, LookupError, NotAMonth) as error:
        await end("failed", error=_said(error))
    except Exception as error:  # the last border: a run must never be stuck without a word
        if (found := trouble(error)) is not None and passes(found):
            await _until_the_store_is_back(run, found, end)
            return
        log.exception("run.failed", run=run.id, what=run.what)
        await end("failed", error={"kind": type(error).__name__, "message": str(error), "unknown": True})
    else:
        await end("done", result=result)


async def _until_the_store_is_back(run: Run, found: Trouble, end: End) -> None:
    """Nothing was decided that is not written down: the run waits, if that can be written."""
    log.warning("run.store_trouble", run=run.id, trouble=found.message)
    said = {"kind": "store", "message": found.message, "next": found.next_step}
    await end("waiting", wait_s=STORE_S, error=said)


async def _holds_work(office: Office, run: Run) -> bool:
    """Whether the run carries out a plan, which goes on once the account is connected again."""
    async with office.db.read() as tx:
        fresh = await runs.get(tx, run.id)
        plan = await plans.get_plan(tx, fresh.plan_id) if fresh is not None and fresh.plan_id is not None else None
        return plan is not None and plan.state in plans.UNDER_WAY


def _said(error: Exception) -> dict[str, Any]:
    """An error as a person reads it: what happened, and what to do next."""
    next_step = getattr(error, "next_step", None)
    system = getattr(error, "system", None)
    return {"kind": type(error).__name__, "message": str(error), "next": next_step, "system": system}


async def _end(
    office: Office,
    run: Run,
    before: Mapping[str, int],
    state: runs.RunState,
    *,
    wait_s: float = 0,
    result: Mapping[str, Any] | None = None,
    error: Any = None,
) -> None:
    async with office.db.write() as tx:
        not_before = await tx.now() + timedelta(seconds=wait_s) if wait_s else None
        calls = _calls(office, run, await connections.get_pair(tx, run.pair_id), before)
        await runs.end(tx, run, state, result={**(result or {}), "calls": calls}, error=error, not_before=not_before)
        if state != "queued":
            await tell_run(tx, run, state)
        crash("end.stored")
    crash("lease.given_back")
    log.info("run.ended", run=run.id, what=run.what, state=state)


def _calls(office: Office, run: Run, pair: Pair, before: Mapping[str, int]) -> dict[str, int]:
    """Calls to the pair's own accounts, with those of the run's earlier slices: an office works for several pairs at
    once. What a killed worker called is not known."""
    earlier = (run.result or {}).get("calls", {})
    now = {c: office.calls[c].total - before.get(c, 0) for c in (pair.crm, pair.books) if c in office.calls}
    made = {c: earlier.get(c, 0) + now.get(c, 0) for c in (pair.crm, pair.books)}
    return {c: number for c, number in made.items() if number}


@contextlib.asynccontextmanager
async def _renewed(office: Office, run: Run) -> AsyncIterator[None]:
    """Keep the lease while the work goes on."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                async with office.db.write() as tx:
                    await runs.renew(tx, run)
            except Exception as error:  # noqa: BLE001  # the next renewal may succeed; what decides asks for itself
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
                waiting = now - started >= GIVE_WAY_S and await runs.gives_way(tx, run)
            if waiting:
                raise TimeUp
        if now - started >= SLICE_S:
            raise TimeUp

    return say


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
    crash("plan.noted")
    return {**_proposed(proposed), "read": {side: p.seen for side, p in pulled.items()}}


async def _propose(desk: Desk, run: Run) -> Proposed:
    """A plan of what is dirty. What a failed run left of its plan is looked up first."""
    await _close_left(desk, run)
    return await propose_plan(
        desk,
        run.id,
        emptied_by=run.requested_by if run.request.get("confirm_emptied") is True else None,
        still_ours=lambda tx: runs.still_ours(tx, run),
    )


async def _close_left(desk: Desk, run: Run) -> None:
    """End what failed runs left of their plans."""
    left = await close_left(desk, run.id, run.requested_by)
    waits = left.waits
    for plan_id, groups in left.torn:
        waits = waits or await close_groups(desk, plan_id, groups, run.id, run.requested_by)
    if waits is not None:
        raise await _waiting(desk, waits)


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
        "emptied": proposed.emptied,
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
    waits = applied if applied.not_before is not None else None
    if applied.torn:
        waits = await close_groups(desk, plan_id, applied.torn, run.id, run.requested_by)
    if waits is not None:
        raise await _waiting(desk, waits)
    return {"plan_id": plan_id, "states": dict(applied.states)}


async def _sync(office: Office, run: Run) -> dict[str, Any]:
    """Pull, plan, and carry out alone what the mapping lets go alone; the rest stays as an open plan."""
    desk = await _desk(office, run, fresh=run.plan_id is None)
    if run.plan_id is None:
        await pull_pair(desk)
    return await _alone(office, run, desk)


async def _hear(office: Office, run: Run) -> dict[str, Any]:
    """Read what webhooks announced. If something moved, what may write alone goes on from there; where nothing may,
    it stays dirty until the next preview. Our own writes, announced, move nothing."""
    desk = await _desk(office, run)
    if run.plan_id is not None:
        return await _alone(office, run, desk)
    moved = sum(pulled.moved for pulled in (await pull_pair(desk)).values())
    # A worker that died, or a poll that failed, may have read what moved, and planned nothing.
    unplanned = run.fence > 1 or run.request.get("unplanned") is True
    if not desk.mapping.writes_alone or not (moved or unplanned):
        return {"moved": moved}
    return {"moved": moved, **await _alone(office, run, desk)}


async def _poll(office: Office, run: Run) -> dict[str, Any]:
    """Read what changed, as if it had been announced. Where somebody said when the pair is synced, it is only read:
    what may write alone waits for that time."""
    async with office.db.read() as tx:
        scheduled = await polls.synced_by_schedule(tx, run.pair_id)
    if run.plan_id is not None or not scheduled:
        return await _hear(office, run)
    pulled = await pull_pair(await _desk(office, run))
    return {"moved": sum(side.moved for side in pulled.values())}


async def _verify(office: Office, run: Run) -> dict[str, Any]:
    """Read again what was verified longest ago."""
    desk = await _desk(office, run)
    return result_of(await reverify(desk, int(run.request.get("records", RECORDS_A_DAY))))


async def _alone(office: Office, run: Run, desk: Desk) -> dict[str, Any]:
    """Plan, and carry out alone what may go alone."""
    plan_id = run.plan_id
    if plan_id is None:
        proposed = await _propose(desk, run)
        async with office.db.write() as tx:
            auto = await _auto(tx, desk, proposed.plan_id)
            if not auto or not await plans.approve(tx, proposed.plan_id, proposed.fingerprint, AUTO, only=auto):
                return {**_proposed(proposed), "states": {}}
            await runs.set_plan(tx, run.id, proposed.plan_id)
            await _on_record(tx, run, proposed, AUTO, f"{len(auto)} changes of flows that may write alone")
        plan_id = proposed.plan_id
    done = await _carry_out(desk, run, plan_id)
    rest = await _propose(desk, run)
    return {**_proposed(rest), "states": done["states"]}


async def _on_record(tx: Unit, run: Run, proposed: Proposed, actor: str, why: str) -> None:
    """An approval that nobody pressed a button for: by the mapping, or by an answer."""
    entry = Entry(
        action="plan.approved", actor=actor, subject=proposed.plan_id, run=run.id, why=why,
        detail={"fingerprint": proposed.fingerprint},
    )  # fmt: skip
    await append(tx, run.pair_id, [entry])


async def _auto(tx: Any, desk: Desk, plan_id: str) -> list[str]:
    """Changes of flows that may write alone, with all that they need and in whole groups. Documents only while their
    sum, with that of the documents posted alone within 24 hours, is under the limit from which people approve; no
    credit note goes alone."""
    mapping = desk.mapping
    flows = {
        "customers": mapping.customers,
        "items": mapping.items,
        "invoices": mapping.invoices,
        "payments": mapping.payments,
    }
    auto = {name for name, flow in flows.items() if flow is not None and flow.apply == "auto"}
    planned = [stored.change for stored in await plans.read_changes(tx, plan_id, ["planned"])]
    known = {change.id for change in planned}
    out = {
        change.id
        for change in planned
        if change.flow not in auto or not set(change.needs) <= known or change.kind is Kind.CREDIT_NOTE
    }
    posted = await plans.posted_alone(tx, desk.pair.id, AUTO, await tx.now() - timedelta(hours=24))
    chosen = {change.id for change in under_limit([c for c in planned if c.id not in out], posted, mapping.guards)}
    return sorted(known - left_out(planned, known - chosen))


async def _reconcile(office: Office, run: Run) -> dict[str, Any]:
    """Make a period's report."""
    desk = await _desk(office, run, fresh=True)
    made = await reconcile_period(desk, run.request.get("month"), run.requested_by, run.id)
    return {"report_id": made.report_id, "ties": made.report.ties}


async def _settle(office: Office, run: Run) -> dict[str, Any]:
    """Carry out what somebody decided about one record, and nothing else; the rest stays as an open plan. While
    another plan is carried out, the answer goes beside it."""
    if await _is_beside(office, run):
        return await _settle_beside(office, run)
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
            await _on_record(tx, run, proposed, run.requested_by, f"the answer to question {run.request['conflict']}")
        plan_id = proposed.plan_id
    done = await _carry_out(desk, run, plan_id)
    rest = await _propose(desk, run)
    return {**_proposed(rest), "states": done["states"]}


async def _is_beside(office: Office, run: Run) -> bool:
    """Whether a run that is not over carries out another plan of the pair, or this one went beside such a plan."""
    async with office.db.read() as tx:
        own = await plans.get_plan(tx, run.plan_id) if run.plan_id is not None else None
        if own is not None:
            return own.state == "beside"
        under_way = await plans.under_way(tx, run.pair_id)
        return any([await runs.carried(tx, run.pair_id, plan_id) for plan_id in under_way])


async def _settle_beside(office: Office, run: Run) -> dict[str, Any]:
    """Carry out an answer while a plan of thousands is half done. What cannot be drawn alone waits for its end."""
    desk = await _desk(office, run)
    plan_id = run.plan_id
    if plan_id is None:
        number, by = int(run.request["conflict"]), run.requested_by
        plan_id = await propose_beside(desk, run.id, number, by, lambda tx: runs.still_ours(tx, run))
        if plan_id is None:
            raise Waiting("a plan is being carried out; this answer is carried out after it", BESIDE_AGAIN_S)
    return await _carry_out(desk, run, plan_id)


async def _undo(office: Office, run: Run) -> dict[str, Any]:
    """Pull both sides and propose the reverse of an earlier run."""
    desk = await _desk(office, run, fresh=True)
    undone = str(run.request["undoes"])
    await pull_pair(desk)
    await desk.say("Planning", 0, 0)
    await _close_left(desk, run)
    proposed = await propose_undo(desk, run.id, undone, still_ours=lambda tx: runs.still_ours(tx, run))
    async with office.db.write() as tx:
        await runs.set_plan(tx, run.id, proposed.plan.plan_id)
    return {
        **_proposed(proposed.plan),
        "undoes": undone,
        "left_out": len(proposed.left),
        "left": [msgspec.to_builtins(each) for each in proposed.left[:LEFT_SHOWN]],
    }


WORK: dict[str, Callable[[Office, Run], Awaitable[dict[str, Any]]]] = {
    "preview": _preview,
    "apply": _apply,
    "sync": _sync,
    "reconcile": _reconcile,
    "settle": _settle,
    "undo": _undo,
    "hear": _hear,
    "poll": _poll,
    "verify": _verify,
}
