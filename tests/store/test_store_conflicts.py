"""Questions: asked once, closed when they answered themselves, decided by one person."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from connectors.canon.records import Kind
from tests.store.conftest import Place
from worker.engine.questions import Question
from worker.store import conflicts
from worker.store.conflicts import Conflict, Decision
from worker.store.database import Database


def question(ref: str = "c1", **more: Any) -> Question:
    said: dict[str, Any] = {
        "what": "field",
        "kind": Kind.CUSTOMER,
        "side": "crm",
        "ref": ref,
        "title": ref,
        "reason": "both sides changed",
        "crm": "f1",
        "rule": "phone:phone",
    }
    return Question(**{**said, **more})


async def ask(db: Database, place: Place, *asked: Question) -> int:
    async with db.write() as tx:
        return await conflicts.ask(tx, place.pair, asked)


async def opened(db: Database, place: Place) -> list[Conflict]:
    async with db.read() as tx:
        return await conflicts.open_conflicts(tx, place.pair)


async def test_the_same_question_is_asked_once(db: Database, place: Place) -> None:
    """With the same inputs it keeps its number; with others it is another one, and the old is obsolete."""
    counted = [await ask(db, place, question()), await ask(db, place, question())]
    counted.append(await ask(db, place, question(crm="f2")))
    assert ([1, 0, 1], [(2, question(crm="f2").fingerprint)]) == (
        counted,
        [(c.number, c.question.fingerprint) for c in await opened(db, place)],
    )


async def test_records_of_the_two_sides_may_have_the_same_ref(db: Database, place: Place) -> None:
    """A question about the CRM's 12 is not one about the books' 12."""
    both = [question("12", side=side, what="match", rule="match") for side in ("crm", "books")]
    assert 2 == await ask(db, place, *both)
    assert ["crm", "books"] == [c.question.side for c in await opened(db, place)]


async def test_what_is_looked_at_and_not_asked_again_answered_itself(db: Database, place: Place) -> None:
    """Only for records that were looked at."""
    await ask(db, place, question("c1"), question("c1", rule="notes:notes"), question("c2"))
    async with db.write() as tx:
        await conflicts.close_unasked(tx, place.pair, {("crm", Kind.CUSTOMER, "c1")}, [question("c1")])
    assert [("c1", "phone:phone"), ("c2", "phone:phone")] == [
        (c.question.ref, c.question.rule) for c in await opened(db, place)
    ]


async def test_what_is_half_done_does_not_answer_itself(db: Database, place: Place) -> None:
    """However often its record is looked at: a person closes it."""
    await ask(db, place, question("c1", what="half", rule="group:g"))
    async with db.write() as tx:
        await conflicts.close_unasked(tx, place.pair, {("crm", Kind.CUSTOMER, "c1")}, [])
    assert ["half"] == [c.question.what for c in await opened(db, place)]


async def test_what_may_be_answered_about_a_document_is_told_anew(db: Database, place: Place) -> None:
    """It is the same question with the same number; a document that is paid cannot be credited any more."""
    for answers in (["reissue"], []):
        told = question("d1", what="document", rule="document:1", candidates=({"ref": "i1", "answers": answers},))
        await ask(db, place, told)
        (found,) = await opened(db, place)
        assert (1, answers) == (found.number, found.question.candidates[0]["answers"])


async def test_one_person_decides(db: Database, place: Place) -> None:
    """Of ten who press at once."""
    await ask(db, place, question())
    conflict = (await opened(db, place))[0]

    async def press(by: str) -> bool:
        async with db.write() as tx:
            return await conflicts.settle(tx, conflict, "crm", by)

    assert 1 == sum(await asyncio.gather(*(press(f"p{n}") for n in range(10))))


async def test_questions_tell_what_is_open_and_what_was_left(db: Database, place: Place) -> None:
    """A question answered with *Leave* is not asked again until its inputs change."""
    which = question("c3", what="match", rule="match", candidates=({"ref": "b7"},))
    await ask(db, place, question("c1", what="removed", rule="removed"), which)
    async with db.write() as tx:
        await conflicts.settle(tx, (await conflicts.open_conflicts(tx, place.pair))[0], "leave", "p")
        known = await conflicts.questions(tx, place.pair)
    assert (False, True) == tuple(known.about("crm", Kind.CUSTOMER, ref) for ref in ("c1", "c3"))
    assert ("c3", None) == tuple(known.candidate_of(Kind.CUSTOMER, ref) for ref in ("b7", "b8"))
    asked = question("c1", what="removed", rule="removed")
    prints = (asked.fingerprint, msgspec.structs.replace(asked, crm="f2").fingerprint)
    left = [known.is_left("crm", Kind.CUSTOMER, "c1", "removed", print_) for print_ in prints]
    assert [True, False] == left


async def test_a_decision_stands_until_it_is_lifted(db: Database, place: Place) -> None:
    """By subject, rule and verdict."""
    async with db.write() as tx:
        for verdict in ("not_needed", "same"):
            decision = Decision(side="crm", kind=Kind.CUSTOMER, ref="c1", verdict=verdict, detail="b1")
            await conflicts.decide(tx, place.pair, decision, "p")
        await conflicts.lift(tx, place.pair, ("crm", Kind.CUSTOMER, "c1"), "", "not_needed")
        found = await conflicts.decided(tx, place.pair)
    assert [("same", "b1")] == [(d.verdict, d.detail) for d in found["crm", Kind.CUSTOMER, "c1"]]
