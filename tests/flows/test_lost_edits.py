"""What becomes of an edit that our write passed over, and when there is none. The store has no part in it: once."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.canon.values import Address
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.meanwhile import (
    KEEPS,
    OURS,
    THEIRS,
    TYPED,
    C,
    about_to_write,
    looks,
    lost,
    phones,
    types_meanwhile,
    writes,
)
from tests.flows.rig import mapping
from worker.engine.questions import Question
from worker.usecases.pull import refresh


async def test_the_other_value_stands(opened: Open) -> None:
    """Answered with the other side, nothing is written: that value stands on both."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        before = rig.writes()
        await rig.settle("books")
        await rig.settled()
        assert ((OURS, OURS), [], before) == (phones(rig, refs), await rig.conflicts(), rig.writes())


async def test_a_value_of_ones_own_is_written_to_both(opened: Open) -> None:
    """As with any conflict of a field."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        await rig.settle("value", value="+1 212 555 0177")
        await rig.done()
        assert ("+1 212 555 0177", "+1 212 555 0177") == phones(rig, refs)


async def test_where_the_field_does_not_travel_it_is_put_back_alone(opened: Open) -> None:
    """From the books to the CRM only: the lost value is written where it was typed, and the two agree to differ."""
    async with opened(crm=KEEPS) as rig:
        fields = [{"crm": "phone", "books": "phone", "authority": "books", "direction": "books-to-crm"}]
        await rig.pair_up(mapping("customers", customers={"fields": fields}))
        refs = await rig.linked("Acme", phone=THEIRS)
        rig.books.edit(C, refs[1], phone=OURS)
        await rig.preview()
        types_meanwhile(rig.crm, refs[0], phone=TYPED)
        await rig.apply()
        await rig.settle("crm")
        await rig.settled()
        assert ((TYPED, OURS), []) == (phones(rig, refs), await rig.conflicts())


async def test_an_address_is_asked_about_as_one_value(opened: Open) -> None:
    """The write set all of the address; what was typed meanwhile is asked about, as one value."""
    async with opened(crm=KEEPS) as rig:
        await rig.pair_up(mapping("customers"))
        home = Address(("1 Main St",), "Boston", "MA", "02101", "US")
        acme, there = await rig.linked("Acme", addresses={"billing": home})
        moved = Address(("9 High St",), "Boston", "MA", "02101", "US")
        rig.books.edit(C, there, **{"addresses.billing": moved})
        await rig.preview()
        typed = Address(("1 Main St",), "Salem", "MA", "01970", "US")
        types_meanwhile(rig.crm, acme, **{"addresses.billing": typed})
        await rig.apply()
        question = await rig.question()
        assert ("Salem", "9 High St") == (question.crm["city"], question.books["lines"][0])


async def test_an_account_that_may_not_read_history_writes_all_the_same(opened: Open) -> None:
    """A no is a no: the write is done, and what its window hides stays hidden."""
    async with opened(crm=KEEPS) as rig:
        acme, _ = await about_to_write(rig)
        types_meanwhile(rig.crm, acme, phone=TYPED)
        rig.crm.script.add(Fault(what="forbidden", point="history"))
        run = await rig.apply()
        assert ({"done": 1}, []) == (run.outcome, await rig.conflicts())


async def test_nothing_is_asked_where_nothing_was_lost(opened: Open) -> None:
    """Another field, the very value that we wrote, an edit after our write, or none: no question."""
    async with opened(crm=KEEPS) as rig:
        acme, there = await about_to_write(rig)
        types_meanwhile(rig.crm, acme, notes="another field", phone=OURS)
        types_meanwhile(rig.crm, acme, "history", phone=TYPED)
        await rig.apply()
        assert ([], TYPED) == (await rig.conflicts(), rig.see(rig.crm, acme).phone)
        await rig.settled()
        assert ([], (TYPED, TYPED)) == (await rig.conflicts(), phones(rig, (acme, there)))


async def test_who_types_it_again_has_answered(opened: Open) -> None:
    """The lost value stands again: it is an edit as any other, travels, and the question is over."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        rig.pass_time(60)
        rig.crm.edit(C, refs[0], phone=TYPED)
        await rig.settled()
        assert ((TYPED, TYPED), []) == (phones(rig, refs), await rig.conflicts())


async def test_an_answer_to_what_moved_since_is_asked_anew(opened: Open) -> None:
    """Somebody typed something else since: the lost value is not put over it before that was shown."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        rig.pass_time(60)
        rig.crm.edit(C, refs[0], phone=(since := "+1 212 555 0111"))
        await rig.settled()
        settled = await rig.api.settle(rig.pair.id, (await rig.question()).number, "crm", "tests", None)
        question = await rig.question()
        assert (True, TYPED, since) == (settled.moved, question.crm, question.books)
        assert ("it changed since it was asked", (since, since)) == (question.reason, phones(rig, refs))
        await rig.settle("crm")
        await rig.settled()
        assert ((TYPED, TYPED), []) == (phones(rig, refs), await rig.conflicts())


async def test_typed_again_and_then_pressed_it_is_over(opened: Open) -> None:
    """The value stands again before any plan saw it: an answer finds nothing left to decide."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        rig.pass_time(60)
        rig.crm.edit(C, refs[0], phone=TYPED)
        await refresh(await rig.desk(), "crm", C, [refs[0]])
        settled = await rig.api.settle(rig.pair.id, (await rig.question()).number, "books", "tests", None)
        assert (True, []) == (settled.moved, await rig.conflicts())


@pytest.mark.parametrize("knobs", [Knobs(history=True), Knobs(optimistic_lock=False)], ids=["locked", "no history"])
async def test_others_are_not_asked_for_their_history(opened: Open, knobs: Knobs) -> None:
    """A lock lets no write pass over an edit; where no history is kept there is nothing to look at."""
    async with opened(crm=knobs) as rig:
        await about_to_write(rig)
        await rig.apply()
        assert (0, 1) == (looks(rig), writes(rig))


async def test_one_look_for_a_batch(opened: Open) -> None:
    """Ten records are written in one call and looked at in one."""
    async with opened(crm=KEEPS) as rig:
        await rig.pair_up(mapping("customers"))
        refs = [await rig.linked(f"Company {letter}", phone=THEIRS) for letter in "ABCDEFGHIJ"]
        rig.pass_time(60)
        for n, (_, there) in enumerate(refs):
            rig.books.edit(C, there, phone=f"+1 212 555 02{n:02d}")
        await rig.preview()
        rig.crm.calls.clear()
        types_meanwhile(rig.crm, refs[3][0], phone=TYPED)
        run = await rig.apply()
        assert ({"done": 10}, 1, 1) == (run.outcome, writes(rig), looks(rig))
        assert "Company D, phone" == (await rig.question()).title


def test_a_question_knows_where_its_edit_was_lost() -> None:
    """Other questions of a field are about no lost edit."""
    base = {"crm": THEIRS, "lost_at": "crm", "written": OURS}
    common: dict[str, Any] = {"kind": C, "side": "crm", "ref": "c1", "title": "Acme", "reason": "", "crm": TYPED}
    about = Question(what="field", books=OURS, base=base, **common)
    assert ("crm", {"crm": OURS, "books": OURS}) == (about.lost_at, about.stood)
    other = Question(what="field", books=OURS, base={"crm": THEIRS, "books": THEIRS}, **common)
    assert (None, {"crm": TYPED, "books": OURS}) == (other.lost_at, other.stood)
