"""Time as the machine tells it: the one place of the connectors that reads a real clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """A `contract.Clock` of real time. `now` is in UTC; `monotonic` never goes back; `sleep` waits for real."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
