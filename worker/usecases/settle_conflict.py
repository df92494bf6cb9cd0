"""Settle what needed a person: keep one side's value, say that two records are the same or not, make or leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.canon.fields import FieldType, Value, from_json, key, read, to_json
from connectors.canon.records import Kind
from connectors.canon.values import ABSENT
from worker.engine.drawing import Asked
from worker.engine.mapping import FieldRule
from worker.engine.merge import Base
from worker.engine.own_value import own_value
from worker.store import audit, links, mirror, plans
from worker.store import conflicts as store
from worker.store.conflicts import Conflict, Decision, Question
from worker.store.database import Unit
from worker.store.links import NewLink
from worker.store.mirror import Listener
from worker.usecases.office import OTHER, SIDES, Desk
from worker.usecases.post_messages import tell_conflict

CHOICES: dict[str, tuple[str, ...]] = {
    "field": ("crm", "books", "value"),
    "match": ("same", "different"),
    "create": ("create", "not-needed"),
    "document": ("leave",),
    "removed": ("leave",),
}


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How a conflict stands after somebody pressed. `first`: this person was; else `by` was before. `moved`: a
    value changed since, so nothing was decided and the question is asked anew."""

    number: int
    title: str
    first: bool
    by: str
    decision: str
    moved: bool = False


class NotAChoice(ValueError):
    """That cannot be answered to this question."""


async def settle_conflict(
    desk: Desk, number: int, choice: str, by: str, value: Any = None, shown: str | None = None
) -> Settled:
    """Record a person's answer and mark what it is about, so that the next plan carries it out. `shown`: the
    fingerprint of the question as the person saw it; an answer to another one is not taken. Raises LookupError
    if there is no such conflict, NotAChoice if the answer does not fit the question."""
    async with desk.db.write() as tx:
        conflict = await store.get(tx, desk.pair.id, number)
        if conflict is None:
            raise LookupError(f"there is no conflict {number}")
        if choice not in CHOICES[conflict.question.what]:
            raise NotAChoice(f"answer with one of: {', '.join(CHOICES[conflict.question.what])}")
        if conflict.state != "open":
            return _settled(conflict, first=False, by=conflict.decided_by or "", decision=conflict.decision or "")
        if shown is not None and shown != conflict.question.fingerprint:
            return _settled(conflict, first=True, by=by, decision=choice, moved=True)
        if conflict.question.what == "field" and await _moved(tx, desk, conflict):
            await _show_again(tx, desk, conflict)
            return _settled(conflict, first=True, by=by, decision=choice, moved=True)
        await _carry_out(tx, desk, conflict, choice, by, value)
        await store.settle(tx, conflict, choice, by)
        await _wake(tx, desk, conflict)
        await tell_conflict(tx, desk.pair, number)
        await audit.append(tx, desk.pair.id, [_entry(conflict, choice, by)])
        return _settled(conflict, first=True, by=by, decision=choice)


def _settled(conflict: Conflict, *, first: bool, by: str, decision: str, moved: bool = False) -> Settled:
    return Settled(
        number=conflict.number, title=conflict.question.title, first=first, by=by, decision=decision, moved=moved
    )


def _rule(desk: Desk, conflict: Conflict) -> FieldRule:
    rules: Sequence[FieldRule] = desk.mapping.rules(conflict.question.kind)
    found = next((rule for rule in rules if rule.key == conflict.question.rule), None)
    if found is None:
        raise LookupError("the mapping has no such field any more: preview again")
    return found


async def _show_again(tx: Unit, desk: Desk, conflict: Conflict) -> None:
    """What was answered is not what is there now: the same question is asked with the values of now. If they can
    not be shown (a record went), the next plan says what became of it."""
    now = await _values(tx, desk, conflict)
    await _wake(tx, desk, conflict)
    if now is None:
        asked = conflict.question
        await store.obsolete(tx, desk.pair.id, [(asked.kind, asked.ref, asked.rule)])
        await tell_conflict(tx, desk.pair, conflict.number)
        return
    said = msgspec.structs.asdict(conflict.question)
    said |= {"crm": to_json(now["crm"]), "books": to_json(now["books"]), "reason": "it changed since it was asked"}
    asked_anew = Asked(**{name: said[name] for name in Asked.__struct_fields__})
    await store.ask_anew(tx, conflict, Question(**(said | {"fingerprint": asked_anew.fingerprint})))
    await tell_conflict(tx, desk.pair, conflict.number)


def _types(rule: FieldRule) -> tuple[FieldType, FieldType]:
    return rule.crm_type or FieldType.TEXT, rule.books_type or FieldType.TEXT


async def _moved(tx: Unit, desk: Desk, conflict: Conflict) -> bool:
    """Whether a value is no longer the one that was shown."""
    question, rule = conflict.question, _rule(desk, conflict)
    now = await _values(tx, desk, conflict)
    if now is None:
        return True
    shown = {"crm": question.crm, "books": question.books}
    region = desk.mapping.region
    return any(
        key(kind, now[side], region) != key(kind, from_json(kind, shown[side]), region)
        for side, kind in zip(SIDES, _types(rule), strict=True)
    )


async def _values(tx: Unit, desk: Desk, conflict: Conflict) -> dict[str, Value] | None:
    """What both sides hold now, as far as the mirror knows; None: a record or the link is gone."""
    question, rule = conflict.question, _rule(desk, conflict)
    link = (await links.get_links(tx, [question.link_id or ""])).get(question.link_id or "")
    found: dict[str, Value] = {}
    for side in SIDES:
        ref = (link.ref(side) if link is not None else None) or ""
        record = (await mirror.load(tx, desk.pair.connection(side), question.kind, [ref])).get(ref)
        if record is None:
            return None
        found[side] = read(record, rule.path(side))
    return found


async def _carry_out(tx: Unit, desk: Desk, conflict: Conflict, choice: str, by: str, value: Any) -> None:
    question = conflict.question
    if question.what == "field":
        if choice == "value":
            await _decide_own_value(tx, desk, conflict, by, str(value if value is not None else ""))
        else:
            await _keep(tx, desk, conflict, choice)
        return
    verdict = {"create": "create", "not-needed": "not_needed", "leave": "leave"}.get(choice, choice)
    details = [str(value)] if choice == "same" else [str(c["ref"]) for c in question.candidates] or [""]
    if choice == "same" and value is None:
        if len(question.candidates) != 1:
            raise NotAChoice("say which one: " + ", ".join(str(c["ref"]) for c in question.candidates))
        details = [str(question.candidates[0]["ref"])]
    for detail in details if choice in ("same", "different") else [""]:
        decision = Decision(
            side=question.side,
            kind=question.kind,
            ref=question.ref,
            verdict=verdict,
            rule=question.rule,
            detail=detail,
        )
        await store.decide(tx, desk.pair.id, decision, by)
    if choice == "same" and question.kind is not Kind.DEAL:
        refs = {question.side: question.ref, OTHER[question.side]: details[0]}
        await links.make_links(
            tx, desk.pair.id, [NewLink(question.kind, refs["crm"], refs["books"], "matched", f"{by} said so")]
        )


async def _decide_own_value(tx: Unit, desk: Desk, conflict: Conflict, by: str, text: str) -> None:
    """A value of one's own: a decision that the next plan writes to both sides."""
    question, rule = conflict.question, _rule(desk, conflict)
    crm_type, books_type = _types(rule)
    said = own_value(
        rule, text, from_json(crm_type, question.crm), from_json(books_type, question.books), desk.mapping.region
    )
    if isinstance(said, str):
        raise NotAChoice(said)
    decision = Decision(
        side="crm",
        kind=question.kind,
        ref=question.ref,
        verdict="value",
        rule=rule.key,
        detail=msgspec.json.encode(said).decode(),
    )
    await store.decide(tx, desk.pair.id, decision, by)


async def _keep(tx: Unit, desk: Desk, conflict: Conflict, choice: str) -> None:
    """Move the base so that the kept side is the only one that changed: the next plan then takes its value over."""
    question, rule = conflict.question, _rule(desk, conflict)
    crm_type, books_type = _types(rule)
    crm, books = from_json(crm_type, question.crm), from_json(books_type, question.books)
    old = question.base if isinstance(question.base, dict) else None
    base_crm = _other_than(crm_type, crm, from_json(crm_type, old["crm"]) if old is not None else None)
    base_books = _other_than(books_type, books, from_json(books_type, old["books"]) if old is not None else None)
    base = Base(crm=base_crm, books=books) if choice == "crm" else Base(crm=crm, books=base_books)
    await links.store_bases(tx, [(question.link_id or "", rule.key, base, conflict.id)])


def _other_than(kind: FieldType, value: Value, base: Value) -> Value:
    """A base that `value` differs from, so that it counts as the edit: the old one, or none."""
    if key(kind, value) != key(kind, base):
        return base
    return ABSENT if value is None else None


async def _wake(tx: Unit, desk: Desk, conflict: Conflict) -> None:
    question = conflict.question
    await mirror.mark_dirty(tx, [Listener(desk.pair.id, question.side)], [(question.kind, question.ref)])


def _entry(conflict: Conflict, choice: str, by: str) -> audit.Entry:
    question = conflict.question
    return audit.Entry(
        action="conflict.settled",
        actor=by,
        subject=f"{question.side}:{question.kind.value}:{question.ref}",
        field=question.rule or None,
        why=choice,
        before={"crm": question.crm, "books": question.books},
        detail={"conflict": conflict.number},
    )


async def decided_changes(tx: Unit, pair_id: str, plan_id: str, number: int) -> list[str]:
    """Of a plan, the changes that carry out one answer: those of the records that the question was about. Never
    money: that goes through a preview."""
    conflict = await store.get(tx, pair_id, number)
    if conflict is None or conflict.state != "settled":
        return []
    question = conflict.question
    found = []
    for stored in await plans.read_changes(tx, plan_id, ["planned"]):
        change = stored.change
        about = (OTHER[change.side], change.source_kind, change.source_ref), (change.side, change.kind, change.ref)
        linked = question.link_id is not None and change.link_id == question.link_id
        if not change.is_money and (linked or (question.side, question.kind, question.ref) in about):
            found.append(change.id)
    return found
