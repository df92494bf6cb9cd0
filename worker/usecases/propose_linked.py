"""Plan customers and items: match what is new, merge what is linked, say what became of what is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from connectors.canon.fields import FieldType, Value, read
from connectors.canon.records import AnyRecord, Customer, Item, Kind
from connectors.kit.contract import Side, Tombstone
from worker.engine.drawing import Drawing, Joined, Linked, Subject, draw_link, title_of
from worker.engine.field_names import field_name
from worker.engine.lost_edit import is_back
from worker.engine.mapping import FieldRule
from worker.engine.merge import Base, Verdict, merge_record
from worker.engine.own_value import OwnValue, Put, own_changes, still_to_write
from worker.engine.plan import Change, FieldChange
from worker.engine.questions import Question
from worker.outside import new_id
from worker.store import links as link_store
from worker.store import mirror, plans
from worker.store.database import Unit, chunks
from worker.store.links import Link
from worker.usecases.ask_about_fields import ask_about_fields
from worker.usecases.in_turns import in_turns
from worker.usecases.late_rewrites import settled_late
from worker.usecases.office import OTHER, SIDES
from worker.usecases.propose_new import match_fresh
from worker.usecases.scope import Scope, flapping_fields

SLICE = 2_000


async def propose_linked(tx: Unit, scope: Scope, drawing: Drawing) -> None:
    """Everything dirty of the kind becomes changes, questions, agreement or a reason to wait."""
    rows = scope.known.dirt.due(*((side, scope.kind) for side in SIDES))
    subjects = await _follow_merges(tx, scope, drawing, [Subject(row.side, row.kind, row.ref) for row in rows])
    linked = await link_store.find_links(tx, scope.desk.pair.id, [(s.side, s.kind, s.ref) for s in subjects])
    fresh = [s for s in subjects if (s.side, s.kind, s.ref) not in linked]
    known = {link.id: link for link in linked.values()}
    known.update({link.id: link for link in await match_fresh(tx, scope, drawing, fresh)})
    for part in chunks(list(known.values()), SLICE):
        await _merge_links(tx, scope, drawing, part)
    await ask_about_fields(tx, scope, drawing, known.values())


async def _load(tx: Unit, scope: Scope, side: Side, refs: Sequence[str]) -> dict[str, AnyRecord]:
    return await mirror.load(tx, scope.desk.pair.connection(side), scope.kind, refs)


# --------------------------------------------------------------------------- what is linked


async def _merge_links(tx: Unit, scope: Scope, drawing: Drawing, links: Sequence[Link]) -> None:
    records = {
        side: await _load(tx, scope, side, [ref for link in links if (ref := link.ref(side)) is not None])
        for side in SIDES
    }
    types = {rule.key: (rule.crm_type or FieldType.TEXT, rule.books_type or FieldType.TEXT) for rule in scope.rules}
    bases = await link_store.load_bases(tx, [link.id for link in links], types)
    posted = await _posted(tx, scope, [ref for link in links if (ref := link.books) is not None])
    flaps = await flapping_fields(tx, scope.desk, scope.kind)
    async for link in in_turns(links):
        crm, books = (records[side].get(link.ref(side) or "") for side in SIDES)
        if crm is None or books is None:
            left = crm if crm is not None else books
            await _one_is_gone(tx, scope, drawing, link, left, bases.get(link.id, {}))
            continue
        own = await settled_late(tx, scope, drawing, link.id, {"crm": crm, "books": books}, bases.get(link.id, {}))
        verdicts = merge_record(scope.rules, crm, books, own, posted=link.books in posted)
        draw_link(
            drawing,
            scope.flow,
            Linked(link_id=link.id, crm=crm, books=books, subjects=_members(link)),
            _with_own_values(scope, drawing, crm, books, verdicts),
            new_id,
            flaps,
            own,
        )
        drawing.asked += _still_lost(scope, crm, books)


def _members(link: Link) -> tuple[Subject, ...]:
    return tuple(Subject(side, link.kind, ref) for side in SIDES if (ref := link.ref(side)) is not None)


def _with_own_values(
    scope: Scope, drawing: Drawing, crm: AnyRecord, books: AnyRecord, verdicts: Sequence[tuple[FieldRule, Verdict]]
) -> list[tuple[FieldRule, Verdict | Put]]:
    """Where a person settled on a value of their own, that is written to both sides instead of what the merge says."""
    said = {d.rule: msgspec.json.decode(d.detail, type=OwnValue) for d in scope.decided("crm", crm.ref, "value")}
    found: list[tuple[FieldRule, Verdict | Put]] = []
    for rule, verdict in verdicts:
        own = said.get(rule.key)
        now: dict[Side, Value] = {"crm": read(crm, rule.path("crm")), "books": read(books, rule.path("books"))}
        left = still_to_write(rule, own, now["crm"], now["books"]) if own is not None else None
        if own is not None and left:
            found.append((rule, Put(own_changes(rule, own, now, left))))
            continue
        if own is not None:
            drawing.lifted.append((scope.kind, crm.ref, rule.key, "value"))
        found.append((rule, verdict))
    return found


def _still_lost(scope: Scope, crm: AnyRecord, books: AnyRecord) -> list[Question]:
    """What is asked about edits that a write of ours passed over: it stays asked until somebody answers, or the value
    stands there again."""
    found = []
    for question in scope.known.questions.about_lost(scope.kind, crm.ref):
        rule = next((rule for rule in scope.rules if rule.key == question.rule and not rule.stays_home), None)
        if rule is not None:
            now: dict[Side, Value] = {"crm": read(crm, rule.path("crm")), "books": read(books, rule.path("books"))}
            found += [] if is_back(question, rule, now) else [question]
    return found


async def _posted(tx: Unit, scope: Scope, customers: Sequence[str]) -> set[str]:
    """Of these books customers, those that Tieout has posted a document to."""
    if scope.kind is not Kind.CUSTOMER:
        return set()
    return await plans.customers_with_documents(tx, scope.desk.pair.id, customers)


# --------------------------------------------------------------------------- what is gone


async def _follow_merges(tx: Unit, scope: Scope, drawing: Drawing, subjects: Sequence[Subject]) -> list[Subject]:
    """A record that was merged away at its vendor: its link goes on with the survivor, which is looked at in its
    place."""
    found: dict[Subject, None] = {}
    for side in SIDES:
        mine = [s for s in subjects if s.side == side]
        stones = await mirror.tombstones(tx, scope.desk.pair.connection(side), scope.kind, [s.ref for s in mine])
        for subject in mine:
            survivor = await _survivor(tx, scope, side, stones.get(subject.ref))
            if survivor is not None and await link_store.move_member(
                tx, scope.desk.pair.id, side, scope.kind, subject.ref, survivor
            ):
                drawing.notes.append(f"{subject.ref} was merged into {survivor}, which takes its place")
                moved = (Subject(side, scope.kind, survivor), subject)
                why = f"{subject.ref} was merged into {survivor} in {scope.desk.title(side)}"
                drawing.joined.append(Joined(how="link.moved", records=moved, why=why))
                drawing.settle([subject])
                drawing.consider(subject)
                found[Subject(side, scope.kind, survivor)] = None
            else:
                found[subject] = None
    return list(found)


async def _survivor(tx: Unit, scope: Scope, side: Side, stone: Tombstone | None) -> str | None:
    """The last survivor of a chain of merges."""
    seen: set[str] = set()
    ref: str | None = None
    while stone is not None and stone.survivor is not None and stone.survivor not in seen:
        ref = stone.survivor
        seen.add(ref)
        stone = (await mirror.tombstones(tx, scope.desk.pair.connection(side), scope.kind, [ref])).get(ref)
    return ref


async def _one_is_gone(
    tx: Unit, scope: Scope, drawing: Drawing, link: Link, left: AnyRecord | None, bases: Mapping[str, Base]
) -> None:
    """A member was deleted, archived or merged away at its vendor, or cannot be seen. `left`: what is there."""
    members = _members(link)
    drawing.consider(*members)
    stones = {side: stone for side in SIDES if (stone := await _stone(tx, scope, side, link.ref(side))) is not None}
    if len(stones) == len(members):
        drawing.settle(members)
        return
    for side, stone in stones.items():
        if left is not None:
            edited = _edited(scope, OTHER[side], left, bases)
            _removed(scope, drawing, link, side, stone, left, edited)
            return
    drawing.wait(members, "one side cannot be seen at the moment", again=True)


async def _stone(tx: Unit, scope: Scope, side: Side, ref: str | None) -> Tombstone | None:
    if ref is None:
        return None
    return (await mirror.tombstones(tx, scope.desk.pair.connection(side), scope.kind, [ref])).get(ref)


def _edited(scope: Scope, side: Side, left: AnyRecord, bases: Mapping[str, Base]) -> list[str]:
    """The fields that somebody edited since the two last agreed, by name."""
    return [
        field_name(rule.path(side))
        for rule in scope.rules
        if not rule.stays_home
        and (base := bases.get(rule.key)) is not None
        and not rule.conversion.unchanged(side, read(left, rule.path(side)), base.crm if side == "crm" else base.books)
    ]


def _removed(
    scope: Scope, drawing: Drawing, link: Link, side: Side, stone: Tombstone, left: AnyRecord, edited: Sequence[str]
) -> None:
    """What the flow says of records removed on one side: the counterpart is made inactive, left, or asked about. One
    that somebody works on is never made inactive without a word."""
    members = _members(link)
    asked = _shall_it_go(scope, link, side, stone, left, edited)
    policy = "ask" if edited and scope.removed[side] == "deactivate" else scope.removed[side]
    if any(decision.detail == asked.reason for decision in scope.decided(side, stone.ref, "archive")):
        policy = "deactivate"  # a person saw how it stands, and said so
    if policy == "leave" or scope.known.questions.is_left(side, scope.kind, stone.ref, "removed", asked.fingerprint):
        drawing.settle(members)
    elif policy == "ask":
        drawing.asked.append(asked)
        drawing.wait(members, "it was removed on one side: a person decides")
    else:
        change = _deactivated(scope, link, side, stone, left)
        if change is None:
            drawing.settle(members)
            return
        drawing.changes.append(change)
        drawing.keep(members)


def _deactivated(scope: Scope, link: Link, side: Side, stone: Tombstone, left: AnyRecord) -> Change | None:
    """The change that makes the counterpart inactive; None: it is."""
    other = OTHER[side]
    archives = "archive" in scope.desk.facts(other, scope.kind).operations
    if not archives and isinstance(left, Customer | Item) and not left.active:
        return None
    inactive = FieldChange(path="active", rule="active", type=FieldType.FLAG, before=True, after=False)
    return Change(
        id=new_id("ch"),
        flow=scope.flow,
        side=other,
        kind=scope.kind,
        operation="archive" if archives else "update",
        source_kind=scope.kind,
        source_ref=stone.ref,
        title=title_of(left),
        why=f"{stone.how} in {scope.desk.title(side)}",
        ref=left.ref,
        link_id=link.id,
        fields=() if archives else (inactive,),
    )


def _shall_it_go(
    scope: Scope, link: Link, side: Side, stone: Tombstone, left: AnyRecord, edited: Sequence[str]
) -> Question:
    other = OTHER[side]
    title = scope.desk.title(side)
    since = f"; edited there since: {', '.join(edited)}" if edited else ""
    return Question(
        what="removed",
        kind=scope.kind,
        side=side,
        ref=stone.ref,
        title=title_of(left),
        reason=f"{stone.how} in {title}, still there in {scope.desk.title(other)}{since}",
        rule="removed",
        link_id=link.id,
        candidates=({"ref": left.ref, "side": other, "title": title_of(left)},),
    )
