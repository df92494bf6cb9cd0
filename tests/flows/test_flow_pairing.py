"""Pairing asks the vendors no more than it needs to."""

from __future__ import annotations

import pytest

from tests.flows.rig import Rig, mapping


def looks(rig: Rig) -> int:
    return sum(call.point == "catalogue" for call in rig.calls(rig.books))


@pytest.mark.parametrize(("waited_s", "more"), [(5, 0), (61, 1)])
async def test_what_was_read_within_the_minute_is_not_read_again(rig: Rig, waited_s: int, more: int) -> None:
    """Connecting reads what the account has; pairing right after takes that, later it looks again."""
    await rig.connect()
    before = looks(rig)
    rig.pass_time(waited_s)
    await rig.pair_up(mapping())
    assert before + more == looks(rig)
