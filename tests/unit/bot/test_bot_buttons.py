"""What buttons carry: signed, dated, short enough for Slack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot import ids, metadata
from bot.metadata import BadButton, Buttons, OldButton

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32


def buttons(*keys: bytes, at: datetime = NOW) -> Buttons:
    return Buttons(keys or (NEW,), lambda: at)


def test_a_sealed_button_opens() -> None:
    """With what it was sealed with."""
    sealed = buttons().seal(ids.APPLY, "pl_1", "f" * 64)
    opened = buttons().open(ids.APPLY, sealed)
    assert (ids.APPLY, "pl_1", "f" * 64) == (opened.verb, opened.subject, opened.detail)


def test_a_key_that_was_replaced_still_opens() -> None:
    """And the new one seals."""
    sealed = buttons(OLD).seal(ids.APPLY, "pl_1")
    assert "pl_1" == buttons(NEW, OLD).open(ids.APPLY, sealed).subject
    with pytest.raises(BadButton):
        buttons(NEW).open(ids.APPLY, sealed)


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_changed_button_does_not_open(place: int) -> None:
    """Any letter of it."""
    sealed = buttons().seal(ids.APPLY, "pl_1")
    letter = "A" if sealed[place] != "A" else "B"
    changed = sealed[:place] + letter + (sealed[place + 1 :] if place != -1 else "")
    with pytest.raises(BadButton):
        buttons().open(ids.APPLY, changed)


@pytest.mark.parametrize("value", ["", ".", "a.b", "é.é", "a" * 2000])
def test_what_is_no_button_does_not_open(value: str) -> None:
    """Whatever somebody puts there."""
    with pytest.raises(BadButton):
        buttons().open(ids.APPLY, value)


def test_a_button_for_one_thing_does_not_open_as_another() -> None:
    """A Discard cannot be sent as an Apply."""
    sealed = buttons().seal(ids.DISCARD, "pl_1")
    with pytest.raises(BadButton):
        buttons().open(ids.APPLY, sealed)


def test_an_old_button_says_so() -> None:
    """Its own end, else thirty days."""
    sealed = buttons().seal(ids.APPLY, "pl_1", "", NOW + timedelta(hours=24))
    with pytest.raises(OldButton):
        buttons(at=NOW + timedelta(hours=25)).open(ids.APPLY, sealed)


def test_an_overflow_option_takes_it() -> None:
    """At most 150 characters, with ids as they are made."""
    sealed = buttons().seal(ids.PREFER_BOOKS, "pr_1m842jkkbdrqgff6j35", "99999")
    assert 150 >= len(sealed)


def test_saboteur_without_its_signature_anybody_makes_a_button(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the signature were not compared, a button of another key would open."""
    sealed = buttons(OLD).seal(ids.APPLY, "pl_1")
    monkeypatch.setattr(metadata.hmac, "compare_digest", lambda *_: True)
    assert "pl_1" == buttons(NEW).open(ids.APPLY, sealed).subject


def test_once_is_the_same_for_every_rendering() -> None:
    """What a button starts is started once, whenever the message was rendered."""
    first = buttons().open(ids.AGAIN, buttons().seal(ids.AGAIN, "pr_1", "run_1"))
    later = buttons(at=NOW + timedelta(days=1))
    second = later.open(ids.AGAIN, later.seal(ids.AGAIN, "pr_1", "run_1"))
    assert first.once == second.once
