"""What webhooks announced and nobody has read yet, and whether a connection's webhooks come at all.

An event is stored once, whatever a vendor repeats. It says which record to read, never what is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, insert, or_, select, update

from connectors.canon.records import Kind
from connectors.kit.contract import Event
from worker.outside import new_id
from worker.store.database import Unit, chunks
from worker.store.tables import subscriptions, webhook_events

KEPT = timedelta(days=7)  # longer than any vendor tries again to deliver
JUST_TOLD = timedelta(hours=1)  # a poll may find what was announced a little before: its index was behind
COUNTED_EVERY = timedelta(minutes=10)  # a vendor may gather events for some minutes: polls meanwhile are one
UNHEALTHY_AFTER = 3


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A connection's webhooks. `secret`: sealed, what its calls are signed with; None: with the login's own.
    `unannounced`: polls in a row that found what none of them announced."""

    connection_id: str
    state: str
    unannounced: int
    secret: bytes | None
    heard_at: datetime | None


async def subscription(tx: Unit, connection_id: str) -> Subscription | None:
    row = await tx.first(select(subscriptions).where(subscriptions.c.connection_id == connection_id))
    if row is None:
        return None
    return Subscription(**{name: row[name] for name in Subscription.__struct_fields__})


async def subscribe(tx: Unit, connection_id: str, secret: bytes | None) -> None:
    """The account sends webhooks from now on, signed with this secret."""
    values = {"state": "live", "unannounced": 0, "secret": secret, "counted_at": None}
    if await subscription(tx, connection_id) is not None:
        await tx.run(update(subscriptions).where(subscriptions.c.connection_id == connection_id).values(**values))
        return
    await tx.run(insert(subscriptions), [{"id": new_id("ws"), "connection_id": connection_id, **values}])


async def unsubscribe(tx: Unit, connection_id: str) -> None:
    await tx.run(delete(subscriptions).where(subscriptions.c.connection_id == connection_id))


async def hear(tx: Unit, connection_id: str, events: Sequence[Event]) -> int:
    """Store events that were not heard before; how many they are. Hearing any shows that webhooks come."""
    now = await tx.now()
    rows = {
        _id(event): {
            "connection_id": connection_id,
            "event_id": _id(event),
            "seen_at": now,
            "kind": event.kind.value,
            "ref": event.ref,
            "read_at": None,
        }
        for event in events
    }
    known = await _known(tx, connection_id, list(rows))
    fresh = [row for id_, row in sorted(rows.items()) if id_ not in known]
    if fresh:
        keys = [column.name for column in webhook_events.primary_key]
        await tx.run(tx.insert(webhook_events).on_conflict_do_nothing(index_elements=keys), fresh)
    await tx.run(
        update(subscriptions)
        .where(subscriptions.c.connection_id == connection_id)
        .values(state="live", unannounced=0, heard_at=now)
    )
    return len(fresh)


def _id(event: Event) -> str:
    """An event's id as it is stored. One that is longer than the column goes by its digest."""
    return event.id if len(event.id) <= 200 else hashlib.blake2b(event.id.encode(), digest_size=20).hexdigest()


async def _known(tx: Unit, connection_id: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in chunks(ids):
        rows = await tx.rows(
            select(webhook_events.c.event_id).where(
                webhook_events.c.connection_id == connection_id, webhook_events.c.event_id.in_(part)
            )
        )
        found |= {id_ for (id_,) in rows}
    return found


class Announced(msgspec.Struct, frozen=True):
    """An event whose record is still to be read."""

    event_id: str
    kind: Kind
    ref: str


async def announced(tx: Unit, connection_id: str) -> list[Announced]:
    """What was announced and is still to be read, oldest first."""
    rows = await tx.rows(
        select(webhook_events.c.event_id, webhook_events.c.kind, webhook_events.c.ref)
        .where(
            webhook_events.c.connection_id == connection_id,
            webhook_events.c.read_at.is_(None),
            webhook_events.c.ref.is_not(None),
        )
        .order_by(webhook_events.c.seen_at, webhook_events.c.event_id)
    )
    return [Announced(event_id, Kind(kind), ref) for event_id, kind, ref in rows]


async def were_read(tx: Unit, connection_id: str, events: Sequence[Announced]) -> None:
    """To be called in the unit that stores what was read. What came meanwhile is still to be read."""
    now = await tx.now()
    for part in chunks([event.event_id for event in events]):
        await tx.run(
            update(webhook_events)
            .where(webhook_events.c.connection_id == connection_id, webhook_events.c.event_id.in_(part))
            .values(read_at=now)
        )


async def note_poll(tx: Unit, connection_id: str, moved: Sequence[tuple[Kind, str]]) -> None:
    """A poll found that these moved. If no webhook announced them, that is counted: three times running, at least
    ten minutes apart, and the webhooks do not come."""
    now = await tx.now()
    if not await _unannounced(tx, connection_id, moved):
        return
    row = await tx.first(
        select(subscriptions.c.unannounced).where(
            subscriptions.c.connection_id == connection_id,
            or_(subscriptions.c.counted_at.is_(None), subscriptions.c.counted_at <= now - COUNTED_EVERY),
        )
    )
    if row is None:
        return
    number = row["unannounced"] + 1
    await tx.run(
        update(subscriptions)
        .where(subscriptions.c.connection_id == connection_id)
        .values(unannounced=number, counted_at=now, state="unhealthy" if number >= UNHEALTHY_AFTER else "live")
    )


async def _unannounced(tx: Unit, connection_id: str, moved: Sequence[tuple[Kind, str]]) -> bool:
    told = or_(webhook_events.c.read_at.is_(None), webhook_events.c.seen_at >= await tx.now() - JUST_TOLD)
    for kind in dict.fromkeys(kind for kind, _ in moved):
        refs = list(dict.fromkeys(ref for k, ref in moved if k is kind))
        for part in chunks(refs):
            rows = await tx.rows(
                select(webhook_events.c.ref)
                .where(
                    webhook_events.c.connection_id == connection_id,
                    webhook_events.c.kind == kind.value,
                    webhook_events.c.ref.in_(part),
                    told,
                )
                .distinct()
            )
            if len(rows) < len(part):
                return True
    return False


async def forget_old(tx: Unit) -> None:
    """Events that were read long ago: their vendor does not repeat them any more."""
    await tx.run(
        delete(webhook_events).where(
            webhook_events.c.read_at.is_not(None), webhook_events.c.seen_at < await tx.now() - KEPT
        )
    )
