"""The audit trail: append-only, one chain of hashes for each pair.

The head row is locked last in the unit, the sequence comes from it, and the hash runs over the stored canonical
text. What may be personal stands in a side table by salted digest, so that a person can be erased without breaking the
chain: values, and every sentence. In clear are ids, field names, numbers and code words. Whoever can write to the
database can recompute a whole chain: what gives them away is a head that was posted elsewhere, with a report.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, or_, select, update

from worker.crash import crash
from worker.store.database import Unit, chunks
from worker.store.tables import audit, audit_heads, audit_values, changes, plans

GENESIS = "0" * 64
PAGE = 2_000
# What of an entry is personal -> the name under which its digest stands in the chain. A `why` or `detail` under its own
# name stands there in clear: numbers and code words, and the reasons of entries that were written before.
PERSONAL = {"before": "before", "after": "after", "said": "said", "why": "why_by_digest", "detail": "detail_by_digest"}
# What of a detail is in clear, if it is a number or a code word: ids, counts, digests, choices, versions.
OPEN = frozenset((
    "agreed", "body", "changes", "choice", "conflict", "digest", "fingerprint", "left", "lost", "marker", "of", "part",
    "period", "records", "resealed", "rows", "values", "version",
))  # fmt: skip
_CODE = re.compile(r"[A-Za-z0-9_:.\-]{1,80}")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the trail: who or what (`actor`) did what (`action`) to what (`subject`, `side:kind:ref` for a
    record), in which run, and why. `before`, `after`, `said` (a vendor's own words, or a question's), `why` and what
    `detail` holds beyond numbers and code words may be personal: only their digests stand in the chain. `source` is
    the record that it was done for."""

    action: str
    actor: str
    subject: str
    source: str | None = None
    run: str | None = None
    change: str | None = None
    field: str | None = None
    why: str | None = None
    request_id: str | None = None
    before: Any = None
    after: Any = None
    said: str | None = None
    detail: dict[str, Any] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is read back. `erased`: a person's values stood here, and were forgotten. `text` is what the
    hash runs over, after `previous` and a line feed."""

    seq: int
    at: datetime
    entry: Entry
    erased: tuple[str, ...]
    text: str
    previous: str
    hash: str


class Break(msgspec.Struct, frozen=True):
    """Where a chain does not hold, and how. `seq` 0: beside the chain, among the values."""

    seq: int
    reason: str


class Posted(msgspec.Struct, frozen=True):
    """A head that was told outside of the chain: `where` says by what."""

    seq: int
    hash: str
    where: str


def _hash(previous: str, entry: str) -> str:
    return hashlib.sha256(f"{previous}\n{entry}".encode()).hexdigest()


def _digest(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}\n{value}".encode()).hexdigest()


# --------------------------------------------------------------------------- writing


async def append(tx: Unit, pair_id: str, entries: Sequence[Entry]) -> None:
    """Add entries to the pair's chain. Call it last in a unit: it takes the head's lock."""
    if not entries:
        return
    now = await tx.now()
    texts, values = [], []
    for entry in entries:
        line, private = _split(entry)
        line["at"] = now.isoformat()
        for name, value in private.items():
            line[PERSONAL[name]], row = _personal(pair_id, value)
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
    crash("audit.appended")
    await tx.run(update(audit_heads).where(audit_heads.c.pair_id == pair_id).values(seq=seq, hash=previous))
    crash("audit.head_moved")


def _split(entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands in the chain in clear, and what only by digest."""
    shown = {name: value for name, value in entry.detail.items() if name in OPEN and _is_code(value)}
    private = {name: value for name in PERSONAL if (value := getattr(entry, name)) is not None and name != "detail"}
    if hidden := {name: value for name, value in entry.detail.items() if name not in shown}:
        private["detail"] = hidden
    bare = msgspec.structs.replace(entry, before=None, after=None, said=None, why=None, detail=shown)
    return msgspec.to_builtins(bare), private


def _is_code(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_code(each) for each in value)
    return isinstance(value, int) or (isinstance(value, str) and _CODE.fullmatch(value) is not None)


def _personal(pair_id: str, value: Any) -> tuple[str, dict[str, Any]]:
    salt = secrets.token_hex(8)
    text = msgspec.json.encode(value, order="sorted").decode()
    digest = _digest(salt, text)
    return digest, {"pair_id": pair_id, "digest": digest, "salt": salt, "value": text}


async def erase(tx: Unit, pair_id: str, digests: Sequence[str]) -> int:
    """Forget personal values; how many there were. The chain still holds."""
    gone = 0
    for part in chunks(digests):
        found = await tx.run(
            update(audit_values)
            .where(
                audit_values.c.pair_id == pair_id, audit_values.c.digest.in_(part), audit_values.c.value.is_not(None)
            )
            .values(value=None)
        )
        gone += int(found.rowcount)
    return gone


# --------------------------------------------------------------------------- checking


async def head(tx: Unit, pair_id: str) -> tuple[int, str]:
    """The number and the hash of the last entry."""
    row = await tx.first(select(audit_heads.c.seq, audit_heads.c.hash).where(audit_heads.c.pair_id == pair_id))
    return (row["seq"], row["hash"]) if row is not None else (0, GENESIS)


async def verify(tx: Unit, pair_id: str, posted: Iterable[Posted] = ()) -> Break | None:
    """Walk the chain: a changed, removed, reordered or cut-off row, a row that is not the one whose hash was posted,
    or a value that is not what its digest says, is a Break; None: it holds."""
    told: dict[int, list[Posted]] = {}
    for each in posted:
        told.setdefault(each.seq, []).append(each)
    previous, expected = GENESIS, 0
    async for page in _pages(tx, pair_id):
        for row in page:
            expected += 1
            if row["seq"] != expected:
                return Break(expected, f"entry {expected} is missing")
            if row["previous"] != previous or row["hash"] != _hash(previous, row["entry"]):
                return Break(expected, f"entry {expected} was changed")
            previous = row["hash"]
            other = next((p for p in told.get(expected, ()) if p.hash != previous), None)
            if other is not None:
                return Break(expected, f"entry {expected} is not the one that {other.where} knows")
    seq, digest = await head(tx, pair_id)
    if (seq, digest) != (expected, previous):
        return Break(expected + 1, f"the trail ends at entry {expected}, but its head says {seq}")
    beyond = next((p for seq, each in sorted(told.items()) if seq > expected for p in each), None)
    if beyond is not None:
        return Break(
            expected + 1, f"the trail ends at entry {expected}, but {beyond.where} knows an entry {beyond.seq}"
        )
    return await _verify_values(tx, pair_id)


async def _verify_values(tx: Unit, pair_id: str) -> Break | None:
    after = ""
    while True:
        rows = await tx.all(
            select(audit_values)
            .where(audit_values.c.pair_id == pair_id, audit_values.c.digest > after)
            .order_by(audit_values.c.digest)
            .limit(PAGE)
        )
        for row in rows:
            if row["value"] is not None and _digest(row["salt"], row["value"]) != row["digest"]:
                return Break(0, f"a recorded value ({row['digest'][:12]}) was changed")
        if len(rows) < PAGE:
            return None
        after = rows[-1]["digest"]


async def _pages(tx: Unit, pair_id: str, *conditions: Any) -> AsyncIterator[list[Any]]:
    """The chain's rows in order, some thousands at a time."""
    after = 0
    while True:
        statement = select(audit).where(audit.c.pair_id == pair_id, audit.c.seq > after, *conditions)
        rows = await tx.all(statement.order_by(audit.c.seq).limit(PAGE))
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


# --------------------------------------------------------------------------- reading


async def read(tx: Unit, pair_id: str) -> AsyncIterator[list[Told]]:
    """The whole trail in order, some thousands at a time, values filled in where they are not erased."""
    async for page in _pages(tx, pair_id):
        yield await _told(tx, pair_id, page)


async def about(tx: Unit, pair_id: str, subjects: Sequence[str]) -> list[Told]:
    """Every entry whose subject or source is one of these, oldest first. It looks through the whole trail: a million
    entries take a second or two."""
    found: dict[int, Any] = {}
    for part in chunks(subjects, 50):
        words = [f'"{name}":{msgspec.json.encode(s).decode()}' for s in part for name in ("source", "subject")]
        condition = or_(*(audit.c.entry.contains(word, autoescape=True) for word in words))
        async for page in _pages(tx, pair_id, condition):
            found.update({row["seq"]: row for row in page})
    told = await _told(tx, pair_id, [found[seq] for seq in sorted(found)])
    wanted = {*subjects}  # SQLite's LIKE does not tell capitals from small letters; vendors' ids do
    return [each for each in told if each.entry.subject in wanted or each.entry.source in wanted]


async def of_action(tx: Unit, pair_id: str, action: str) -> list[Told]:
    """Every entry of one action, oldest first."""
    word = f'"action":{msgspec.json.encode(action).decode()}'
    rows = [row async for page in _pages(tx, pair_id, audit.c.entry.contains(word, autoescape=True)) for row in page]
    return await _told(tx, pair_id, rows)


async def entries(tx: Unit, pair_id: str, subject: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """The newest entries, oldest first, as they stand in the chain: personal values by digest."""
    rows = await tx.all(select(audit).where(audit.c.pair_id == pair_id).order_by(audit.c.seq.desc()).limit(limit))
    decoded = [{"seq": row["seq"], **msgspec.json.decode(row["entry"])} for row in reversed(rows)]
    return [entry for entry in decoded if subject is None or entry["subject"] == subject]


def digests_of(text: str) -> dict[str, str]:
    """The personal values that an entry's text names: which -> digest."""
    said = msgspec.json.decode(text)
    return {name: said[key] for name, key in PERSONAL.items() if key in said}


async def _told(tx: Unit, pair_id: str, rows: Sequence[Any]) -> list[Told]:
    named = [digests_of(row["entry"]) for row in rows]
    values = await _values(tx, pair_id, [digest for each in named for digest in each.values()])
    return [_one(row, each, values) for row, each in zip(rows, named, strict=True)]


def _one(row: Any, named: Mapping[str, str], values: Mapping[str, str]) -> Told:
    entry = msgspec.json.decode(row["entry"], type=Entry)
    known = {name: msgspec.json.decode(values[digest]) for name, digest in named.items() if digest in values}
    erased = tuple(name for name in named if name not in known)
    told = {**dict.fromkeys(erased), **known, "detail": {**entry.detail, **known.get("detail", {})}}
    return Told(
        seq=row["seq"],
        at=row["at"],
        entry=msgspec.structs.replace(entry, **told),
        erased=erased,
        text=row["entry"],
        previous=row["previous"],
        hash=row["hash"],
    )


async def _values(tx: Unit, pair_id: str, digests: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunks(digests):
        rows = await tx.rows(
            select(audit_values.c.digest, audit_values.c.value).where(
                audit_values.c.pair_id == pair_id,
                audit_values.c.digest.in_(part),
                audit_values.c.value.is_not(None),
            )
        )
        found.update(dict(rows))
    return found


async def approvers(tx: Unit, change_ids: Sequence[str]) -> dict[str, str]:
    """Who agreed to the plans that these changes are of; change -> names."""
    found: dict[str, str] = {}
    for part in chunks(list(dict.fromkeys(change_ids))):
        rows = await tx.rows(
            select(changes.c.id, plans.c.approved_by)
            .join(plans, plans.c.id == changes.c.plan_id)
            .where(changes.c.id.in_(part), plans.c.approved_by.is_not(None))
        )
        found.update(dict(rows))
    return found
