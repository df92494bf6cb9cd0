"""A person's values are found as they stand in texts and in JSON, and nothing else is."""

from __future__ import annotations

import msgspec
import pytest

from worker.engine.erasing import Person, telling

JANE = {
    "legal_name": "Jane Doe",
    "emails": {"general": "jane@doe.example"},
    "phone": "+1 202-555-0100",
    "addresses": {"billing": {"lines": ["14 High Street"], "city": "Salem", "country": "US"}},
    "people": [{"name": "Änne Müller", "role": "buyer"}],
    "tax_identity": {"ids": [{"scheme": "us.ein", "value": "12-3456789"}]},
    "notes": "a good customer",
}


def test_what_tells_who_somebody_is_is_taken_from_a_record() -> None:
    """Not the town, the country or a role, which many have; not a note, which may be any sentence."""
    assert {
        "Jane Doe", "jane@doe.example", "+1 202-555-0100", "14 High Street", "Änne Müller", "12-3456789",
    } == telling(JANE)  # fmt: skip
    assert {"Jane Doe"} == telling({"name": ["Jane Doe", None, {"absent": True}]})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("JANE  doe, phone: both changed", "(erased), phone: both changed"),
        ("Janet Doering", "Janet Doering"),
        ("ring (202) 555 0100 now", "ring (erased) now"),
        ("+12025550100", "(erased)"),
        ("+12025550101", "+12025550101"),
        ("änne müller and ÄNNE MÜLLER", "(erased) and (erased)"),
        ("14 high street, Salem", "(erased), Salem"),
        ("114 High Street", "114 High Street"),
        ("write to Jane@Doe.example.", "write to (erased)."),
    ],
)
def test_a_value_is_found_whatever_its_capitals_and_spaces(text: str, left: str) -> None:
    """And not within a longer word or number."""
    jane = Person(telling(JANE))
    assert (left, left != text) == (jane.without(text), jane.is_in(text))
    assert left == text or any(needle.lower() in text.lower() for needle in jane.needles)


def test_json_stays_json() -> None:
    """With a name in quotes, after a line feed, beside numbers."""
    person = Person({'Jane "JD" Doe', "Jane Doe"})
    said = {"seq": 12, "text": 'Dear\nJane Doe\nor Jane "JD" Doe', "net": "10.00"}
    left = msgspec.json.decode(person.without(msgspec.json.encode(said).decode()))
    assert {"seq": 12, "text": "Dear\n(erased)\nor (erased)", "net": "10.00"} == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Acme", '{"title":"Acme","why":"Acme Scotland"}', '{"title":"(erased)","why":"Acme Scotland"}'),
        ("Acme", "Acme", "(erased)"),
        ("open", '{"state":"open"}', '{"state":"open"}'),
        ("Open", '{"state":"open"}', '{"state":"open"}'),
    ],
)
def test_a_name_of_one_word_counts_where_it_stands_alone(name: str, text: str, left: str) -> None:
    """In small letters it could be one of our own words: it is left."""
    assert left == Person({name}).without(text)


def test_nobody_is_found_nowhere() -> None:
    """A record without a name."""
    nobody = Person(set())
    assert (False, "Jane", ()) == (nobody.is_in("Jane"), nobody.without("Jane"), nobody.needles)
