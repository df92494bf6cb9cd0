"""Take a vendor's webhook call: is it the vendor's own, what is new in it, and who has to look.

It is answered from one short transaction. What it announces is read later, by a run; a value in it is never used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select

from connectors.kit.contract import Connector, Event
from worker.crash import crash
from worker.store import connections, runs, webhooks
from worker.store.connections import Connection
from worker.store.database import Unit
from worker.store.tables import credentials
from worker.store.tables import runs as runs_table
from worker.usecases.office import Office
from worker.vault import Vault

HEAR = "hear"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook call as it arrived. `url` is the public address, with scheme, host and query."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Unknown(Exception):
    """There is no such connection."""


class NotGenuine(Exception):
    """The call is not signed with the secret that we share, or it was signed too long ago."""


class Unreadable(Exception):
    """The call is genuine, and its body is nothing that the vendor's documentation knows."""


class Taken(msgspec.Struct, frozen=True):
    """What a call came to: how many events it told, how many of them were news, and the runs that have to look."""

    events: int
    fresh: int
    runs: tuple[str, ...]


async def take_webhook(office: Office, connection_id: str, call: Call) -> Taken:
    """Store what is news and ask for a run of each pair that listens, unless one is asked for already. Raises
    Unknown, NotGenuine or Unreadable; then nothing was stored."""
    now = office.clock.now()
    async with office.db.read() as tx:
        connection = await _connection(tx, connection_id)
        kind = office.registry[connection.system]
        if not await _is_genuine(tx, office.vault, connection, kind, call, now):
            raise NotGenuine(connection_id)
        events = _events(kind, call.body)
        targets = await _targets(tx, office.vault, connection, kind, call, events, now)
    fresh, asked = 0, list[str]()
    async with office.db.write() as tx:
        for target, mine in targets.items():
            heard = await webhooks.hear(tx, target, mine)
            fresh += heard
            asked += await _ask(tx, target) if heard else []
        crash("webhook.stored")
    crash("webhook.committed")
    return Taken(len(events), fresh, tuple(asked))


async def _connection(tx: Unit, connection_id: str) -> Connection:
    try:
        return await connections.get_connection(tx, connection_id)
    except LookupError as error:
        raise Unknown(connection_id) from error


async def _is_genuine(
    tx: Unit, vault: Vault, connection: Connection, kind: type[Connector], call: Call, now: datetime
) -> bool:
    secret = await _secret(tx, vault, connection.id)
    return secret is not None and kind.verify_webhook(
        secret=secret, method=call.method, url=call.url, headers=call.headers, body=call.body, now=now
    )


async def _secret(tx: Unit, vault: Vault, connection_id: str) -> str | None:
    """What a connection's calls are signed with: its own secret, else the login's client secret. None: it has no
    webhooks."""
    known = await webhooks.subscription(tx, connection_id)
    if known is None:
        return None
    if known.secret is not None:
        return vault.open(known.secret).access
    sealed = await tx.scalar(select(credentials.c.secret).where(credentials.c.connection_id == connection_id))
    return vault.open(sealed).client_secret if sealed is not None else None


def _events(kind: type[Connector], body: bytes) -> list[Event]:
    try:
        found = kind.parse_webhook(body)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Unreadable(str(error)) from error
    return [event for event in found if event.kind in kind.facts.kinds and event.ref]


async def _targets(
    tx: Unit,
    vault: Vault,
    named: Connection,
    kind: type[Connector],
    call: Call,
    events: Sequence[Event],
    now: datetime,
) -> dict[str, list[Event]]:
    """connection -> its events. A vendor sends those of all accounts of an app to one address; those of an account
    that is not connected, or signs with another secret, are nobody's."""
    found: dict[str, list[Event]] = {}
    for account in dict.fromkeys(event.account for event in events):
        target: Connection | None = named
        if account != named.account:
            target = await connections.of_account(tx, named.system, account)
        if target is None:
            continue
        if target.id == named.id or await _is_genuine(tx, vault, target, kind, call, now):
            found[target.id] = [event for event in events if event.account == account]
    return found


async def _ask(tx: Unit, connection_id: str) -> list[str]:
    """The runs that will look: one for each pair that listens. Many calls that come before it begins are one run."""
    asked = []
    for listener in await connections.listeners(tx, connection_id):
        waiting = await _waiting(tx, listener.pair_id)
        if waiting is None:
            pair = await connections.get_pair(tx, listener.pair_id)
            request: dict[str, Any] = {"connection": connection_id}
            if pair.channel is not None:
                request["tell"] = {"channel": pair.channel, "quiet": True}
            waiting = await runs.ask(tx, pair.id, HEAR, request, "webhook", "realtime")
        asked.append(waiting)
    return asked


async def _waiting(tx: Unit, pair_id: str) -> str | None:
    """A run of that kind that has not begun to read."""
    found: str | None = await tx.scalar(
        select(runs_table.c.id).where(
            runs_table.c.pair_id == pair_id,
            runs_table.c.what == HEAR,
            runs_table.c.state.in_(("queued", "waiting")),
            runs_table.c.plan_id.is_(None),
        )
    )
    return found
