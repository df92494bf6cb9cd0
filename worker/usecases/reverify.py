"""Re-verification: a few records a day, those verified longest ago, are read again by id.

A change feed that forgets something would otherwise never be found out. What differs from the mirror is stored and
becomes dirty: the next plan merges it like any edit. Nothing is written to either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import Facts, Side, Tombstone
from worker.store import connections, mirror, runs, verified, webhooks
from worker.store.database import Unit
from worker.usecases.office import SIDES, Desk
from worker.usecases.pull import pull_pair

VERIFY = "verify"
EVERY = timedelta(days=1)
RECORDS_A_DAY = 200
DAY_SHARE = 0.02  # of what a vendor allows a day, where it counts by the day
JUST_EDITED = timedelta(minutes=1)  # an edit this fresh may still be on its way into the change feed
TOLD_FOR = timedelta(days=7)


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What one side came to. `silent`: differ from the mirror although no feed said so; `gone`: deleted or merged,
    unannounced too; `unseen`: not shown, and nobody says that they are gone."""

    read: int = 0
    silent: int = 0
    gone: int = 0
    unseen: int = 0


async def reverify(desk: Desk, records: int = RECORDS_A_DAY) -> dict[Side, Verified]:
    """Read what changed, then half as many records on each side as asked for, those verified longest ago. What is
    edited while this runs is no finding."""
    await pull_pair(desk)
    return {side: await _side(desk, side, (records + 1) // 2) for side in SIDES}


async def _side(desk: Desk, side: Side, number: int) -> Verified:
    connection_id, facts = desk.pair.connection(side), desk.connector(side).facts
    async with desk.db.read() as tx:
        chosen = await verified.longest_ago(tx, desk.pair.id, side, connection_id, affordable(number, facts))
    whole = Verified()
    for kind in dict.fromkeys(kind for kind, _ in chosen):
        refs = [ref for k, ref in chosen if k is kind]
        await desk.say(f"Verifying {facts.title}", whole.read, len(chosen))
        whole = _sum(whole, await _kind(desk, side, kind, refs))
    return whole


def affordable(number: int, facts: Facts) -> int:
    """So many records that their reads take at most a fiftieth of the calls that the vendor allows a day; all,
    where it does not count by the day."""
    daily = [calls for calls, seconds in facts.rates if seconds >= EVERY.total_seconds()]
    batch = min((kind.batch_read for kind in facts.kinds.values()), default=1)
    return min([number, *(int(calls * DAY_SHARE) * batch for calls in daily)])


def _sum(one: Verified, other: Verified) -> Verified:
    return Verified(
        read=one.read + other.read,
        silent=one.silent + other.silent,
        gone=one.gone + other.gone,
        unseen=one.unseen + other.unseen,
    )


async def _kind(desk: Desk, side: Side, kind: Kind, refs: Sequence[str]) -> Verified:
    """Read records of a kind and store what they are now, in one unit with what became dirty by it."""
    connection_id = desk.pair.connection(side)
    found = await desk.connector(side).get(kind, refs)
    stones = [stone for stone in found.values() if isinstance(stone, Tombstone)]
    alive = [record for record in found.values() if not isinstance(record, Tombstone)]
    unseen = set(refs) - set(found)
    async with desk.db.write() as tx:
        listeners = await connections.listeners(tx, connection_id)
        fresh = await _just_edited(tx, desk, side, kind, alive)
        moved = await mirror.store_records(tx, connection_id, alive, listeners)
        gone = await mirror.store_tombstones(tx, connection_id, stones, listeners)
        await _not_shown(tx, desk, side, kind, unseen)
        await verified.were_verified(tx, desk.pair.id, side, connection_id, kind, refs)
    silent = [ref for _, ref in moved if ref not in fresh]
    return Verified(read=len(refs), silent=len(silent), gone=len(gone), unseen=len(unseen))


async def _just_edited(tx: Unit, desk: Desk, side: Side, kind: Kind, alive: Sequence[AnyRecord]) -> set[str]:
    facts = desk.facts(side, kind)
    lag = timedelta(seconds=max(JUST_EDITED.total_seconds(), facts.overlap_s, facts.search_delay_s))
    since = await tx.now() - lag
    return {record.ref for record in alive if record.updated_at is not None and record.updated_at >= since}


async def _not_shown(tx: Unit, desk: Desk, side: Side, kind: Kind, refs: set[str]) -> None:
    """Where deletions are told, such a record can only not be seen. Elsewhere the next complete listings decide."""
    if desk.facts(side, kind).tombstones:
        await mirror.lose_sight(tx, desk.pair.connection(side), kind, refs)
    else:
        await mirror.suspect(tx, desk.pair.connection(side), kind, refs)


async def start_due_verifications(tx: Unit, records: int = RECORDS_A_DAY) -> list[str]:
    """Ask for a run of each pair that had none for a day; the ids come back. None are asked for with `records` 0."""
    due = await verified.due_pairs(tx, VERIFY, EVERY) if records > 0 else []
    if due:
        await webhooks.forget_old(tx)
    return [await runs.ask(tx, pair, VERIFY, {"records": records}, "every day", "bulk") for pair in due]


def result_of(sides: dict[Side, Verified]) -> dict[str, Any]:
    """What a run keeps of it."""
    return {"verified": {side: msgspec.to_builtins(found) for side, found in sides.items()}}


def findings(result: dict[str, Any] | None, titles: dict[Side, str]) -> list[str]:
    """What a run found, in words; nothing, if the feeds told everything."""
    said = msgspec.convert((result or {}).get("verified", {}), dict[Side, Verified])
    found = []
    for side, one in said.items():
        title = titles[side]
        if one.silent:
            found.append(f"{_records(one.silent)} changed without {title} announcing it")
        if one.gone:
            found.append(f"{_records(one.gone)} went without {title} announcing it")
        if one.unseen:
            found.append(f"{_records(one.unseen)} cannot be seen in {title} any more; nothing is removed for that")
    return found


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"
