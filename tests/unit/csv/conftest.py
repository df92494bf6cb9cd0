"""A folder to put CSV files into, and a connector on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.canon.records import Kind
from connectors.csv.connector import Csv
from connectors.kit.contract import Page
from tests.contract.harness import deps_in_process

Open = Callable[[str], Csv]


@pytest.fixture
def open_csv(tmp_path: Path) -> Open:
    """Opens the folder with the text of a `columns:` section."""

    def opened(columns: str) -> Csv:
        return Csv.open({"folder": str(tmp_path), "columns": columns}, deps_in_process())

    return opened


async def pages(connector: Csv, kind: Kind, cursor: str | None = None) -> list[Page]:
    return [page async for page in connector.changes({kind: cursor})]
