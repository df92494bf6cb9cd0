"""A parent process for each database, which every test of this session shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.matrix import Matrix, matrix


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with matrix(tmp_path_factory.mktemp("crash") / "sqlite") as made:
        yield made


@pytest.fixture(scope="session")
def on_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Matrix]:
    with matrix(tmp_path_factory.mktemp("crash") / "postgres", postgres) as made:
        yield made
