"""Rate budgets that belong to connections: every connector that is opened for one, in any process, takes its turns
from the same count. The count lives in Redis; while that cannot be reached, in this process's memory.

Redis is never the truth: a count that is lost costs at worst a 429, which the request path handles.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import structlog
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError

from connectors.kit import contract
from connectors.kit.http.pace import UNDER_WAY_S, Budget, Lane, Limit, MemoryBudget, Told
from worker.outside import new_id

ANSWER_S = 1.0  # a Redis that takes longer is taken for gone
AGAIN_S = 5.0  # so long nobody asks it then
_US = 1_000_000
log = structlog.get_logger()

# Each limit is a sorted set of calls, scored with the time (microseconds, Redis's clock) by which the vendor has
# counted them. KEYS: the rest, then for each limit its calls and what the vendor told of its size.

# ARGV: the lane, the share that bulk may use, this call's id, microseconds a call may be under way, then for each
# limit its microseconds and its calls. The microseconds to wait, or 0 with the call taken.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wait = redis.call('PTTL', KEYS[1]) * 1000
for at = 2, #KEYS, 2 do
  local per, calls = tonumber(ARGV[at + 3]), tonumber(redis.call('GET', KEYS[at + 1]) or ARGV[at + 4])
  if ARGV[1] == 'bulk' then calls = math.max(1, math.floor(calls * ARGV[2] + 1e-9)) end
  redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', now - per)
  redis.call('ZREMRANGEBYSCORE', KEYS[at], now + ARGV[4] + 1, '+inf')
  local number = redis.call('ZCARD', KEYS[at])
  if number >= calls then
    local leaves = redis.call('ZRANGE', KEYS[at], number - calls, number - calls, 'WITHSCORES')
    wait = math.max(wait, math.min(tonumber(leaves[2]), now) + per - now)
  end
end
if wait > 0 then return wait end
for at = 2, #KEYS, 2 do
  redis.call('ZADD', KEYS[at], now + ARGV[4], ARGV[3])
  redis.call('PEXPIRE', KEYS[at], math.ceil((ARGV[at + 3] + ARGV[4]) / 1000) + 1)
end
return 0
"""

# ARGV: the call's id.
ARRIVED = """
local time = redis.call('TIME')
for at = 2, #KEYS, 2 do
  redis.call('ZADD', KEYS[at], 'XX', 'LT', time[1] * 1000000 + time[2], ARGV[1])
end
return 0
"""

# ARGV: milliseconds.
REST = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 0
"""

# KEYS: one limit's calls and its told size. ARGV: its microseconds, its calls, how many remain, the size told (or ""),
# an id for what is added. Calls that the vendor counted and we did not are taken as made now.
TOLD = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'PX', 86400000) end
local calls = tonumber(redis.call('GET', KEYS[2]) or ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
for n = 1, calls - ARGV[3] - redis.call('ZCARD', KEYS[1]) do
  redis.call('ZADD', KEYS[1], now, ARGV[5] .. ':' .. n)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] / 1000) + 3000)
return 0
"""


class SharedBudgets:
    """All budgets of a process: one for each connection and name. Without `redis` they are this process's alone."""

    def __init__(self, clock: contract.Clock, redis: RedisSettings | None = None) -> None:
        self._clock = clock
        self._line = RedisLine(redis, clock) if redis is not None else None
        self._made: dict[tuple[str, str, tuple[Limit, ...], Decimal], Budget] = {}

    def of(self, connection_id: str) -> partial[Budget]:
        """The maker of one connection's budgets, for `Deps.budget`."""
        return partial(self._budget, connection_id)

    def _budget(self, connection_id: str, name: str, limits: Sequence[Limit], realtime_share: Decimal) -> Budget:
        at = (connection_id, name, tuple(limits), realtime_share)
        known: Budget | None = self._made.get(at)
        if known is None:
            known = own = MemoryBudget(limits, self._clock, realtime_share)
            if self._line is not None and limits:
                known = RedisBudget(self._line, f"{connection_id}:{name}", limits, realtime_share, own)
            self._made[at] = known
        return known

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()


class RedisLine:
    """The way to Redis. What cannot be said there is answered with None, and that it cannot is logged once."""

    def __init__(self, settings: RedisSettings, clock: contract.Clock) -> None:
        self._settings, self._clock = settings, clock
        self._pool: ArqRedis | None = None
        self._lost_until: float | None = None
        self._calls = itertools.count(1)
        self._name = new_id("wk")

    def call_id(self) -> str:
        return f"{self._name}:{next(self._calls)}"

    async def run(self, script: str, keys: Sequence[str], *words: str | int) -> int | None:
        """A script's number; None: Redis cannot be reached."""
        if self._lost_until is not None and self._clock.monotonic() < self._lost_until:
            return None
        try:
            async with asyncio.timeout(ANSWER_S):
                pool = await self._opened()
                answer = int(await pool.register_script(script)(keys=list(keys), args=list(words)))
        except (RedisError, OSError, TimeoutError) as error:
            await self._lose(error)
            return None
        if self._lost_until is not None:
            self._lost_until = None
            log.info("budget.shared_again")
        return answer

    async def _opened(self) -> ArqRedis:
        if self._pool is None:
            self._pool = await create_pool(self._settings, retry=self._settings.conn_retries)
        return self._pool

    async def _lose(self, error: Exception) -> None:
        if self._lost_until is None:
            log.warning("budget.not_shared", error=type(error).__name__)
        self._lost_until = self._clock.monotonic() + AGAIN_S
        await self.close()

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await pool.aclose()
            except (RedisError, OSError):
                return


class RedisBudget:
    """A `Budget` that all processes share: exact sliding windows, counted by scripts that nothing comes between.
    `own` counts while Redis cannot be reached."""

    def __init__(
        self, line: RedisLine, name: str, limits: Sequence[Limit], realtime_share: Decimal, own: MemoryBudget
    ) -> None:
        self._line, self._own = line, own
        self._limits = {f"tieout:budget:{name}:{_us(limit.per_s)}": limit for limit in limits}
        self._keys = [f"tieout:budget:{name}:rest", *(key for each in self._limits for key in (each, f"{each}:calls"))]
        self._words: list[int] = [word for limit in limits for word in (_us(limit.per_s), limit.calls)]
        self._bulk_share = str(1 - realtime_share)
        self._under_way: deque[str | None] = deque()  # None: taken from `own`

    async def take(self, lane: Lane) -> float:
        call = self._line.call_id()
        words: list[str | int] = [lane, self._bulk_share, call, _us(UNDER_WAY_S), *self._words]
        wait_us = await self._line.run(TAKE, self._keys, *words)
        wait_s = await self._own.take(lane) if wait_us is None else wait_us / _US
        if wait_s <= 0:
            self._under_way.append(None if wait_us is None else call)
        return wait_s

    async def arrived(self) -> None:
        if not self._under_way:
            return
        call = self._under_way.popleft()
        if call is None:
            await self._own.arrived()
        else:
            await self._line.run(ARRIVED, self._keys, call)

    async def rest(self, seconds: float) -> None:
        await self._own.rest(seconds)
        await self._line.run(REST, self._keys[:1], max(1, int(seconds * 1000)))

    async def told(self, told: Told) -> None:
        await self._own.told(told)
        known = {key: limit for key, limit in self._limits.items() if limit.per_s == told.per_s}
        calls: str | int = told.calls if told.calls is not None and told.calls > 0 else ""
        for key, limit in known.items():
            words: tuple[str | int, ...] = (_us(limit.per_s), limit.calls, told.remaining, calls, self._line.call_id())
            await self._line.run(TOLD, [key, f"{key}:calls"], *words)
        if not known and told.remaining <= 0:
            await self.rest(told.per_s)


def _us(seconds: float) -> int:
    return round(seconds * _US)
