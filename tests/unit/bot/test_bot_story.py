"""One record's story in words: the same for the terminal and for Slack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.blocks import answers
from bot.grammar import Help, Story, parse
from bot.terminal.tables import story
from tests.unit.bot.looks import LOOK
from worker.api.views import FieldView, RecordView, StoryView, TrailView

TODAY = datetime(2026, 11, 10, tzinfo=UTC).date()
RECORD = RecordView(address="crm:customer:51", system="HubSpot", kind="customer", ref="51", title="Acme *Ltd*")


def entry(action: str, **more: Any) -> TrailView:
    said: dict[str, Any] = {
        "seq": 7, "at": datetime(2026, 11, 10, 15, tzinfo=UTC), "actor": "U0APPROVE1", "subject": "books:customer:9",
        "source": None, "approved_by": None, "field": None, "why": None, "said": None, "fields": (), "erased": False,
        "run": None, "change": None, "request_id": None, "detail": {},
    }  # fmt: skip
    return TrailView(action=action, **{**said, **more})


def told(*entries: TrailView) -> StoryView:
    titles = {"crm": "HubSpot", "books": "QuickBooks"}
    return StoryView(record=RECORD, entries=entries, titles=titles, time_zone="America/New_York")


CHANGED = entry(
    "customer.update", approved_by="U0APPROVE2", why="phone: changed in the CRM", run="run_1", request_id="tid-1",
    fields=(FieldView(path="phone", before=None, after="+1202"),),
)  # fmt: skip


def test_an_entry_says_what_who_why_and_where_it_is_on_record() -> None:
    assert [
        "Acme *Ltd*: customer 51 in HubSpot",
        "",
        "2026-11-10 10:00 New York  Changed in QuickBooks: customer 9, by U0APPROVE1, approved by U0APPROVE2",
        "    phone: (empty) -> +1202",
        "    Why: phone: changed in the CRM",
        "    entry 7, run run_1, QuickBooks's request tid-1",
    ] == story(told(CHANGED)).splitlines()


def test_slack_mentions_people_and_formats_nothing_that_a_record_says() -> None:
    say = answers.story(told(CHANGED), LOOK)
    words = str(say.blocks)
    assert "by <@U0APPROVE1>, approved by <@U0APPROVE2>" in words
    assert "Acme *Ltd*" not in words
    assert "1 entry on record" in say.text


def test_what_nobody_foresaw_is_told_all_the_same() -> None:
    """An action of a later version, a value that was erased, a record of which nothing is on record."""
    assert "Moon phase changed, by" in story(told(entry("moon.phase.changed", subject="pl_1")))
    assert "The values were erased." in story(told(entry("customer.update", erased=True)))
    assert "Nothing is on record about it" in story(told())


def test_only_the_newest_steps_fit_into_a_message() -> None:
    say = answers.story(told(*[CHANGED] * 60), LOOK)
    assert (True, True) == (len(say.blocks) <= 50, "tieout audit record crm:customer:51" in str(say.blocks))


def test_the_verb_takes_the_rest_of_the_line() -> None:
    assert Story("Acme Ltd") == parse("audit  Acme Ltd", TODAY)
    assert isinstance(parse("audit", TODAY), Help)
