"""Ids sort in the order in which they were made."""

from __future__ import annotations

from worker.outside import new_id


def test_ids_of_one_millisecond_sort_in_the_order_in_which_they_were_made() -> None:
    """Far more than fit into a millisecond's count, and no two alike."""
    made = [new_id("ch") for _ in range(10_000)]
    assert sorted(set(made)) == made
