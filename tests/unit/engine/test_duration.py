"""How long a plan takes: the calls that so many changes come to, and what the tightest limit makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.hubspot import vendor as hubspot
from connectors.kit.contract import Clock, KindFacts, Side
from connectors.kit.http.pace import REALTIME_SHARE, Lane, Limit, MemoryBudget
from connectors.quickbooks import vendor as quickbooks
from worker.engine.duration import Allowed, Calls, Counts, Takes, Tightest, calls_of, takes, waiting

C, D, I, P = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE, Kind.PAYMENT
DAY_S = 86_400.0
HUBSPOT = Allowed(kinds=hubspot.FACTS.kinds, rates=hubspot.FACTS.rates)
QUICKBOOKS = Allowed(kinds=quickbooks.FACTS.kinds, rates=quickbooks.FACTS.rates, batch_rate=quickbooks.FACTS.batch_rate)
BOTH: Mapping[Side, Allowed] = {"crm": HUBSPOT, "books": QUICKBOOKS}


class Virtual:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


async def _paced(number: int, limits: list[Limit], lane: Lane) -> float:
    """How long so many calls, each answered at once, really take."""
    clock = Virtual()
    budget = MemoryBudget(limits, cast(Clock, clock), REALTIME_SHARE)
    for _ in range(number):
        while (wait := await budget.take(lane)) > 0:
            await clock.sleep(wait)
        await budget.arrived()
    return clock.at


@pytest.mark.parametrize("number", [0, 1, 39, 40, 41, 80, 81, 400])
@pytest.mark.parametrize("lane", ["realtime", "bulk"])
async def test_it_is_what_the_pace_in_front_of_the_calls_imposes(number: int, lane: Lane) -> None:
    """Neither more nor less, in both lanes: bulk leaves a fifth of each limit to those who wait."""
    kept = REALTIME_SHARE if lane == "bulk" else Decimal(0)
    kinds = {C: KindFacts(batch_write=10, batch_read=10, optimistic_lock=True)}
    one = Allowed(kinds=kinds, rates=((40, 60.0),), kept=kept)
    found = takes({("books", C, "update"): number * 10}, {"crm": HUBSPOT, "books": one})
    assert await _paced(number, [Limit(40, 60.0)], lane) == found.seconds


def test_the_tightest_limit_decides() -> None:
    """14,400 customers are 480 batches: 40 of them go in a minute, long before the calls themselves run out."""
    found = takes({("books", C, "update"): 14_400}, BOTH)
    limit = Tightest(side="books", calls=40, per_s=60.0, batches=True)
    assert Takes(seconds=660.0, calls={"crm": 0, "books": 480}, limit=limit) == found


def test_what_may_go_at_once_takes_no_time() -> None:
    """No limit is named then; nothing to send is nothing."""
    at_once = takes({("books", C, "update"): 300}, BOTH)
    assert (0.0, None, 10) == (at_once.seconds, at_once.limit, at_once.calls["books"])
    assert Takes(seconds=0.0, calls={"crm": 0, "books": 0}) == takes({}, BOTH)


@pytest.mark.parametrize(("used", "days"), [(0, 1), (12_000, 1), (240_000, 2), (260_000, 2)])
def test_a_days_calls_that_are_used_count(used: int, days: int) -> None:
    """A day takes 250,000 calls: the rest of 300,000 goes a day later, or two."""
    kinds = {D: KindFacts(batch_write=1, optimistic_lock=True)}
    one = Allowed(kinds=kinds, rates=((250_000, DAY_S),), used_today=used)
    found = takes({("crm", D, "update"): 300_000}, {"crm": one, "books": QUICKBOOKS})
    limit = Tightest(side="crm", calls=250_000, per_s=DAY_S, used=used)
    assert (days * DAY_S, limit) == (found.seconds, found.limit)


def test_what_is_used_of_a_day_is_nothing_of_a_minute() -> None:
    """Yesterday's calls do not slow this minute's."""
    one = Allowed(kinds={C: KindFacts(optimistic_lock=True)}, rates=((40, 60.0),), used_today=9_000)
    assert 0.0 == takes({("books", C, "update"): 40}, {"crm": HUBSPOT, "books": one}).seconds


CASES: list[tuple[Counts, Calls, Calls]] = [
    # HubSpot: the vendor's mark, and a write that is read back
    ({("crm", C, "create"): 150}, Calls(2 + 2 * 4, 2), Calls()),
    # no version keeps an old write out there: the deals are read first, and their history, fifty at a time, after it
    ({("crm", D, "update"): 150}, Calls(2 * 4 + 2 * 5 + 3, 2), Calls()),
    # QuickBooks has versions; a batch of one is a plain call
    ({("books", C, "update"): 61}, Calls(), Calls(3, 2)),
    # five batches of invoices, each from a fresh read of its deals
    ({("books", I, "create"): 150}, Calls(5 * 4), Calls(5 + 5, 5)),
    # taking a document back asks no deal; breaking a link is ours alone
    ({("books", I, "void"): 30, ("books", C, "unlink"): 30}, Calls(), Calls(1, 1)),
]


@pytest.mark.parametrize(("counts", "crm", "books"), CASES)
def test_calls_are_counted_as_apply_makes_them(counts: Counts, crm: Calls, books: Calls) -> None:
    """With what each vendor declares of its batches and reads."""
    fifty = {kind: msgspec.structs.replace(facts, history=50) for kind, facts in HUBSPOT.kinds.items()}
    found = calls_of(counts, {"crm": fifty, "books": QUICKBOOKS.kinds})
    assert {"crm": crm, "books": books} == found


def test_a_window_that_is_over_takes_as_many_again() -> None:
    """The first forty go at once, the last of eighty-one after two minutes."""
    assert [0.0, 0.0, 60.0, 60.0, 120.0] == [waiting(n, 40, 60.0) for n in (0, 40, 41, 80, 81)]
