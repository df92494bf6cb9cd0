"""Secrets at rest: MultiFernet over keys from the environment or a file that only its owner can read."""

from __future__ import annotations

import asyncio
import os
import stat
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import or_, select, update

from connectors.kit.contract import Renew, Token
from connectors.kit.errors import Reconnect, TryLater
from worker.store.database import Database
from worker.store.tables import connections, credentials

RENEWING = timedelta(seconds=40)


class WrongKey(Exception):
    """The stored secrets were not encrypted with this key."""


class LooseKeyFile(Exception):
    """Others can read the key file."""


def load_keys(given: str | None, path: Path) -> list[str]:
    """The keys, newest first: `given` (comma-separated) or the file, which is made with mode 0600 if it is not
    there. Raises LooseKeyFile if somebody else may read it."""
    if given is not None:
        return [key.strip() for key in given.split(",") if key.strip()]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise LooseKeyFile(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text().split()


class Vault:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._keys = tuple(keys)

    def seal(self, token: Token) -> bytes:
        return self._fernet.encrypt(msgspec.json.encode(token))

    def open(self, secret: bytes) -> Token:
        try:
            return msgspec.json.decode(self._fernet.decrypt(secret), type=Token)
        except InvalidToken:
            raise WrongKey("the encryption key does not fit the stored credentials") from None

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """A key for another purpose from each of the vault's keys, newest first (HKDF, RFC 5869)."""
        return tuple(
            HKDF(hashes.SHA256(), 32, salt=None, info=purpose.encode()).derive(urlsafe_b64decode(key))
            for key in self._keys
        )

    def rotate(self, secret: bytes) -> bytes:
        """The same secret under the first key."""
        return self._fernet.rotate(secret)


class StoredTokens:
    """A connection's token in the database. Whoever finds it stale takes the row's renewing mark; others wait for
    the new one. A mark older than its time was left by a worker that died: for a rotating token its answer is
    lost, so the vendor decides at the next try whether the old one still works."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        connection_id: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._db, self._vault, self._id, self._sleep = db, vault, connection_id, sleep
        self._cached: Token | None = None
        self._lock = asyncio.Lock()

    async def current(self) -> Token:
        if self._cached is None:
            self._cached = await self._read()
        return self._cached

    def forget(self) -> None:
        """Read the row again before the next call: somebody may have connected anew."""
        self._cached = None

    async def _read(self) -> Token:
        async with self._db.read() as tx:
            secret = await tx.scalar(select(credentials.c.secret).where(credentials.c.connection_id == self._id))
        if secret is None:
            raise Reconnect("this account was never connected, or was disconnected")
        return self._vault.open(secret)

    async def renewed(self, stale: Token, renew: Renew) -> Token:
        async with self._lock:  # one caller of this process asks the row; the others find its answer
            if self._cached is not None and self._cached.access != stale.access:
                return self._cached
            self._cached = await self._renewed(stale, renew)
            return self._cached

    async def _renewed(self, stale: Token, renew: Renew) -> Token:
        for _ in range(200):
            stored = await self._read()
            if stored.access != stale.access:
                return stored
            if await self._mark():
                return await self._renew(stored, renew)
            await self._sleep(0.25)
        raise TryLater("another worker is renewing the login and does not come back", wait_s=30)

    async def _mark(self) -> bool:
        async with self._db.write() as tx:
            now = await tx.now()
            result = await tx.run(
                update(credentials)
                .where(
                    credentials.c.connection_id == self._id,
                    or_(credentials.c.renewing_until.is_(None), credentials.c.renewing_until < now),
                )
                .values(renewing_until=now + RENEWING)
            )
            return bool(result.rowcount)

    async def _renew(self, stored: Token, renew: Renew) -> Token:
        try:
            fresh = await renew(stored)
        except Reconnect:
            await self._unmark(state="reconnect")
            raise
        except BaseException:
            await self._unmark()
            raise
        await save_token(self._db, self._vault, self._id, fresh)
        return fresh

    async def _unmark(self, state: str | None = None) -> None:
        async with self._db.write() as tx:
            await tx.run(update(credentials).where(credentials.c.connection_id == self._id).values(renewing_until=None))
            if state is not None:
                await tx.run(update(connections).where(connections.c.id == self._id).values(state=state))


async def save_token(db: Database, vault: Vault, connection_id: str, token: Token) -> None:
    """Store a token before anybody uses it."""
    async with db.write() as tx:
        known = await tx.scalar(select(credentials.c.generation).where(credentials.c.connection_id == connection_id))
        row = {
            "connection_id": connection_id,
            "secret": vault.seal(token),
            "generation": (known or 0) + 1,
            "renewing_until": None,
            "renewed_at": await tx.now(),
        }
        await tx.run(tx.upsert(credentials), [row])
