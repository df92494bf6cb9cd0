"""Debian's Chromium, driven by Playwright. Where it is not installed the browser tests are not collected, and the
run says so; in CI its absence is a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
HERE = CHROMIUM.exists()
ABSENT = "tests/browser not collected: there is no /usr/bin/chromium (apt-get install -y chromium)"

collect_ignore_glob = [] if HERE or os.environ.get("CI") == "true" else ["test_*.py"]


def pytest_report_header() -> list[str]:
    return [] if HERE else [ABSENT]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A header of a folder's own conftest is not always shown, the summary is."""
    if not HERE:
        terminalreporter.write_line(ABSENT)
