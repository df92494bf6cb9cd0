"""conversations.*. Source: https://docs.slack.dev/reference/methods/conversations.history and its neighbours."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

from bot.sandbox import wire
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi.desk import T2, T3, T4, Args, Desk, Method
from bot.sandbox.world import Channel, Json, Message

T = TypeVar("T")


def _family(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "groups" if channel.is_private else "channels"


def _readable(desk: Desk, args: Args) -> Channel:
    channel = desk.channel(args.required("channel"))
    desk.need(f"{_family(channel)}:history")
    if desk.world.bot_user not in channel.members:
        raise Refusal("not_in_channel")
    return channel


def page(args: Args, rows: list[T], default: int) -> tuple[list[T], str]:
    """One page by cursor and limit, and the next cursor (empty at the end). Raises Refusal invalid_cursor and
    invalid_limit."""
    limit = args.number("limit", default)
    if not 0 < limit <= 1000:
        raise Refusal("invalid_limit")
    start = 0
    if cursor := args.text("cursor"):
        try:
            start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
        except (binascii.Error, ValueError):
            raise Refusal("invalid_cursor") from None
    end = start + limit
    more = base64.b64encode(f"next:{end}".encode()).decode() if end < len(rows) else ""
    return rows[start:end], more


def _between(args: Args, messages: list[Message]) -> list[Message]:
    oldest, latest = args.text("oldest", "0"), args.text("latest", "9999999999.999999")
    inclusive = args.flag("inclusive")

    def inside(message: Message) -> bool:
        at = float(message.ts)
        if inclusive:
            return float(oldest) <= at <= float(latest)
        return float(oldest) < at < float(latest)

    try:
        return [message for message in messages if inside(message)]
    except ValueError:
        raise Refusal("invalid_ts_latest") from None


def _answer(desk: Desk, args: Args, messages: list[Message]) -> Json:
    rows, cursor = page(args, messages, 100)
    metadata = args.flag("include_all_metadata")
    return {
        "messages": [desk.show(message, metadata=metadata) for message in rows],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def history(desk: Desk, args: Args) -> Json:
    """Newest first; replies only where they were also sent to the channel."""
    channel = _readable(desk, args)
    shown = [m for m in desk.world.stored(channel.id) if not m.is_reply or m.broadcast]
    return _answer(desk, args, _between(args, shown)[::-1])


def replies(desk: Desk, args: Args) -> Json:
    """The parent, then its replies, oldest first."""
    channel = _readable(desk, args)
    root = desk.world.find_message(channel.id, args.required("ts"))
    if root is None or root.only_for is not None:
        raise Refusal("thread_not_found")
    root_ts = root.thread_ts if root.is_reply and root.thread_ts else root.ts
    parent = desk.world.find_message(channel.id, root_ts)
    thread = desk.world.replies(channel.id, root_ts)
    return _answer(desk, args, ([parent] if parent is not None else []) + _between(args, thread))


def info(desk: Desk, args: Args) -> Json:
    channel = desk.channel(args.required("channel"))
    desk.need(f"{_family(channel)}:read")
    shown = wire.channel(desk.world, channel)
    if args.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


def members(desk: Desk, args: Args) -> Json:
    channel = desk.channel(args.required("channel"))
    desk.need(f"{_family(channel)}:read")
    rows, cursor = page(args, channel.members, 100)
    return {"members": rows, "response_metadata": {"next_cursor": cursor}}


def listing(desk: Desk, args: Args) -> Json:
    kinds = args.text("types", "public_channel").split(",")
    shown = [channel for channel in desk.world.channels.values() if _kind(channel) in kinds]
    visible = [c for c in shown if not c.is_private or desk.world.bot_user in c.members]
    rows, cursor = page(args, [wire.channel(desk.world, channel) for channel in visible], 100)
    return {"channels": rows, "response_metadata": {"next_cursor": cursor}}


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def join(desk: Desk, args: Args) -> Json:
    channel = desk.channel(args.required("channel"))
    if channel.is_private:
        raise Refusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise Refusal("is_archived")
    if desk.world.bot_user not in channel.members:
        channel.members.append(desk.world.bot_user)
        desk.world.bell.ring()
    return {"channel": wire.channel(desk.world, channel)}


def open_direct(desk: Desk, args: Args) -> Json:
    users = [user for user in args.text("users").split(",") if user]
    if not users and "channel" not in args:
        raise Refusal("users_list_not_supplied")
    if len(users) > 1:
        raise Refusal("invalid_user_combination")  # group messages are not part of the sandbox
    if users and users[0] not in desk.world.users:
        raise Refusal("user_not_found")
    channel = desk.world.direct(users[0]) if users else desk.channel(args.text("channel"))
    shown = wire.channel(desk.world, channel) if args.flag("return_im") else {"id": channel.id}
    return {"channel": shown}


METHODS = {
    "conversations.history": Method(history, T3),
    "conversations.replies": Method(replies, T3),
    "conversations.info": Method(info, T3),
    "conversations.members": Method(members, T4),
    "conversations.list": Method(listing, T2, "channels:read"),
    "conversations.join": Method(join, T3, "channels:join"),
    "conversations.open": Method(open_direct, T3, "im:write"),
}
