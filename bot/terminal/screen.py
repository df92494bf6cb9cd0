"""What a command prints where, and how it ends: words for people, one JSON document for programs, and an exit code."""

from __future__ import annotations

import enum
import getpass
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO


class Exit(enum.IntEnum):
    """What scripts go by; `tieout --help` says the same."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PERSON = 3
    LATER = 4


EXIT_CODES = """Exit codes: 0 done; 1 failed, and a person can mend it; 2 wrong usage; 3 something needs a person
(open conflicts, held changes, a plan waiting for approval, a month that does not tie); 4 nothing could be reached or
the work waits: try later."""


class Failure(Exception):
    """A command's end that is not what was asked for: what happened, what it means for the books, what to do next."""

    def __init__(
        self,
        message: str,
        *,
        means: str | None = None,
        next_step: str | None = None,
        details: Sequence[str] = (),
        code: Exit = Exit.FAILED,
    ) -> None:
        super().__init__(message)
        self.message, self.means, self.next_step = message, means, next_step
        self.details, self.code = tuple(details), code

    def json(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "means": self.means,
                "next": self.next_step,
                "details": list(self.details),
                "exit": int(self.code),
            }
        }

    def text(self) -> str:
        lines = [_sentence(self.message), *(f"  {detail}" for detail in self.details)]
        lines += [_sentence(line) for line in (self.means, _next(self.next_step)) if line]
        return "\n".join(lines)


def _next(step: str | None) -> str | None:
    """A command alone says that it is what to do next."""
    return f"Next: {step}" if step is not None and step.startswith("tieout ") and not step.endswith(".") else step


def _sentence(text: str) -> str:
    """With a capital and a full stop, but for what begins with a name in small letters or ends with a command."""
    said = text.strip()
    return said if said.endswith((".", "!", "?", ":")) or said.startswith("Next: ") else f"{said}."


class Screen:
    """Standard output and error of one command. With `as_json`, words go to the error stream and the output holds
    one document."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False, interactive: bool = False) -> None:
        self._out, self._err = out, err
        self.as_json, self.interactive = as_json, interactive

    @classmethod
    def of_this_process(cls, *, as_json: bool) -> Screen:
        return cls(sys.stdout, sys.stderr, as_json=as_json, interactive=sys.stdin.isatty() and sys.stderr.isatty())

    @property
    def err(self) -> TextIO:
        return self._err

    def say(self, text: str) -> None:
        """Words that are part of the answer."""
        stream = self._err if self.as_json else self._out
        stream.write(f"{text}\n")
        stream.flush()

    def note(self, text: str) -> None:
        """Words beside the answer."""
        self._err.write(f"{text}\n")
        self._err.flush()

    def document(self, data: Any) -> None:
        """The answer for programs; nothing for people."""
        if self.as_json:
            self._out.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
            self._out.flush()

    def failed(self, failure: Failure) -> None:
        self.note(failure.text())
        self.document(failure.json())

    def confirm(self, question: str) -> bool:
        """A yes or no, asked on the error stream; only when `interactive`."""
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return sys.stdin.readline().strip().casefold() in ("y", "yes")

    def secret(self, prompt: str) -> str:
        """Something that is not shown while it is typed; only when `interactive`."""
        return getpass.getpass(f"{prompt}: ", stream=self._err).strip()


def person() -> str:
    """Who asks, for the audit trail: the operating system's user, like `terminal:alice`."""
    try:
        return f"terminal:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"terminal:{os.getuid()}"
