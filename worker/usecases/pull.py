"""Pull: bring each side's changes since its cursor into the mirror, marking them dirty in the same transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec

from connectors.canon.records import Kind, Record, kind_of
from connectors.kit.contract import Connector, Page, Side, Tombstone
from worker.crash import crash
from worker.store import connections as store
from worker.store import mirror, webhooks
from worker.store.database import Database
from worker.store.dirty_set import Listener
from worker.store.webhooks import Announced
from worker.usecases.office import SIDES, Desk, Say, say_nothing

READ_BY_ID = 100  # announced records up to this many are read one by one; of more, a delta pull is cheaper
AHEAD = 4  # pages fetched and not yet stored
SECONDS_A_UNIT = 2.0  # and up to so long: what is stored is a checkpoint, where the pair can be given to somebody else
RECORDS_A_UNIT = 2_000  # pages are stored together up to this many records: a commit costs more than a page


class Pulled(msgspec.Struct, frozen=True):
    """What a pull of one connection brought."""

    seen: int
    moved: int


async def pull_pair(desk: Desk) -> dict[Side, Pulled]:
    """Both sides at once. If one fails the other is stopped too: nothing goes on behind a run that is over."""
    tasks = [asyncio.create_task(pull_side(desk, side)) for side in SIDES]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:  # once each: a second cancellation would leave a connection to the store half closed
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    failed = next((error for task in tasks if not task.cancelled() and (error := task.exception())), None)
    if failed is not None:
        raise failed
    return dict(zip(SIDES, [task.result() for task in tasks], strict=True))


async def pull_side(desk: Desk, side: Side) -> Pulled:
    """What webhooks announced, then what the change feed says."""
    connector, connection_id = desk.connector(side), desk.pair.connection(side)
    async with desk.db.read() as tx:
        heard = await webhooks.announced(tx, connection_id)
    many = len(heard) > READ_BY_ID
    announced = 0 if many else await _read_announced(desk, side, heard)
    pulled = await pull(desk.db, connection_id, connector, desk.say, connector.facts.title)
    if many:
        async with desk.db.write() as tx:
            await webhooks.were_read(tx, connection_id, heard)
    return Pulled(pulled.seen + len(heard), pulled.moved + announced)


async def _read_announced(desk: Desk, side: Side, heard: Sequence[Announced]) -> int:
    """Read what was announced by id, for a search may be behind; how many records moved. One that is not shown is
    left to the change feed."""
    connector, connection_id, moved = desk.connector(side), desk.pair.connection(side), 0
    for kind in dict.fromkeys(event.kind for event in heard):
        mine = [event for event in heard if event.kind is kind]
        found = await connector.get(kind, list(dict.fromkeys(event.ref for event in mine)))
        crash("announced.read")
        async with desk.db.write() as tx:
            listeners = await store.listeners(tx, connection_id)
            alive = [record for record in found.values() if not isinstance(record, Tombstone)]
            stones = [stone for stone in found.values() if isinstance(stone, Tombstone)]
            moved += len(await mirror.store_records(tx, connection_id, alive, listeners))
            moved += len(await mirror.store_tombstones(tx, connection_id, stones, listeners))
            await webhooks.were_read(tx, connection_id, mine)
            crash("announced.stored")
        crash("announced.committed")
    return moved


async def pull(
    db: Database, connection_id: str, connector: Connector, say: Say = say_nothing, title: str = ""
) -> Pulled:
    """Bring one connection's mirror up to date. Dying after any stored unit loses nothing: the next pull goes on
    from its cursors."""
    async with db.read() as tx:
        cursors = await mirror.read_cursors(tx, connection_id, connector.facts.kinds)
        listeners = await store.listeners(tx, connection_id)
        missing = await mirror.missed_once(tx, connection_id)
        hears = await webhooks.subscription(tx, connection_id) is not None
    # A record that one complete listing did not show needs a second listing before anybody calls it gone.
    asked = {kind: None if kind in missing else cursor for kind, cursor in cursors.items()}
    seen = moved = 0
    found: list[tuple[Kind, str]] = []
    async with contextlib.aclosing(_together(connector.changes(asked))) as batches:
        async for shown in batches:
            batch = await _without_ghosts(db, connection_id, connector, shown)
            async with db.write() as tx:
                stored = await mirror.store_pages(tx, connection_id, batch, listeners)
                crash("page.stored")
            crash("page.committed")
            seen, moved = seen + stored.seen, moved + len(stored.moved)
            found += stored.moved if hears else ()
            await say(f"Reading {title}", seen, 0)
    if found:
        async with db.write() as tx:
            await webhooks.note_poll(tx, connection_id, found)
    await _bury(db, connection_id, connector, listeners)
    return Pulled(seen, moved)


async def _without_ghosts(
    db: Database, connection_id: str, connector: Connector, pages: Sequence[Page]
) -> Sequence[Page]:
    """A search may be behind what the vendor has told to be gone: what it shows of that is read by id, and told only
    if it is there. Without that a ghost would stay for ever, since nobody tells a deletion twice."""
    async with db.read() as tx:
        told = [(kind_of(record), record.ref) for page in pages for record in page.records]
        buried = await mirror.held_as_gone(tx, connection_id, told)
    ghosts: set[tuple[Kind, str]] = set()
    for kind in dict.fromkeys(kind for kind, _ in buried):
        refs = [ref for k, ref in buried if k is kind]
        found = await connector.get(kind, refs)
        ghosts |= {(kind, ref) for ref in refs if not isinstance(found.get(ref), Record)}
    if not ghosts:
        return pages
    return [
        msgspec.structs.replace(page, records=tuple(r for r in page.records if (kind_of(r), r.ref) not in ghosts))
        for page in pages
    ]


async def _together(pages: AsyncIterator[Page]) -> AsyncGenerator[list[Page], None]:
    """Pages in batches, the next ones being fetched while the last is stored."""
    loop = asyncio.get_running_loop()
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
        size, begun = 0, loop.time()
        while (page := await ready.get()) is not None:
            room.release()
            batch.append(page)
            size += len(page.records) + len(page.gone)
            if size >= RECORDS_A_UNIT or loop.time() - begun >= SECONDS_A_UNIT:
                yield batch
                batch, size, begun = [], 0, loop.time()
        if batch:
            yield batch
        await task  # its error, if it had one, after what came before it is stored
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _bury(db: Database, connection_id: str, connector: Connector, listeners: Sequence[Listener]) -> None:
    """What two complete listings did not show is read by id; only what the vendor then does not know is gone. Where
    deletions are told, a record of which nothing is told cannot be seen: that removes nothing."""
    async with db.read() as tx:
        suspects = await mirror.suspects(tx, connection_id)
    for kind in dict.fromkeys(kind for kind, _ in suspects):
        refs = [ref for k, ref in suspects if k is kind]
        found = await connector.get(kind, refs)
        unseen = [ref for ref in refs if ref not in found]
        told = connector.facts.kinds[kind].tombstones
        stones = [answer for answer in found.values() if isinstance(answer, Tombstone)]
        stones += [] if told else [Tombstone(kind, ref, "deleted") for ref in unseen]
        alive = [record for record in found.values() if not isinstance(record, Tombstone)]
        async with db.write() as tx:
            await mirror.store_tombstones(tx, connection_id, stones, listeners)
            await mirror.store_records(tx, connection_id, alive, listeners)
            await mirror.lose_sight(tx, connection_id, kind, unseen if told else [])


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
    crash("refresh.committed")
    return set(refs) - set(found)
