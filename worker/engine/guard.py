"""Guards: what a plan may not do until a person with the right confirms it, with the counts shown. Pure.

They count over a sliding 24 hours, not per run: ten small plans are one large one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.mapping_model import Guards
from worker.engine.plan import Change

# (side, kind, what) -> how many of our writes in the last 24 hours; what: changed | removed | emptied:<path>
Tally: TypeAlias = Mapping[tuple[Side, Kind, str], int]


class Trip(msgspec.Struct, frozen=True):
    """A guard that tripped: the changes it holds, and why, with the counts."""

    change_ids: tuple[str, ...]
    reason: str


def tallied(change: Change) -> list[str]:
    """What a change counts as: nothing for a create."""
    if change.operation in ("void", "delete", "archive"):
        return ["removed"]
    if change.operation != "update":
        return []
    if any(f.path == "active" and f.after is False for f in change.fields):
        return ["removed"]
    return ["changed", *(f"emptied:{f.path}" for f in change.fields if f.empties)]


def trips(
    changes: Sequence[Change], done: Tally, population: Mapping[tuple[Side, Kind], int], guards: Guards
) -> list[Trip]:
    """Which of a plan's changes are held. `population` is how many live records of a kind a side has."""
    counted: dict[tuple[Side, Kind, str], list[str]] = {}
    for change in changes:
        for what in tallied(change):
            counted.setdefault((change.side, change.kind, what), []).append(change.id)
    found = []
    for (side, kind, what), ids in counted.items():
        total = len(ids) + done.get((side, kind, what), 0)
        limit = _limit(what, population.get((side, kind), 0), guards)
        if total > limit:
            found.append(Trip(tuple(ids), _reason(side, kind, what, total, limit)))
    return found


def _limit(what: str, population: int, guards: Guards) -> int:
    if what == "removed":
        return guards.removed
    if what == "changed":
        return max(guards.changed_at_least, int(population * guards.changed_share))
    return max(guards.emptied_at_least, int(population * guards.emptied_share))


def _reason(side: Side, kind: Kind, what: str, total: int, limit: int) -> str:
    noun = kind.value.replace("_", " ") + ("s" if total != 1 else "")
    verb = "removed" if what == "removed" else "changed"
    if what.startswith("emptied:"):
        emptied = what.removeprefix("emptied:")
        said = f"{emptied} would be emptied on {total} {noun}"
    else:
        said = f"{total} {noun} would be {verb}"
    return f"{said} in the {side} within 24 hours; the limit is {limit}"


def emptied_side(
    linked: Mapping[tuple[Side, Kind], int], alive: Mapping[tuple[Side, Kind], int], at_least: int = 5
) -> str | None:
    """A side that suddenly looks empty: it had at least `at_least` linked records of a kind, and fewer than half
    of them are still to be seen. The reason, or None."""
    for (side, kind), number in sorted(linked.items()):
        seen = alive.get((side, kind), 0)
        if number >= at_least and seen * 2 < number:
            noun = kind.value.replace("_", " ")
            return (
                f"the {side} shows {seen} of {number} linked {noun}s: nothing is planned until a person confirms that"
            )
    return None


def over_limit(changes: Iterable[Change], guards: Guards) -> Decimal | None:
    """The plan's sum in the approval currency, if it needs more than one approval; else None."""
    if guards.approvals is None:
        return None
    total = sum(
        (
            change.net.amount
            for change in changes
            if change.held is None and change.net is not None and change.net.currency == guards.approvals.currency
        ),
        Decimal(0),
    )
    return total if total > guards.approvals.over else None


def counted(changes: Iterable[Change]) -> Counter[tuple[Side, Kind, str]]:
    """What was done, for the window's tallies."""
    return Counter((change.side, change.kind, what) for change in changes for what in tallied(change))
