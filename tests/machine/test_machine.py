"""People, crashes and faults in any order: it settles, nobody's value is lost, nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis.stateful import run_state_machine_as_test

from tests.machine.conftest import looking
from tests.machine.machine import PairMachine


def test_it_settles_whatever_happens(sqlite_urls: Callable[[], str]) -> None:
    """Two vendors of any sort, on SQLite."""

    class OnSqlite(PairMachine):
        make_url = staticmethod(sqlite_urls)

    run_state_machine_as_test(OnSqlite, settings=looking(16))
