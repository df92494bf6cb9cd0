"""Each connector keeps each clause of the contract, for each kind it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.canon.records import Kind
from connectors.registry import CONNECTORS
from tests.contract.clauses import CLAUSES, added, pages
from tests.contract.csv_harness import CsvHarness
from tests.contract.harness import Harness
from tests.contract.hubspot_harness import HubSpotHarness
from tests.contract.memory_harness import MemoryHarness
from tests.contract.quickbooks_harness import QuickBooksHarness

HARNESSES: dict[str, Callable[[], Harness]] = {
    "memory": MemoryHarness,
    "csv": CsvHarness,
    "hubspot": HubSpotHarness,
    "quickbooks": QuickBooksHarness,
}


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
    await harness.start()
    try:
        await CLAUSES[clause].run(harness, kind)
    finally:
        await harness.close()


@pytest.mark.parametrize("system", ["memory", "hubspot", "quickbooks"])
async def test_resuming_meets_more_than_one_page(system: str) -> None:
    """The clause on resuming would say little of a listing that fits one page."""
    harness = HARNESSES[system]()
    await harness.start()
    try:
        await added(harness, Kind.CUSTOMER, harness.two_pages)
        assert len(await pages(harness.connector, Kind.CUSTOMER, None)) > 1
    finally:
        await harness.close()


def test_every_connector_is_under_the_contract() -> None:
    """A connector in the registry without a harness would be one that nobody tests."""
    assert set(CONNECTORS) == set(HARNESSES)
