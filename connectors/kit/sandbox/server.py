"""The server that a vendor's sandbox derives from: routes from the vendor, everything else from here."""

from __future__ import annotations

import abc
import asyncio
import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

import msgspec
from aiohttp import web

from connectors.kit.sandbox.clock import VirtualClock
from connectors.kit.sandbox.faults import Fault, Faults
from connectors.kit.sandbox.limiter import RateLimiter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STALE: ContextVar[bool] = ContextVar("stale", default=False)
_ROTATING: ContextVar[bool] = ContextVar("rotating", default=False)
CONTROL = "/_sandbox/"
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def reply(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer. Decimals go out as JSON numbers with all their digits."""
    answer = web.Response(body=_ENCODER.encode(data), status=status, headers=headers)
    answer.content_type = "application/json"
    return answer


async def read_json(request: web.Request, type: Any = None) -> Any:
    """The request's JSON body; numbers with a point as Decimal. `type`: any type that msgspec decodes to (None:
    whatever came). Raises msgspec.DecodeError, also if the body is empty."""
    body = await request.read()
    return _DECODER.decode(body) if type is None else msgspec.json.decode(body, type=type)


class _HungUp(web.Response):
    """Never seen by anybody: the connection is closed."""


class _CutShort(web.StreamResponse):
    """Half an answer."""


class Seen(msgspec.Struct, frozen=True):
    """One request that came in. `status` 0: the connection was closed without a whole answer."""

    method: str
    path: str
    query: str
    status: int
    at: datetime


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect to a sandbox: the connection's settings, each with a path below the sandbox's address, and a
    login that opens nothing else."""

    settings: Mapping[str, str]
    token: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class Sandbox(abc.ABC):
    """A vendor's stand-in on loopback.

    A vendor's sandbox gives `routes()`, and as it needs: `limiters_for` (the windows a request counts against),
    `over_limit` (the vendor's own 429), `login_expired` (its own 401), `dress` (headers on every answer),
    `disturb_webhooks`, `state`/`load`/`reset`. Its handlers read `self.clock`, answer with `reply`, and honour
    `self.stale` and `self.rotating`. `limits=False`: no rate limits.

    Control from another process, never counted, limited or harmed by faults:
    POST /_sandbox/clock/advance {"seconds": 60}; GET, POST and DELETE /_sandbox/faults (POST adds one fault or a
    list: [{"how": "lose_answer", "method": "POST", "path": "/invoice"}]); GET /_sandbox/requests; POST
    /_sandbox/reset; GET and POST /_sandbox/state."""

    name = "sandbox"
    welcome: ClassVar[Welcome] = Welcome(settings={"base_url": ""})

    def __init__(self, clock: VirtualClock | None = None, limits: bool = True, faults: Faults | None = None) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        self.limits = limits
        self.faults = faults if faults is not None else Faults()
        self.requests: deque[Seen] = deque(maxlen=10_000)
        self.by_path: Counter[str] = Counter()
        self.calls = 0
        self.url = ""
        self._answers: OrderedDict[tuple[str, str], web.Response] = OrderedDict()
        self._expired: set[str] = set()
        self._runner: web.AppRunner | None = None

    @abc.abstractmethod
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The vendor's routes, e.g. `[web.get("/v3/x/{id}", self.get_x)]`."""

    @property
    def stale(self) -> bool:
        """Whether the request that is being handled shall see the state before the last write (fault `stale`)."""
        return _STALE.get()

    @property
    def rotating(self) -> bool:
        """Whether the refresh token of the request that is being handled is good once only (fault `rotate_token`)."""
        return _ROTATING.get()

    def limiters_for(self, request: web.Request) -> Sequence[RateLimiter]:
        """The windows that a request counts against; the first that refuses gives the answer."""
        return ()

    def over_limit(self, request: web.Request, limiter: RateLimiter) -> web.Response:
        """The vendor's answer to a call over the limit."""
        return reply({"message": "over the limit"}, 429, {"Retry-After": str(int(limiter.wait_s) + 1)})

    def login_expired(self, request: web.Request) -> web.Response:
        """The vendor's answer to an access token that has expired."""
        return reply({"message": "the token has expired"}, 401)

    def disturb_webhooks(self, *, twice: bool = False, disorder: bool = False) -> None:
        """From now on tell each event twice, and the last one first. Raises ValueError if there are no webhooks."""
        raise ValueError(f"{self.name} sends no webhooks")

    def dress(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the vendor's headers (limits, request id) to an answer."""
        return None

    def state(self) -> Any:
        """What the vendor's sandbox holds, for GET /_sandbox/state: anything that JSON can say."""
        return {}

    def load(self, state: Any) -> None:
        """Take over what POST /_sandbox/state brought. Raises ValueError if it cannot."""
        raise ValueError(f"{self.name} takes no state")

    def reset(self) -> None:
        """Forget records; called by POST /_sandbox/reset, which also clears faults and the request log."""
        return None

    def app(self) -> web.Application:
        """The aiohttp application: the vendor's routes and the control routes."""
        application = web.Application(
            middlewares=[self._logged, self._faulty, self._limited], client_max_size=64 * 1024**2
        )
        application.add_routes(self._control_routes())
        application.add_routes(self.routes())
        return application

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, and return the address, e.g. `http://127.0.0.1:41234`. Raises ValueError if `host` is not a
        loopback address."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"a sandbox serves on loopback only, not on {host}")
        if self._runner is not None:
            raise RuntimeError("this sandbox is serving already")
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        self._runner = runner
        bound: int = runner.addresses[0][1]
        self.url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        return self.url

    async def stop(self) -> None:
        """Stop serving: connections are refused from now on. What it holds stays, and it can be started again."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def serve_forever(
        self, host: str = "127.0.0.1", port: int = 0, *, ready: Callable[[str], None] | None = None
    ) -> None:
        """Serve until cancelled; `ready` is told the address."""
        url = await self.start(host, port)
        try:
            if ready is not None:
                ready(url)
            await asyncio.Event().wait()
        finally:
            await self.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    # ------------------------------------------------------------------ around each request

    @web.middleware
    async def _logged(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return await handler(request)
        status = 0
        try:
            response = await handler(request)
            status = 0 if isinstance(response, (_HungUp, _CutShort)) else response.status
            return response
        except web.HTTPException as answered:
            status = answered.status
            raise
        finally:
            self._note(request, status)

    def _note(self, request: web.Request, status: int) -> None:
        resource = request.match_info.route.resource
        self.calls += 1
        self.by_path[f"{request.method} {resource.canonical if resource else request.path}"] += 1
        self.requests.append(Seen(request.method, request.path, request.query_string, status, self.clock.now()))

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return await handler(request)
        fault = self.faults.striking(request.method, request.path_qs)
        if fault is not None and (instead := self._instead(fault, request)) is not None:
            return instead
        _STALE.set(fault is not None and fault.how == "stale")
        _ROTATING.set(fault is not None and fault.how == "rotate_token")
        expired = request.headers.get("Authorization") in self._expired
        response = self.login_expired(request) if expired else await handler(request)
        self.dress(request, response)
        if isinstance(response, web.Response):
            self._remember(request, response)
        return response if fault is None else await self._after(fault, request, response)

    def _instead(self, fault: Fault, request: web.Request) -> web.Response | None:
        """What is answered without asking the handler; None: ask it."""
        match fault.how:
            case "drop_before" | "refuse_connection":
                return _hang_up(request)
            case "html_502":
                return web.Response(text=_BAD_GATEWAY, status=502, content_type="text/html")
            case "status" if isinstance(fault.body, str):
                return web.Response(text=fault.body, status=fault.code, headers=fault.headers)
            case "status":
                return reply(fault.body, fault.code, fault.headers)
            case "expire_token":
                self._expired.add(request.headers.get("Authorization", ""))
            case "repeat":
                previous = self._answers.get((request.method, request.path))
                return None if previous is None else _copy(previous)
        return None

    async def _after(self, fault: Fault, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        match fault.how:
            case "lose_answer":
                return _hang_up(request)
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "cut_body" if isinstance(response, web.Response):
                return await _cut(request, response, chunks=False)
            case "cut_chunks" if isinstance(response, web.Response):
                return await _cut(request, response, chunks=True)
        return response

    def _remember(self, request: web.Request, response: web.Response) -> None:
        key = (request.method, request.path)
        self._answers[key] = _copy(response)
        self._answers.move_to_end(key)
        if len(self._answers) > 256:
            self._answers.popitem(last=False)

    @web.middleware
    async def _limited(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.limits and not request.path.startswith(CONTROL):
            for limiter in self.limiters_for(request):
                if not limiter.take():
                    return self.over_limit(request, limiter)
        return await handler(request)

    # ------------------------------------------------------------------ control from outside

    def _control_routes(self) -> list[web.RouteDef]:
        return [
            web.post(CONTROL + "clock/advance", self._advance),
            web.get(CONTROL + "faults", self._list_faults),
            web.post(CONTROL + "faults", self._add_faults),
            web.delete(CONTROL + "faults", self._clear_faults),
            web.get(CONTROL + "requests", self._list_requests),
            web.post(CONTROL + "reset", self._reset),
            web.get(CONTROL + "state", self._get_state),
            web.post(CONTROL + "state", self._post_state),
        ]

    async def _advance(self, request: web.Request) -> web.Response:
        try:
            self.clock.advance(float((await read_json(request))["seconds"]))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as wrong:
            return reply({"message": f'say {{"seconds": 60}}: {wrong}'}, 400)
        return reply({"now": self.clock.now()})

    async def _list_faults(self, request: web.Request) -> web.Response:
        return reply(self.faults.script)

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            sent = await read_json(request)
            faults = msgspec.convert(sent if isinstance(sent, list) else [sent], list[Fault])
        except msgspec.MsgspecError as wrong:
            return reply({"message": str(wrong)}, 400)
        self.faults.add(*faults)
        return reply(self.faults.script)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return reply([])

    async def _list_requests(self, request: web.Request) -> web.Response:
        return reply({"calls": self.calls, "by_path": dict(self.by_path), "requests": list(self.requests)})

    async def _reset(self, request: web.Request) -> web.Response:
        self.faults.clear()
        self.requests.clear()
        self.by_path.clear()
        self.calls = 0
        self._answers.clear()
        self._expired.clear()
        self.reset()
        return reply({})

    async def _get_state(self, request: web.Request) -> web.Response:
        return reply(self.state())

    async def _post_state(self, request: web.Request) -> web.Response:
        try:
            self.load(await read_json(request))
        except ValueError as wrong:
            return reply({"message": str(wrong)}, 400)
        return reply(self.state())


def _copy(response: web.Response) -> web.Response:
    """A response object can be sent once only."""
    return web.Response(body=response.body, status=response.status, headers=response.headers.copy())


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return _HungUp()


async def _cut(request: web.Request, response: web.Response, *, chunks: bool) -> web.StreamResponse:
    """Announce the whole body, or as many chunks as there will be; send half of it, hang up."""
    body = response.body if isinstance(response.body, (bytes, bytearray)) else b""
    headers = response.headers.copy()
    headers.popall("Content-Length", None)
    cut = _CutShort(status=response.status, headers=headers)
    if chunks:
        cut.enable_chunked_encoding()
    else:
        cut.content_length = max(1, len(body))
    await cut.prepare(request)
    await cut.write(bytes(body[: len(body) // 2]))
    if request.transport is not None:
        request.transport.close()
    return cut
