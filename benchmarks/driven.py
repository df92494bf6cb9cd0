"""The main job as a person drives it, through the house: connect, pair, preview, apply."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.accounts import Login
from connectors.registry import CONNECTORS
from worker.api import Api
from worker.api.views import PairView, PlanView, RunView
from worker.house import open_house
from worker.settings import WorkerSettings


class Failed(Exception):
    """A run did not end well; its words are the message."""


class Previewed(msgspec.Struct, frozen=True):
    """A preview's plan, and its seconds, pull included."""

    plan: PlanView
    seconds: float


class Applied(msgspec.Struct, frozen=True):
    """How many changes ended in which state, and the seconds of an apply."""

    states: Mapping[str, int]
    seconds: float


class Driver:
    """One pair, driven by its verbs."""

    def __init__(self, api: Api, pair: PairView) -> None:
        self._api, self._pair = api, pair

    async def preview(self) -> Previewed:
        started = time.perf_counter()
        run = await self._done(await self._api.ask(self._pair.id, "preview", "benchmark"))
        seconds = time.perf_counter() - started
        return Previewed(await self._api.plan(run.plan_id or ""), seconds)

    async def apply(self, plan: PlanView) -> Applied:
        started = time.perf_counter()
        run_id = await self._api.apply(plan.id, plan.fingerprint, "benchmark", confirm_held=True)
        run = await self._done(run_id)
        return Applied(run.outcome, time.perf_counter() - started)

    async def _done(self, run_id: str) -> RunView:
        run = await self._api.wait(run_id)
        if run.state != "done":
            raise Failed(f"the {run.what} ended {run.state}: {run.error}")
        return run


@asynccontextmanager
async def driving(folder: Path, logins: Mapping[str, Login] | None = None, mapping: str = "") -> AsyncIterator[Driver]:
    """A house over a data folder, its workers included, with these systems connected and paired; without any, with
    the pair that is there."""
    async with open_house(WorkerSettings(data=folder, database_url=None, redis_url=None), CONNECTORS) as house:
        api = Api(house)
        for system, login in (logins or {}).items():
            await api.connect(system, login.settings, login.token)
        pair = await api.pair(mapping, "benchmark.yaml", "benchmark") if logins else await api.find_pair(None)
        yield Driver(api, pair)
