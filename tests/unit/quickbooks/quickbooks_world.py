"""A QuickBooks company on loopback with a connector in front of it, and how to look at what it tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import Deps, Page, Token
from connectors.quickbooks.connector import QuickBooks
from connectors.quickbooks.sandbox import QuickBooksSandbox
from connectors.quickbooks.sandbox.server import CLIENT_ID, CLIENT_SECRET

KINDS = (Kind.CUSTOMER, Kind.ITEM, Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)
START = datetime(2026, 10, 5, 17, 30, tzinfo=UTC)


class CountedCalls:
    """A `contract.Calls` that can be looked at."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def count(self, operation: str, *, write: bool) -> None:
        self.counted[operation] += 1


class World(msgspec.Struct):
    """A sandbox company and a connector to it."""

    sandbox: QuickBooksSandbox
    deps: Deps
    calls: CountedCalls
    books: QuickBooks

    def another(self, **settings: str) -> QuickBooks:
        """A fresh connector to the same company, as after a restart."""
        return QuickBooks.open(self.settings() | settings, self.deps)

    def settings(self) -> dict[str, str]:
        url = self.sandbox.url
        return {"realm_id": self.sandbox.realm, "base_url": url, "token_url": f"{url}/oauth2/v1/tokens/bearer"}

    async def pages(self, cursors: Mapping[Kind, str | None]) -> list[Page]:
        return [page async for page in self.books.changes(cursors)]


def token_of(sandbox: QuickBooksSandbox) -> Token:
    given = sandbox.token()
    return Token(
        access=given["access_token"],
        refresh=given["refresh_token"],
        expires_at=sandbox.clock.now() + timedelta(seconds=given["expires_in"]),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )


def cursors_of(pages: list[Page]) -> dict[Kind, str | None]:
    """Each kind's last cursor."""
    return {kind: cursor for page in pages for kind, cursor in page.cursors.items()}


def records_of(pages: list[Page], kind: Kind) -> dict[str, AnyRecord]:
    """The last that was told of each record of a kind."""
    return {each.ref: each for page in pages for each in page.records if type(each).__struct_config__.tag == kind}


NOTHING: dict[Kind, str | None] = dict.fromkeys(KINDS)
