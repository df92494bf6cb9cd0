"""What the figures were measured on: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("aiohttp", "aiosqlite", "arq", "msgspec", "rapidfuzz", "SQLAlchemy")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine: processor, its cores, memory in GB, operating system."""

    cpu: str
    cores: int
    memory_gb: float
    system: str


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a figure depends on beside the code. `commit` ends in `+` where files differ from it; `load` is
    how many programs wanted a core in the minute before: more than a few tenths, and seconds say little."""

    machine: Machine
    versions: dict[str, str]
    commit: str | None
    load: float


def here() -> Setting:
    """The machine and the versions that this process runs on."""
    machine = Machine(cpu=_cpu(), cores=os.cpu_count() or 1, memory_gb=_memory_gb(), system=platform.platform())
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **libraries}
    return Setting(machine=machine, versions=versions, commit=_commit(), load=round(os.getloadavg()[0], 1))


def _cpu() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1)


def _commit() -> str | None:
    """The commit that is checked out; None without git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head[:12]}+" if _git("status", "--porcelain", "--untracked-files=no") else head[:12]


def _git(*words: str) -> str | None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return None
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
