"""A worker process of the real house, for tests that kill it or hold it up.

    python -m tests.crash.house_worker FOLDER DATABASE_URL REDIS_URL [POINT VISIT kill|hold]

At the `visit`-th time that it comes by the point it is killed, or held up until the file `go` is there; only the first
process of a folder that comes there is. When it takes a lease after somebody was killed, it notes the time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import structlog

from tests.crash.trap import Trap
from tests.crash.vendor import Mortal
from worker import crash
from worker.house import open_house
from worker.settings import WorkerSettings


class OneOf:
    """What the processes of a folder share: one of them is killed or held up, once."""

    def __init__(self, folder: Path, point: str, visit: int, what: str) -> None:
        self._folder, self._point, self._visit, self._what = folder, point, visit, what
        self._visits: Counter[str] = Counter()

    def __call__(self, point: str) -> None:
        self._visits[point] += 1
        if point == "lease.taken" and (self._folder / "killed").exists():
            self._note("resumed")
        if (
            point == self._point
            and self._visits[point] == self._visit
            and self._note("killed" if self._what == "kill" else "held")
        ):
            self._stop()

    def _note(self, name: str) -> bool:
        """Write down the time under a name; False: somebody did before."""
        try:
            file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        os.write(file, repr(time.time()).encode())
        os.close(file)
        return True

    def _stop(self) -> None:
        if self._what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while not (self._folder / "go").exists():
            time.sleep(0.02)


async def main() -> None:
    folder, database, redis = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if len(sys.argv) > 4:
        crash.arm(OneOf(folder, sys.argv[4], int(sys.argv[5]), sys.argv[6]))
    Mortal.trap = Trap(None)
    settings = WorkerSettings(data=folder, database_url=database, redis_url=redis)
    async with open_house(settings, {"memory": Mortal}):
        (folder / f"ready-{os.getpid()}").touch()
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    asyncio.run(main())
