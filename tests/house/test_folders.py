"""Every vendor's folder has the same files, and what a person installs is what the manifest of the project says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.registry import CONNECTORS, SANDBOXES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("system", sorted(CONNECTORS))
def test_a_vendors_folder_has_the_usual_files(system: str) -> None:
    """vendor.py says the facts, connector.py does the work, README.md names the quirks."""
    folder = ROOT / "connectors" / system
    assert [] == [name for name in ("vendor.py", "connector.py", "README.md") if not (folder / name).exists()]
    if system in SANDBOXES:
        assert (folder / "sandbox").is_dir() or (folder / "sandbox.py").exists()


@pytest.mark.parametrize("system", sorted(SANDBOXES))
def test_a_sandbox_shares_no_code_with_its_connector(system: str) -> None:
    """A sandbox imports the kit's sandbox and itself, and nothing of the connector beside it."""
    folder = ROOT / "connectors" / system / "sandbox"
    own = re.compile(rf"^\s*(?:from|import) connectors\.{system}(?!\.sandbox)\b", re.M)
    canon = re.compile(r"^\s*(?:from|import) connectors\.(?:canon|kit\.http|kit\.table)\b", re.M)
    guilty = [
        path.name for path in folder.rglob("*.py") if own.search(path.read_text()) or canon.search(path.read_text())
    ]
    assert [] == guilty


def test_every_ignored_warning_has_its_reason() -> None:
    """`# type: ignore[...]` and `# noqa: ...` are followed by the reason, or stand in a formatted block's end."""
    bare = re.compile(r"#\s*(?:type: ignore(?:\[[^\]]*\])?|noqa(?:: [A-Z0-9, ]+)?)\s*$")
    guilty = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in ("bot", "worker", "connectors")
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert [] == guilty
