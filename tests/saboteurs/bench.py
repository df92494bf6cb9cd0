"""A copy of the program in which one mechanism at a time is broken, and one test at a time is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

import msgspec

from tests.saboteurs.saboteur import Saboteur

ROOT = Path(__file__).parents[2]
COPIED = ("connectors", "worker", "bot", "tests", "docs/examples")
PYTEST = (
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:timeout",  # what hangs is not red, and the alarm that ends it is the parent's
    "-o",
    "addopts=",
    "-q",
    "--tb=line",
    "--show-capture=no",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)
FAILED = 1  # tests ran, and some failed: https://docs.pytest.org/en/stable/reference/exit-codes.html


class Stale(Exception):
    """The text that a saboteur changes does not stand where it should, once."""


class Said(msgspec.Struct, frozen=True):
    """How a run of pytest ended, and what it printed."""

    code: int
    text: str


class Copy:
    """A copy of the program, and a process that runs tests there. Its packages go before the installed ones
    (`pythonpath` of pyproject.toml), and no bytecode of it is kept: within one second Python would not see that a file
    was edited."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "pyproject.toml", root / "pyproject.toml")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
        self._parent = subprocess.Popen(
            [sys.executable, "tests/saboteurs/parent.py"],
            cwd=root,
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        self._parent.communicate()

    @contextmanager
    def broken_by(self, saboteur: Saboteur) -> Iterator[None]:
        """The edit is made, and taken back. Raises Stale."""
        path = self.root / saboteur.file
        whole = path.read_text()
        found = whole.count(saboteur.old)
        if found != 1:
            raise Stale(f"{saboteur.file} has this {found} times, not once:\n{saboteur.old}")
        bytecode = Path(cache_from_source(str(path)))
        bytecode.unlink(missing_ok=True)
        path.write_text(whole.replace(saboteur.old, saboteur.new))
        try:
            yield
        finally:
            path.write_text(whole)
            bytecode.unlink(missing_ok=True)

    def run(self, ids: Sequence[str]) -> Said:
        """Run these tests there. One that hangs is ended after half a minute, and is then neither red nor green."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        asked = {"words": [*PYTEST, *ids], "patience_s": 30 + 2 * len(ids)}
        self._parent.stdin.write(msgspec.json.encode(asked) + b"\n")
        self._parent.stdin.flush()
        return msgspec.json.decode(self._parent.stdout.readline(), type=Said)
