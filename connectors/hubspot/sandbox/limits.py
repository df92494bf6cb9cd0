"""Rate limits: a rolling ten seconds for each token, five searches a second and a day's budget for the account.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from connectors.hubspot.sandbox.catalogue import Account
from connectors.hubspot.sandbox.oauth import Grant
from connectors.kit.sandbox import RateLimiter, VirtualClock

TEN_SECONDS, SECOND, DAY = "TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY"
BURSTS = {"free": 100, "starter": 100, "professional": 190, "enterprise": 190}
DAYS = {"free": 250_000, "starter": 250_000, "professional": 625_000, "enterprise": 1_000_000}
OAUTH_BURST = 110
SEARCHES_A_SECOND = 5


class DailyLimiter(RateLimiter):
    """A budget that is full again at midnight in the account's time zone."""

    def __init__(self, calls: int, time_zone: str, clock: VirtualClock) -> None:
        super().__init__(DAY, calls, 86_400, clock)
        self._zone = ZoneInfo(time_zone)
        self._today = clock
        self._day: date | None = None
        self._used = 0

    def _turn(self) -> None:
        day = self._today.now().astimezone(self._zone).date()
        if day != self._day:
            self._day, self._used = day, 0

    @property
    def remaining(self) -> int:
        self._turn()
        return self.calls - self._used

    def take(self) -> bool:
        if self.remaining <= 0:
            self.refused += 1
            return False
        self._used += 1
        return True

    def clear(self) -> None:
        self._used = 0
        self.refused = 0


class Limits:
    """The windows of one account."""

    def __init__(self, account: Account, clock: VirtualClock) -> None:
        self._account = account
        self._clock = clock
        self._bursts: dict[str, RateLimiter] = {}
        self.search = RateLimiter(SECOND, SEARCHES_A_SECOND, 1, clock)
        self.daily = DailyLimiter(DAYS[account.tier], account.time_zone, clock)

    def burst(self, grant: Grant) -> RateLimiter:
        """The rolling window of a private app, or of the OAuth app for all its tokens."""
        key, calls = ("oauth", OAUTH_BURST) if grant.oauth else (grant.token, BURSTS[self._account.tier])
        if key not in self._bursts:
            self._bursts[key] = RateLimiter(TEN_SECONDS, calls, 10, self._clock)
        return self._bursts[key]

    def windows(self, grant: Grant, *, search: bool) -> list[RateLimiter]:
        """What a call counts against. The day's budget is for private apps."""
        first = self.search if search else self.burst(grant)
        return [first] if grant.oauth else [first, self.daily]

    def headers(self, grant: Grant) -> dict[str, str]:
        """The headers of every answer but search."""
        burst = self.burst(grant)
        shown = {
            "X-HubSpot-RateLimit-Max": str(burst.calls),
            "X-HubSpot-RateLimit-Remaining": str(max(0, burst.remaining)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if not grant.oauth:
            shown["X-HubSpot-RateLimit-Daily"] = str(self.daily.calls)
            shown["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, self.daily.remaining))
        return shown
