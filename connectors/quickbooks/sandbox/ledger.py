"""The general ledger: what each transaction posts, so that a report's figures do not hang on any Balance field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

import msgspec


class Posting(msgspec.Struct, frozen=True):
    """An amount in home currency on an account: debit above zero, credit below."""

    on: date
    account: str
    amount: Decimal
    customer: str | None = None


class Unbalanced(AssertionError):
    """A transaction's postings do not add up to zero: a mistake in this program."""


class Ledger:
    """Postings by transaction, and the balance of each account over all time."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], tuple[Posting, ...]] = {}
        self.balances: dict[str, Decimal] = {}

    def book(self, entity: str, id: str, postings: Iterable[Posting]) -> dict[str, Decimal]:
        """Replace what a transaction posts; the balances of the accounts that moved. Raises Unbalanced."""
        new = tuple(posting for posting in postings if posting.amount != 0)
        if sum((posting.amount for posting in new), Decimal(0)) != 0:
            raise Unbalanced(f"{entity} {id}: {new}")
        old = self.entries.pop((entity, id), ())
        if new:
            self.entries[entity, id] = new
        for sign, postings_then in ((-1, old), (1, new)):
            for posting in postings_then:
                self.balances[posting.account] = self.balances.get(posting.account, Decimal(0)) + sign * posting.amount
        return {posting.account: self.balances[posting.account] for posting in (*old, *new)}

    def of(self, entity: str, id: str) -> tuple[Posting, ...]:
        return self.entries.get((entity, id), ())

    def between(self, start: date | None, end: date) -> Iterator[Posting]:
        """Postings dated from `start` (None: from the beginning) to `end`, both included."""
        for postings in self.entries.values():
            for posting in postings:
                if posting.on <= end and (start is None or posting.on >= start):
                    yield posting

    def totals(self, start: date | None, end: date) -> dict[str, Decimal]:
        """What each account moved by in the period."""
        sums: dict[str, Decimal] = {}
        for posting in self.between(start, end):
            sums[posting.account] = sums.get(posting.account, Decimal(0)) + posting.amount
        return sums
