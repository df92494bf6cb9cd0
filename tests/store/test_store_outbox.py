"""The outbox: in order for each channel, the newest edit of a message, doubt kept, refusals set aside."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.store.conftest import Place
from worker.store import outbox
from worker.store.database import Database
from worker.store.tables import outbox as table


async def put(db: Database, place: Place, channel: str, message: str, n: int = 0, what: str = "plain") -> None:
    async with db.write() as tx:
        await outbox.put(tx, place.pair, channel, message, what, {"n": n})


async def claim(db: Database) -> list[outbox.Letter]:
    async with db.write() as tx:
        return await outbox.claim(tx)


async def sent(db: Database, letter: outbox.Letter, ts: str | None) -> None:
    async with db.write() as tx:
        await outbox.sent(tx, letter.id, ts)


async def test_one_channel_goes_in_order_and_others_do_not_wait(db: Database, place: Place) -> None:
    """The second letter of a channel waits for the first."""
    for channel, message in (("C1", "a"), ("C1", "b"), ("C2", "c")):
        await put(db, place, channel, message)
    first = await claim(db)
    assert ["a", "c"] == [letter.message for letter in first]
    assert [] == await claim(db)
    await sent(db, first[0], "1.0")
    assert ["b"] == [letter.message for letter in await claim(db)]


async def test_only_the_newest_edit_of_a_message_is_sent_in_the_place_of_the_first(db: Database, place: Place) -> None:
    """Progress does not pile up, and the order among messages stays."""
    for n, message in enumerate(("a", "b", "a", "a")):
        await put(db, place, "C1", message, n)
    first = (await claim(db))[0]
    assert ("a", 3) == (first.message, first.body["n"])
    await sent(db, first, "1.0")
    second = (await claim(db))[0]
    assert "b" == second.message
    await sent(db, second, "2.0")
    assert [] == await claim(db)


@pytest.mark.parametrize("order", [("run", "progress"), ("progress", "run", "progress"), ("progress", "run")])
async def test_progress_never_takes_the_place_of_an_end(db: Database, place: Place, order: tuple[str, ...]) -> None:
    """Whichever was written last: the end says who is to hear of it."""
    for n, what in enumerate(order):
        await put(db, place, "C1", "a", n, what)
    letter = (await claim(db))[0]
    assert ("run", order.index("run")) == (letter.what, letter.body["n"])
    await sent(db, letter, None)
    assert [] == await claim(db)


async def test_saboteur_progress_of_no_name_would_hide_the_end(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it a letter like any other, the last one would win."""
    monkeypatch.setattr(outbox, "PROGRESS", "")
    await put(db, place, "C1", "a", 0, "run")
    await put(db, place, "C1", "a", 1, "progress")
    assert "progress" == (await claim(db))[0].what


async def test_an_edit_knows_where_its_message_stands(db: Database, place: Place) -> None:
    """Until it was taken away."""
    await put(db, place, "C1", "a")
    await sent(db, (await claim(db))[0], "1.0")
    await put(db, place, "C1", "a")
    edit = (await claim(db))[0]
    assert "1.0" == edit.ts
    await sent(db, edit, None)
    await put(db, place, "C1", "a")
    assert (await claim(db))[0].ts is None


async def test_a_sender_that_died_leaves_doubt(db: Database, place: Place) -> None:
    """After a minute another one takes the letter, and knows that it may have arrived."""
    await put(db, place, "C1", "a")
    assert not (await claim(db))[0].doubt
    db.shift += timedelta(seconds=59)
    assert [] == await claim(db)
    db.shift += timedelta(seconds=2)
    again = (await claim(db))[0]
    assert (True, 2) == (again.doubt, again.attempts)


async def test_not_sent_is_no_doubt_and_waits_its_time(db: Database, place: Place) -> None:
    """429: the whole channel waits, in order."""
    for message in ("a", "b"):
        await put(db, place, "C1", message)
    first = (await claim(db))[0]
    async with db.write() as tx:
        await outbox.later(tx, first.id, 30, "rate limited", doubt=False)
    assert [] == await claim(db)
    db.shift += timedelta(seconds=31)
    again = (await claim(db))[0]
    assert ("a", False) == (again.message, again.doubt)


async def test_a_refused_letter_blocks_nothing(db: Database, place: Place) -> None:
    """It is set aside with Slack's word."""
    for message in ("a", "b"):
        await put(db, place, "C1", message)
    first = (await claim(db))[0]
    async with db.write() as tx:
        await outbox.refused(tx, first.id, "not_in_channel")
    assert ["b"] == [letter.message for letter in await claim(db)]
    async with db.read() as tx:
        assert [("refused", "not_in_channel")] == await tx.rows(
            select(table.c.state, table.c.error).where(table.c.id == first.id)
        )


async def test_two_senders_never_claim_the_same_letter(db: Database, place: Place) -> None:
    """However they race."""
    for n in range(6):
        await put(db, place, f"C{n}", "a")
    claimed = await asyncio.gather(*(claim(db) for _ in range(4)))
    ids = [letter.id for letters in claimed for letter in letters]
    assert sorted(set(ids)) == sorted(ids)
    assert 6 == len(ids)


async def test_saboteur_without_the_compare_a_letter_goes_twice(
    db: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a claim did not mark the row, the check above would see it twice."""

    async def unmarked(tx: object, row: dict[str, object], now: object) -> object:
        return row["id"]

    monkeypatch.setattr(outbox, "_claimed", unmarked)
    await put(db, place, "C1", "a")
    first, second = await claim(db), await claim(db)
    assert first == second
    assert 1 == len(first)
