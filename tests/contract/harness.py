"""What the contract's clauses need to know and do about a system, one harness a system.

The clauses speak to the connector alone; the harness is the person at the vendor, the clock on the wall, and the
hand that cuts the cable. Vendors with a sandbox are met over HTTP on loopback.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from connectors.canon.records import AnyRecord, Kind
from connectors.kit.contract import Connector, Deps, Facts, KindFacts
from connectors.kit.timers import SystemClock


class Calls:
    """Counts what a connector says it called."""

    def __init__(self) -> None:
        self.writes = 0
        self.reads = 0

    def count(self, operation: str, *, write: bool) -> None:
        self.writes += write
        self.reads += not write


def deps_in_process() -> Deps:
    """Deps of a connector that needs no network and no login."""
    return Deps(session=None, tokens=None, clock=SystemClock(), calls=Calls())  # type: ignore[arg-type]  # unused


class WebhookCall(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook call as the vendor makes it. `ref` is the record that it speaks of."""

    secret: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    now: datetime
    ref: str


class Harness(abc.ABC):
    """One system under test.

    `text_path` per kind: a text field that a person can edit and we can update; it may be emptied unless the kind
    stands in `text_required`. `find_path`: a field that we can find by.
    `sweep_s`: how long the connector may take to look for deletions. `two_pages`: so many
    records take more than one page.
    """

    name: str
    kinds: tuple[Kind, ...]
    text_path: Mapping[Kind, str]
    find_path: Mapping[Kind, str]
    text_required: frozenset[Kind] = frozenset()
    sweep_s: float = 0
    two_pages: int = 7
    facts: Facts
    connector: Connector

    def of(self, kind: Kind) -> KindFacts:
        return self.facts.kinds[kind]

    def removable(self, kind: Kind) -> bool:
        """Whether a person can remove records of the kind, so that they are gone."""
        return True

    @abc.abstractmethod
    async def start(self) -> None:
        """Set the account up and open `connector`. What stands above is known before."""

    # what we would write

    @abc.abstractmethod
    def sample(self, kind: Kind, label: str) -> AnyRecord:
        """A record that this system accepts, told apart by its label."""

    @abc.abstractmethod
    def spoiled(self, kind: Kind) -> AnyRecord | None:
        """A record that this system refuses for its content; None: it takes anything."""

    def zero(self, kind: Kind) -> tuple[AnyRecord, str] | None:
        """A record with a zero in it, and where; None: the kind has no such field here."""
        return None

    @abc.abstractmethod
    def priced(self, kind: Kind, amount: Decimal, label: str) -> AnyRecord | None:
        """A record of that amount; None: the kind has none here."""

    @abc.abstractmethod
    def amount_of(self, record: AnyRecord) -> Decimal | None:
        """The amount that `priced` put in."""

    # the person at the vendor

    @abc.abstractmethod
    async def person_adds(self, kind: Kind, label: str) -> str: ...

    @abc.abstractmethod
    async def person_edits(self, kind: Kind, ref: str, text: str) -> None:
        """Set the kind's `text_path`."""

    @abc.abstractmethod
    async def person_removes(self, kind: Kind, ref: str) -> None: ...

    async def person_invoices(self, net: Decimal, on: date) -> str | None:
        """A person posts an invoice of that net, untaxed; None: the system has no figures."""
        return None

    # the world around

    @abc.abstractmethod
    async def advance(self, seconds: float) -> None: ...

    @abc.abstractmethod
    async def reopened(self) -> Connector:
        """Another connector at the same account, as after a restart."""

    @abc.abstractmethod
    def write_calls(self) -> int:
        """Write calls that reached the vendor so far."""

    async def lose_next_answer(self, kind: Kind) -> bool:
        """The vendor will carry out the next write, and its answer will be lost. False: cannot happen here."""
        return False

    async def throttle_next_write(self, kind: Kind) -> bool:
        """The vendor will answer the next write that there were too many calls. False: cannot happen here."""
        return False

    async def webhook(self) -> WebhookCall | None:
        """A genuine webhook call; None: the system sends none."""
        return None

    async def close(self) -> None:
        return None
