"""Logging in from a terminal: a browser goes to the vendor and comes back to a server on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import webbrowser
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from bot.terminal.doors import Consent
from bot.terminal.screen import Exit, Failure

PATIENCE_S = 600.0
CALLBACK = "/callback"
_PAGE = "<!doctype html><title>Tieout</title><p>{}</p>"


class Returned(msgspec.Struct, frozen=True):
    """What the vendor sent back: the code, and the account where it names one."""

    code: str
    account: str | None

    def __repr__(self) -> str:
        return "Returned(***)"


class Callback:
    """The address that the browser comes back to: loopback only, for one login, until it is closed."""

    def __init__(self, account_param: str | None) -> None:
        self.state = secrets.token_urlsafe(24)
        self.redirect_uri = ""
        self._account_param = account_param
        self._came: asyncio.Future[Returned] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def open(self, port: int) -> AsyncIterator[Callback]:
        """Serve on 127.0.0.1; port 0 takes a free one. Raises Failure if the port is taken."""
        application = web.Application()
        application.add_routes([web.get(CALLBACK, self._answer)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            await runner.cleanup()
            raise Failure(
                f"Port {port} on this machine is taken, and the login has to come back to it",
                next_step="Give another with --callback-port; the address has to be known to your app at the vendor.",
            ) from None
        self.redirect_uri = f"http://localhost:{runner.addresses[0][1]}{CALLBACK}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def came_back(self, patience_s: float = PATIENCE_S) -> Returned:
        """What came back. Raises Failure if the person said no, or nobody came."""
        try:
            return await asyncio.wait_for(self._came, patience_s)
        except TimeoutError:
            raise Failure(
                "Nobody came back from the login page", next_step="Run the command again.", code=Exit.LATER
            ) from None

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            returned = read_return(request.query, self.state, self._account_param)
        except Failure as failure:
            if not self._came.done() and failure.code is not Exit.USAGE:
                self._came.set_exception(failure)
            return _page(failure.message, 400)
        if not self._came.done():
            self._came.set_result(returned)
        return _page("Connected. You can close this window and go back to the terminal.", 200)


def _page(text: str, status: int) -> web.Response:
    from html import escape

    return web.Response(text=_PAGE.format(escape(text)), status=status, content_type="text/html")


def read_return(query: Mapping[str, str], state: str, account_param: str | None) -> Returned:
    """What a callback's query says. A wrong `state` is somebody else's page: it is refused and changes nothing
    (Failure with USAGE); a vendor's no is the login's end."""
    if not hmac.compare_digest(query.get("state", "").encode(), state.encode()):
        raise Failure("This answer does not belong to the login that was begun here", code=Exit.USAGE)
    if "code" not in query:
        said = query.get("error_description") or query.get("error") or "no code came back"
        raise Failure(f"The login was not granted: {said}", next_step="Run the command again and say yes.")
    account = query.get(account_param) if account_param is not None else None
    if account_param is not None and not account:
        raise Failure(f"The login came back without {account_param}, so the account is not known")
    return Returned(query["code"], account)


async def log_in(
    consent: Consent, account_param: str | None, *, port: int, tell: Callable[[str], None], by_itself: bool = False
) -> tuple[Any, str | None]:
    """The whole way: consent page, callback, token. `tell` hears the address; `by_itself` follows it by HTTP, for a
    sandbox that says yes at once. Returns the token and the account, where the vendor names one."""
    async with Callback(account_param).open(port) as callback:
        url = consent.url(callback.redirect_uri, callback.state)
        if by_itself:
            await _follow(url)
        else:
            tell(url)
            await asyncio.to_thread(webbrowser.open, url)
        returned = await callback.came_back(10.0 if by_itself else PATIENCE_S)
        return await consent.exchange(returned.code, callback.redirect_uri), returned.account


async def _follow(url: str) -> None:
    """Go to a sandbox's consent page, and where it sends us. Raises Failure with what the page says."""
    try:
        async with ClientSession(timeout=ClientTimeout(total=10)) as session, session.get(url) as answer:
            if answer.status >= 400:
                raise Failure(f"The sandbox refused the login: {(await answer.text()).strip()[:200]}")
    except (ClientError, OSError) as error:
        raise Failure(
            f"The sandbox cannot be reached ({type(error).__name__})",
            next_step="Start it with tieout sandbox, and give the address that it prints.",
            code=Exit.LATER,
        ) from None
