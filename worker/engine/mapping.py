"""A pair's mapping: text in, a valid `Mapping` or every problem with its line out. Pure.

parse(text)                     -> Mapping, or MappingError with all problems
check_against(mapping, ...)     -> problems that only show once the two systems are known
fit(mapping, ...)               -> the mapping without implied rules that the two systems cannot carry
to_yaml(mapping)                -> text that means the same
digest(mapping)                 -> its version
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from worker.engine.mapping_against import check_against, fit
from worker.engine.mapping_model import (
    SETTLEMENT,
    Accounts,
    Apply,
    Approvals,
    Authority,
    CustomersFlow,
    DayAt,
    Direction,
    Every,
    Expected,
    FieldRule,
    Guards,
    InvoicesFlow,
    ItemsFlow,
    Mapping,
    MappingError,
    PaymentsFlow,
    Period,
    Problem,
    Ready,
    Scheduled,
    TaxRule,
    When,
    WorkingDayAt,
)
from worker.engine.mapping_read import read_mapping
from worker.engine.mapping_write import to_yaml

__all__ = [
    "SETTLEMENT", "Accounts", "Apply", "Approvals", "Authority", "CustomersFlow", "DayAt", "Direction", "Every",
    "Expected", "FieldRule", "Guards", "InvoicesFlow", "ItemsFlow", "Mapping", "MappingError", "PaymentsFlow",
    "Period", "Problem", "Ready", "Scheduled", "TaxRule", "When", "WorkingDayAt",
    "check_against", "digest", "fit", "parse", "to_yaml",
]  # fmt: skip


@lru_cache(maxsize=32)  # forty lines take 20 ms to read, and every job begins with them
def parse(text: str, source: str = "mapping") -> Mapping:
    """The mapping that `text` (YAML) says. Raises MappingError with every problem found; `source` is how they call
    the text."""
    mapping, problems = read_mapping(text, source)
    if mapping is None:
        raise MappingError(problems)
    return msgspec.structs.replace(mapping, version=digest(mapping))


# Where it stands and how it is said is not what it means.
_NOT_MEANING = frozenset({"line", "column", "version", "said", "implied", "derived", "text"})


def digest(mapping: Mapping) -> str:
    """Sixteen hex digits that change exactly when the mapping's meaning does."""
    said = msgspec.to_builtins(mapping)
    meaning = msgspec.json.encode([_meaning(said | {"columns": None}), said["columns"]], order="deterministic")
    return hashlib.sha256(meaning).hexdigest()[:16]


def _meaning(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: _meaning(value) for name, value in said.items() if name not in _NOT_MEANING}
    return [_meaning(value) for value in said] if isinstance(said, list | tuple) else said
