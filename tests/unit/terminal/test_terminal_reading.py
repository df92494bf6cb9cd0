"""What a verification and the list of webhooks say."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from terminal_views import run

from bot.terminal.reading import _line, said
from worker.api.views import WebhookView

TITLES = {"crm": "HubSpot", "books": "QuickBooks"}


@pytest.mark.parametrize(
    ("crm", "words"),
    [
        ({"read": 100, "silent": 0, "gone": 0, "unseen": 0}, "HubSpot: 100 read again, all as known"),
        (
            {"read": 1000, "silent": 3, "gone": 1, "unseen": 2},
            "HubSpot: 1,000 read again, 3 changed unannounced, 1 gone unannounced, 2 not to be seen any more",
        ),
    ],
)
def test_a_verification_says_what_it_found(crm: dict[str, int], words: str) -> None:
    """A line a side."""
    found = msgspec.structs.replace(run(), result={"verified": {"crm": crm}})
    assert words == said(found, TITLES)


@pytest.mark.parametrize(
    ("state", "heard", "words"),
    [
        ("live", None, "HubSpot: /webhooks/cn_1, nothing heard yet"),
        ("live", datetime(2026, 11, 10, 15, tzinfo=UTC), "HubSpot: /webhooks/cn_1, heard 2026-11-10 15:00 UTC"),
        (
            "unhealthy",
            None,
            "HubSpot: /webhooks/cn_1, nothing heard yet; three reads found what none announced: "
            "check address and secret",
        ),
    ],
)
def test_each_account_is_a_line(state: str, heard: datetime | None, words: str) -> None:
    """With what to do where they do not come."""
    view = WebhookView(
        connection="cn_1",
        system="hubspot",
        account="42",
        title="HubSpot",
        path="/webhooks/cn_1",
        state=state,
        heard_at=heard,
    )
    assert words == _line(view)
