"""What can go wrong between a client and a vendor, as a script that a test writes beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Operation

Point: TypeAlias = Literal[
    "write", "changes", "get", "history", "find", "by_marker", "mark", "created_since", "catalogue", "figures"
]
What: TypeAlias = Literal[
    "lose",  # committed, and the answer is lost
    "cut",  # the first `first` of the batch are committed, then the line is cut
    "doubt",  # nothing is committed, and nobody knows
    "late",  # nobody knows; it is committed `after_s` seconds later
    "hang",  # committed, and the answer never comes: the client has to give up
    "stall",  # not committed, and no answer comes
    "refuse",  # a definite no (of item `item` only, if given)
    "stale",  # the record is said to have moved (of item `item` only, if given)
    "throttle",  # 429: wait `wait_s`
    "expired",  # the authorisation is gone
    "forbidden",  # the account may not do this
    "down",  # a read fails with a 503
]


class Call(msgspec.Struct, frozen=True):
    """One call that reached the vendor: where, for which kind, with how many items."""

    point: Point
    kind: Kind | None = None
    operation: Operation | None = None
    items: int = 1


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong at a `point`, for calls that fit `kind` and `operation` (None: any), after `skip`
    of them went well, `times` times over."""

    what: What
    point: Point = "write"
    kind: Kind | None = None
    operation: Operation | None = None
    skip: int = 0
    times: int = 1
    first: int = 0
    item: int | None = None
    after_s: float = 60
    wait_s: float | None = 10
    reason: str = "refused by the script"

    def fits(self, call: Call) -> bool:
        return self.point == call.point and self.kind in (None, call.kind) and self.operation in (None, call.operation)


class Script:
    """The faults still to come. Each call takes the first that fits it."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._waiting = list(faults)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, *faults: Fault) -> None:
        self._waiting.extend(faults)

    def clear(self) -> None:
        self._waiting.clear()

    def copy(self) -> Script:
        return Script(self._waiting)

    def take(self, call: Call) -> Fault | None:
        """The fault that this call meets; a skipping or repeating one stays, with one turn less."""
        for place, fault in enumerate(self._waiting):
            if not fault.fits(call):
                continue
            if fault.skip > 0:
                self._waiting[place] = msgspec.structs.replace(fault, skip=fault.skip - 1)
                return None
            if fault.times > 1:
                self._waiting[place] = msgspec.structs.replace(fault, times=fault.times - 1)
            else:
                del self._waiting[place]
            return fault
        return None
