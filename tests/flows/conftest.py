"""One pair of pretend vendors for each test, on SQLite; `both` runs on PostgreSQL too."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import structlog

from connectors.memory.vendor import Knobs
from tests.flows.rig import Rig, mapping, open_rig

# A failure is printed without every local variable of the way there, which takes seconds and may be personal.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

Open = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "tieout.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def opened(sqlite_url: str, tmp_path: Path) -> Open:
    """Opens a rig with vendors of one's own making."""

    def make(crm: Knobs | None = None, books: Knobs | None = None, shared: Rig | None = None) -> object:
        return open_rig(sqlite_url, tmp_path, crm=crm, books=books, shared=shared)

    return make  # type: ignore[return-value]  # what open_rig gives is such a context manager


@pytest.fixture
async def rig(opened: Open) -> AsyncIterator[Rig]:
    """Two pleasant vendors, paired under the usual mapping."""
    async with opened() as made:
        await made.pair_up(mapping())
        yield made


@pytest.fixture
async def both(database_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """As `rig`, on each of the two databases."""
    async with open_rig(database_url, tmp_path) as made:
        await made.pair_up(mapping())
        yield made
