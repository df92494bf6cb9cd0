"""One pair of pretend vendors for each test. The flows that read and write the store run on both databases: every
`test_flow_*` module, but for those in `ONCE`. What is about Slack, a terminal or a demonstration runs on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import structlog

from connectors.memory.vendor import Knobs
from tests.conftest import new_postgres
from tests.flows.rig import Rig, mapping, open_rig

# A failure is printed without every local variable of the way there, which takes seconds and may be personal.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

# A real export of 4,238 deals; what is asked before a run.
ONCE = frozenset({"test_flow_crm_sales", "test_flow_pairing"})
DATABASES = ("sqlite", "postgresql")

Open = Callable[..., AbstractAsyncContextManager[Rig]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a flow that asks for a rig is run once for each database."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if "flow_url" in metafunc.fixturenames and module.startswith("test_flow_") and module not in ONCE:
        metafunc.parametrize("flow_url", DATABASES, indirect=True)


@pytest.fixture
def flow_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own for one test."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return new_postgres(request.getfixturevalue("postgres_template"))
    path = tmp_path / "tieout.db"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def opened(flow_url: str, tmp_path: Path) -> Open:
    """Opens a rig with vendors of one's own making."""

    def make(crm: Knobs | None = None, books: Knobs | None = None, shared: Rig | None = None) -> object:
        return open_rig(flow_url, tmp_path, crm=crm, books=books, shared=shared)

    return make  # type: ignore[return-value]  # what open_rig gives is such a context manager


@pytest.fixture
async def rig(opened: Open) -> AsyncIterator[Rig]:
    """Two pleasant vendors, paired under the usual mapping."""
    async with opened() as made:
        await made.pair_up(mapping())
        yield made


@pytest.fixture
def both(rig: Rig) -> Rig:
    """As `rig`."""
    return rig
