"""Long work in turns with whoever else uses the loop: leases are renewed and buttons heard while a plan is drawn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 100  # records, of which each takes less than a millisecond


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; the others' turn comes after each hundred."""
    for number, item in enumerate(items):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        yield item
