"""An edit that lands between our read and our write, at a vendor without an optimistic lock that keeps history: the
write passes over it, and a person is asked about what was lost."""

from __future__ import annotations

import asyncio

import pytest

from connectors.memory.faults import Fault
from tests.flows.conftest import Open
from tests.flows.meanwhile import KEEPS, OURS, THEIRS, TYPED, C, about_to_write, lost, phones, types_meanwhile, writes
from tests.flows.rig import mapping
from worker.jobs import runner


async def test_an_edit_under_our_write_is_asked_about(opened: Open) -> None:
    """The write is done and stays done; the question has the lost value where it was typed, and what stands on the
    other side."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        question = await rig.question()
        assert ("field", TYPED, OURS) == (question.what, question.crm, question.books)
        assert "somebody typed this in Memory while Tieout was writing, and it was overwritten" == question.reason
        assert (("crm", "books", "value"), (OURS, OURS)) == (question.choices, phones(rig, refs))


async def test_the_question_outlives_the_next_plans(opened: Open) -> None:
    """Both sides agree by now, and the lost value is nowhere but in the question: it stays until it is answered."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        number = (await rig.question()).number
        rig.pass_time(60)
        rig.crm.edit(C, refs[0], notes="looked at again")
        await rig.settled()
        assert (number, TYPED) == ((await rig.question()).number, (await rig.question()).crm)


async def test_the_lost_value_is_put_back(opened: Open) -> None:
    """Kept, it is written where it was typed and to the other side; then there is nothing left to do."""
    async with opened(crm=KEEPS) as rig:
        refs = await lost(rig)
        await rig.settle("crm")
        await rig.done()
        assert ((TYPED, TYPED), []) == (phones(rig, refs), await rig.conflicts())
        assert 0 == (await rig.preview()).changes


async def test_typed_in_the_books_it_is_asked_about_the_other_way(opened: Open) -> None:
    """The same at books without a lock: there the lost value stands on their side."""
    async with opened(books=KEEPS) as rig:
        await rig.pair_up(mapping("customers"))
        refs = await rig.linked("Acme", phone=THEIRS)
        rig.crm.edit(C, refs[0], phone=OURS)
        await rig.preview()
        types_meanwhile(rig.books, refs[1], phone=TYPED)
        await rig.apply()
        question = await rig.question()
        assert (OURS, TYPED) == (question.crm, question.books)
        await rig.settle("books")
        await rig.done()
        assert (TYPED, TYPED) == phones(rig, refs)


async def test_after_a_lost_answer_the_probe_looks_too(opened: Open) -> None:
    """What arrived is found by reading, and what it passed over in the history."""
    async with opened(crm=KEEPS) as rig:
        acme, _ = await about_to_write(rig)
        types_meanwhile(rig.crm, acme, phone=TYPED)
        rig.crm.script.add(Fault(what="lose"))
        run = await rig.apply()
        assert ({"done": 1}, TYPED) == (run.outcome, (await rig.question()).crm)


async def test_where_the_history_cannot_be_read_now_the_probe_looks_later(opened: Open) -> None:
    """The vendor answers the write and then nothing: what was written is in doubt until somebody could look."""
    async with opened(crm=KEEPS) as rig:
        acme, _ = await about_to_write(rig)
        types_meanwhile(rig.crm, acme, phone=TYPED)
        rig.crm.script.add(Fault(what="down", point="history"))
        run = await rig.apply()
        assert ({"done": 1}, TYPED, 1) == (run.outcome, (await rig.question()).crm, writes(rig))


async def test_a_worker_that_dies_over_the_look_is_followed_by_one_that_looks(opened: Open) -> None:
    """The look comes before the outcome is recorded, so that what was not looked at is not known to be done."""
    async with opened(crm=KEEPS) as rig:
        acme, _ = await about_to_write(rig)
        types_meanwhile(rig.crm, acme, phone=TYPED)
        rig.crm.script.add(Fault(what="hang", point="history"))
        run_id = await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runner.advance(rig.office, run_id, "tests"), 1)
        rig.pass_time(60)  # the lease of the one that died is over, and so is its call
        run = await rig.advance(run_id)
        assert ({"done": 1}, TYPED, 1) == (run.outcome, (await rig.question()).crm, writes(rig))
