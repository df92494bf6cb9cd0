"""A new encryption key: nothing is lost on the way, whenever it stops, and running workers go on."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from connectors.kit.contract import Token
from tests.store.conftest import Place
from worker.house import open_vault
from worker.settings import WorkerSettings
from worker.store import audit, connections
from worker.store.database import Database
from worker.store.tables import credentials, subscriptions
from worker.usecases import rotate_keys as rotation
from worker.usecases.rotate_keys import rotate_keys
from worker.vault import (
    BadKey,
    StoredTokens,
    Vault,
    WrongKey,
    load_keys,
    new_key,
    read_keys,
    save_token,
    write_keys,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


def there(path: Path) -> list[tuple[str, int]]:
    """The key files of the folder, with their modes."""
    return [(each.name, stat.S_IMODE(each.stat().st_mode)) for each in path.parent.glob("*key*")]


def take_away(path: Path) -> None:
    path.unlink()


async def logins(db: Database, vault: Vault, number: int = 3) -> list[str]:
    """Stored logins, and a webhook's secret."""
    ids = []
    for n in range(number):
        async with db.write() as tx:
            ids.append(await connections.save_connection(tx, "memory", f"account-{n}", "x", {}))
        await save_token(db, vault, ids[-1], Token(access=f"at-{n}", refresh=f"rt-{n}"))
    async with db.write() as tx:
        row = {"id": "sub-1", "connection_id": ids[0], "state": "live", "secret": vault.seal(Token(access="hook"))}
        await tx.run(insert(subscriptions), [row])
    return ids


async def opened(db: Database, vault: Vault) -> list[str]:
    """What every stored secret says, by this vault."""
    async with db.read() as tx:
        sealed = [row[0] for row in await tx.rows(select(credentials.c.secret))]
        sealed += [row[0] for row in await tx.rows(select(subscriptions.c.secret))]
    return sorted(vault.open(secret).access for secret in sealed)


ALL = ["at-0", "at-1", "at-2", "hook"]


async def test_everything_is_sealed_anew_and_the_old_key_is_gone(db: Database, path: Path, place: Place) -> None:
    """One key in the file afterwards, of mode 0600, which opens all; it is on record."""
    old = load_keys(None, path)
    await logins(db, Vault(old))
    done = await rotate_keys(db, path, None, "alice")
    keys = read_keys(path)
    assert (4, False, ()) == (done.resealed, done.resumed, done.lost)
    assert (1, [("key", 0o600)]) == (len(keys), there(path))
    assert (ALL, True) == (await opened(db, Vault(keys)), keys != old)
    with pytest.raises(WrongKey):
        await opened(db, Vault(old))
    async with db.read() as tx:
        (entry,) = await audit.of_action(tx, place.pair, "keys.rotated")
    assert ("alice", 4) == (entry.entry.actor, entry.entry.detail["resealed"])


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
async def test_one_that_died_in_the_middle_is_brought_to_its_end(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Meanwhile every login can be opened with the keys in the file; the next call makes no third key."""
    await logins(db, Vault(load_keys(None, path)))
    real, calls = rotation._one, [0]

    async def dies(*args: Any) -> int:
        calls[0] += 1
        if calls[0] == at:
            raise RuntimeError("the process is gone")
        return await real(*args)

    monkeypatch.setattr(rotation, "_one", dies)
    with pytest.raises(RuntimeError):
        await rotate_keys(db, path, None, "alice")
    between = read_keys(path)
    assert (2, ALL) == (len(between), await opened(db, Vault(between)))
    monkeypatch.setattr(rotation, "_one", real)
    done = await rotate_keys(db, path, None, "alice")
    assert (True, between[:1], ALL) == (done.resumed, read_keys(path), await opened(db, Vault(between[:1])))


async def test_saboteur_taking_the_old_key_away_first_would_lose_what_is_left(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = load_keys(None, path)
    await logins(db, Vault(old))
    write_keys(path, [new_key()])
    with pytest.raises(WrongKey):
        await opened(db, Vault(read_keys(path)))
    assert ALL == await opened(db, Vault(old))


async def test_a_running_worker_goes_on(db: Database, path: Path) -> None:
    """It opens what was sealed under a key that it did not know, and seals under that key from then on, also while
    the keys are being changed."""
    load_keys(None, path)
    vault = await open_vault(WorkerSettings(data=path.parent), db)
    ids = await logins(db, vault)

    async def renews(connection_id: str) -> None:
        for n in range(10):
            token = await StoredTokens(db, vault, connection_id).current()
            await save_token(db, vault, connection_id, Token(access=f"{token.access}.{n}"))
            await asyncio.sleep(0)

    await asyncio.gather(*(renews(each) for each in ids), rotate_keys(db, path, None, "alice"))
    after = await opened(db, Vault(read_keys(path)))
    assert (4, 1) == (len(after), len(read_keys(path)))
    assert all(text.endswith(".9") for text in after if text != "hook")


async def test_saboteur_a_vault_that_never_looks_again_stops_at_the_first_new_key(db: Database, path: Path) -> None:
    vault = Vault(load_keys(None, path))
    ids = await logins(db, vault)
    await rotate_keys(db, path, None, "alice")
    with pytest.raises(WrongKey):
        await StoredTokens(db, vault, ids[0]).current()


async def test_keys_of_the_environment_are_sealed_under_the_first(db: Database, path: Path) -> None:
    """The file is left alone: taking the old key away is for whoever set it."""
    old, new = new_key(), new_key()
    await logins(db, Vault([old]))
    alone = await rotate_keys(db, path, [old], "alice")
    done = await rotate_keys(db, path, [new, old], "alice")
    assert (0, 1, 4, 2, True) == (alone.resealed, alone.keys, done.resealed, done.keys, done.given)
    assert ([], ALL) == (there(path), await opened(db, Vault([new])))


async def test_a_login_that_no_key_opens_keeps_the_old_keys(db: Database, path: Path) -> None:
    """The others are sealed anew, it is named, and with its key back nothing was lost."""
    lost = new_key()
    load_keys(None, path)
    ids = await logins(db, Vault(read_keys(path)))
    await save_token(db, Vault([lost]), ids[1], Token(access="at-1"))
    done = await rotate_keys(db, path, None, "alice")
    assert ((ids[1],), 2) == (done.lost, len(read_keys(path)))
    write_keys(path, [*read_keys(path), lost])
    again = await rotate_keys(db, path, None, "alice")
    assert ((), True, ALL) == (again.lost, again.resumed, await opened(db, Vault(read_keys(path))))


# --------------------------------------------------------------------------- a wrong key


async def test_a_key_file_that_is_gone_is_not_replaced_while_logins_need_it(db: Database, path: Path) -> None:
    """A new one would open nothing: it says so at the start, and nothing is lost when it is put back."""
    settings = WorkerSettings(data=path.parent)
    keys = load_keys(None, path)
    await logins(db, Vault(keys))
    take_away(path)
    with pytest.raises(WrongKey, match="is gone, and 3 stored logins"):
        await open_vault(settings, db)
    assert [] == there(path)
    write_keys(path, keys)
    assert ALL == await opened(db, await open_vault(settings, db))


async def test_another_key_is_said_at_the_start_and_at_each_use(
    db: Database, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do. The rows stay as they are."""
    ids = await logins(db, Vault([new_key()]))
    vault = await open_vault(WorkerSettings(data=path.parent, key=new_key()), db)
    assert "vault.wrong_key" in capsys.readouterr().out
    with pytest.raises(WrongKey, match="the encryption key is another one") as said:
        await StoredTokens(db, vault, ids[0]).current()
    assert "Put back the key of that time" in said.value.next_step


@pytest.mark.parametrize("text", ["", "not a key", "abc,def", new_key()[:-4]], ids=["none", "words", "two", "cut off"])
def test_what_is_no_key_is_said_without_showing_it(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    for given in (None, text):
        with pytest.raises(BadKey) as said:
            load_keys(given, path)
        assert not text or text not in str(said.value)
