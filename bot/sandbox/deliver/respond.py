"""What an app may send to a response_url.
Source: https://docs.slack.dev/interactivity/handling-user-interaction#message_responses."""

from __future__ import annotations

from bot.sandbox.installation import ResponseAddress
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi.chat import POST_TEXT, Content
from bot.sandbox.webapi.desk import Args, Desk
from bot.sandbox.world import Json, Message


def respond(desk: Desk, address: ResponseAddress, said: Json) -> None:
    """Post, replace or delete. Raises Refusal: HTTP 400 for contents that Slack refuses."""
    try:
        _respond(desk, address, said)
    except Refusal as no:
        raise Refusal(no.code, no.messages, status=400 if no.status == 200 else no.status) from None


def _respond(desk: Desk, address: ResponseAddress, said: Json) -> None:
    pressed = desk.world.find_message(address.channel, address.message_ts or "")
    if said.get("delete_original") in (True, "true"):
        _delete(desk, pressed)
    elif said.get("replace_original") in (True, "true") and pressed is not None:
        _replace(desk, pressed, Args(said))
    else:
        say(desk, address, said, pressed)


def _delete(desk: Desk, pressed: Message | None) -> None:
    if pressed is None:
        raise Refusal("message_not_found", status=404)
    desk.world.remove(pressed)


def _replace(desk: Desk, pressed: Message, args: Args) -> None:
    if pressed.only_for is not None and args.text("response_type") == "in_channel":
        raise Refusal("cant_update_message")
    content = Content(desk, args, POST_TEXT)
    pressed.text, pressed.blocks, pressed.attachments = content.text, content.blocks, content.attachments
    desk.world.touch(pressed)


def say(desk: Desk, address: ResponseAddress, said: Json, pressed: Message | None = None) -> Message:
    """A new message: for the person alone, unless `response_type` is `in_channel`."""
    args = Args(said)
    content = Content(desk, args)
    shared = args.text("response_type", "ephemeral") == "in_channel"
    thread_ts = args.text("thread_ts") if shared and "thread_ts" in args else None
    if not shared and pressed is not None:
        thread_ts = pressed.thread_ts
    return desk.world.post(
        Message(
            channel=address.channel,
            ts=desk.world.ids.ts(),
            user=desk.world.bot_user,
            bot_id=desk.world.bot_id,
            text=content.text,
            blocks=content.blocks,
            attachments=content.attachments,
            thread_ts=thread_ts,
            only_for=None if shared else address.user,
        )
    )
