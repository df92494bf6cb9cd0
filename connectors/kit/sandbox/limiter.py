"""A vendor's rate limit, as a sliding window on the virtual clock."""

from __future__ import annotations

from collections import deque

from connectors.kit.sandbox.clock import VirtualClock


class RateLimiter:
    """At most `calls` in any `per_s` seconds of the clock. `name` is what the vendor calls the policy. Refused
    calls do not count."""

    def __init__(self, name: str, calls: int, per_s: float, clock: VirtualClock) -> None:
        self.name = name
        self.calls = calls
        self.per_s = per_s
        self.refused = 0
        self._clock = clock
        self._taken: deque[float] = deque()

    def _forget(self) -> float:
        now = self._clock.monotonic()
        while self._taken and self._taken[0] <= now - self.per_s:
            self._taken.popleft()
        return now

    @property
    def remaining(self) -> int:
        self._forget()
        return self.calls - len(self._taken)

    @property
    def wait_s(self) -> float:
        """Seconds until a call would be let through; 0 if it would be now."""
        now = self._forget()
        return 0.0 if len(self._taken) < self.calls else self._taken[0] + self.per_s - now

    def take(self) -> bool:
        """Count a call, or refuse it."""
        now = self._forget()
        if len(self._taken) >= self.calls:
            self.refused += 1
            return False
        self._taken.append(now)
        return True

    def clear(self) -> None:
        self._taken.clear()
        self.refused = 0
