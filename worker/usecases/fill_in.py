"""Fill in the refs that were not known when a plan was drawn: `@change` stands for what that change makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import select

from connectors.canon.records import AnyRecord, CreditNote, Invoice, InvoiceLine, Payment
from worker.engine.plan import Change
from worker.store.database import Unit, chunks
from worker.store.tables import changes


async def refs_made(tx: Unit, ids: Sequence[str]) -> dict[str, str]:
    """change id -> the ref of what it made, for those that are done."""
    found: dict[str, str] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        rows = await tx.rows(
            select(changes.c.id, changes.c.ref).where(changes.c.id.in_(part), changes.c.state == "done")
        )
        found.update({id_: ref for id_, ref in rows if ref is not None})
    return found


async def filled_in(tx: Unit, items: Sequence[Change]) -> dict[str, AnyRecord]:
    """change id -> its record with every placeholder that is known filled in."""
    made = await refs_made(tx, [need for change in items for need in change.needs])
    return {change.id: _filled(change.record, made) for change in items if change.record is not None}


def _filled(record: AnyRecord, made: Mapping[str, str]) -> AnyRecord:
    if not isinstance(record, Invoice | CreditNote | Payment):
        return record

    def ref(value: object) -> str | None:
        if isinstance(value, str) and value.startswith("@"):
            return made.get(value[1:], value)
        return value if isinstance(value, str) else None

    if isinstance(record, Payment):
        settled = [msgspec.structs.replace(each, via=ref(each.via)) for each in record.allocations]
        return msgspec.structs.replace(record, customer=ref(record.customer), allocations=tuple(settled))
    lines: tuple[InvoiceLine, ...] = record.lines if isinstance(record.lines, tuple) else ()
    return msgspec.structs.replace(
        record,
        customer=ref(record.customer),
        lines=tuple(msgspec.structs.replace(line, item=ref(line.item)) for line in lines),
    )
