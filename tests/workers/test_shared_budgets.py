"""Rate budgets belong to the connection: who opens it, in whichever lane or process, takes turns from one count."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from arq import create_pool
from structlog.testing import capture_logs

from connectors.kit.http import Budget, Limit, Told
from connectors.kit.http.pace import Lane
from connectors.kit.timers import SystemClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.workers.callers import Order, Place, call, called_apart, office_at
from tests.workers.conftest import RedisServer
from worker.budget import SharedBudgets

FIFTH = Decimal("0.2")


def refused(books: QuickBooksSandbox) -> int:
    """Calls over the limit, counted at the vendor's door."""
    return sum(seen.status == 429 for seen in books.requests)


def most_in_a_second(books: QuickBooksSandbox) -> int:
    at = [seen.at.timestamp() for seen in books.requests if seen.status == 200]
    return max(sum(1 for other in at if start <= other < start + 1) for start in at)


async def _is_refused(books: QuickBooksSandbox, work: Coroutine[Any, Any, Any]) -> bool:
    """Whether the vendor refuses a call of this work, which is not waited for then: it would rest for a minute."""
    task = asyncio.create_task(work)
    while not task.done() and not refused(books):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    return refused(books) > 0


# --------------------------------------------------------------------------- at a vendor's door


async def test_two_processes_keep_to_one_limit(connected: Place, books: QuickBooksSandbox) -> None:
    """Each asks 8 things at once, where ten a second are allowed: the vendor refuses none, and in the busiest second
    it answers as many as it allows."""
    assert [8, 8] == await called_apart([Order(connected, 8)] * 2)
    assert (0, 10) == (refused(books), most_in_a_second(books))


async def test_saboteur_a_budget_for_each_process_is_over_the_limit(connected: Place, books: QuickBooksSandbox) -> None:
    """With a count of its own each keeps to ten a second, and both together do not."""
    alone = msgspec.structs.replace(connected, redis=None)
    assert await _is_refused(books, called_apart([Order(alone, 8)] * 2))


async def _two_offices(place: Place, *budgets: SharedBudgets) -> None:
    async with office_at(place, budgets[0]) as one, office_at(place, budgets[-1]) as other:
        opened = [await office.connector(place.connection) for office in (one, other)]
        await asyncio.gather(*(call(connector, 8) for connector in opened))


async def test_connectors_of_one_process_share_without_redis(connected: Place, books: QuickBooksSandbox) -> None:
    """Two desks of a process, each with a connector of its own."""
    await _two_offices(connected, SharedBudgets(SystemClock()))
    assert 0 == refused(books)


async def test_whoever_opens_a_connection_gets_its_one_budget() -> None:
    """What one connector used is used for the next."""
    shared = SharedBudgets(SystemClock())
    one, other = (shared.of("cn_1")("calls", [Limit(3, 60)], FIFTH) for _ in range(2))
    assert (3, 0) == (await got(one, "realtime", 5), await got(other, "realtime", 1))
    await shared.close()


async def test_saboteur_a_budget_for_each_connector_is_over_the_limit(
    connected: Place, books: QuickBooksSandbox
) -> None:
    """As it would be if every connector counted for itself."""
    work = _two_offices(connected, SharedBudgets(SystemClock()), SharedBudgets(SystemClock()))
    assert await _is_refused(books, work)


# --------------------------------------------------------------------------- the count itself


class Processes:
    """Several processes' budgets of one connection, over one Redis."""

    def __init__(self, redis: RedisServer, *limits: Limit) -> None:
        self._shared = [SharedBudgets(SystemClock(), redis.settings) for _ in range(2)]
        self.one, self.other = (shared.of("cn_1")("calls", limits, FIFTH) for shared in self._shared)

    async def close(self) -> None:
        for shared in self._shared:
            await shared.close()


async def got(budget: Budget, lane: Lane, asked: int) -> int:
    """How many of so many calls may be made now."""
    return [await budget.take(lane) for _ in range(asked)].count(0.0)


async def test_a_fifth_is_kept_for_the_realtime_lane(redis: RedisServer) -> None:
    """What the bulk lane of one process leaves, a button press in another may use, and no more."""
    both = Processes(redis, Limit(10, 60))
    assert (8, 0) == (await got(both.one, "bulk", 20), await got(both.other, "bulk", 1))
    assert (2, 0) == (await got(both.other, "realtime", 5), await got(both.one, "realtime", 1))
    await both.close()


async def test_all_windows_hold_at_once_and_slide(redis: RedisServer) -> None:
    """A call leaves a window when its seconds are over, counted from its answer, and the next one goes; a longer window
    goes on holding."""
    both = Processes(redis, Limit(2, 0.2), Limit(3, 60))
    assert 2 == await got(both.one, "realtime", 4)
    wait = await both.other.take("realtime")
    assert 0 < wait <= 0.2
    await both.one.arrived()
    await both.one.arrived()
    await asyncio.sleep(0.25)
    assert (1, 0) == (await got(both.other, "realtime", 3), await got(both.one, "realtime", 1))
    assert 59 < await both.one.take("realtime") <= 60
    await both.close()


async def test_a_call_under_way_counts_until_its_answer(redis: RedisServer) -> None:
    """The vendor may count it as late as that: without an answer its window begins two seconds after its turn."""
    both = Processes(redis, Limit(1, 0.1))
    assert 1 == await got(both.one, "realtime", 1)
    await asyncio.sleep(0.15)
    assert 0 == await got(both.other, "realtime", 1)
    await both.one.arrived()
    await asyncio.sleep(0.15)
    assert 1 == await got(both.other, "realtime", 1)
    await both.close()


async def test_rest_and_the_vendors_count_reach_everybody(redis: RedisServer) -> None:
    """What one process is told, the others keep to: a larger window, calls that others made, a wait."""
    both = Processes(redis, Limit(5, 60))
    await both.one.told(Told(per_s=60, remaining=3, calls=8))
    assert 3 == await got(both.other, "realtime", 5)
    await both.one.rest(70)
    assert 69 < await both.other.take("realtime") <= 70
    await both.one.rest(1)
    assert 69 < await both.other.take("realtime") <= 70
    await both.close()


async def test_connections_and_names_are_apart(redis: RedisServer) -> None:
    """One account's calls, and its searches, use up nobody else's."""
    shared = SharedBudgets(SystemClock(), redis.settings)
    budgets = [shared.of(c)(n, (Limit(1, 60),), FIFTH) for c in ("cn_1", "cn_2") for n in ("calls", "searches")]
    assert [1, 1, 1, 1] == [await got(budget, "realtime", 2) for budget in budgets]
    await shared.close()


# --------------------------------------------------------------------------- Redis is never the truth


async def test_without_redis_a_process_counts_for_itself(redis: RedisServer) -> None:
    """When it is lost, work goes on under this process's own count, and that is said once."""
    both = Processes(redis, Limit(3, 60))
    assert 1 == await got(both.one, "realtime", 1)
    redis.kill()
    try:
        with capture_logs() as logs:
            assert 3 == await got(both.one, "realtime", 5)
            await both.one.arrived()
            await both.one.rest(1)
        assert ["budget.not_shared"] == [each["event"] for each in logs]
    finally:
        redis.start()
    await both.close()


async def test_a_flush_forgets_the_count_and_nothing_else(redis: RedisServer) -> None:
    """Calls go on; at worst the vendor says 429, which is waited out."""
    both = Processes(redis, Limit(2, 60))
    assert 2 == await got(both.one, "realtime", 3)
    pool = await create_pool(redis.settings)
    await pool.flushall()
    await pool.aclose()
    assert 2 == await got(both.other, "realtime", 3)
    await both.one.arrived()
    assert 0 == await got(both.one, "realtime", 1)
    await both.close()


@pytest.mark.parametrize("lane", ["realtime", "bulk"])
async def test_redis_counts_as_memory_does(redis: RedisServer, lane: Lane) -> None:
    """The same turns from either, for limits of every shape."""
    for number, calls in enumerate((1, 2, 5, 10, 33, 500)):
        limits = (Limit(calls, 60), Limit(calls + 3, 90))
        shared, alone = SharedBudgets(SystemClock(), redis.settings), SharedBudgets(SystemClock())
        budgets = [each.of(f"cn_{number}")("calls", limits, FIFTH) for each in (shared, alone)]
        first, second = [await got(budget, lane, calls + 5) for budget in budgets]
        assert first == second
        await shared.close()
