"""Each connector keeps each clause of the contract, for each kind it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.canon.records import Kind
from connectors.registry import CONNECTORS
from tests.contract.clauses import CLAUSES
from tests.contract.csv_harness import CsvHarness
from tests.contract.harness import Harness
from tests.contract.memory_harness import MemoryHarness

HARNESSES: dict[str, Callable[[], Harness]] = {"memory": MemoryHarness, "csv": CsvHarness}


def _cases() -> list[tuple[str, Kind, str]]:
    cases = []
    for system, make in HARNESSES.items():
        harness = make()
        for kind in harness.kinds:
            cases += [(system, kind, name) for name, clause in CLAUSES.items() if clause.applies(harness, kind)]
    return cases


@pytest.mark.parametrize(("system", "kind", "clause"), _cases(), ids=str)
async def test_contract(system: str, kind: Kind, clause: str) -> None:
    """The clause's own docstring is the promise."""
    harness = HARNESSES[system]()
    try:
        await CLAUSES[clause].run(harness, kind)
    finally:
        await harness.close()


def test_every_connector_is_under_the_contract() -> None:
    """A connector in the registry without a harness would be one that nobody tests."""
    assert set(CONNECTORS) == set(HARNESSES)
