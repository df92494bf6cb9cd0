"""The durable set of what has to be planned: each record of a pair that moved and was not agreed upon since, and what
some of them wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, case, delete, or_, select, update

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.store.database import Unit, chunks
from worker.store.tables import dirty, link_members

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Listener(msgspec.Struct, frozen=True):
    """A pair that wants to know what moves at a connection, and which side the connection is to it."""

    pair_id: str
    side: Side


def stamp_of(at: datetime) -> int:
    """The stamp of a marking at this time, in microseconds since 1970; a second one at the same time is one more.
    Two markings of a record never have the same stamp, also by two writers who do not see each other."""
    return (at - _EPOCH) // timedelta(microseconds=1)


async def mark(tx: Unit, listeners: Sequence[Listener], moved: Sequence[tuple[Kind, str]]) -> None:
    """Put records into the set of what has to be planned, once for each pair that listens."""
    if not moved or not listeners:
        return
    now = await tx.now()
    rows = [
        {
            "pair_id": listener.pair_id,
            "side": listener.side,
            "kind": kind.value,
            "ref": ref,
            "since": now,
            "stamp": stamp_of(now),
            "waits": None,
            "reason": None,
            "waits_for": None,
            "refused": 0,
        }
        for listener in listeners
        for kind, ref in sorted(set(moved))
    ]
    statement = tx.insert(dirty)
    given = statement.excluded.stamp
    risen = case((given > dirty.c.stamp, given), else_=dirty.c.stamp + 1)
    await tx.run(
        statement.on_conflict_do_update(
            index_elements=[c.name for c in dirty.primary_key],
            set_={"stamp": risen, "waits": None, "reason": None, "waits_for": None, "refused": 0},
        ),
        rows,
    )
    for listener in listeners:
        await _wake_dependents(tx, listener, moved)


async def _wake_dependents(tx: Unit, listener: Listener, moved: Sequence[tuple[Kind, str]]) -> None:
    """What waits for a customer, an item or a deal is looked at again when that moved."""
    customers = [ref for kind, ref in moved if kind is Kind.CUSTOMER]
    keys = {"item"} if any(kind is Kind.ITEM for kind, _ in moved) else set()
    if listener.side == "books" and customers:
        customers = await _crm_members(tx, listener.pair_id, customers)
    keys |= {f"customer:{ref}" for ref in customers}
    keys |= {f"deal:{ref}" for kind, ref in moved if kind is Kind.DEAL}
    for part in chunks(sorted(keys)):
        await tx.run(
            update(dirty)
            .where(dirty.c.pair_id == listener.pair_id, dirty.c.waits_for.in_(part))
            .values(waits=None, reason=None, waits_for=None)
        )


async def _crm_members(tx: Unit, pair_id: str, books: Sequence[str]) -> list[str]:
    """The CRM customers that are linked to these books customers."""
    found: list[str] = []
    ours, theirs = link_members.alias(), link_members.alias()
    for part in chunks(books):
        rows = await tx.rows(
            select(ours.c.ref)
            .join(theirs, theirs.c.link_id == ours.c.link_id)
            .where(
                theirs.c.pair_id == pair_id,
                theirs.c.side == "books",
                theirs.c.kind == Kind.CUSTOMER.value,
                theirs.c.ref.in_(part),
                ours.c.side == "crm",
            )
        )
        found += [ref for (ref,) in rows]
    return found


class DirtyRow(msgspec.Struct, frozen=True):
    """One record to plan. `stamp` says which marking was read: only that one may be cleared. `parked`: nothing of
    what it waits for has moved since it was last looked at."""

    side: Side
    kind: Kind
    ref: str
    stamp: int
    parked: bool = False


async def read(tx: Unit, pair_id: str, settings: str) -> list[DirtyRow]:
    """The pair's whole dirty set, oldest first, read once for a plan: what is marked while the plan is drawn keeps
    its place, for its stamp is another. What waits under the same `settings` (mapping and catalogues) is parked."""
    rows = await tx.rows(
        select(dirty.c.side, dirty.c.kind, dirty.c.ref, dirty.c.stamp, dirty.c.waits)
        .where(dirty.c.pair_id == pair_id)
        .order_by(dirty.c.since, dirty.c.side, dirty.c.kind, dirty.c.ref)
    )
    return [DirtyRow(side, Kind(kind), ref, stamp, waits == settings) for side, kind, ref, stamp, waits in rows]


class Dirt:
    """The dirty set as one plan reads it."""

    def __init__(self, rows: Sequence[DirtyRow]) -> None:
        self._rows = {(row.side, row.kind, row.ref): row for row in rows}

    def due(self, *kinds: tuple[Side, Kind]) -> list[DirtyRow]:
        """What is to be looked at, oldest first."""
        return [row for row in self._rows.values() if not row.parked and (row.side, row.kind) in kinds]

    def refs(self, side: Side, kind: Kind) -> list[str]:
        """All of a kind, parked ones too."""
        return [row.ref for row in self._rows.values() if (row.side, row.kind) == (side, kind)]

    def row(self, side: Side, kind: Kind, ref: str) -> DirtyRow | None:
        return self._rows.get((side, kind, ref))


async def clear(tx: Unit, pair_id: str, rows: Sequence[DirtyRow]) -> None:
    """Agreement or a decision: take records out, unless they were marked again since they were read."""
    statement = delete(dirty).where(
        dirty.c.pair_id == pair_id,
        dirty.c.side == _p("side"),
        dirty.c.kind == _p("kind"),
        dirty.c.ref == _p("ref"),
        dirty.c.stamp == _p("stamp"),
    )
    if rows:
        await tx.run(statement, [_keys(row) for row in rows])


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A record that nothing can be done for until it, the settings, or what it waits for change. `again`: it says
    why it waits, and every plan looks at it (its time may come, or a planned change of it may come to nothing).
    `reason` None: it waits without a word."""

    side: Side
    kind: Kind
    ref: str
    reason: str | None
    waits_for: str | None = None
    refused: bool = False
    again: bool = False


async def park(
    tx: Unit,
    pair_id: str,
    rows: Sequence[Parked],
    settings: str,
    stamps: Mapping[tuple[Side, Kind, str], int] | None = None,
    until: datetime | None = None,
) -> None:
    """Let records wait. `stamps`: what was marked again since it was read is not parked, nor what was marked after
    `until`."""
    statement = (
        update(dirty)
        .where(
            dirty.c.pair_id == pair_id,
            dirty.c.side == _p("side"),
            dirty.c.kind == _p("kind"),
            dirty.c.ref == _p("ref"),
        )
        .values(waits=_p("waits"), reason=_p("reason"), waits_for=_p("waits_for"), refused=_p("refused"))
    )
    values = [
        {
            "p_side": row.side,
            "p_kind": row.kind.value,
            "p_ref": row.ref,
            "p_waits": None if row.again else settings,
            "p_reason": row.reason,
            "p_waits_for": row.waits_for,
            "p_refused": int(row.refused),
        }
        for row in rows
    ]
    if until is not None:
        statement = statement.where(dirty.c.stamp <= stamp_of(until))
    if stamps is not None:
        statement = statement.where(dirty.c.stamp == _p("stamp"))
        for value, row in zip(values, rows, strict=True):
            value["p_stamp"] = stamps[row.side, row.kind, row.ref]
    if values:
        await tx.run(statement, values)


async def keep_refused(tx: Unit, pair_id: str, row: Parked, settings: str) -> None:
    """A vendor refused something about a record that was not dirty itself: it waits from now on, with the reason. One
    that is dirty stays as it is."""
    now = await tx.now()
    statement = tx.insert(dirty).on_conflict_do_nothing(index_elements=[c.name for c in dirty.primary_key])
    await tx.run(
        statement,
        [{"pair_id": pair_id, "side": row.side, "kind": row.kind.value, "ref": row.ref, "since": now,
          "stamp": stamp_of(now), "waits": settings, "reason": row.reason, "waits_for": row.waits_for,
          "refused": int(row.refused)}],
    )  # fmt: skip


async def forget_reasons(tx: Unit, pair_id: str, settings: str) -> None:
    """What was looked at says anew why it waits, or waits no more."""
    looked_at = or_(dirty.c.waits.is_(None), dirty.c.waits != settings)
    await tx.run(
        update(dirty)
        .where(dirty.c.pair_id == pair_id, looked_at, dirty.c.reason.is_not(None))
        .values(reason=None, waits_for=None)
    )


async def refused(tx: Unit, pair_id: str, settings: str) -> dict[tuple[Side, Kind, str], str]:
    """What a vendor refused under these settings and did not change since: not to be tried again, and why."""
    rows = await tx.rows(
        select(dirty.c.side, dirty.c.kind, dirty.c.ref, dirty.c.reason).where(
            dirty.c.pair_id == pair_id, dirty.c.refused == 1, dirty.c.waits == settings
        )
    )
    return {(side, Kind(kind), ref): reason for side, kind, ref, reason in rows}


def _p(name: str) -> Any:
    return bindparam(f"p_{name}")


def _keys(row: DirtyRow) -> dict[str, Any]:
    return {"p_side": row.side, "p_kind": row.kind.value, "p_ref": row.ref, "p_stamp": row.stamp}
