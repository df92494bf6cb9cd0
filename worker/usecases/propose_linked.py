"""Plan customers and items: match what is new, merge what is linked, make what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from connectors.canon.fields import FieldType, Value, read
from connectors.canon.records import AnyRecord, Item, Kind
from connectors.kit.contract import Side, Tombstone
from worker.engine.drawing import Asked, Drawing, Linked, Subject, draw_create, draw_link, title_of
from worker.engine.mapping import CustomersFlow, FieldRule, ItemsFlow
from worker.engine.match import Index, Match, OpenIntent, match_all, parked, twins
from worker.engine.merge import Verdict, merge_record
from worker.engine.merge import flapping as is_flapping
from worker.engine.own_value import OwnValue, Put, own_changes, still_to_write
from worker.engine.plan import Change, Flow, marker
from worker.outside import new_id
from worker.store import conflicts as asked_store
from worker.store import links as link_store
from worker.store import mirror, plans
from worker.store.conflicts import Decision
from worker.store.database import Unit, chunks
from worker.store.links import Link, NewLink
from worker.usecases.office import OTHER, SIDES, Desk

SLICE = 2_000


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """One kind's flow while it is planned."""

    desk: Desk
    flow: Flow
    kind: Kind
    rules: tuple[FieldRule, ...]
    evidence: tuple[str, ...]
    creates: dict[Side, str]
    removed: dict[Side, str]
    decisions: dict[tuple[Side, Kind, str], list[Decision]]
    intents: list[OpenIntent]
    refused: dict[tuple[Side, Kind, str], str]

    def marker(self, side: Side, ref: str) -> str:
        return marker(self.desk.installation, self.desk.pair.id, self.kind, f"{side}:{ref}")

    def decided(self, side: Side, ref: str, verdict: str) -> list[Decision]:
        return [d for d in self.decisions.get((side, self.kind, ref), []) if d.verdict == verdict]


def customers_scope(
    desk: Desk,
    decisions: dict[tuple[Side, Kind, str], list[Decision]],
    intents: list[OpenIntent],
    refused: dict[tuple[Side, Kind, str], str],
) -> Scope:
    flow = desk.mapping.customers or CustomersFlow()
    return _scope(desk, "customers", Kind.CUSTOMER, flow, decisions, intents, refused)


def items_scope(
    desk: Desk,
    decisions: dict[tuple[Side, Kind, str], list[Decision]],
    intents: list[OpenIntent],
    refused: dict[tuple[Side, Kind, str], str],
) -> Scope:
    return _scope(desk, "items", Kind.ITEM, desk.mapping.items or ItemsFlow(), decisions, intents, refused)


def _scope(
    desk: Desk,
    flow: Flow,
    kind: Kind,
    said: CustomersFlow | ItemsFlow,
    decisions: dict[tuple[Side, Kind, str], list[Decision]],
    intents: list[OpenIntent],
    refused: dict[tuple[Side, Kind, str], str],
) -> Scope:
    return Scope(
        desk=desk,
        flow=flow,
        kind=kind,
        rules=said.travelling,
        evidence=said.match,
        creates={"books": said.create_books, "crm": said.create_crm},
        removed={"books": said.removed_books, "crm": said.removed_crm},
        decisions=decisions,
        intents=[intent for intent in intents if intent.kind is kind],
        refused=refused,
    )


async def propose_linked(tx: Unit, scope: Scope, drawing: Drawing) -> None:
    """Everything dirty of the kind becomes changes, questions, agreement or a reason to wait."""
    desk, kind = scope.desk, scope.kind
    rows = await mirror.dirty_rows(tx, desk.pair.id, [(side, kind) for side in SIDES], desk.settings)
    subjects = [Subject(row.side, row.kind, row.ref) for row in rows]
    linked = await link_store.find_links(tx, desk.pair.id, [(s.side, s.kind, s.ref) for s in subjects])
    fresh = [s for s in subjects if (s.side, s.kind, s.ref) not in linked]
    by_link: dict[str, list[Subject]] = {}
    known: dict[str, Link] = {}
    for subject in subjects:
        link = linked.get((subject.side, subject.kind, subject.ref))
        if link is not None:
            by_link.setdefault(link.id, []).append(subject)
            known[link.id] = link
    for link, members in await _match_fresh(tx, scope, drawing, fresh):
        by_link[link.id] = members
        known[link.id] = link
    for part in chunks(list(by_link), SLICE):
        await _merge_links(tx, scope, drawing, [(known[i], by_link[i]) for i in part])


async def _load(tx: Unit, scope: Scope, side: Side, refs: Sequence[str]) -> dict[str, AnyRecord]:
    return await mirror.load(tx, scope.desk.pair.connection(side), scope.kind, refs)


# --------------------------------------------------------------------------- what is linked


async def _merge_links(tx: Unit, scope: Scope, drawing: Drawing, items: Sequence[tuple[Link, list[Subject]]]) -> None:
    records = {
        side: await _load(tx, scope, side, [ref for link, _ in items if (ref := link.ref(side)) is not None])
        for side in SIDES
    }
    types = {rule.key: (rule.crm_type or FieldType.TEXT, rule.books_type or FieldType.TEXT) for rule in scope.rules}
    bases = await link_store.load_bases(tx, [link.id for link, _ in items], types)
    posted = await _posted(tx, scope, [ref for link, _ in items if (ref := link.books) is not None])
    flaps = await _flapping(tx, scope)
    for link, members in items:
        crm, books = (records[side].get(link.ref(side) or "") for side in SIDES)
        if crm is None or books is None:
            await _one_is_gone(tx, scope, drawing, link, members)
            continue
        verdicts = merge_record(scope.rules, crm, books, bases.get(link.id, {}), posted=link.books in posted)
        draw_link(
            drawing,
            scope.flow,
            Linked(link_id=link.id, crm=crm, books=books, subjects=tuple(members)),
            _with_own_values(scope, drawing, crm, books, verdicts),
            new_id,
            flaps,
        )


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
            drawing.lifted.append((scope.kind, crm.ref, rule.key))
        found.append((rule, verdict))
    return found


async def _posted(tx: Unit, scope: Scope, customers: Sequence[str]) -> set[str]:
    """Of these books customers, those that Tieout has posted a document to."""
    if scope.kind is not Kind.CUSTOMER:
        return set()
    return await plans.customers_with_documents(tx, scope.desk.pair.id, customers)


async def _flapping(tx: Unit, scope: Scope) -> dict[tuple[Side, str, str], bool]:
    now = await tx.now()
    written = await plans.writes_to_fields(tx, scope.desk.pair.id, now - timedelta(hours=1))
    return {
        (side, ref, rule): is_flapping(times, now)
        for (side, kind, ref, rule), times in written.items()
        if kind is scope.kind
    }


async def _one_is_gone(tx: Unit, scope: Scope, drawing: Drawing, link: Link, members: Sequence[Subject]) -> None:
    """A member was deleted, archived or merged away at its vendor."""
    for side in SIDES:
        ref = link.ref(side)
        if ref is None:
            continue
        stones = await mirror.tombstones(tx, scope.desk.pair.connection(side), scope.kind, [ref])
        stone = stones.get(ref)
        if stone is None:
            continue
        if stone.survivor is not None and await link_store.move_member(
            tx, scope.desk.pair.id, side, scope.kind, ref, stone.survivor
        ):
            drawing.notes.append(f"{link.id} goes on with {stone.survivor}")
            continue
        drawing.asked.append(_removed(scope, link, side, stone))
        drawing.wait(members, "it was removed on one side: a person decides")
        return
    drawing.wait(members, "one side cannot be seen at the moment")


def _removed(scope: Scope, link: Link, side: Side, stone: Tombstone) -> Asked:
    other = OTHER[side]
    title = scope.desk.title(side)
    return Asked(
        what="removed",
        kind=scope.kind,
        side=side,
        ref=stone.ref,
        title=f"{stone.ref} is {stone.how} in {title}",
        reason=f"{stone.how} in {title}; its counterpart in {scope.desk.title(other)} is still there",
        rule="removed",
        link_id=link.id,
        candidates=({"ref": link.ref(other) or "", "side": other},),
    )


# --------------------------------------------------------------------------- what is new


async def _match_fresh(
    tx: Unit, scope: Scope, drawing: Drawing, fresh: Sequence[Subject]
) -> list[tuple[Link, list[Subject]]]:
    """Match new records of each side against the other's unlinked ones; links are stored at once."""
    made: list[tuple[Link, list[Subject]]] = []
    taken: dict[Side, set[str]] = {"crm": set(), "books": set()}
    for side in SIDES:
        refs = [s.ref for s in fresh if s.side == side and s.ref not in taken[side]]
        found = await _load(tx, scope, side, refs)
        drawing.settle(Subject(side, scope.kind, ref) for ref in refs if ref not in found)  # gone before it was linked
        records = [record for record in found.values() if not _parked(scope, drawing, side, record)]
        if not records:
            continue
        matches = await _matches(tx, scope, side, records, taken)
        links = await _store_matches(tx, scope, side, matches)
        for link in links:
            taken["crm"].add(link.crm or "")
            taken["books"].add(link.books or "")
            made.append((link, [Subject(s, scope.kind, link.ref(s) or "") for s in SIDES]))
        await _unmatched(tx, scope, drawing, side, records, matches)
    return made


def _parked(scope: Scope, drawing: Drawing, side: Side, record: AnyRecord) -> bool:
    if scope.decided(side, record.ref, "not_needed"):
        drawing.settle([Subject(side, scope.kind, record.ref)])
        return True
    return parked(record, scope.intents)


async def _matches(
    tx: Unit, scope: Scope, side: Side, records: Sequence[AnyRecord], taken: dict[Side, set[str]]
) -> dict[str, Match]:
    other = OTHER[side]
    desk = scope.desk
    pool = [
        record
        for record in await mirror.load_all(tx, desk.pair.connection(other), scope.kind)
        if not parked(record, scope.intents)
    ]
    if not pool:
        return {}
    # Linked ones are looked at too: a new record that is like one of them is asked about, never made again.
    linked = await link_store.linked_refs(tx, desk.pair.id, other, scope.kind)
    index = Index(pool, desk.mapping.region, scope.evidence)  # type: ignore[arg-type]  # validated by the mapping
    markers = {record.ref: scope.marker(side, record.ref) for record in records}
    matches = match_all(records, index, markers, linked | taken[other])
    return {ref: _decided(scope, side, ref, match) for ref, match in matches.items()}


def _decided(scope: Scope, side: Side, ref: str, match: Match) -> Match:
    """What a person said about a match stands: the same, or different from each of those."""
    same = scope.decided(side, ref, "same")
    if same:
        return Match(verdict="same", ref=same[-1].detail, score=100, reasons=("a person said so",))
    different = {d.detail for d in scope.decided(side, ref, "different")}
    left = tuple(c for c in match.candidates if c.ref not in different)
    if match.verdict == "ask":
        return Match(verdict="ask", candidates=left) if left else Match(verdict="none")
    return Match(verdict="none") if match.ref in different else match


async def _store_matches(tx: Unit, scope: Scope, side: Side, matches: dict[str, Match]) -> list[Link]:
    def pair(ref: str, found: str) -> dict[Side, str]:
        return {side: ref, OTHER[side]: found}

    new = []
    for ref, match in matches.items():
        if match.verdict == "same" and match.ref is not None:
            refs = pair(ref, match.ref)
            new.append(NewLink(scope.kind, refs["crm"], refs["books"], "matched", ", ".join(match.reasons)))
    return await link_store.make_links(tx, scope.desk.pair.id, new)


async def _unmatched(
    tx: Unit,
    scope: Scope,
    drawing: Drawing,
    side: Side,
    records: Sequence[AnyRecord],
    matches: dict[str, Match],
) -> None:
    """Ask about the unsure ones; make what the flow says is to be made; the others wait."""
    unsure = {ref: match for ref, match in matches.items() if match.verdict == "ask"}
    names = await _load(tx, scope, OTHER[side], [c.ref for m in unsure.values() for c in m.candidates])
    alone = [r for r in records if r.ref not in matches or matches[r.ref].verdict == "none"]
    for record in records:
        if record.ref in unsure:
            drawing.asked.append(_unsure(scope, side, record, unsure[record.ref], names))
            drawing.wait([Subject(side, scope.kind, record.ref)], "it may be one of several: a person decides")
    doubles = {ref for group in twins(alone, scope.desk.mapping.region) for ref in group.refs}
    for record in alone:
        _create_or_wait(scope, drawing, side, record, record.ref in doubles)


def _unsure(scope: Scope, side: Side, record: AnyRecord, match: Match, names: dict[str, AnyRecord]) -> Asked:
    return Asked(
        what="match",
        kind=scope.kind,
        side=side,
        ref=record.ref,
        title=title_of(record),
        reason="; ".join(
            f"{title_of(names[c.ref]) if c.ref in names else c.ref}: {c.score}%, {', '.join(c.reasons)}" for c in match.candidates
        ),
        rule="match",
        candidates=tuple(
            {"ref": c.ref, "title": title_of(names[c.ref]) if c.ref in names else c.ref, "score": c.score,
             "reasons": list(c.reasons)}
            for c in match.candidates
        ),
    )  # fmt: skip


def _create_or_wait(scope: Scope, drawing: Drawing, side: Side, record: AnyRecord, double: bool) -> None:
    other = OTHER[side]
    subject = Subject(side, scope.kind, record.ref)
    policy = scope.creates[other]
    if scope.decided(side, record.ref, "create"):
        policy = "always"
    if policy in ("never", "first_document", "customer_stage") or not _can_create(scope, other):
        reason = "for its first invoice" if policy == "first_document" else f"new records are not made in the {other}"
        drawing.wait([subject], reason)
    elif double and not scope.decided(side, record.ref, "create"):
        drawing.asked.append(_shall_we(scope, side, record, "another new record looks the same"))
        drawing.wait([subject], "another new record looks the same: a person decides")
    elif policy == "ask":
        drawing.asked.append(_shall_we(scope, side, record, f"it is not in {scope.desk.title(other)} yet"))
        drawing.wait([subject], f"it is not in {scope.desk.title(other)} yet: a person decides")
    else:
        change = create_change(scope, side, record, f"new in {scope.desk.title(side)}")
        if isinstance(change, str):
            drawing.wait([subject], change)
        else:
            drawing.changes.append(change)


def _can_create(scope: Scope, side: Side) -> bool:
    facts = scope.desk.connector(side).facts.kinds.get(scope.kind)
    return facts is not None and "create" in facts.operations


def _shall_we(scope: Scope, side: Side, record: AnyRecord, reason: str) -> Asked:
    return Asked(
        what="create",
        kind=scope.kind,
        side=side,
        ref=record.ref,
        title=title_of(record),
        reason=reason,
        rule="create",
    )


def create_change(scope: Scope, side: Side, record: AnyRecord, why: str) -> Change | str:
    """The change that makes a record's counterpart, or the reason why it waits."""
    refused = scope.refused.get((side, scope.kind, record.ref))
    if refused is not None:
        return refused
    change = draw_create(
        scope.flow,
        record,
        side,
        scope.rules,
        scope.marker(side, record.ref),
        why,
        new_id,
        scope.desk.mapping.region,
    )
    return change if isinstance(change, str) else _with_account(scope, change)


def _with_account(scope: Scope, change: Change) -> Change:
    """An item made in the books gets the income account that the mapping names, unless the item names its own."""
    flow = scope.desk.mapping.invoices
    record = change.record
    if change.side != "books" or flow is None or flow.accounts.income is None or not isinstance(record, Item):
        return change
    if isinstance(record.income_account, str):
        return change
    return msgspec.structs.replace(change, record=msgspec.structs.replace(record, income_account=flow.accounts.income))


async def open_intents(tx: Unit, desk: Desk) -> list[OpenIntent]:
    """Creates on their way: what a pull brings may be theirs."""
    found = []
    for stored in await plans.open_intents(tx, desk.pair.id):
        change = stored.change
        if change.operation != "create" or change.marker is None or stored.call_until is None:
            continue
        facts = desk.facts(change.side, change.kind)
        found.append(
            OpenIntent(
                kind=change.kind,
                marker=change.marker,
                carries_marker=facts.marker is not None,
                since=stored.call_until - timedelta(seconds=desk.connector(change.side).facts.call_deadline_s + 60),
            )
        )
    return found


async def decisions(tx: Unit, desk: Desk) -> dict[tuple[Side, Kind, str], list[Decision]]:
    return await asked_store.decided(tx, desk.pair.id)
