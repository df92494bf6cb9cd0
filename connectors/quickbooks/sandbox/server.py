"""The sandbox over HTTP: routes, who may call, limits, answers, control from other processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from aiohttp import web

from connectors.kit.sandbox import Faults, RateLimiter, Sandbox, VirtualClock, Welcome, read_json, reply
from connectors.quickbooks.sandbox import batch, faults, operations, page, reading, reports, seeds, wire
from connectors.quickbooks.sandbox.bookkeeping import Bookkeeping, new_company
from connectors.quickbooks.sandbox.company import Company, Settings
from connectors.quickbooks.sandbox.faults import QuickBooksFault
from connectors.quickbooks.sandbox.oauth import Authority, OAuthRefusal
from connectors.quickbooks.sandbox.schema import BY_PATH, ENTITIES
from connectors.quickbooks.sandbox.webhooks import Sender

REALM = "9341450000000001"
CLIENT_ID = "quickbooks-sandbox-client"
CLIENT_SECRET = "quickbooks-sandbox-secret"  # noqa: S105 - opens nothing but this sandbox
PUMP_EVERY_S = 0.2

Body = dict[str, Any]
Work = Callable[[Company], Body]


class QuickBooksSandbox(Bookkeeping, Sandbox):
    """A QuickBooks Online company on loopback: the v3 accounting API with its faults, limits and quirks; OAuth 2;
    webhooks; reports from a ledger of its own.

    `settings` sets the company up (country, home currency, time zone). `limits=False` turns rate limits off. A person
    at work in QuickBooks is played by `add_customer`, `edit`, `void`, ... or through POST /_sandbox/add, /edit,
    /void, /delete, /preferences of another process. `token()` gives an access token without the browser."""

    name = "quickbooks"
    welcome = Welcome(
        settings={"base_url": "", "token_url": "/oauth2/v1/tokens/bearer", "authorize_url": "/connect/oauth2"},
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )

    def __init__(
        self,
        clock: VirtualClock | None = None,
        limits: bool = True,
        faults: Faults | None = None,
        *,
        settings: Settings | None = None,
        realm: str = REALM,
    ) -> None:
        super().__init__(clock, limits, faults)
        self.realm = realm
        self.batch_limit = 30
        self.authority = Authority(self.clock, CLIENT_ID, CLIENT_SECRET)
        self.webhooks = Sender(self.clock)
        self._settings = settings if settings is not None else Settings()
        self.companies: dict[str, Company] = {}
        self._replays: dict[tuple[str, str], Body] = {}
        self._limiters: dict[str, list[RateLimiter]] = {}
        self._tids = 0
        self._pump: asyncio.Task[None] | None = None
        self.reset()

    # ----------------------------------------------------------------- companies

    def reset(self) -> None:
        """A company on its first day again. Tokens stay valid."""
        self.companies.clear()
        self._replays.clear()
        self._limiters.clear()
        self.webhooks.waiting.clear()
        self.company = self.add_company(self.realm, msgspec.structs.replace(self._settings))

    def add_company(self, realm: str, settings: Settings | None = None) -> Company:
        """Another company beside the first; it has its own tokens and limits."""
        company = new_company(realm, self.clock, settings)
        company.watchers.append(self.webhooks.watcher(realm))
        self.companies[realm] = company
        return company

    def token(self, realm: str | None = None) -> Body:
        """A token answer for a company, as if a person had just connected it."""
        return self.authority.issue(realm if realm is not None else self.realm)

    @property
    def rotate_every_refresh(self) -> bool:
        return self.authority.rotate_every_refresh

    @rotate_every_refresh.setter
    def rotate_every_refresh(self, value: bool) -> None:
        self.authority.rotate_every_refresh = value

    def forget_requestids(self) -> None:
        """The vendor does not say how long it remembers a requestid: from now on it has forgotten them all."""
        self._replays.clear()

    def load(self, state: Any) -> None:
        """Seed from a folder: a Path, or {"folder": "..."}. Raises ValueError that names file and row."""
        folder = state.get("folder") if isinstance(state, dict) else state
        if not isinstance(folder, (str, Path)):
            raise ValueError('say {"folder": "path of a folder of seed files"}')
        seeds.load(self, Path(folder))

    def state(self) -> Body:
        """Every record, and control totals from the ledger."""
        today = self.company.today()
        sheet = reports.run(self.company, "BalanceSheet", {"end_date": today.isoformat()})
        return {
            "realm": self.realm,
            "settings": msgspec.structs.asdict(self.company.settings),
            "receivable": self.receivable(today),
            "counts": {name: len(rows) for name, rows in self.company.rows.items() if rows},
            "balance_sheet": sheet,
            "entities": {name: list(rows.values()) for name, rows in self.company.rows.items() if rows},
        }

    def receivable(self, as_of: date) -> Any:
        """The control balance of accounts receivable at the end of a day, all currencies, in home currency."""
        types = {row["Id"]: row["AccountType"] for row in self.company.rows["Account"].values()}
        totals = self.company.ledger.totals(None, as_of)
        return sum(value for id, value in totals.items() if types[id] == "Accounts Receivable")

    # ----------------------------------------------------------------- serving

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        company = "/v3/company/{realm}"
        return [
            web.get("/", self._page),
            web.post("/customer", self._form),
            web.get("/.well-known/openid_configuration", self._discovery),
            web.get("/.well-known/openid_sandbox_configuration", self._discovery),
            web.get("/connect/oauth2", self._authorise),
            web.post("/oauth2/v1/tokens/bearer", self._token),
            web.post("/v2/oauth2/tokens/revoke", self._revoke),
            web.get(company + "/query", self._query),
            web.post(company + "/query", self._query),
            web.post(company + "/batch", self._batch),
            web.get(company + "/cdc", self._cdc),
            web.get(company + "/reports/{report}", self._report),
            web.get(company + "/preferences", self._preferences),
            web.get(company + "/exchangerate", self._rate),
            web.get(company + "/{entity}/{id}", self._read),
            web.post(company + "/{entity}/{id}/send", self._send),
            web.post(company + "/{entity}", self._write),
            web.post("/_sandbox/add", self._control_add),
            web.post("/_sandbox/edit", self._control_edit),
            web.post("/_sandbox/void", self._control_void),
            web.post("/_sandbox/delete", self._control_delete),
            web.post("/_sandbox/preferences", self._control_preferences),
            web.post("/_sandbox/webhooks", self._control_webhooks),
        ]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        url = await super().start(host, port)
        self._pump = asyncio.get_running_loop().create_task(self._deliver_for_ever())
        return url

    async def stop(self) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
        await super().stop()

    async def _deliver_for_ever(self) -> None:
        while True:
            await self.webhooks.pump()
            await asyncio.sleep(PUMP_EVERY_S)

    async def deliver_webhooks(self) -> int:
        """Make the webhook calls that are due now; how many were answered with 200."""
        return await self.webhooks.pump()

    # ----------------------------------------------------------------- limits and headers

    def limiters_for(self, request: web.Request) -> Sequence[RateLimiter]:
        """10 a second and 500 a minute for each company, 40 batches a minute.
        https://developer.intuit.com/app/developer/qbo/docs/learn/limits-and-throttles"""
        realm = request.match_info.get("realm")
        if realm is None:
            return ()
        if realm not in self._limiters:
            limits = (("second", 10, 1.0), ("minute", 500, 60.0), ("batch", 40, 60.0))
            self._limiters[realm] = [RateLimiter(name, calls, per_s, self.clock) for name, calls, per_s in limits]
        limiters = self._limiters[realm]
        return limiters if request.path.endswith("/batch") else limiters[:2]

    def over_limit(self, request: web.Request, limiter: RateLimiter) -> web.Response:
        """No Retry-After: the vendor documents none."""
        return self._refuse(request, faults.throttled())

    def login_expired(self, request: web.Request) -> web.Response:
        return self._refuse(request, faults.token_refused("Token expired"))

    def disturb_webhooks(self, *, twice: bool = False, disorder: bool = False) -> None:
        self.webhooks.repeats, self.webhooks.reverse = int(twice), disorder

    def dress(self, request: web.Request, response: web.StreamResponse) -> None:
        self._tids += 1
        response.headers["intuit_tid"] = f"1-{self._tids:08x}-sandbox"

    def _answer(self, request: web.Request, body: Body, status: int = 200) -> web.Response:
        if "json" in request.headers.get("Accept", ""):
            return web.Response(body=wire.as_json(body), status=status, content_type="application/json")
        return web.Response(body=wire.as_xml(body), status=status, content_type="application/xml")

    def _refuse(self, request: web.Request, fault: QuickBooksFault) -> web.Response:
        return self._answer(request, {**fault.body(), "time": self.company.stamp()}, fault.status)

    def _do(self, request: web.Request, work: Work) -> web.Response:
        """Check the caller, do the work, answer; a fault becomes its answer. A write whose requestid was seen before
        is not done again: its first answer is given."""
        try:
            realm = request.match_info["realm"]
            self.authority.admit(request.headers.get("Authorization"), realm)
            company = self.companies.get(realm)
            if company is None:
                raise faults.not_authorised()
            requestid = request.query.get("requestid", "")
            key = (realm, requestid)
            writes = request.method == "POST" and bool(requestid) and not request.path.endswith("/query")
            if writes and key in self._replays:
                return self._answer(request, self._replays[key])
            body = {**work(company), "time": company.stamp()}
            if writes:
                self._replays[key] = wire.copy_of(body)
            return self._answer(request, body)
        except QuickBooksFault as fault:
            return self._refuse(request, fault)

    # ----------------------------------------------------------------- the API

    async def _read(self, request: web.Request) -> web.Response:
        def work(company: Company) -> Body:
            entity = _entity(request)
            return {entity: reading.read(company, entity, request.match_info["id"], stale=self.stale)}

        return self._do(request, work)

    async def _write(self, request: web.Request) -> web.Response:
        sent = await _body(request)
        operation = request.query.get("operation", "")
        include = request.query.get("include", "")

        def work(company: Company) -> Body:
            entity = _entity(request)
            body = _is_json(sent)
            if operation == "delete":
                return {entity: operations.delete(company, entity, body)}
            if operation == "void" and entity != "Payment":
                return {entity: operations.void(company, entity, body)}
            if operation == "update" and "void" in include and entity == "Payment":
                return {entity: operations.void(company, entity, body)}
            if operation not in ("", "update", "create"):
                raise faults.unsupported_operation(operation)
            duplicates = "allowduplicatedocnum" in include
            return {entity: operations.write(company, entity, body, duplicates=duplicates)}

        return self._do(request, work)

    async def _query(self, request: web.Request) -> web.Response:
        text = (await request.text()) if request.method == "POST" else request.query.get("query", "")
        return self._do(request, lambda company: {"QueryResponse": reading.query(company, text, stale=self.stale)})

    async def _batch(self, request: web.Request) -> web.Response:
        sent = await _body(request)
        return self._do(request, lambda company: batch.run(company, _is_json(sent), limit=self.batch_limit))

    async def _cdc(self, request: web.Request) -> web.Response:
        entities, since = request.query.get("entities"), request.query.get("changedSince")
        return self._do(request, lambda company: reading.changes(company, entities, since))

    async def _report(self, request: web.Request) -> web.Response:
        return self._do(request, lambda company: reports.run(company, request.match_info["report"], request.query))

    async def _preferences(self, request: web.Request) -> web.Response:
        return self._do(request, lambda company: {"Preferences": reading.preferences(company)})

    async def _rate(self, request: web.Request) -> web.Response:
        def work(company: Company) -> Body:
            currency = request.query.get("sourcecurrencycode", "")
            if not currency:
                raise faults.missing("sourcecurrencycode")
            asked = request.query.get("asofdate")
            try:
                on = date.fromisoformat(asked) if asked else company.today()
            except ValueError as error:
                raise faults.unsupported_property("asofdate") from error
            return {"ExchangeRate": operations.rate_row(company, currency.upper(), on)}

        return self._do(request, work)

    async def _send(self, request: web.Request) -> web.Response:
        to = request.query.get("sendTo")

        def work(company: Company) -> Body:
            entity = _entity(request)
            return {entity: operations.send(company, entity, request.match_info["id"], to, limited=self.limits)}

        return self._do(request, work)

    # ----------------------------------------------------------------- OAuth

    async def _discovery(self, request: web.Request) -> web.Response:
        here = f"{request.scheme}://{request.host}"
        return reply(
            {
                "issuer": f"{here}/op/v1",
                "authorization_endpoint": f"{here}/connect/oauth2",
                "token_endpoint": f"{here}/oauth2/v1/tokens/bearer",
                "revocation_endpoint": f"{here}/v2/oauth2/tokens/revoke",
                "response_types_supported": ["code"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _authorise(self, request: web.Request) -> web.Response:
        try:
            code = self.authority.authorise(request.query, self.realm)
        except OAuthRefusal as refusal:
            return web.Response(text=f"Sorry, we didn't connect: {refusal.description}", status=400)
        back = urlsplit(request.query["redirect_uri"])
        answer = urlencode({"code": code, "state": request.query["state"], "realmId": self.realm})
        query = f"{back.query}&{answer}" if back.query else answer
        return web.Response(status=302, headers={"Location": urlunsplit(back._replace(query=query))})

    async def _token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        try:
            authorization = request.headers.get("Authorization")
            return reply(self.authority.token(authorization, form, rotate=self.rotating))
        except OAuthRefusal as refusal:
            return reply({"error": refusal.error, "error_description": refusal.description}, refusal.status)

    async def _revoke(self, request: web.Request) -> web.Response:
        try:
            token = str(_is_json(await _body(request)).get("token", ""))
            self.authority.revoke(request.headers.get("Authorization"), token)
        except (OAuthRefusal, QuickBooksFault) as refusal:
            return reply({"error": str(refusal)}, 400)
        return web.Response(status=200)

    # ----------------------------------------------------------------- the page

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=page.render(self.company), content_type="text/html")

    async def _form(self, request: web.Request) -> web.Response:
        form = await request.post()
        said, wrong = "Saved.", False
        try:
            _, name, member = page.FIELDS[int(str(form["field"]))]
            value: Any = str(form["value"])
            row = self.company.read("Customer", str(form["id"]))
            if member is not None:
                value = {**row.get(name, {}), member: value}
            self.edit("Customer", row["Id"], **{name: value})
        except QuickBooksFault as fault:
            said, wrong = f"Not saved. {fault.detail}", True
        except (KeyError, ValueError, IndexError):
            said, wrong = "Not saved. The form was incomplete.", True
        html = page.render(self.company, said, wrong=wrong)
        return web.Response(text=html, content_type="text/html", status=400 if wrong else 200)

    # ----------------------------------------------------------------- control

    async def _control(self, request: web.Request, work: Callable[[Body], Any]) -> web.Response:
        try:
            return reply(work(_is_json(await _body(request))))
        except QuickBooksFault as fault:
            return reply(fault.body(), 400)
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as wrong:
            return reply({"message": f"{type(wrong).__name__}: {wrong}"}, 400)

    async def _control_add(self, request: web.Request) -> web.Response:
        """{"entity": "Invoice", "customer": "...", "lines": [...], ...}: the arguments of the add method."""
        adders: dict[str, Callable[..., str]] = {
            "Customer": self.add_customer, "Vendor": self.add_vendor, "Employee": self.add_employee,
            "Item": self.add_item, "Account": self.add_account, "Invoice": self.add_invoice,
            "CreditMemo": self.add_credit_memo, "Payment": self.add_payment, "Term": self.add_term,
        }  # fmt: skip

        def work(body: Body) -> Body:
            entity = body.pop("entity")
            return {"Id": adders[entity](**body)}

        return await self._control(request, work)

    async def _control_edit(self, request: web.Request) -> web.Response:
        """{"entity": "Customer", "id": "1", "fields": {"phone": "..."}}"""
        return await self._control(request, lambda body: self.edit(body["entity"], body["id"], **body["fields"]))

    async def _control_void(self, request: web.Request) -> web.Response:
        return await self._control(request, lambda body: self.void(body["entity"], body["id"]))

    async def _control_delete(self, request: web.Request) -> web.Response:
        return await self._control(request, lambda body: self.delete(body["entity"], body["id"]))

    async def _control_preferences(self, request: web.Request) -> web.Response:
        """Names of `Settings`, and `books_closed` as a date."""

        def work(body: Body) -> Body:
            if "books_closed" in body:
                self.close_books(body.pop("books_closed"))
            self.preferences(**body)
            return msgspec.structs.asdict(self.company.settings)

        return await self._control(request, work)

    async def _control_webhooks(self, request: web.Request) -> web.Response:
        """{"url": "http://127.0.0.1:...", "verifier": "...", "style": "auto"}; url null ends it."""

        def work(body: Body) -> Body:
            self.webhooks.subscribe(body["url"], body.get("verifier", ""), body.get("style", "auto"))
            return {}

        return await self._control(request, work)


def _entity(request: web.Request) -> str:
    """The entity of a path. Raises fault 500 for one that the sandbox does not have."""
    entity = BY_PATH.get(request.match_info["entity"])
    if entity is None or entity not in ENTITIES:
        raise faults.unsupported_operation(f"{request.method} {request.match_info['entity']}")
    return entity


async def _body(request: web.Request) -> Any:
    """The JSON body; None if it is not JSON."""
    try:
        return await read_json(request)
    except msgspec.DecodeError:
        return None


def _is_json(sent: Any) -> Body:
    if not isinstance(sent, dict):
        raise QuickBooksFault("2010", "Request has invalid or unsupported property", "The body is not a JSON object.")
    return sent
