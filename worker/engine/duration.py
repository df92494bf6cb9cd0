"""How long a plan takes at least: its counts, what each side's system takes in one call, and how many calls it allows.

The time that calls themselves take, and what a vendor refuses or loses, is not foreseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import KindFacts, Side
from worker.engine.plan import Deed

Counts: TypeAlias = Mapping[tuple[Side, Kind, Deed], int]
DAY_S = 86_400.0
MONEY = (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT)


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What one side's system takes: `rates` are calls per seconds, `batch_rate` those with several writes in them.
    `used_today`: calls of the last 24 hours; `kept`: the share of each limit that is left to others."""

    kinds: Mapping[Kind, KindFacts]
    rates: tuple[tuple[int, float], ...] = ()
    batch_rate: tuple[int, float] | None = None
    used_today: int = 0
    kept: Decimal = Decimal(0)


class Calls(msgspec.Struct, frozen=True):
    """Calls to one side; `batches` are those among them that carry several writes."""

    calls: int = 0
    batches: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(self.calls + other.calls, self.batches + other.batches)


class Tightest(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that decides: so many `calls` (or batches) in `per_s` seconds, of which `used` are gone already."""

    side: Side
    calls: int
    per_s: float
    batches: bool = False
    used: int = 0


class Takes(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` is what the tightest limit imposes; 0, and no limit, where everything may be sent at once."""

    seconds: float
    calls: dict[Side, int]
    limit: Tightest | None = None


def takes(counts: Counts, allowed: Mapping[Side, Allowed]) -> Takes:
    """The calls that so many changes come to, and the time that they take at least."""
    made = calls_of(counts, {side: each.kinds for side, each in allowed.items()})
    waits = [wait for side, each in allowed.items() for wait in _waits(side, made[side], each)]
    seconds, limit = max(waits, key=lambda wait: wait[0], default=(0.0, None))
    return Takes(
        seconds=seconds,
        calls={side: each.calls for side, each in made.items()},
        limit=limit if seconds > 0 else None,
    )


def _waits(side: Side, made: Calls, allowed: Allowed) -> Iterator[tuple[float, Tightest]]:
    for calls, per_s in allowed.rates:
        used = allowed.used_today if per_s >= DAY_S else 0
        wait = waiting(made.calls, _free(calls, allowed.kept), per_s, used)
        yield wait, Tightest(side=side, calls=calls, per_s=per_s, used=used)
    if allowed.batch_rate is not None:
        calls, per_s = allowed.batch_rate
        wait = waiting(made.batches, _free(calls, allowed.kept), per_s)
        yield wait, Tightest(side=side, calls=calls, per_s=per_s, batches=True)


def _free(calls: int, kept: Decimal) -> int:
    return max(1, int(calls * (1 - kept)))


def waiting(number: int, calls: int, per_s: float, used: int = 0) -> float:
    """Seconds between the first and the last of `number` calls, if `calls` are allowed in any `per_s` seconds and
    `used` of them are gone: so many go at once, as many again when the window is over."""
    return (-(-(number + used) // calls) - 1) * per_s if number > 0 else 0.0


# --------------------------------------------------------------------------- how many calls


def calls_of(counts: Counts, kinds: Mapping[Side, Mapping[Kind, KindFacts]]) -> dict[Side, Calls]:
    """As `apply_plan` makes them: where no version keeps an old write out the target is read first and its history
    afterwards, a money document goes from a fresh read of its deal, and a create notes the vendor's mark before it."""
    made: dict[Side, Calls] = dict.fromkeys(kinds, Calls())
    for (side, kind, operation), number in counts.items():
        facts = kinds[side].get(kind)
        if facts is None or operation == "unlink":  # that is ours alone
            continue
        sizes = _sizes(number, facts.batch_write)
        made[side] += _writes(operation, sizes, facts)
        deals = kinds["crm"].get(Kind.DEAL)
        if kind in MONEY and operation == "create" and deals is not None:
            made["crm"] += Calls(_reads(sizes, deals))
    return made


def _sizes(number: int, most: int) -> list[int]:
    """So many changes in batches."""
    whole, rest = divmod(number, most)
    return [most] * whole + ([rest] if rest else [])


def _writes(operation: Deed, sizes: list[int], facts: KindFacts) -> Calls:
    reads = len(sizes) if operation == "create" else 0 if facts.optimistic_lock else _reads(sizes, facts)
    if operation == "update" and facts.history > 0 and not facts.optimistic_lock:
        reads += sum(-(-size // facts.history) for size in sizes)
    return Calls(reads + len(sizes) * facts.write_calls, sum(size > 1 for size in sizes))


def _reads(sizes: list[int], facts: KindFacts) -> int:
    return sum(-(-size // facts.batch_read) for size in sizes) * facts.read_calls
