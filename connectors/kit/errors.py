"""Errors named by what happens next. All carry the same context; a vendor's own errors are translated once, at
the border, and nothing unknown is retried."""

from __future__ import annotations

from typing import Any


class ConnectorError(Exception):
    """What every connector error says: which system, doing what, to which record, and the vendor's request id.
    `answer` is the vendor's whole answer where one came, for the connector to read; it is never shown."""

    next_step = "Look at the message and try again."

    def __init__(
        self,
        message: str,
        *,
        system: str = "",
        operation: str = "",
        ref: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        wait_s: float | None = None,
        answer: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system = system
        self.operation = operation
        self.ref = ref
        self.code = code
        self.request_id = request_id
        self.wait_s = wait_s
        self.answer = answer

    def __str__(self) -> str:
        where = " ".join(part for part in (self.system, self.operation, self.ref) if part)
        return f"{where}: {self.message}" if where else self.message


class Reconnect(ConnectorError):
    """The authorisation is gone: work is held until somebody connects again."""

    next_step = "Connect the account again; held work then goes on by itself."


class TryLater(ConnectorError):
    """Nothing was done and nothing is wrong with the request: wait `wait_s` seconds (None: back off)."""

    next_step = "Nothing to do: it is tried again by itself."


class Refused(ConnectorError):
    """The vendor's definite no to this request, for this record: a person mends the record or the settings."""

    next_step = "Mend what the message names, then preview again."


class Gone(Refused):
    """The record does not exist (any more) at the vendor."""


class NotAllowed(ConnectorError):
    """The account may not do this (scope, plan, permission): an admin mends it at the vendor."""

    next_step = "Give the connected account the right the message names, then connect again."


class Unsupported(ConnectorError):
    """The system cannot do what was asked of it, whoever asks."""

    next_step = "Change the mapping: this system cannot do that."


class BadSettings(ConnectorError):
    """The connection's settings are wrong or incomplete."""

    next_step = "Correct the connection's settings."


class Doubtful(ConnectorError):
    """Nobody knows whether the vendor did it: no answer, a cut answer, a 5xx. Look before writing again."""

    next_step = "Nothing to do: it is looked up before anything is sent again."
