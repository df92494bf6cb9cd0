"""Deliberately lenient sandboxes: each check above notices when its rule is gone."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sandbox_blocks import section
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import SandboxClock, SlackSandbox
from bot.sandbox.deliver import http
from bot.sandbox.rules import blocks as rules
from bot.sandbox.rules import found as pieces
from bot.sandbox.rules.blocks import SURFACES, check_blocks
from bot.sandbox.rules.found import Found


def test_without_its_length_rule_a_section_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is held by the rule, and by nothing else."""
    lenient = pieces.shape({"text": pieces.anything}, needs=("text",))
    monkeypatch.setitem(SURFACES, "message", {**SURFACES["message"], "section": lenient})
    found = Found("message")
    check_blocks(found, "/blocks", [section("x" * 3001)])
    assert [] == found.lines


def test_without_its_count_a_51st_block_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is for the number of blocks."""
    monkeypatch.setitem(rules.MOST, "message", 51)
    found = Found("message")
    check_blocks(found, "/blocks", [section()] * 51)
    assert [] == found.lines


async def test_without_limits_a_sixth_post_would_go_through(
    slack: SlackSandbox, client: AsyncWebClient, finance: str
) -> None:
    """The limiter is what refuses."""
    slack.door.limits.on = False
    for _ in range(6):
        assert (await client.chat_postMessage(channel=finance, text="x"))["ok"]


async def test_a_trigger_that_never_expired_would_open_a_view(
    slack: SlackSandbox, client: AsyncWebClient, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three seconds are what refuses."""
    view: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "M"}, "blocks": [section()]}
    monkeypatch.setattr("bot.sandbox.installation.TRIGGER_S", 3600.0)
    trigger = slack.desk.triggers.issue(slack.world.user("operator").id)
    clock.advance(4)
    assert (await client.views_open(trigger_id=trigger, view=view))["ok"]


async def test_a_signature_over_another_body_is_turned_away(
    slack: SlackSandbox, bolt: AsyncApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bolt checks what we sign."""
    real = http.signature
    monkeypatch.setattr(http, "signature", lambda secret, at, body: real(secret, at, body + b" "))
    assert "http_client_error" == (await slack.command("operator", "finance", "/tieout")).trouble


async def test_a_workspace_where_everybody_is_everywhere_hides_nothing(
    slack: SlackSandbox, client: AsyncWebClient
) -> None:
    """Membership is what makes channel_not_found."""
    board = slack.world.channel("board").id
    with pytest.raises(SlackApiError, match="channel_not_found"):
        await client.chat_postMessage(channel=board, text="x")
    slack.invite_bot("board")
    assert (await client.chat_postMessage(channel=board, text="x"))["ok"]
