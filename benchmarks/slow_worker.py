"""`tieout worker`, where the pretend vendor takes BENCHMARK_WRITE_S seconds for a write call, as real ones do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

from bot.cli import main
from connectors.memory.connector import Memory

_write = Memory.write


async def _slowly(self: Memory, writes: Sequence[Any], key: str) -> Any:
    await asyncio.sleep(float(os.environ["BENCHMARK_WRITE_S"]))
    return await _write(self, writes, key)


if __name__ == "__main__":
    Memory.write = _slowly  # type: ignore[method-assign]  # the vendor's pace
    sys.argv = ["tieout", "worker"]
    main()
