"""A company and a caller over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from connectors.kit.sandbox import VirtualClock
from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.unit.quickbooks_sandbox.qbo_caller import NOW, Caller


@pytest.fixture
def books() -> QuickBooksSandbox:
    """A US company, without rate limits, where time stands still."""
    return QuickBooksSandbox(VirtualClock(NOW, fixed=True), limits=False)


@pytest.fixture
async def caller(books: QuickBooksSandbox) -> AsyncIterator[Caller]:
    async with books, aiohttp.ClientSession() as session:
        yield Caller(books, session)
