"""Ask about fields that linked records were never compared in and differ in: one question for each field.

Who is under such a question is not stored: it is every link without a base for the field whose two values differ. So
it follows what people do meanwhile, and an answer is to what is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import Side
from worker.engine.drawing import Drawing, field_question
from worker.engine.mapping import FieldRule
from worker.engine.merge import Ask, merge
from worker.engine.own_value import may_prefer
from worker.engine.questions import EVERYWHERE, ONE_BY_ONE, Question, asked_of
from worker.store import conflicts, links, mirror, plans
from worker.store.audit import Entry, append
from worker.store.conflicts import Conflict, Decision
from worker.store.database import Unit, chunks
from worker.store.links import Link
from worker.usecases.office import Desk, Office, open_desk
from worker.usecases.post_messages import tell_conflict, tell_needs
from worker.usecases.scope import Scope

KINDS = (Kind.CUSTOMER, Kind.ITEM)
SLICE = 2_000


async def never_compared(
    tx: Unit, desk: Desk, kind: Kind, rules: Sequence[FieldRule], but: Collection[str] = ()
) -> dict[str, list[Question]]:
    """Rule -> each record's own question, from the mirror, for links that have no base for it and differ. `but`: links
    that are looked at elsewhere."""
    known = set(but)
    without = {rule.key: set(await links.without_base(tx, desk.pair.id, kind, rule.key)) - known for rule in rules}
    found: dict[str, list[Question]] = {}
    for part in chunks(sorted(set().union(*without.values())), SLICE):
        for link, crm, books, posted in await _linked(tx, desk, kind, part):
            for rule in rules:
                question = _own(rule, link, crm, books, posted=posted) if link.id in without[rule.key] else None
                if question is not None:
                    found.setdefault(rule.key, []).append(question)
    return found


def _own(rule: FieldRule, link: Link, crm: AnyRecord, books: AnyRecord, *, posted: bool) -> Question | None:
    verdict = merge(rule, read(crm, rule.path("crm")), read(books, rule.path("books")), None, posted=posted)
    return field_question(link.id, crm, rule, verdict) if isinstance(verdict, Ask) else None


async def _linked(
    tx: Unit, desk: Desk, kind: Kind, link_ids: Sequence[str]
) -> list[tuple[Link, AnyRecord, AnyRecord, bool]]:
    """Links of which both records are there; and whether the customer has a posted document."""
    known = (await links.get_links(tx, link_ids)).values()
    crm = await mirror.load(tx, desk.pair.crm, kind, [ref for link in known if (ref := link.crm) is not None])
    theirs = [ref for link in known if (ref := link.books) is not None]
    books = await mirror.load(tx, desk.pair.books, kind, theirs)
    posted = await plans.customers_with_documents(tx, desk.pair.id, theirs) if kind is Kind.CUSTOMER else set()
    return [
        (link, crm[link.crm], books[link.books], link.books in posted)
        for link in known
        if link.crm in crm and link.books in books
    ]


# --------------------------------------------------------------------------- while a plan is drawn


async def ask_about_fields(tx: Unit, scope: Scope, drawing: Drawing, looked_at: Collection[Link]) -> None:
    """Draw the questions about what this plan found to differ, together with the records that wait since earlier
    plans. A question about records of which none was looked at stays as it is."""
    ids = {link.id for link in looked_at}
    fresh = {rule: found for (kind, rule), found in drawing.differing.items() if kind is scope.kind}
    rules = [rule for rule in scope.rules if rule.key in fresh or await _may_have_left(tx, scope, rule, ids)]
    elsewhere = await never_compared(tx, scope.desk, scope.kind, rules, ids)
    differ: dict[str, set[str]] = {}
    for rule in rules:
        found = [*fresh.get(rule.key, ()), *elsewhere.get(rule.key, ())]
        differ[rule.key] = {question.ref for question in found}
        drawing.asked += _asked(scope, drawing, rule, found)
    drawing.lifted += [
        (scope.kind, link.crm or "", decision.rule, ONE_BY_ONE)
        for link in looked_at
        for decision in scope.decided("crm", link.crm or "", ONE_BY_ONE)
        if link.crm not in differ.get(decision.rule, ())
    ]


async def _may_have_left(tx: Unit, scope: Scope, rule: FieldRule, looked_at: Collection[str]) -> bool:
    """Whether one of the links that are looked at was, as far as is known, under the field's question."""
    if not looked_at or not scope.known.questions.everywhere(scope.kind, rule.key):
        return False
    return not set(looked_at).isdisjoint(await links.without_base(tx, scope.desk.pair.id, scope.kind, rule.key))


def _asked(scope: Scope, drawing: Drawing, rule: FieldRule, found: Sequence[Question]) -> list[Question]:
    alone = {q.ref for q in found if any(d.rule == rule.key for d in scope.decided("crm", q.ref, ONE_BY_ONE))}
    asked = asked_of(rule, found, alone)
    drawing.fields.add((scope.kind, EVERYWHERE, rule.key))
    drawing.fields.update((scope.kind, question.ref, rule.key) for question in found)
    return asked


# --------------------------------------------------------------------------- when a mapping is saved


async def ask_at_once(office: Office, pair_id: str, by: str) -> int:
    """Ask about every field that is mapped now and differs in records that are linked already; how many questions are
    open for that. Reads the mirror alone. A question that the mapping answers itself is closed."""
    desk = await open_desk(office, pair_id)
    asked: list[Question] = []
    async with office.db.read() as tx:
        alone = _one_by_one(await conflicts.decided(tx, pair_id))
        for kind in KINDS:
            rules = desk.mapping.rules(kind)
            found = await never_compared(tx, desk, kind, rules)
            for rule in rules:
                own = found.get(rule.key, [])
                each = {q.ref for q in own} if not may_prefer(rule) else alone.get((kind, rule.key), set())
                asked += asked_of(rule, own, each)
    async with office.db.write() as tx:
        for conflict in await conflicts.open_everywhere(tx, pair_id):
            await _answered_by_mapping(tx, desk, conflict, asked, by)
        await conflicts.ask(tx, pair_id, asked)
        await tell_needs(tx, desk.pair)
    return len(asked)


def _one_by_one(
    decisions: Mapping[tuple[Side, Kind, str], Sequence[Decision]],
) -> dict[tuple[Kind, str], set[str]]:
    """(kind, rule) -> CRM refs that somebody wants to look at one by one."""
    found: dict[tuple[Kind, str], set[str]] = {}
    for (_, kind, ref), said in decisions.items():
        for decision in said:
            if decision.verdict == ONE_BY_ONE:
                found.setdefault((kind, decision.rule), set()).add(ref)
    return found


async def _answered_by_mapping(tx: Unit, desk: Desk, conflict: Conflict, asked: Sequence[Question], by: str) -> None:
    """Who saves a mapping that says who wins has answered the question about that field; a field that is not mapped
    any more, or differs nowhere, needs no answer."""
    question = conflict.question
    if any((q.kind, q.ref, q.rule) == (question.kind, EVERYWHERE, question.rule) for q in asked):
        return
    rule = next((r for r in desk.mapping.rules(question.kind) if r.key == question.rule), None)
    if rule is not None and rule.said and rule.authority != "ask":
        await conflicts.settle(tx, conflict, rule.authority, by)
        detail = {"conflict": conflict.number, "records": question.records, "choice": rule.authority}
        entry = Entry(
            action="conflict.settled",
            actor=by,
            subject=f"crm:{question.kind.value}:{EVERYWHERE}",
            field=question.rule,
            why="the mapping says so",
            detail=detail,
        )
        await append(tx, desk.pair.id, [entry])
    else:
        await conflicts.obsolete(tx, desk.pair.id, [(question.kind, EVERYWHERE, question.rule)])
    await tell_conflict(tx, desk.pair, conflict.number)


# --------------------------------------------------------------------------- when it is answered


async def under_question(tx: Unit, desk: Desk, rule: FieldRule, question: Question) -> list[Question]:
    """The own questions of the records that a question about a field is about now."""
    as_asked = msgspec.structs.replace(rule, said=False)
    found = (await never_compared(tx, desk, question.kind, [as_asked])).get(rule.key, [])
    alone = _one_by_one(await conflicts.decided(tx, desk.pair.id)).get((question.kind, rule.key), set())
    return [own for own in found if own.ref not in alone]
