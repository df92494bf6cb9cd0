"""Buttons. Each is opened (signature, age), allowed or refused, and handed to the worker, which lets it act once."""

from __future__ import annotations

from typing import Any, cast

from bot import ids
from bot.blocks import answers
from bot.blocks.choose import choose_modal
from bot.blocks.conflict import edit_modal, listed, meant
from bot.blocks.parts import people, person, when
from bot.listeners.desk import Desk, Json, Place, Respond, answered, only_to_them
from bot.metadata import Button
from worker.api import Problem
from worker.api.views import AgainVerb, ApprovedView, SettledView

CHOICES = {
    ids.KEEP_CRM: "crm",
    ids.KEEP_BOOKS: "books",
    ids.ONE_BY_ONE: "one-by-one",
    ids.SAME: "same",
    ids.DIFFERENT: "different",
    ids.CREATE: "create",
    ids.NOT_NEEDED: "not-needed",
    ids.LEAVE: "leave",
    ids.ARCHIVE: "archive",
    ids.REISSUE: "reissue",
    ids.CREDIT: "credit",
}


class Actions:
    """What buttons do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # ----------------------------------------------------------------- plans

    async def plan(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._plan(body, action))

    async def _plan(self, body: Json, action: Json) -> None:
        place = Place.of_action(body)
        verb = ids.verb_of(action["action_id"])
        button = self._desk.buttons.open(verb, action["value"])
        match verb:
            case ids.APPLY:
                await self.apply(button, place, "all")
            case ids.APPLY_WITHOUT_MONEY:
                await self.apply(button, place, "without_money")
            case ids.APPLY_HELD:
                await self.apply(button, place, "all", confirm_held=True)
            case ids.CHOOSE:
                await self._choose(button, place, body, action["value"])
            case ids.DISCARD:
                self._desk.allow(place.user, "apply")
                await self._desk.api.discard(button.subject, place.user)
                self._desk.sender.poke()
            case ids.SHOW:
                await self._show(button, place)

    async def apply(
        self, button: Button, place: Place, part: str | tuple[str, ...], *, confirm_held: bool = False
    ) -> None:
        """Agree to a plan. With enough agreeing it is carried out, in the message that showed it."""
        desk = self._desk
        desk.allow(place.user, "apply")
        plan = await desk.api.plan(button.subject, limit=1)
        if part == "all" and plan.limit is not None:
            desk.allow(place.user, "apply_over_limit")
        tell = {"channel": place.channel, "user": place.user}
        approved = await desk.api.approve(
            plan.id, button.detail, place.user, cast(Any, part), confirm_held=confirm_held, tell=tell
        )
        if approved.run_id is not None:
            desk.sender.watch(approved.run_id, plan.pair_id, place.channel, f"run:{plan.run_id}")
            desk.sender.poke()
        else:
            await desk.whisper(plan.pair_id, place, "text", _agreed(approved))

    async def _choose(self, button: Button, place: Place, body: Json, token: str) -> None:
        desk = self._desk
        desk.allow(place.user, "apply")
        plan = await desk.api.plan(button.subject, limit=1)
        if plan.state != "open":
            raise Problem("This plan is not open any more.", "/tieout preview makes a new one.")
        look = await desk.teller.look(plan.pair_id)
        view = choose_modal(plan, look, place.packed(token))
        await desk.client.views_open(trigger_id=body["trigger_id"], view=view)

    async def _show(self, button: Button, place: Place) -> None:
        """All changes of a plan as a file in its thread; once, however often it is asked for."""
        plan = await self._desk.api.plan(button.subject, limit=1)
        name, body = f"file:show:{plan.id}", {"plan": plan.id, "thread": f"run:{plan.run_id}"}
        if await self._desk.messages.is_said(name):
            await self._desk.whisper(plan.pair_id, place, "text", "All changes are in the thread already.")
            return
        await self._desk.messages.say(plan.pair_id, place.channel, name, "changes_file", body)
        self._desk.sender.poke()

    # ----------------------------------------------------------------- conflicts

    async def conflict(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._conflict(body, action, respond))

    async def _conflict(self, body: Json, action: Json, respond: Respond) -> None:
        place, desk = Place.of_action(body), self._desk
        verb = ids.verb_of(action["action_id"])
        token = action["value"] if verb != ids.MORE else action["selected_option"]["value"]
        button = desk.buttons.open(verb, token) if verb != ids.MORE else desk.buttons.open_any(token)
        number, as_shown, ref = meant(button.detail)
        match button.verb:
            case ids.EDIT:
                await self._edit(button, place, body, token)
                return
            case ids.LATER:
                await self._later(button.subject, number, place)
            case ids.PREFER_CRM | ids.PREFER_BOOKS:
                desk.allow(place.user, "prefer")
                side = "crm" if button.verb == ids.PREFER_CRM else "books"
                settled = await desk.api.prefer(button.subject, number, cast(Any, side), place.user)
                await self.settled(button.subject, place, settled)
            case _:
                desk.allow(place.user, "settle")
                choice = CHOICES[button.verb]
                settled = await desk.api.settle_and_write(
                    button.subject, number, choice, place.user, ref or None, as_shown
                )
                await self.settled(button.subject, place, settled)
        await self._refresh_list(button.subject, place, respond)

    async def settled(self, pair_id: str, place: Place, settled: SettledView) -> None:
        """The card shows it; a word to who pressed only if it did not go as they meant."""
        self._desk.sender.poke()
        if settled.moved:
            text = f"{settled.title}: a value changed since this was asked. The card shows it as it is now."
            await self._desk.whisper(pair_id, place, "text", text)
        elif not settled.first:
            text = f"{person(settled.by)} was first: {settled.title} is settled ({settled.decision})."
            await self._desk.whisper(pair_id, place, "text", text)

    async def _later(self, pair_id: str, number: int, place: Place) -> None:
        self._desk.allow(place.user, "settle")
        pair = await self._desk.api.pair_by_id(pair_id)
        note = f"Left for later by {person(place.user)}, {when(self._desk.now(), pair.time_zone)}."
        await self._desk.api.put_off(pair_id, number, note)
        self._desk.sender.poke()

    async def _edit(self, button: Button, place: Place, body: Json, token: str) -> None:
        self._desk.allow(place.user, "settle")
        conflict = await self._desk.api.conflict(button.subject, meant(button.detail)[0])
        if conflict.state != "open":
            raise Problem(f"{conflict.title} is settled already.", "/tieout conflicts lists what is open.")
        view = edit_modal(conflict, place.packed(token))
        await self._desk.client.views_open(trigger_id=body["trigger_id"], view=view)

    async def _refresh_list(self, pair_id: str, place: Place, respond: Respond) -> None:
        """Somebody's own list of conflicts is theirs alone to see: it is edited through their response address."""
        if place.is_ephemeral:
            look = await self._desk.teller.look(pair_id)
            await only_to_them(respond, listed(await self._desk.api.conflicts(pair_id), look), replace=True)

    # ----------------------------------------------------------------- what is settled

    async def lift(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._lift(body, action))

    async def _lift(self, body: Json, action: Json) -> None:
        """Said in the channel: it concerns everybody, and the next preview shows what comes of it."""
        place, desk = Place.of_action(body), self._desk
        verb = ids.verb_of(action["action_id"])
        button = desk.buttons.open(verb, action["value"])
        desk.allow(place.user, "settle")
        how: AgainVerb = "bill" if verb == ids.BILL_AGAIN else "make"
        again = await desk.api.again(button.subject, how, button.detail, place.user)
        await desk.announce(button.subject, place, answers.again(again, place.user))

    # ----------------------------------------------------------------- the trail

    async def audit(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._audit(body, action, respond))

    async def _audit(self, body: Json, action: Json, respond: Respond) -> None:
        """One record's story as a file, in the direct messages of who pressed: it may hold personal values."""
        place, desk = Place.of_action(body), self._desk
        button = desk.buttons.open(ids.verb_of(action["action_id"]), action["value"])
        letter: Json = {"record": button.detail}
        room = await desk.direct(place.user)
        name = f"file:audit:{place.key}"
        await desk.messages.say(button.subject, room, name, "audit_file", letter)
        desk.sender.poke()
        await only_to_them(respond, answers.plain("The file comes in your messages with Tieout."))

    # ----------------------------------------------------------------- runs and schedules

    async def run(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._run(body, action))

    async def _run(self, body: Json, action: Json) -> None:
        place, desk = Place.of_action(body), self._desk
        verb = ids.verb_of(action["action_id"])
        button = desk.buttons.open(verb, action["value"])
        what = (await desk.api.run(button.detail)).what if verb == ids.AGAIN else "preview"
        request: Json = {}
        if verb == ids.UNDO:
            what, request = "undo", {"undoes": button.detail}
        if verb == ids.EMPTIED:
            desk.allow(place.user, "apply")
            request = {"confirm_emptied": True}
        asked = await desk.api.ask_run(button.subject, what, place.user, place.channel, request, once=button.once)
        if not asked.new and verb == ids.UNDO and await self._is_over(asked.run_id):
            asked = await desk.api.ask_run(button.subject, what, place.user, place.channel, request)
        if not asked.new:
            text = f"{people(asked.by)} pressed this already; its message is in the channel."
            await desk.whisper(button.subject, place, "text", text)
            return
        desk.sender.watch(asked.run_id, button.subject, place.channel, asked.message)
        desk.sender.poke()

    async def _is_over(self, run_id: str) -> bool:
        """Whether what a press led to was discarded, replaced or failed: it may be asked for again."""
        run = await self._desk.api.run(run_id)
        if not run.over or run.plan_id is None:
            return run.over
        return (await self._desk.api.plan(run.plan_id, limit=1)).state not in ("open", "applying")

    async def schedule(self, ack: Any, body: Json, action: Json, respond: Respond) -> None:
        await ack()
        await answered(respond, self._schedule(body, action, respond))

    async def _schedule(self, body: Json, action: Json, respond: Respond) -> None:
        place, desk = Place.of_action(body), self._desk
        verb = ids.verb_of(action["action_id"])
        button = desk.buttons.open(verb, action["value"])
        desk.allow(place.user, "schedule")
        pair_id = button.subject
        line = next((each for each in await desk.schedules.list(pair_id) if each.id == button.detail), None)
        if line is None:
            raise Problem("This line is not in the schedule any more.", "/tieout schedule lists them.")
        if verb == ids.REMOVE:
            changed, how = await desk.schedules.remove(pair_id, line.number, place.user), "removed"
        else:
            paused = verb == ids.PAUSE
            changed = await desk.schedules.pause(pair_id, line.number, place.user, paused=paused)
            how = "paused" if paused else "resumed"
        await desk.announce(pair_id, place, answers.scheduled(changed, how))
        if place.is_ephemeral:
            look = await desk.teller.look(pair_id)
            await only_to_them(respond, answers.schedules(await desk.schedules.list(pair_id), look), replace=True)


def _agreed(approved: ApprovedView) -> str:
    left = approved.needed - len(approved.by)
    more = "one more has" if left == 1 else f"{left} more have"
    return f"Noted. It is carried out as soon as {more} agreed."
