"""Billing positions and the documents made for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec
from sqlalchemy import delete, insert, select, update

from connectors.canon.records import Kind, PositionRole
from worker.outside import new_id
from worker.store.database import Unit, chunks
from worker.store.tables import allocations, documents, positions

PositionState = Literal["open", "billed", "spent", "settled", "history"]
DocumentStateWord = Literal["live", "void", "deleted", "credited"]


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One planned document of a deal. `spent`: a person voided its document; it is not billed again by itself."""

    id: str
    deal: str
    seq: int
    role: PositionRole
    planned_on: date
    net: Decimal
    currency: str
    generation: int
    state: PositionState
    reason: str | None = None


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice or credit note that stands for a position."""

    id: str
    position_id: str
    generation: int
    kind: Kind
    ref: str
    state: DocumentStateWord
    provenance: Literal["created", "adopted", "matched"]


def _position(row: Mapping[str, Any]) -> PositionRow:
    return PositionRow(
        id=row["id"],
        deal=row["deal"],
        seq=row["seq"],
        role=row["role"],
        planned_on=date.fromisoformat(row["planned_on"]),
        net=row["net"],
        currency=row["currency"],
        generation=row["generation"],
        state=row["state"],
        reason=row["reason"],
    )


def _document(row: Mapping[str, Any]) -> DocumentRow:
    return DocumentRow(
        id=row["id"],
        position_id=row["position_id"],
        generation=row["generation"],
        kind=Kind(row["kind"]),
        ref=row["ref"],
        state=row["state"],
        provenance=row["provenance"],
    )


async def positions_of(tx: Unit, pair_id: str, deals: Sequence[str] | None = None) -> dict[str, list[PositionRow]]:
    """deal -> its positions in order. None: of all deals."""
    statement = select(positions).where(positions.c.pair_id == pair_id).order_by(positions.c.deal, positions.c.seq)
    rows: list[Any] = []
    if deals is None:
        rows = await tx.all(statement)
    else:
        for part in chunks(list(dict.fromkeys(deals))):
            rows += await tx.all(statement.where(positions.c.deal.in_(part)))
    found: dict[str, list[PositionRow]] = {}
    for row in rows:
        found.setdefault(row["deal"], []).append(_position(row))
    return found


async def save_positions(tx: Unit, pair_id: str, new: Sequence[PositionRow]) -> None:
    """Insert positions; one that stands already for (deal, seq) and has no document takes the new figures."""
    now = await tx.now()
    rows = [
        {
            "id": p.id,
            "pair_id": pair_id,
            "deal": p.deal,
            "seq": p.seq,
            "role": p.role,
            "planned_on": p.planned_on.isoformat(),
            "net": p.net,
            "currency": p.currency,
            "generation": p.generation,
            "state": p.state,
            "reason": p.reason,
            "created_at": now,
        }
        for p in new
    ]
    statement = tx.insert(positions)
    names = ("role", "planned_on", "net", "currency", "state", "reason")
    if rows:
        await tx.run(
            statement.on_conflict_do_update(
                index_elements=["pair_id", "deal", "seq"], set_={name: statement.excluded[name] for name in names}
            ),
            rows,
        )


async def drop_positions(tx: Unit, ids: Sequence[str]) -> None:
    """Positions that their deal has no more; the caller saw that they have no document."""
    for part in chunks(ids):
        await tx.run(delete(positions).where(positions.c.id.in_(part)))


async def set_position(tx: Unit, position_id: str, state: PositionState, reason: str | None = None) -> None:
    await tx.run(update(positions).where(positions.c.id == position_id).values(state=state, reason=reason))


async def documents_of(tx: Unit, position_ids: Sequence[str]) -> dict[str, list[DocumentRow]]:
    """position -> its documents."""
    found: dict[str, list[DocumentRow]] = {}
    for part in chunks(list(dict.fromkeys(position_ids))):
        for row in await tx.all(select(documents).where(documents.c.position_id.in_(part))):
            found.setdefault(row["position_id"], []).append(_document(row))
    return found


async def documents_by_ref(
    tx: Unit, pair_id: str, refs: Sequence[tuple[Kind, str]]
) -> dict[tuple[Kind, str], DocumentRow]:
    """The documents that these invoices or credit notes are."""
    found: dict[tuple[Kind, str], DocumentRow] = {}
    for kind in {kind for kind, _ in refs}:
        for part in chunks([ref for k, ref in refs if k is kind]):
            for row in await tx.all(
                select(documents).where(
                    documents.c.pair_id == pair_id, documents.c.kind == kind.value, documents.c.ref.in_(part)
                )
            ):
                found[kind, row["ref"]] = _document(row)
    return found


async def position_by_id(tx: Unit, ids: Sequence[str]) -> dict[str, PositionRow]:
    found: dict[str, PositionRow] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        found.update(
            {row["id"]: _position(row) for row in await tx.all(select(positions).where(positions.c.id.in_(part)))}
        )
    return found


async def taken_documents(tx: Unit, pair_id: str) -> set[str]:
    """Refs of invoices that stand for a position already."""
    return {ref for (ref,) in await tx.rows(select(documents.c.ref).where(documents.c.pair_id == pair_id))}


class NewDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be put on record for a position."""

    position_id: str
    generation: int
    kind: Kind
    ref: str
    provenance: Literal["created", "adopted", "matched"]
    marker: str | None = None


async def add_documents(tx: Unit, pair_id: str, new: Sequence[NewDocument], state: PositionState = "billed") -> None:
    """Put documents on record and mark their positions. A second live one for a position fails the unit."""
    now = await tx.now()
    if not new:
        return
    await tx.run(
        insert(documents),
        [
            {"id": new_id("do"), "pair_id": pair_id, "position_id": d.position_id, "generation": d.generation,
             "kind": d.kind.value, "ref": d.ref, "marker": d.marker, "provenance": d.provenance, "state": "live",
             "created_at": now}
            for d in new
        ],
    )  # fmt: skip
    for part in chunks([d.position_id for d in new]):
        await tx.run(update(positions).where(positions.c.id.in_(part)).values(state=state, reason=None))


async def end_document(tx: Unit, document: DocumentRow, state: DocumentStateWord, reason: str) -> None:
    """A person voided or deleted it: the position is spent until a person says *Bill again*."""
    await tx.run(update(documents).where(documents.c.id == document.id).values(state=state))
    await set_position(tx, document.position_id, "spent", reason)


async def take_back(tx: Unit, document: DocumentRow, state: DocumentStateWord) -> None:
    """A document that was made as a part of something that failed: its position is as it was before. One whose other
    documents all ended meanwhile is spent: it is not billed again by itself."""
    await tx.run(update(documents).where(documents.c.id == document.id).values(state=state))
    mates = (await documents_of(tx, [document.position_id])).get(document.position_id, [])
    others = [mate.state for mate in mates if mate.id != document.id]
    if others and "live" not in others:
        await set_position(tx, document.position_id, "spent", "its document was ended")
    else:
        await set_position(tx, document.position_id, "billed" if others else "open")


async def open_again(tx: Unit, position_id: str, generation: int) -> None:
    """A person lifted what settled a position: it is billed once more, by a document of this generation."""
    values = {"state": "open", "reason": None, "generation": generation}
    await tx.run(update(positions).where(positions.c.id == position_id).values(**values))


async def reissue(tx: Unit, document: DocumentRow, generation: int, net: Decimal, currency: str) -> None:
    """A document was credited and another one stands in its place: the position says what that one says."""
    await tx.run(update(documents).where(documents.c.id == document.id).values(state="credited"))
    now = {"generation": generation, "net": net, "currency": currency, "state": "billed", "reason": None}
    await tx.run(update(positions).where(positions.c.id == document.position_id).values(**now))


async def settled_by(tx: Unit, connection_id: str, invoices: Sequence[str]) -> list[tuple[Kind, str]]:
    """The payments and credit notes that touch these invoices."""
    found: dict[tuple[Kind, str], None] = {}
    for part in chunks(list(dict.fromkeys(invoices))):
        for kind, ref in await tx.rows(
            select(allocations.c.source_kind, allocations.c.source_ref).where(
                allocations.c.connection_id == connection_id, allocations.c.document.in_(part)
            )
        ):
            found[Kind(kind), ref] = None
    return list(found)


async def settles(tx: Unit, connection_id: str, sources: Sequence[tuple[Kind, str]]) -> set[str]:
    """The invoices that these payments and credit notes touch."""
    found: set[str] = set()
    for kind in {kind for kind, _ in sources}:
        for part in chunks([ref for k, ref in sources if k is kind]):
            rows = await tx.rows(
                select(allocations.c.document).where(
                    allocations.c.connection_id == connection_id,
                    allocations.c.source_kind == kind.value,
                    allocations.c.source_ref.in_(part),
                )
            )
            found |= {document for (document,) in rows}
    return found
