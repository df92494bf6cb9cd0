"""A clock that a test or a demonstration can move, and the rate limits that are counted on it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from datetime import datetime


class SandboxClock:
    """Unix time that starts at `base` (default: now) and runs as real time does, or stands still if `fixed`."""

    def __init__(self, base: datetime | None = None, *, fixed: bool = False) -> None:
        if base is not None and base.tzinfo is None:
            raise ValueError("base needs a time zone")
        self._base_s = time.time() if base is None else base.timestamp()
        self._started_s = time.monotonic()
        self._fixed = fixed
        self._moved_s = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since 1970 on this clock."""
        ran_s = 0.0 if self._fixed else time.monotonic() - self._started_s
        return self._base_s + ran_s + self._moved_s

    def wall(self) -> float:
        """Seconds since 1970 by the machine: what a signature's timestamp is held against by its reader."""
        return time.time()

    def advance(self, seconds: float) -> None:
        """Move time on. It never goes back: raises ValueError."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._moved_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock has gone on by so much: by itself, or because somebody moved it."""
        due_s = self.now() + seconds
        while (left_s := due_s - self.now()) > 0:
            moved = self._moved
            try:
                await asyncio.wait_for(moved.wait(), None if self._fixed else left_s)
            except TimeoutError:
                continue


class Window:
    """At most `calls` in any `per_s` seconds. Refused calls do not count."""

    def __init__(self, calls: int, per_s: float, clock: SandboxClock) -> None:
        self._calls = calls
        self._per_s = per_s
        self._clock = clock
        self._taken: deque[float] = deque()

    def wait_s(self) -> float:
        """Count this call and return 0, or leave it uncounted and return the seconds to wait."""
        now = self._clock.now()
        while self._taken and self._taken[0] <= now - self._per_s:
            self._taken.popleft()
        if len(self._taken) >= self._calls:
            return self._taken[0] + self._per_s - now
        self._taken.append(now)
        return 0.0


class Drip:
    """One call each `every_s` seconds, of which up to `burst` may have been saved up."""

    def __init__(self, every_s: float, burst: int, clock: SandboxClock) -> None:
        self._every_s = every_s
        self._burst = burst
        self._clock = clock
        self._saved: defaultdict[str, float] = defaultdict(lambda: float(burst))
        self._seen_s: dict[str, float] = {}

    def wait_s(self, key: str) -> float:
        """As `Window.wait_s`, for one key (a channel)."""
        now = self._clock.now()
        earned = (now - self._seen_s.get(key, now)) / self._every_s
        self._seen_s[key] = now
        self._saved[key] = min(float(self._burst), self._saved[key] + earned)
        if self._saved[key] < 1 - 1e-6:
            return (1 - self._saved[key]) * self._every_s
        self._saved[key] -= 1
        return 0.0
