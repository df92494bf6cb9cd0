"""The webhook sender: signed calls in either shape, retried on the vendor's ladder, in the company's own time.

Answered within 3 s with 200, a call is delivered; otherwise it is tried again after 10, 20, 30 s, 5 and 20 min, 2, 4,
6 h, then every 6 h, and newer events for the endpoint wait behind it.
Source: https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import aiohttp
import msgspec

from connectors.quickbooks.sandbox.company import Change, Clock

Style = Literal["auto", "cloudevents", "legacy"]
LADDER_S = (10, 20, 30, 300, 1200, 7200, 14_400, 21_600)
CLOUD_EVENTS_FROM = datetime(2026, 8, 1, tzinfo=UTC)
ANSWER_WITHIN_S = 3.0
SILENT = frozenset({"TaxCode", "TaxRate", "CompanyInfo", "ExchangeRate"})
_LEGACY = {"created": "Create", "updated": "Update", "deleted": "Delete", "voided": "Void", "emailed": "Emailed"}


class Notice(msgspec.Struct, frozen=True):
    """One event waiting to be told. A duplicate has the same id."""

    id: str
    realm: str
    change: Change


class Delivery(msgspec.Struct, frozen=True):
    """One call that was made: what was sent, and the answer's status (0: none in time)."""

    at: datetime
    body: bytes
    signature: str
    status: int


class Sender:
    """Holds what is to be told and tells it when `pump` is called. `style` auto: CloudEvents from August 2026 on.
    `repeats` > 0 sends each event that often again; `reverse` tells the newest of a call first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.url: str | None = None
        self.verifier = ""
        self.style: Style = "auto"
        self.repeats = 0
        self.reverse = False
        self.waiting: list[Notice] = []
        self.deliveries: list[Delivery] = []
        self.failures = 0
        self._not_before: datetime | None = None
        self._count = 0
        self._busy = asyncio.Lock()

    def subscribe(self, url: str | None, verifier: str, style: Style = "auto") -> None:
        """Tell this address from now on; None: nobody."""
        self.url, self.verifier, self.style = url, verifier, style
        self.failures, self._not_before = 0, None

    def watcher(self, realm: str) -> Callable[[Change], None]:
        """What a company calls after each change."""

        def note(change: Change) -> None:
            if self.url is not None and change.entity not in SILENT:
                self._count += 1
                self.waiting.append(Notice(str(UUID(int=self._count)), realm, change))

        return note

    # ----------------------------------------------------------------- bodies

    def body(self, notices: list[Notice]) -> bytes:
        """The bytes of a call: an array of CloudEvents, or the older envelope."""
        cloud = self.style == "cloudevents" or (self.style == "auto" and self.clock.now() >= CLOUD_EVENTS_FROM)
        return msgspec.json.encode([_cloud_event(each) for each in notices] if cloud else _legacy(notices))

    def signature(self, body: bytes) -> str:
        """The intuit-signature header: base64 of HMAC-SHA256 over the raw body."""
        return base64.b64encode(hmac.digest(self.verifier.encode(), body, hashlib.sha256)).decode()

    # ----------------------------------------------------------------- delivering

    @property
    def due(self) -> bool:
        waits = self._not_before is not None and self.clock.now() < self._not_before
        return self.url is not None and bool(self.waiting) and not waits

    async def pump(self) -> int:
        """Make the calls that are due; how many were answered with 200."""
        delivered = 0
        async with self._busy:
            while self.due:
                if not await self._call():
                    break
                delivered += 1
        return delivered

    async def _call(self) -> bool:
        notices = list(self.waiting)
        told = [each for each in notices for _ in range(1 + self.repeats)]
        body = self.body(told[::-1] if self.reverse else told)
        status = await self._post(body)
        self.deliveries.append(Delivery(self.clock.now(), body, self.signature(body), status))
        if status == 200:
            del self.waiting[: len(notices)]
            self.failures, self._not_before = 0, None
            return True
        wait_s = LADDER_S[min(self.failures, len(LADDER_S) - 1)]
        self.failures += 1
        self._not_before = self.clock.now() + timedelta(seconds=wait_s)
        return False

    async def _post(self, body: bytes) -> int:
        headers = {"intuit-signature": self.signature(body), "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(str(self.url), data=body, headers=headers) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0


def _cloud_event(notice: Notice) -> dict[str, Any]:
    change = notice.change
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": f"qbo.{change.entity.lower()}.{change.what}.v1",
        "datacontenttype": "application/json",
        "time": change.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "intuitentityid": change.id,
        "intuitaccountid": notice.realm,
        "data": {},
    }


def _legacy(notices: list[Notice]) -> dict[str, Any]:
    by_realm: dict[str, list[dict[str, Any]]] = {}
    for notice in notices:
        change = notice.change
        entity = {
            "name": change.entity,
            "id": change.id,
            "operation": _LEGACY[change.what],
            "lastUpdated": change.at.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        by_realm.setdefault(notice.realm, []).append(entity)
    return {
        "eventNotifications": [
            {"realmId": realm, "dataChangeEvent": {"entities": entities}} for realm, entities in by_realm.items()
        ]
    }
