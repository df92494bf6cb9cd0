"""What is held back, and a side that looks empty, confirmed with a button by somebody who may."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.canon.records import Kind
from tests.flows.rig import Rig, mapping, name, told
from tests.flows.slack_bench import Bench, open_bench

ALWAYS = {"create": {"books": "always"}}
C = Kind.CUSTOMER


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def many(bench: Bench, number: int) -> list[str]:
    """Linked customers with a note."""
    rig = bench.rig
    await rig.pair_up(mapping(customers=ALWAYS))
    refs = [rig.crm.add(told(name(n), notes="old", phone=f"+1 212 555 01{n:02}")) for n in range(number)]
    await rig.settled()
    return refs


async def test_what_is_held_is_confirmed_with_a_button_of_its_own(bench: Bench) -> None:
    """With the counts; a plain Apply does not stand beside it, for there is nothing else."""
    for ref in await many(bench, 40):
        if len([r for r in bench.rig.crm.all(C) if getattr(r, "notes", None) == "new"]) < 26:
            bench.rig.crm.edit(C, ref, notes="new")
    shown = await bench.previewed()
    assert "26 " in bench.text(shown)
    assert "Apply 0" not in bench.text(shown)
    await bench.presses("Apply all 26, also what is held", shown, user="viewer")
    await bench.until("Only @approver-1, @approver-2 or @admin may apply", "viewer")
    await bench.presses("Apply all 26, also what is held", shown)
    await bench.until("^Applied   26 changes made.")
    assert 26 == sum(getattr(r, "notes", None) == "new" for r in bench.rig.books.all(C))


async def test_a_side_that_looks_empty_is_confirmed_with_a_button(bench: Bench) -> None:
    """Nothing is planned until somebody who may says that it is so; who said it is on record."""
    for ref in (await many(bench, 10))[:6]:
        bench.rig.crm.delete(C, ref)
    await bench.types("preview")
    shown = await bench.until("othing was planned")
    assert "the crm shows 4 of 10 linked customers" in bench.text(shown)
    await bench.presses("It really is", shown, user="viewer")
    await bench.until("Only @approver-1, @approver-2 or @admin may apply", "viewer")
    await bench.presses("It really is", shown)
    await bench.until("still there in Memory")
    await bench.quiet()
    assert 6 == len(await bench.rig.conflicts())
