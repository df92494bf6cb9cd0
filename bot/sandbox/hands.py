"""What people do in Slack: type, press, pick, fill in, close. The page and tests work through the same hands."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bot.sandbox import filling, picks, wire
from bot.sandbox.deliver import payloads
from bot.sandbox.deliver.answer import Answer
from bot.sandbox.deliver.postman import Postman
from bot.sandbox.deliver.respond import say
from bot.sandbox.installation import ResponseAddress
from bot.sandbox.refusal import CannotDo, Refusal
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.webapi.views import prepared
from bot.sandbox.world import Channel, Json, Message, StoredFile, User, View

NO_ANSWER = "{app} did not answer ({trouble}). Nothing may have happened: wait a moment and try again."


class Outcome(msgspec.Struct, frozen=True):
    """What became of something that a person did. `trouble`: Slack's word if the app did not acknowledge; `errors`:
    what a modal said under its inputs, by block_id; `body`: the acknowledgement's body."""

    trouble: str | None = None
    body: Any = None
    errors: dict[str, str] = {}


class Hands:
    """Users by id or handle, channels by id or name. Raises CannotDo for what nobody could do in Slack."""

    def __init__(self, desk: Desk, postman: Postman) -> None:
        self._desk = desk
        self._world = desk.world
        self._postman = postman

    # ------------------------------------------------------------------ typing

    def _place(self, who: str, where: str) -> tuple[User, Channel]:
        user, channel = self._world.user(who), self._world.channel(where)
        if user.id not in channel.members:
            raise CannotDo(f"{user.name} is not in #{channel.name}")
        return user, channel

    async def command(self, who: str, where: str, line: str) -> Outcome:
        """Type a slash command into a channel's composer (never into a thread)."""
        user, channel = self._place(who, where)
        command, _, text = line.strip().partition(" ")
        if command not in [known.command for known in self._desk.app.commands]:
            self._notice(user, channel.id, f"{command} is not a valid command. Slackbot knows no app that has it.")
            return Outcome(trouble="unknown_command")
        form = payloads.slash_command(self._desk, user, channel, command, text.strip())
        answer = await self._postman.carry("slash_commands", form)
        if answer.trouble is not None:
            self._notice(user, channel.id, f'{command} failed with the error "{answer.trouble}"')
            return Outcome(answer.trouble)
        self._show_answer(user, channel, line, answer)
        return Outcome(body=answer.body)

    def _show_answer(self, user: User, channel: Channel, line: str, answer: Answer) -> None:
        said = answer.said
        if said.get("response_type") == "in_channel":
            self._world.post(Message(channel=channel.id, ts=self._world.ids.ts(), user=user.id, text=line))
        if not said.get("text") and not said.get("blocks") and not said.get("attachments"):
            return
        try:
            say(self._desk, ResponseAddress(user.id, channel.id, 0), said)
        except Refusal as no:
            self._notice(user, channel.id, f'{line.split(maxsplit=1)[0]} failed with the error "{no.code}"')

    def message(self, who: str, where: str, text: str, thread_ts: str | None = None) -> Message:
        """Say something. `@handle` becomes a mention; the app hears of it as far as it subscribed."""
        user, channel = self._place(who, where)
        said = self._with_mentions(text)
        posted = Message(channel=channel.id, ts=self._world.ids.ts(), user=user.id, text=said, thread_ts=thread_ts)
        self._world.post(posted)
        self._tell_message(posted, channel)
        return posted

    def _with_mentions(self, text: str) -> str:
        names = {user.name: user.id for user in self._world.users.values()}
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

        def mention(found: re.Match[str]) -> str:
            user_id = names.get(found[1].lower())
            return f"<@{user_id}>" if user_id is not None else found[0]

        return re.sub(r"(?<!\w)@([\w.\-]+)", mention, escaped)

    def _tell_message(self, posted: Message, channel: Channel) -> None:
        kind = "im" if channel.is_im else "group" if channel.is_private else "channel"
        if self._world.bot_user not in channel.members:
            return
        shown = {**self._desk.show(posted), "channel": channel.id, "event_ts": posted.ts}
        self._postman.tell({**shown, "channel_type": f"{kind}s" if kind != "im" else kind})
        if f"<@{self._world.bot_user}>" in posted.text:
            self._postman.tell({**shown, "type": "app_mention"})

    def share_file(self, who: str, where: str, name: str, content: bytes) -> Message:
        """Upload a file into a channel; the app hears `file_shared` if it subscribed."""
        user, channel = self._place(who, where)
        stored = self.add_file(who, name, content)
        stored.channels = [channel.id]
        posted = Message(
            channel=channel.id, ts=self._world.ids.ts(), user=user.id, files=[stored.id], subtype="file_share"
        )
        self._world.post(posted)
        self._tell_message(posted, channel)
        told = {"channel_id": channel.id, "file_id": stored.id, "user_id": user.id, "file": {"id": stored.id}}
        self._postman.tell({"type": "file_shared", **told, "event_ts": posted.ts})
        return posted

    def add_file(self, who: str, name: str, content: bytes) -> StoredFile:
        """A file that somebody has uploaded, as a file input does."""
        stored = StoredFile(
            id=self._world.ids.new("F"),
            name=name,
            title=name,
            length=len(content),
            user=self._world.user(who).id,
            created=int(self._world.clock.now()),
            token="",
            content=content,
            mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
            complete=True,
        )
        self._world.files[stored.id] = stored
        return stored

    def open_home(self, who: str, tab: str = "home") -> None:
        """Click the app in the sidebar."""
        user = self._world.user(who)
        told: Json = {"type": "app_home_opened", "user": user.id, "tab": tab, "event_ts": self._world.ids.ts()}
        self._postman.tell({**told, "channel": self._world.direct(user.id).id})

    # ------------------------------------------------------------------ pressing

    async def press(
        self,
        who: str,
        where: str,
        what: str,
        *,
        pick: Any = None,
        values: Mapping[str, Any] | None = None,
        block_id: str = "",
    ) -> Outcome:
        """Press or pick. `where`: a message's ts or a view's id; `what`: an action id, or what the button says;
        `pick`: for menus and inputs, the option's value, date, user ...; `values`: what stands in the modal's
        other inputs meanwhile. A confirmation is confirmed."""
        user = self._world.user(who)
        thing = self._thing(user, where)
        if isinstance(thing, View):
            filling.fill(thing, values or {})
        block, element = picks.find(_blocks(thing), what, block_id)
        picked = None if element["type"] in ("button", "icon_button") else picks.state(element, pick)
        if picked is not None:
            held = thing.values if isinstance(thing, View) else thing.picked
            held.setdefault(block["block_id"], {})[element["action_id"]] = picked
        if block["type"] == "input" and not block.get("dispatch_action"):
            return Outcome()
        return await self._send_action(user, thing, picks.action(block, element, picked, self._world.ids.ts()))

    async def _send_action(self, user: User, thing: Message | View, action: Json) -> Outcome:
        if isinstance(thing, View):
            payload = payloads.view_actions(self._desk, user, thing, action)
        else:
            payload = payloads.message_actions(self._desk, user, thing, action)
        answer = await self._postman.carry("interactive", payload)
        if answer.trouble is not None:
            self._trouble(user, thing, answer.trouble)
        return Outcome(answer.trouble, answer.body)

    def _trouble(self, user: User, thing: Message | View, trouble: str) -> None:
        text = NO_ANSWER.format(app=self._desk.app.name, trouble=trouble)
        if isinstance(thing, View):
            thing.trouble = text
            self._world.touch(thing)
        else:
            self._notice(user, thing.channel, text, thing.thread_ts)

    def _thing(self, user: User, where: str) -> Message | View:
        """A message or view that this person sees."""
        if where in self._world.views and self._world.views[where].user == user.id:
            return self._world.views[where]
        home = self._world.homes.get(user.id)
        if home is not None and home.id == where:
            return home
        for channel in self._world.channels.values():
            found = self._world.find_message(channel.id, where)
            seen = found is not None and found.only_for in (None, user.id)
            if found is not None and seen and user.id in channel.members:
                return found
        raise CannotDo(f"{user.name} sees no message or view {where}")

    async def suggest(self, who: str, where: str, what: str, typed: str) -> list[Json]:
        """Type into an external select: the options that the app offers."""
        user = self._world.user(who)
        thing = self._thing(user, where)
        block, element = picks.find(_blocks(thing), what)
        if len(typed) < element.get("min_query_length", 3):
            return []
        asked = payloads.suggestion(self._desk, user, thing, block["block_id"], element["action_id"], typed)
        answer = await self._postman.carry("interactive", asked)
        offered = answer.body if isinstance(answer.body, dict) else {}
        found: list[Json] = picks.options(offered)
        return found[:100]

    async def shortcut(self, who: str, callback_id: str, message_ts: str | None = None) -> Outcome:
        """Start a global shortcut, or one of a message's own."""
        user = self._world.user(who)
        if message_ts is None:
            payload = payloads.global_shortcut(self._desk, user, callback_id)
        else:
            thing = self._thing(user, message_ts)
            if isinstance(thing, View):
                raise CannotDo("a shortcut starts from a message, not from a view")
            payload = payloads.message_shortcut(self._desk, user, thing, callback_id)
        answer = await self._postman.carry("interactive", payload)
        return Outcome(answer.trouble, answer.body)

    # ------------------------------------------------------------------ modals

    def _open_view(self, user: User, view: View | str) -> View:
        found = self._world.views.get(view if isinstance(view, str) else view.id)
        if found is None or found.user != user.id:
            raise CannotDo(f"{user.name} has no such modal open")
        return found

    async def submit(self, who: str, view: View | str, values: Mapping[str, Any]) -> Outcome:
        """Fill in and submit a modal. `values`: by action id or block id. What Slack's own form refuses (a missing
        answer, text that is too long) never reaches the app."""
        user = self._world.user(who)
        opened = self._open_view(user, view)
        filling.fill(opened, values)
        self._name_files(opened)
        opened.trouble, opened.errors = "", filling.refusals(opened)
        self._world.touch(opened)
        if opened.errors:
            return Outcome(errors=opened.errors)
        filling.complete(opened)
        answer = await self._postman.carry("interactive", payloads.view_submission(self._desk, user, opened))
        if answer.trouble is not None:
            self._trouble(user, opened, answer.trouble)
            return Outcome(answer.trouble)
        return self._after_submission(opened, answer)

    def _name_files(self, view: View) -> None:
        """A file input's state holds whole files; hands give their ids."""
        for block, element in filling.inputs(view):
            held = view.values.get(block["block_id"], {}).get(element["action_id"])
            if element["type"] == "file_input" and held is not None:
                ids = [one["id"] if isinstance(one, dict) else one for one in held["files"]]
                shown = [wire.file(self._world, self._world.files[file_id], self._desk.url) for file_id in ids]
                held["files"] = shown

    def _after_submission(self, view: View, answer: Answer) -> Outcome:
        said = answer.said
        try:
            match said.get("response_action"):
                case "errors":
                    return self._shown_errors(view, said, answer)
                case "update":
                    self._world.change(view, prepared(self._desk, said.get("view"), view))
                case "push":
                    self._world.show(view.user, prepared(self._desk, said.get("view")), on=view)
                case "clear":
                    self._world.close(view, all_of_them=True)
                case _ if view.id in self._world.views:
                    self._world.close(view)
        except Refusal as no:
            self._trouble(self._world.users[view.user], view, no.code)
            return Outcome(no.code, answer.body)
        return Outcome(body=answer.body)

    def _shown_errors(self, view: View, said: Json, answer: Answer) -> Outcome:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        errors: dict[str, str] = said.get("errors") or {}
        if not errors or not set(errors) <= inputs:
            raise Refusal("invalid_block_id_in_errors")
        view.errors = errors
        self._world.touch(view)
        return Outcome(body=answer.body, errors=errors)

    async def close(self, who: str, view: View | str, *, all_of_them: bool = False) -> Outcome:
        """Press Close (or the cross: `all_of_them`). The app hears of it if the view asked for that."""
        user = self._world.user(who)
        opened = self._open_view(user, view)
        everything = all_of_them or bool(opened.said.get("clear_on_close"))
        closed = self._world.close(opened, all_of_them=everything)
        for one in reversed(closed):
            if one.said.get("notify_on_close"):
                told = payloads.view_closed(self._desk, user, one, cleared=everything)
                await self._postman.carry("interactive", told)
        return Outcome()

    def _notice(self, user: User, channel_id: str, text: str, thread_ts: str | None = None) -> None:
        """Something that Slack itself says, to one person."""
        said = Message(
            channel=channel_id,
            ts=self._world.ids.ts(),
            user="USLACKBOT",
            text=text,
            thread_ts=thread_ts,
            only_for=user.id,
            notice=True,
        )
        self._world.post(said)


def _blocks(thing: Message | View) -> list[Json]:
    if isinstance(thing, View):
        return thing.blocks
    attached = [block for one in thing.attachments for block in one.get("blocks", [])]
    return [*thing.blocks, *attached]
