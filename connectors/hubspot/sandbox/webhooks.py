"""The webhook sender: arrays of at most 100 events, signed, with five seconds to answer and ten more tries.

https://developers.hubspot.com/docs/api-reference/latest/webhooks/guide
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import aiohttp
import msgspec

from connectors.hubspot.sandbox.catalogue import OBJECT_TYPES, Account
from connectors.hubspot.sandbox.portal import Event
from connectors.hubspot.sandbox.values import epoch_ms
from connectors.kit.sandbox import VirtualClock

BATCH_MAX = 100
RETRIES_S = (60, 180, 600, 1_800, 3_600, 7_200, 10_800, 14_400, 18_000, 21_600)  # ten, within 24 hours
POLL_S = 0.05

Payload: TypeAlias = dict[str, Any]

# Of these, HubSpot undoes the percent encoding before it signs.
_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
_PERCENT = re.compile("|".join(_DECODED), re.IGNORECASE)


def signed(secret: str, method: str, url: str, body: bytes, timestamp_ms: int) -> str:
    """X-HubSpot-Signature-v3: base64 of HMAC-SHA256 over method, address, body and timestamp.
    https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests"""
    plain_url = _PERCENT.sub(lambda match: _DECODED[match[0].upper()], url)
    source = f"{method}{plain_url}".encode() + body + str(timestamp_ms).encode()
    return base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest()).decode()


class Parcel(NamedTuple):
    """Events that go out together, and when."""

    due_ms: int
    attempt: int
    events: list[Payload]


class Delivery(msgspec.Struct, frozen=True):
    """One attempt that was made. `status` None: no answer in time, or no connection."""

    attempt: int
    events: int
    status: int | None


class Webhooks:
    """Sends what happens to one address, once `url` is set. `types` limits it to subscriptions such as
    `deal.propertyChange`. `duplicate` sends every array twice, `disorder` turns the order round. Retries wait on
    the virtual clock; the five seconds for an answer are real ones (`deadline_s`)."""

    def __init__(self, account: Account, clock: VirtualClock, jitter: random.Random, deadline_s: float = 5.0) -> None:
        self.account = account
        self.url: str | None = None
        self.types: frozenset[str] | None = None
        self.duplicate = False
        self.disorder = False
        self.deadline_s = deadline_s
        self.sent: list[Delivery] = []
        self._clock = clock
        self._jitter = jitter
        self._fresh: list[Payload] = []
        self._waiting: list[Parcel] = []
        self._event_ids = itertools.count(1)
        self._subscriptions: dict[tuple[str, str], int] = {}
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    # what is told -------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take note of a change, if somebody subscribed to it."""
        subscription = f"{OBJECT_TYPES[event.kind].singular}.{event.what}"
        if self.url is not None and (self.types is None or subscription in self.types):
            self._fresh.append(self._payload(event, subscription))

    def _payload(self, event: Event, subscription: str) -> Payload:
        key = (subscription, str(event.more.get("propertyName", "")))
        return {
            "eventId": next(self._event_ids),
            "subscriptionId": self._subscriptions.setdefault(key, len(self._subscriptions) + 1),
            "portalId": self.account.portal_id,
            "appId": self.account.app_id,
            "occurredAt": event.at_ms,
            "subscriptionType": subscription,
            "attemptNumber": 0,
            "objectId": event.object_id,
            "changeSource": event.origin.source,
            "sourceId": event.origin.source_id,
            **event.more,
        }

    @property
    def waiting(self) -> int:
        """How many events have not been delivered and not been given up."""
        return len(self._fresh) + sum(len(parcel.events) for parcel in self._waiting)

    def forget(self) -> None:
        """Give up what has not been delivered."""
        self._fresh.clear()
        self._waiting.clear()
        self.sent.clear()

    # sending ------------------------------------------------------------------------------------

    async def deliver(self) -> int:
        """Send everything that is due on the clock. Returns how many arrays were sent."""
        async with self._sending:
            self._pack()
            now_ms = epoch_ms(self._clock.now())
            due = [parcel for parcel in self._waiting if parcel.due_ms <= now_ms]
            self._waiting = [parcel for parcel in self._waiting if parcel.due_ms > now_ms]
            async with aiohttp.ClientSession() as session:
                for parcel in due:
                    await self._send(session, parcel)
            return len(due)

    def _pack(self) -> None:
        events, self._fresh = self._fresh, []
        if self.disorder:
            events.reverse()
        now_ms = epoch_ms(self._clock.now())
        parcels = [Parcel(now_ms, 0, list(part)) for part in _parts(events)]
        self._waiting += parcels * (2 if self.duplicate else 1)

    async def _send(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        status = await self._post(session, parcel)
        self.sent.append(Delivery(parcel.attempt, len(parcel.events), status))
        if (status is None or not 200 <= status < 300) and parcel.attempt < len(RETRIES_S):
            wait_ms = round(RETRIES_S[parcel.attempt] * self._jitter.uniform(1.0, 1.1) * 1000)
            due_ms = epoch_ms(self._clock.now()) + wait_ms
            self._waiting.append(Parcel(due_ms, parcel.attempt + 1, parcel.events))

    async def _post(self, session: aiohttp.ClientSession, parcel: Parcel) -> int | None:
        """The answer's status; None for no answer within the deadline."""
        url = self.url or ""
        body = msgspec.json.encode([{**event, "attemptNumber": parcel.attempt} for event in parcel.events])
        timeout = aiohttp.ClientTimeout(total=self.deadline_s)
        try:
            async with session.post(url, data=body, headers=self._headers(url, body), timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _headers(self, url: str, body: bytes) -> Mapping[str, str]:
        secret, now_ms = self.account.client_secret, epoch_ms(self._clock.now())
        return {
            "Content-Type": "application/json",
            "X-HubSpot-Signature": hashlib.sha256(secret.encode() + body).hexdigest(),
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature-v3": signed(secret, "POST", url, body, now_ms),
            "X-HubSpot-Request-Timestamp": str(now_ms),
        }

    # running by itself --------------------------------------------------------------------------

    def run(self) -> None:
        """Deliver by itself from now on, shortly after each change."""
        if self._task is None:
            self._task = asyncio.create_task(self._loop())

    async def halt(self) -> None:
        """Deliver no more by itself."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._fresh or self._waiting:
                await self.deliver()


def _parts(events: Sequence[Payload]) -> list[Sequence[Payload]]:
    return [events[i : i + BATCH_MAX] for i in range(0, len(events), BATCH_MAX)]
