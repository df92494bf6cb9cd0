"""Settle what needed a person: keep one side's value, say that two records are the same or not, make or leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from connectors.canon.fields import FieldType, Value, from_json, key, read, to_json
from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.crash import crash
from worker.engine.lost_edit import is_back
from worker.engine.mapping import FieldRule
from worker.engine.merge import Base
from worker.engine.own_value import OwnValue, own_value, put_back
from worker.engine.questions import EVERYWHERE, ONE_BY_ONE, Question, together
from worker.engine.reissue import ANSWERS
from worker.store import audit, dirty_set, links, mirror, plans
from worker.store import conflicts as store
from worker.store.conflicts import Conflict, Decision
from worker.store.database import Unit
from worker.store.dirty_set import Listener
from worker.store.links import NewLink
from worker.usecases.ask_about_fields import under_question
from worker.usecases.office import OTHER, SIDES, Desk
from worker.usecases.post_messages import tell_conflict, tell_needs

CHOICES: dict[str, tuple[str, ...]] = {
    "field": ("crm", "books", "value"),
    "everywhere": ("crm", "books", ONE_BY_ONE),
    "match": ("same", "different"),
    "create": ("create", "not-needed"),
    "document": ("leave",),
    "removed": ("archive", "leave"),
    "half": ("leave",),
}


def choices_of(question: Question) -> tuple[str, ...]:
    """What may be answered to a question. A document that can be credited may be, with another in its place or not."""
    more = [a for a in ANSWERS if any(a in candidate.get("answers", ()) for candidate in question.candidates)]
    return (*more, *CHOICES[question.what]) if question.what == "document" else CHOICES[question.what]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How a conflict stands after somebody pressed. `first`: this person was; else `by` was before. `moved`: a
    value changed since, so nothing was decided and the question is asked anew. `records`: how many were asked about."""

    number: int
    title: str
    first: bool
    by: str
    decision: str
    moved: bool = False
    records: int = 1


Also: TypeAlias = Callable[[Unit], Awaitable[None]]


class NotAChoice(ValueError):
    """That cannot be answered to this question."""


async def settle_conflict(
    desk: Desk,
    number: int,
    choice: str,
    by: str,
    value: Any = None,
    shown: str | None = None,
    also: Also | None = None,
) -> Settled:
    """Record a person's answer and mark what it is about, so that the next plan carries it out. `shown`: the
    fingerprint of the question as the person saw it; an answer to another one is not taken. `also` stores in the same
    unit what follows from the answer to one record. Raises LookupError if there is no such conflict, NotAChoice if
    the answer does not fit the question."""
    async with desk.db.write() as tx:
        conflict = await store.get(tx, desk.pair.id, number)
        if conflict is None:
            raise LookupError(f"there is no conflict {number}")
        if choice not in choices_of(conflict.question):
            raise NotAChoice(f"answer with one of: {', '.join(choices_of(conflict.question))}")
        if conflict.state != "open":
            return _settled(conflict, first=False, by=conflict.decided_by or "", decision=conflict.decision or "")
        if shown is not None and shown != conflict.question.fingerprint:
            return _settled(conflict, first=True, by=by, decision=choice, moved=True)
        if conflict.question.what == "everywhere":
            return await _settle_everywhere(tx, desk, conflict, choice, by)
        if conflict.question.what == "field" and await _moved(tx, desk, conflict):
            await _show_again(tx, desk, conflict)
            return _settled(conflict, first=True, by=by, decision=choice, moved=True)
        await _carry_out(tx, desk, conflict, choice, by, value)
        await store.settle(tx, conflict, choice, by)
        await _wake(tx, desk, conflict)
        await tell_conflict(tx, desk.pair, number)
        if also is not None:
            await also(tx)
        await audit.append(tx, desk.pair.id, [_entry(conflict, choice, by, value)])
        crash("answer.stored")
    crash("answer.committed")
    return _settled(conflict, first=True, by=by, decision=choice)


def _settled(conflict: Conflict, *, first: bool, by: str, decision: str, moved: bool = False) -> Settled:
    return Settled(
        number=conflict.number,
        title=conflict.question.title,
        first=first,
        by=by,
        decision=decision,
        moved=moved,
        records=conflict.question.records,
    )


async def _settle_everywhere(tx: Unit, desk: Desk, conflict: Conflict, choice: str, by: str) -> Settled:
    """Answer for every record that the question is about, which are those that were counted when it was shown: a side
    to be kept becomes the next plan's changes; one by one, each gets a question of its own."""
    rule = _rule(desk, conflict)
    now = await under_question(tx, desk, rule, conflict.question)
    if len(now) < 2 or together(rule, now).fingerprint != conflict.question.fingerprint:
        await _show_field_again(tx, desk, conflict, rule, now)
        return _settled(conflict, first=True, by=by, decision=choice, moved=True)
    await store.settle(tx, conflict, choice, by)
    if choice == ONE_BY_ONE:
        each = [Decision(side=q.side, kind=q.kind, ref=q.ref, rule=q.rule, verdict=ONE_BY_ONE) for q in now]
        await store.decide_all(tx, desk.pair.id, each, by)
        await store.ask(tx, desk.pair.id, now)
    else:
        await links.store_bases(tx, [_kept(rule, own, choice, conflict.id) for own in now])
        await dirty_set.mark(tx, [Listener(desk.pair.id, "crm")], [(own.kind, own.ref) for own in now])
    await tell_conflict(tx, desk.pair, conflict.number)
    await tell_needs(tx, desk.pair)
    await audit.append(tx, desk.pair.id, [_entry(conflict, choice, by, None)])
    return _settled(conflict, first=True, by=by, decision=choice)


async def _show_field_again(tx: Unit, desk: Desk, conflict: Conflict, rule: FieldRule, now: Sequence[Question]) -> None:
    """The question about a field as it stands now; with less than two records it is none any more."""
    if len(now) > 1:
        await store.ask_anew(tx, conflict, together(rule, now))
    else:
        await store.obsolete(tx, desk.pair.id, [(conflict.question.kind, EVERYWHERE, rule.key)])
        await store.ask(tx, desk.pair.id, now)
    await tell_conflict(tx, desk.pair, conflict.number)
    await tell_needs(tx, desk.pair)


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
    asked = conflict.question
    if now is None or is_back(asked, _rule(desk, conflict), now):
        await store.obsolete(tx, desk.pair.id, [(asked.kind, asked.ref, asked.rule)])
        await tell_conflict(tx, desk.pair, conflict.number)
        return
    said: dict[str, Any] = {side: to_json(now[side]) for side in SIDES if side != asked.lost_at}
    if asked.lost_at is not None:
        said["base"] = {**asked.base, "written": to_json(now[asked.lost_at])}
    await store.ask_anew(tx, conflict, msgspec.structs.replace(asked, **said, reason="it changed since it was asked"))
    await tell_conflict(tx, desk.pair, conflict.number)


def _types(rule: FieldRule) -> tuple[FieldType, FieldType]:
    return rule.crm_type or FieldType.TEXT, rule.books_type or FieldType.TEXT


async def _moved(tx: Unit, desk: Desk, conflict: Conflict) -> bool:
    """Whether a value is no longer the one that was shown."""
    shown, rule = conflict.question.stood, _rule(desk, conflict)
    now = await _values(tx, desk, conflict)
    if now is None:
        return True
    region = desk.mapping.region
    return any(
        key(kind, now[side], region) != key(kind, from_json(kind, shown[side]), region)
        for side, kind in zip(SIDES, _types(rule), strict=True)
    )


async def _values(tx: Unit, desk: Desk, conflict: Conflict) -> dict[Side, Value] | None:
    """What both sides hold now, as far as the mirror knows; None: a record or the link is gone."""
    question, rule = conflict.question, _rule(desk, conflict)
    link = (await links.get_links(tx, [question.link_id or ""])).get(question.link_id or "")
    found: dict[Side, Value] = {}
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
        elif question.lost_at is not None:
            await _put_back(tx, desk, conflict, choice, by)
        else:
            await _keep(tx, desk, conflict, choice)
        return
    verdict = {"create": "create", "not-needed": "not_needed", "leave": "leave"}.get(choice, choice)
    details = [str(value)] if choice == "same" else [str(c["ref"]) for c in question.candidates] or [""]
    if choice == "same" and value is None:
        if len(question.candidates) != 1:
            raise NotAChoice("say which one: " + ", ".join(str(c["ref"]) for c in question.candidates))
        details = [str(question.candidates[0]["ref"])]
    just_this = question.fingerprint if choice in ANSWERS else question.reason if choice == "archive" else ""
    for detail in details if choice in ("same", "different") else [just_this]:
        decision = Decision(
            side=question.side,
            kind=question.kind,
            ref=question.ref,
            verdict=verdict,
            rule=question.rule,
            detail=detail,
        )
        await store.decide(tx, desk.pair.id, decision, by)
    if choice in ("create", "same"):
        await _lift_taken_back(tx, desk, question, details[0] if choice == "same" else None)
    if choice == "same" and question.kind is not Kind.DEAL:
        await _link(tx, desk, question, details[0], f"{by} said so")


async def _link(tx: Unit, desk: Desk, question: Question, other: str, why: str) -> None:
    """The two are one from now on. One that is another's already cannot be: the doubles are mended where they are."""
    refs = {question.side: question.ref, OTHER[question.side]: other}
    for side in SIDES:
        if not await links.is_free(tx, desk.pair.id, side, question.kind, [refs[side]]):
            raise NotAChoice(
                f"{refs[side]} is linked to another record already: merge the two in {desk.title(OTHER[side])}, or say "
                "that they are different"
            )
    await links.make_links(tx, desk.pair.id, [NewLink(question.kind, refs["crm"], refs["books"], "matched", why)])


async def _lift_taken_back(tx: Unit, desk: Desk, question: Question, other: str | None) -> None:
    """What an undo took back may be made or matched again: a person says so."""
    for side, ref in ((question.side, question.ref), (OTHER[question.side], other)):
        if ref is not None:
            subject = (side, question.kind, ref)
            await store.lift(tx, desk.pair.id, subject, store.TAKEN_BACK, "not_needed")


async def _decide_own_value(tx: Unit, desk: Desk, conflict: Conflict, by: str, text: str) -> None:
    """A value of one's own: a decision that the next plan writes to both sides."""
    rule = _rule(desk, conflict)
    now = _stood(rule, conflict.question)
    await _decide(tx, desk, conflict, own_value(rule, text, now["crm"], now["books"], desk.mapping.region), by)


async def _put_back(tx: Unit, desk: Desk, conflict: Conflict, choice: str, by: str) -> None:
    """Of an edit that our write passed over: it is written again. The other side's value stands as it is."""
    question, rule = conflict.question, _rule(desk, conflict)
    if question.lost_at is None or choice != question.lost_at:
        return
    crm_type, books_type = _types(rule)
    lost = from_json(crm_type, question.crm) if choice == "crm" else from_json(books_type, question.books)
    said = put_back(rule, question.lost_at, lost, _stood(rule, question), desk.mapping.region)
    await _decide(tx, desk, conflict, said, by)


def _stood(rule: FieldRule, question: Question) -> dict[Side, Value]:
    """What each side held when it was asked."""
    stood = question.stood
    return {side: from_json(kind, stood[side]) for side, kind in zip(SIDES, _types(rule), strict=True)}


async def _decide(tx: Unit, desk: Desk, conflict: Conflict, said: OwnValue | str, by: str) -> None:
    if isinstance(said, str):
        raise NotAChoice(said)
    question, rule = conflict.question, _rule(desk, conflict)
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
    """Both values were seen, and one was chosen: the next plan takes it over."""
    await links.store_bases(tx, [_kept(_rule(desk, conflict), conflict.question, choice, conflict.id)])


def _kept(rule: FieldRule, question: Question, choice: str, by: str) -> tuple[str, str, Base, str]:
    crm_type, books_type = _types(rule)
    crm, books = from_json(crm_type, question.crm), from_json(books_type, question.books)
    return question.link_id or "", rule.key, Base(crm=crm, books=books, kept="crm" if choice == "crm" else "books"), by


async def _wake(tx: Unit, desk: Desk, conflict: Conflict) -> None:
    question = conflict.question
    await dirty_set.mark(tx, [Listener(desk.pair.id, question.side)], [(question.kind, question.ref)])


def _entry(conflict: Conflict, choice: str, by: str, value: Any) -> audit.Entry:
    """`before` is what stood on the two sides, `after` what was chosen of it, or the value that was typed."""
    question = conflict.question
    shown = {"crm": question.crm, "books": question.books}
    same = str(value if value is not None else question.candidates[0]["ref"]) if choice == "same" else None
    other = Kind.INVOICE if question.kind is Kind.DEAL else question.kind
    return audit.Entry(
        action="conflict.settled",
        actor=by,
        subject=f"{question.side}:{question.kind.value}:{question.ref}",
        source=f"{OTHER[question.side]}:{other.value}:{same}" if same is not None else None,
        field=question.rule or None,
        said=question.reason,
        before=shown if question.what == "field" else None,
        after={"value": value if choice == "value" else shown[choice]} if question.what == "field" else None,
        detail={"conflict": conflict.number, "choice": choice}
        | ({"records": question.records, "digest": question.base["digest"]} if question.what == "everywhere" else {}),
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
