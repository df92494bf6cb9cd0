"""What the workspace holds: people, channels, messages, files, views. It knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from bot.sandbox.clock import SandboxClock
from bot.sandbox.ids import Ids
from bot.sandbox.refusal import CannotDo, Refusal

Json = dict[str, Any]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to make for the workspace: `name` is the handle that commands and tests use."""

    name: str
    real_name: str = ""
    admin: bool = False
    guest: bool = False


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A channel to make. `members`: handles; None means everybody but guests."""

    name: str
    private: bool = False
    topic: str = ""
    members: tuple[str, ...] | None = None
    with_bot: bool = True


class User(msgspec.Struct, kw_only=True):
    id: str
    name: str
    real_name: str
    is_admin: bool = False
    is_guest: bool = False
    is_bot: bool = False
    tz: str = "America/New_York"


class Channel(msgspec.Struct, kw_only=True):
    id: str
    name: str
    is_private: bool = False
    is_im: bool = False
    im_user: str = ""
    topic: str = ""
    created: int = 0
    is_archived: bool = False
    members: list[str] = []


class Message(msgspec.Struct, kw_only=True):
    """One message. `only_for`: the user who alone sees it (ephemeral). `notice`: said by Slack itself, as when an
    app does not answer. `rev` grows with each change, for the page."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = []
    attachments: list[Json] = []
    bot_id: str = ""
    thread_ts: str | None = None
    broadcast: bool = False
    metadata: Json | None = None
    files: list[str] = []
    subtype: str | None = None
    edited: Json | None = None
    only_for: str | None = None
    notice: bool = False
    reactions: dict[str, list[str]] = {}
    picked: dict[str, dict[str, Json]] = {}
    rev: int = 0

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


class StoredFile(msgspec.Struct, kw_only=True):
    id: str
    name: str
    title: str
    length: int
    user: str
    created: int
    token: str
    content: bytes | None = None
    mimetype: str = "application/octet-stream"
    complete: bool = False
    channels: list[str] = []


class View(msgspec.Struct, kw_only=True):
    """A modal or Home tab as it stands for one user. `said`: what the app sent; `values`: what was typed and
    picked, block_id -> action_id -> state; `errors`: block_id -> what the modal shows under the input."""

    id: str
    user: str
    said: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: dict[str, dict[str, Json]] = {}
    errors: dict[str, str] = {}
    trouble: str = ""
    rev: int = 0

    @property
    def type(self) -> Literal["modal", "home"]:
        return "home" if self.said.get("type") == "home" else "modal"

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.said["blocks"]
        return blocks


class Bell:
    """Rings at each change; whoever waits is told."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def ring(self) -> None:
        self.count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def after(self, count: int) -> int:
        """The count as soon as it is above `count`."""
        while self.count <= count:
            await self._event.wait()
        return self.count


class World:
    """The workspace. Methods raise `Refusal` with Slack's code for what an app may not do."""

    def __init__(self, name: str, clock: SandboxClock, seed: str = "tieout") -> None:
        self.clock = clock
        self.ids = Ids(seed, clock)
        self.bell = Bell()
        self.name = name
        self.domain = "".join(letter for letter in name.lower() if letter.isalnum()) or "sandbox"
        self.team_id = self.ids.new("T")
        self.app_id = self.ids.new("A")
        self.bot_id = self.ids.new("B")
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, StoredFile] = {}
        self.views: dict[str, View] = {}
        self.stacks: dict[str, list[str]] = {}
        self.homes: dict[str, View] = {}
        self.groups: dict[str, list[str]] = {}
        self.edit_window_s: float | None = None
        self._messages: dict[str, list[Message]] = {}
        self.bot_user = self.ids.new("U")

    # ------------------------------------------------------------------ people and channels

    def add_bot(self, name: str) -> None:
        self.users[self.bot_user] = User(id=self.bot_user, name=name.lower(), real_name=name, is_bot=True)

    def add_person(self, person: Person) -> User:
        made = User(
            id=self.ids.new("U"),
            name=person.name,
            real_name=person.real_name or person.name,
            is_admin=person.admin,
            is_guest=person.guest,
        )
        self.users[made.id] = made
        return made

    def add_channel(self, room: Room) -> Channel:
        everybody = [user.id for user in self.people() if not user.is_guest]
        members = everybody if room.members is None else [self.user(name).id for name in room.members]
        made = Channel(
            id=self.ids.new("C"),
            name=room.name.removeprefix("#"),
            is_private=room.private,
            topic=room.topic,
            created=int(self.clock.now()),
            members=members + ([self.bot_user] if room.with_bot else []),
        )
        self.channels[made.id] = made
        return made

    def people(self) -> list[User]:
        return [user for user in self.users.values() if not user.is_bot]

    def user(self, who: str) -> User:
        """By id or handle; raises CannotDo."""
        handle = who.removeprefix("@")
        for user in self.users.values():
            if handle in (user.id, user.name):
                return user
        raise CannotDo(f"there is no user {who}")

    def find_channel(self, what: str) -> Channel | None:
        """By id or name."""
        name = what.removeprefix("#")
        for channel in self.channels.values():
            if what == channel.id or (name == channel.name and not channel.is_im):
                return channel
        return None

    def channel(self, what: str) -> Channel:
        """By id or name; raises CannotDo."""
        found = self.find_channel(what)
        if found is None:
            raise CannotDo(f"there is no channel {what}")
        return found

    def direct(self, user_id: str) -> Channel:
        """The direct-message channel between the app and somebody, made at first need."""
        for channel in self.channels.values():
            if channel.is_im and channel.im_user == user_id:
                return channel
        made = Channel(
            id=self.ids.new("D"),
            name="",
            is_im=True,
            is_private=True,
            im_user=user_id,
            created=int(self.clock.now()),
            members=[user_id, self.bot_user],
        )
        self.channels[made.id] = made
        return made

    # ------------------------------------------------------------------ messages

    def post(self, message: Message) -> Message:
        message.rev = self.bell.count + 1
        self._messages.setdefault(message.channel, []).append(message)
        if (parent := self.parent(message)) is not None:
            parent.rev = message.rev
        self.bell.ring()
        return message

    def parent(self, message: Message) -> Message | None:
        if not message.is_reply:
            return None
        return self.find_message(message.channel, message.thread_ts or "")

    def touch(self, thing: Message | View) -> None:
        thing.rev = self.bell.count + 1
        self.bell.ring()

    def remove(self, message: Message) -> None:
        self._messages[message.channel].remove(message)
        if (parent := self.parent(message)) is not None:
            parent.rev = self.bell.count + 1
        self.bell.ring()

    def find_message(self, channel_id: str, ts: str) -> Message | None:
        found = (message for message in self._messages.get(channel_id, []) if message.ts == ts)
        return next(found, None)

    def stored(self, channel_id: str) -> list[Message]:
        """What the API can read: no ephemeral messages. Oldest first."""
        return [message for message in self._messages.get(channel_id, []) if message.only_for is None]

    def seen_by(self, channel_id: str, user_id: str | None) -> list[Message]:
        """What somebody sees; None sees what everybody sees. Oldest first."""
        return [m for m in self._messages.get(channel_id, []) if m.only_for in (None, user_id)]

    def replies(self, channel_id: str, ts: str) -> list[Message]:
        return [message for message in self.stored(channel_id) if message.is_reply and message.thread_ts == ts]

    # ------------------------------------------------------------------ views

    def stack(self, user_id: str) -> list[View]:
        return [self.views[view_id] for view_id in self.stacks.get(user_id, [])]

    def new_hash(self) -> str:
        return f"{int(self.clock.now())}.{self.ids.secret('hash')[:8]}"

    def show(self, user_id: str, said: Json, *, on: View | None) -> View:
        """Open a modal, `on` another one or as the first. Raises Refusal push_limit_reached above three."""
        below = self.stacks.get(user_id, []) if on is not None else []
        if len(below) >= 3:  # https://docs.slack.dev/surfaces/modals: up to three views in the stack
            raise Refusal("push_limit_reached")
        view_id = self.ids.new("V")
        view = View(
            id=view_id,
            user=user_id,
            said=said,
            hash=self.new_hash(),
            root_id=below[0] if below else view_id,
            previous_id=below[-1] if below else None,
        )
        self._forget([old for old in self.stacks.get(user_id, []) if old not in below])
        self.views[view_id] = view
        self.stacks[user_id] = [*below, view_id]
        self.touch(view)
        return view

    def change(self, view: View, said: Json) -> None:
        """Put another view in the place of one. What was typed stays where block and action ids stay the same."""
        kept = {block.get("block_id"): block for block in said["blocks"]}
        view.values = {block_id: typed for block_id, typed in view.values.items() if block_id in kept}
        view.said = said
        view.hash = self.new_hash()
        view.errors, view.trouble = {}, ""
        self.touch(view)

    def close(self, view: View, *, all_of_them: bool = False) -> list[View]:
        """Take a modal away, and those above it; returns the closed ones, the lowest first."""
        stack = self.stacks.get(view.user, [])
        at = 0 if all_of_them else stack.index(view.id)
        closed = [self.views[view_id] for view_id in stack[at:]]
        self.stacks[view.user] = stack[:at]
        self._forget(stack[at:])
        self.bell.ring()
        return closed

    def _forget(self, view_ids: list[str]) -> None:
        for view_id in view_ids:
            self.views.pop(view_id, None)
