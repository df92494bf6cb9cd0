"""What somebody typed, as a command."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.grammar import Bind, Command, Help, Reconcile, Schedules, SetSchedule, Simple, TurnSchedule, Undo, parse

TODAY = date(2026, 11, 23)

CASES: list[tuple[str, Command]] = [
    ("", Help()),
    ("help", Help()),
    ("  PREVIEW ", Simple("preview")),
    ("status", Simple("status")),
    ("reconcile", Reconcile(None)),
    ("reconcile last month", Reconcile(None)),
    ("reconcile this month", Reconcile("2026-11")),
    ("reconcile 2026-10", Reconcile("2026-10")),
    ("reconcile 2026-1", Reconcile("2026-01")),
    ("reconcile October", Reconcile("2026-10")),
    ("reconcile dec", Reconcile("2025-12")),
    ("reconcile october 2024", Reconcile("2024-10")),
    ("reconcile 2024 october", Reconcile("2024-10")),
    ("schedule", Schedules()),
    ("schedule sync every weekday at 9", SetSchedule("sync", "every weekday at 9")),
    ("schedule change 2 to mondays at 8", SetSchedule("", "mondays at 8", 2)),
    ("schedule pause 2", TurnSchedule("pause", 2)),
    ("schedule remove 12", TurnSchedule("remove", 12)),
    ("undo last", Undo("last")),
    ("undo run_1m84a1zr61zbqt99se5", Undo("run_1m84a1zr61zbqt99se5")),
    ("pair", Bind(None)),
    ("pair acme sales", Bind("acme sales")),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_text_is_read(text: str, expected: Command) -> None:
    """Case and spaces do not matter."""
    assert expected == parse(text, TODAY)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recon", 'I don\'t know "recon". Did you mean /tieout reconcile?'),
        ("previw", 'I don\'t know "previw". Did you mean /tieout preview?'),
        ("xyzzy", 'I don\'t know "xyzzy".'),
        ("status now please", '/tieout status takes nothing more. I left out: "now please".'),
        ("reconcile smarch", '"smarch" is no month. Write /tieout reconcile 2026-10, or october, or last month.'),
        ("reconcile 2026-13", '"2026-13" is no month. Write /tieout reconcile 2026-10, or october, or last month.'),
        ("schedule pause two", "Write /tieout schedule sync every weekday at 9, or /tieout schedule pause 2."),
        ("schedule change 2 mondays", "Write /tieout schedule change 2 to every weekday at 9."),
    ],
)
def test_what_is_not_understood_is_said_with_what_may_be_meant(text: str, says: str) -> None:
    """The person can go on from there."""
    assert Help(says) == parse(text, TODAY)


def test_an_unknown_task_gets_a_guess() -> None:
    """As an unknown verb does."""
    found = parse("schedule sinc every weekday at 9", TODAY)
    assert isinstance(found, Help)
    assert found.about.startswith('I don\'t know "sinc". Did you mean /tieout schedule sync?')


@given(st.text(max_size=300))
def test_any_text_is_some_command(text: str) -> None:
    """Nothing that can be typed raises, and what is said back stays short."""
    found = parse(text, TODAY)
    assert not isinstance(found, Help) or len(found.about) < 300
