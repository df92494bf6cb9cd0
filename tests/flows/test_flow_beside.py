"""An answer that somebody gives while a plan of many changes is half carried out: it goes beside it, and at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from connectors.canon.records import Kind
from connectors.memory.connector import Memory
from tests.flows.conftest import Open
from tests.flows.rig import Rig, mapping, name, told
from worker.jobs import runner
from worker.store import audit, runs

C = Kind.CUSTOMER
HERE, THERE = "+254 20 2711000", "+254 20 2711999"
MANY = 40


@pytest.fixture
async def busy(opened: Open) -> Any:
    """A pair in which one linked customer is in conflict, and a plan makes many others in the books."""
    async with opened() as rig:
        await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "never"}}))
        crm, books = await rig.linked("Acme", phone="+254 20 2710000", notes="old")
        rig.crm.edit(C, crm, phone=HERE)
        rig.books.edit(C, books, phone=THERE)
        for number in range(MANY):
            rig.crm.add(told(name(number)))
        await rig.preview()
        rig.refs = crm, books  # type: ignore[attr-defined]  # for the tests of this module
        yield rig


def in_the_middle(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[Any]], after: int = 10
) -> list[int]:
    """Each write call takes two seconds, and after some `act` happens. Where it was, in records made, comes back."""
    made: list[int] = []
    write = Memory.write

    async def slowly(self: Memory, writes: Sequence[Any], key: str) -> Any:
        outcome = await write(self, writes, key)
        rig.db.shift += timedelta(seconds=2)
        if not made and len(rig.names(rig.books)) > after:
            made.append(len(rig.names(rig.books)))
            await act()
        return outcome

    monkeypatch.setattr(Memory, "write", slowly)
    return made


async def ask_bulk(rig: Rig) -> str:
    return await rig.api.apply(rig.plan.id, rig.plan.fingerprint, "tests", lane="bulk", confirm_held=True)


async def answer(rig: Rig, choice: str = "crm") -> str:
    number = (await rig.question()).number
    await rig.settle(choice, number)
    return await rig.api.ask(rig.pair.id, "settle", "tests", {"conflict": number})


async def woken(rig: Rig, run_id: str, then: list[str]) -> list[tuple[str, int]]:
    """Be the workers: after each part of a run, whoever is woken goes on. (run, records in the books) after each."""
    waiting, seen = [run_id], []
    while waiting:
        current = waiting.pop(0)
        waiting += [i for i, _ in await runner.advance(rig.office, current, "tests")] + then
        then.clear()
        seen.append((current, len(rig.names(rig.books))))
    return seen


async def test_an_answer_is_written_while_a_bulk_plan_is_half_done(busy: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bulk run gives way at its next checkpoint, the answer alone is written, and the bulk run goes on to its end:
    all are made, once."""
    rig, asked = busy, []

    async def press() -> None:
        asked.append(await answer(rig))

    in_the_middle(rig, monkeypatch, press)
    bulk = await ask_bulk(rig)
    parts = await woken(rig, bulk, [])
    assert [(bulk, False), (asked[0], False), (bulk, True)] == [
        (run, made == MANY + 1) for run, made in parts if run in (bulk, asked[0])
    ][:3]
    assert ("done", {"done": 1}) == ((await rig.api.run(asked[0])).state, (await rig.api.run(asked[0])).outcome)
    assert ("done", {"done": MANY}) == ((await rig.api.run(bulk)).state, (await rig.api.run(bulk)).outcome)
    assert HERE == rig.see(rig.books, rig.refs[1]).phone  # type: ignore[attr-defined]  # set by the fixture
    assert MANY + 1 == len(set(rig.names(rig.books))) == len(rig.names(rig.books))
    assert 0 == (await rig.preview()).changes
    async with rig.db.read() as tx:
        assert await audit.verify(tx, rig.pair.id) is None


async def test_saboteur_without_giving_way_the_answer_waits_for_all(busy: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bulk run that keeps the pair to the end of its slice, nothing of the answer is written before that."""
    rig = busy

    async def nobody(_tx: Any, _run: Any) -> bool:
        return False

    async def press() -> None:
        await answer(rig)

    monkeypatch.setattr(runs, "gives_way", nobody)
    monkeypatch.setattr(runner, "SLICE_S", 10_000.0)
    in_the_middle(rig, monkeypatch, press)
    bulk = await ask_bulk(rig)
    assert (bulk, MANY + 1) == (await woken(rig, bulk, []))[0]


async def test_a_bulk_change_of_the_same_record_is_looked_at_again(busy: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bulk plan holds another field of the record that the answer is about: both get there, neither is lost."""
    rig = busy
    crm, books = rig.refs  # type: ignore[attr-defined]  # set by the fixture
    rig.crm.edit(C, crm, notes="new")
    await rig.preview()

    async def press() -> None:
        await answer(rig, "books")

    in_the_middle(rig, monkeypatch, press)
    await woken(rig, await ask_bulk(rig), [])
    await rig.settled()
    assert ("new", THERE) == (rig.see(rig.books, books).notes, rig.see(rig.crm, crm).phone)


async def test_what_cannot_go_beside_waits_for_the_end(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that makes a record is not drawn beside a plan: it waits, and is carried out when the plan is over."""
    async with opened() as rig:
        await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "ask"}}))
        rig.books.add(told("Only in the books"))
        for number in range(MANY):
            rig.crm.add(told(name(number)))
        await rig.preview()
        asked: list[str] = []

        async def press() -> None:
            asked.append(await answer(rig, "create"))

        in_the_middle(rig, monkeypatch, press)
        bulk = await ask_bulk(rig)
        parts = await woken(rig, bulk, [])
        assert [bulk, asked[0], bulk] == [run for run, _ in parts][:3]
        assert "done" == (await rig.advance(asked[0])).state
        assert "Only in the books" in rig.names(rig.crm)


async def test_a_worker_that_dies_beside_a_plan_leaves_it_to_the_next(
    busy: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small plan stands in the database, approved: whoever takes the run over carries that one out."""
    rig, asked = busy, []
    carry_out = runner._carry_out

    class Died(BaseException):
        """As if it had been killed."""

    async def dies(*_: Any) -> Any:
        monkeypatch.setattr(runner, "_carry_out", carry_out)
        raise Died

    async def press() -> None:
        asked.append(await answer(rig))

    in_the_middle(rig, monkeypatch, press)
    bulk = await ask_bulk(rig)
    await runner.advance(rig.office, bulk, "tests")
    monkeypatch.setattr(runner, "_carry_out", dies)
    with pytest.raises(Died):
        await runner.advance(rig.office, asked[0], "tests")
    rig.pass_time(16)
    await woken(rig, asked[0], [])
    assert {"done": 1} == (await rig.api.run(asked[0])).outcome
    assert HERE == rig.see(rig.books, rig.refs[1]).phone  # type: ignore[attr-defined]  # set by the fixture
