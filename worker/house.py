"""The house: store, queue, vault and workers put together, for one process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import structlog
from arq.connections import RedisSettings
from arq.worker import Function, Worker, func

from connectors.kit.contract import Clock, Connector
from connectors.kit.timers import SystemClock
from worker.jobs import runner
from worker.jobs.sweeper import sweep
from worker.outside import new_id
from worker.queue import LANES, EmbeddedRedis, FolderLock, Queue, decode, encode, from_url, queue_name
from worker.settings import WorkerSettings
from worker.store.database import Database, open_database
from worker.store.migrate import upgrade
from worker.store.runs import Lane
from worker.usecases.office import Office
from worker.vault import Vault, load_keys

JOB_TIMEOUT_S = runner.SLICE_S + 120 + 15  # the slice, the longest call deadline of any vendor, and air
log = structlog.get_logger()


class House:
    """What a process has: the store, the vault, the queue, and an office for direct use."""

    def __init__(
        self,
        settings: WorkerSettings,
        db: Database,
        vault: Vault,
        queue: Queue,
        office: Office,
        registry: Mapping[str, type[Connector]],
        *,
        serves: bool,
    ) -> None:
        self.settings, self.db, self.vault, self.queue, self.office = settings, db, vault, queue, office
        self.registry, self.serves = registry, serves


@contextlib.asynccontextmanager
async def open_house(
    settings: WorkerSettings,
    registry: Mapping[str, type[Connector]],
    clock: Clock | None = None,
    *,
    work: bool = True,
) -> AsyncIterator[House]:
    """Open everything; with `work`, run the workers too. With the embedded default one process serves a data
    folder; others are its clients and leave the work to it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(settings.data)
    embedded = EmbeddedRedis(settings.data)
    clock = clock if clock is not None else SystemClock()
    try:
        redis = await _redis(settings, lock, embedded)
        await upgrade(settings.database)
        db = open_database(settings.database)
        vault = Vault(load_keys(settings.key, settings.data / "key"))
        queue = Queue(redis)
        serves = work and (lock.taken or not settings.embedded)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:
            office = Office(db=db, vault=vault, registry=registry, session=session, clock=clock)
            house = House(settings, db, vault, queue, office, registry, serves=serves)
            try:
                if serves:
                    async with working(house, session, clock):
                        yield house
                else:
                    yield house
            finally:
                await office.close()
                await queue.close()
                await db.close()
    finally:
        if settings.embedded and lock.taken:
            await embedded.stop()
        lock.release()


async def _redis(settings: WorkerSettings, lock: FolderLock, embedded: EmbeddedRedis) -> RedisSettings:
    if settings.redis_url is not None:
        return from_url(settings.redis_url)
    if lock.taken:
        return await embedded.start()
    for _ in range(50):
        known = embedded.known()
        if known is not None:
            return known
        await asyncio.sleep(0.1)
    raise FolderBusy(f"another Tieout uses {settings.data} and is just starting or stopping: try again")


class FolderBusy(Exception):
    """Another process holds the data folder."""


@contextlib.asynccontextmanager
async def working(
    house: House, session: aiohttp.ClientSession, clock: Clock, lanes: tuple[Lane, ...] = LANES
) -> AsyncIterator[None]:
    """Workers for some lanes, and the sweeper, until the block ends."""
    tasks = [asyncio.create_task(_supervised(house, session, clock, lane), name=f"lane {lane}") for lane in lanes]
    tasks.append(asyncio.create_task(sweep(house.db, house.queue), name="sweeper"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(house: House, session: aiohttp.ClientSession, clock: Clock, lane: Lane) -> None:
    """One lane's arq worker; started again when Redis was lost and it ended."""
    while True:
        office = Office(
            db=house.db, vault=house.vault, registry=house.registry, session=session, clock=clock, lane=lane
        )
        worker = _worker(house, office, lane)
        try:
            await worker.async_run()
        except asyncio.CancelledError:
            await _close(worker, office)
            raise
        except (OSError, RuntimeError, ConnectionError) as error:
            log.warning("worker.lost_queue", lane=lane, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001  # redis-py raises its own base error here; a lane must come back
            log.warning("worker.ended", lane=lane, error=type(error).__name__)
        await _close(worker, office)
        await asyncio.sleep(1)


async def _close(worker: Worker, office: Office) -> None:
    with contextlib.suppress(Exception):
        await worker.close()
    await office.close()


def _worker(house: House, office: Office, lane: Lane) -> Worker:
    name = new_id("wk")

    async def advance(ctx: dict[Any, Any], run_id: str) -> None:
        await runner.advance(office, run_id, name)

    functions: list[Function] = [func(advance, name="advance", keep_result=0, max_tries=1, timeout=JOB_TIMEOUT_S)]
    return Worker(
        functions,
        queue_name=queue_name(lane),
        redis_settings=house.queue.settings,
        job_serializer=encode,
        job_deserializer=decode,
        handle_signals=False,
        poll_delay=0.05,
        keep_result=0,
        max_jobs=4,
        health_check_interval=60,
        log_results=False,
    )
