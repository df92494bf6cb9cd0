"""Credit and re-issue in a channel: the card asks twice, the preview shows both, *Apply* writes both; what came to a
half is a card of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from connectors.canon.records import Kind
from connectors.memory.faults import Fault
from tests.flows.rig import Rig, deal, told, usd
from tests.flows.slack_bench import Bench, open_bench

D, I, N = Kind.DEAL, Kind.INVOICE, Kind.CREDIT_NOTE


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def asked(bench: Bench) -> None:
    """A deal of 100.00 that was billed says 120.00 now."""
    rig = bench.rig
    ref = rig.crm.add(deal(rig.crm.add(told("Nordwind")), name="Q4 pumps"))
    await rig.settled()
    rig.crm.edit(D, ref, amount=usd("120.00"))
    await bench.types("preview")


async def answered(bench: Bench) -> None:
    """*Credit and re-issue...* was pressed on the card, and its preview applied."""
    await asked(bench)
    card = await bench.until("^Q4 pumps: changed after it was billed: invoice 1001 says USD 100.00")
    await bench.presses("Credit and re-issue...", card)
    shown = await bench.until("^Preview   1 invoice, USD 120.00 net")
    assert "1 credit note, USD 100.00 net, to post" in bench.text(shown)
    assert 1 == len(bench.rig.invoices())
    await bench.presses("Apply 2", shown)


async def test_the_card_leads_to_a_preview_of_both(bench: Bench) -> None:
    """And says afterwards who decided it."""
    await answered(bench)
    done = await bench.until("^Applied   2 changes made, 2 documents posted in Memory")
    assert "USD 120.00 net, USD 100.00 net credited" in bench.text(done)
    assert (2, 1) == (len(bench.rig.invoices()), len(bench.rig.books.all(N)))
    await bench.until("to be credited and re-issued, said by @approver-1")


async def test_half_done_is_a_card_until_it_is_put_right(bench: Bench) -> None:
    """It says what was made, what was not and why, and what to do."""
    bench.rig.books.script.add(Fault(what="refuse", kind=N), Fault(what="refuse", operation="void"))
    await answered(bench)
    card = await bench.until("half done: the invoice was made, and what belongs to it was not")
    said = bench.text(card)
    assert "credit note not made: refused by the script" in said
    assert "Put it right in Memory (books) by hand" in said
    await bench.presses("It is put right", card)
    await bench.until("half done: put right, said by @approver-1")
