"""The same for the scenarios that come by no other points: in a file of their own, so that two cores share them."""

from __future__ import annotations

import pytest

from tests.crash.matrix import Matrix
from tests.crash.scenarios import LONG


@pytest.mark.parametrize("scenario", LONG)
def test_killed_at_the_first_visit_of_each_point_too(on_sqlite: Matrix, scenario: str) -> None:
    """No duplicate, nothing lost, nothing said twice, the trail whole."""
    assert [] == on_sqlite.red(on_sqlite.visits(scenario))
