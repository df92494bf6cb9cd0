"""manifest.yml is valid and says what the bot registers and uses: no more, no less."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot import ids
from bot.app import create_app
from bot.listeners.desk import Desk

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT.parent / "shared" / "specs" / "slack" / "manifest.schema.1.0.0.json"
# docs.slack.dev/reference/methods: the scopes of each method that the bot calls
NEEDS: dict[str, set[str]] = {
    "chat_postMessage": {"chat:write", "chat:write.public"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_replies": {"channels:history", "groups:history"},
    "conversations_info": {"channels:read", "groups:read"},
    "conversations_open": {"im:write"},
    "files_upload_v2": {"files:write"},
    "views_open": set(),
    "auth_test": set(),
}


@pytest.fixture
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())
    return found


def methods_called(text: str) -> set[str]:
    """Names of slack_sdk's methods that a source names."""
    known = {name for name in dir(AsyncWebClient) if "_" in name and not name.startswith("_")}
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute) and node.attr in known}


def called_by_the_bot() -> set[str]:
    files = [path for path in (ROOT / "bot").rglob("*.py") if {"sandbox", "demo", "terminal"}.isdisjoint(path.parts)]
    called = set().union(*(methods_called(path.read_text()) for path in files))
    return called - {"base_url", "retry_handlers"}


def scopes_needed(methods: set[str]) -> set[str]:
    return {"commands"}.union(*(NEEDS[method] for method in methods))


def test_the_scopes_are_those_that_the_bot_needs(manifest: dict[str, Any]) -> None:
    """Each has a method that is called, and each method has its scopes."""
    assert scopes_needed(called_by_the_bot()) == set(manifest["oauth_config"]["scopes"]["bot"])


def test_saboteur_a_new_method_without_its_scope_is_seen(manifest: dict[str, Any]) -> None:
    """The check compares what is called."""
    more = called_by_the_bot() | methods_called("client.conversations_info(x); client.chat_delete(y)")
    with pytest.raises(KeyError):
        scopes_needed(more | methods_called("await client.users_lookupByEmail(email=x)"))
    assert more <= set(NEEDS)


def test_the_command_is_the_one_that_is_registered(manifest: dict[str, Any]) -> None:
    """One slash command."""
    assert [ids.COMMAND] == [each["command"] for each in manifest["features"]["slash_commands"]]


def registered(app: AsyncApp) -> set[str]:
    """What each listener is for. Bolt keeps that in the closure of its own matcher: `command`, `action` ..."""
    found = set()
    for listener in app._async_listeners:
        for matcher in listener.matchers:
            inner = matcher.func.__closure__[0].cell_contents  # type: ignore[attr-defined]  # bolt's builtin matcher
            found.add(inner.__qualname__.partition(".")[0])
    return found


def test_interactivity_is_on_and_no_event_is_subscribed(manifest: dict[str, Any], desk: Desk) -> None:
    """The bot registers a command, block actions and view submissions, and no event."""
    assert {"command", "action", "view_submission"} == registered(create_app(desk, "secret"))
    assert manifest["settings"]["interactivity"]["is_enabled"]
    assert "event_subscriptions" not in manifest["settings"]


def test_saboteur_a_registered_event_is_seen(desk: Desk) -> None:
    """A listener that the manifest does not know of shows."""
    app = create_app(desk, "secret")
    app.event("app_home_opened")(_nothing)
    assert {"event"} == registered(app) - {"command", "action", "view_submission"}


async def _nothing() -> None:
    return None


@pytest.fixture
def desk() -> Desk:
    """Enough of one to register listeners; nothing is called."""
    values: dict[str, Any] = dict.fromkeys(Desk.__struct_fields__)
    return Desk(**{**values, "client": AsyncWebClient(token="xoxb-1")})


def test_it_keeps_slacks_own_limits(manifest: dict[str, Any]) -> None:
    """docs.slack.dev/reference/app-manifest: lengths of names and texts."""
    shown = manifest["display_information"]
    assert 35 >= len(shown["name"])
    assert 140 >= len(shown["description"])
    assert 175 <= len(shown["long_description"]) <= 4000
    command = manifest["features"]["slash_commands"][0]
    assert 1000 >= len(command["usage_hint"])
    assert manifest["settings"]["socket_mode_enabled"]
    if SCHEMA.exists():  # Slack's own schema, where it lies beside the project
        jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
