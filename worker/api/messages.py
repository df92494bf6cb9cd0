"""The outbox as the bot's sender sees it: the next letters, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from worker.api import views
from worker.crash import crash
from worker.house import House
from worker.store import outbox


class Messages:
    """What is to be said in Slack, and what was."""

    def __init__(self, house: House) -> None:
        self._db = house.db

    async def say(self, pair_id: str, channel: str, message: str, what: str, body: Mapping[str, Any]) -> None:
        async with self._db.write() as tx:
            await outbox.put(tx, pair_id, channel, message, what, body)

    async def next(self) -> list[views.LetterView]:
        """One letter a channel at most, the oldest; each is the caller's for a minute."""
        async with self._db.read() as tx:
            if not await outbox.is_due(tx):  # a look costs nobody the write lock
                return []
        async with self._db.write() as tx:
            letters = [views.LetterView(**msgspec.structs.asdict(letter)) for letter in await outbox.claim(tx)]
        crash("letter.claimed")
        return letters

    async def ts(self, channel: str, message: str) -> str | None:
        """Where a message stands, if it was posted."""
        async with self._db.read() as tx:
            return await outbox.message_ts(tx, channel, message)

    async def is_said(self, message: str) -> bool:
        """Whether a message of that name was said, or is about to be."""
        async with self._db.read() as tx:
            return await outbox.knows(tx, message) is not None

    async def sent(self, letter_id: int, ts: str | None) -> None:
        async with self._db.write() as tx:
            await outbox.sent(tx, letter_id, ts)
            crash("letter.stored")
        crash("letter.committed")

    async def refused(self, letter_id: int, error: str) -> None:
        async with self._db.write() as tx:
            await outbox.refused(tx, letter_id, error)

    async def later(self, letter_id: int, wait_s: float, error: str, *, doubt: bool) -> None:
        async with self._db.write() as tx:
            await outbox.later(tx, letter_id, wait_s, error, doubt=doubt)

    async def counts(self) -> dict[str, int]:
        """How many letters wait, are on their way, or were refused."""
        async with self._db.read() as tx:
            return await outbox.counts(tx)
