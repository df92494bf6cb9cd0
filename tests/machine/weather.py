"""What befalls a worker while it works: it is killed or cancelled at some point, somebody edits at another, a call
is never answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.records import AnyRecord, Customer, Kind, kind_of
from connectors.canon.values import ABSENT
from connectors.kit.contract import Outcome, Page, Write
from connectors.memory.faults import Call, Fault
from connectors.memory.journal import Put
from connectors.memory.state import Row
from connectors.memory.world import MemoryWorld
from tests.flows.rig import Vendor
from worker.store.database import Database, Unit

# Before the vendor looks at a call; after it answered a write; before a commit (which is lost) and after it.
End: TypeAlias = Literal["killed", "cancelled"]
Point: TypeAlias = Literal["call", "answered", "commit", "committed"]


class Killed(BaseException):
    """The process is gone. It is no Exception: nothing that tidies up after errors may see to it."""


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """How one run is disturbed. `dies_at`: it ends at the n-th point that it comes to; `edits_at`: somebody's edit
    comes before the n-th call that reaches a vendor."""

    end: End | None = None
    dies_at: int = 0
    edits_at: int | None = None


CALM = Storm()


class Weather:
    """Watches a worker's calls and commits, and lets a storm break."""

    def __init__(self) -> None:
        self._storm = CALM
        self._points = self._calls = 0
        self._task: asyncio.Task[None] | None = None
        self._edit: Callable[[], None] | None = None
        self.died: str | None = None

    def begin(self, storm: Storm, task: asyncio.Task[None], edit: Callable[[], None] | None) -> None:
        self._storm, self._task, self._edit = storm, task, edit
        self._points = self._calls = 0
        self.died = None

    def clear(self) -> None:
        self._storm, self._task, self._edit = CALM, None, None

    def reach(self, point: Point) -> None:
        """The worker came to a point; it may be its last. Raises Killed, or cancels."""
        if self._storm.end is None or self._task is None:
            return
        self._points += 1
        if self._points != self._storm.dies_at:
            return
        self.died = point
        if self._storm.end == "killed":
            raise Killed(point)
        self._task.cancel()

    def called(self, world: MemoryWorld, call: Call) -> None:
        """A call reached a vendor, which has not looked at it yet. What a person does between our last read of a
        record without a lock and the write of it is nobody's to see: that window is not drawn."""
        self._calls += 1
        seen = call.point != "write" or world.knobs.optimistic_lock
        if self._edit is not None and self._calls == self._storm.edits_at and seen:
            self._edit()
        self.reach("call")

    def unanswered(self, fault: Fault) -> None:
        """No answer will come: the client gives up."""
        if fault.what in ("hang", "stall") and self._task is not None:
            asyncio.get_running_loop().call_later(0.005, self._task.cancel)


class Stormy(Vendor):
    """The vendor of the flows, whose answers the weather watches, and whose feed may lag: its next page then tells
    the values from before the last change, as a search index does that was asked too early."""

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        outcomes = await super().write(writes, key)
        weather_of(self.world).reach("answered")
        return outcomes

    def _page(self, kind: Kind, rows: list[Row], turn: int, *, complete: bool) -> Page:
        page = super()._page(kind, rows, turn, complete=complete)
        past: dict[tuple[Kind, str], AnyRecord] = vars(self.world)["past"]
        if complete or not vars(self.world)["lags"]:
            return page
        old = tuple(past.get((kind, record.ref), record) for record in page.records)
        told = min((row.changed for row in rows), default=turn + 1) - 1
        vars(self.world)["lags"] = len(old) == 0
        return msgspec.structs.replace(page, records=old, gone=(), cursors={kind: str(told)}) if old else page


def weather_of(world: MemoryWorld) -> Weather:
    weather: Weather = vars(world)["weather"]
    return weather


def watch(world: MemoryWorld, weather: Weather) -> None:
    """Let a world tell the weather of its calls, and keep what its records said before their last change."""
    vars(world).update(weather=weather, past={}, lags=False)
    commit, take = world.commit, world.script.take

    def remember(entry: Any) -> None:
        if isinstance(entry, Put):
            where = (kind_of(entry.record), entry.record.ref)
            row = world.state.row(*where)
            if row is not None and row.gone is None:
                vars(world)["past"][where] = row.record
            entry = msgspec.structs.replace(entry, record=_whole(entry.record))
        commit(entry)

    def taken(call: Call) -> Fault | None:
        fault = take(call)
        if fault is not None:
            weather.unanswered(fault)
        return fault

    vars(world)["commit"] = remember
    vars(world.script)["take"] = taken
    world.hooks.append(weather.called)


def _whole(record: AnyRecord) -> AnyRecord:
    """This vendor tells of each field of a customer whether it is empty, also of one that was made without it."""
    if not isinstance(record, Customer):
        return record
    absent = {name: None for name in ("phone", "notes", "website") if getattr(record, name) is ABSENT}
    emails, addresses = {"general": None} | record.emails, {"billing": None} | record.addresses
    return msgspec.structs.replace(record, **absent, emails=emails, addresses=addresses)


def watch_database(db: Database, weather: Weather) -> None:
    """Let a database tell the weather of each unit that writes: before its commit, and after."""
    write = db.write

    @asynccontextmanager
    async def watched() -> AsyncIterator[Unit]:
        async with write() as tx:
            yield tx
            weather.reach("commit")
        weather.reach("committed")

    vars(db)["write"] = watched
