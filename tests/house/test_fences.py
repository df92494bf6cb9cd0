"""The import fences hold, and each can fail: a deliberate violation of every one turns it red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).parent / "lint-imports"

# contract -> (module, an import that it may not make)
VIOLATIONS = {
    "bot -> worker -> connectors, never back": ("connectors/kit/timers.py", "import worker.settings"),
    "bot sees worker through worker.api alone": ("bot/gate.py", "import worker.store.runs"),
    "bot never meets a vendor, but for the composition root": ("bot/grammar.py", "import connectors.registry"),
    "the engine does no I/O": ("worker/engine/merge.py", "import asyncio"),
    "records and values do no I/O": ("connectors/canon/values.py", "import connectors.kit.errors"),
    "the kit names no vendor": ("connectors/kit/table.py", "import connectors.hubspot.vendor"),
    "one vendor knows no other": ("connectors/hubspot/wire.py", "import connectors.quickbooks.vendor"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINT), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    for package in ("bot", "worker", "connectors"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_fences_hold(copied: Path) -> None:
    """As the packages stand, no contract is broken, and every contract has a violation below."""
    run = lint(copied)
    assert 0 == run.returncode, run.stdout
    assert f"Contracts: {len(VIOLATIONS)} kept, 0 broken." in run.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_violation_is_found(copied: Path, contract: str) -> None:
    """Saboteur: one forbidden import, and that contract is broken."""
    name, line = VIOLATIONS[contract]
    module = copied / name
    text = module.read_text()
    try:
        module.write_text(f"{text}\n{line}\n")
        run = lint(copied)
    finally:
        module.write_text(text)
    assert 0 != run.returncode
    assert f"{contract} BROKEN" in run.stdout
