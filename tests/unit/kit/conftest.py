"""A small vendor on loopback, a clock that stands still, and an Http in front of both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import stamina
from aiohttp import web

from connectors.kit.contract import Deps, Token
from connectors.kit.http import Answer, Explanation, Http, Limit, Pace
from connectors.kit.oauth import MemoryTokens
from connectors.kit.sandbox import RateLimiter, Sandbox, VirtualClock, read_json, reply


class Notes(Sandbox):
    """Keeps notes. `accepted` is the token it takes (None: any)."""

    name = "notes"

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.notes: list[Any] = []
        self.accepted: str | None = None
        self.refresh = 0
        self.written = asyncio.Event()
        self.windows = [RateLimiter("minute", 3, 60, self.clock)]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/notes", self.listing),
            web.get("/limited", self.listing),
            web.get("/notes/{id}", self.one),
            web.route("*", "/write", self.write),
            web.post("/token", self.token),
        ]

    def limiters_for(self, request: web.Request) -> list[RateLimiter]:
        return self.windows if request.path == "/limited" else []

    def _refused(self, request: web.Request) -> bool:
        return self.accepted is not None and request.headers.get("Authorization") != f"Bearer {self.accepted}"

    async def listing(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return reply({"message": "who are you?"}, 401)
        notes = self.notes[:-1] if self.stale else self.notes
        return reply({"notes": notes, "asked": dict(request.query)})

    async def one(self, request: web.Request) -> web.Response:
        index = int(request.match_info["id"])
        if index >= len(self.notes):
            return reply({"message": "no such note"}, 404)
        return reply(self.notes[index])

    async def write(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return reply({"message": "who are you?"}, 401)
        self.notes.append(await read_json(request) if request.can_read_body else None)
        self.written.set()
        return reply({"id": len(self.notes) - 1}, headers={"X-Request-Id": f"r-{len(self.notes)}"})

    async def token(self, request: web.Request) -> web.Response:
        self.refresh += self.rotating
        return reply({"refresh": f"r-{self.refresh}"})

    def state(self) -> Any:
        return {"notes": self.notes}

    def load(self, state: Any) -> None:
        self.notes = list(state["notes"])

    def reset(self) -> None:
        self.notes = []


class CountedCalls:
    """A `contract.Calls` that can be looked at."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, bool]] = Counter()

    def count(self, operation: str, *, write: bool) -> None:
        self.counted[operation, write] += 1


def bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.access}"}


@pytest.fixture(autouse=True)
def _no_backing_off() -> Any:
    """Retries follow at once, five attempts at most as in real life."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(fixed=True)


@pytest.fixture
def calls() -> CountedCalls:
    return CountedCalls()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def notes(clock: VirtualClock) -> AsyncIterator[Notes]:
    async with Notes(clock=clock) as serving:
        yield serving


FIRST = Token(access="t-1")
MakeHttp = Callable[..., Http]


@pytest.fixture
def make_http(session: aiohttp.ClientSession, clock: VirtualClock, calls: CountedCalls) -> MakeHttp:
    def make(
        base_url: str,
        *,
        token: Token = FIRST,
        renew: Any = None,
        limits: tuple[Limit, ...] = (),
        explain: Callable[[Answer], Explanation | None] = lambda answer: None,
        deadline_s: float = 5,
    ) -> Http:
        return Http(
            Deps(session=session, tokens=MemoryTokens(token), clock=clock, calls=calls),
            system="notes",
            base_url=base_url,
            authorise=bearer,
            renew=renew,
            pace=Pace(limits, clock),
            explain=explain,
            request_id_header="X-Request-Id",
            deadline_s=deadline_s,
        )

    return make
