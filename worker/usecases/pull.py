"""Pull: bring each side's changes since its cursor into the mirror, marking them dirty in the same transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Connector, Page, Side, Tombstone
from worker.store import connections as store
from worker.store import mirror
from worker.store.database import Database
from worker.store.mirror import Listener
from worker.usecases.office import SIDES, Desk, Say, say_nothing

AHEAD = 4  # pages fetched and not yet stored
RECORDS_A_UNIT = 2_000  # pages are stored together up to this many records: a commit costs more than a page


class Pulled(msgspec.Struct, frozen=True):
    """What a pull of one connection brought."""

    seen: int
    moved: int


async def pull_pair(desk: Desk) -> dict[Side, Pulled]:
    """Both sides at once. If one fails the other is stopped too: nothing goes on behind a run that is over."""
    tasks = [asyncio.create_task(pull_side(desk, side)) for side in SIDES]
    try:
        return dict(zip(SIDES, await asyncio.gather(*tasks), strict=True))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def pull_side(desk: Desk, side: Side) -> Pulled:
    connector = desk.connector(side)
    return await pull(desk.db, desk.pair.connection(side), connector, desk.say, connector.facts.title)


async def pull(
    db: Database, connection_id: str, connector: Connector, say: Say = say_nothing, title: str = ""
) -> Pulled:
    """Bring one connection's mirror up to date. Dying after any stored unit loses nothing: the next pull goes on
    from its cursors."""
    async with db.read() as tx:
        cursors = await mirror.read_cursors(tx, connection_id, connector.facts.kinds)
        listeners = await store.listeners(tx, connection_id)
        missing = await mirror.missed_once(tx, connection_id)
    # A record that one complete listing did not show needs a second listing before anybody calls it gone.
    asked = {kind: None if kind in missing else cursor for kind, cursor in cursors.items()}
    seen = moved = 0
    async with contextlib.aclosing(_together(connector.changes(asked))) as batches:
        async for batch in batches:
            async with db.write() as tx:
                stored = await mirror.store_pages(tx, connection_id, batch, listeners)
            seen, moved = seen + stored.seen, moved + stored.moved
            await say(f"Reading {title}", seen, 0)
    await _bury(db, connection_id, connector, listeners)
    return Pulled(seen, moved)


async def _together(pages: AsyncIterator[Page]) -> AsyncGenerator[list[Page], None]:
    """Pages in batches, the next ones being fetched while the last is stored."""
    ready: asyncio.Queue[Page | None] = asyncio.Queue()
    room = asyncio.Semaphore(AHEAD)

    async def fetch() -> None:
        try:
            async for page in pages:
                await room.acquire()
                ready.put_nowait(page)
        finally:
            ready.put_nowait(None)  # however it ended: nobody waits for a page that never comes

    task = asyncio.create_task(fetch())
    try:
        batch: list[Page] = []
        size = 0
        while (page := await ready.get()) is not None:
            room.release()
            batch.append(page)
            size += len(page.records) + len(page.gone)
            if size >= RECORDS_A_UNIT:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch
        await task  # its error, if it had one, after what came before it is stored
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _bury(db: Database, connection_id: str, connector: Connector, listeners: Sequence[Listener]) -> None:
    """What two complete listings did not show is read by id; only what the vendor then does not know is gone."""
    async with db.read() as tx:
        suspects = await mirror.suspects(tx, connection_id)
    for kind in dict.fromkeys(kind for kind, _ in suspects):
        refs = [ref for k, ref in suspects if k is kind]
        found = await connector.get(kind, refs)
        stones = [
            answer if isinstance(answer, Tombstone) else Tombstone(kind, ref, "deleted")
            for ref in refs
            if (answer := found.get(ref)) is None or isinstance(answer, Tombstone)
        ]
        alive = [record for record in found.values() if not isinstance(record, Tombstone)]
        async with db.write() as tx:
            await mirror.store_tombstones(tx, connection_id, stones, listeners)
            await mirror.store_records(tx, connection_id, alive, listeners)


async def refresh(desk: Desk, side: Side, kind: Kind, refs: Sequence[str]) -> set[str]:
    """Read some records again and store them: what a money document is applied from. The refs that the vendor did
    not show come back."""
    if not refs:
        return set()
    found = await desk.connector(side).get(kind, list(dict.fromkeys(refs)))
    stones = [r for r in found.values() if isinstance(r, Tombstone)]
    alive = [r for r in found.values() if not isinstance(r, Tombstone)]
    connection_id = desk.pair.connection(side)
    async with desk.db.write() as tx:
        listeners = await store.listeners(tx, connection_id)
        await mirror.store_records(tx, connection_id, alive, listeners)
        await mirror.store_tombstones(tx, connection_id, stones, listeners)
    return set(refs) - set(found)
