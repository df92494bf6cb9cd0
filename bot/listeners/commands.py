"""/tieout: acknowledged at once; the answer comes through the outbox and is edited in place."""

from __future__ import annotations

from typing import Any

from slack_sdk.errors import SlackApiError

from bot import grammar
from bot.blocks import answers
from bot.grammar import Bind, Command, Help, Reconcile, Schedules, SetSchedule, Simple, Story, TurnSchedule, Undo
from bot.listeners.desk import Desk, Json, Place, Respond, answered, only_to_them
from worker.api import Problem
from worker.api.views import PairView

ANSWERS = ("status", "history", "conflicts")


class Commands:
    """The slash command's verbs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tieout(self, ack: Any, command: Json, respond: Respond) -> None:
        parsed = grammar.parse(command.get("text") or "", self._desk.now().date())
        if isinstance(parsed, Help):
            say = answers.help_(parsed.about)
            await ack(text=say.text, blocks=say.blocks, response_type="ephemeral")
            return
        await ack()
        await answered(respond, self._do(parsed, Place.of_command(command), respond))

    async def _do(self, parsed: Command, place: Place, respond: Respond) -> None:
        if isinstance(parsed, Bind):
            await self._bind(parsed, place, respond)
            return
        pair = await self._desk.api.pair_of(place.channel)
        if pair is None:
            await only_to_them(respond, answers.no_pair(await self._desk.api.pairs()))
            return
        self._desk.sender.remember(f"answer:{place.key}", self._reply(respond))
        match parsed:
            case Simple(verb) if verb in ANSWERS:
                await self._desk.whisper(pair.id, place, verb)
            case Simple(verb):
                await self._run(pair, verb, place, respond)
            case Reconcile(month):
                await self._run(pair, "reconcile", place, respond, {"month": month})
            case Story(record):
                await self._desk.whisper(pair.id, place, "audit", record)
            case Undo(said):
                run_id = await self._desk.api.run_meant(pair.id, said)
                await self._run(pair, "undo", place, respond, {"undoes": run_id})
            case Schedules():
                await self._desk.whisper(pair.id, place, "schedules")
            case SetSchedule() | TurnSchedule():
                await self._schedule(pair, parsed, place)

    def _reply(self, respond: Respond) -> Any:
        async def reply(words: str) -> None:
            await only_to_them(respond, answers.plain(words))

        return reply

    async def _run(
        self, pair: PairView, what: str, place: Place, respond: Respond, request: Json | None = None
    ) -> None:
        asked = await self._desk.api.ask_run(pair.id, what, place.user, place.channel, request)
        sender = self._desk.sender
        sender.remember(asked.message, self._reply(respond))
        sender.watch(asked.run_id, pair.id, place.channel, asked.message)
        sender.poke()

    async def _schedule(self, pair: PairView, parsed: SetSchedule | TurnSchedule, place: Place) -> None:
        desk, user = self._desk, place.user
        desk.allow(user, "schedule")
        match parsed:
            case SetSchedule(what=what, words=words, number=None):
                line, how = await desk.schedules.add(pair.id, what, words, user), "set"
            case SetSchedule(words=words, number=int(number)):
                line, how = await desk.schedules.change(pair.id, number, words, user), "changed"
            case TurnSchedule(how="remove", number=number):
                line, how = await desk.schedules.remove(pair.id, number, user), "removed"
            case TurnSchedule(how=turn, number=number):
                line = await desk.schedules.pause(pair.id, number, user, paused=turn == "pause")
                how = "paused" if turn == "pause" else "resumed"
        await desk.announce(pair.id, place, answers.scheduled(line, how))

    # ----------------------------------------------------------------- channels

    async def _bind(self, parsed: Bind, place: Place, respond: Respond) -> None:
        known = await self._desk.api.pairs()
        if parsed.name is None:
            here = await self._desk.api.pair_of(place.channel)
            await only_to_them(respond, answers.bound(here) if here is not None else answers.no_pair(known))
            return
        self._desk.allow(place.user, "bind")
        await self._refuse_shared(place.channel)
        pair = next((pair for pair in known if parsed.name in (pair.name, pair.id)), None)
        if pair is None:
            names = ", ".join(pair.name for pair in known) or "none yet"
            raise Problem(f'There is no pair "{parsed.name}".', f"There are: {names}.")
        bound = await self._desk.api.bind(pair.id, place.channel, place.user)
        await only_to_them(respond, answers.bound(bound))

    async def _refuse_shared(self, channel: str) -> None:
        """Books are not talked about with another company in the room (accounting.md, "Who may do what")."""
        try:
            answer = await self._desk.client.conversations_info(channel=channel)
        except SlackApiError as error:
            if error.response.get("error") in ("channel_not_found", "not_in_channel"):
                raise Problem("I am not in this channel.", "Type /invite @Tieout, then try again.") from error
            raise
        found = answer.get("channel") or {}
        if found.get("is_ext_shared"):
            raise Problem("This channel is shared with another company.", "Use a channel of your own workspace.")
        if found.get("is_im"):
            raise Problem("This is a direct message.", "Bind the pair in a channel that the people concerned are in.")
