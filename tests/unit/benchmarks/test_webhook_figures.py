"""The play of bad deliveries: a small one comes to nothing but zeros, and it can come to something else."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.webhooks import deliver_badly
from worker.usecases import pull


def test_twice_late_and_never_nothing_is_lost_doubled_or_echoed() -> None:
    """Nine customers; the figures of many are in docs/reliability.md."""
    found = deliver_badly(9)
    assert (0, 0, 0) == (found.duplicates, found.lost, found.echoes)
    assert 0 < found.doubled and 0 < found.dropped < found.delivered


def test_saboteur_without_polls_what_was_dropped_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Webhooks alone: the change feed is not asked any more once they are set up."""
    real = pull.pull

    async def no_poll(db: Any, connection_id: str, *args: Any) -> pull.Pulled:
        from worker.store import webhooks

        async with db.read() as tx:
            hears = await webhooks.subscription(tx, connection_id) is not None
        return pull.Pulled(0, 0) if hears else await real(db, connection_id, *args)

    monkeypatch.setattr(pull, "pull", no_poll)
    assert 0 < deliver_badly(9).lost
