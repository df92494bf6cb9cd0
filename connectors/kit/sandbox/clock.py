"""A clock that a test or a demonstration can move."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """Time that starts at `base` (default: now) and runs `speed` times as fast as real time, or stands still if
    `fixed`. It also fulfils `contract.Clock`: `sleep` waits its share of real time, and moves a fixed clock."""

    def __init__(self, base: datetime | None = None, *, speed: float = 1.0, fixed: bool = False) -> None:
        if base is not None and base.tzinfo is None:
            raise ValueError("base needs a time zone")
        if speed <= 0:
            raise ValueError("speed must be above zero; fixed=True makes time stand still")
        self.base = base if base is not None else datetime.now(UTC)
        self.speed = speed
        self.fixed = fixed
        self._started = time.monotonic()
        self._offset_s = 0.0

    def monotonic(self) -> float:
        """Seconds of this clock since it was made; what was advanced counts."""
        ran = 0.0 if self.fixed else (time.monotonic() - self._started) * self.speed
        return ran + self._offset_s

    def now(self) -> datetime:
        return self.base + timedelta(seconds=self.monotonic())

    def advance(self, seconds: float) -> None:
        """Move time on by so many seconds. It never goes back: raises ValueError."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._offset_s += seconds

    async def sleep(self, seconds: float) -> None:
        if self.fixed:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(max(0.0, seconds) / self.speed)
