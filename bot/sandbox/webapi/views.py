"""views.*. Source: https://docs.slack.dev/reference/methods/views.open and its neighbours."""

from __future__ import annotations

import json

from bot.sandbox import wire
from bot.sandbox.refusal import Refusal
from bot.sandbox.rules import require_view
from bot.sandbox.webapi.desk import T4, Args, Desk, Method
from bot.sandbox.world import Json, View


def prepared(desk: Desk, said: Json | None, replacing: View | None = None) -> Json:
    """A view that Slack takes, with ids filled in. Raises Refusal invalid_arguments, view_too_large,
    duplicate_external_id."""
    if isinstance(said, dict):
        said = {name: value for name, value in said.items() if value is not None}
    require_view(said)
    view: Json = json.loads(json.dumps(said))
    others = [one for one in _all_views(desk) if one is not replacing]
    taken = {one.said.get("external_id") for one in others}
    if view.get("external_id") and view["external_id"] in taken:
        raise Refusal("duplicate_external_id")
    view["blocks"] = wire.with_ids(desk.world, view["blocks"])
    return view


def _all_views(desk: Desk) -> list[View]:
    return [*desk.world.views.values(), *desk.world.homes.values()]


def _shown(desk: Desk, view: View) -> Json:
    return {"view": wire.view(desk.world, view)}


def open_view(desk: Desk, args: Args) -> Json:
    trigger = desk.triggers.redeem(args.required("trigger_id"))
    said = prepared(desk, args.json("view"))
    _modal(said)
    trigger.used = True
    return _shown(desk, desk.world.show(trigger.user, said, on=None))


def push_view(desk: Desk, args: Args) -> Json:
    """Only with a trigger that came from within a modal."""
    trigger = desk.triggers.redeem(args.required("trigger_id"))
    below = desk.world.views.get(trigger.view or "")
    if below is None:
        raise Refusal("not_found")
    said = prepared(desk, args.json("view"))
    _modal(said)
    view = desk.world.show(trigger.user, said, on=below)
    trigger.used = True
    return _shown(desk, view)


def _modal(said: Json) -> None:
    if said["type"] != "modal":
        raise Refusal("invalid_arguments", ["must be a valid enum value [json-pointer:/view/type]"])


def _named(desk: Desk, args: Args) -> View:
    if "view_id" not in args and "external_id" not in args:
        raise Refusal("invalid_arguments", ["missing required field: view_id"])
    for view in _all_views(desk):
        if view.id == args.text("view_id") or (
            "external_id" in args and view.said.get("external_id") == args.text("external_id")
        ):
            return view
    raise Refusal("not_found")


def update_view(desk: Desk, args: Args) -> Json:
    view = _named(desk, args)
    if "hash" in args and args.text("hash") != view.hash:
        raise Refusal("hash_conflict")
    said = prepared(desk, args.json("view"), view)
    if said["type"] != view.type:
        raise Refusal("invalid_arguments", ["must be a valid enum value [json-pointer:/view/type]"])
    desk.world.change(view, said)
    return _shown(desk, view)


def publish(desk: Desk, args: Args) -> Json:
    user_id = args.required("user_id")
    if user_id not in desk.world.users:
        raise Refusal("user_not_found")
    home = desk.world.homes.get(user_id)
    if "hash" in args and home is not None and args.text("hash") != home.hash:
        raise Refusal("hash_conflict")
    said = prepared(desk, args.json("view"), home)
    if said["type"] != "home":
        raise Refusal("invalid_arguments", ["must be a valid enum value [json-pointer:/view/type]"])
    if home is None:
        view_id = desk.world.ids.new("V")
        home = View(id=view_id, user=user_id, said=said, hash=desk.world.new_hash(), root_id=view_id)
        desk.world.homes[user_id] = home
    desk.world.change(home, said)
    return _shown(desk, home)


METHODS = {
    "views.open": Method(open_view, T4),
    "views.push": Method(push_view, T4),
    "views.update": Method(update_view, T4),
    "views.publish": Method(publish, T4),
}
