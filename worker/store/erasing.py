"""Where a person's values stand in the store, and how they are taken out.

Two sorts of places. What is about the person's record alone (its changes, questions, bases, its own row in the
mirror once the vendor has deleted it) is emptied. Every other text that Tieout itself keeps is searched, and loses what
tells who the person is. Left alone are what the systems show now, and what is still open.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, false, or_, select, true, tuple_, update

from connectors.canon.records import RECORD_TYPES, Kind, encode
from connectors.kit.contract import Side
from worker.engine.erasing import ERASED, Person, telling
from worker.store import mirror as seen
from worker.store.connections import Pair
from worker.store.database import Unit, chunks
from worker.store.tables import (
    audit_values,
    bad_rows,
    bases,
    changes,
    conflicts,
    decisions,
    dirty,
    links,
    mirror,
    outbox,
    plans,
    positions,
    reports,
    runs,
)

LIVE_PLANS = ("drawing", "open", "applying", "beside")
UNDER_WAY = ("intended", "unknown")
STILL_THERE = ("unreachable",)  # not shown, which is not gone
NEEDLES = 15  # in one statement

Key = tuple[Side, Kind, str]


class Place(msgspec.Struct, frozen=True):
    """A table's texts that may name a person, for the rows under `where`."""

    table: Table
    columns: tuple[str, ...]
    where: ColumnElement[bool]


def places(pair: Pair) -> list[Place]:
    """Every text that Tieout keeps for itself. Not: the chain (it holds no value), what a system shows now, and what
    is open."""
    mine = [pair.crm, pair.books]
    live = select(plans.c.id).where(plans.c.pair_id == pair.id, plans.c.state.in_(LIVE_PLANS))
    settled = and_(changes.c.plan_id.not_in(live), changes.c.state.not_in(UNDER_WAY))
    whats = ("title", "why", "fields", "record", "requires", "reason", "mark", "before_image", "stored")
    return [
        Place(bad_rows, ("reason",), bad_rows.c.connection_id.in_(mine)),
        Place(changes, whats, and_(changes.c.pair_id == pair.id, settled)),
        Place(conflicts, ("title", "reason", "crm", "books", "base", "candidates", "decision"),
              and_(conflicts.c.pair_id == pair.id, conflicts.c.state != "open")),
        Place(decisions, ("detail",), decisions.c.pair_id == pair.id),
        Place(dirty, ("reason",), dirty.c.pair_id == pair.id),
        Place(links, ("why",), links.c.pair_id == pair.id),
        Place(mirror, ("body",), and_(mirror.c.connection_id.in_(mine), _is_gone())),
        Place(outbox, ("body", "error"), outbox.c.pair_id == pair.id),
        Place(plans, ("summary",), and_(plans.c.pair_id == pair.id, plans.c.state.not_in(LIVE_PLANS))),
        Place(positions, ("reason",), positions.c.pair_id == pair.id),
        Place(reports, ("body",), reports.c.pair_id == pair.id),
        Place(runs, ("request", "progress", "result", "error"), runs.c.pair_id == pair.id),
    ]  # fmt: skip


def _is_gone() -> ColumnElement[bool]:
    return and_(mirror.c.gone.is_not(None), mirror.c.gone.not_in(STILL_THERE))


# --------------------------------------------------------------------------- what there is


async def standing(tx: Unit, pair: Pair, keys: Collection[Key]) -> dict[Key, str | None]:
    """How the mirror has each record: None, it is there; else how it went. One that the mirror never had is left
    out."""
    found: dict[Key, str | None] = {}
    for side, kind, ref in keys:
        row = await tx.first(select(mirror.c.gone).where(_row(pair, side, kind, ref)))
        if row is not None:
            found[side, kind, ref] = None if row["gone"] in STILL_THERE else row["gone"]
    return found


async def open_plans(tx: Unit, pair: Pair, keys: Collection[Key]) -> list[str]:
    """The plans that are open, or being carried out, and mean to write these records."""
    rows = await tx.rows(
        select(changes.c.plan_id)
        .join(plans, plans.c.id == changes.c.plan_id)
        .where(own_changes(pair, keys), or_(plans.c.state.in_(LIVE_PLANS), changes.c.state.in_(UNDER_WAY)))
        .distinct()
    )
    return [plan_id for (plan_id,) in rows]


async def shown_values(tx: Unit, pair: Pair, keys: Collection[Key]) -> set[str]:
    """What tells who it is, as the records were last read."""
    found: set[str] = set()
    for key in keys:
        for (body,) in await tx.rows(select(mirror.c.body).where(_row(pair, *key))):
            found |= telling(msgspec.json.decode(body))
    return found


async def known_values(tx: Unit, pair: Pair, keys: Collection[Key], link_ids: Collection[str]) -> set[str]:
    """What tells who the person is, in every form in which it stands in what is on record about them."""
    found = await shown_values(tx, pair, keys)
    for row in await tx.all(select(bases).where(bases.c.link_id.in_(list(link_ids)))):
        path = _path(row["rule"])
        found |= telling({path: [msgspec.json.decode(row["crm"]), msgspec.json.decode(row["books"])]})
    for row in await tx.all(select(changes).where(own_changes(pair, keys))):
        for field in msgspec.json.decode(row["fields"]):
            found |= telling(
                {_path(field["path"]): [field[name] for name in ("before", "after", "seen", "overwrites")]}
            )
        for body in (row["record"], row["before_image"], row["stored"]):
            found |= telling(msgspec.json.decode(body)) if body is not None else set()
    for row in await tx.all(select(conflicts).where(own_conflicts(pair, keys, link_ids))):
        said = [msgspec.json.decode(row[name]) for name in ("crm", "books", "base") if row[name] is not None]
        found |= telling({_path(row["rule"]): said})
    return found


def _path(rule: str) -> str:
    """`customers:phone` -> `phone`."""
    return rule.rpartition(":")[2]


# --------------------------------------------------------------------------- whose rows


def _row(pair: Pair, side: Side, kind: Kind, ref: str) -> ColumnElement[bool]:
    return and_(mirror.c.connection_id == pair.connection(side), mirror.c.kind == kind.value, mirror.c.ref == ref)


def own_changes(pair: Pair, keys: Collection[Key]) -> ColumnElement[bool]:
    """The changes that wrote these records, or were made from them to a record of the same kind."""
    mine = [(side, kind.value, ref) for side, kind, ref in keys]
    from_them = [("books" if side == "crm" else "crm", kind.value, kind.value, ref) for side, kind, ref in keys]
    written = tuple_(changes.c.side, changes.c.kind, changes.c.ref).in_(mine)
    told = tuple_(changes.c.side, changes.c.kind, changes.c.source_kind, changes.c.source_ref).in_(from_them)
    return and_(changes.c.pair_id == pair.id, or_(written, told)) if keys else false()


def own_conflicts(pair: Pair, keys: Collection[Key], link_ids: Collection[str]) -> ColumnElement[bool]:
    """The questions about these records."""
    mine = tuple_(conflicts.c.side, conflicts.c.kind, conflicts.c.ref).in_([(s, k.value, r) for s, k, r in keys])
    linked = conflicts.c.link_id.in_(list(link_ids)) if link_ids else false()
    return and_(conflicts.c.pair_id == pair.id, conflicts.c.what != "everywhere", or_(mine, linked))


def _own_decisions(pair: Pair, keys: Collection[Key]) -> ColumnElement[bool]:
    mine = tuple_(decisions.c.side, decisions.c.kind, decisions.c.ref).in_([(s, k.value, r) for s, k, r in keys])
    return and_(decisions.c.pair_id == pair.id, mine)


# --------------------------------------------------------------------------- emptying


async def empty(tx: Unit, pair: Pair, keys: Collection[Key], link_ids: Collection[str], gone: Collection[Key]) -> int:
    """Empty the rows that are about these records alone; how many changes and questions there were. While none is
    `gone`, what is open and what the two sides agreed on stays; what a system shows stays in any case."""
    emptied: dict[str, Any] = {"title": ERASED, "why": ERASED, "fields": "[]", "requires": "[]"}
    emptied |= dict.fromkeys(("record", "reason", "mark", "before_image", "stored"))
    number = int((await tx.run(update(changes).where(own_changes(pair, keys)).values(**emptied))).rowcount)
    for key in gone:
        await _forget_record(tx, pair, key)
    if gone:
        await tx.run(delete(bases).where(bases.c.link_id.in_(list(link_ids))))
        mine = and_(own_conflicts(pair, keys, link_ids), conflicts.c.state == "open")
        await tx.run(update(conflicts).where(mine).values(state="obsolete"))
    closed = and_(own_conflicts(pair, keys, link_ids), conflicts.c.state != "open")
    asked: dict[str, Any] = {"title": ERASED, "reason": ERASED, "candidates": "[]", "fingerprint": ""}
    number += int(
        (await tx.run(update(conflicts).where(closed).values(**asked, crm=None, books=None, base=None))).rowcount
    )
    over = true() if gone else decisions.c.lifted_at.is_not(None)
    typed = and_(_own_decisions(pair, keys), decisions.c.verdict == "value", over)
    await tx.run(update(decisions).where(typed).values(detail="", fingerprint="", lifted_at=await tx.now()))
    await tx.run(update(links).where(links.c.id.in_(list(link_ids))).values(why=ERASED))
    return number


async def _forget_record(tx: Unit, pair: Pair, key: Key) -> None:
    """What is left of a record that its system deleted: that it was there, and went."""
    side, kind, ref = key
    bare = RECORD_TYPES[kind](ref=ref)
    _, digest = seen.digest_of(bare)
    body = encode(bare).decode()
    await tx.run(update(mirror).where(_row(pair, *key)).values(body=body, digest=digest, marker=None))
    connection = bad_rows.c.connection_id == pair.connection(side)
    await tx.run(delete(bad_rows).where(connection, bad_rows.c.kind == kind.value, bad_rows.c.ref == ref))


# --------------------------------------------------------------------------- searching


async def take_out(tx: Unit, pair: Pair, person: Person) -> dict[str, dict[Any, dict[str, str]]]:
    """Take the person's values out of every text of `places`; table -> key -> the texts as they are now."""
    done: dict[str, dict[Any, dict[str, str]]] = {}
    for place in places(pair):
        rows = await _naming(tx, place, person)
        done[place.table.name] = {key: _without(texts, person) for key, texts in rows.items()}
        await _write(tx, place, done[place.table.name])
    return done


async def _naming(tx: Unit, place: Place, person: Person) -> dict[Any, dict[str, str]]:
    keys = list(place.table.primary_key)
    columns = [place.table.c[name] for name in place.columns]
    found: dict[Any, dict[str, str]] = {}
    for part in chunks(person.needles, NEEDLES):
        holds = or_(*(column.icontains(needle, autoescape=True) for column in columns for needle in part))
        for row in await tx.rows(select(*keys, *columns).where(place.where, holds)):
            texts = dict(zip(place.columns, row[len(keys) :], strict=True))
            named = {name: text for name, text in texts.items() if person.is_in(text)}
            if named:
                found[tuple(row[: len(keys)])] = named
    return found


def _without(texts: dict[str, str], person: Person) -> dict[str, str]:
    return {name: person.without(text) for name, text in texts.items()}


async def _write(tx: Unit, place: Place, rows: dict[Any, dict[str, str]]) -> None:
    keys = list(place.table.primary_key)
    for name in place.columns:
        told = [
            {f"k_{column.name}": value for column, value in zip(keys, key, strict=True)} | {"p_text": texts[name]}
            for key, texts in rows.items()
            if name in texts
        ]
        if told:
            here = and_(*(column == bindparam(f"k_{column.name}", type_=column.type) for column in keys))
            await tx.run(update(place.table).where(here).values({name: bindparam("p_text")}), told)


async def entries_naming(tx: Unit, pair: Pair, person: Person) -> list[str]:
    """The digests of what stands beside the trail and names the person."""
    place = Place(audit_values, ("value",), audit_values.c.pair_id == pair.id)
    return [key[1] for key in await _naming(tx, place, person)]


async def left_at_systems(tx: Unit, pair: Pair, person: Person) -> list[Key]:
    """The records that their systems still show, and that name the person."""
    mine = mirror.c.connection_id.in_([pair.crm, pair.books])
    place = Place(mirror, ("body",), and_(mine, or_(mirror.c.gone.is_(None), mirror.c.gone.in_(STILL_THERE))))
    rows = await _naming(tx, place, person)
    return [("crm" if c == pair.crm else "books", Kind(kind), ref) for c, kind, ref in rows]
