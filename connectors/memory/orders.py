"""How the pretend vendor carries out one write: its yes, its no, or `the record has moved`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from connectors.canon.fields import Value, canonical_path, read, with_fields
from connectors.canon.records import AnyRecord, Invoice, Kind, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import Act, Create, Denied, Done, Moved, Outcome, Update, Upsert, Write
from connectors.memory.journal import APP
from connectors.memory.shaping import shaped
from connectors.memory.vendor import DOCUMENTS

if TYPE_CHECKING:
    from connectors.memory.world import MemoryWorld


def carry_out(world: MemoryWorld, write: Write) -> Outcome:
    match write:
        case Create():
            return _create(world, write)
        case Update():
            return _update(world, write)
        case Act():
            return _act(world, write)


def _create(world: MemoryWorld, write: Create) -> Outcome:
    kind = kind_of(write.record)
    repeat = world.knobs.repeats(kind)
    new = _as_received(world, write)
    if isinstance(repeat, Upsert):
        first = _holder(world, new, repeat.field)
        if first is not None:
            return _store(world, _overlaid(first, new))
    return _store(world, new)


def _as_received(world: MemoryWorld, write: Create) -> AnyRecord:
    kind = kind_of(write.record)
    changes: dict[str, Any] = {
        "ref": world.next_ref(kind),
        "marker": None if world.knobs.marker == "none" else write.marker,
        "version": None,
        "source": None,
    }
    if kind in DOCUMENTS:
        changes["origin"] = "tieout"
        number = getattr(write.record, "number", ABSENT)
        if world.knobs.numbering == "books" or number is ABSENT or number is None:
            changes["number"] = str(1001 + len(world.state.rows[kind]))
    return msgspec.structs.replace(write.record, **changes)


def _holder(world: MemoryWorld, record: AnyRecord, field: str) -> AnyRecord | None:
    kind = kind_of(record)
    wanted = record.marker if field == "marker" else read(record, field)
    for row in world.state.rows[kind].values():
        has = row.record.marker if field == "marker" else read(row.record, field)
        if row.gone is None and has == wanted:
            return row.record
    return None


def _overlaid(first: AnyRecord, new: AnyRecord) -> AnyRecord:
    told = {
        name: value
        for name, value in msgspec.structs.asdict(new).items()
        if value is not ABSENT and name not in ("ref", "version", "created_at", "updated_at", "number")
    }
    return msgspec.structs.replace(first, **told)


def _store(world: MemoryWorld, record: AnyRecord) -> Outcome:
    # Taxes are looked up by code while shaping, so an unknown code has to be refused before.
    no = world.objection(record)
    if no is not None:
        return no
    stored = world.put(shaped(record, world.knobs), APP)
    return Done(stored.ref, stored.version, stored, request_id=f"r{world.state.head}")


def _current(world: MemoryWorld, kind: Kind, ref: str, version: str | None) -> AnyRecord | Denied | Moved:
    row = world.state.row(kind, ref)
    if row is None or not row.live:
        return Denied("There is no such record.", code="gone")
    if world.knobs.optimistic_lock and version != row.record.version:
        return Moved(row.record)
    return row.record


def _update(world: MemoryWorld, write: Update) -> Outcome:
    current = _current(world, write.kind, write.ref, write.version)
    if isinstance(current, Denied | Moved):
        return current
    fixed = _not_writable(world, write.kind, write.after)
    if fixed is not None:
        return Denied(f"{fixed} cannot be set.", code="read_only", field=fixed)
    return _store(world, with_fields(current, dict(write.after)))


def _not_writable(world: MemoryWorld, kind: Kind, after: Mapping[str, Value]) -> str | None:
    writable = world.facts.kinds[kind].writable
    paths = (path for path in after if not path.startswith("properties."))
    return next((path for path in paths if canonical_path(kind, path) not in writable), None)


def _act(world: MemoryWorld, write: Act) -> Outcome:
    if write.operation not in world.facts.kinds[write.kind].operations:
        return Denied(f"A {write.kind} cannot be {write.operation}ed.", code="unsupported")
    current = _current(world, write.kind, write.ref, write.version)
    if isinstance(current, Denied | Moved):
        return current
    if write.operation in ("delete", "archive"):
        how: Literal["deleted", "archived"] = "deleted" if write.operation == "delete" else "archived"
        return _remove(world, write.kind, write.ref, how)
    if write.operation == "void":
        return _store(world, msgspec.structs.replace(current, state="void"))
    return _store(world, _sent(current, world.now))


def _remove(world: MemoryWorld, kind: Kind, ref: str, how: Literal["deleted", "archived"]) -> Outcome:
    if world.state.ledger.settled_by(ref):
        return Denied("Payments or credits are applied to it.", code="in_use")
    world.take(kind, ref, how)
    return Done(ref, None, None, request_id=f"r{world.state.head}")


def _sent(record: AnyRecord, now: datetime) -> AnyRecord:
    if isinstance(record, Invoice):
        return msgspec.structs.replace(record, emailed=True, sent_at=now)
    return record
