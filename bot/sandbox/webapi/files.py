"""Files, the way of getUploadURLExternal and completeUploadExternal.
Source: https://docs.slack.dev/messaging/working-with-files."""

from __future__ import annotations

import mimetypes
from typing import Any

from bot.sandbox import wire
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi.desk import T4, Args, Desk, Method
from bot.sandbox.world import Channel, Json, Message, StoredFile

LARGEST = 1_000_000_000  # 1 GB a file


def upload_url(desk: Desk, args: Args) -> Json:
    name, length = args.required("filename"), args.number("length", 0)
    if length <= 0:
        raise Refusal("invalid_arguments", ["must be greater than 0 [json-pointer:/length]"])
    if length > LARGEST:
        raise Refusal("file_upload_size_restricted")
    made = StoredFile(
        id=desk.world.ids.new("F"),
        name=name,
        title=name,
        length=length,
        user=desk.world.bot_user,
        created=int(desk.world.clock.now()),
        token=desk.world.ids.secret("upload"),
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
    )
    desk.world.files[made.id] = made
    return {"upload_url": f"{desk.url}/upload/v1/{made.token}", "file_id": made.id}


def receive(desk: Desk, token: str, content: bytes) -> StoredFile | None:
    """Bytes that came to an upload address; None if it does not exist, or the length is not the announced one."""
    for one in desk.world.files.values():
        if one.token == token and not one.complete and one.length == len(content):
            one.content = content
            return one
    return None


def _uploaded(desk: Desk, listed: Any) -> list[StoredFile]:
    if not isinstance(listed, list) or not listed:
        raise Refusal("invalid_arguments", ["missing required field: files"])
    found: list[StoredFile] = []
    for entry in listed:
        one = desk.world.files.get(entry.get("id", "")) if isinstance(entry, dict) else None
        if one is None or one.content is None or one.complete:
            raise Refusal("file_not_found")
        one.title = entry.get("title") or one.name
        found.append(one)
    return found


def _places(desk: Desk, args: Args) -> list[Channel]:
    named = [name for name in f"{args.text('channel_id')},{args.text('channels')}".split(",") if name]
    return [desk.joined(name) for name in named]


def complete(desk: Desk, args: Args) -> Json:
    """Share what was uploaded. Without a channel the files stay private to the app."""
    places = _places(desk, args)
    found = _uploaded(desk, args.json("files"))
    thread_ts = args.text("thread_ts") or None
    if thread_ts and any(desk.world.find_message(place.id, thread_ts) is None for place in places):
        raise Refusal("invalid_thread_ts")
    for one in found:
        one.complete = True
        one.channels = [place.id for place in places]
    for place in places:
        _share(desk, place, found, args.text("initial_comment"), thread_ts)
    return {"files": [wire.file(desk.world, one, desk.url) for one in found]}


def _share(desk: Desk, place: Channel, found: list[StoredFile], comment: str, thread_ts: str | None) -> None:
    message = Message(
        channel=place.id,
        ts=desk.world.ids.ts(),
        user=desk.world.bot_user,
        bot_id=desk.world.bot_id,
        text=comment,
        files=[one.id for one in found],
        thread_ts=thread_ts,
    )
    desk.world.post(message)


def info(desk: Desk, args: Args) -> Json:
    found = desk.world.files.get(args.required("file"))
    if found is None or found.content is None:
        raise Refusal("file_not_found")
    return {"file": wire.file(desk.world, found, desk.url)}


METHODS = {
    "files.getUploadURLExternal": Method(upload_url, T4, "files:write"),
    "files.completeUploadExternal": Method(complete, T4, "files:write"),
    "files.info": Method(info, T4, "files:read"),
}
