"""What the app is told about what people did.
Sources: https://docs.slack.dev/interactivity/implementing-slash-commands,
https://docs.slack.dev/reference/interaction-payloads and https://docs.slack.dev/apis/events-api."""

from __future__ import annotations

from bot.sandbox import wire
from bot.sandbox.webapi.desk import Desk
from bot.sandbox.world import Channel, Json, Message, User, View


def slash_command(desk: Desk, user: User, channel: Channel, command: str, text: str) -> dict[str, str]:
    world = desk.world
    return {
        "token": "deprecated",
        "team_id": world.team_id,
        "team_domain": world.domain,
        "channel_id": channel.id,
        "channel_name": _name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": world.app_id,
        "is_enterprise_install": "false",
        "response_url": desk.url + desk.responses.issue(user.id, channel.id),
        "trigger_id": desk.triggers.issue(user.id),
    }


def _name(channel: Channel) -> str:
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _shared(desk: Desk, user: User, kind: str) -> Json:
    world = desk.world
    return {
        "type": kind,
        "team": {"id": world.team_id, "domain": world.domain},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": world.team_id},
        "api_app_id": world.app_id,
        "token": "deprecated",
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_actions(desk: Desk, user: User, message: Message, action: Json) -> Json:
    """block_actions from a message."""
    channel = desk.world.channels[message.channel]
    ephemeral = message.only_for is not None
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    return {
        **_shared(desk, user, "block_actions"),
        "container": container,
        "trigger_id": desk.triggers.issue(user.id),
        "channel": {"id": channel.id, "name": _name(channel)},
        **({} if ephemeral else {"message": desk.show(message)}),
        "state": {"values": message.picked},
        "response_url": desk.url + desk.responses.issue(user.id, channel.id, message.ts),
        "actions": [action],
    }


def view_actions(desk: Desk, user: User, view: View, action: Json) -> Json:
    """block_actions from a modal or a Home tab: no response_url."""
    return {
        **_shared(desk, user, "block_actions"),
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": desk.triggers.issue(user.id, view.id if view.type == "modal" else None),
        "view": wire.view(desk.world, view),
        "hash": view.hash,
        "actions": [action],
    }


def view_submission(desk: Desk, user: User, view: View) -> Json:
    return {
        **_shared(desk, user, "view_submission"),
        "trigger_id": desk.triggers.issue(user.id, view.id),
        "view": wire.view(desk.world, view),
        "response_urls": [],
    }


def view_closed(desk: Desk, user: User, view: View, *, cleared: bool) -> Json:
    shown = wire.view(desk.world, view)
    shown["state"] = {"values": {}}
    return {**_shared(desk, user, "view_closed"), "view": shown, "is_cleared": cleared}


def suggestion(desk: Desk, user: User, view: View | Message, block_id: str, action_id: str, typed: str) -> Json:
    """block_suggestion: what an external select asks for."""
    common = {**_shared(desk, user, "block_suggestion"), "block_id": block_id, "action_id": action_id, "value": typed}
    if isinstance(view, View):
        return {
            **common,
            "container": {"type": "view", "view_id": view.id},
            "view": wire.view(desk.world, view),
        }
    channel = desk.world.channels[view.channel]
    return {
        **common,
        "container": {"type": "message", "message_ts": view.ts, "channel_id": view.channel},
        "channel": {"id": channel.id, "name": _name(channel)},
        "message": desk.show(view),
    }


def global_shortcut(desk: Desk, user: User, callback_id: str) -> Json:
    return {
        **_shared(desk, user, "shortcut"),
        "callback_id": callback_id,
        "trigger_id": desk.triggers.issue(user.id),
        "action_ts": desk.world.ids.ts(),
    }


def message_shortcut(desk: Desk, user: User, message: Message, callback_id: str) -> Json:
    channel = desk.world.channels[message.channel]
    return {
        **_shared(desk, user, "message_action"),
        "callback_id": callback_id,
        "trigger_id": desk.triggers.issue(user.id),
        "action_ts": desk.world.ids.ts(),
        "channel": {"id": channel.id, "name": _name(channel)},
        "message_ts": message.ts,
        "message": desk.show(message),
        "response_url": desk.url + desk.responses.issue(user.id, channel.id, message.ts),
    }


def event(desk: Desk, inner: Json) -> Json:
    """The wrapper around an event."""
    world = desk.world
    authorization = {
        "enterprise_id": None,
        "team_id": world.team_id,
        "user_id": world.bot_user,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": "deprecated",
        "team_id": world.team_id,
        "api_app_id": world.app_id,
        "event": inner,
        "type": "event_callback",
        "event_id": world.ids.new("Ev"),
        "event_time": int(world.clock.now()),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
    }
