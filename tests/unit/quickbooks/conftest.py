"""The connector in front of the QuickBooks sandbox, over HTTP on loopback, on a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from quickbooks_world import START, CountedCalls, World, token_of

from connectors.kit.contract import Deps
from connectors.kit.oauth import MemoryTokens
from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksSandbox


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = VirtualClock(START, fixed=True)
    sandbox = QuickBooksSandbox(clock)
    await sandbox.start()
    async with aiohttp.ClientSession() as session:
        calls = CountedCalls()
        deps = Deps(session=session, tokens=MemoryTokens(token_of(sandbox)), clock=clock, calls=calls)
        world = World(sandbox, deps, calls, None)  # type: ignore[arg-type]  # the connector needs the world's settings
        world.books = world.another()
        yield world
    await sandbox.stop()
