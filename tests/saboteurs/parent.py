"""A process that has the libraries loaded, and nothing of the program: for each line of its input (`words` for pytest
and `patience_s`, as JSON) it forks, runs pytest there, and writes the exit code and what was printed as a line.

The libraries take most of the second that a single test needs; loaded once, a hundred tests take two minutes less. It
is run as a script in the copy's folder, so that the program's packages are the copy's.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest

PRELOADED = (
    "aiohttp.web", "aiosqlite", "alembic.command", "arq.worker", "asyncpg", "babel", "cryptography.fernet",
    "cryptography.hazmat.primitives.kdf.hkdf", "hypothesis.stateful", "jinja2", "msgspec", "openpyxl", "phonenumbers",
    "prometheus_client", "pytest_asyncio.plugin", "rapidfuzz", "redis.asyncio", "rich.console", "slack_bolt.async_app",
    "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "sqlalchemy.ext.asyncio", "stamina", "stdnum.util",
    "structlog", "syrupy", "typer.testing", "xlsxwriter", "yaml", "zoneinfo",
)  # fmt: skip
OURS = ("bot", "connectors", "tests", "worker")


def main() -> None:
    sys.path.remove(str(Path(__file__).parent))
    for name in PRELOADED:
        importlib.import_module(name)
    loaded = [name for name in sys.modules if name.partition(".")[0] in OURS]
    if loaded:
        raise RuntimeError(f"these would not be the copy's: {loaded}")
    gc.collect()
    gc.freeze()  # what is loaded stays: no child walks through it, nor copies its pages
    for line in sys.stdin:
        with tempfile.TemporaryFile() as printed:
            code = _run(printed, **json.loads(line))
            printed.seek(0)
            told = {"code": code, "text": printed.read().decode(errors="replace")}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _run(printed: IO[bytes], words: list[str], patience_s: int) -> int:
    """The exit code; of a child that was ended by a signal, its number, negative."""
    child = os.fork()
    if child == 0:
        signal.alarm(patience_s)
        _be_pytest(words, printed)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _be_pytest(words: list[str], printed: IO[bytes]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    code = 70  # EX_SOFTWARE: pytest itself failed
    try:
        code = int(pytest.main(words))
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
