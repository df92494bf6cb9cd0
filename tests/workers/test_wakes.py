"""Wakes through a real Redis: a hint that is never taken for one that came before."""

from __future__ import annotations

from arq import create_pool

from tests.workers.conftest import RedisServer
from worker.queue import Queue, queue_name


async def test_a_run_may_be_woken_again_while_it_runs_and_afterwards(redis: RedisServer) -> None:
    """arq drops a job whose id is queued, runs, or ended within the hour: wakes have none of their own."""
    queue = Queue(redis.settings)
    assert [True, True] == [await queue.wake("run_1", "realtime") for _ in range(2)]
    await queue.close()
    pool = await create_pool(redis.settings)
    try:
        assert 2 == await pool.zcard(queue_name("realtime"))
    finally:
        await pool.aclose()
