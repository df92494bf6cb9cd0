"""The mirror of what each connection says.

A page of changes is stored, its records marked dirty and the cursor moved in one transaction. A record whose
content did not change marks nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, delete, func, insert, select, text, update

from connectors.canon.records import AnyRecord, CreditNote, Kind, Payment, decode, encode, kind_of
from connectors.kit.contract import Page, Side, Tombstone
from worker.store import dirty_set
from worker.store.database import Unit, chunks
from worker.store.dirty_set import Listener
from worker.store.tables import UNSEEN, allocations, bad_rows, cursors, dirty, link_members, mirror


class Stored(msgspec.Struct, frozen=True):
    """What storing some pages did: how many records they told of, and which of those moved."""

    seen: int
    moved: tuple[tuple[Kind, str], ...]


def unseen() -> Any:
    """Records that are gone, or that the last complete listing did not show; found by their own small index."""
    return text(f"({UNSEEN})")


def digest_of(record: AnyRecord) -> tuple[str, str]:
    """A record's canonical JSON and the digest of its content. Version and times are no content: a vendor
    moves them without an edit."""
    body = encode(record).decode()
    content = msgspec.structs.replace(record, version=None, updated_at=None, source=None)
    return body, hashlib.blake2b(encode(content), digest_size=16).hexdigest()


def _party(record: AnyRecord) -> str | None:
    """Whose document or deal it is."""
    ref = getattr(record, "customer", None) or getattr(record, "sold_to", None)
    return ref if isinstance(ref, str) else None


async def read_cursors(tx: Unit, connection_id: str, kinds: Iterable[Kind]) -> dict[Kind, str | None]:
    rows = await tx.all(select(cursors.c.kind, cursors.c.cursor).where(cursors.c.connection_id == connection_id))
    known = {row["kind"]: row["cursor"] for row in rows}
    return {kind: known.get(kind.value) for kind in kinds}


async def store_pages(tx: Unit, connection_id: str, pages: Sequence[Page], listeners: Sequence[Listener]) -> Stored:
    """Store pages in order, mark what moved, move the cursors."""
    now = await tx.now()
    scans = await _scan_numbers(tx, connection_id)
    latest = _latest(pages)
    records = [said for said in latest if not isinstance(said, Tombstone)]
    gone = [said for said in latest if isinstance(said, Tombstone)]
    moved = await _store_records(tx, connection_id, records, scans, now)
    moved += await _store_tombstones(tx, connection_id, gone)
    await _store_bad_rows(tx, connection_id, pages, now)
    for kind in {kind for page in pages for kind in page.scanned}:
        await _finish_scan(tx, connection_id, kind, scans.get(kind.value, 0) + 1)
    await _move_cursors(tx, connection_id, pages, now)
    await dirty_set.mark(tx, listeners, moved)
    return Stored(seen=len(latest), moved=tuple(moved))


def _latest(pages: Sequence[Page]) -> list[AnyRecord | Tombstone]:
    """What the pages say last of each record: one that was restored after it was removed is there."""
    latest: dict[tuple[Kind, str], AnyRecord | Tombstone] = {}
    for page in pages:
        latest.update({(kind_of(record), record.ref): record for record in page.records})
        latest.update({(stone.kind, stone.ref): stone for stone in page.gone})
    return list(latest.values())


async def store_records(
    tx: Unit, connection_id: str, records: Sequence[AnyRecord], listeners: Sequence[Listener]
) -> list[tuple[Kind, str]]:
    """Store records read outside a feed (a fresh read, a write's answer); what moved is marked for `listeners`."""
    moved = await _store_records(tx, connection_id, records, await _scan_numbers(tx, connection_id), await tx.now())
    await dirty_set.mark(tx, listeners, moved)
    return moved


async def store_tombstones(
    tx: Unit, connection_id: str, stones: Sequence[Tombstone], listeners: Sequence[Listener]
) -> list[tuple[Kind, str]]:
    """Store what the vendor says is gone, and mark what was there before."""
    moved = await _store_tombstones(tx, connection_id, stones)
    await dirty_set.mark(tx, listeners, moved)
    return moved


UNREACHABLE = "unreachable"


async def held_as_gone(tx: Unit, connection_id: str, keys: Sequence[tuple[Kind, str]]) -> list[tuple[Kind, str]]:
    """Which of these the vendor has told to be deleted, archived or merged away."""
    found: list[tuple[Kind, str]] = []
    for kind in {kind for kind, _ in keys}:
        for part in chunks([ref for k, ref in keys if k is kind]):
            rows = await tx.rows(
                select(mirror.c.ref).where(
                    mirror.c.connection_id == connection_id,
                    mirror.c.kind == kind.value,
                    mirror.c.ref.in_(part),
                    unseen(),
                    mirror.c.gone.is_not(None),
                    mirror.c.gone != UNREACHABLE,
                )
            )
            found += [(kind, ref) for (ref,) in rows]
    return found


async def lose_sight(tx: Unit, connection_id: str, kind: Kind, refs: Collection[str]) -> None:
    """The vendor does not show these any more, and does not say that they are gone: nothing is concluded from that.
    Shown again, they are marked."""
    for part in chunks(sorted(refs)):
        await tx.run(
            update(mirror)
            .where(
                mirror.c.connection_id == connection_id,
                mirror.c.kind == kind.value,
                mirror.c.ref.in_(part),
                mirror.c.gone.is_(None),
            )
            .values(gone=UNREACHABLE)
        )


async def _scan_numbers(tx: Unit, connection_id: str) -> dict[str, int]:
    rows = await tx.all(select(cursors.c.kind, cursors.c.scan).where(cursors.c.connection_id == connection_id))
    return {row["kind"]: row["scan"] for row in rows}


async def _known_digests(
    tx: Unit, connection_id: str, keys: Sequence[tuple[Kind, str]]
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """(kind, ref) -> (digest, gone) of what the mirror holds."""
    found: dict[tuple[str, str], tuple[str, str | None]] = {}
    for kind in {kind for kind, _ in keys}:
        refs = [ref for k, ref in keys if k is kind]
        for part in chunks(refs):
            rows = await tx.rows(
                select(mirror.c.ref, mirror.c.digest, mirror.c.gone).where(
                    mirror.c.connection_id == connection_id, mirror.c.kind == kind.value, mirror.c.ref.in_(part)
                )
            )
            found.update({(kind.value, ref): (digest, gone) for ref, digest, gone in rows})
    return found


async def _newer_known(
    tx: Unit, connection_id: str, records: Sequence[AnyRecord], known: Mapping[tuple[str, str], tuple[str, str | None]]
) -> dict[tuple[Kind, str], AnyRecord]:
    """What the mirror holds of a later time than is told now. A search index lags behind our own reads: its old
    value must not come back as if somebody had just typed it."""
    told: dict[Kind, dict[str, AnyRecord]] = {}
    for record in records:
        digest, gone = known.get((kind_of(record).value, record.ref), (None, None))
        if record.updated_at is not None and gone is None and digest not in (None, digest_of(record)[1]):
            told.setdefault(kind_of(record), {})[record.ref] = record
    newer: dict[tuple[Kind, str], AnyRecord] = {}
    for kind, by_ref in told.items():
        held = await load(tx, connection_id, kind, list(by_ref))
        for ref, record in held.items():
            told_at = by_ref[ref].updated_at
            if record.updated_at is not None and told_at is not None and record.updated_at > told_at:
                newer[kind, ref] = record
    return newer


async def _store_records(
    tx: Unit, connection_id: str, records: Sequence[AnyRecord], scans: Mapping[str, int], now: datetime
) -> list[tuple[Kind, str]]:
    records = sorted(records, key=lambda record: (kind_of(record), record.ref))  # two writers lock in one order
    keys = [(kind_of(record), record.ref) for record in records]
    known = await _known_digests(tx, connection_id, keys)
    newer = await _newer_known(tx, connection_id, records, known)
    records = [newer.get((kind_of(record), record.ref), record) for record in records]
    rows: list[dict[str, Any]] = []
    moved: list[tuple[Kind, str]] = []
    for (kind, ref), record in zip(keys, records, strict=True):
        body, digest = digest_of(record)
        before = known.get((kind.value, ref))
        if before is None or before != (digest, None):
            moved.append((kind, ref))
        rows.append(
            {
                "connection_id": connection_id,
                "kind": kind.value,
                "ref": ref,
                "body": body,
                "digest": digest,
                "marker": record.marker,
                "party": _party(record),
                "gone": None,
                "survivor": None,
                "scan": scans.get(kind.value, 0) + 1,
                "missed": 0,
                "seen_at": now,
                "verified_at": None,
            }
        )
    if rows:
        await tx.run(tx.upsert(mirror, keep=("verified_at",)), rows)
        news = set(moved)
        await _store_allocations(tx, connection_id, [r for r, k in zip(records, keys, strict=True) if k in news])
    return moved


async def _store_allocations(tx: Unit, connection_id: str, records: Sequence[AnyRecord]) -> None:
    sources = [r for r in records if isinstance(r, Payment | CreditNote)]
    for kind in {kind_of(r) for r in sources}:
        for part in chunks([r.ref for r in sources if kind_of(r) is kind]):
            await tx.run(
                delete(allocations).where(
                    allocations.c.connection_id == connection_id,
                    allocations.c.source_kind == kind.value,
                    allocations.c.source_ref.in_(part),
                )
            )
    rows = [
        {
            "connection_id": connection_id,
            "source_kind": kind_of(record).value,
            "source_ref": record.ref,
            "seq": seq,
            "document": entry.document,
            "amount": entry.amount,
            "withheld": entry.withheld,
            "discount": entry.discount,
            "written_off": entry.written_off,
            "on": entry.on.isoformat() if entry.on is not None else None,
            "via": entry.via,
        }
        for record in sources
        if isinstance(record.allocations, tuple)
        for seq, entry in enumerate(record.allocations)
    ]
    if rows:
        await tx.run(insert(allocations), rows)


async def _store_tombstones(tx: Unit, connection_id: str, stones: Sequence[Tombstone]) -> list[tuple[Kind, str]]:
    said = {(stone.kind, stone.ref): stone for stone in stones}
    known = await _known_digests(tx, connection_id, list(said))
    moved = [at for at, stone in said.items() if known.get((at[0].value, at[1]), (None, stone.how))[1] != stone.how]
    statement = update(mirror).where(
        mirror.c.connection_id == connection_id,
        mirror.c.kind == bindparam("p_kind"),
        mirror.c.ref == bindparam("p_ref"),
    )
    rows = [
        {"p_kind": kind.value, "p_ref": ref, "p_gone": said[kind, ref].how, "p_survivor": said[kind, ref].survivor}
        for kind, ref in sorted(moved)  # two writers lock in one order
    ]
    if rows:
        await tx.run(statement.values(gone=bindparam("p_gone"), survivor=bindparam("p_survivor")), rows)
    return moved


async def _store_bad_rows(tx: Unit, connection_id: str, pages: Sequence[Page], now: datetime) -> None:
    """A complete listing replaces what was bad before; a partial page only adds."""
    for kind in {kind for page in pages for kind in page.scanned}:
        await tx.run(delete(bad_rows).where(bad_rows.c.connection_id == connection_id, bad_rows.c.kind == kind.value))
    rows = {
        (bad.kind, bad.where): {
            "connection_id": connection_id,
            "kind": bad.kind.value,
            "place": bad.where,
            "ref": bad.ref,
            "reason": bad.reason,
            "seen_at": now,
        }
        for page in pages
        for bad in page.bad
    }
    if rows:
        await tx.run(tx.upsert(bad_rows), list(rows.values()))


async def _finish_scan(tx: Unit, connection_id: str, kind: Kind, scan: int) -> None:
    """A complete listing ended: what it did not show is missed once more. Twice missed is only *suspected* to be
    gone; a read by id decides (see `suspects`)."""
    where = and_(mirror.c.connection_id == connection_id, mirror.c.kind == kind.value)
    await tx.run(
        update(mirror).where(where, mirror.c.scan < scan, mirror.c.gone.is_(None)).values(missed=mirror.c.missed + 1)
    )
    await tx.run(
        update(cursors).where(cursors.c.connection_id == connection_id, cursors.c.kind == kind.value).values(scan=scan)
    )


async def missed_once(tx: Unit, connection_id: str) -> set[Kind]:
    """Kinds with records that the last complete listing did not show."""
    rows = await tx.rows(
        select(mirror.c.kind)
        .where(mirror.c.connection_id == connection_id, unseen(), mirror.c.missed == 1, mirror.c.gone.is_(None))
        .distinct()
    )
    return {Kind(kind) for (kind,) in rows}


async def suspect(tx: Unit, connection_id: str, kind: Kind, refs: Collection[str]) -> None:
    """A read by id did not show these, and nobody said that they are gone: they count as missed once, so that the
    next complete listings decide."""
    for part in chunks(sorted(refs)):
        await tx.run(
            update(mirror)
            .where(
                mirror.c.connection_id == connection_id,
                mirror.c.kind == kind.value,
                mirror.c.ref.in_(part),
                mirror.c.gone.is_(None),
                mirror.c.missed == 0,
            )
            .values(missed=1)
        )


async def suspects(tx: Unit, connection_id: str) -> list[tuple[Kind, str]]:
    """Records that two complete listings did not show."""
    rows = await tx.all(
        select(mirror.c.kind, mirror.c.ref).where(
            mirror.c.connection_id == connection_id, unseen(), mirror.c.missed >= 2, mirror.c.gone.is_(None)
        )
    )
    return [(Kind(row["kind"]), row["ref"]) for row in rows]


async def _move_cursors(tx: Unit, connection_id: str, pages: Sequence[Page], now: datetime) -> None:
    latest = {kind: cursor for page in pages for kind, cursor in page.cursors.items()}
    scans = await _scan_numbers(tx, connection_id)
    fresh = {kind for page in pages for kind in page.scanned if kind.value not in scans}
    rows = [
        {
            "connection_id": connection_id,
            "kind": kind.value,
            "cursor": cursor,
            "scan": 1 if kind in fresh else 0,
            "moved_at": now,
        }
        for kind, cursor in latest.items()
    ]
    if rows:
        await tx.run(tx.upsert(cursors, keep=("scan",)), rows)


async def load(tx: Unit, connection_id: str, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord]:
    """Live records by ref; those gone or unknown are left out."""
    found: dict[str, AnyRecord] = {}
    for part in chunks(list(dict.fromkeys(refs))):
        rows = await tx.rows(
            select(mirror.c.ref, mirror.c.body).where(
                mirror.c.connection_id == connection_id,
                mirror.c.kind == kind.value,
                mirror.c.ref.in_(part),
                mirror.c.gone.is_(None),
            )
        )
        found.update({ref: decode(body) for ref, body in rows})
    return found


async def tombstones(tx: Unit, connection_id: str, kind: Kind, refs: Sequence[str]) -> dict[str, Tombstone]:
    """Of these refs, the ones that are gone. What the account may not see (any more) is not."""
    found: dict[str, Tombstone] = {}
    for part in chunks(list(dict.fromkeys(refs))):
        rows = await tx.rows(
            select(mirror.c.ref, mirror.c.gone, mirror.c.survivor).where(
                mirror.c.connection_id == connection_id,
                mirror.c.kind == kind.value,
                mirror.c.ref.in_(part),
                mirror.c.gone != UNREACHABLE,
            )
        )
        found.update({ref: Tombstone(kind, ref, gone, survivor) for ref, gone, survivor in rows})
    return found


async def load_all(tx: Unit, connection_id: str, kind: Kind) -> list[AnyRecord]:
    """Every live record of a kind, by ref. For reports; a plan reads what is dirty."""
    rows = await tx.rows(
        select(mirror.c.body)
        .where(mirror.c.connection_id == connection_id, mirror.c.kind == kind.value, mirror.c.gone.is_(None))
        .order_by(mirror.c.ref)
    )
    return [decode(body) for (body,) in rows]


async def load_of(tx: Unit, connection_id: str, kind: Kind, parties: Sequence[str]) -> list[AnyRecord]:
    """Live records of a kind of these customers."""
    found: list[AnyRecord] = []
    for part in chunks(parties):
        rows = await tx.rows(
            select(mirror.c.body)
            .where(
                mirror.c.connection_id == connection_id,
                mirror.c.kind == kind.value,
                mirror.c.party.in_(part),
                mirror.c.gone.is_(None),
            )
            .order_by(mirror.c.ref)
        )
        found += [decode(body) for (body,) in rows]
    return found


async def counts(tx: Unit, connection_id: str) -> dict[Kind, int]:
    """Live records by kind: all, counted in an index, less those that are gone."""
    here = mirror.c.connection_id == connection_id
    counted = select(mirror.c.kind, func.count()).where(here).group_by(mirror.c.kind)
    found = {Kind(kind): number for kind, number in await tx.rows(counted)}
    for kind, number in await tx.rows(counted.where(unseen(), mirror.c.gone.is_not(None))):
        found[Kind(kind)] -= number
    return {kind: number for kind, number in found.items() if number}


async def all_refs(tx: Unit, connection_id: str) -> list[tuple[Kind, str]]:
    """Every live record of a connection."""
    rows = await tx.rows(
        select(mirror.c.kind, mirror.c.ref).where(mirror.c.connection_id == connection_id, mirror.c.gone.is_(None))
    )
    return [(Kind(kind), ref) for kind, ref in rows]


async def is_known_to(tx: Unit, pair_id: str, side: Side) -> bool:
    """Whether the pair has planned anything of this side before, or has it before it."""
    for table in (dirty, link_members):
        if await tx.scalar(select(table.c.ref).where(table.c.pair_id == pair_id, table.c.side == side).limit(1)):
            return True
    return False


async def bad(tx: Unit, connection_id: str) -> list[dict[str, Any]]:
    """What could not be read as a record: place and reason."""
    rows = await tx.all(
        select(bad_rows.c.kind, bad_rows.c.place, bad_rows.c.ref, bad_rows.c.reason)
        .where(bad_rows.c.connection_id == connection_id)
        .order_by(bad_rows.c.place)
    )
    return [dict(row) for row in rows]


async def sources(tx: Unit, connection_id: str, kind: str, refs: Sequence[str]) -> dict[str, str]:
    """Where a person finds these records (a file and row), for those that say so."""
    found = {}
    for part in chunks(list(refs)):
        rows = await tx.rows(
            select(mirror.c.ref, mirror.c.body).where(
                mirror.c.connection_id == connection_id, mirror.c.kind == kind, mirror.c.ref.in_(part)
            )
        )
        found.update({ref: source for ref, body in rows if (source := decode(body).source) is not None})
    return found
