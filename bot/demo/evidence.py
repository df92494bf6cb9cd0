"""What is on record, read as an auditor would: from the database file itself, with nothing of Tieout in between."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

DATABASE = "tieout.db"


class Trail(msgspec.Struct, frozen=True):
    """The audit trail: changes that it names, and the values that stand beside it."""

    changes: frozenset[str]
    values: tuple[str, ...]


def read_trail(data: Path) -> Trail:
    """The trail of a data folder."""
    uri = f"{(data / DATABASE).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        entries = [json.loads(text) for (text,) in db.execute("SELECT entry FROM audit")]
        values = [str(value) for (value,) in db.execute("SELECT value FROM audit_values WHERE value IS NOT NULL")]
    return Trail(frozenset(entry["change"] for entry in entries if entry.get("change")), tuple(values))


def stored_bytes(data: Path) -> bytes:
    """Everything that the database has written, its journal included."""
    return b"".join(path.read_bytes() for path in sorted(data.glob(f"{DATABASE}*")))
