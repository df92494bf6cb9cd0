"""A HubSpot sandbox on loopback, and connectors that speak to it over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from connectors.hubspot import HubSpot
from connectors.hubspot.sandbox import HubSpotSandbox
from connectors.kit.contract import Deps, Token
from connectors.kit.oauth import MemoryTokens
from connectors.kit.sandbox import VirtualClock

Open = Callable[..., HubSpot]


class Tally:
    """Counts calls by operation."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()

    def count(self, operation: str, *, write: bool) -> None:
        (self.writes if write else self.reads)[operation] += 1

    def clear(self) -> None:
        self.reads.clear()
        self.writes.clear()


@pytest.fixture
async def portal() -> AsyncIterator[HubSpotSandbox]:
    """An empty account whose clock stands still and whose search sees a change five seconds later."""
    async with HubSpotSandbox(VirtualClock(fixed=True)) as sandbox:
        yield sandbox


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
async def open_hubspot(portal: HubSpotSandbox, tally: Tally) -> AsyncIterator[Open]:
    """Opens connectors of the account: `open_hubspot(customers="both")`."""
    async with aiohttp.ClientSession() as session:

        def opened(token: Token | None = None, **settings: str) -> HubSpot:
            access = next(iter(portal.portal.account.private_tokens))
            deps = Deps(
                session=session,
                tokens=MemoryTokens(token if token is not None else Token(access=access)),
                clock=portal.clock,
                calls=tally,
            )
            return HubSpot.open({"base_url": portal.url, **settings}, deps)

        yield opened
