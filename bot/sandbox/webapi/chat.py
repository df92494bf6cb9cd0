"""chat.* and reactions.add. Source: https://docs.slack.dev/reference/methods/chat.postMessage and its neighbours."""

from __future__ import annotations

import json
import re
from typing import Any

from bot.sandbox import wire
from bot.sandbox.refusal import Refusal
from bot.sandbox.rules import require_blocks
from bot.sandbox.webapi.desk import SPECIAL, T3, T4, Args, Desk, Method
from bot.sandbox.world import Channel, Json, Message

POST_TEXT = 40_000
UPDATE_TEXT = 4_000
METADATA_BYTES = 8_000  # Slack says only that metadata can be too large, not when


class Content:
    """What a message says, checked: text, blocks, attachments. Raises Refusal no_text, msg_too_long and what
    `rules.require_blocks` refuses."""

    def __init__(self, desk: Desk, args: Args, longest: int = POST_TEXT) -> None:
        self.text = args.text("text")
        markdown = args.text("markdown_text")
        if markdown and (self.text or "blocks" in args):
            raise Refusal("markdown_text_conflict")
        blocks = args.json("blocks", [], "invalid_blocks_format")
        self.attachments = args.json("attachments", [], "invalid_attachments")
        if markdown:
            blocks = [{"type": "markdown", "text": markdown}]
        if not self.text and not blocks and not self.attachments:
            raise Refusal("no_text")
        if len(self.text) > longest:
            raise Refusal("msg_too_long")
        require_blocks(blocks, self.attachments)
        self.blocks: list[Json] = wire.with_ids(desk.world, blocks)
        self.attachments = [self._attachment(desk, one) for one in self.attachments]

    def _attachment(self, desk: Desk, one: Any) -> Any:
        if not isinstance(one, dict) or "blocks" not in one:
            return one
        return {**one, "blocks": wire.with_ids(desk.world, one["blocks"])}


def _metadata(args: Args) -> Json | None:
    given = args.json("metadata", None, "invalid_metadata_format")
    if given is None:
        return None
    good = isinstance(given, dict) and isinstance(given.get("event_type"), str)
    if not good or not isinstance(given.get("event_payload"), dict):
        raise Refusal("invalid_metadata_format")
    if len(json.dumps(given).encode()) > METADATA_BYTES:
        raise Refusal("metadata_too_large")
    metadata: Json = given
    return metadata


def _thread(desk: Desk, channel: Channel, args: Args) -> str | None:
    """The root of the thread that is answered; a reply's own ts leads to its root."""
    if "thread_ts" not in args:
        return None
    ts = args.text("thread_ts")
    if re.fullmatch(r"\d{10}\.\d{6}", ts) is None:
        raise Refusal("invalid_thread_ts")
    parent = desk.world.find_message(channel.id, ts)
    if parent is None or parent.only_for is not None:
        raise Refusal("cannot_reply_to_message")
    return parent.thread_ts if parent.is_reply else parent.ts


def _target(desk: Desk, name: str) -> Channel:
    """Where a message goes; a user's id opens the direct messages with them."""
    if name in desk.world.users:
        return desk.world.direct(name)
    channel = desk.channel(name)
    member = desk.world.bot_user in channel.members
    if not member and "chat:write.public" in desk.app.scopes and not channel.is_private:
        return channel
    return desk.joined(channel.id)


def post_message(desk: Desk, args: Args) -> Json:
    channel = _target(desk, args.required("channel"))
    content = Content(desk, args)
    posted = Message(
        channel=channel.id,
        ts=desk.world.ids.ts(),
        user=desk.world.bot_user,
        bot_id=desk.world.bot_id,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        thread_ts=_thread(desk, channel, args),
        broadcast=args.flag("reply_broadcast"),
        metadata=_metadata(args),
    )
    desk.world.post(posted)
    return {"channel": channel.id, "ts": posted.ts, "message": desk.show(posted, metadata=True)}


def post_ephemeral(desk: Desk, args: Args) -> Json:
    channel = desk.joined(args.required("channel"))
    user = args.required("user")
    if user not in channel.members:
        raise Refusal("user_not_in_channel")
    content = Content(desk, args)
    posted = Message(
        channel=channel.id,
        ts=desk.world.ids.ts(),
        user=desk.world.bot_user,
        bot_id=desk.world.bot_id,
        text=content.text,
        blocks=content.blocks,
        attachments=content.attachments,
        thread_ts=_thread(desk, channel, args),
        only_for=user,
    )
    desk.world.post(posted)
    return {"message_ts": posted.ts}


def _own(desk: Desk, args: Args, wrong: str) -> Message:
    """A message of the app's own, not ephemeral. The channel must be an id."""
    channel = desk.world.channels.get(args.required("channel"))
    if channel is None:
        raise Refusal("channel_not_found")
    message = desk.world.find_message(channel.id, args.required("ts"))
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    if message.bot_id != desk.world.bot_id:
        raise Refusal(wrong)
    return message


def update(desk: Desk, args: Args) -> Json:
    """Text without blocks takes the blocks away; metadata that is not named stays; no "edited" mark on an app's
    messages (https://docs.slack.dev/reference/methods/chat.update)."""
    message = _own(desk, args, "cant_update_message")
    window_s = desk.world.edit_window_s
    if window_s is not None and desk.world.clock.now() > float(message.ts) + window_s:
        raise Refusal("edit_window_closed")
    only_attachments = "attachments" in args and "text" not in args and "blocks" not in args
    content = Content(desk, args, UPDATE_TEXT)
    if not only_attachments:
        message.text, message.blocks = content.text, content.blocks
    if "attachments" in args:
        message.attachments = content.attachments
    if "metadata" in args:
        message.metadata = _metadata(args)
    desk.world.touch(message)
    shown = desk.show(message, metadata=True)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


def delete(desk: Desk, args: Args) -> Json:
    message = _own(desk, args, "cant_delete_message")
    desk.world.remove(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(desk: Desk, args: Args) -> Json:
    channel = desk.channel(args.required("channel"))
    ts = args.required("message_ts")
    message = desk.world.find_message(channel.id, ts)
    if message is None or message.only_for is not None:
        raise Refusal("message_not_found")
    thread = f"&thread_ts={message.thread_ts}" if message.is_reply else ""
    query = f"?channel={channel.id}&ts={ts}{thread}"
    return {"channel": channel.id, "permalink": f"{desk.url}/archives/{channel.id}/p{ts.replace('.', '')}{query}"}


def react(desk: Desk, args: Args) -> Json:
    channel = desk.joined(args.required("channel"))
    message = desk.world.find_message(channel.id, args.required("timestamp"))
    if message is None:
        raise Refusal("message_not_found")
    name = args.required("name").strip(":")
    if re.fullmatch(r"[a-z0-9_+\-]+(::skin-tone-[2-6])?", name) is None:
        raise Refusal("invalid_name")
    users = message.reactions.setdefault(name, [])
    if desk.world.bot_user in users:
        raise Refusal("already_reacted")
    users.append(desk.world.bot_user)
    desk.world.touch(message)
    return {}


METHODS = {
    "chat.postMessage": Method(post_message, None, "chat:write"),
    "chat.postEphemeral": Method(post_ephemeral, T4, "chat:write"),
    "chat.update": Method(update, T3, "chat:write"),
    "chat.delete": Method(delete, T3, "chat:write"),
    "chat.getPermalink": Method(permalink, SPECIAL),
    "reactions.add": Method(react, T3, "reactions:write"),
}
