"""The same on PostgreSQL: another database takes its locks and its time elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis.stateful import run_state_machine_as_test

from tests.machine.conftest import looking
from tests.machine.machine import PairMachine


def test_it_settles_on_postgresql_too(sync_postgres_urls: Callable[[], str]) -> None:
    """Fewer examples, for each has a database of its own."""

    class OnPostgres(PairMachine):
        make_url = staticmethod(sync_postgres_urls)

    run_state_machine_as_test(OnPostgres, settings=looking(5))
