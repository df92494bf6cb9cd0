"""The audit trail: append-only, one chain of hashes for each pair.

The head row is locked last in the unit, the sequence comes from it, and the hash runs over the stored canonical
text. Personal values stand in a side table by salted digest, so that a person can be erased without breaking the
chain.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from worker.store.database import Unit
from worker.store.tables import audit, audit_heads, audit_values

GENESIS = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the trail. `before` and `after` are personal: only their digests stand in the chain."""

    action: str
    actor: str
    subject: str
    run: str | None = None
    change: str | None = None
    field: str | None = None
    why: str | None = None
    request_id: str | None = None
    before: Any = None
    after: Any = None
    detail: dict[str, Any] = {}


class Break(msgspec.Struct, frozen=True):
    """Where a chain does not hold, and how."""

    seq: int
    reason: str


def _hash(previous: str, entry: str) -> str:
    return hashlib.sha256(f"{previous}\n{entry}".encode()).hexdigest()


async def append(tx: Unit, pair_id: str, entries: Sequence[Entry]) -> None:
    """Add entries to the pair's chain. Call it last in a unit: it takes the head's lock."""
    if not entries:
        return
    now = await tx.now()
    texts, values = [], []
    for entry in entries:
        line = msgspec.to_builtins(msgspec.structs.replace(entry, before=None, after=None))
        line["at"] = now.isoformat()
        for name in ("before", "after"):
            value = getattr(entry, name)
            if value is not None:
                digest, row = _personal(pair_id, value)
                line[name] = digest
                values.append(row)
        texts.append(msgspec.json.encode(line, order="sorted").decode())
    if values:
        await tx.run(insert(audit_values), values)
    await tx.run(
        tx.insert(audit_heads).on_conflict_do_nothing(index_elements=["pair_id"]),
        [{"pair_id": pair_id, "seq": 0, "hash": GENESIS}],
    )
    statement = select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.pair_id == pair_id)
    head = await tx.first(statement.with_for_update() if tx.dialect == "postgresql" else statement)
    if head is None:
        raise RuntimeError("the audit head vanished inside its own transaction")
    seq, previous = head["seq"], head["hash"]
    rows = []
    for text in texts:
        seq += 1
        digest = _hash(previous, text)
        rows.append({"pair_id": pair_id, "seq": seq, "at": now, "entry": text, "previous": previous, "hash": digest})
        previous = digest
    await tx.run(insert(audit), rows)
    await tx.run(update(audit_heads).where(audit_heads.c.pair_id == pair_id).values(seq=seq, hash=previous))


def _personal(pair_id: str, value: Any) -> tuple[str, dict[str, Any]]:
    salt = secrets.token_hex(8)
    text = msgspec.json.encode(value, order="sorted").decode()
    digest = hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()
    return digest, {"pair_id": pair_id, "digest": digest, "salt": salt, "value": text}


async def head(tx: Unit, pair_id: str) -> tuple[int, str]:
    row = await tx.first(select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.pair_id == pair_id))
    return (row["seq"], row["hash"]) if row is not None else (0, GENESIS)


async def verify(tx: Unit, pair_id: str) -> Break | None:
    """Walk the chain: a changed, removed, reordered or cut-off row, or a value that is not what its digest says,
    is a Break; None: it holds."""
    previous, expected = GENESIS, 0
    for row in await tx.all(select(audit).where(audit.c.pair_id == pair_id).order_by(audit.c.seq)):
        expected += 1
        if row["seq"] != expected:
            return Break(expected, f"entry {expected} is missing")
        if row["previous"] != previous or row["hash"] != _hash(previous, row["entry"]):
            return Break(expected, f"entry {expected} was changed")
        previous = row["hash"]
    seq, digest = await head(tx, pair_id)
    if (seq, digest) != (expected, previous):
        return Break(expected + 1, f"the trail ends at entry {expected}, but its head says {seq}")
    return await _verify_values(tx, pair_id)


async def _verify_values(tx: Unit, pair_id: str) -> Break | None:
    rows = await tx.all(
        select(audit_values).where(audit_values.c.pair_id == pair_id, audit_values.c.value.is_not(None))
    )
    for row in rows:
        if hashlib.sha256(f"{row['salt']}\n{row['value']}".encode()).hexdigest() != row["digest"]:
            return Break(0, f"a recorded value ({row['digest'][:12]}) was changed")
    return None


async def erase(tx: Unit, pair_id: str, digests: Sequence[str]) -> None:
    """Forget personal values. The chain still holds."""
    for digest in digests:
        await tx.run(
            update(audit_values)
            .where(audit_values.c.pair_id == pair_id, audit_values.c.digest == digest)
            .values(value=None)
        )


async def entries(tx: Unit, pair_id: str, subject: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """The newest entries, oldest first, values filled in where they are not erased."""
    rows = await tx.all(select(audit).where(audit.c.pair_id == pair_id).order_by(audit.c.seq.desc()).limit(limit))
    decoded = [{"seq": row["seq"], **msgspec.json.decode(row["entry"])} for row in reversed(rows)]
    return [entry for entry in decoded if subject is None or entry["subject"] == subject]
