"""What the templates are given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jinja2
import msgspec

from bot.sandbox import filling, picks
from bot.sandbox.page import chart, markup
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.world import Channel, Json, Message, StoredFile, User, View


class Place(msgspec.Struct, frozen=True):
    """Where somebody is looking: `at` is a channel id or `home`; `thread` the ts of the thread in the panel."""

    user: str
    at: str
    thread: str = ""


def environment(desk: Desk) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("bot.sandbox.page", "templates"),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world = desk.world
    made.filters["mrkdwn"] = lambda text: markup.mrkdwn(world, text)
    made.filters["said"] = lambda one: markup.text_object(world, one)
    made.filters["markdown"] = markup.markdown
    made.filters["rich"] = lambda parts: markup.rich_text(world, parts)
    made.filters["cell"] = lambda one: markup.cell(world, one)
    made.filters["emoji"] = markup.emoji
    made.filters["size"] = size
    made.filters["compact"] = lambda value: json.dumps(value, separators=(",", ":"))
    made.globals.update(draw=chart.draw, options=picks.options, initial=picks.initial, given=picks.given)
    made.globals.update(channel_link=lambda one, place: f"/?user={place.user}&at={one.id}")
    return made


def size(length: int) -> str:
    return f"{length} bytes" if length < 1024 else f"{length / 1024:,.0f} kB"


def zone(user: User) -> tzinfo:
    try:
        return ZoneInfo(user.tz)
    except ZoneInfoNotFoundError:  # a machine without a time zone database
        return UTC


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the template shows it. `day`: set where a new day begins."""

    message: Message
    author: str
    initials: str
    colour: int
    is_app: bool
    time: str
    full_time: str
    day: str | None
    replies: int
    last_reply: str
    files: list[StoredFile]


class Show:
    """Reads the workspace for one person at one place."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._world = desk.world

    def place(self, query: Mapping[str, str]) -> Place:
        """From a query; whatever is missing or wrong becomes the first person and their first channel."""
        people = {user.id: user for user in self._world.people()}
        names = {user.name: user for user in people.values()}
        user = people.get(query.get("user", "")) or names.get(query.get("user", "")) or next(iter(people.values()))
        if query.get("at") == "home":
            return Place(user.id, "home")
        found = self._world.find_channel(query.get("at", "")) if query.get("at") else None
        mine = self.channels(user)
        if found is None or user.id not in found.members:
            found = mine[0] if mine else self._world.direct(user.id)
        return Place(user.id, found.id, query.get("thread", ""))

    def channels(self, user: User) -> list[Channel]:
        return [c for c in self._world.channels.values() if user.id in c.members and not c.is_im]

    def frame(self, place: Place) -> dict[str, Any]:
        """Everything around the messages."""
        user = self._world.users[place.user]
        channel = self._world.channels.get(place.at)
        return {
            "world": self._world,
            "app": self._desk.app,
            "place": place,
            "user": user,
            "people": self._world.people(),
            "all_users": list(self._world.users.values()),
            "channels": self.channels(user),
            "direct": self._world.direct(user.id),
            "channel": channel,
            "home": self._world.homes.get(user.id),
            "bot_is_here": channel is not None and self._world.bot_user in channel.members,
            "rung": self._world.bell.count,
            "suggestions": list(self._suggestions()),
        }

    def _suggestions(self) -> Iterator[dict[str, str]]:
        for one in self._desk.app.commands:
            yield {"line": one.command, "hint": one.usage_hint, "about": one.description}
            for line in one.suggestions:
                typed, _, about = line.partition("  ")
                yield {"line": typed, "hint": "", "about": about.strip()}

    def lines(self, place: Place) -> list[Line]:
        """The channel's messages: not the replies, unless also sent to the channel."""
        seen = self._world.seen_by(place.at, place.user) if place.at in self._world.channels else []
        return self._dated(place, [m for m in seen if not m.is_reply or m.broadcast])

    def thread(self, place: Place) -> list[Line]:
        if not place.thread:
            return []
        seen = self._world.seen_by(place.at, place.user)
        thread = [m for m in seen if place.thread in (m.ts, m.thread_ts)]
        return self._dated(place, thread)

    def _dated(self, place: Place, messages: list[Message]) -> list[Line]:
        lines, last = [], ""
        for message in messages:
            day = self._at(place, message).strftime("%A, %d %B %Y").replace(" 0", " ")
            lines.append(self._line(place, message, day if day != last else None))
            last = day
        return lines

    def _at(self, place: Place, message: Message) -> datetime:
        return datetime.fromtimestamp(float(message.ts), zone(self._world.users[place.user]))

    def _line(self, place: Place, message: Message, day: str | None) -> Line:
        author = self._world.users.get(message.user)
        name = author.real_name if author is not None else "Slackbot"
        replies = [m for m in self._world.seen_by(message.channel, place.user) if m.is_reply]
        replies = [m for m in replies if m.thread_ts == message.ts]
        at = self._at(place, message)
        return Line(
            message=message,
            author=name,
            initials=_initials(name),
            colour=sum(name.encode()) % 6,
            is_app=bool(message.bot_id),
            time=at.strftime("%H:%M"),
            full_time=at.strftime("%Y-%m-%d %H:%M:%S %Z"),
            day=day,
            replies=len(replies),
            last_reply=self._at(place, replies[-1]).strftime("%H:%M") if replies else "",
            files=[self._world.files[file_id] for file_id in message.files],
        )

    def modal(self, user_id: str) -> dict[str, Any] | None:
        """The uppermost modal, with what stands in its inputs."""
        stack = self._world.stack(user_id)
        if not stack:
            return None
        view = stack[-1]
        return {"view": view, "depth": len(stack), "standing": standing(view)}


def standing(view: View) -> dict[str, dict[str, Any]]:
    """block_id -> action_id -> what stands there now."""
    now: dict[str, dict[str, Any]] = {}
    for block, element in picks.elements(view.blocks):
        if element["type"] not in ("button", "overflow", "icon_button", "feedback_buttons"):
            value = picks.given(filling.current(view, block, element))
            now.setdefault(block["block_id"], {})[element["action_id"]] = _plain_values(value)
    return now


def _plain_values(value: Any) -> Any:
    """Options by their values."""
    if isinstance(value, list):
        return [one.get("value", one.get("id")) if isinstance(one, dict) else one for one in value]
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _initials(name: str) -> str:
    words = [word for word in name.replace("-", " ").split() if word]
    return "".join(word[0] for word in words[:2]).upper()


def picked_in(message: Message) -> dict[str, dict[str, Any]]:
    """As `standing`, for a message's menus."""
    return {
        block_id: {action_id: _plain_values(picks.given(state)) for action_id, state in held.items()}
        for block_id, held in message.picked.items()
    }


def form_values(view: View, form: Mapping[str, list[Any]]) -> Json:
    """What a submitted form says, by block id; lists where the element takes several."""
    said: Json = {}
    for block, element in filling.inputs(view):
        raw = form.get(f"v:{block['block_id']}", [])
        many = element["type"].startswith("multi_") or element["type"] in ("checkboxes", "file_input")
        value: Any = raw if many else (raw[0] if raw else None)
        if element["type"] == "datetimepicker" and value:
            value = int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp())
        if element["type"] == "external_select" and value:
            value = json.loads(value)
        said[block["block_id"]] = value
    return said
