"""What happens at a named point: visits are counted, and at one of them the process dies, or its job is cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from typing import Literal, TypeAlias

import msgspec

How: TypeAlias = Literal["kill", "cancel"]
VENDOR_POINTS: dict[str, str] = {
    "vendor.sent": "the call is on its way: it lands at the vendor a minute after the worker is gone",
    "vendor.half": "the vendor has carried out the first half of a batch",
    "vendor.done": "the vendor has carried out the call, and its answer is lost with the worker",
}


class Stop(msgspec.Struct, frozen=True):
    """Where a process ends: the `visit`-th time that it comes by the point."""

    point: str
    visit: int = 1
    how: How = "kill"

    def __str__(self) -> str:
        return f"{self.how} at {self.point} #{self.visit}"


class Trap:
    """Counts every visit; at `stop` it ends the process, or cancels `task` as arq does when a job takes too long."""

    def __init__(self, stop: Stop | None) -> None:
        self.stop = stop
        self.visits: Counter[str] = Counter()
        self.over = False
        self.task: asyncio.Task[object] | None = None

    def __call__(self, point: str) -> None:
        if self.over:
            return
        next_is = self.is_next(point)
        self.visits[point] += 1
        if not next_is or self.stop is None:
            return
        if self.stop.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.task is not None:
            self.task.cancel()

    def disarm(self) -> None:
        """From now on nothing is counted, and nobody dies."""
        self.stop, self.over = None, True

    def is_next(self, point: str) -> bool:
        """Whether the process ends when it comes by this point now."""
        stop = self.stop
        return stop is not None and stop.point == point and stop.visit == self.visits[point] + 1
