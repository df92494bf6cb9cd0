"""Which record of one side is which of the other. Never guessed: sure only on strong evidence and one candidate.
Pure; built once per run on blocking keys, so that ten thousand against ten thousand takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from connectors.canon.records import AnyRecord, Invoice, Kind
from worker.engine.mapping_model import Evidence

DEFAULT_EVIDENCE: tuple[Evidence, ...] = ("marker", "tax_id", "email", "name+postal_code", "phone")
ITEM_EVIDENCE: tuple[Evidence, ...] = ("marker", "sku", "name")


class Candidate(msgspec.Struct, frozen=True):
    """A record that may be the same: how sure (0-100), and why, in words."""

    ref: str
    score: int
    reasons: tuple[str, ...]


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """`same`: link `ref`. `ask`: up to three `candidates` for a person. `none`: nothing like it."""

    verdict: Literal["same", "ask", "none"]
    ref: str | None = None
    score: int = 0
    reasons: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


class Twins(msgspec.Struct, frozen=True):
    """New records of one side that look the same: a person is asked before anything is made from them."""

    refs: tuple[str, ...]
    score: int
    reasons: tuple[str, ...]


class Index:
    """Customers or items of one side, to be matched against. `region` reads phones without a country code."""

    def __init__(
        self, records: Iterable[AnyRecord], region: str | None = None, evidence: Sequence[Evidence] | None = None
    ) -> None:
        raise NotImplementedError

    def candidates(self, record: AnyRecord, marker: str | None = None) -> list[Candidate]:
        """Everything that may be the same, best first. `marker`: the one that Tieout would have left."""
        raise NotImplementedError

    def match(self, record: AnyRecord, marker: str | None = None, taken: Collection[str] = ()) -> Match:
        """The verdict for one record; `taken` refs are linked already and never sure."""
        raise NotImplementedError

    def item(self, name_or_sku: str) -> Match:
        """The item that a deal's line names."""
        raise NotImplementedError


def match_all(
    records: Sequence[AnyRecord],
    index: Index,
    markers: Mapping[str, str] = {},
    taken: Collection[str] = (),
) -> dict[str, Match]:
    """A verdict for each record by ref. Two that would take the same candidate are both asked about."""
    raise NotImplementedError


def twins(records: Sequence[AnyRecord], region: str | None = None) -> list[Twins]:
    """Groups of records of one side that look the same."""
    raise NotImplementedError


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice for a deal's position would look like. `customer` is the books' ref; `references` are texts
    that an invoice may carry (PO number, the deal's name or ref)."""

    customer: str
    currency: str | None = None
    net: Decimal | None = None
    gross: Decimal | None = None
    won_on: date | None = None
    references: tuple[str, ...] = ()


class InvoiceIndex:
    """Invoices of the books, by customer."""

    def __init__(self, invoices: Iterable[Invoice]) -> None:
        raise NotImplementedError


def match_invoice(wanted: Wanted, index: InvoiceIndex, taken: Collection[str] = ()) -> Match:
    """The existing invoice of a deal won before the cut-over: customer, net or gross, within 30 days, reference."""
    raise NotImplementedError


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What an open intent would have made: all that can be compared after a lost answer. None: not compared."""

    kind: Kind
    marker: str
    customer: str | None = None
    currency: str | None = None
    total: Decimal | None = None
    name: str | None = None
    note: str | None = None


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """It was made: this is it."""

    ref: str


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """It was not made (counts only after `call_until` + `lands_within_s` + search delay)."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """The probes cannot decide: a person is asked, with what is known."""

    reason: str
    candidates: tuple[str, ...]


Finding: TypeAlias = Adopt | Absent | Hold


def adopt(
    sought: Sought,
    by_marker: Sequence[AnyRecord],
    in_window: Sequence[AnyRecord],
    free: Callable[[str], bool],
) -> Finding:
    """What two probes prove about an intent whose answer was lost. `free(ref)`: no link or document has it."""
    raise NotImplementedError


class OpenIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A create on its way. `carries_marker`: the kind keeps it where a pull reads it back. `since`: the vendor's
    time of the mark taken before sending."""

    kind: Kind
    marker: str
    carries_marker: bool
    since: datetime


def parked(record: AnyRecord, intents: Iterable[OpenIntent]) -> bool:
    """Whether a pulled record may be an open intent's own: it is not matched until that closes."""
    raise NotImplementedError
