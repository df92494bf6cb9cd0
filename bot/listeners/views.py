"""Modals: a part of a plan is chosen, a value is typed."""

from __future__ import annotations

import asyncio
from typing import Any

from bot import ids
from bot.blocks.conflict import meant, typed_text
from bot.errors import explain
from bot.listeners.actions import Actions
from bot.listeners.desk import Desk, Json, Place
from worker.api import Problem, trouble
from worker.api.views import SettledView

PATIENCE_S = 2.0  # of the three that Slack gives: a mistake is shown in the modal if it is found by then


class Views:
    """What is submitted."""

    def __init__(self, desk: Desk, actions: Actions) -> None:
        self._desk, self._actions = desk, actions
        self._late: set[asyncio.Task[None]] = set()

    async def chosen(self, ack: Any, body: Json) -> None:
        place, token = Place.unpacked(body)
        values = body["view"]["state"]["values"][ids.CHOSEN][ids.CHOSEN]
        groups = tuple(str(option["value"]) for option in values.get("selected_options") or ())
        if not groups:
            await ack(response_action="errors", errors={ids.CHOSEN: "Choose at least one, or cancel."})
            return
        await ack()
        try:
            await self._actions.apply(self._desk.buttons.open(ids.CHOOSE, token), place, groups)
        except Exception as error:  # noqa: BLE001  # the last border towards a person
            await self._tell(place, explain(error))

    async def typed(self, ack: Any, body: Json) -> None:
        """A mistake is shown in the modal while there is time; later it is said in the channel."""
        place, token = Place.unpacked(body)
        text = typed_text(body["view"]["state"]["values"])
        work = asyncio.ensure_future(self._settle(place, token, text))
        done, _ = await asyncio.wait({work}, timeout=PATIENCE_S)
        if not done:
            await ack()
            late = asyncio.ensure_future(self._told_later(place, token, work))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
            return
        error = work.exception()
        if error is not None:
            block = next(iter(body["view"]["state"]["values"]))
            await ack(response_action="errors", errors={block: explain(error)[:2000]})
            return
        await ack()
        await self._settled(place, token, work.result())

    async def _settle(self, place: Place, token: str, text: str) -> SettledView:
        button = self._desk.buttons.open(ids.EDIT, token)
        self._desk.allow(place.user, "settle")
        number, as_shown, _ = meant(button.detail)
        return await self._desk.api.settle_and_write(button.subject, number, "value", place.user, text, as_shown)

    async def _settled(self, place: Place, token: str, settled: SettledView) -> None:
        pair_id = self._desk.buttons.open(ids.EDIT, token).subject
        await self._actions.settled(pair_id, place, settled)

    async def _told_later(self, place: Place, token: str, work: asyncio.Future[SettledView]) -> None:
        try:
            await self._settled(place, token, await work)
        except Exception as error:  # noqa: BLE001  # the last border towards a person
            await self._tell(place, explain(error))

    async def _tell(self, place: Place, words: str) -> None:
        """Through the outbox; straight to them where the store that it is in is the trouble: a modal has no address
        to answer to."""
        try:
            pair = await self._desk.api.pair_of(place.channel)
            if pair is None:
                raise Problem(words)
            await self._desk.whisper(pair.id, place, "text", words)
        except Exception as error:
            if trouble(error) is None:
                raise
            await self._desk.client.chat_postEphemeral(channel=place.channel, user=place.user, text=words)
