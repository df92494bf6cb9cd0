"""Plan new customers and items: match them against the other side and among themselves, ask where it is not sure,
make what the flow lets be made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.canon.records import AnyRecord, Item, Kind
from connectors.kit.contract import Side
from worker.engine.drawing import Drawing, Joined, Subject, draw_create, title_of
from worker.engine.match import Candidate, Index, Match, match_all, parked, twins
from worker.engine.plan import Change
from worker.engine.questions import Question
from worker.outside import new_id
from worker.store import links as link_store
from worker.store import mirror
from worker.store.database import Unit
from worker.store.links import Link, NewLink
from worker.usecases.in_turns import in_turns
from worker.usecases.office import OTHER, SIDES
from worker.usecases.scope import Scope

ONE_OF_SEVERAL = "it may be one of several: a person decides"
LOOKS_THE_SAME = "another new record looks the same"
WAS_TAKEN_BACK = "its counterpart was taken back by an undo"


async def match_fresh(tx: Unit, scope: Scope, drawing: Drawing, fresh: Sequence[Subject]) -> list[Link]:
    """Match new records of each side against the other's; links are stored at once."""
    made: list[Link] = []
    taken: dict[Side, set[str]] = {"crm": set(), "books": set()}
    for side in SIDES:
        refs = [s.ref for s in fresh if s.side == side and s.ref not in taken[side]]
        records = await _to_match(tx, scope, drawing, side, refs)
        if not records:
            continue
        matches = await _matches(tx, scope, side, records, taken)
        for link in await _store_matches(tx, scope, drawing, side, matches):
            taken["crm"].add(link.crm or "")
            taken["books"].add(link.books or "")
            made.append(link)
        await _unmatched(tx, scope, drawing, side, records, matches)
    return made


async def _to_match(tx: Unit, scope: Scope, drawing: Drawing, side: Side, refs: Sequence[str]) -> list[AnyRecord]:
    """What is there and open: not gone, not settled by a person, not what an open intent may have made."""
    found = await _load(tx, scope, side, refs)
    gone = [Subject(side, scope.kind, ref) for ref in refs if ref not in found]
    drawing.settle(gone)
    drawing.consider(*gone)
    left = []
    for record in found.values():
        subject = Subject(side, scope.kind, record.ref)
        if scope.decided(side, record.ref, "not_needed"):
            drawing.settle([subject])
            drawing.consider(subject)
        elif not parked(record, scope.intents):
            drawing.consider(subject)
            left.append(record)
    return left


async def _load(tx: Unit, scope: Scope, side: Side, refs: Sequence[str]) -> dict[str, AnyRecord]:
    return await mirror.load(tx, scope.desk.pair.connection(side), scope.kind, refs)


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
    evidence: Any = scope.evidence  # the mapping's validator knows the words
    index = await asyncio.to_thread(Index, pool, desk.mapping.region, evidence)
    markers = {record.ref: scope.marker(side, record.ref) for record in records}
    matches = await asyncio.to_thread(match_all, records, index, markers, linked | taken[other])
    different = _different(scope, side)
    return {ref: _decided(scope, side, ref, match, different.get(ref, set())) for ref, match in matches.items()}


def _decided(scope: Scope, side: Side, ref: str, match: Match, different: set[str]) -> Match:
    """What a person said about a match stands: the same, or `different` from each of those."""
    same = scope.decided(side, ref, "same")
    if same:
        return Match(verdict="same", ref=same[-1].detail, score=100, reasons=("a person said so",))
    left = tuple(c for c in match.candidates if c.ref not in different)
    if match.verdict == "ask":
        return Match(verdict="ask", candidates=left) if left else Match(verdict="none")
    if match.ref is not None and match.ref not in different and scope.is_taken_back(OTHER[side], match.ref):
        return Match(verdict="ask", candidates=(Candidate(match.ref, match.score, match.reasons),))
    return Match(verdict="none") if match.ref in different else match


def _different(scope: Scope, side: Side) -> dict[str, set[str]]:
    """Record of this side -> what people said it is not, asked about it or about the other."""
    found: dict[str, set[str]] = {}
    for (where, kind, ref), decisions in scope.known.decisions.items():
        for decision in decisions:
            if kind is scope.kind and decision.verdict == "different":
                one, other = (ref, decision.detail) if where == side else (decision.detail, ref)
                found.setdefault(one, set()).add(other)
    return found


async def _store_matches(tx: Unit, scope: Scope, drawing: Drawing, side: Side, matches: dict[str, Match]) -> list[Link]:
    def pair(ref: str, found: str) -> dict[Side, str]:
        return {side: ref, OTHER[side]: found}

    new = []
    for ref, match in matches.items():
        if match.verdict == "same" and match.ref is not None:
            refs = pair(ref, match.ref)
            why = ", ".join(match.reasons)
            new.append(NewLink(scope.kind, refs["crm"], refs["books"], "matched", why))
            records = (Subject("crm", scope.kind, refs["crm"]), Subject("books", scope.kind, refs["books"]))
            drawing.joined.append(Joined(how="link.matched", records=records, why=why))
    return await link_store.make_links(tx, scope.desk.pair.id, new)


# --------------------------------------------------------------------------- what has no match


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
            _ask_which(scope, drawing, side, record, unsure[record.ref], names)
    doubles = await twins_of(tx, scope, side, alone) if alone else set()
    async for record in in_turns(alone):
        _create_or_wait(scope, drawing, side, record, record.ref in doubles)


async def twins_of(tx: Unit, scope: Scope, side: Side, records: Sequence[AnyRecord]) -> set[str]:
    """Of these new records, those that look like another unlinked one of their own side, dirty or waiting."""
    refs = scope.known.dirt.refs(side, scope.kind)
    free = await link_store.is_free(tx, scope.desk.pair.id, side, scope.kind, refs)
    others = await _load(tx, scope, side, sorted(free - {record.ref for record in records}))
    settled = {ref for ref in others if scope.decided(side, ref, "not_needed")}
    pool = [*records, *(record for ref, record in others.items() if ref not in settled)]
    groups = await asyncio.to_thread(twins, pool, scope.desk.mapping.region)
    return {ref for group in groups for ref in group.refs} & {record.ref for record in records}


def _ask_which(
    scope: Scope, drawing: Drawing, side: Side, record: AnyRecord, match: Match, names: dict[str, AnyRecord]
) -> None:
    """Which of the candidates it is; once for both sides."""
    subject = Subject(side, scope.kind, record.ref)
    asked_of = scope.asked_of(drawing, record.ref) if side == "books" else None
    if asked_of is not None:
        waits_for = f"customer:{asked_of}" if scope.kind is Kind.CUSTOMER else "item"
        drawing.wait([subject], ONE_OF_SEVERAL, waits_for)
        return
    drawing.asked.append(_unsure(scope, side, record, match, names))
    drawing.wait([subject], ONE_OF_SEVERAL)


def _unsure(scope: Scope, side: Side, record: AnyRecord, match: Match, names: dict[str, AnyRecord]) -> Question:
    def title(ref: str) -> str:
        return title_of(names[ref]) if ref in names else ref

    return Question(
        what="match",
        kind=scope.kind,
        side=side,
        ref=record.ref,
        title=title_of(record),
        reason="; ".join(f"{title(c.ref)}: {c.score}%, {', '.join(c.reasons)}" for c in match.candidates),
        rule="match",
        candidates=tuple(
            {"ref": c.ref, "title": title(c.ref), "score": c.score, "reasons": list(c.reasons)}
            for c in match.candidates
        ),
    )


def _create_or_wait(scope: Scope, drawing: Drawing, side: Side, record: AnyRecord, double: bool) -> None:
    other = OTHER[side]
    subject = Subject(side, scope.kind, record.ref)
    said = bool(scope.decided(side, record.ref, "create"))
    policy = "always" if said else scope.creates[other]
    if policy in ("never", "first_document") or not _can_create(scope, other):
        reason = "for its first invoice" if policy == "first_document" else f"new records are not made in the {other}"
        drawing.wait([subject], reason)
    elif double and not said:
        ask_create(scope, drawing, side, record, LOOKS_THE_SAME)
    elif policy == "ask":
        ask_create(scope, drawing, side, record, f"it is not in {scope.desk.title(other)} yet")
    else:
        change = create_change(scope, side, record, f"new in {scope.desk.title(side)}")
        if isinstance(change, str):
            drawing.wait([subject], change)
        else:
            drawing.changes.append(change)
            drawing.keep([subject])


def _can_create(scope: Scope, side: Side) -> bool:
    facts = scope.desk.connector(side).facts.kinds.get(scope.kind)
    return facts is not None and "create" in facts.operations


def ask_create(scope: Scope, drawing: Drawing, side: Side, record: AnyRecord, reason: str) -> str:
    """Ask whether a record's counterpart is to be made; why it waits comes back."""
    drawing.asked.append(
        Question(
            what="create",
            kind=scope.kind,
            side=side,
            ref=record.ref,
            title=title_of(record),
            reason=reason,
            rule="create",
        )
    )
    waits = f"{reason}: a person decides"
    drawing.wait([Subject(side, scope.kind, record.ref)], waits)
    return waits


def create_change(scope: Scope, side: Side, record: AnyRecord, why: str) -> Change | str:
    """The change that makes a record's counterpart, or the reason why it waits."""
    refused = scope.known.refused.get((side, scope.kind, record.ref))
    if refused is not None:
        return refused
    if scope.is_taken_back(side, record.ref):
        return f"{WAS_TAKEN_BACK}: a person decides"
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
