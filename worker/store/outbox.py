"""The outbox: what is to be said in Slack, written in the unit that made it true, sent by the bot's sender.

A row says *what* is to be said ("how run X stands"), not in which words: it is put into words when it is sent, so
that what people read is true at that moment. Rows of a channel go in order; of a message's waiting rows only the
newest counts, and one about progress only while no other waits.

    pending --claim--> sending --> sent | refused
       ^-- it was not sent --'  \\-- nobody knows: sending, until it was looked up
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import and_, func, insert, or_, select, update

from worker.crash import crash
from worker.store.database import Unit
from worker.store.tables import outbox

LEASE = timedelta(seconds=60)
OPEN = ("pending", "sending")
PROGRESS = "progress"  # how far a run is: for its message alone, and of no use once its end is to be said


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One row on its way. `message`: the stable name of the message it posts or edits; `ts`: where that stands by
    now; `doubt`: an earlier attempt may have arrived, so it is looked up first."""

    id: int
    pair_id: str
    channel: str
    message: str
    what: str
    body: dict[str, Any]
    ts: str | None
    attempts: int
    doubt: bool
    created_at: datetime


async def put(tx: Unit, pair_id: str, channel: str, message: str, what: str, body: Mapping[str, Any]) -> None:
    """Say something. The caller's unit makes it as durable as what it is about."""
    row = {"pair_id": pair_id, "channel": channel, "message": message, "what": what, "state": "pending",
           "body": msgspec.json.encode(dict(body)).decode(), "created_at": await tx.now()}  # fmt: skip
    await tx.run(insert(outbox), [row])
    crash("message.stored")


async def is_due(tx: Unit) -> bool:
    """Whether any letter may go now."""
    now = await tx.now()
    due = and_(outbox.c.state.in_(OPEN), or_(outbox.c.not_before.is_(None), outbox.c.not_before <= now))
    return await tx.scalar(select(outbox.c.id).where(due).limit(1)) is not None


async def claim(tx: Unit) -> list[Letter]:
    """The next letter of each channel that has one whose time has come; each is this caller's for a minute."""
    now = await tx.now()
    first = select(func.min(outbox.c.id)).where(outbox.c.state.in_(OPEN)).group_by(outbox.c.channel)
    rows = await tx.all(
        select(outbox)
        .where(outbox.c.id.in_(first), or_(outbox.c.not_before.is_(None), outbox.c.not_before <= now))
        .order_by(outbox.c.id)
    )
    return [letter for row in rows if (letter := await _claimed(tx, row, now)) is not None]


async def _claimed(tx: Unit, row: Mapping[str, Any], now: datetime) -> Letter | None:
    result = await tx.run(
        update(outbox)
        .where(outbox.c.id == row["id"], outbox.c.state == row["state"], outbox.c.attempts == row["attempts"])
        .values(state="sending", attempts=row["attempts"] + 1, not_before=now + LEASE)
    )
    if not result.rowcount:
        return None
    what, body = await _newest(tx, row)
    return Letter(
        id=row["id"],
        pair_id=row["pair_id"],
        channel=row["channel"],
        message=row["message"],
        what=what,
        body=msgspec.json.decode(body),
        ts=await message_ts(tx, row["channel"], row["message"]),
        attempts=row["attempts"] + 1,
        doubt=row["state"] == "sending",
        created_at=row["created_at"],
    )


async def _newest(tx: Unit, row: Mapping[str, Any]) -> tuple[str, str]:
    """The newest waiting edit of the same message goes in this row's place, the others are let go."""
    same = and_(
        outbox.c.channel == row["channel"],
        outbox.c.message == row["message"],
        outbox.c.state == "pending",
        outbox.c.id > row["id"],
    )
    later = await tx.all(select(outbox.c.what, outbox.c.body).where(same).order_by(outbox.c.id.desc()))
    if not later:
        return row["what"], row["body"]
    waiting = [*later, row]
    newest = next((each for each in waiting if each["what"] != PROGRESS), waiting[0])
    await tx.run(update(outbox).where(same).values(state="superseded"))
    await tx.run(update(outbox).where(outbox.c.id == row["id"]).values(what=newest["what"], body=newest["body"]))
    return newest["what"], newest["body"]


async def message_ts(tx: Unit, channel: str, message: str) -> str | None:
    """Where a message stands in its channel, if it was posted."""
    found = await tx.first(
        select(outbox.c.slack_ts)
        .where(outbox.c.channel == channel, outbox.c.message == message, outbox.c.state == "sent")
        .order_by(outbox.c.id.desc())
        .limit(1)
    )
    return found["slack_ts"] if found is not None else None


async def knows(tx: Unit, message: str) -> str | None:
    """The channel in which a message was said, or is about to be; None: nowhere."""
    channel: str | None = await tx.scalar(
        select(outbox.c.channel)
        .where(outbox.c.message == message, outbox.c.state != "refused")
        .order_by(outbox.c.id.desc())
        .limit(1)
    )
    return channel


async def sent(tx: Unit, letter_id: int, ts: str | None) -> None:
    """It arrived; `ts` is where its message stands from now on (None: nowhere)."""
    await tx.run(
        update(outbox).where(outbox.c.id == letter_id).values(state="sent", slack_ts=ts, not_before=None, error=None)
    )


async def refused(tx: Unit, letter_id: int, error: str) -> None:
    """Slack will never take it: it is set aside and blocks nothing."""
    await tx.run(update(outbox).where(outbox.c.id == letter_id).values(state="refused", error=error))


async def later(tx: Unit, letter_id: int, wait_s: float, error: str, *, doubt: bool) -> None:
    """Try again in a while. `doubt`: it may have arrived."""
    at = await tx.now() + timedelta(seconds=wait_s)
    state = "sending" if doubt else "pending"
    await tx.run(update(outbox).where(outbox.c.id == letter_id).values(state=state, not_before=at, error=error))


async def counts(tx: Unit) -> dict[str, int]:
    """Letters that wait or were refused, by state."""
    rows = await tx.rows(
        select(outbox.c.state, func.count()).where(outbox.c.state.in_((*OPEN, "refused"))).group_by(outbox.c.state)
    )
    return dict(rows)
