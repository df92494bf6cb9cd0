"""The audit trail: whatever is done to it afterwards is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from sqlalchemy import delete, select, update

from tests.store.conftest import Place, make_place
from worker.store import audit
from worker.store.audit import Entry
from worker.store.database import Database, Unit
from worker.store.tables import audit as rows
from worker.store.tables import audit_heads, audit_values

Harm = Callable[[Unit], Awaitable[object]]


async def written(db: Database, place: Place, number: int = 5) -> None:
    for n in range(number):
        async with db.write() as tx:
            entry = Entry(action="customer.update", actor="tests", subject=f"crm:customer:c{n}", before={"phone": n})
            await audit.append(tx, place.pair, [entry])


async def verified(db: Database, place: Place) -> int | None:
    """Where it breaks; None: it holds."""
    async with db.read() as tx:
        broken = await audit.verify(tx, place.pair)
    return broken.seq if broken is not None else None


async def test_a_chain_holds_and_is_read_back(db: Database, place: Place) -> None:
    """In order, with values; each pair has its own."""
    other = await make_place(db, "other")
    await written(db, place)
    await written(db, other, 1)
    async with db.read() as tx:
        found = await audit.entries(tx, place.pair)
        seq, digest = await audit.head(tx, place.pair)
    assert (None, None) == (await verified(db, place), await verified(db, other))
    assert [1, 2, 3, 4, 5] == [entry["seq"] for entry in found]
    assert (5, 64) == (seq, len(digest))


async def test_an_empty_chain_holds(db: Database, place: Place) -> None:
    """Nothing happened yet."""
    assert await verified(db, place) is None


async def _changed(tx: Unit) -> object:
    return await tx.run(update(rows).where(rows.c.seq == 3).values(entry='{"action":"nothing"}'))


async def _removed(tx: Unit) -> object:
    return await tx.run(delete(rows).where(rows.c.seq == 3))


async def _cut_off(tx: Unit) -> object:
    return await tx.run(delete(rows).where(rows.c.seq == 5))


async def _reordered(tx: Unit) -> object:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        await tx.run(update(rows).where(rows.c.seq == old).values(seq=new))
    return None


async def _appended(tx: Unit) -> object:
    row = dict((await tx.all(select(rows).where(rows.c.seq == 5)))[0])
    return await tx.run(rows.insert(), [{**row, "seq": 6, "previous": row["hash"], "hash": "0" * 64}])


async def _value(tx: Unit) -> object:
    return await tx.run(update(audit_values).values(value='{"phone":"another"}'))


@pytest.mark.parametrize(
    ("harm", "at"), [(_changed, 3), (_removed, 3), (_cut_off, 5), (_reordered, 2), (_appended, 6), (_value, 0)]
)
async def test_harm_is_found_where_it_was_done(db: Database, place: Place, harm: Harm, at: int) -> None:
    """A changed, removed, cut-off, reordered or slipped-in row, and a value that is not what its digest says."""
    await written(db, place)
    async with db.write() as tx:
        await harm(tx)
    assert at == await verified(db, place)


async def test_saboteur_a_chain_without_hashes_hides_a_change(db: Database, place: Place) -> None:
    """Somebody who recomputes every later hash and the head passes the walk: only the head that was posted with a
    report gives them away."""
    await written(db, place)
    async with db.read() as tx:
        posted = await audit.head(tx, place.pair)
    async with db.write() as tx:
        previous = audit.GENESIS
        for row in await tx.all(select(rows).order_by(rows.c.seq)):
            entry = row["entry"].replace("customer.update", "customer.create")
            digest = audit._hash(previous, entry)
            await tx.run(
                update(rows).where(rows.c.seq == row["seq"]).values(entry=entry, previous=previous, hash=digest)
            )
            previous = digest
        await tx.run(update(audit_heads).values(hash=previous))
    assert await verified(db, place) is None
    async with db.read() as tx:
        assert posted != await audit.head(tx, place.pair)


async def test_erasing_a_person_keeps_the_chain(db: Database, place: Place) -> None:
    """The values go, their digests stay; no two of the same value have the same digest."""
    async with db.write() as tx:
        said = Entry(action="x", actor="t", subject="crm:customer:c1", before={"phone": "1"}, after={"phone": "1"})
        await audit.append(tx, place.pair, [said])
        digests = [row[0] for row in await tx.rows(select(audit_values.c.digest))]
        await audit.erase(tx, place.pair, digests)
        left = [row[0] for row in await tx.rows(select(audit_values.c.value))]
    assert (2, [None, None], None) == (len(set(digests)), left, await verified(db, place))


async def test_personal_values_are_not_in_the_chain(db: Database, place: Place) -> None:
    """Only their digests are."""
    async with db.write() as tx:
        await audit.append(tx, place.pair, [Entry(action="x", actor="t", subject="s", after={"phone": "+4420"})])
        assert "+4420" not in str(await tx.scalar(select(rows.c.entry)))


async def test_a_sentence_is_not_in_the_chain_and_a_code_word_is(db: Database, place: Place) -> None:
    """A reason, an unknown part of a detail, and a known one that is no number or code word go by digest. All is read
    back as it was."""
    detail = {"conflict": 7, "choice": "crm", "version": "Jane Doe", "agreed": ["U1", "U2"], "says": "Jane"}
    said = Entry(action="x", actor="t", subject="s", why="Jane said so", said="Jane?", detail=detail)
    async with db.write() as tx:
        await audit.append(tx, place.pair, [said])
        text = str(await tx.scalar(select(rows.c.entry)))
        (page,) = [page async for page in audit.read(tx, place.pair)]
    assert (False, said) == ("Jane" in text, page[0].entry)
    assert {"conflict": 7, "choice": "crm", "agreed": ["U1", "U2"]} == msgspec.json.decode(text)["detail"]
    assert await verified(db, place) is None


async def test_an_entry_of_before_with_its_reason_in_clear_holds_and_is_read(db: Database, place: Place) -> None:
    """The hash runs over the text as it stands: nothing is written anew."""
    text = (
        '{"action":"x","actor":"t","at":"2026-11-01T00:00:00+00:00","detail":{"says":"all"},"subject":"s","why":"so"}'
    )
    async with db.write() as tx:
        await audit.append(tx, place.pair, [])
        digest = audit._hash(audit.GENESIS, text)
        row = {"pair_id": place.pair, "seq": 1, "at": await tx.now(), "entry": text, "previous": audit.GENESIS}
        await tx.run(rows.insert(), [{**row, "hash": digest}])
        await tx.run(audit_heads.insert(), [{"pair_id": place.pair, "seq": 1, "hash": digest}])
    await written(db, place, 1)
    async with db.read() as tx:
        (page,) = [page async for page in audit.read(tx, place.pair)]
    assert ("so", {"says": "all"}, ()) == (page[0].entry.why, page[0].entry.detail, page[0].erased)
    assert await verified(db, place) is None


async def test_writers_at_once_make_one_chain(db: Database, place: Place) -> None:
    """The head is locked, the sequence comes from it: no gap, no repeat, nobody fails."""
    await asyncio.gather(*(written(db, place, 1) for _ in range(20)))
    async with db.read() as tx:
        assert 20 == (await audit.head(tx, place.pair))[0]
    assert await verified(db, place) is None
