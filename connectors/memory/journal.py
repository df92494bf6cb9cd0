"""What happened at the pretend vendor, as entries. Applying them in order rebuilds the account; a file of them
outlives the process and is shared by several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.fields import assemble, read
from connectors.canon.records import AnyRecord, Kind, kind_of
from connectors.kit.contract import Act, Create, Outcome, Update, Write
from connectors.memory.faults import Call
from connectors.memory.vendor import Knobs, Rewrite

if sys.platform != "win32":
    import fcntl


VENDOR, PERSON, APP = "vendor", "person", "app"  # who writes: the vendor itself, somebody there, its API


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The account was set up so."""

    knobs: Knobs
    at: datetime


class Put(msgspec.Struct, frozen=True, tag="put"):
    """A record was made or changed: this is all of it, and who did it."""

    at: datetime
    record: AnyRecord
    by: str = VENDOR


class Took(msgspec.Struct, frozen=True, tag="took"):
    """A record went away."""

    at: datetime
    kind: Kind
    ref: str
    how: Literal["deleted", "archived", "merged"]
    survivor: str | None = None


class Hid(msgspec.Struct, frozen=True, tag="hid"):
    """A record became invisible to us, or visible again, without being changed."""

    kind: Kind
    ref: str
    hidden: bool


class Passed(msgspec.Struct, frozen=True, tag="passed"):
    """Time went on."""

    to: datetime


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """A keyed call was answered so; a repeat within the vendor's memory gets it again."""

    at: datetime
    key: str
    outcomes: tuple[Outcome, ...]


class Edit(msgspec.Struct, frozen=True, tag="edit"):
    """An update as a file can hold it: a field's value has no tag of its own, so `record` carries those at
    `paths`."""

    ref: str
    version: str | None
    paths: tuple[str, ...]
    record: AnyRecord
    key: str

    @classmethod
    def of(cls, write: Update) -> Edit:
        return cls(write.ref, write.version, tuple(write.after), assemble(write.kind, dict(write.after)), write.key)

    def update(self) -> Update:
        after = {path: read(self.record, path) for path in self.paths}
        return Update(
            kind=kind_of(self.record), ref=self.ref, version=self.version, before={}, after=after, key=self.key
        )


class Landing(msgspec.Struct, frozen=True, tag="landing"):
    """Writes whose client gave up, on their way until `due`."""

    due: datetime
    parcels: tuple[Create | Act | Edit, ...]
    key: str

    @classmethod
    def of(cls, due: datetime, writes: tuple[Write, ...], key: str) -> Landing:
        return cls(due, tuple(Edit.of(w) if isinstance(w, Update) else w for w in writes), key)

    @property
    def writes(self) -> tuple[Write, ...]:
        return tuple(parcel.update() if isinstance(parcel, Edit) else parcel for parcel in self.parcels)


class Rewriting(msgspec.Struct, frozen=True, tag="rewriting"):
    """The vendor means to rewrite a value by itself at `due`, if it is still `value`."""

    due: datetime
    kind: Kind
    ref: str
    path: str
    value: str
    how: Rewrite


Later: TypeAlias = Landing | Rewriting


class Planned(msgspec.Struct, frozen=True, tag="planned"):
    """Something will happen later."""

    what: Later


class Happened(msgspec.Struct, frozen=True, tag="happened"):
    """The earliest of what was planned is happening."""

    due: datetime


class Called(msgspec.Struct, frozen=True, tag="called"):
    """A write call reached the vendor."""

    call: Call


Entry: TypeAlias = Opened | Put | Took | Hid | Passed | Answered | Planned | Happened | Called
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Journal:
    """A file with one entry a line. `turn` holds the file for one exclusive turn: it first reads what other
    processes added, and adds this turn's entries in one write, so that a killed process leaves all of a turn or
    nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_to = 0
        self._fresh: list[Entry] = []

    @property
    def empty(self) -> bool:
        """Nothing was ever written; asked within a turn."""
        return self._read_to == 0 and not self._fresh

    def add(self, entry: Entry) -> None:
        self._fresh.append(entry)

    @contextmanager
    def turn(self, apply: Callable[[Entry], None]) -> Iterator[None]:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up(file, apply)
            try:
                yield
            finally:
                self._write_out(file)
        finally:
            os.close(file)

    def _catch_up(self, file: int, apply: Callable[[Entry], None]) -> None:
        size = os.fstat(file).st_size
        if size == self._read_to:
            return
        news = os.pread(file, size - self._read_to, self._read_to)
        for line in news.splitlines():
            apply(_decoder.decode(line))
        self._read_to = size

    def _write_out(self, file: int) -> None:
        if self._fresh:
            lines = b"".join(_encoder.encode(entry) + b"\n" for entry in self._fresh)
            self._fresh.clear()
            self._read_to += os.write(file, lines)
