"""A process is killed at every named point of every scenario; another one goes on. The accounts and the store are the
same as if nobody had died."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.crash.matrix import Matrix
from tests.crash.scenarios import LONG, SCENARIOS
from tests.crash.trap import VENDOR_POINTS
from worker.crash import POINTS

ROOT = Path(__file__).resolve().parents[2]
HERE = [name for name in SCENARIOS if name not in LONG]


def _named(path: Path) -> list[str]:
    """The points that a module passes."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "crash"]
    words = [argument.value for call in named for argument in call.args if isinstance(argument, ast.Constant)]
    return [word for word in words if isinstance(word, str)]


def test_every_point_in_the_code_is_listed() -> None:
    """And none is listed that is not there; a point's name is written out where it stands."""
    files = [*(ROOT / "worker").rglob("*.py"), *(ROOT / "bot").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")]
    assert sorted(POINTS) == sorted({name for path in files for name in _named(path)})
    assert sorted(VENDOR_POINTS) == sorted(set(_named(Path(__file__).parent / "vendor.py")))


@pytest.mark.parametrize("scenario", HERE)
def test_killed_at_the_first_visit_of_each_point(on_sqlite: Matrix, scenario: str) -> None:
    """No duplicate, nothing lost, nothing said twice, the trail whole."""
    assert [] == on_sqlite.red(on_sqlite.visits(scenario))


def test_every_point_is_come_by(on_sqlite: Matrix) -> None:
    """Each name that is listed is a place where a process of some scenario did die."""
    come_by = {point for scenario in HERE for point in on_sqlite.points(scenario)}
    assert set() == {*POINTS, *VENDOR_POINTS} - come_by
