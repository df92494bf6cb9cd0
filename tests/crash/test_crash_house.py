"""The real house: arq, a real Redis, worker processes of their own, real time."""

from __future__ import annotations

from pathlib import Path

from tests.crash.house import killed, wanted, without_redis


async def test_another_process_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    """Whatever arq thinks of the job: the lease ends, the sweeper wakes somebody else, who looks up what was on its
    way. Each deal has one invoice, and nothing is left to do."""
    outcome = await killed(tmp_path / "field")
    assert ("done", wanted(), 0, None) == (outcome.state, outcome.nets, outcome.left, outcome.broken)


async def test_a_redis_that_forgets_and_dies_loses_nothing(tmp_path: Path) -> None:
    """It only wakes: what was under way is finished, and what was asked for meanwhile is done."""
    outcome = await without_redis(tmp_path / "field")
    assert ("done", wanted(), 0, None) == (outcome.state, outcome.nets, outcome.left, outcome.broken)
