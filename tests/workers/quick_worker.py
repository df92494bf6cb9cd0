"""`tieout worker` as it is started, but that a lease lasts three seconds and not fifteen, its owner is named by the
process's id, and a vendor takes 20 ms for a write."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bot.cli import main
from connectors.memory.connector import Memory
from worker import house
from worker.jobs import runner
from worker.store import runs

_write = Memory.write


async def _slowly(self: Memory, writes: Sequence[Any], key: str) -> Any:
    await asyncio.sleep(0.02)
    return await _write(self, writes, key)


if __name__ == "__main__":
    runs.LEASE, runner.RENEW_S = timedelta(seconds=3), 1.0
    house.new_id = lambda prefix: f"{prefix}_{os.getpid()}"  # type: ignore[attr-defined]  # it is imported there
    Memory.write = _slowly  # type: ignore[method-assign]  # the vendor's pace
    sys.argv = ["tieout", "worker", *sys.argv[1:]]
    main()
