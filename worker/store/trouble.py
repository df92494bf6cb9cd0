"""What is the matter with the store, in words, when it is the store: it cannot be reached, it is full, it cannot be
written. Such trouble passes, and what was under way goes on then. Pure."""

from __future__ import annotations

import errno
import socket

import msgspec
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong, and what to do about it."""

    message: str
    next_step: str


AWAY = Trouble(
    "The database cannot be reached", "Start it, or correct TIEOUT_DATABASE_URL. Work goes on by itself afterwards."
)
REFUSED = Trouble("The database refuses the login", "Correct user and password in TIEOUT_DATABASE_URL.")
MISSING = Trouble("The database server has no such database", "Create it, or correct TIEOUT_DATABASE_URL.")
FULL = Trouble("The disk of the database is full", "Make room. Work goes on by itself afterwards.")
READ_ONLY = Trouble(
    "The database file cannot be written", "Give yourself the right to write there, or name another folder with --data."
)
CLOSED = Trouble(
    "The database file cannot be opened", "Check that its folder is there and can be written; --data names another."
)
BUSY = Trouble("The database is busy with another process", "Nothing to do: it is tried again by itself.")
NO_DATABASE_FILE = Trouble("The database file is no database, or is damaged", "Put it back from the last backup.")
NO_ADDRESS = Trouble(
    "TIEOUT_DATABASE_URL is no address of a database",
    "Write it like postgresql+asyncpg://user:password@host/name.",
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html, by code or class
_STATES = {
    "3D000": MISSING,
    "53100": FULL,
    "28": REFUSED,
    "08": AWAY,
    "53": AWAY,
    "57": AWAY,
}
# https://www.sqlite.org/rescode.html, as the library words them
_SQLITE = {
    "disk is full": FULL,
    "readonly database": READ_ONLY,
    "unable to open database file": CLOSED,
    "disk i/o error": FULL,
    "database is locked": BUSY,
    "not a database": NO_DATABASE_FILE,
    "malformed": NO_DATABASE_FILE,
}
# A server's socket that is not there, or a network: unlike a file's, such an error names no file.
_NO_SOCKET = (errno.ENOENT, errno.EHOSTUNREACH, errno.ENETUNREACH)
_LASTING = (REFUSED, MISSING, NO_DATABASE_FILE, NO_ADDRESS)


def trouble(error: BaseException) -> Trouble | None:
    """What is the matter with the store; None: it is something else."""
    if isinstance(error, DBAPIError):
        found = _by_state(error.orig) or _by_words(str(error.orig).casefold())
        return found if found is not None else (AWAY if error.connection_invalidated else None)
    if isinstance(error, NoConnectionFree):  # all of them wait for the one that writes
        return BUSY
    if isinstance(error, ArgumentError):
        return NO_ADDRESS
    if isinstance(error, OSError):
        return _by_number(error)
    return _by_state(error)


def passes(found: Trouble) -> bool:
    """Whether it goes away without anybody changing the settings."""
    return found not in _LASTING


def _by_state(error: BaseException | None) -> Trouble | None:
    """PostgreSQL's own word; drivers carry it under one of two names."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(state, str):
        return None
    return _STATES.get(state, _STATES.get(state[:2]))


def _by_words(said: str) -> Trouble | None:
    found = next((found for words, found in _SQLITE.items() if words in said), None)
    if found is not None:
        return found
    return AWAY if "connection is closed" in said or "connection was closed" in said else None


def _by_number(error: OSError) -> Trouble | None:
    if error.errno == errno.ENOSPC:
        return FULL
    away = isinstance(error, ConnectionError | TimeoutError | socket.gaierror)
    return AWAY if away or (error.filename is None and error.errno in _NO_SOCKET) else None
