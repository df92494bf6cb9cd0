"""HubSpot's stand-in on loopback: its public API over one portal held in memory.

It follows the public documentation, limits and quirks included, and is never kinder than it: where the
documentation leaves something open, the answer that asks more of a caller was taken.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from aiohttp import web

from connectors.hubspot.sandbox.calls import Answer, Call, object_type
from connectors.hubspot.sandbox.catalogue import OBJECT_TYPES, Account
from connectors.hubspot.sandbox.hands import Hands
from connectors.hubspot.sandbox.index import Record
from connectors.hubspot.sandbox.limits import Limits
from connectors.hubspot.sandbox.links import Tie
from connectors.hubspot.sandbox.oauth import Authority, BadAuthorization, Grant, OAuthRefusal, require
from connectors.hubspot.sandbox.page import rendered
from connectors.hubspot.sandbox.portal import Origin, Portal
from connectors.hubspot.sandbox.refusals import Body, Refusal, invalid, rate_limited, token_expired
from connectors.hubspot.sandbox.routes import ROUTES, Route, needed, paths
from connectors.hubspot.sandbox.search import Finder
from connectors.hubspot.sandbox.values import epoch_ms, iso
from connectors.hubspot.sandbox.webhooks import Webhooks
from connectors.kit.sandbox import Faults, RateLimiter, Sandbox, VirtualClock, Welcome, reply

URL_MAX = 8_000
OAUTH = "/oauth/{version:v1|v3|2026-03|2026-09}"

Endpoint: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HubSpotSandbox(Hands, Sandbox):
    """One HubSpot account. `index_delay_s` is how long search does not see a change; `account` how the portal is
    set up. Webhooks go out once `webhooks.url` is set."""

    name = "hubspot"
    welcome = Welcome(
        settings={"base_url": "", "app_url": ""},
        token=next(iter(Account().private_tokens)),
        client_id=Account().client_id,
        client_secret=Account().client_secret,
    )

    def __init__(
        self,
        clock: VirtualClock | None = None,
        limits: bool = True,
        faults: Faults | None = None,
        *,
        account: Account | None = None,
        index_delay_s: float = 5.0,
        webhook_deadline_s: float = 5.0,
        seed: int = 1,
    ) -> None:
        super().__init__(clock, limits, faults)
        self.index_delay_s = index_delay_s
        self._numbers = itertools.count(1)
        self._random = random.Random(seed)  # noqa: S311 - ids and jitter of a sandbox, not secrets
        setup = account if account is not None else Account()
        self.webhooks = Webhooks(setup, self.clock, self._random, webhook_deadline_s)
        self.set_account(setup)

    def set_account(self, account: Account) -> None:
        """Set the portal up anew, without records and tokens. Where webhooks go stays."""
        self.webhooks.account = account
        self.authority = Authority(account, self._now_ms, self._new_id)
        self.windows = Limits(account, self.clock)
        self.portal = Portal(account, self._now_ms, self.webhooks.hear, self._delay_ms)
        self.finders = {name: self._finder(name) for name in OBJECT_TYPES}

    def _finder(self, name: str) -> Finder:
        table = self.portal.tables[name]

        def near(record_id: int, target: str) -> set[int]:
            return set(self.portal.near(name, record_id, target))

        return Finder(table.index, table.kind.modified, near)

    def _now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def _delay_ms(self) -> int:
        return round(self.index_delay_s * 1000)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    # serving ------------------------------------------------------------------------------------

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The vendor's API, its OAuth pages, the page at `/` and the controls under `/_sandbox/`."""
        api = [web.route(r.method, path, self._endpoint(r)) for r in ROUTES for path in paths(r)]
        return [*api, *self._oauth_routes(), web.get("/", self._page), *self._own_control_routes()]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, and deliver webhooks by itself. Returns the address."""
        url = await super().start(host, port)
        self.webhooks.run()
        return url

    async def stop(self) -> None:
        """Stop serving and sending."""
        await self.webhooks.halt()
        await super().stop()

    def _endpoint(self, route: Route) -> Endpoint:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                done = route.handler(await self._call(route, request))
            except Refusal as no:
                return reply(no.render(self._correlation_id()), no.status)
            return _reply(done)

        return answer

    async def _call(self, route: Route, request: web.Request) -> Call:
        """Check token, scopes and body of a request. Raises Refusal."""
        if len(request.path_qs) > URL_MAX:
            raise Refusal(414, "VALIDATION_ERROR", "URI Too Long")
        grant = self.authority.grant(request.headers.get("Authorization"))
        for alternatives in needed(route.mode, request.match_info):
            require(grant, alternatives)
        raw = await request.read()
        return Call(
            portal=self.portal,
            finders=self.finders,
            version=request.match_info["version"],
            match=request.match_info,
            query=request.query,
            body=_json(request, raw) if route.method in {"POST", "PATCH"} or raw else None,
            size=len(raw),
            origin=Origin("INTEGRATION", str(self.portal.account.app_id)),
            stale=self.stale,
            address=str(request.url.with_query(None)),
        )

    def _correlation_id(self) -> str:
        return str(uuid.UUID(int=next(self._numbers)))

    # limits -------------------------------------------------------------------------------------

    def _grant_of(self, request: web.Request) -> Grant | None:
        return self.authority.known(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def limiters_for(self, request: web.Request) -> Sequence[RateLimiter]:
        """The windows of the token; what has no known token is refused before it counts."""
        grant = self._grant_of(request)
        return () if grant is None else self.windows.windows(grant, search=_is_search(request))

    def over_limit(self, request: web.Request, limiter: RateLimiter) -> web.Response:
        return reply(rate_limited(limiter.name, self._correlation_id()), 429)

    def login_expired(self, request: web.Request) -> web.Response:
        return reply(token_expired(0, iso(self._now_ms())).render(self._correlation_id()), 401)

    def disturb_webhooks(self, *, twice: bool = False, disorder: bool = False) -> None:
        self.webhooks.duplicate, self.webhooks.disorder = twice, disorder

    def dress(self, request: web.Request, response: web.StreamResponse) -> None:
        """Rate limit headers on every answer with a token, but none on search or without limits; the date is ours."""
        grant = self._grant_of(request)
        response.headers["Date"] = format_datetime(self.clock.now(), usegmt=True)
        response.headers["X-HubSpot-Correlation-Id"] = self._correlation_id()
        if grant is not None and self.limits and not _is_search(request):
            response.headers.update(self.windows.headers(grant))

    # OAuth --------------------------------------------------------------------------------------

    def _oauth_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/oauth/authorize", self._authorize),
            web.get("/oauth/{portal:[0-9]+}/authorize", self._authorize),
            web.post(f"{OAUTH}/token", self._form(self._token)),
            web.post(f"{OAUTH}/token/introspect", self._form(lambda _, form: self.authority.introspect(form))),
            web.post(f"{OAUTH}/token/revoke", self._form(lambda _, form: self.authority.revoke(form))),
            web.delete("/oauth/{version:v1}/refresh-tokens/{token}", self._forget),
        ]

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        try:
            goes_to = self.authority.authorize(request.query)
        except BadAuthorization as no:
            return web.Response(status=400, text=f"Authorization failed: {no}")
        return web.Response(status=302, headers={"Location": goes_to})

    def _form(self, act: Callable[[str, Mapping[str, str]], Answer]) -> Endpoint:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.content_type != "application/x-www-form-urlencoded":
                refusal = Refusal(415, "VALIDATION_ERROR", "Unsupported Media Type: a form is required")
                return reply(refusal.render(self._correlation_id()), 415)
            form = {name: str(value) for name, value in (await request.post()).items()}
            return self._oauth_reply(lambda: act(request.match_info["version"], form))

        return answer

    def _token(self, version: str, form: Mapping[str, str]) -> Answer:
        return self.authority.token(version, form, rotate=self.rotating)

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        return self._oauth_reply(lambda: self.authority.forget(request.match_info["token"]))

    def _oauth_reply(self, act: Callable[[], Answer]) -> web.Response:
        try:
            return _reply(act())
        except OAuthRefusal as no:
            return reply(no.render(self._correlation_id()), no.status)

    # by hand, from outside ----------------------------------------------------------------------

    def _own_control_routes(self) -> list[web.RouteDef]:
        acts: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "add": lambda m: {"id": self.add(m["object"], m["properties"], m.get("ties"))},
            "edit": lambda m: self.edit(m["object"], str(m["id"]), **m["properties"]),
            "archive": lambda m: self.archive(m["object"], str(m["id"])),
            "restore": lambda m: self.restore(m["object"], str(m["id"])),
            "merge": lambda m: {"id": self.merge(m["object"], str(m["primary"]), str(m["other"]))},
            "erase": lambda m: self.erase(str(m["id"])),
            "tie": lambda m: self.tie(m["object"], str(m["id"]), m["target"], str(m["target_id"])),
            "untie": lambda m: self.untie(m["object"], str(m["id"]), m["target"], str(m["target_id"])),
            "uninstall": lambda m: self.authority.uninstall(),
            "webhooks": self._set_webhooks,
        }
        return [web.post(f"/_sandbox/{name}", self._hand(act)) for name, act in acts.items()]

    def _hand(self, act: Callable[[Mapping[str, Any]], Any]) -> Endpoint:
        async def answer(request: web.Request) -> web.StreamResponse:
            by_form = request.content_type == "application/x-www-form-urlencoded"
            try:
                message = await self._from_form(request) if by_form else msgspec.json.decode(await request.read())
                done = act(message)
            except Refusal as no:
                return self._show(no.message, 400) if by_form else reply(no.render(self._correlation_id()), 400)
            except (msgspec.DecodeError, KeyError, TypeError, ValueError) as wrong:
                return reply({"message": f"not understood: {wrong!r}"}, 400)
            return web.Response(status=303, headers={"Location": "/"}) if by_form else reply(done or {})

        return answer

    async def _from_form(self, request: web.Request) -> dict[str, Any]:
        """A form of the page: what differs from what is held is the edit."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        kind, record_id = form.pop("object"), form.pop("id")
        held = self.properties(kind, record_id)
        return {
            "object": kind,
            "id": record_id,
            "properties": {name: value for name, value in form.items() if held.get(name, "") != value},
        }

    async def _page(self, request: web.Request) -> web.Response:
        return self._show("", 200)

    def _show(self, message: str, status: int) -> web.Response:
        return web.Response(text=rendered(self.portal, message), status=status, content_type="text/html")

    def _set_webhooks(self, message: Mapping[str, Any]) -> None:
        hooks = self.webhooks
        hooks.url = message.get("url", hooks.url)
        hooks.types = frozenset(message["types"]) if message.get("types") else hooks.types
        hooks.duplicate = message.get("duplicate", hooks.duplicate) is True
        hooks.disorder = message.get("disorder", hooks.disorder) is True

    # state --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """All records, archived ones too, and the associations of each."""
        return {name: [self._state_of(name, r) for r in t.records.values()] for name, t in self.portal.tables.items()}

    def _state_of(self, name: str, record: Record) -> Body:
        ties = {
            target: [{"id": str(i), "types": sorted(types)} for i, types in held.items()]
            for target in OBJECT_TYPES
            if (held := self.portal.links.targets(name, record.id, target))
        }
        return {
            "id": str(record.id),
            "archivedAt": record.archived_at,
            "properties": record.properties,
            "associations": ties,
        }

    def load(self, state: Any) -> None:
        """Take over a folder of seeds, or what `state` gave. Raises ValueError."""
        if isinstance(state, Path):
            return self.load_folder(state)
        try:
            self._load_state(state)
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ValueError(f"this is not a state of the HubSpot sandbox: {wrong!r}") from wrong
        return None

    def _load_state(self, state: Mapping[str, list[Body]]) -> None:
        self.reset()
        for name, records in state.items():
            table = self.portal.tables[object_type(name).name]
            table.fill(Record(int(r["id"]), dict(r["properties"]), r.get("archivedAt")) for r in records)
        for name, records in state.items():
            for record in records:
                for target, held in record.get("associations", {}).items():
                    for end in held:
                        self.portal.links.tie(Tie(name, int(record["id"]), target, int(end["id"])), end["types"])

    def reset(self) -> None:
        """Forget all records, custom properties and webhooks not yet sent; logins stay good."""
        authority = self.authority
        self.set_account(self.portal.account)
        self.authority = authority
        self.webhooks.forget()


def _reply(answer: Answer) -> web.Response:
    return web.Response(status=204) if answer.body is None else reply(answer.body, answer.status)


def _is_search(request: web.Request) -> bool:
    return request.method == "POST" and request.path.endswith("/search") and request.path.startswith("/crm/")


def _json(request: web.Request, raw: bytes) -> Any:
    """The body as JSON. Raises Refusal: 415 without a JSON content type, 400 for what is not JSON."""
    if request.content_type != "application/json":
        raise Refusal(415, "VALIDATION_ERROR", "Unsupported Media Type: application/json is required")
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as bad:
        raise invalid(f"Invalid input JSON: {bad}") from bad
