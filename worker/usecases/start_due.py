"""Schedules whose time has come become runs, each exactly once: whoever moves the row's next time has the run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from worker.store import connections, runs, schedules
from worker.store.database import Unit
from worker.store.schedules import Schedule
from worker.store.tables import runs as runs_table
from worker.usecases.post_messages import tell_digest

RUN_FOR = {"sync": "sync", "preview": "preview", "reconcile": "reconcile", "ageing": "reconcile"}


async def start_due(tx: Unit) -> list[str]:
    """Ask for every run that is due; their ids come back. One that is still waiting is not asked for twice."""
    made = []
    for schedule in await schedules.due(tx):
        if not await schedules.move_on(tx, schedule):
            continue
        pair = await connections.get_pair(tx, schedule.pair_id)
        if schedule.what == "digest":
            await tell_digest(tx, pair, schedule)
            continue
        what = RUN_FOR[schedule.what]
        if not await _waits(tx, schedule.pair_id, what):
            request: dict[str, Any] = {"schedule": schedule.id}
            if pair.channel is not None:
                request["tell"] = {"channel": pair.channel, "quiet": True}
            made.append(await runs.ask(tx, pair.id, what, request, _by(schedule), "bulk"))
    return made


def _by(schedule: Schedule) -> str:
    return f"schedule: {schedule.words}"


async def _waits(tx: Unit, pair_id: str, what: str) -> bool:
    found = await tx.scalar(
        select(runs_table.c.id).where(
            runs_table.c.pair_id == pair_id,
            runs_table.c.what == what,
            runs_table.c.state.in_(("queued", "running", "waiting")),
            runs_table.c.lane == "bulk",
        )
    )
    return found is not None
