"""Upgrades of a database that has been at work: from every earlier revision, on both databases, with all that it held
still there and understood."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert, select, text

from connectors.canon.fields import FieldType
from connectors.canon.records import Customer, Kind
from tests.store.old_rows import PERSON, ROWS, RULE
from worker.store import billing, conflicts, connections, dirty_set, links, mirror, outbox, plans, runs, schedules
from worker.store.database import Database, Unit, open_database
from worker.store.migrate import _config, current_revision, upgrade
from worker.store.tables import metadata

Url = Callable[[str], str]
Held = dict[str, list[dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[2]
EVERY = [each.revision for each in ScriptDirectory.from_config(_config("sqlite://")).walk_revisions()][::-1]
CASES = [(dialect, revision) for dialect in ("sqlite", "postgresql") for revision in EVERY[:-1]]


async def _reflected(tx: Unit) -> MetaData:
    """The tables as the database has them."""
    found = MetaData()
    await tx.connection.run_sync(lambda sync: found.reflect(bind=sync))
    return found


async def fill(url: str) -> Held:
    """Store the old rows; what of them this revision can hold comes back."""
    db, held = open_database(url), Held()
    async with db.write() as tx:
        tables = (await _reflected(tx)).tables
        for name in (name for name in ROWS if name in tables):
            own = tables[name]
            held[name] = [{c: v for c, v in row.items() if c in own.c} for row in ROWS[name]]
            for row in held[name]:
                await tx.run(insert(own).values(**row))
    await db.close()
    return held


async def read(url: str, held: Held) -> Held:
    """The same rows and columns, as they stand there now."""
    db, found = open_database(url), Held()
    async with db.read() as tx:
        tables = (await _reflected(tx)).tables
        for name, rows in held.items():
            own = tables[name]
            keys = [column.name for column in own.primary_key]
            found[name] = []
            for row in rows:
                asked = select(*(own.c[c] for c in row)).where(*(own.c[key] == row[key] for key in keys))
                stored = await tx.first(asked)
                found[name] += [dict(stored)] if stored is not None else []
    await db.close()
    return found


def up_from(url: str, revision: str) -> Held:
    """Filled at a revision and brought to the newest."""
    command.upgrade(_config(url), revision)
    held = asyncio.run(fill(url))
    asyncio.run(upgrade(url))
    return held


@pytest.mark.parametrize(("dialect", "revision"), CASES)
def test_an_upgrade_loses_nothing_and_the_store_reads_it(empty_urls: Url, dialect: str, revision: str) -> None:
    """Each row stands there as before, column by column, and the store's own functions understand it."""
    url = empty_urls(dialect)
    held = up_from(url, revision)
    assert EVERY[-1] == asyncio.run(current_revision(url))
    assert held == asyncio.run(read(url, held))
    asyncio.run(_understood(url))


async def _understood(url: str) -> None:
    db = open_database(url)
    async with db.write() as tx:
        await _settings_are_understood(tx)
        await _records_are_understood(tx)
        await _work_is_understood(tx)
    await db.close()


async def _settings_are_understood(tx: Unit) -> None:
    pair = await connections.get_pair(tx, "pr_1")
    assert ("in_1", "cn_crm", "C1") == (await connections.installation_id(tx), pair.crm, pair.channel)
    assert {"world": "w"} == (await connections.get_connection(tx, "cn_books")).settings
    assert ["every hour"] == [line.words for line in await schedules.all_of(tx, "pr_1")]
    assert "C1" == await outbox.knows(tx, "run:run_1")


async def _records_are_understood(tx: Unit) -> None:
    known = await mirror.load(tx, "cn_crm", Kind.CUSTOMER, ["c1"])
    assert Customer(ref="c1", legal_name="Ünal & Söhne") == known["c1"]
    assert {Kind.CUSTOMER: "17"} == await mirror.read_cursors(tx, "cn_crm", [Kind.CUSTOMER])
    assert ["c1"] == [row.ref for row in await dirty_set.read(tx, "pr_1", "any")]
    link = (await links.get_links(tx, ["ln_1"]))["ln_1"]
    bases = await links.load_bases(tx, ["ln_1"], {RULE: (FieldType.TEXT, FieldType.TEXT)})
    assert ("c1", "b1", "Unal") == (link.crm, link.books, bases["ln_1"][RULE].books)


async def _work_is_understood(tx: Unit) -> None:
    done, unknown = await plans.read_changes(tx, "pl_1")
    assert ("done", "i1", Decimal("90071992547409.93")) == (done.state, done.change.ref, done.change.total)
    assert ["ch_2"] == [stored.change.id for stored in await plans.open_intents(tx, "pr_1")] == [unknown.change.id]
    assert "applying" == (await plans.current_plan(tx, "pr_1")).state  # type: ignore[union-attr]  # it is there
    assert ["run_2", "run_1"] == [run.id for run in await runs.recent(tx, "pr_1")]
    assert ["both changed"] == [c.question.reason for c in await conflicts.open_conflicts(tx, "pr_1")]
    assert PERSON == await connections.mapping_saved_by(tx, "pr_1", 1)
    assert [(Kind.INVOICE, "i1")] == list(await billing.documents_by_ref(tx, "pr_1", [(Kind.INVOICE, "i1")]))


def test_the_old_rows_fill_every_table_of_the_first_revision(empty_urls: Url) -> None:
    """Nothing is left out of the promise."""
    url = empty_urls("sqlite")
    command.upgrade(_config(url), EVERY[0])
    held = asyncio.run(fill(url))

    async def names() -> set[str]:
        db = open_database(url)
        async with db.read() as tx:
            found = set((await _reflected(tx)).tables)
        await db.close()
        return found

    assert asyncio.run(names()) - {"alembic_version"} == set(held)
    assert set(metadata.tables) == set(ROWS)


HARM = ("delete from bases", "update changes set net = '90071992547409.94'", "update mirror set marker = null")


@pytest.mark.parametrize("harm", HARM)
def test_saboteur_an_upgrade_that_loses_something_is_found(empty_urls: Url, harm: str) -> None:
    """A revision that drops a row, rounds an amount or forgets what a column held."""
    url = empty_urls("sqlite")
    held = up_from(url, EVERY[0])

    async def do(db: Database) -> None:
        async with db.write() as tx:
            await tx.run(text(harm))
        await db.close()

    asyncio.run(do(open_database(url)))
    assert held != asyncio.run(read(url, held))


# --------------------------------------------------------------------------- several processes start at once

_UPGRADE = """
import asyncio, sys
from worker.store import connections
from worker.store.database import open_database
from worker.store.migrate import upgrade

async def main(url):
    await upgrade(url)
    db = open_database(url)
    async with db.write() as tx:
        print(await connections.installation_id(tx))
    await db.close()

sys.stdin.readline()
asyncio.run(main(sys.argv[1]))
"""


async def _at_once(url: str, number: int) -> Sequence[str]:
    pipe = asyncio.subprocess.PIPE
    words = (sys.executable, "-c", _UPGRADE, url)
    started = [await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(number)]
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    assert [0] * number == [process.returncode for process in started]
    return [out.decode().strip() for out, _ in said]


def test_databases_that_one_process_upgrades_at_once_do_not_meet(empty_urls: Url) -> None:
    """Each gets its tables, once. In a process of its own, for two that meet may wait for each other for ever."""
    urls = [empty_urls("sqlite") for _ in range(4)]
    code = (
        "import asyncio, sys\n"
        "from worker.store.migrate import upgrade\n"
        "async def all_of_them(): await asyncio.gather(*(upgrade(url) for url in sys.argv[1:]))\n"
        "asyncio.run(all_of_them())\n"
    )
    subprocess.run([sys.executable, "-c", code, *urls], cwd=ROOT, check=True, timeout=60)
    assert {EVERY[-1]} == {asyncio.run(current_revision(url)) for url in urls}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_workers_that_start_at_once_upgrade_once(empty_urls: Url, dialect: str) -> None:
    """Three processes find an empty database: one makes it, the others wait for it, and all are one installation."""
    url = empty_urls(dialect)
    assert 1 == len(set(asyncio.run(_at_once(url, 3))))
    assert EVERY[-1] == asyncio.run(current_revision(url))
