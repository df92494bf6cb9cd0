"""Links between records of the two sides, and the base of each field: the values when the two last agreed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import and_, delete, func, insert, select

from connectors.canon.fields import FieldType, Value, from_json, to_json
from connectors.canon.records import Kind
from connectors.canon.values import ABSENT
from connectors.kit.contract import Side
from worker.engine.merge import Base
from worker.outside import new_id
from worker.store.database import Unit, chunks
from worker.store.mirror import unseen
from worker.store.tables import bases, link_members, links, mirror

Provenance = Literal["created", "adopted", "matched"]


class Link(msgspec.Struct, frozen=True):
    """The primary members of a link; None where a side has none."""

    id: str
    kind: Kind
    crm: str | None
    books: str | None

    def ref(self, side: Side) -> str | None:
        return self.crm if side == "crm" else self.books


class NewLink(msgspec.Struct, frozen=True):
    """A link to be made, and what shows that its members are the same."""

    kind: Kind
    crm: str | None
    books: str | None
    provenance: Provenance
    why: str


async def find_links(
    tx: Unit, pair_id: str, members: Iterable[tuple[Side, Kind, str]]
) -> dict[tuple[Side, Kind, str], Link]:
    """The link of each record that has one, by (side, kind, ref)."""
    wanted: dict[tuple[Side, Kind], list[str]] = {}
    for side, kind, ref in members:
        wanted.setdefault((side, kind), []).append(ref)
    ids: dict[tuple[Side, Kind, str], str] = {}
    for (side, kind), refs in wanted.items():
        for part in chunks(refs):
            rows = await tx.rows(
                select(link_members.c.ref, link_members.c.link_id).where(
                    link_members.c.pair_id == pair_id,
                    link_members.c.side == side,
                    link_members.c.kind == kind.value,
                    link_members.c.ref.in_(part),
                )
            )
            ids.update({(side, kind, ref): link_id for ref, link_id in rows})
    known = await get_links(tx, list(dict.fromkeys(ids.values())))
    return {member: known[link_id] for member, link_id in ids.items()}


async def get_links(tx: Unit, ids: Sequence[str]) -> dict[str, Link]:
    """Links by id, with their primary members."""
    found: dict[str, dict[str, Any]] = {}
    for part in chunks(ids):
        rows = await tx.rows(
            select(links.c.id, links.c.kind, link_members.c.side, link_members.c.ref)
            .join(link_members, and_(link_members.c.link_id == links.c.id, link_members.c.role == "primary"))
            .where(links.c.id.in_(part))
        )
        for link_id, kind, side, ref in rows:
            found.setdefault(link_id, {"kind": kind})[side] = ref
    return {
        link_id: Link(link_id, Kind(row["kind"]), row.get("crm"), row.get("books")) for link_id, row in found.items()
    }


async def provenances(tx: Unit, ids: Sequence[str]) -> dict[str, Provenance]:
    """How the members of each link came together."""
    found: dict[str, Provenance] = {}
    for part in chunks(list(dict.fromkeys(ids))):
        rows = await tx.rows(select(links.c.id, links.c.provenance).where(links.c.id.in_(part)))
        found.update(tuple(row) for row in rows)
    return found


async def make_links(tx: Unit, pair_id: str, new: Sequence[NewLink]) -> list[Link]:
    """Store links with their primary members. A ref that is linked already fails the unit (unique index)."""
    now = await tx.now()
    made = [Link(new_id("lk"), link.kind, link.crm, link.books) for link in new]
    if not made:
        return []
    await tx.run(
        insert(links),
        [
            {
                "id": m.id,
                "pair_id": pair_id,
                "kind": m.kind.value,
                "provenance": n.provenance,
                "why": n.why,
                "created_at": now,
            }
            for m, n in zip(made, new, strict=True)
        ],
    )
    sides: tuple[Side, Side] = ("crm", "books")
    await tx.run(
        insert(link_members),
        [
            {
                "pair_id": pair_id,
                "side": side,
                "kind": m.kind.value,
                "ref": m.ref(side),
                "link_id": m.id,
                "role": "primary",
            }
            for m in made
            for side in sides
            if m.ref(side) is not None
        ],
    )
    return made


async def move_member(tx: Unit, pair_id: str, side: Side, kind: Kind, old: str, new: str) -> bool:
    """A merge at the vendor: the link goes on with the survivor, unless that is linked itself."""
    taken = await tx.scalar(
        select(link_members.c.link_id).where(
            link_members.c.pair_id == pair_id,
            link_members.c.side == side,
            link_members.c.kind == kind.value,
            link_members.c.ref == new,
        )
    )
    if taken is not None:
        return False
    await tx.run(
        link_members.update()
        .where(
            link_members.c.pair_id == pair_id,
            link_members.c.side == side,
            link_members.c.kind == kind.value,
            link_members.c.ref == old,
        )
        .values(ref=new)
    )
    return True


async def unlink(tx: Unit, link_ids: Sequence[str]) -> None:
    """Forget links and their bases; the records stay as they are."""
    for part in chunks(link_ids):
        for table in (bases, link_members):
            await tx.run(delete(table).where(table.c.link_id.in_(part)))
        await tx.run(delete(links).where(links.c.id.in_(part)))


async def load_bases(
    tx: Unit, link_ids: Sequence[str], types: Mapping[str, tuple[FieldType, FieldType]]
) -> dict[str, dict[str, Base]]:
    """link id -> rule -> Base. `types` are each rule's field types (crm, books); others are left out."""
    found: dict[str, dict[str, Base]] = {}
    for part in chunks(link_ids):
        rows = await tx.rows(
            select(bases.c.link_id, bases.c.rule, bases.c.crm, bases.c.books, bases.c.decision).where(
                bases.c.link_id.in_(part)
            )
        )
        for link_id, rule, crm, books, decision in rows:
            if rule in types:
                crm_type, books_type = types[rule]
                base = Base(
                    crm=from_json(crm_type, msgspec.json.decode(crm)),
                    books=from_json(books_type, msgspec.json.decode(books)),
                    kept=_KEPT.get(decision.partition(":")[0]),
                )
                found.setdefault(link_id, {})[rule] = base
    return found


_KEPT: dict[str, Side] = {"keep crm": "crm", "keep books": "books"}


async def store_bases(tx: Unit, rows: Sequence[tuple[str, str, Base, str]]) -> None:
    """(link id, rule, base, decision): the two agree on these values, or agreed to differ, or one is to be kept."""
    now = await tx.now()
    values = [
        {
            "link_id": link_id,
            "rule": rule,
            "crm": msgspec.json.encode(to_json(base.crm)).decode(),
            "books": msgspec.json.encode(to_json(base.books)).decode(),
            "decision": decision if base.kept is None else f"keep {base.kept}:{decision}",
            "at": now,
        }
        for link_id, rule, base, decision in rows
    ]
    if values:
        await tx.run(tx.upsert(bases), values)


async def without_base(tx: Unit, pair_id: str, kind: Kind, rule: str) -> list[str]:
    """The links of a kind that were never compared by a rule."""
    compared = select(bases.c.link_id).where(bases.c.link_id == links.c.id, bases.c.rule == rule)
    mine = (links.c.pair_id == pair_id, links.c.kind == kind.value)
    return [id_ for (id_,) in await tx.rows(select(links.c.id).where(*mine, ~compared.exists()))]


async def decisions(tx: Unit, link_id: str, rules: Sequence[str]) -> dict[str, str]:
    """rule -> what made its base: the id of a change, of a conflict, or a word."""
    rows = await tx.rows(
        select(bases.c.rule, bases.c.decision).where(bases.c.link_id == link_id, bases.c.rule.in_(list(rules)))
    )
    return dict(tuple(row) for row in rows)


async def forget_bases(tx: Unit, pair_id: str, kind: Kind, rules: Sequence[str]) -> None:
    """These rules were never compared, in all of the pair's links of a kind."""
    mine = select(links.c.id).where(links.c.pair_id == pair_id, links.c.kind == kind.value)
    await tx.run(delete(bases).where(bases.c.link_id.in_(mine), bases.c.rule.in_(list(rules))))


async def store_half_base(tx: Unit, link_id: str, rule: str, side: Side, value: Value, decision: str) -> None:
    """One side of a base; the other stays as it was, or is unknown if there was none."""
    text = msgspec.json.encode(to_json(value)).decode()
    unknown = msgspec.json.encode(to_json(ABSENT)).decode()
    row = {"link_id": link_id, "rule": rule, "crm": unknown, "books": unknown, "decision": decision,
           "at": await tx.now(), side: text}  # fmt: skip
    statement = tx.insert(bases)
    changed = {name: statement.excluded[name] for name in (side, "decision", "at")}
    await tx.run(statement.on_conflict_do_update(index_elements=["link_id", "rule"], set_=changed), [row])


async def linked_and_alive(
    tx: Unit, pair_id: str, connections: Mapping[Side, str]
) -> tuple[dict[tuple[Side, Kind], int], dict[tuple[Side, Kind], int]]:
    """How many records of each (side, kind) are linked, and how many of those can still be seen: neither gone, nor
    missing from the last complete listing."""
    linked: dict[tuple[Side, Kind], int] = {}
    alive: dict[tuple[Side, Kind], int] = {}
    for side, connection_id in connections.items():
        ours = and_(link_members.c.pair_id == pair_id, link_members.c.side == side)
        counted = select(link_members.c.kind, func.count()).where(ours).group_by(link_members.c.kind)
        for kind, number in await tx.rows(counted):
            linked[side, Kind(kind)] = alive[side, Kind(kind)] = number
        same = and_(ours, link_members.c.kind == mirror.c.kind, link_members.c.ref == mirror.c.ref)
        lost = select(mirror.c.kind, func.count()).where(
            mirror.c.connection_id == connection_id, unseen(), select(link_members.c.ref).where(same).exists()
        )
        for kind, number in await tx.rows(lost.group_by(mirror.c.kind)):
            alive[side, Kind(kind)] -= number
    return linked, alive


async def is_free(tx: Unit, pair_id: str, side: Side, kind: Kind, refs: Sequence[str]) -> set[str]:
    """Of these refs, the ones that no link has."""
    taken: set[str] = set()
    for part in chunks(refs):
        rows = await tx.rows(
            select(link_members.c.ref).where(
                link_members.c.pair_id == pair_id,
                link_members.c.side == side,
                link_members.c.kind == kind.value,
                link_members.c.ref.in_(part),
            )
        )
        taken |= {ref for (ref,) in rows}
    return set(refs) - taken


async def linked_refs(tx: Unit, pair_id: str, side: Side, kind: Kind) -> set[str]:
    """Everything of a kind that a link has at one side."""
    rows = await tx.rows(
        select(link_members.c.ref).where(
            link_members.c.pair_id == pair_id, link_members.c.side == side, link_members.c.kind == kind.value
        )
    )
    return {ref for (ref,) in rows}
