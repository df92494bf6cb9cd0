"""One question for a field, not one for each record."""

from __future__ import annotations

import msgspec
import pytest

from connectors.canon.fields import FieldType
from connectors.canon.records import Kind
from worker.engine.mapping_model import FieldRule
from worker.engine.questions import EVERYWHERE, Question, asked_of, together
from worker.engine.transform import Conversion

PHONE = FieldRule(
    key="phone:phone",
    crm="phone",
    books="phone",
    crm_type=FieldType.PHONE,
    books_type=FieldType.PHONE,
    authority="ask",
    direction="two-way",
    conversion=Conversion(crm_type=FieldType.PHONE, books_type=FieldType.PHONE),
)


def own(number: int, books: str = "2") -> Question:
    return Question(
        what="field",
        kind=Kind.CUSTOMER,
        side="crm",
        ref=f"c{number}",
        title=f"Firm {number:02}, phone",
        reason="they differ",
        rule=PHONE.key,
        link_id=f"l{number}",
        crm="1",
        books=books,
    )


def test_many_records_are_one_question_with_some_examples() -> None:
    """It counts them all and shows five."""
    (asked,) = asked_of(PHONE, [own(n) for n in range(41)], ())
    assert ("everywhere", EVERYWHERE, "41 customers, phone", 41) == (asked.what, asked.ref, asked.title, asked.records)
    assert [{"title": f"Firm {n:02}", "crm": "1", "books": "2"} for n in range(5)] == list(asked.candidates)
    assert () == asked.named


@pytest.mark.parametrize(("many", "alone"), [(1, ()), (2, ("c0",)), (3, ("c0", "c1", "c2"))])
def test_what_is_left_alone_is_asked_for_itself(many: int, alone: tuple[str, ...]) -> None:
    """A single record, and those that somebody wants to look at one by one."""
    found = [own(n) for n in range(many)]
    assert found == asked_of(PHONE, found, alone)


def test_the_question_is_another_one_when_a_value_or_a_record_is() -> None:
    """Also one that is not among the examples; in another order it is the same."""
    found = [own(n) for n in range(9)]
    prints = {
        together(PHONE, each).fingerprint for each in (found, found[::-1], found[:-1], [*found[:-1], own(8, books="3")])
    }
    assert 3 == len(prints)


def test_a_stored_question_has_the_same_fingerprint() -> None:
    """After JSON."""
    asked = together(PHONE, [own(1), own(2)])
    again = msgspec.json.decode(msgspec.json.encode(asked), type=Question)
    assert asked.fingerprint == again.fingerprint
