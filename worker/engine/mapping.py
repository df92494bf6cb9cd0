"""A pair's mapping: text in, a valid `Mapping` or every problem with its line out. Pure.

parse(text)                     -> Mapping, or MappingError with all problems
check_against(mapping, ...)     -> problems that only show once the two systems are known
to_yaml(mapping)                -> text that means the same
digest(mapping)                 -> its version
"""

from __future__ import annotations

from connectors.kit.contract import Catalogue, Facts
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

__all__ = [
    "SETTLEMENT", "Accounts", "Apply", "Approvals", "Authority", "CustomersFlow", "DayAt", "Direction", "Every",
    "Expected", "FieldRule", "Guards", "InvoicesFlow", "ItemsFlow", "Mapping", "MappingError", "PaymentsFlow",
    "Period", "Problem", "Ready", "Scheduled", "TaxRule", "When", "WorkingDayAt",
    "check_against", "digest", "parse", "to_yaml",
]  # fmt: skip


def parse(text: str, source: str = "mapping") -> Mapping:
    """The mapping that `text` (YAML) says. Raises MappingError with every problem found."""
    raise NotImplementedError


def check_against(
    mapping: Mapping, crm: Facts, crm_catalogue: Catalogue, books: Facts, books_catalogue: Catalogue
) -> list[Problem]:
    """What the mapping asks of the two systems that they cannot do, or do not have. Empty: it can be saved."""
    raise NotImplementedError


def digest(mapping: Mapping) -> str:
    """Sixteen hex digits that change exactly when the mapping's meaning does."""
    raise NotImplementedError


def to_yaml(mapping: Mapping) -> str:
    """The mapping as YAML, every default written out. `parse(to_yaml(m)).version == m.version`."""
    raise NotImplementedError
