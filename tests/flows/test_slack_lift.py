"""*Bill again* and *Make again* in a Slack channel: the story of what is settled has the button, and only those who may
decide may press it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot import ids
from bot.gate import Gate
from tests.flows.rig import Rig, deal, mapping, told
from tests.flows.slack_bench import Bench, open_bench
from tests.flows.test_flow_undo import undone


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def _settled(bench: Bench) -> None:
    """A deal that was billed, taken back by its button, and the deal has heard of it."""
    bench.rig.crm.add(deal(bench.rig.crm.add(told("Nordwind")), name="Q4 pumps"))
    await bench.presses("Apply 2", await bench.previewed())
    done = await bench.until("^Applied   2 changes made")
    await bench.presses("Undo", done)
    await bench.presses("Apply 2", await bench.until("^Undo   1 invoice to void"))
    over = await bench.until("^Undone   2 changes made")
    await bench.quiet()
    assert "/tieout audit NAME has Bill again and Make again for it." in bench.text(over).replace("*", "")


async def test_only_who_may_decide_lifts_and_the_next_preview_has_it(bench: Bench) -> None:
    """A viewer reads that it is settled and may not lift it; an approver may; everybody reads that it was lifted."""
    await _settled(bench)
    await bench.types("audit Q4 pumps", user="viewer")
    shown = await bench.until(r"Settled: taken back by .*[\s\S]*\[Bill again\]", user="viewer")
    await bench.presses("Bill again", shown, user="viewer")
    await bench.until("Only @approver-1, @approver-2 or @admin may settle what needs a decision", user="viewer")
    await bench.types("audit Q4 pumps", user="approver-1")
    mine = await bench.until(r"\[Bill again\]", user="approver-1")
    await bench.presses("Bill again", mine)
    said = await bench.until("Deal Q4 pumps is to be billed again")
    assert "With it: Nordwind. Decided by @approver-1." in bench.text(said)
    await bench.presses("Bill again", mine)
    await bench.until("Deal Q4 pumps is not settled", user="approver-1")
    before = await bench.previewed()
    assert "1 invoice, USD 100.00 net" in bench.text(before)


async def test_a_customer_is_made_again_by_its_button(bench: Bench) -> None:
    rig = bench.rig
    await rig.pair_up(mapping("customers", customers={"create": {"books": "always", "crm": "never"}}))
    ref = rig.crm.add(told("Nordwind"))
    await undone(rig, (await rig.done()).id)
    await bench.types(f"audit crm:customer:{ref}", user="approver-1")
    shown = await bench.until(r"\[Make again\]", user="approver-1")
    await bench.presses("Make again", shown)
    await bench.until("Customer Nordwind is to be made again")
    await bench.presses("Apply 1", await bench.previewed())
    await bench.until("^Applied   1 change made")
    assert ["Nordwind"] == rig.names(rig.books)


async def test_saboteur_a_gate_that_lets_everybody_settle_lets_a_viewer_lift(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is the gate's, and nothing else holds the viewer back."""
    await _settled(bench)
    monkeypatch.setattr(Gate, "refusal", lambda self, user, deed: None)
    await bench.types("audit Q4 pumps", user="viewer")
    await bench.presses("Bill again", await bench.until(r"\[Bill again\]", user="viewer"), user="viewer")
    await bench.until("Deal Q4 pumps is to be billed again")


async def test_the_story_of_what_is_not_settled_has_no_such_button(bench: Bench) -> None:
    crm, _ = await bench.rig.linked("Acme", notes="old")
    bench.rig.crm.edit("customer", crm, notes="new")  # type: ignore[arg-type]  # Kind is a str
    await bench.presses("Apply 1", await bench.previewed())
    await bench.until("^Applied   1 change made")
    await bench.types("audit Acme")
    shown = await bench.until("notes: old -> new", user="operator")
    assert not any(word in bench.text(shown) for word in ("Bill again", "Make again", ids.BILL_AGAIN))
