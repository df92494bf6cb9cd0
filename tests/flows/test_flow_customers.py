"""Customers kept in step, both ways: what travels, who wins, and what a person is asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.canon.records import Customer, Kind
from connectors.canon.values import ABSENT, Address
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import Rig, mapping, told
from worker.api import Problem
from worker.store import dirty_set

C = Kind.CUSTOMER
HERE, THERE = "+1 212 555 0100", "+1 212 555 0199"
MAIN = Address(lines=("1 Main St",), city="New York", country="US")


async def both_edit(rig: Rig, path: str, crm: Any, books: Any, **start: Any) -> tuple[str, str]:
    """A linked customer of whom both sides edit one field, and the preview after."""
    refs = await rig.linked("Acme", **start)
    rig.crm.edit(C, refs[0], **{path: crm})
    rig.books.edit(C, refs[1], **{path: books})
    await rig.preview()
    return refs


# --------------------------------------------------------------------------- one side edits


async def test_an_edit_travels_to_the_other_side(both: Rig) -> None:
    """From either side, and back: on both databases."""
    crm, books = await both.linked("Acme", phone=HERE)
    both.crm.edit(C, crm, phone=THERE)
    await both.done()
    assert THERE == both.see(both.books, books).phone
    both.books.edit(C, books, phone=HERE)
    await both.done()
    assert HERE == both.see(both.crm, crm).phone


async def test_disjoint_edits_of_one_record_both_travel(rig: Rig) -> None:
    """Phone here, notes there: no conflict, each is written where it is missing."""
    crm, books = await rig.linked("Acme", phone=HERE, notes="old")
    rig.crm.edit(C, crm, phone=THERE)
    rig.books.edit(C, books, notes="new")
    await rig.done()
    assert [(THERE, "new")] * 2 == [(r.phone, r.notes) for r in (rig.see(rig.crm, crm), rig.see(rig.books, books))]
    assert [] == await rig.conflicts()


async def test_the_same_edit_on_both_sides_is_agreement(rig: Rig) -> None:
    """Also if one side writes it in another form: nothing is written, nobody is asked."""
    await both_edit(rig, "phone", THERE, "(212) 555-0199", phone=HERE)
    assert (0, []) == (rig.plan.changes, await rig.conflicts())


async def test_emptying_a_field_travels(rig: Rig) -> None:
    """Emptied is a value: known to be empty."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes=None)
    await rig.done()
    assert rig.see(rig.books, books).notes is None


async def test_only_what_changed_is_written(rig: Rig) -> None:
    """A change names one field, with before and after."""
    crm, _ = await rig.linked("Acme", phone=HERE, notes="n")
    rig.crm.edit(C, crm, phone=THERE)
    await rig.preview()
    (change,) = await rig.changes()
    assert [("phone", HERE, THERE)] == [(f.path, f.before, f.after) for f in change.fields]


# --------------------------------------------------------------------------- first comparison


async def test_an_empty_side_is_filled_when_first_linked(rig: Rig) -> None:
    """Unbased, one side empty: filled, from whichever side knows."""
    crm = rig.crm.add(told("Acme", phone=HERE))
    books = rig.books.add(told("Acme", notes="pays late"))
    await rig.settled()
    assert (HERE, "pays late") == (rig.see(rig.books, books).phone, rig.see(rig.crm, crm).notes)


async def test_two_values_that_were_never_compared_are_asked_about(rig: Rig) -> None:
    """Unbased and different: nobody's value is overwritten, unless the mapping says by name who wins."""
    rig.crm.add(told("Acme", phone=HERE, emails={"general": "a@acme.com"}))
    books = rig.books.add(told("Acme", phone=THERE, emails={"general": "b@acme.com"}))
    await rig.preview()
    (change,) = await rig.changes()
    assert (HERE, THERE) == ((await rig.question()).crm, rig.see(rig.books, books).phone)
    assert [("emails.general", "a@acme.com", "b@acme.com")] == [(f.path, f.after, f.overwrites) for f in change.fields]


async def test_a_field_that_is_mapped_later_is_compared_then(rig: Rig) -> None:
    """A new rule is unbased in every link: filled where one side is empty, asked about where both tell."""
    await rig.pair_up(mapping(customers={"fields": [{"crm": "name", "books": "legal_name", "authority": "crm"}]}))
    one = await rig.linked("Acme", phone=HERE)
    two = rig.crm.add(told("Beta", phone=HERE)), rig.books.add(told("Beta", phone=THERE))
    three = rig.crm.add(told("Gamma", phone=HERE)), rig.books.add(told("Gamma"))
    await rig.settled()
    assert (THERE, None) == (rig.see(rig.books, two[1]).phone, rig.see(rig.books, three[1]).phone)
    await rig.pair_up(mapping())
    await rig.done()
    assert [HERE, THERE, HERE] == [rig.see(rig.books, ref).phone for ref in (one[1], two[1], three[1])]
    assert ["Beta, phone"] == [c.title for c in await rig.conflicts()]


async def test_a_changed_conversion_is_compared_anew(rig: Rig) -> None:
    """Another value map: what agreed under the old one is no base any more."""
    rule = {"crm": "properties.segment", "books": "notes", "authority": "ask"}

    def said(values: dict[str, str]) -> str:
        return mapping(customers={"fields": [{**rule, "values": values}]})

    await rig.pair_up(said({"gold": "first", "iron": "second"}))
    crm = rig.crm.add(told("Acme", properties={"segment": "gold"}))
    books = rig.books.add(told("Acme", notes="first"))
    await rig.settled()
    await rig.pair_up(said({"gold": "second", "iron": "first"}))
    await rig.preview()
    assert ("gold", "first") == (rig.see(rig.crm, crm).properties["segment"], rig.see(rig.books, books).notes)
    asked = await rig.question()
    assert ("gold", "first") == (asked.crm, asked.books)


# --------------------------------------------------------------------------- both sides edit


async def test_authority_decides_and_says_what_it_overwrites(rig: Rig) -> None:
    """The CRM has the e-mail: the books' edit goes, is shown before, and stays in the audit trail."""
    start, ours, theirs = ({"general": f"{n}@acme.com"} for n in "abc")
    _, books = await both_edit(rig, "emails", ours, theirs, emails=start)
    (change,) = await rig.changes()
    assert ("c@acme.com", "c@acme.com") == (change.fields[0].before, change.fields[0].overwrites)
    await rig.apply()
    assert ours == rig.see(rig.books, books).emails
    async with rig.db.read() as tx:
        from worker.store.audit import entries
        from worker.store.tables import audit_values

        found = await entries(tx, rig.pair.id, f"books:customer:{books}")
        values = [row[0] for row in await tx.rows(audit_values.select().with_only_columns(audit_values.c.value))]
    assert ["customer.update"] == [entry["action"] for entry in found]
    assert any("c@acme.com" in value for value in values)


async def test_ask_writes_nothing_until_somebody_decides(rig: Rig) -> None:
    """Both values stand; the question shows both and the base; it is asked once."""
    crm, books = await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    await rig.preview()
    asked = await rig.question()
    assert (0, "+1 212 555 0101", THERE, {"crm": HERE, "books": HERE}) == (
        rig.plan.changes, asked.crm, asked.books, asked.base,
    )  # fmt: skip
    assert ("+1 212 555 0101", THERE) == (rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone)


@pytest.mark.parametrize("kept", ["crm", "books"])
async def test_keeping_a_side_writes_it_to_the_other(rig: Rig, kept: str) -> None:
    """Then both agree, and nothing is left to do or to ask."""
    values = {"crm": "+1 212 555 0101", "books": THERE}
    crm, books = await both_edit(rig, "phone", values["crm"], values["books"], phone=HERE)
    await rig.settle(kept)
    await rig.done()
    assert {values[kept]} == {rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone}
    await rig.preview()
    assert (0, [], []) == (rig.plan.changes, await rig.conflicts(), await rig.dirty())


@pytest.mark.parametrize("kept", ["crm", "books"])
async def test_keeping_a_side_of_values_never_compared(rig: Rig, kept: str) -> None:
    """The same for an unbased question."""
    crm, books = rig.crm.add(told("Acme", phone=HERE)), rig.books.add(told("Acme", phone=THERE))
    await rig.preview()
    await rig.settle(kept)
    await rig.done()
    wanted = {"crm": HERE, "books": THERE}[kept]
    assert {wanted} == {rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone}


async def test_keeping_an_empty_value_empties_the_other(rig: Rig) -> None:
    """One side emptied the field, the other changed it; the empty one is kept."""
    crm, books = await both_edit(rig, "notes", None, "changed", notes="old")
    await rig.settle("crm")
    await rig.done()
    assert (None, None) == (rig.see(rig.crm, crm).notes, rig.see(rig.books, books).notes)


async def test_a_value_that_moved_since_the_question_is_asked_anew(rig: Rig) -> None:
    """The answer was to what was shown: nothing is decided, nothing is overwritten."""
    crm, books = await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    rig.crm.edit(C, crm, phone="+1 212 555 0102")
    before = await rig.question()
    run = await rig.run("preview")
    assert run.state == "done"
    settled = await rig.api.settle(rig.pair.id, before.number, "books", "tests")
    assert not settled.first or settled.moved
    await rig.done()
    assert ("+1 212 555 0102", THERE) == (rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone)
    assert "+1 212 555 0102" == (await rig.question()).crm


async def test_an_edit_after_the_answer_is_a_new_conflict(rig: Rig) -> None:
    """Kept the CRM's; before that was written somebody edits the books again: their value is not overwritten."""
    _, books = await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    await rig.settle("crm")
    rig.books.edit(C, books, phone="+1 212 555 0177")
    await rig.done()
    assert "+1 212 555 0177" == rig.see(rig.books, books).phone
    assert "+1 212 555 0177" == (await rig.question()).books


async def test_an_unknown_answer_or_conflict_is_refused(rig: Rig) -> None:
    """In words that say what can be answered."""
    await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    with pytest.raises(Problem, match="crm, books"):
        await rig.settle("both")
    with pytest.raises(Problem, match="no conflict 99"):
        await rig.settle("crm", 99)


async def test_a_second_answer_hears_who_was_first(rig: Rig) -> None:
    """One person decides."""
    await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    number = (await rig.question()).number
    first = await rig.api.settle(rig.pair.id, number, "crm", "ann")
    second = await rig.api.settle(rig.pair.id, number, "books", "ben")
    assert ((True, "ann"), (False, "ann", "crm")) == (
        (first.first, first.by), (second.first, second.by, second.decision),
    )  # fmt: skip


async def test_a_question_whose_edit_was_taken_back_answers_itself(rig: Rig) -> None:
    """Both sides agree again by their own hands: it is obsolete."""
    crm, books = await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    rig.crm.edit(C, crm, phone=THERE)
    await rig.preview()
    assert (0, []) == (rig.plan.changes, await rig.conflicts())
    assert THERE == rig.see(rig.books, books).phone


async def test_a_question_about_a_record_that_went_is_obsolete(rig: Rig) -> None:
    """Nobody is asked for the phone of a customer that was deleted; what became of it is asked instead."""
    crm, _ = await both_edit(rig, "phone", "+1 212 555 0101", THERE, phone=HERE)
    rig.crm.delete(C, crm)
    await rig.preview()
    assert ["removed"] == [c.what for c in await rig.conflicts()]


# --------------------------------------------------------------------------- groups


async def test_an_address_is_one_value(rig: Rig) -> None:
    """Street here and postcode there are a conflict of the whole address: halves of two make a third that nobody
    typed."""
    await both_edit(
        rig, "addresses",
        {"billing": Address(lines=("2 Main St",), city="New York", country="US")},
        {"billing": Address(lines=("1 Main St",), city="New York", postcode="10001", country="US")},
        addresses={"billing": MAIN},
    )  # fmt: skip
    asked = await rig.question()
    assert (0, {"2 Main St", "1 Main St"}) == (rig.plan.changes, {v["lines"][0] for v in (asked.crm, asked.books)})


async def test_a_group_with_one_edited_side_travels_whole(rig: Rig) -> None:
    """Edited on one side only, the address goes over as it is."""
    crm, books = await rig.linked("Acme", addresses={"billing": MAIN})
    moved = Address(lines=("9 Side St",), city="Boston", country="US")
    rig.crm.edit(C, crm, **{"addresses.billing": moved})
    await rig.done()
    assert moved == rig.see(rig.books, books).addresses["billing"]


# --------------------------------------------------------------------------- directions, checks, homes


async def test_one_way_fields_do_not_come_back(rig: Rig) -> None:
    """An edit on the receiving side is taken back where the sender has the authority, and stays where its own side
    has."""
    fields = [
        {"crm": "notes", "books": "notes", "direction": "crm-to-books", "authority": "crm"},
        {"crm": "phone", "books": "phone", "direction": "crm-to-books", "authority": "books"},
    ]
    await rig.pair_up(mapping(customers={"fields": fields}))
    crm, books = await rig.linked("Acme", notes="ours", phone=HERE)
    rig.books.edit(C, books, notes="theirs", phone=THERE)
    await rig.settled()
    assert ("ours", THERE) == (rig.see(rig.books, books).notes, rig.see(rig.books, books).phone)
    assert HERE == rig.see(rig.crm, crm).phone


async def test_a_value_that_fails_its_check_stays_and_says_why(rig: Rig) -> None:
    """Other fields of the record go on; mended, it travels."""
    fields = [
        {"crm": "emails.general", "books": "emails.general", "authority": "crm", "check": "email"},
        {"crm": "notes", "books": "notes", "authority": "ask"},
    ]
    await rig.pair_up(mapping(customers={"fields": fields}))
    crm, books = await rig.linked("Acme", emails={"general": "a@acme.com"}, notes="n")
    rig.crm.edit(C, crm, **{"emails.general": "not an address", "notes": "new"})
    await rig.done()
    assert ("a@acme.com", "new") == (rig.see(rig.books, books).emails["general"], rig.see(rig.books, books).notes)
    assert '"not an address" is no e-mail address' in (await rig.waiting())["crm", "customer", crm]
    rig.crm.edit(C, crm, **{"emails.general": "b@acme.com"})
    await rig.settled()
    assert ("b@acme.com", {}) == (rig.see(rig.books, books).emails["general"], await rig.waiting())


async def test_a_word_outside_the_value_map_is_held_not_guessed(rig: Rig) -> None:
    """With the words that it knows."""
    rule = {"crm": "properties.segment", "books": "notes", "authority": "crm", "values": {"gold": "first"}}
    await rig.pair_up(mapping(customers={"fields": [rule]}))
    crm, books = rig.crm.add(told("Acme", properties={"segment": "gold"})), rig.books.add(told("Acme", notes="first"))
    await rig.settled()
    rig.crm.edit(C, crm, **{"properties.segment": "platinum"})
    await rig.preview()
    assert (0, "first") == (rig.plan.changes, rig.see(rig.books, books).notes)
    assert '"platinum" is not in the value map' in (await rig.waiting())["crm", "customer", crm]


async def test_a_field_that_stays_home_is_left_alone(rig: Rig) -> None:
    """Named and without a counterpart."""
    await rig.pair_up(mapping(customers={"fields": [{"crm": "name", "books": "legal_name"}, {"crm": "notes"}]}))
    crm, books = await rig.linked("Acme")
    rig.crm.edit(C, crm, notes="secret")
    await rig.settled()
    assert rig.see(rig.books, books).notes is None


# --------------------------------------------------------------------------- absent is not emptied


async def test_a_hidden_field_suspends_and_empties_nothing(rig: Rig) -> None:
    """The CRM stops telling a field: the books keep theirs, nothing is planned."""
    crm, books = await rig.linked("Acme", notes="kept")
    before = rig.see(rig.crm, crm)
    rig.crm.replace(Customer(**{**_told(before), "notes": ABSENT}))
    await rig.preview()
    assert (0, "kept", []) == (rig.plan.changes, rig.see(rig.books, books).notes, await rig.conflicts())


async def test_an_edit_for_a_field_that_is_hidden_is_not_forgotten(rig: Rig) -> None:
    """Edited in the books while the CRM does not show the field: it waits, and travels when the field is back."""
    crm, books = await rig.linked("Acme", notes="old")
    shown = rig.see(rig.crm, crm)
    rig.crm.replace(Customer(**{**_told(shown), "notes": ABSENT}))
    rig.books.edit(C, books, notes="new")
    await rig.preview()
    assert 0 == rig.plan.changes
    assert "not to be seen" in (await rig.waiting())["books", "customer", books]
    rig.crm.edit(C, crm, notes="old")
    await rig.settled()
    assert ("new", {}) == (rig.see(rig.crm, crm).notes, await rig.waiting())


async def test_saboteur_absent_taken_for_empty_would_empty_the_other_side(rig: Rig) -> None:
    """The same with None where nothing was told: it travels, as an emptied field must."""
    crm, books = await rig.linked("Acme", notes="kept")
    rig.crm.edit(C, crm, notes=None)
    await rig.done()
    assert rig.see(rig.books, books).notes is None


def _told(record: Customer) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


# --------------------------------------------------------------------------- what vendors do to values


@pytest.mark.parametrize("knobs", [{"trims": True}, {"settles_s": 30, "rewrites": {"notes": "upper"}}])
async def test_what_a_vendor_makes_of_our_value_is_no_edit(opened: Open, knobs: dict[str, Any]) -> None:
    """Trimmed when stored, or rewritten a little later, equal by canonical key: nothing is planned, nothing written
    back."""
    async with opened(books=Knobs(**knobs)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="  a new note  ")
        await rig.done()
        rig.pass_time(60)
        writes = rig.writes()
        await rig.preview()
        stored = rig.see(rig.books, books).notes
        assert (0, writes, "  a new note  ") == (rig.plan.changes, rig.writes(), rig.see(rig.crm, crm).notes)
        assert "a new note" == stored.strip().lower()


async def test_what_a_vendor_cuts_off_is_no_edit(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps five letters and answers so: that is what the two agreed on there, and it does not travel back."""

    def cut(record: Any) -> Any:
        notes = getattr(record, "notes", None)
        return msgspec.structs.replace(record, notes=notes[:5]) if isinstance(notes, str) else record

    async with opened(books=Knobs(trims=True)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        monkeypatch.setattr("connectors.memory.shaping._trimmed", cut)
        rig.crm.edit(C, crm, notes="a long note")
        await rig.done()
        await rig.preview()
        assert (0, "a long note", "a lon") == (
            rig.plan.changes, rig.see(rig.crm, crm).notes, rig.see(rig.books, books).notes,
        )  # fmt: skip


async def test_what_a_vendor_really_changes_is_an_edit(opened: Open) -> None:
    """A geocoder that writes another value: it travels, as any edit of that side."""
    async with opened(books=Knobs(settles_s=30, rewrites={"notes": "stamp"})) as rig:
        await rig.pair_up(mapping())
        crm, _ = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="new")
        await rig.done()
        rig.pass_time(60)
        await rig.done()
        assert "new (checked)" == rig.see(rig.crm, crm).notes


async def test_a_field_that_flaps_is_held_and_goes_on_later(opened: Open) -> None:
    """Two systems that correct each other: after three writes within the hour the field rests, and says so; an hour
    later it is looked at again."""
    async with opened(books=Knobs(settles_s=30, rewrites={"notes": "stamp"}), crm=Knobs(trims=True)) as rig:
        rule = {"crm": "notes", "books": "notes", "authority": "crm", "direction": "crm-to-books"}
        await rig.pair_up(mapping(customers={"fields": [rule]}))
        crm, books = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="new")
        written = []
        for _ in range(6):
            await rig.preview()
            written.append(rig.plan.changes)
            await rig.apply()
            rig.pass_time(60)
        assert [1, 1, 1, 1, 0, 0] == written
        assert "back and forth" in (await rig.waiting())["books", "customer", books]
        rig.pass_time(3600)
        await rig.preview()
        assert 1 == rig.plan.changes


# --------------------------------------------------------------------------- the base is for each side


async def test_saboteur_one_base_for_both_sides_would_never_settle(opened: Open) -> None:
    """A vendor that trims: against one common base its value differs for ever, and the next run would write it back
    over what a person typed. With a base for each side it does not."""
    from worker.engine.merge import Base, Take, merge

    async with opened(books=Knobs(trims=True, places=0)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", phone="+1 212 555 0100")
        desk = await rig.desk()
        (rule,) = [r for r in desk.mapping.rules(C) if r.key == "notes:notes"]
        typed, stored = "net 30, call first", "NET30"
        one_for_both = merge(rule, typed, stored, Base(crm=typed, books=typed))
        own_for_each = merge(rule, typed, stored, Base(crm=typed, books=stored))
        assert isinstance(one_for_both, Take) and "agree" == own_for_each.__struct_config__.tag
        assert (crm, books) == ("c1", "c1")


# --------------------------------------------------------------------------- a vendor that settles late


async def answered_otherwise(rig: Rig, books: str) -> None:
    """The books' answer to our write was not what it shows since: it had still been at work on it."""
    from worker.store.tables import bases

    async with rig.db.write() as tx:
        await tx.run(bases.update().where(bases.c.rule == "notes:notes").values(books='"(being checked)"'))
        await dirty_set.mark(tx, [dirty_set.Listener(rig.pair.id, "books")], [(C, books)])


@pytest.mark.parametrize(
    ("settles_s", "late_s", "asked"),
    [(30.0, 0.0, []), (0.0, 0.0, ["field"]), (30.0, 60.0, ["field"])],
    ids=["within its time", "not declared", "too late"],
)
async def test_what_settles_to_what_we_sent_within_its_time_is_no_edit(
    opened: Open, settles_s: float, late_s: float, asked: list[str]
) -> None:
    """So an edit on the other side meanwhile is no conflict. Without a declared time, or after it, it is one."""
    async with opened(books=Knobs(settles_s=settles_s)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="new")
        await rig.done()
        await answered_otherwise(rig, books)
        if late_s:
            rig.pass_time(late_s)
            rig.books.edit(C, books, website="acme.example")
        rig.crm.edit(C, crm, notes="newer")
        await rig.done()
        assert asked == [question.what for question in await rig.conflicts()]
        assert ("new" if asked else "newer") == rig.see(rig.books, books).notes
        await rig.preview()
        assert 0 == rig.plan.changes


async def test_settling_late_writes_nothing_and_moves_the_base(opened: Open) -> None:
    """Nobody edited anything: nothing is planned, and the next look does not find it again."""
    async with opened(books=Knobs(settles_s=30)) as rig:
        await rig.pair_up(mapping())
        crm, books = await rig.linked("Acme", notes="old")
        rig.crm.edit(C, crm, notes="new")
        await rig.done()
        await answered_otherwise(rig, books)
        writes = rig.writes()
        for _ in range(2):
            await rig.preview()
            assert (0, writes, [], []) == (rig.plan.changes, rig.writes(), await rig.dirty(), await rig.conflicts())
