"""The workspace's things as Slack's JSON shows them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.installation import Installation
from bot.sandbox.world import Channel, Json, Message, StoredFile, User, View, World


def user(world: World, one: User) -> Json:
    return {
        "id": one.id,
        "team_id": world.team_id,
        "name": one.name,
        "real_name": one.real_name,
        "deleted": False,
        "tz": one.tz,
        "profile": {"real_name": one.real_name, "display_name": one.name, "team": world.team_id},
        "is_admin": one.is_admin,
        "is_owner": False,
        "is_restricted": one.is_guest,
        "is_ultra_restricted": False,
        "is_bot": one.is_bot,
        "is_app_user": False,
    }


def channel(world: World, one: Channel) -> Json:
    shared: Json = {
        "id": one.id,
        "created": one.created,
        "is_archived": one.is_archived,
        "is_im": one.is_im,
        "is_mpim": False,
        "context_team_id": world.team_id,
    }
    if one.is_im:
        return {**shared, "user": one.im_user}
    return {
        **shared,
        "name": one.name,
        "name_normalized": one.name,
        "is_channel": not one.is_private,
        "is_group": one.is_private,
        "is_private": one.is_private,
        "is_general": False,
        "is_member": world.bot_user in one.members,
        "is_shared": False,
        "is_ext_shared": False,
        "topic": {"value": one.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


def file(world: World, one: StoredFile, url: str) -> Json:
    private = f"{url}/files-pri/{world.team_id}-{one.id}"
    return {
        "id": one.id,
        "created": one.created,
        "timestamp": one.created,
        "name": one.name,
        "title": one.title,
        "mimetype": one.mimetype,
        "filetype": one.name.rpartition(".")[2],
        "user": one.user,
        "size": len(one.content or b""),
        "mode": "hosted",
        "is_external": False,
        "url_private": f"{private}/{one.name}",
        "url_private_download": f"{private}/download/{one.name}",
        "permalink": f"https://{world.domain}.slack.com/files/{one.user}/{one.id}/{one.name}",
        "channels": list(one.channels),
    }


def message(world: World, one: Message, app: Installation, url: str, *, metadata: bool = False) -> Json:
    """One message as history and payloads show it."""
    said: Json = {"type": "message", "user": one.user, "text": one.text, "ts": one.ts, "team": world.team_id}
    if one.bot_id:
        profile = {"id": one.bot_id, "app_id": world.app_id, "name": app.name, "team_id": world.team_id}
        said |= {"bot_id": one.bot_id, "app_id": world.app_id, "bot_profile": profile}
    optional: list[tuple[str, Any]] = [
        ("subtype", one.subtype),
        ("blocks", one.blocks or None),
        ("attachments", one.attachments or None),
        ("edited", one.edited),
        ("thread_ts", one.thread_ts),
        ("files", [file(world, world.files[file_id], url) for file_id in one.files] or None),
        ("metadata", one.metadata if metadata else None),
    ]
    said |= {name: value for name, value in optional if value is not None}
    if one.reactions:
        counted = [{"name": n, "users": users, "count": len(users)} for n, users in one.reactions.items()]
        said["reactions"] = counted
    return said | _thread(world, one)


def _thread(world: World, one: Message) -> Json:
    if one.is_reply:
        parent = world.parent(one)
        return {"parent_user_id": parent.user} if parent is not None else {}
    replies = world.replies(one.channel, one.ts)
    if not replies:
        return {}
    return {
        "thread_ts": one.ts,
        "reply_count": len(replies),
        "reply_users": list(dict.fromkeys(reply.user for reply in replies)),
        "reply_users_count": len({reply.user for reply in replies}),
        "latest_reply": replies[-1].ts,
    }


def view(world: World, one: View) -> Json:
    """A view as the API returns it and as payloads carry it."""
    said = {name: value for name, value in one.said.items() if name != "hash"}
    blank: Json = {"submit": None, "close": None, "title": {"type": "plain_text", "text": ""}}
    texts: Json = {"private_metadata": "", "callback_id": "", "external_id": ""}
    flags: Json = {"clear_on_close": False, "notify_on_close": False}
    return {
        **(blank if one.type == "modal" else {}),
        **texts,
        **flags,
        **said,
        "id": one.id,
        "team_id": world.team_id,
        "state": {"values": one.values},
        "hash": one.hash,
        "root_view_id": one.root_id,
        "previous_view_id": one.previous_id,
        "app_id": world.app_id,
        "app_installed_team_id": world.team_id,
        "bot_id": world.bot_id,
    }


def with_ids(world: World, blocks: list[Json]) -> list[Json]:
    """Give a block_id and action_ids to those that came without, as Slack does on arrival."""
    return [_with_ids(world, block) for block in blocks]


def _with_ids(world: World, block: Json) -> Json:
    done = {**block, "block_id": block.get("block_id") or world.ids.secret("block")[:5]}
    for place in ("accessory", "element"):
        if isinstance(done.get(place), dict):
            done[place] = _named(world, done[place])
    for place in ("elements", "actions"):
        if isinstance(done.get(place), list) and done["type"] not in ("rich_text", "context"):
            done[place] = [_named(world, element) for element in done[place]]
    if isinstance(done.get("child_blocks"), list):
        done["child_blocks"] = with_ids(world, done["child_blocks"])
    return done


_SILENT = {"image", "plain_text", "mrkdwn"}


def _named(world: World, element: Json) -> Json:
    if element.get("type") == "card":
        return _with_ids(world, element)
    if element.get("type") in _SILENT:
        return element
    return {**element, "action_id": element.get("action_id") or world.ids.secret("action")[:5]}
