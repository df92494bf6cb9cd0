"""The lanes of a house, with arq's part played."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from connectors.kit.timers import SystemClock
from worker import house as module


class Worker:
    """An arq worker whose Redis goes the first time that it runs."""

    started = 0
    works = asyncio.Event()

    async def async_run(self) -> None:
        Worker.started += 1
        if Worker.started == 1:
            raise ConnectionError("Redis is gone")
        self.works.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        return None


async def test_a_lane_whose_queue_was_lost_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second later another worker serves it, until the house closes."""
    Worker.works = asyncio.Event()
    monkeypatch.setattr(module, "_worker", lambda *_: Worker())
    rooms: Any = SimpleNamespace(db=None, vault=None, registry={}, office=SimpleNamespace(budgets=None))
    async with aiohttp.ClientSession() as session:
        lane = asyncio.create_task(module._supervised(rooms, session, SystemClock(), "bulk"))
        ended = asyncio.create_task(Worker.works.wait())
        await asyncio.wait([lane, ended], return_when=asyncio.FIRST_COMPLETED)
        assert (2, False) == (Worker.started, lane.done())
        lane.cancel()
        await asyncio.wait([lane])
        ended.cancel()
