"""Secrets at rest, and one renewal of a login however many need it."""

from __future__ import annotations

import asyncio
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from connectors.kit.contract import Token
from connectors.kit.errors import Reconnect, TryLater
from tests.store.conftest import Place
from worker.store import connections
from worker.store.database import Database, open_database
from worker.store.tables import credentials
from worker.vault import LooseKeyFile, StoredTokens, Vault, WrongKey, load_keys, save_token

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = Token(access="at-1", refresh="rt-1", client_secret="s3cret")


# --------------------------------------------------------------------------- keys


def test_a_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 from the first moment; the same key the next time."""
    path = tmp_path / "new" / "key"
    first = load_keys(None, path)
    assert (0o600, 1) == (stat.S_IMODE(path.stat().st_mode), len(first))
    assert first == load_keys(None, path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With what to type."""
    path = tmp_path / "key"
    load_keys(None, path)
    path.chmod(mode)
    with pytest.raises(LooseKeyFile, match=f"chmod 600 {path}"):
        load_keys(None, path)


def test_keys_from_the_environment_win_and_leave_no_file(tmp_path: Path) -> None:
    """Newest first, separated by commas."""
    assert [NEW, OLD] == load_keys(f" {NEW}, {OLD} ", tmp_path / "key")
    assert not (tmp_path / "key").exists()


def test_a_new_key_reads_old_secrets_and_seals_under_the_new(tmp_path: Path) -> None:
    """Rotation: both keys while secrets are sealed anew, then the new one alone."""
    sealed = Vault([OLD]).seal(TOKEN)
    both = Vault([NEW, OLD])
    rotated = both.rotate(sealed)
    assert [TOKEN, TOKEN, TOKEN] == [both.open(sealed), both.open(rotated), Vault([NEW]).open(rotated)]
    with pytest.raises(WrongKey):
        Vault([NEW]).open(sealed)


def test_a_sealed_token_shows_nothing() -> None:
    """Neither sealed nor printed."""
    sealed = Vault([NEW]).seal(TOKEN)
    assert not any(secret in sealed + repr(TOKEN).encode() for secret in (b"at-1", b"rt-1", b"s3cret"))


# --------------------------------------------------------------------------- one renewal


class Vendor:
    """A vendor whose refresh token works once."""

    def __init__(self) -> None:
        self.valid, self.renewals = "rt-1", 0

    async def renew(self, token: Token) -> Token:
        await asyncio.sleep(0.02)
        if token.refresh != self.valid:
            raise Reconnect("the refresh token was used before")
        self.renewals += 1
        self.valid = f"rt-{self.renewals + 1}"
        return Token(access=f"at-{self.renewals + 1}", refresh=self.valid)


async def tokens(db: Database, place: Place) -> StoredTokens:
    vault = Vault([NEW])
    async with db.read() as tx:
        known = await tx.scalar(select(credentials.c.secret).where(credentials.c.connection_id == place.crm))
    if known is None:
        await save_token(db, vault, place.crm, TOKEN)
    return StoredTokens(db, vault, place.crm)


async def test_two_processes_renew_once(db: Database, place: Place) -> None:
    """Each with its own connection to the database and its own memory; the row decides who asks the vendor."""
    other = open_database(db.engine.url.render_as_string(hide_password=False))
    try:
        vendor = Vendor()
        both = [await tokens(db, place), await tokens(other, place)]
        found = await asyncio.gather(*(one.renewed(TOKEN, vendor.renew) for one in both for _ in range(5)))
    finally:
        await other.close()
    assert (1, {"at-2"}) == (vendor.renewals, {token.access for token in found})


async def test_saboteur_without_the_row_a_rotating_token_is_used_twice(db: Database, place: Place) -> None:
    """Two that renew for themselves: the second is told to reconnect."""
    vendor = Vendor()
    results = await asyncio.gather(vendor.renew(TOKEN), vendor.renew(TOKEN), return_exceptions=True)
    assert 1 == sum(isinstance(result, Reconnect) for result in results)


async def test_the_new_token_is_stored_before_it_is_used(db: Database, place: Place) -> None:
    """When the caller has it, the database has it too, sealed."""
    mine = await tokens(db, place)
    fresh = await mine.renewed(TOKEN, Vendor().renew)
    async with db.read() as tx:
        row = (await tx.all(select(credentials)))[0]
    assert (fresh, None, 2) == (Vault([NEW]).open(row["secret"]), row["renewing_until"], row["generation"])


async def test_a_caller_that_is_cancelled_does_not_lose_the_renewed_login(db: Database, place: Place) -> None:
    """The vendor has ended the old one by then: the answer is waited for and stored, whoever gave up."""
    mine, vendor, asked = await tokens(db, place), Vendor(), asyncio.Event()

    async def slowly(stale: Token) -> Token:
        asked.set()
        await asyncio.sleep(0.05)
        return await vendor.renew(stale)

    caller = asyncio.create_task(mine.renewed(TOKEN, slowly))
    await asked.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert "at-2" == (await (await tokens(db, place)).current()).access


async def test_a_refused_renewal_asks_for_a_login(db: Database, place: Place) -> None:
    """The connection says so, and a later try is not blocked by this one."""
    mine, vendor = await tokens(db, place), Vendor()
    vendor.valid = "another"
    for _ in range(2):
        with pytest.raises(Reconnect):
            await mine.renewed(TOKEN, vendor.renew)
    async with db.read() as tx:
        assert "reconnect" == (await connections.get_connection(tx, place.crm)).state


async def test_a_worker_that_died_while_renewing_is_waited_for_and_then_replaced(db: Database, place: Place) -> None:
    """Its mark holds for forty seconds; then somebody else asks, and the vendor decides."""
    mine, vendor = await tokens(db, place), Vendor()
    assert await mine._mark(1)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        db.shift += timedelta(seconds=seconds)

    patient = StoredTokens(db, Vault([NEW]), place.crm, sleep)
    assert "at-2" == (await patient.renewed(TOKEN, vendor.renew)).access
    assert 39 < sum(waits) < 45


async def test_a_worker_that_renews_for_ever_makes_others_try_later(db: Database, place: Place) -> None:
    """They do not hang."""
    mine = await tokens(db, place)

    async def stuck(seconds: float) -> None:
        await asyncio.sleep(0)

    await mine._mark(1)
    with pytest.raises(TryLater):
        await StoredTokens(db, Vault([NEW]), place.crm, stuck).renewed(TOKEN, Vendor().renew)


async def test_connecting_anew_is_noticed(db: Database, place: Place) -> None:
    """A token that a person pasted while a worker had the old one in memory is used from its next run on."""
    mine = await tokens(db, place)
    assert "at-1" == (await mine.current()).access
    await save_token(db, Vault([NEW]), place.crm, Token(access="pasted"))
    mine.forget()
    assert "pasted" == (await mine.current()).access


async def test_never_connected_is_reconnect(db: Database, place: Place) -> None:
    """In words, not as a missing row."""
    with pytest.raises(Reconnect):
        await StoredTokens(db, Vault([NEW]), place.crm).current()
