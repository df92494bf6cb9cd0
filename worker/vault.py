"""Secrets at rest: MultiFernet over keys from the environment or a file that only its owner can read."""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
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
from worker.crash import crash
from worker.store.database import Database
from worker.store.tables import connections, credentials

RENEWING = timedelta(seconds=40)


class WrongKey(Reconnect):
    """The stored secrets were not sealed with any key that is known here. Nothing is lost: with the right key, or
    after connecting again, held work goes on."""

    next_step = "Put back the key of that time (TIEOUT_KEY, or the file key in the data folder), or connect again."


class BadKey(Exception):
    """What should be a key is none."""


class LooseKeyFile(Exception):
    """Others can read the key file."""


# --------------------------------------------------------------------------- keys


def load_keys(given: str | None, path: Path) -> list[str]:
    """The keys, newest first: `given` (comma-separated) or the file, which is made with mode 0600 if it is not
    there. Raises LooseKeyFile if somebody else may read it, BadKey if there is something else in it."""
    if given is not None:
        return _checked([key.strip() for key in given.split(",") if key.strip()], "TIEOUT_KEY")
    if not path.exists():
        write_keys(path, [new_key()])
    return read_keys(path)


def read_keys(path: Path) -> list[str]:
    """The keys of a file that is there, newest first."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise LooseKeyFile(f"{path} can be read by others: chmod 600 {path}")
    return _checked(path.read_text().split(), str(path))


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """Replace the file in one step: whoever reads it sees the old keys or the new ones, and only its owner can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def new_key() -> str:
    return Fernet.generate_key().decode()


def _checked(keys: list[str], where: str) -> list[str]:
    for key in keys:
        try:
            Fernet(key)
        except ValueError:
            raise BadKey(f"{where} holds something that is no encryption key") from None
    if not keys:
        raise BadKey(f"{where} holds no encryption key")
    return keys


class Vault:
    """Encrypts with the first key, decrypts with any. `source` reads the keys again: another process may have
    put a new one first."""

    def __init__(self, keys: Sequence[str], source: Callable[[], Sequence[str]] | None = None) -> None:
        self._source = source
        self._take(keys)

    def _take(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def _look_again(self) -> bool:
        """Whether there are other keys than a moment ago. A file that is gone or unreadable changes nothing."""
        if self._source is None:
            return False
        try:
            keys = tuple(self._source())
        except (OSError, BadKey, LooseKeyFile):
            return False
        if keys == self._keys:
            return False
        self._take(keys)
        return True

    def seal(self, token: Token) -> bytes:
        self._look_again()
        return self._fernet.encrypt(msgspec.json.encode(token))

    def open(self, secret: bytes) -> Token:
        return msgspec.json.decode(self._opened(secret), type=Token)

    def _opened(self, secret: bytes) -> bytes:
        try:
            return self._fernet.decrypt(secret)
        except InvalidToken:
            if self._look_again():
                return self._opened(secret)
            raise WrongKey("a stored login cannot be opened: the encryption key is another one") from None

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """A key for another purpose from each of the vault's keys, newest first (HKDF, RFC 5869)."""
        return tuple(
            HKDF(hashes.SHA256(), 32, salt=None, info=purpose.encode()).derive(urlsafe_b64decode(key))
            for key in self._keys
        )

    def opens(self, secret: bytes) -> bool:
        """Whether one of the keys fits."""
        try:
            self._opened(secret)
        except WrongKey:
            return False
        return True

    def is_newest(self, secret: bytes) -> bool:
        """Whether it is sealed with the first key already."""
        try:
            Fernet(self._keys[0]).decrypt(secret)
        except InvalidToken:
            return False
        return True

    def rotate(self, secret: bytes) -> bytes:
        """The same secret under the first key. Raises WrongKey."""
        try:
            return self._fernet.rotate(secret)
        except InvalidToken:
            raise WrongKey("a stored login cannot be opened: the encryption key is another one") from None


# --------------------------------------------------------------------------- tokens


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
            self._cached, _ = await self._read()
        return self._cached

    def forget(self) -> None:
        """Read the row again before the next call: somebody may have connected anew."""
        self._cached = None

    async def _read(self) -> tuple[Token, int]:
        """The stored token, and which generation of it this is."""
        asked = select(credentials.c.secret, credentials.c.generation).where(credentials.c.connection_id == self._id)
        async with self._db.read() as tx:
            row = await tx.first(asked)
        if row is None:
            raise Reconnect("this account was never connected, or was disconnected")
        return self._vault.open(row["secret"]), row["generation"]

    async def renewed(self, stale: Token, renew: Renew) -> Token:
        async with self._lock:  # one caller of this process asks the row; the others find its answer
            if self._cached is not None and self._cached.access != stale.access:
                return self._cached
            self._cached = await self._renewed(stale, renew)
            return self._cached

    async def _renewed(self, stale: Token, renew: Renew) -> Token:
        for _ in range(200):
            stored, generation = await self._read()
            if stored.access != stale.access:
                return stored
            if await self._mark(generation):
                crash("token.marked")
                return await self._renew(stored, generation, renew)
            await self._sleep(0.25)
        raise TryLater("another worker is renewing the login and does not come back", wait_s=30)

    async def _mark(self, generation: int) -> bool:
        """Take the mark, if this is still the token: another worker may have stored the next one since it was read."""
        async with self._db.write() as tx:
            now = await tx.now()
            result = await tx.run(
                update(credentials)
                .where(
                    credentials.c.connection_id == self._id,
                    credentials.c.generation == generation,
                    or_(credentials.c.renewing_until.is_(None), credentials.c.renewing_until < now),
                )
                .values(renewing_until=now + RENEWING)
            )
            return bool(result.rowcount)

    async def _renew(self, stored: Token, generation: int, renew: Renew) -> Token:
        """Ask and store, to the end even if the caller is cancelled meanwhile: a login that rotates would be lost."""
        task = asyncio.ensure_future(self._asked_and_stored(stored, generation, renew))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # it is in the store, or marked there; who was cancelled needs no more of it
            raise

    async def _asked_and_stored(self, stored: Token, generation: int, renew: Renew) -> Token:
        try:
            fresh = await renew(stored)
        except Reconnect:
            await self._unmark(generation, state="reconnect")
            raise
        except BaseException:
            await self._unmark(generation)
            raise
        crash("token.answered")
        await save_token(self._db, self._vault, self._id, fresh)
        return fresh

    async def _unmark(self, generation: int, state: str | None = None) -> None:
        """Give the mark back, unless somebody connected anew meanwhile: that login is not the one that failed."""
        mine = (credentials.c.connection_id == self._id, credentials.c.generation == generation)
        async with self._db.write() as tx:
            result = await tx.run(update(credentials).where(*mine).values(renewing_until=None))
            if state is not None and result.rowcount:
                await tx.run(update(connections).where(connections.c.id == self._id).values(state=state))


async def save_token(db: Database, vault: Vault, connection_id: str, token: Token) -> None:
    """Store a token before anybody uses it. It is sealed after the table was read in the same transaction: whoever
    rotates keys locks the table, and so knows that nobody is sealing with the old one."""
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
        crash("token.stored")
    crash("token.committed")
