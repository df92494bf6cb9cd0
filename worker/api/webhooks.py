"""Vendors' webhooks: their calls, and which connections have them."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kit.contract import Token
from worker.api import views
from worker.api.client import Problem
from worker.house import House
from worker.store import connections, webhooks
from worker.usecases.connect import find_connection
from worker.usecases.take_webhook import Call, NotGenuine, Unknown, Unreadable, take_webhook

PATH = "/webhooks/"


class Refusal(Exception):
    """A call that is not taken: the HTTP status it is answered with."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Webhooks:
    """What the HTTP route and the terminal ask for."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def take(self, connection_id: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take a vendor's call; how many of its events were news. Raises Refusal: 404 for a connection that there is
        not, 401 for a call that is not the vendor's own or is too old, 400 for a body that cannot be read."""
        call = Call(method=method, url=url, headers=headers, body=body)
        try:
            taken = await take_webhook(self._house.office, connection_id, call)
        except Unknown as error:
            raise Refusal(404) from error
        except NotGenuine as error:
            raise Refusal(401) from error
        except Unreadable as error:
            raise Refusal(400) from error
        for run_id in taken.runs:
            await self._house.queue.wake(run_id, "realtime")
        return taken.fresh

    async def expect(self, name: str, secret: str | None) -> views.WebhookView:
        """The connection of that name (id, system or account) sends webhooks from now on, signed with this secret;
        None: with the client secret of its login."""
        try:
            connection = await find_connection(self._house.office, name)
        except LookupError as error:
            raise Problem(str(error.args[0])) from error
        sealed = self._house.vault.seal(Token(access=secret)) if secret is not None else None
        async with self._house.db.write() as tx:
            await webhooks.subscribe(tx, connection.id, sealed)
        return next(view for view in await self.list() if view.connection == connection.id)

    async def end(self, connection_id: str) -> None:
        """No webhooks are taken from this connection any more; polling goes on."""
        async with self._house.db.write() as tx:
            await webhooks.unsubscribe(tx, connection_id)

    async def list(self) -> list[views.WebhookView]:
        """Every connection that webhooks are taken from."""
        async with self._house.db.read() as tx:
            found = [(c, await webhooks.subscription(tx, c.id)) for c in await connections.all_connections(tx)]
        return [
            views.WebhookView(
                connection=connection.id,
                system=connection.system,
                account=connection.account,
                title=self._house.registry[connection.system].facts.title,
                path=f"{PATH}{connection.id}",
                state=known.state,
                heard_at=known.heard_at,
            )
            for connection, known in found
            if known is not None
        ]
