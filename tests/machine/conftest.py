"""Databases for the machine: one of its own for each example, copied from a template; and how long it looks.

`TIEOUT_MACHINE_EXAMPLES=2000` looks longer, at other examples each time."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_NUMBERS = itertools.count(1)
DEEP = int(os.environ.get("TIEOUT_MACHINE_EXAMPLES", "0"))


def looking(examples: int, steps: int = 14) -> settings:
    """The same examples at each run, so that what passes once passes again; deeper by the environment."""
    return settings(
        max_examples=DEEP or examples,
        stateful_step_count=30 if DEEP else steps,
        derandomize=not DEEP,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink) if DEEP else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def sqlite_urls(sqlite_template: Path, tmp_path: Path) -> Callable[[], str]:
    def make() -> str:
        path = tmp_path / f"tieout{next(_NUMBERS)}.db"
        shutil.copyfile(sqlite_template, path)
        return f"sqlite+aiosqlite:///{path}"

    return make


async def _created(server: str, name: str) -> str:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"create database {name} template tieout_template"))
    await engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def postgres_urls(postgres_template: str) -> Callable[[], Coroutine[None, None, str]]:
    return lambda: _created(postgres_template, f"machine{next(_NUMBERS)}")


@pytest.fixture
def sync_postgres_urls(postgres_urls: Callable[[], Coroutine[None, None, str]]) -> Callable[[], str]:
    """For a test that has no loop of its own."""
    return lambda: asyncio.run(postgres_urls())
