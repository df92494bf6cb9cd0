"""Who may do what, and what the others read."""

from __future__ import annotations

import pytest

from bot.gate import Gate
from bot.settings import BotSettings

GATE = Gate(admins=("U0ADMIN01",), approvers=("U0APPROVE1", "U0APPROVE2"))


@pytest.mark.parametrize(
    ("user", "may"),
    [
        ("U0ADMIN01", {"apply", "settle", "schedule", "bind", "prefer"}),
        ("U0APPROVE1", {"apply", "apply_over_limit", "settle", "schedule"}),
        ("U0SOMEBODY", set()),
    ],
)
def test_deeds_by_role(user: str, may: set[str]) -> None:
    """Admins change rules, approvers let money through; others look."""
    deeds = ("apply", "apply_over_limit", "settle", "schedule", "bind", "prefer")
    assert may == {deed for deed in deeds if GATE.refusal(user, deed) is None}  # type: ignore[arg-type]  # all deeds


def test_a_refusal_names_who_may() -> None:
    """So that the person can ask them."""
    expected = "Only <@U0ADMIN01> may change the mapping. Ask one of them to do it."
    assert expected == GATE.refusal("U0APPROVE1", "prefer")


def test_with_nobody_named_nobody_may_and_it_says_what_to_set() -> None:
    """Not everybody."""
    assert "Nobody may apply or discard a plan yet: set TIEOUT_APPROVERS" in (Gate().refusal("U1", "apply") or "")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists by comma or space; what is missing is said in words."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "TIEOUT_APPROVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIEOUT_ADMINS", "U1, U2")
    settings = BotSettings()
    assert ("U1", "U2") == settings.admins
    assert 2 == len(settings.missing())
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    assert [] == BotSettings().missing()
    assert BotSettings().socket_mode
    assert "xoxb-1" not in repr(BotSettings())
