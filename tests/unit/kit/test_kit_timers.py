"""Real time."""

from __future__ import annotations

from datetime import UTC

from connectors.kit.contract import Clock
from connectors.kit.timers import SystemClock


async def test_the_system_clock_is_a_clock() -> None:
    """UTC, never going back, and a wait of less than nothing is none."""
    clock: Clock = SystemClock()
    before, began = clock.now(), clock.monotonic()
    await clock.sleep(-5)
    assert before.tzinfo is UTC
    assert (before <= clock.now(), began <= clock.monotonic()) == (True, True)
