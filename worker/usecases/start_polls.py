"""Polling goes on by itself, where somebody counts on it: webhooks may be lost, and flows that write alone have nobody
who asks. How often follows the daily budgets of both vendors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from connectors.kit.contract import Connector, Facts
from worker.engine.mapping import MappingError, parse
from worker.engine.polling import DAY, LONGEST, SHORTEST, Polled, interval, usual
from worker.store import connections, polls, runs, webhooks
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.usecases.office import SIDES, is_paced


async def start_polls(tx: Unit, registry: Mapping[str, type[Connector]]) -> list[str]:
    """Ask for a poll of each pair whose time has come; the ids come back. While a run of the pair is under way there
    is none."""
    made = []
    for pair_id in await polls.quiet(tx, SHORTEST):
        if not await polls.lock(tx, pair_id):
            continue
        pair = await connections.get_pair(tx, pair_id)
        if await _is_due(tx, registry, pair):
            made.append(await _ask(tx, pair))
    return made


async def _is_due(tx: Unit, registry: Mapping[str, type[Connector]], pair: Pair) -> bool:
    """Asked again once the pair is locked: another sweeper may have been first. A login that is gone is not tried, nor
    a system that this installation does not know."""
    known = [await connections.get_connection(tx, pair.connection(side)) for side in SIDES]
    if not all(connection.state == "live" and connection.system in registry for connection in known):
        return False
    if not await _counts_on_it(tx, pair):
        return False
    wait = LONGEST if await polls.failed(tx, pair.id) else await poll_interval(tx, registry, pair)
    return pair.id in await polls.quiet(tx, wait, pair.id)


async def _counts_on_it(tx: Unit, pair: Pair) -> bool:
    if any([await webhooks.subscription(tx, pair.connection(side)) is not None for side in SIDES]):
        return True
    return _writes_alone(await connections.mapping_text(tx, pair.id, pair.mapping_version))


@lru_cache(maxsize=64)
def _writes_alone(mapping: str) -> bool:
    """Kept, for it is asked every ten seconds."""
    try:
        return parse(mapping).writes_alone
    except MappingError:  # of an older Tieout: what runs say so
        return False


async def poll_interval(tx: Unit, registry: Mapping[str, type[Connector]], pair: Pair) -> timedelta:
    """Measured by the pair's own last polls."""
    sides = []
    for side in SIDES:
        connection = await connections.get_connection(tx, pair.connection(side))
        paced = is_paced(connection.settings)
        sides.append(
            Polled(
                calls_a_day=calls_a_day(registry[connection.system].facts) if paced else None,
                calls=usual(await polls.measured(tx, pair.id, connection.id)),
                pairs=len(await connections.listeners(tx, connection.id)),
            )
        )
    return interval(sides)


def calls_a_day(facts: Facts) -> float | None:
    """What a vendor allows a day, where it counts by the day or longer."""
    return min((calls * DAY.total_seconds() / s for calls, s in facts.rates if s >= DAY.total_seconds()), default=None)


async def _ask(tx: Unit, pair: Pair) -> str:
    await polls.forget_old(tx, pair.id)
    request: dict[str, Any] = {"unplanned": await polls.failed(tx, pair.id)}
    if pair.channel is not None:
        request["tell"] = {"channel": pair.channel, "quiet": True}
    return await runs.ask(tx, pair.id, polls.POLL, request, "polling", "bulk")
