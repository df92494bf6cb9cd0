"""Undo in a Slack channel: by its button or by command, shown, applied and said like any plan."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.canon.records import Kind
from tests.flows.rig import Rig, deal, told
from tests.flows.slack_bench import Bench, open_bench


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def test_the_button_previews_the_reverse_and_apply_takes_it_back(bench: Bench) -> None:
    """One message: what would be taken back with its buttons, then what was, and what stays. A second press of *Undo*
    starts nothing while the first one waits."""
    bench.rig.crm.add(deal(bench.rig.crm.add(told("Nordwind")), name="Q4 pumps"))
    shown = await bench.previewed()
    await bench.presses("Apply 2", shown)
    done = await bench.until("^Applied   2 changes made")
    await bench.presses("Undo", done, user="operator")
    back = await bench.until(r"^Undo   1 invoice to void. 1 customer to make inactive.")
    assert "1001" in bench.text(back)
    await bench.presses("Undo", done, user="viewer")
    await bench.until("@operator pressed this already", user="viewer")
    await bench.presses("Apply 2", back)
    over = await bench.until("^Undone   2 changes made.")
    assert back.ts == over.ts
    assert "Invoice 1001 voided; its number stays used. 1 record made inactive, not deleted." in bench.text(over)
    assert ("void", []) == (bench.rig.one_invoice().state, bench.rig.books.all(Kind.CUSTOMER))


async def test_the_command_says_what_it_leaves_and_only_approvers_apply(bench: Bench) -> None:
    """`/tieout undo last`; Ann's phone stays hers. Discarded, it may be asked for again."""
    crm, books = await bench.rig.linked("Betatech", phone="+254 20 2710000", notes="old")
    bench.rig.crm.edit(Kind.CUSTOMER, crm, phone="+254 20 2710001", notes="new")
    await bench.presses("Apply 1", await bench.previewed())
    done = await bench.until("^Applied   1 change made")
    bench.rig.books.edit(Kind.CUSTOMER, books, phone="+254 20 2711000")
    await bench.types("undo last")
    back = await bench.until("^Undo   1 customer to put back. 1 left as it is.")
    assert "Betatech, phone: changed in Memory (books) since" in bench.text(back)
    await bench.presses("Apply 1", back, user="viewer")
    await bench.until("Only @approver-1, @approver-2 or @admin may apply", "viewer")
    await bench.presses("Discard", back)
    await bench.until("Discarded. Nothing was taken back.")
    for _ in range(2):
        await bench.presses("Undo", done, user="operator")
        again = await bench.until(r"^Undo   1 customer to put back[\s\S]*\[Apply 1\]")
        await bench.presses("Discard", again)
        await bench.becomes(lambda: bench.find(r"^Undo   1 customer to put back[\s\S]*\[Apply 1\]") is None or None)
        await bench.quiet()
    assert "new" == bench.rig.see(bench.rig.books, books).notes


async def test_a_run_that_is_none_and_no_run_at_all_are_answered(bench: Bench) -> None:
    """What to type instead."""
    await bench.types("undo", user="viewer")
    assert "Say which run: /tieout undo last" in bench.texts("viewer")[-1]
    await bench.types("undo run_nothing", user="viewer")
    await bench.until("There is no run run_nothing", "viewer")
    await bench.types("undo last", user="viewer")
    await bench.until("No run has written anything yet", "viewer")
