"""Changes that stand and fall together: chosen whole, held whole."""

from __future__ import annotations

import msgspec
import pytest

from connectors.canon.records import Kind
from worker.engine.plan import Change, held_together, left_out


def change(id_: str, *, group: str = "", needs: tuple[str, ...] = ()) -> Change:
    return Change(
        id=id_,
        flow="invoices",
        side="books",
        kind=Kind.INVOICE,
        operation="create",
        source_kind=Kind.DEAL,
        source_ref=id_,
        title=id_,
        why="",
        group_id=group,
        needs=needs,
    )


REISSUE = (
    change("customer"),
    change("new", group="g", needs=("customer",)),
    change("credit", group="g", needs=("new",)),
    change("other", needs=("customer",)),
    change("state", needs=("credit",)),
)


@pytest.mark.parametrize(
    ("out", "gone"),
    [
        ({"credit"}, {"credit", "new", "state"}),
        ({"new"}, {"credit", "new", "state"}),
        ({"customer"}, {"customer", "credit", "new", "other", "state"}),
        ({"other"}, {"other"}),
        ({"state"}, {"state"}),
        (set(), set()),
    ],
)
def test_what_is_left_out_takes_its_group_and_what_needs_it_along(out: set[str], gone: set[str]) -> None:
    """Never half of a group, never what has nothing to stand on."""
    assert gone == left_out(REISSUE, out)


@pytest.mark.parametrize("which", ["new", "credit"])
def test_a_group_is_held_whole(which: str) -> None:
    """For the reason of the one that is held; others are not touched."""
    changes = [msgspec.structs.replace(c, held="why") if c.id == which else c for c in REISSUE]
    assert [None, "why", "why", None, None] == [c.held for c in held_together(changes)]
