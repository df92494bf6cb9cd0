"""Each clause of the contract can fail: a connector broken in exactly one way fails it, and no other."""

from __future__ import annotations

import pytest

from connectors.kit.errors import ConnectorError
from connectors.memory.connector import Memory
from tests.contract.clauses import CLAUSES
from tests.contract.memory_harness import MemoryHarness
from tests.contract.saboteurs import SABOTEURS


async def _fails(name: str, connector_type: type[Memory]) -> bool:
    """Whether the connector breaks the clause for any kind."""
    for kind in MemoryHarness.kinds:
        harness = MemoryHarness(connector_type)
        if not CLAUSES[name].applies(harness, kind):
            continue
        await harness.start()
        try:
            await CLAUSES[name].run(harness, kind)
        except (AssertionError, ConnectorError, LookupError):
            return True
        finally:
            await harness.close()
    return False


@pytest.mark.parametrize("clause", SABOTEURS)
async def test_saboteur_fails_its_clause_alone(clause: str) -> None:
    """The clause notices the saboteur, and no other clause does."""
    failed = [name for name in CLAUSES if await _fails(name, SABOTEURS[clause])]
    assert failed == [clause]


def test_every_clause_has_a_saboteur() -> None:
    """A clause that nothing has ever failed proves nothing."""
    assert set(CLAUSES) == set(SABOTEURS)
