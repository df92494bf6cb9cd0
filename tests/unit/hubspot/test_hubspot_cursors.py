"""How far an object type has been read: pure, with the broken ways beside."""

from __future__ import annotations

from connectors.hubspot.cursors import Listing, Place, Window, due, latest, next_window, read_place, write_place
from connectors.hubspot.wire import Rec

OVERLAP = 300_000


def test_a_place_survives_its_cursor() -> None:
    """Text and back is the same place, and the same place is the same text."""
    place = Place({"company": Window(5, "77", 9, 8), "contact": Listing("100", 3)}, swept=4)
    assert read_place(write_place(place)) == place
    assert write_place(Place({"b": Window(1), "a": Window(2)})) == write_place(Place({"a": Window(2), "b": Window(1)}))


def test_a_cursor_that_cannot_be_read_starts_from_the_beginning() -> None:
    """A full reading loses nothing."""
    assert read_place(None) == Place()
    assert read_place("2026-01-01T00:00:00Z") == Place()
    assert read_place('{"feeds":{"company":{"type":"other"}}}') == Place()
    assert read_place(write_place(Place())).at("company") == Listing()


def test_a_fresh_change_keeps_the_overlap() -> None:
    """What the index shows late, up to five minutes, is still inside the next window."""
    walked = Window(since=0, began=1_000_000, seen=999_000)
    assert next_window(walked, OVERLAP) == Window(700_000)


def test_a_quiet_account_starts_behind_the_last_change() -> None:
    """Once the last change is older than the overlap it is not read again: one empty answer a poll."""
    walked = Window(since=0, began=1_000_000, seen=600_000)
    settled = next_window(walked, OVERLAP)
    assert settled == Window(600_001)
    assert next_window(Window(settled.since, began=9_000_000), OVERLAP) == settled


def test_a_standing_index_skips_nothing() -> None:
    """If the vendor's index shows nothing new for an hour, the next window still starts behind the last change."""
    walked = Window(since=600_001, began=4_600_000, seen=None)
    assert next_window(walked, OVERLAP).since == 600_001


def test_a_window_never_goes_back() -> None:
    """A clock that jumps back does not read history again."""
    assert next_window(Window(since=500_000, began=100_000, seen=510_000), OVERLAP).since == 500_000


def test_without_the_vendors_time_the_overlap_counts_from_the_last_change() -> None:
    """A proxy that drops the Date header costs reads, never changes."""
    assert next_window(Window(since=0, seen=1_000_000), OVERLAP).since == 700_000


def test_saboteur_a_cursor_at_the_walks_time_loses_a_late_change() -> None:
    """The check above turns red for a cursor that stands where the last walk began."""
    late_change, walked = 999_500, Window(since=0, began=1_000_000, seen=999_000)
    broken = Window(walked.began or 0)
    assert next_window(walked, OVERLAP).since <= late_change
    assert broken.since > late_change


def test_the_latest_change_of_a_page() -> None:
    """ISO texts with milliseconds compare as times do; records without the property fall back on updatedAt."""
    page = [
        Rec("1", {"hs_lastmodifieddate": "2026-01-01T00:00:00.500Z"}),
        Rec("2", {}, updated_at="2026-01-01T00:00:01.250Z"),
    ]
    assert latest(page, "hs_lastmodifieddate", None) == 1_767_225_601_250
    assert latest(page, "hs_lastmodifieddate", 1_767_225_700_000) == 1_767_225_700_000
    assert latest([], "hs_lastmodifieddate", None) is None


def test_the_sweep_has_a_rhythm() -> None:
    """Never before its time, at once if it never was, and not without the vendor's time."""
    assert due(None, 5, 100) is True
    assert due(0, 99, 100) is False
    assert due(0, 100, 100) is True
    assert due(0, None, 100) is False
