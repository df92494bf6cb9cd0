"""The same on PostgreSQL; and a job that is cancelled instead of killed, as arq does when its time is up."""

from __future__ import annotations

import pytest

from tests.crash.matrix import Matrix


@pytest.mark.parametrize("scenario", ["preview", "apply"])
def test_killed_on_postgresql(on_postgres: Matrix, scenario: str) -> None:
    """A killed client's transaction is rolled back by the server, and its locks are gone."""
    assert [] == on_postgres.red(on_postgres.visits(scenario))


@pytest.mark.parametrize("scenario", ["apply", "login"])
def test_cancelled_at_each_point(on_sqlite: Matrix, scenario: str) -> None:
    """A commit may be through although its task was cancelled; a renewed login is stored all the same."""
    assert [] == on_sqlite.red(on_sqlite.visits(scenario, how="cancel"))
