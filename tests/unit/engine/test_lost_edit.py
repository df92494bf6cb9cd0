"""What a vendor's history says of the moment between our read and our write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.canon.fields import FieldType, Value
from connectors.canon.records import Customer, Kind
from connectors.canon.values import ABSENT
from connectors.kit.contract import Past
from worker.engine.lost_edit import Passed, lost_edits
from worker.engine.plan import Change, FieldChange

READ_AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
APP, ANN, BEN = "INTEGRATION 1", "CRM_UI userId:1", "CRM_UI userId:2"


def past(*told: tuple[Value, float, str | None]) -> tuple[Past, ...]:
    """(value, seconds after our read, writer), newest first."""
    return tuple(Past(value, READ_AT + timedelta(seconds=seconds), by) for value, seconds, by in told)


def found(told: Sequence[Past], *, before: Value = "old", stored: str | None = "ours") -> list[Value]:
    """What was lost of the notes, which we found `before` and set to `ours`."""
    field = FieldChange(path="notes", rule="notes:notes", type=FieldType.TEXT, before=before, after="ours")
    change = Change(
        id="ch_1", flow="customers", side="crm", kind=Kind.CUSTOMER, operation="update", source_kind=Kind.CUSTOMER,
        source_ref="7", title="Acme", why="", ref="1", link_id="ln_1", fields=(field,),
    )  # fmt: skip
    read = Customer(ref="1", notes="old", updated_at=READ_AT)
    after = Customer(ref="1", notes=stored) if stored is not None else None
    edits = lost_edits(Passed(change=change, before=read, stored=after), {"notes": told})
    return [edit.value for edit in edits]


CASES: dict[str, tuple[tuple[Past, ...], list[Value]]] = {
    "somebody typed under our write": (past(("ours", 2, APP), ("typed", 1, ANN), ("old", -60, ANN)), ["typed"]),
    "emptied under our write": (past(("ours", 2, APP), (None, 1, ANN), ("old", -60, ANN)), [None]),
    "the last of two is what was lost": (past(("ours", 3, APP), ("b", 2, BEN), ("a", 1, ANN), ("old", -9, ANN)), ["b"]),
    "nobody typed": (past(("ours", 2, APP), ("old", -60, ANN)), []),
    "typed and taken back": (past(("ours", 3, APP), ("old", 2, ANN), ("typed", 1, ANN), ("old", -60, ANN)), []),
    "the same, spelt otherwise": (past(("ours", 2, APP), (" OLD ", 1, ANN), ("old", -60, ANN)), []),
    "typed what we wrote": (past(("ours", 1, ANN), ("old", -60, ANN)), []),
    "typed another, then what we wrote": (past(("ours", 2, ANN), ("typed", 1, ANN), ("old", -60, ANN)), []),
    "typed after our write": (past(("typed", 3, ANN), ("ours", 2, APP), ("old", -60, ANN)), []),
    "typed before and after it": (past(("b", 3, ANN), ("ours", 2, APP), ("a", 1, ANN), ("old", -9, ANN)), ["a"]),
    "our write is told in steps": (past(("ours", 2, APP), ("half ours", 2, APP), ("old", -60, ANN)), []),
    "typed under a write in steps": (past(("ours", 2, APP), ("half", 2, APP), ("typed", 1, ANN)), ["typed"]),
    "an old story": (past(("ours", 2, APP), ("long ago", -60, ANN)), []),
    "two clocks differ": (past(("ours", 2, APP), ("typed", -0.03, ANN), ("old", -60, ANN)), ["typed"]),
    "writers are not told": (past(("ours", 2, None), ("typed", 1, None), ("old", -60, None)), ["typed"]),
    "our write is not told": (past(("old", -60, ANN)), []),
    "no history": ((), []),
}


@pytest.mark.parametrize(("told", "lost"), CASES.values(), ids=CASES)
def test_what_is_lost(told: tuple[Past, ...], lost: list[Value]) -> None:
    """Only what somebody else typed after our read, and our write took away."""
    assert lost == found(told)


def test_what_the_vendor_made_of_our_value_is_ours() -> None:
    """It stores something else than was sent: that is our write in its history."""
    assert ["typed"] == found(past(("Ours Ltd", 2, APP), ("typed", 1, ANN)), stored="Ours Ltd")


def test_if_the_stored_record_was_not_told_what_was_sent_is_looked_for() -> None:
    """The read after the write failed, and the write is done all the same."""
    assert ["typed"] == found(past(("ours", 2, APP), ("typed", 1, ANN)), stored=None)


def test_where_no_value_before_was_planned_the_read_one_counts() -> None:
    """A plan that did not know the field's value relied on what was read right before the write."""
    assert [] == found(past(("ours", 2, APP), ("old", 1, ANN)), before=ABSENT)


def test_saboteur_every_entry_since_our_read_taken_for_an_edit_asks_for_nothing() -> None:
    """Without a look at who wrote and in what order, cases in which nothing was lost would be asked about."""

    def naive(told: Sequence[Past]) -> list[Any]:
        return [p.value for p in told if p.at >= READ_AT and p.value not in ("old", "ours")][:1]

    wrong = [name for name, (told, lost) in CASES.items() if naive(told) != lost]
    assert {"typed after our write", "typed and taken back", "our write is told in steps"} <= set(wrong)
