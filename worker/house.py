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
from sqlalchemy import select

from connectors.kit.contract import Clock, Connector
from connectors.kit.timers import SystemClock
from worker.budget import SharedBudgets
from worker.jobs import runner
from worker.jobs.sweeper import sweep
from worker.outside import new_id
from worker.queue import (
    LANES,
    EmbeddedRedis,
    FolderLock,
    NoRedis,
    Queue,
    decode,
    encode,
    from_url,
    queue_name,
    reachable,
)
from worker.settings import WorkerSettings
from worker.store.database import Database, open_database
from worker.store.migrate import upgrade
from worker.store.runs import Lane
from worker.store.tables import credentials
from worker.usecases.office import Office
from worker.vault import Vault, WrongKey, load_keys, read_keys

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
        if work and settings.redis_url is not None:
            await require_redis(redis)
        await upgrade(settings.database)
        db = open_database(settings.database)
        vault = await open_vault(settings, db)
        queue = Queue(redis)
        serves = work and (lock.taken or not settings.embedded)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:
            budgets = SharedBudgets(clock, redis)
            office = Office(db=db, vault=vault, registry=registry, session=session, clock=clock, budgets=budgets)
            house = House(settings, db, vault, queue, office, registry, serves=serves)
            try:
                if serves:
                    async with working(house, session, clock):
                        yield house
                else:
                    yield house
            finally:
                await office.close()
                await budgets.close()
                await queue.close()
                await db.close()
    finally:
        if settings.embedded and lock.taken:
            await embedded.stop()
        lock.release()


async def open_vault(settings: WorkerSettings, db: Database) -> Vault:
    """The vault with this installation's keys. Raises WrongKey if the key file is gone while logins are stored: a new
    key would not open them. Logins that the keys do not open are warned of; each says so again when it is used."""
    path = settings.data / "key"
    async with db.read() as tx:
        sealed = [bytes(row[0]) for row in await tx.rows(select(credentials.c.secret))]
    if settings.key is None and sealed and not path.exists():
        raise WrongKey(f"the key file {path} is gone, and {len(sealed)} stored logins are sealed with it")
    vault = Vault(load_keys(settings.key, path), None if settings.key is not None else lambda: read_keys(path))
    shut = sum(not vault.opens(secret) for secret in sealed)
    if shut:
        log.warning("vault.wrong_key", logins=shut, of=len(sealed), do=WrongKey.next_step)
    return vault


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


async def require_redis(redis: RedisSettings) -> None:
    """For whoever is to work: raises NoRedis if it does not answer. One that goes away later is waited for."""
    if not await reachable(redis):
        raise NoRedis("The Redis of TIEOUT_REDIS_URL does not answer, so no work can be handed out")


class FolderBusy(Exception):
    """Another process holds the data folder."""


@contextlib.asynccontextmanager
async def working(
    house: House, session: aiohttp.ClientSession, clock: Clock, lanes: tuple[Lane, ...] = LANES
) -> AsyncIterator[None]:
    """Workers for some lanes, and the sweeper, until the block ends."""
    tasks = [asyncio.create_task(_supervised(house, session, clock, lane), name=f"lane {lane}") for lane in lanes]
    sweeping = sweep(house.db, house.queue, house.settings.verify_a_day, house.registry)
    tasks.append(asyncio.create_task(sweeping, name="sweeper"))
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
            db=house.db,
            vault=house.vault,
            registry=house.registry,
            session=session,
            clock=clock,
            lane=lane,
            budgets=house.office.budgets,
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
        for next_id, its_lane in await runner.advance(office, run_id, name):
            await house.queue.wake(next_id, its_lane)

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
