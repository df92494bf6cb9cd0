"""A world for each test, and a connector at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connectors.memory.connector import Memory
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from tests.contract.harness import deps_in_process

Make = Callable[..., tuple[MemoryWorld, Memory]]


@pytest.fixture
def make() -> Iterator[Make]:
    """`make(places=2)`: a world with those knobs, and a connector at it."""

    def made(**knobs: object) -> tuple[MemoryWorld, Memory]:
        world = MemoryWorld.make("unit", Knobs(**knobs))  # type: ignore[arg-type]  # a knob each, by name
        return world, Memory.open({"world": "unit"}, deps_in_process())

    yield made
    WORLDS.pop("unit", None)
