"""What goes wrong between a connector and a vendor with a sandbox, and what each must come to.

A cell is a fault, an operation and a kind; in a cell the fault happens once to each call that the operation makes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from connectors.canon.fields import read
from connectors.canon.records import Kind, encode
from connectors.hubspot.vendor import SCOPES
from connectors.kit.contract import Act, Connector, Deps, Done, Outcome, Token, Tombstone, Write
from connectors.kit.oauth import MemoryTokens
from connectors.kit.sandbox import Fault
from connectors.kit.sandbox.faults import (
    cut_body,
    cut_chunks,
    delay,
    drop_before,
    expire_token,
    html_502,
    lose_answer,
    status,
)
from tests.contract.clauses import creating, cursor_after, got, keyed, pages, seen, updating
from tests.contract.harness import Calls
from tests.contract.http_harness import SECRET, HttpHarness
from tests.contract.hubspot_harness import HubSpotHarness
from tests.contract.quickbooks_harness import QuickBooksHarness

Ends: TypeAlias = Literal["right", "waits", "try later", "not allowed"]
Says: TypeAlias = Literal["done", "doubt", "wait", "allow"]
TOLD_WAIT_S = 7.0


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor says no: the bodies of its 429, 403 and 500, and for how long it wants peace when its 429 tells
    no time."""

    too_many: Any
    forbidden: Any
    broken: Any
    peace_s: float


class Counted(MemoryTokens):
    """Tokens in memory, with a count of the renewals, and all that were ever current, in order."""

    def __init__(self, token: Token) -> None:
        super().__init__(token)
        self.renewals = 0
        self.kept = [token]

    async def renewed(self, stale: Token, renew: Any) -> Token:
        async def counted(token: Token) -> Token:
            self.renewals += 1
            fresh: Token = await renew(token)
            self.kept.append(fresh)
            return fresh

        return await super().renewed(stale, counted)


class _Renewing(HttpHarness):
    """A harness whose login can be renewed; the last connector's tokens are `tokens`."""

    manners: Manners
    tokens: Counted

    async def start(self) -> None:
        await super().start()
        self.sandbox.limits = False  # or the many who look would be told to wait, too

    async def reopened(self) -> Connector:
        self.tokens = Counted(self.token())
        deps = Deps(session=self.session, tokens=self.tokens, clock=self.clock, calls=Calls())
        return self.open(self.settings(), deps)


class RenewingHubSpot(_Renewing, HubSpotHarness):
    """HubSpot by OAuth. Bodies: ../shared/reference/hubspot.md, 3 and 8."""

    kinds = (Kind.CUSTOMER, Kind.ITEM, Kind.DEAL)
    manners = Manners(
        too_many={"status": "error", "message": "You have reached your ten_secondly_rolling limit.",
                  "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"},
        forbidden={"status": "error", "message": "This app hasn't been granted all required scopes",
                   "category": "MISSING_SCOPES"},
        broken={"status": "error", "message": "internal error", "category": "INTERNAL_ERROR"},
        peace_s=10,
    )  # fmt: skip

    def listen(self, url: str | None) -> None:
        """One event for each record that is made."""
        self.sandbox.webhooks.url, self.sandbox.webhooks.types = url, frozenset({"company.creation"})

    async def deliver(self) -> None:
        await self.sandbox.webhooks.deliver()

    def token(self) -> Token:
        """As if a person had just said yes."""
        account, authority = self.sandbox.portal.account, self.sandbox.authority
        refresh = f"refresh-{len(authority._refresh)}"
        authority._refresh[refresh] = frozenset(SCOPES)
        given = authority._issued("v1", refresh, frozenset(SCOPES))
        return Token(
            access=given["access_token"],
            refresh=refresh,
            expires_at=self.clock.now() + timedelta(seconds=given["expires_in"]),
            client_id=account.client_id,
            client_secret=account.client_secret,
        )


class RenewingQuickBooks(_Renewing, QuickBooksHarness):
    """QuickBooks. Bodies: ../shared/reference/quickbooks.md, 5 and 6."""

    manners = Manners(
        too_many={"Fault": {"Error": [{"Message": "message=ThrottleExceeded; errorCode=003001", "code": "3001"}],
                            "type": "LIMIT"}},
        forbidden={"Fault": {"Error": [{"Message": "message=ApplicationAuthorizationFailed; errorCode=003100",
                                        "code": "3100"}], "type": "AuthorizationFault"}},
        broken={"Fault": {"Error": [{"Message": "An application error has occurred", "code": "10000"}],
                          "type": "SystemFault"}},
        peace_s=60,
    )  # fmt: skip

    def listen(self, url: str | None) -> None:
        self.sandbox.webhooks.subscribe(url, SECRET)

    async def deliver(self) -> None:
        await self.sandbox.deliver_webhooks()

    def settings(self) -> dict[str, str]:
        return {**super().settings(), "page": "100"}


SYSTEMS: dict[str, Callable[[], _Renewing]] = {"hubspot": RenewingHubSpot, "quickbooks": RenewingQuickBooks}


@asynccontextmanager
async def harness(system: str) -> AsyncIterator[Any]:
    made = SYSTEMS[system]()
    await made.start()
    try:
        yield made
    finally:
        await made.close()


# --------------------------------------------------------------------------- faults


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong. `fault` makes it for the nth call to a path. A read that meets it `reads`; a write
    `says`, after which the vendor has done it or not (`commits`). `calls`: how often the write then arrived."""

    fault: Callable[[Manners, str, str, int], Fault]
    reads: Ends = "right"
    says: Says
    commits: bool = False
    calls: int = 1


TROUBLES: dict[str, Trouble] = {
    "the answer is lost": Trouble(fault=lambda m, v, p, n: lose_answer(v, p, nth=n), says="doubt", commits=True),
    "the line is cut before": Trouble(fault=lambda m, v, p, n: drop_before(v, p, nth=n), says="doubt"),
    "the answer is late": Trouble(fault=lambda m, v, p, n: delay(0.02, v, p, nth=n), says="done", commits=True),
    "500": Trouble(fault=lambda m, v, p, n: status(500, v, p, nth=n, body=m.broken), says="doubt"),
    "a proxy's page": Trouble(fault=lambda m, v, p, n: html_502(v, p, nth=n), says="doubt"),
    "half a body": Trouble(fault=lambda m, v, p, n: cut_body(v, p, nth=n), says="doubt", commits=True),
    "half the chunks": Trouble(fault=lambda m, v, p, n: cut_chunks(v, p, nth=n), says="doubt", commits=True),
    "an empty 200": Trouble(
        fault=lambda m, v, p, n: status(200, v, p, nth=n, body="", headers={"Content-Type": "application/json"}),
        says="doubt",
    ),
    "429 with a time": Trouble(
        fault=lambda m, v, p, n: status(
            429, v, p, nth=n, body=m.too_many, headers={"Retry-After": f"{TOLD_WAIT_S:.0f}"}
        ),
        reads="waits",
        says="wait",
    ),
    "429 without": Trouble(
        fault=lambda m, v, p, n: status(429, v, p, nth=n, body=m.too_many), reads="waits", says="wait"
    ),
    "the token expires": Trouble(
        fault=lambda m, v, p, n: expire_token(v, p, nth=n), says="done", commits=True, calls=2
    ),
    "403": Trouble(
        fault=lambda m, v, p, n: status(403, v, p, nth=n, times=None, body=m.forbidden),
        reads="not allowed",
        says="allow",
    ),
    "503 for ever": Trouble(
        fault=lambda m, v, p, n: status(503, v, p, nth=n, times=None, body=""), reads="try later", says="doubt"
    ),
}


# --------------------------------------------------------------------------- reads


Read: TypeAlias = Callable[[HttpHarness, Connector, Kind, "Stands"], Awaitable[Any]]


class Stands(msgspec.Struct, frozen=True):
    """What stands at the vendor before a cell: two records a person added, the value one is found by, a cursor and a
    mark from before them."""

    refs: list[str]
    value: str | None
    cursor: str | None
    mark: str


async def _changes(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return _told(seen(await pages(connector, kind, None)))


async def _news(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return _told(seen(await pages(connector, kind, stands.cursor)))


async def _get(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return _told(await connector.get(kind, [*stands.refs, "999999"]))


async def _find(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    if stands.value is None:
        return None
    found = await connector.find(kind, h.find_path[kind], [stands.value, "nobody"])
    return {value: sorted(r.ref for r in records) for value, records in found.items() if records}


async def _by_marker(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    found = await connector.by_marker(kind, ["m-standing", "m-none"])
    return {marker: sorted(r.ref for r in records) for marker, records in found.items() if records}


async def _mark(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return bool(await connector.mark(kind))


async def _created_since(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return sorted(record.ref for record in await connector.created_since(kind, stands.mark))


async def _catalogue(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    return msgspec.to_builtins(await connector.catalogue())


async def _figures(h: HttpHarness, connector: Connector, kind: Kind, stands: Stands) -> Any:
    today = h.clock.now().date()
    found = await connector.figures(today.replace(day=1), today)
    return None if found is None else (found.receivable_control, [(c.kind, c.number) for c in found.counts])


READS: dict[str, Read] = {
    "changes": _changes,
    "news": _news,
    "get": _get,
    "find": _find,
    "by_marker": _by_marker,
    "mark": _mark,
    "created_since": _created_since,
    "catalogue": _catalogue,
    "figures": _figures,
}


def _told(records: Mapping[str, Any]) -> dict[str, Any]:
    return {ref: record if isinstance(record, Tombstone) else encode(record) for ref, record in records.items()}


async def standing(h: _Renewing, kind: Kind) -> Stands:
    """Set the vendor up, and let its search see it."""
    connector = await h.reopened()
    cursor = cursor_after(await pages(connector, kind, None), kind)
    await h.advance(max(60, h.of(kind).overlap_s))
    mark = await (await h.reopened()).mark(kind)
    refs = [await h.person_adds(kind, f"standing {number}") for number in range(2)]
    if "create" in h.of(kind).operations:
        connector = await h.reopened()
        (made,) = await connector.write([creating(h.sample(kind, "Standing"), "m-standing")], "key-standing")
        assert isinstance(made, Done), made
        refs.append(made.ref)
    await h.advance(h.of(kind).search_delay_s + 1)
    value = read(await got_by(await h.reopened(), kind, refs[0]), h.find_path[kind]) if kind in h.find_path else None
    return Stands(refs, value if isinstance(value, str) else None, cursor, mark)


async def got_by(connector: Connector, kind: Kind, ref: str) -> Any:
    return (await connector.get(kind, [ref]))[ref]


# --------------------------------------------------------------------------- calls


class Meets(msgspec.Struct, frozen=True):
    """One call of an operation: the `nth` to its path. `writes`: it is the write itself; `bare`: a yes to
    it has no body."""

    method: str
    path: str
    nth: int
    writes: bool
    bare: bool = False

    @property
    def pattern(self) -> str:
        return "^" + re.escape(self.path) + r"(\?|$)"


async def calls_of(h: HttpHarness, work: Awaitable[Any]) -> tuple[Any, list[Meets]]:
    """What an undisturbed operation gives, and the calls that it made."""
    h.sandbox.requests.clear()
    result = await work
    counted: dict[tuple[str, str], int] = {}
    met = []
    for one in h.sandbox.requests:
        key = (one.method, one.path)
        counted[key] = counted.get(key, 0) + 1
        writes = one.method != "GET" and re.search(h.write_path, one.path) is not None
        met.append(Meets(one.method, one.path, counted[key], writes, one.status == 204))
    return result, met


# --------------------------------------------------------------------------- writes


async def a_write(h: _Renewing, kind: Kind, operation: str, label: str) -> Write | None:
    """A write of this kind and operation; None: the system knows none."""
    if operation == "create":
        return creating(h.sample(kind, label), f"m-{label}") if "create" in h.of(kind).operations else None
    if operation not in h.of(kind).operations:
        return None
    ref = await _ready(h, kind, label)
    before = await got(h, kind, ref)
    if operation == "update":
        return updating(h, kind, before, f"text of {label}")
    return Act(kind=kind, ref=ref, version=before.version, operation=operation, key=f"k-{label}")  # type: ignore[arg-type]  # one of them


async def _ready(h: _Renewing, kind: Kind, label: str) -> str:
    if "create" not in h.of(kind).operations:
        return await h.person_adds(kind, label)
    (made,) = await h.connector.write([creating(h.sample(kind, label), f"m-{label}")], f"key-{label}")
    assert isinstance(made, Done), made
    return made.ref


async def is_done(h: _Renewing, kind: Kind, write: Write, before: int) -> bool:
    """Whether the vendor has done it, looked at by somebody who had no trouble. A create that was done twice, or
    half, is an error."""
    looking = await h.reopened()
    if isinstance(write, Act):
        record = (await looking.get(kind, [write.ref])).get(write.ref)
        gone = record is None or isinstance(record, Tombstone)
        return gone or getattr(record, "state", None) == "void" or getattr(record, "active", True) is False
    if hasattr(write, "after"):
        path = h.text_path[kind]
        now = read(await got_by(looking, kind, write.ref), path)
        assert keyed(kind, path, now) in (keyed(kind, path, write.after[path]), keyed(kind, path, write.before[path]))
        return keyed(kind, path, now) == keyed(kind, path, write.after[path])
    made = await count(h, kind) - before
    assert made in (0, 1), f"{made} records were made"
    return made == 1


async def count(h: _Renewing, kind: Kind) -> int:
    """Records of the kind at the vendor."""
    return len(seen(await pages(await h.reopened(), kind, None)))


def said(outcome: Outcome) -> str:
    """What an outcome is called in the table."""
    name = type(outcome).__name__
    return {"Done": "done", "InDoubt": "doubt", "NotSent": getattr(outcome, "next", "")}.get(name, name)
