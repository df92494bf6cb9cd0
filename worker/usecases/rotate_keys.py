"""A new encryption key: everything sealed is sealed anew, row by row, while workers go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Table, select, text, update

from worker.store import connections
from worker.store.audit import Entry, append
from worker.store.database import Database, Unit
from worker.store.tables import credentials, subscriptions
from worker.vault import Vault, WrongKey, new_key, read_keys, write_keys

# Every column that holds something sealed, and what names its row.
SEALED: tuple[tuple[Table, Column[Any], Column[Any]], ...] = (
    (credentials, credentials.c.connection_id, credentials.c.secret),
    (subscriptions, subscriptions.c.id, subscriptions.c.secret),
)


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `resumed`: an earlier rotation had not come to its end, and was brought there. `lost`: rows
    that no known key opens; the old keys are kept then. `given`: the keys are the environment's, so taking the old
    ones away is for whoever set it; `keys` are how many it holds."""

    resealed: int
    resumed: bool
    lost: tuple[str, ...]
    given: bool
    keys: int


async def rotate_keys(db: Database, path: Path, given: Sequence[str] | None, by: str) -> Rotated:
    """With a key file: put a new key first, seal everything anew under it, take the old keys away. It may die at any
    point: the file holds every key that some row still needs, and the next call goes on. With keys that are `given`
    by the environment: seal everything anew under the first of them."""
    known = list(given) if given is not None else _in_file(path)
    resumed = given is None and len(known) > 1
    keys = known if given is not None or resumed else [new_key(), *known]
    if given is None:
        write_keys(path, keys)
    vault = Vault(keys)
    resealed, lost = await _reseal(db, vault)
    more, lost = await _last_look(db, vault) if not lost else (0, lost)
    if given is None and not lost:
        write_keys(path, keys[:1])
    await _on_record(db, by, resealed + more, len(lost))
    return Rotated(resealed=resealed + more, resumed=resumed, lost=lost, given=given is not None, keys=len(keys))


def _in_file(path: Path) -> list[str]:
    return read_keys(path) if path.exists() else []


async def _reseal(db: Database, vault: Vault) -> tuple[int, tuple[str, ...]]:
    """Row by row, each in a transaction of its own, so that nobody waits."""
    done, lost = 0, []
    for table, name, secret in SEALED:
        async with db.read() as tx:
            names = [row[0] for row in await tx.rows(select(name).where(secret.is_not(None)).order_by(name))]
        for each in names:
            try:
                async with db.write() as tx:
                    done += await _one(tx, vault, table, name == each, secret)
            except WrongKey:
                lost.append(str(each))
    return done, tuple(lost)


async def _last_look(db: Database, vault: Vault) -> tuple[int, tuple[str, ...]]:
    """Once more with everybody else kept out: who had read the old keys before the new one was there may have sealed
    a token with them meanwhile."""
    done = 0
    async with db.write() as tx:
        for table, name, secret in SEALED:
            if tx.dialect == "postgresql":
                await tx.run(text(f"lock table {table.name} in access exclusive mode"))
            for (each,) in await tx.rows(select(name).where(secret.is_not(None))):
                done += await _one(tx, vault, table, name == each, secret)
    return done, ()


async def _one(tx: Unit, vault: Vault, table: Table, which: Any, secret: Column[Any]) -> int:
    statement = select(secret).where(which)
    stored = await tx.scalar(statement.with_for_update() if tx.dialect == "postgresql" else statement)
    if stored is None or vault.is_newest(stored):
        return 0
    await tx.run(update(table).where(which).values({secret.name: vault.rotate(stored)}))
    return 1


async def _on_record(db: Database, by: str, resealed: int, lost: int) -> None:
    entry = Entry(action="keys.rotated", actor=by, subject="keys", detail={"resealed": resealed, "lost": lost})
    async with db.read() as tx:
        pairs = sorted(pair.id for pair in await connections.all_pairs(tx))
    for pair_id in pairs:
        async with db.write() as tx:
            await append(tx, pair_id, [entry])
