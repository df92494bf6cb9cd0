"""A preview says how long the vendors' limits will make it take."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.memory import state as state_module
from connectors.memory.vendor import Knobs, facts_of
from tests.flows.conftest import Open
from tests.flows.rig import Rig, deal, mapping, name, told
from worker.api.views import TakesView

C = Kind.CUSTOMER
DAY_S = 86_400
ALWAYS = {"create": {"books": "always", "crm": "never"}}
Limited = Callable[..., None]


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limited:
    """Every vendor that is opened from now on declares these limits."""

    def declare(**limits: object) -> None:
        monkeypatch.setattr(state_module, "facts_of", lambda knobs: msgspec.structs.replace(facts_of(knobs), **limits))

    return declare


async def _planned(rig: Rig, number: int) -> None:
    await rig.pair_up(mapping("customers", customers=ALWAYS))
    for each in range(number):
        rig.crm.add(told(name(each)))
    await rig.preview()


async def test_without_a_limit_nothing_is_said(both: Rig) -> None:
    """However many they are."""
    await _planned(both, 30)
    assert (30, None) == (both.plan.changes, both.plan.takes)


async def test_it_says_the_seconds_the_calls_and_the_limit(opened: Open, limited: Limited) -> None:
    """Thirty new customers are six batches, and a mark before each: two calls a minute let the last go after five."""
    limited(rates=((1000, 1.0), (2, 60.0)))
    async with opened(books=Knobs(batch_write=5)) as rig:
        await _planned(rig, 30)
        expected = TakesView(seconds=300, calls={"crm": 0, "books": 12}, system="Memory", at_most=2, per_s=60)
        assert expected == rig.plan.takes


async def test_batches_may_be_counted_apart(opened: Open, limited: Limited) -> None:
    """As QuickBooks counts them."""
    limited(rates=((1000, 60.0),), batch_rate=(2, 60.0))
    async with opened(books=Knobs(batch_write=5)) as rig:
        await _planned(rig, 30)
        assert rig.plan.takes is not None
        assert (120, 2, True) == (rig.plan.takes.seconds, rig.plan.takes.at_most, rig.plan.takes.batches)


async def test_what_was_used_of_the_day_is_told(opened: Open, limited: Limited) -> None:
    """By the runs of the last 24 hours; a day later it is forgotten."""
    limited(rates=((20, DAY_S),))
    async with opened(books=Knobs(batch_write=1)) as rig:
        await _planned(rig, 1)
        await rig.apply()
        for each in range(100, 106):
            rig.crm.add(told(name(each)))
        takes = (await rig.preview()).takes
        assert takes is not None
        assert (12, 20, DAY_S, True) == (takes.calls["books"], takes.at_most, takes.per_s, takes.used > 8)
        rig.pass_time(DAY_S + 60)
        again = await rig.preview()
        assert again.takes is None


async def test_held_changes_and_plans_that_are_over_take_no_time(opened: Open, limited: Limited) -> None:
    """What is not sent needs no call."""
    limited(rates=((1, 60.0),))
    async with opened(books=Knobs(batch_write=1)) as rig:
        await _planned(rig, 3)
        assert rig.plan.takes is not None
        await rig.api.discard(rig.plan.id, "tests")
        assert (await rig.api.plan(rig.plan.id)).takes is None
        await rig.pair_up(mapping("customers", customers={**ALWAYS, "apply": "observe"}))
        held = await rig.preview()
        assert (0, 3, None) == (held.changes, held.held, held.takes)


async def test_a_sandbox_without_limits_takes_everything_at_once(opened: Open, limited: Limited) -> None:
    """`pace: off`: what its vendor would allow does not matter."""
    limited(rates=((1, 60.0),))
    async with opened() as rig:
        for world in (rig.crm, rig.books):
            await rig.api.connect("memory", {"world": world.name, "clock": "house", "pace": "off"})
        await _planned(rig, 30)
        assert (30, None) == (rig.plan.changes, rig.plan.takes)


async def test_apply_makes_no_more_calls_than_were_foreseen(opened: Open, limited: Limited) -> None:
    """New customers and invoices for their deals, then edits: write calls, marks and the reads before them are as
    they were counted; what the wave's pull and lookups read is not among them."""
    limited(rates=((1, 3600.0),))
    async with opened(books=Knobs(batch_write=4, batch_read=4)) as rig:
        await rig.pair_up(mapping("customers", "invoices", customers=ALWAYS))
        customers = [rig.crm.add(told(name(each))) for each in range(10)]
        for ref in customers:
            rig.crm.add(deal(ref))
        for _ in range(2):
            await rig.preview()
            assert rig.plan.takes is not None
            at = len(rig.books.calls)
            await rig.apply()
            made = [call.point for call in rig.books.calls[at:] if call.point in ("write", "mark", "get")]
            assert rig.plan.takes.calls["books"] == len(made), made
            for each, ref in enumerate(customers):
                rig.crm.edit(C, ref, legal_name=name(100 + each))
