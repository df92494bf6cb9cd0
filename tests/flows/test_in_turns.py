"""Planning many records leaves the loop to others: a lease is renewed and a button heard meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from tests.flows.conftest import Open
from tests.flows.rig import mapping, told
from worker.usecases import propose_new
from worker.usecases.in_turns import AT_ONCE, in_turns


async def test_others_have_their_turn_after_each_hundred() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    seen = [item async for item in in_turns(range(10 * AT_ONCE))]
    task.cancel()
    assert (list(range(10 * AT_ONCE)), 10) == (seen, turns + 1)


async def test_new_customers_are_planned_in_turns(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planned one after the other is what was planned at once."""
    told_of = list[int]()

    async def counted(items: Iterable[object]) -> AsyncIterator[object]:
        given = list(items)
        told_of.append(len(given))
        async for item in in_turns(given):
            yield item

    monkeypatch.setattr(propose_new, "in_turns", counted)
    names = sorted(f"{word} of {n}" for n, word in enumerate(("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir")))
    async with opened() as rig:
        await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
        for name in names:
            rig.crm.add(told(name))
        plan = await rig.preview()
    assert (names, [len(names)]) == (sorted(change.title for change in plan.shown), told_of)
