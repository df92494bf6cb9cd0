"""Several processes of one installation: a Redis that they share, QuickBooks' sandbox over HTTP, and a database where
an account is connected."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from arq import create_pool
from arq.connections import RedisSettings
from cryptography.fernet import Fernet

from connectors.kit.contract import Token
from connectors.quickbooks.sandbox import QuickBooksSandbox
from tests.workers.callers import Place
from worker.queue import from_url, redis_binary
from worker.store import connections
from worker.store.database import open_database
from worker.vault import Vault, save_token


class RedisServer:
    """A redis-server of the test's own, on a socket, that can be killed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tieout-")  # a socket's path must be short
        self.url = f"unix://{self._folder.name}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> RedisSettings:
        return from_url(self.url)

    def start(self) -> None:
        socket = Path(self._folder.name) / "redis.sock"
        words = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [redis_binary(), *words, "--dir", self._folder.name], stdout=subprocess.DEVNULL, start_new_session=True
        )
        while not socket.exists():
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            (Path(self._folder.name) / "redis.sock").unlink(missing_ok=True)
            self._process = None

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def _redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
async def redis(_redis: RedisServer) -> RedisServer:
    """A running Redis that knows nothing."""
    pool = await create_pool(_redis.settings)
    await pool.flushall()
    await pool.aclose()
    return _redis


@pytest.fixture
def key() -> str:
    return Fernet.generate_key().decode()


@pytest.fixture
async def books() -> AsyncIterator[QuickBooksSandbox]:
    """QuickBooks with its limits: 10 calls a second."""
    async with QuickBooksSandbox() as sandbox:
        yield sandbox


async def log_in(database_url: str, books: QuickBooksSandbox, key: str, redis: RedisServer) -> Place:
    """The account in a database, as a person has just logged in."""
    db = open_database(database_url)
    told = books.token()
    settings = {
        "realm_id": books.realm,
        "base_url": books.url,
        "token_url": books.url + "/oauth2/v1/tokens/bearer",
        "authorize_url": books.url + "/connect/oauth2",
    }
    token = Token(
        access=told["access_token"],
        refresh=told["refresh_token"],
        expires_at=books.clock.now() + timedelta(hours=1),
        client_id=books.authority.client_id,
        client_secret=books.authority.client_secret,
    )
    async with db.write() as tx:
        connection = await connections.save_connection(tx, "quickbooks", books.realm, "Books", settings)
    await save_token(db, Vault([key]), connection, token)
    await db.close()
    return Place(database=database_url, key=key, redis=redis.url, connection=connection)


@pytest.fixture
async def connected(
    sqlite_template: Path, tmp_path: Path, books: QuickBooksSandbox, key: str, redis: RedisServer
) -> Place:
    """QuickBooks, connected in a database of this test's own."""
    shutil.copyfile(sqlite_template, tmp_path / "tieout.db")
    return await log_in(f"sqlite+aiosqlite:///{tmp_path / 'tieout.db'}", books, key, redis)
