"""Guards: what a plan may not do until a person with the right confirms it, with the counts shown. Pure.

They count over a sliding 24 hours, not per run: ten small plans are one large one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.field_names import field_name
from worker.engine.mapping_model import Guards
from worker.engine.plan import Change

# (side, kind, what) -> the refs that we wrote to in the last 24 hours; what: changed | removed | emptied:<path>
Tally: TypeAlias = Mapping[tuple[Side, Kind, str], frozenset[str]]

_PLACE: dict[Side, str] = {"crm": "CRM", "books": "books"}


class Trip(msgspec.Struct, frozen=True):
    """A guard that tripped: the changes it holds, and why, with the counts."""

    change_ids: tuple[str, ...]
    reason: str


def tallied(change: Change) -> list[str]:
    """What a change counts as: nothing for a create, and nothing for a deal whose empty fields are marked with what
    the books say for the first time. Nobody but Tieout writes those, and nothing that was there is lost."""
    if change.operation in ("void", "delete", "archive"):
        return ["removed"]
    if change.operation != "update":
        return []
    if any(f.path == "active" and f.after is False for f in change.fields):
        return ["removed"]
    if change.flow == "payments" and all(f.fills for f in change.fields):
        return []
    return ["changed", *(f"emptied:{f.path}" for f in change.fields if f.empties)]


def trips(
    changes: Sequence[Change], done: Tally, population: Mapping[tuple[Side, Kind], int], guards: Guards
) -> list[Trip]:
    """Which of a plan's changes are held. `population` is how many live records of a kind a side has. A record
    counts once, however often it changes."""
    counted: dict[tuple[Side, Kind, str], list[Change]] = {}
    for change in changes:
        for what in tallied(change):
            counted.setdefault((change.side, change.kind, what), []).append(change)
    found = []
    for (side, kind, what), planned in counted.items():
        total = len({change.ref or change.id for change in planned} | done.get((side, kind, what), frozenset()))
        known = population.get((side, kind), 0)
        limit = _limit(what, known, guards)
        if total > limit:
            reason = _reason(side, kind, what, (total, max(total, known), limit))
            found.append(Trip(tuple(change.id for change in planned), reason))
    return found


def _limit(what: str, population: int, guards: Guards) -> int:
    if what == "removed":
        return guards.removed
    if what == "changed":
        return max(guards.changed_at_least, int(population * guards.changed_share))
    return max(guards.emptied_at_least, int(population * guards.emptied_share))


def _reason(side: Side, kind: Kind, what: str, counts: tuple[int, int, int]) -> str:
    """In words. `counts`: how many would be touched, of how many, and how many may be."""
    total, population, limit = counts
    noun = kind.value.replace("_", " ") + ("s" if population != 1 else "")
    these = f"{total:,} of {population:,} {noun} in the {_PLACE[side]}"
    if what.startswith("emptied:"):
        said = f"{field_name(what.removeprefix('emptied:'))} would be emptied on {these}"
    else:
        said = f"{these} would {'be removed' if what == 'removed' else 'change'}"
    return f"{said} within 24 hours; at most {limit:,} without somebody's confirmation"


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


def under_limit(changes: Sequence[Change], posted: Mapping[str, Decimal], guards: Guards) -> list[Change]:
    """What may go without a person: no document, if the sum of all, with what was `posted` so (net by currency),
    is over the limit; and none in a currency that the limit does not measure."""
    limits = guards.approvals
    if limits is None:
        return list(changes)
    planned = [c.net.amount for c in changes if c.net is not None and c.net.currency == limits.currency]
    is_over = sum(planned, posted.get(limits.currency, Decimal(0))) > limits.over

    def may(change: Change) -> bool:
        if not change.is_money:
            return True
        measured = change.net is not None and change.net.currency == limits.currency
        return measured and not is_over

    return [change for change in changes if may(change)]
