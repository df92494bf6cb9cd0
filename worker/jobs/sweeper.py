"""The sweeper: a plain loop beside arq that finds work due without a live lease and wakes somebody for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping

import structlog

from connectors.kit.contract import Connector
from worker.queue import LANES, Queue
from worker.store import plans, runs
from worker.store.database import Database
from worker.usecases.reverify import RECORDS_A_DAY, start_due_verifications
from worker.usecases.start_due import start_due
from worker.usecases.start_polls import start_polls

EVERY_S = 1.0
POLLS_EVERY = 10  # rounds; no pair is polled more often than each minute, and to ask costs queries for each of them
log = structlog.get_logger()


async def sweep_once(
    db: Database,
    queue: Queue,
    woken: dict[str, float],
    now: float,
    verify_a_day: int = RECORDS_A_DAY,
    registry: Mapping[str, type[Connector]] | None = None,
) -> int:
    """Wake for every run that is due. One that was woken for within the last two seconds is left alone: its wake
    is on its way, or its worker died and the next round finds it. `registry`: what the vendors allow, for polls as
    often as that leaves room for; None: nothing is polled."""
    async with db.write() as tx:
        await plans.expire_plans(tx)
        await start_due(tx)
        await start_due_verifications(tx, verify_a_day)
        if registry is not None:
            await start_polls(tx, registry)
        due = [(run_id, lane) for lane in LANES for run_id in await runs.due(tx, lane)]
    number = 0
    for run_id, lane in due:
        if now - woken.get(run_id, -10.0) < 2.0:
            continue
        if await queue.wake(run_id, lane):
            woken[run_id] = now
            number += 1
    for run_id in set(woken) - {run_id for run_id, _ in due}:
        del woken[run_id]
    return number


async def sweep(
    db: Database,
    queue: Queue,
    verify_a_day: int = RECORDS_A_DAY,
    registry: Mapping[str, type[Connector]] | None = None,
) -> None:
    """Every second, until cancelled. A store that cannot be reached is tried again: nothing is applied meanwhile."""
    woken: dict[str, float] = {}
    for number in itertools.count():
        polled = registry if number % POLLS_EVERY == 0 else None
        try:
            await sweep_once(db, queue, woken, asyncio.get_running_loop().time(), verify_a_day, polled)
        except Exception as error:  # noqa: BLE001  # drivers raise errors of their own; the loop outlives them all
            log.warning("sweeper.store_unreachable", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)
