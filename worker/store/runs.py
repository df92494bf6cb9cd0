"""Runs: what was asked for, how far it is, how it ended; and the lease that keeps two workers from doubling work.

The lease is economy, not safety: safety is in the rows of `changes`. Time is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from worker.crash import crash
from worker.outside import new_id
from worker.store.database import Unit
from worker.store.tables import pairs, runs

Lane = Literal["realtime", "bulk"]
RunState = Literal["queued", "running", "waiting", "done", "failed"]
LEASE = timedelta(seconds=15)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `fence` rises with each lease; a worker that lost its lease knows it by that."""

    id: str
    pair_id: str
    what: str
    lane: Lane
    state: RunState
    request: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    requested_by: str
    plan_id: str | None
    created_at: datetime
    finished_at: datetime | None
    not_before: datetime | None
    fence: int


def _run(row: Mapping[str, Any]) -> Run:
    def maybe(text: str | None) -> dict[str, Any] | None:
        return msgspec.json.decode(text) if text is not None else None

    return Run(
        id=row["id"],
        pair_id=row["pair_id"],
        what=row["what"],
        lane=row["lane"],
        state=row["state"],
        request=msgspec.json.decode(row["request"]),
        progress=msgspec.json.decode(row["progress"]),
        result=maybe(row["result"]),
        error=maybe(row["error"]),
        requested_by=row["requested_by"],
        plan_id=row["plan_id"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        not_before=row["not_before"],
        fence=row["fence"],
    )


def _json(value: Any) -> str:
    return msgspec.json.Encoder(decimal_format="string").encode(value).decode()


async def ask(
    tx: Unit,
    pair_id: str,
    what: str,
    request: Mapping[str, Any],
    by: str,
    lane: Lane = "realtime",
    run_id: str | None = None,
) -> str:
    """Write down what somebody wants. A worker finds it, woken or not."""
    run_id = run_id if run_id is not None else new_id("run")
    if what == "preview":  # one that still waits for a vendor would only replace the plan that this one makes
        await tx.run(
            update(runs)
            .where(runs.c.pair_id == pair_id, runs.c.what == "preview", runs.c.state == "waiting")
            .values(state="failed", error=_json({"message": "A newer preview was asked for."}))
        )
    await tx.run(
        insert(runs),
        [{"id": run_id, "pair_id": pair_id, "what": what, "lane": lane, "state": "queued", "request": _json(request),
          "requested_by": by, "created_at": await tx.now(), "fence": 0}],
    )  # fmt: skip
    return run_id


async def get(tx: Unit, run_id: str) -> Run | None:
    row = await tx.first(select(runs).where(runs.c.id == run_id))
    return _run(row) if row is not None else None


async def recent(tx: Unit, pair_id: str, limit: int = 20) -> list[Run]:
    """The last runs, the newest first. That a webhook was heard, or a poll, and led to no plan is no history."""
    told = or_(runs.c.what.not_in(("hear", "poll")), runs.c.plan_id.is_not(None), runs.c.state == "failed")
    rows = await tx.all(
        select(runs)
        .where(runs.c.pair_id == pair_id, told)
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(limit)
    )
    return [_run(row) for row in rows]


async def last_done(tx: Unit, pair_id: str, what: str, since: datetime) -> Run | None:
    """The newest run of a kind that ended well since."""
    row = await tx.first(
        select(runs)
        .where(runs.c.pair_id == pair_id, runs.c.what == what, runs.c.state == "done", runs.c.created_at >= since)
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    return _run(row) if row is not None else None


async def calls_made(tx: Unit, connection_id: str, since: datetime) -> int:
    """Calls to a connection by the runs that have ended since then, or are not over."""
    mine = select(pairs.c.id).where(or_(pairs.c.crm == connection_id, pairs.c.books == connection_id))
    lately = or_(runs.c.finished_at >= since, runs.c.finished_at.is_(None))
    rows = await tx.rows(select(runs.c.result).where(runs.c.pair_id.in_(mine), runs.c.result.is_not(None), lately))
    return sum(msgspec.json.decode(result).get("calls", {}).get(connection_id, 0) for (result,) in rows)


async def carried(tx: Unit, pair_id: str, plan_id: str) -> bool:
    """Whether a run that is not over carries out a plan."""
    rows = await tx.rows(
        select(runs.c.plan_id, runs.c.request).where(
            runs.c.pair_id == pair_id, runs.c.state.in_(("queued", "running", "waiting"))
        )
    )
    return any(plan_id in (own, msgspec.json.decode(request).get("plan_id")) for own, request in rows)


async def hasten(tx: Unit, pair_ids: Sequence[str]) -> None:
    """What the runs of these pairs waited for has come."""
    await tx.run(
        update(runs)
        .where(runs.c.pair_id.in_(list(pair_ids)), runs.c.state == "waiting")
        .values(not_before=await tx.now())
    )


def _due(now: datetime) -> ColumnElement[bool]:
    return or_(
        runs.c.state == "queued",
        and_(runs.c.state == "waiting", or_(runs.c.not_before.is_(None), runs.c.not_before <= now)),
        and_(runs.c.state == "running", or_(runs.c.lease_until.is_(None), runs.c.lease_until <= now)),
    )


async def due(tx: Unit, lane: Lane | None = None) -> list[str]:
    """Runs that no live lease holds and whose time has come, oldest first."""
    statement = select(runs.c.id).where(_due(await tx.now())).order_by(runs.c.created_at, runs.c.id)
    if lane is not None:
        statement = statement.where(runs.c.lane == lane)
    return [run_id for (run_id,) in await tx.rows(statement)]


async def next_of(tx: Unit, pair_id: str) -> list[tuple[str, Lane]]:
    """(id, lane) of the pair's runs that are due, those that go first in front."""
    rows = await tx.rows(select(runs.c.id, runs.c.lane).where(runs.c.pair_id == pair_id, _due(await tx.now())))
    return sorted((tuple(row) for row in rows), key=lambda row: (row[1] != "realtime", row[0]))


FIRST_FOR = timedelta(seconds=60)  # a run that nobody takes for so long, for its lane is not served, stops no other


async def gives_way(tx: Unit, run: Run) -> bool:
    """Whether somebody waits for a run that goes before this one: in the bulk lane, all that people asked for; what
    people asked for gives way to an answer to a question, which is one record's."""
    if run.what == "settle":
        return False
    ahead = runs.c.lane == "realtime"
    if run.lane == "realtime":
        ahead = and_(ahead, runs.c.what == "settle")
    found = await tx.scalar(
        select(runs.c.id).where(
            runs.c.pair_id == run.pair_id,
            runs.c.id != run.id,
            runs.c.state == "queued",
            runs.c.created_at > await tx.now() - FIRST_FOR,
            ahead,
        )
    )
    return found is not None


async def take(tx: Unit, run_id: str, owner: str) -> Run | None:
    """Take the lease, if nobody has it, nothing else of the pair is running, and nothing goes before it. None: not
    now."""
    now = await tx.now()
    row = await tx.first(select(runs).where(runs.c.id == run_id))
    if row is None or row["state"] in ("done", "failed"):
        return None
    if tx.dialect == "postgresql":  # two runs of one pair are taken one after the other
        await tx.run(select(pairs.c.id).where(pairs.c.id == row["pair_id"]).with_for_update())
    busy = await tx.scalar(
        select(runs.c.id).where(
            runs.c.pair_id == row["pair_id"],
            runs.c.id != run_id,
            runs.c.state == "running",
            runs.c.lease_until > now,
        )
    )
    if busy is not None or await gives_way(tx, _run(row)):
        return None
    result = await tx.run(
        update(runs)
        .where(
            runs.c.id == run_id,
            runs.c.fence == row["fence"],
            or_(runs.c.lease_until.is_(None), runs.c.lease_until <= now),
        )
        .values(
            state="running",
            lease_owner=owner,
            lease_until=now + LEASE,
            fence=row["fence"] + 1,
            started_at=row["started_at"] or now,
        )
    )
    if row["state"] == "running":
        crash("lease.taken_over")
    return await get(tx, run_id) if result.rowcount else None


async def renew(tx: Unit, run: Run) -> bool:
    """Keep the lease; False: it was lost."""
    result = await tx.run(
        update(runs)
        .where(runs.c.id == run.id, runs.c.fence == run.fence, runs.c.state == "running")
        .values(lease_until=await tx.now() + LEASE)
    )
    return bool(result.rowcount)


async def progress(tx: Unit, run: Run, values: Mapping[str, Any]) -> None:
    await tx.run(update(runs).where(runs.c.id == run.id, runs.c.fence == run.fence).values(progress=_json(values)))


class LeaseLost(Exception):
    """Another worker goes on with this run."""


async def still_ours(tx: Unit, run: Run) -> None:
    """Keep the lease in the unit that decides something; raises LeaseLost, and so undoes the unit, if another
    worker has it."""
    if not await renew(tx, run):
        raise LeaseLost(run.id)


async def set_plan(tx: Unit, run_id: str, plan_id: str) -> None:
    await tx.run(update(runs).where(runs.c.id == run_id).values(plan_id=plan_id))


async def end(
    tx: Unit,
    run: Run,
    state: RunState,
    *,
    result: Any = None,
    error: Any = None,
    not_before: datetime | None = None,
) -> None:
    """Give the lease back and say how the run ended, or until when it waits."""
    now = await tx.now()
    await tx.run(
        update(runs)
        .where(runs.c.id == run.id, runs.c.fence == run.fence)
        .values(
            state=state,
            result=_json(result) if result is not None else None,
            error=_json(error) if error is not None else None,
            not_before=not_before,
            finished_at=now if state in ("done", "failed") else None,
            lease_owner=None,
            lease_until=None,
        )
    )
