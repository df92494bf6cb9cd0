"""A rotating refresh token is used by one process: the others find what it brought."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from connectors.kit.contract import Renew, Token
from connectors.kit.timers import SystemClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.workers.callers import Order, Place, call, called_apart, office_at
from tests.workers.conftest import RedisServer, log_in
from worker.budget import SharedBudgets
from worker.store.database import open_database
from worker.store.tables import connections, credentials
from worker.vault import StoredTokens


@pytest.fixture
async def expired(database_url: str, books: QuickBooksSandbox, key: str, redis: RedisServer) -> Place:
    """A connection whose token is over, at a vendor that changes the refresh token with each use."""
    place = await log_in(database_url, books, key, redis)
    books.rotate_every_refresh = True
    books.clock.advance(2 * 3600)
    return place


async def stored(place: Place) -> tuple[int, Any, str]:
    """(generation of the token, whose turn it is to renew it, state of the connection)."""
    db = open_database(place.database)
    async with db.read() as tx:
        joined = credentials.join(connections, connections.c.id == credentials.c.connection_id)
        columns = (credentials.c.generation, credentials.c.renewing_until, connections.c.state)
        (row,) = await tx.rows(select(*columns).select_from(joined))
    await db.close()
    return tuple(row)


async def test_three_processes_refresh_once(expired: Place, books: QuickBooksSandbox) -> None:
    """All find the token refused at the same moment; one refreshes, and the calls of all come back."""
    assert [3, 3, 3] == await called_apart([Order(expired, 3)] * 3)
    assert (1, (2, None, "live")) == (books.authority.refreshes, await stored(expired))


async def test_saboteur_without_the_row_each_refreshes(
    expired: Place, books: QuickBooksSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not ask the row uses a refresh token that another has used: it is refused, and a person has to log in
    again."""

    async def at_once(self: StoredTokens, stale: Token, renew: Renew) -> Token:
        return await self._renew(stale, 1, renew)

    monkeypatch.setattr(StoredTokens, "_renewed", at_once)
    budgets = [SharedBudgets(SystemClock()) for _ in range(2)]
    async with office_at(expired, budgets[0]) as one, office_at(expired, budgets[1]) as other:
        opened = [await office.connector(expired.connection) for office in (one, other)]
        ended = await asyncio.gather(*(call(c, 1) for c in opened), return_exceptions=True)
    assert (1, "Reconnect") == (ended.count(1), next(type(e).__name__ for e in ended if e != 1))


async def test_a_token_that_another_stored_after_the_look_is_not_renewed_again(
    expired: Place, books: QuickBooksSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the row and its mark another worker renewed: the mark is not given for the old token."""
    async with office_at(expired) as one, office_at(expired) as other:
        slow, quick = [await office.connector(expired.connection) for office in (one, other)]
        read = StoredTokens._read
        looks = []

        async def then_another_is_first(self: StoredTokens) -> tuple[Token, int]:
            found = await read(self)
            looks.append(found)
            if len(looks) == 2:  # the first was for the call, the second before the mark
                monkeypatch.setattr(StoredTokens, "_read", read)
                assert 1 == await call(quick, 1)
            return found

        monkeypatch.setattr(StoredTokens, "_read", then_another_is_first)
        assert 1 == await call(slow, 1)
    assert (1, (2, None, "live")) == (books.authority.refreshes, await stored(expired))
