"""What a test can make go wrong with a Web API call."""

from __future__ import annotations

from typing import Literal

import msgspec


class Fault(msgspec.Struct, kw_only=True):
    """What happens to the `nth` call of `method` (counted from when the fault was added) and to `times` in all
    from there on.

    status         answered with HTTP `code` and, for 429, `Retry-After: wait_s`; nothing is done
    slow           done and answered `wait_s` seconds of the sandbox's clock later
    lose_answer    done, but the connection is closed without an answer
    error          refused with the error code `error`; nothing is done
    """

    how: Literal["status", "slow", "lose_answer", "error"]
    method: str
    nth: int = 1
    times: int = 1
    code: int = 500
    wait_s: float = 1.0
    error: str = "internal_error"
    seen: int = 0

    def strikes(self, method: str) -> bool:
        if self.method not in ("*", method):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


class Faults:
    """The script. Each fault counts the calls that match it; the first that strikes happens."""

    def __init__(self) -> None:
        self.script: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        self.script.extend(faults)

    def clear(self) -> None:
        self.script.clear()

    def striking(self, method: str) -> Fault | None:
        struck = [fault for fault in self.script if fault.strikes(method)]
        return struck[0] if struck else None
