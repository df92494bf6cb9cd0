"""auth.test, users.*, bots.info, team.info, usergroups.*, oauth.v2.access, apps.connections.open."""

from __future__ import annotations

from bot.sandbox import wire
from bot.sandbox.refusal import Refusal
from bot.sandbox.webapi.conversations import page
from bot.sandbox.webapi.desk import SPECIAL, T1, T2, T3, T4, Args, Desk, Method
from bot.sandbox.world import Json


def auth_test(desk: Desk, args: Args) -> Json:
    world = desk.world
    return {
        "url": f"https://{world.domain}.slack.com/",
        "team": world.name,
        "user": world.users[world.bot_user].name,
        "team_id": world.team_id,
        "user_id": world.bot_user,
        "bot_id": world.bot_id,
        "is_enterprise_install": False,
    }


def users_info(desk: Desk, args: Args) -> Json:
    found = desk.world.users.get(args.required("user"))
    if found is None:
        raise Refusal("user_not_found")
    return {"user": wire.user(desk.world, found)}


def users_list(desk: Desk, args: Args) -> Json:
    everybody = [wire.user(desk.world, user) for user in desk.world.users.values()]
    rows, cursor = page(args, everybody, 200)
    return {"members": rows, "cache_ts": int(desk.world.clock.now()), "response_metadata": {"next_cursor": cursor}}


def bots_info(desk: Desk, args: Args) -> Json:
    world = desk.world
    if args.required("bot") != world.bot_id:
        raise Refusal("bot_not_found")
    shown = {"id": world.bot_id, "app_id": world.app_id, "name": desk.app.name, "user_id": world.bot_user}
    return {"bot": {**shown, "deleted": False, "updated": 0, "icons": {}}}


def team_info(desk: Desk, args: Args) -> Json:
    world = desk.world
    return {"team": {"id": world.team_id, "name": world.name, "domain": world.domain}}


def group_users(desk: Desk, args: Args) -> Json:
    group = args.required("usergroup")
    if group not in desk.world.groups:
        raise Refusal("no_such_subteam")
    return {"users": list(desk.world.groups[group])}


def oauth_access(desk: Desk, args: Args) -> Json:
    """Any code that was not spelt `bad...` is taken: there is no consent page."""
    credentials = (args.text("client_id"), args.text("client_secret"))
    if credentials[0] != desk.app.client_id:
        raise Refusal("invalid_client_id")
    if credentials[1] != desk.app.client_secret:
        raise Refusal("bad_client_secret")
    if args.text("code", "bad").startswith("bad"):
        raise Refusal("invalid_code")
    world = desk.world
    return {
        "access_token": desk.app.bot_token,
        "token_type": "bot",
        "scope": ",".join(sorted(desk.app.scopes)),
        "bot_user_id": world.bot_user,
        "app_id": world.app_id,
        "team": {"id": world.team_id, "name": world.name},
        "enterprise": None,
        "is_enterprise_install": False,
        "authed_user": {"id": world.people()[0].id},
    }


def connections_open(desk: Desk, args: Args) -> Json:
    ticket = desk.world.ids.secret("ticket")
    host = desk.url.replace("http://", "ws://", 1)
    return {"url": f"{host}/link/?ticket={ticket}&app_id={desk.world.app_id}"}


METHODS = {
    "auth.test": Method(auth_test, SPECIAL),
    "users.info": Method(users_info, T4, "users:read"),
    "users.list": Method(users_list, T2, "users:read"),
    "bots.info": Method(bots_info, T3, "users:read"),
    "team.info": Method(team_info, T3, "team:read"),
    "usergroups.users.list": Method(group_users, T2, "usergroups:read"),
    "oauth.v2.access": Method(oauth_access, T4, caller="anybody"),
    "apps.connections.open": Method(connections_open, T1, caller="app"),
}
