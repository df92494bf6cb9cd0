"""The query language as it is written."""

from __future__ import annotations

import pytest

from connectors.quickbooks import query as q


def test_quotes_are_escaped() -> None:
    """A quote inside a value cannot end it."""
    expected = r"SELECT * FROM Invoice WHERE DocNumber = 'O\'Brien\\' STARTPOSITION 1 MAXRESULTS 1000"
    assert expected == q.select("Invoice", q.is_in("DocNumber", ["O'Brien\\"]))


def test_the_escape_check_can_fail() -> None:
    """A value put between quotes as it is would end at its own quote."""
    assert f"'{'O' + chr(39) + 'Brien'}'" != q.quoted("O'Brien")


@pytest.mark.parametrize(
    ("entity", "expected"), [("Customer", True), ("Item", True), ("Vendor", True), ("Invoice", False)]
)
def test_name_lists_are_asked_for_with_their_inactive_rows(entity: str, expected: bool) -> None:
    """Without it an inactive customer looks deleted; documents have no such field."""
    assert expected == ("Active IN (true, false)" in q.select(entity))


def test_a_count_has_no_window() -> None:
    """`count(*)` takes neither order nor page."""
    expected = "SELECT count(*) FROM Invoice WHERE TxnDate >= '2026-10-01'"
    assert expected == q.count("Invoice", "TxnDate >= '2026-10-01'")


def test_what_the_parser_does_not_know_becomes_a_wildcard() -> None:
    """Characters beyond Latin-1 break the parser even inside quotes."""
    assert (
        q.is_plain("Société"), q.is_plain("Łódź O’Neil"), q.like("DisplayName", "Łódź O’Neil"),
    ) == (True, False, "DisplayName LIKE '%ód% O%Neil'")  # fmt: skip


def test_chunks_hold_each_value_once() -> None:
    """Doubles go; order and size hold."""
    assert list(q.chunks(["a", "b", "a", "c"], 2)) == [["a", "b"], ["c"]]
