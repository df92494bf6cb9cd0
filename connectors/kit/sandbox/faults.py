"""Faults that a test scripts: which request, and what goes wrong with it.

    faults = Faults(lose_answer("POST", r"/invoice$"), status(503, path="/query", nth=2, times=3))

`path` is a regular expression searched in the request's path with its query; `nth` counts the requests that match,
from 1; the fault happens `times` times from there on (None: for ever).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

How = Literal[
    "lose_answer",
    "drop_before",
    "refuse_connection",
    "delay",
    "status",
    "html_502",
    "cut_body",
    "cut_chunks",
    "repeat",
    "stale",
    "expire_token",
    "rotate_token",
]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One scripted fault. It can be sent as JSON to `POST /_sandbox/faults`.

    lose_answer        the handler runs and commits; the connection is closed without an answer
    drop_before        the connection is closed before the handler runs (also called refuse_connection)
    delay              the handler runs, the answer comes `seconds` of real time later
    status             `code`, `headers` and `body` are answered instead; the handler does not run
    html_502           a proxy's error page instead; the handler does not run
    cut_body           the handler runs; the whole length is announced, half the body is sent, the connection closes
    cut_chunks         the handler runs; half the body is sent in chunks, the connection closes without the last one
    repeat             the previous answer for the same method and path is given again; the handler does not run
    stale              the handler runs with `sandbox.stale` true: it shows the state before the last write
    expire_token       the token that this request carries has expired, for this request and all that follow
    rotate_token       the handler runs with `sandbox.rotating` true: the refresh token that it takes is good no
                       more, and another one is given
    """

    how: How
    method: str = "*"
    path: str = ""
    nth: int = 1
    times: int | None = 1
    seconds: float = 0.0
    code: int = 500
    headers: dict[str, str] = {}
    body: Any = None
    matched: int = 0
    fired: int = 0

    def strikes(self, method: str, path_qs: str) -> bool:
        """Count this request if it matches, and say whether the fault happens to it."""
        if self.method not in ("*", method) or re.search(self.path, path_qs) is None:
            return False
        self.matched += 1
        last = None if self.times is None else self.nth + self.times - 1
        hit = self.matched >= self.nth and (last is None or self.matched <= last)
        self.fired += hit
        return hit


class Faults:
    """The script: faults are asked in order, and the first that strikes happens."""

    def __init__(self, *faults: Fault) -> None:
        self.script: list[Fault] = list(faults)

    def add(self, *faults: Fault) -> None:
        self.script.extend(faults)

    def clear(self) -> None:
        self.script.clear()

    def striking(self, method: str, path_qs: str) -> Fault | None:
        """The fault that happens to this request, if any. Every fault counts the requests that match it."""
        struck = [fault for fault in self.script if fault.strikes(method, path_qs)]
        return struck[0] if struck else None

    @property
    def unfired(self) -> Sequence[Fault]:
        """Faults that never happened: a test that expects them should find none."""
        return [fault for fault in self.script if fault.fired == 0]


def lose_answer(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="lose_answer", method=method, path=path, nth=nth, times=times)


def drop_before(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="drop_before", method=method, path=path, nth=nth, times=times)


refuse_connection = drop_before


def delay(seconds: float, method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="delay", seconds=seconds, method=method, path=path, nth=nth, times=times)


def status(
    code: int,
    method: str = "*",
    path: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    nth: int = 1,
    times: int | None = 1,
) -> Fault:
    """`body`: text is sent as it is, anything else as JSON."""
    return Fault(
        how="status",
        code=code,
        headers=dict(headers or {}),
        body=body,
        method=method,
        path=path,
        nth=nth,
        times=times,
    )


def html_502(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="html_502", method=method, path=path, nth=nth, times=times)


def cut_body(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="cut_body", method=method, path=path, nth=nth, times=times)


def cut_chunks(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="cut_chunks", method=method, path=path, nth=nth, times=times)


def repeat(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="repeat", method=method, path=path, nth=nth, times=times)


def stale(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="stale", method=method, path=path, nth=nth, times=times)


def expire_token(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="expire_token", method=method, path=path, nth=nth, times=times)


def rotate_token(method: str = "*", path: str = "", *, nth: int = 1, times: int | None = 1) -> Fault:
    return Fault(how="rotate_token", method=method, path=path, nth=nth, times=times)
