"""The fences between packages: they hold, and each of them can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "worker", "connectors")

# A deliberate violation for each thing that a fence forbids: (contract, where it is written, what it imports).
VIOLATIONS: list[tuple[str, str, str]] = [
    ("bot -> worker -> connectors, never back", "connectors/bad_up.py", "worker.settings"),
    ("bot -> worker -> connectors, never back", "connectors/kit/bad_up.py", "bot"),
    ("bot -> worker -> connectors, never back", "worker/bad_up.py", "bot"),
    *[
        ("bot sees worker through worker.api alone", f"bot/bad_{name}.py", f"worker.{name}")
        for name in ("store", "engine", "usecases", "jobs", "reports", "vault", "queue", "house", "settings")
    ],
    ("bot never meets a vendor, but for the composition root", "bot/bad_vendor.py", "connectors.hubspot"),
    ("bot never meets a vendor, but for the composition root", "bot/bad_kit.py", "connectors.kit.errors"),
    *[
        ("the engine does no I/O", f"worker/engine/bad_{name.replace('.', '_')}.py", name)
        for name in (
            "sqlalchemy", "aiohttp", "arq", "redis", "asyncio", "worker.store", "worker.usecases", "worker.jobs",
            "worker.reports", "connectors.kit.http", "connectors.kit.sandbox", "connectors.hubspot",
            "connectors.quickbooks", "connectors.csv", "connectors.memory", "connectors.registry",
            "connectors.sandboxes",
        )
    ],
    *[
        ("records and values do no I/O", f"connectors/canon/bad_{name.replace('.', '_')}.py", name)
        for name in ("sqlalchemy", "aiohttp", "asyncio", "connectors.kit.errors")
    ],
    *[
        ("the kit names no vendor", f"connectors/kit/bad_{name}.py", f"connectors.{name}")
        for name in ("hubspot", "quickbooks", "csv", "memory", "registry", "sandboxes")
    ],
    *[
        ("one vendor knows no other", f"connectors/{one}/bad_{other}.py", f"connectors.{other}")
        for one, other in (("csv", "hubspot"), ("hubspot", "quickbooks"), ("quickbooks", "memory"), ("memory", "csv"))
    ],
]  # fmt: skip


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on a copy of the packages, with its own cache."""
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(tool), "--config", "pyproject.toml", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
    )


def _copy(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy in which every violation is written."""
    folder = _copy(tmp_path_factory.mktemp("violations"))
    for _, path, imported in VIOLATIONS:
        (folder / path).write_text(f"import {imported}\n")
    result = _lint(folder)
    assert 0 != result.returncode
    return result.stdout


def test_the_fences_hold(tmp_path: Path) -> None:
    """As the project stands, and every contract has a violation above."""
    result = _lint(_copy(tmp_path))
    assert 0 == result.returncode, result.stdout
    assert f"Contracts: {len({contract for contract, _, _ in VIOLATIONS})} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "path", "imported"), VIOLATIONS, ids=lambda value: str(value).replace(" ", "_"))
def test_each_fence_can_fail(broken: str, contract: str, path: str, imported: str) -> None:
    """The violation is named under the contract that it breaks."""
    module = path.removesuffix(".py").replace("/", ".")
    named = f"{module} -> {imported} (l.1)"
    sections = re.split(r"^(.+)\n-{5,}$", broken, flags=re.MULTILINE)
    said = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert named in said[contract], f"{contract} lets {named} through"
