"""The page's own addresses: pages and pieces of pages, and what people do on them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from bot.sandbox.hands import Hands, Outcome
from bot.sandbox.page.show import Place, Show, environment, form_values, picked_in
from bot.sandbox.refusal import CannotDo
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.world import Json

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Form = dict[str, list[Any]]


class Page:
    """Pages are drawn on the server; a small script keeps them live and spares reloads."""

    def __init__(self, desk: Desk, hands: Hands) -> None:
        self._desk = desk
        self._hands = hands
        self._show = Show(desk)
        self._templates = environment(desk)
        self._templates.globals["picked_in"] = picked_in
        self._streams: set[asyncio.Task[Any]] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/", self._index)
        app.router.add_get("/archives/{channel}/{message}", self._permalink)
        app.router.add_get("/page/pieces", self._pieces)
        app.router.add_get("/page/events", self._events)
        app.router.add_get("/page/suggest", self._suggest)
        app.router.add_get("/files/{file}/{name}", self._file)
        for name, does in (
            ("say", self._say),
            ("share", self._share),
            ("press", self._press),
            ("submit", self._submit),
            ("close", self._close),
            ("shortcut", self._shortcut),
        ):
            app.router.add_post(f"/page/{name}", self._doing(does))
        app.router.add_static("/static/", STATIC)

    def close(self) -> None:
        """End the live streams, so that the server can stop."""
        for task in list(self._streams):
            task.cancel()

    # ------------------------------------------------------------------ what is shown

    def _draw(self, template: str, **given: Any) -> str:
        return self._templates.get_template(template).render(**given)

    async def _index(self, request: web.Request) -> web.Response:
        place = self._show.place(request.query)
        if place.at == "home":
            self._hands.open_home(place.user)
        text = self._draw("page.html", **self._everything(place))
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    def _everything(self, place: Place) -> Json:
        return {
            **self._show.frame(place),
            "lines": self._show.lines(place),
            "thread": self._show.thread(place),
            "modal": self._show.modal(place.user),
        }

    async def _pieces(self, request: web.Request) -> web.Response:
        """The parts of the page that change, each as HTML."""
        given = self._everything(self._show.place(request.query))
        names = ("sidebar", "messages", "thread", "modal", "home")
        pieces: Json = {name: self._draw(f"{name}.html", **given) for name in names}
        return web.json_response({**pieces, "rung": given["rung"]}, headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the count of changes, whenever there was one."""
        stream = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await stream.prepare(request)
        task = asyncio.current_task()
        if task is not None:
            self._streams.add(task)
        try:
            await self._keep_telling(stream, int(request.query.get("after", "0")))
        except (ConnectionError, asyncio.CancelledError):
            return stream
        finally:
            if task is not None:
                self._streams.discard(task)
        return stream

    async def _keep_telling(self, stream: web.StreamResponse, rung: int) -> None:
        await stream.write(b": hello\n\n")
        while True:
            rung = await self._desk.world.bell.after(rung)
            await stream.write(f"data: {rung}\n\n".encode())

    async def _permalink(self, request: web.Request) -> web.Response:
        digits = request.match_info["message"].removeprefix("p")
        ts = f"{digits[:-6]}.{digits[-6:]}"
        query = {"at": request.match_info["channel"], "thread": request.query.get("thread_ts", "")}
        raise web.HTTPFound(f"/?{urlencode(query)}#m{quote(ts)}")

    async def _file(self, request: web.Request) -> web.Response:
        stored = self._desk.world.files.get(request.match_info["file"])
        if stored is None or stored.content is None or not stored.complete:
            raise web.HTTPNotFound(text="There is no such file.")
        disposition = f"attachment; filename*=UTF-8''{quote(stored.name)}"
        headers = {**HEADERS, "Content-Disposition": disposition}
        return web.Response(body=stored.content, content_type=stored.mimetype, headers=headers)

    async def _suggest(self, request: web.Request) -> web.Response:
        query = request.query
        found = await self._hands.suggest(query["user"], query["where"], query["what"], query["typed"])
        return web.json_response(found)

    # ------------------------------------------------------------------ what is done

    def _doing(self, does: Any) -> Any:
        """A form's answer: JSON for the script, else back to where it came from."""

        async def handle(request: web.Request) -> web.Response:
            form = await _form(request)
            try:
                outcome = await does(form)
                said = {"ok": outcome.trouble is None and not outcome.errors, "trouble": outcome.trouble}
            except CannotDo as cannot:
                said = {"ok": False, "trouble": str(cannot)}
            if "application/json" in request.headers.get("Accept", ""):
                return web.json_response(said)
            raise web.HTTPSeeOther("/?" + urlencode({n: _one(form, n) for n in ("user", "at", "thread")}))

        return handle

    async def _say(self, form: Form) -> Outcome:
        user, at, text = _one(form, "user"), _one(form, "at"), _one(form, "text").strip()
        thread = _one(form, "reply_to")
        if text.startswith("/") and not thread:
            return await self._hands.command(user, at, text)
        if text.startswith("/"):
            raise CannotDo("Slash commands don't work in threads. Type it in the channel.")
        if text:
            self._hands.message(user, at, text, thread or None)
        return Outcome()

    async def _share(self, form: Form) -> Outcome:
        for sent in form.get("file", []):
            if isinstance(sent, web.FileField) and sent.filename:
                self._hands.share_file(_one(form, "user"), _one(form, "at"), sent.filename, sent.file.read())
        return Outcome()

    async def _press(self, form: Form) -> Outcome:
        deed = json.loads(_one(form, "deed"))
        user, where = _one(form, "user"), _one(form, "where")
        view = self._desk.world.views.get(where)
        values = form_values(view, form) if view is not None else None
        return await self._hands.press(
            user, where, deed["what"], pick=deed.get("pick"), values=values, block_id=deed.get("block", "")
        )

    async def _submit(self, form: Form) -> Outcome:
        user, where = _one(form, "user"), _one(form, "where")
        view = self._desk.world.views.get(where)
        if view is None:
            raise CannotDo("This modal is closed already.")
        for name, sent in form.items():
            form[name] = [self._uploaded(user, one) for one in sent if not _nothing(one)]
        return await self._hands.submit(user, view, form_values(view, form))

    def _uploaded(self, user: str, one: Any) -> Any:
        if not isinstance(one, web.FileField):
            return one
        stored = self._hands.add_file(user, one.filename, one.file.read())
        return stored.id

    async def _close(self, form: Form) -> Outcome:
        everything = _one(form, "all") == "1"
        return await self._hands.close(_one(form, "user"), _one(form, "where"), all_of_them=everything)

    async def _shortcut(self, form: Form) -> Outcome:
        return await self._hands.shortcut(_one(form, "user"), _one(form, "callback"), _one(form, "where") or None)


async def _form(request: web.Request) -> Form:
    posted = await request.post()
    return {name: list(posted.getall(name)) for name in posted}


def _one(form: Form, name: str) -> str:
    said = form.get(name, [""])[0]
    return said if isinstance(said, str) else ""


def _nothing(one: Any) -> bool:
    return isinstance(one, web.FileField) and not one.filename
