"""Which payment settled what: kept apart from payments and documents, so that either can be asked as of any day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec


class Application(msgspec.Struct, frozen=True):
    """What a payment settles of one invoice or credit memo: `amount` in its currency, `home` what that takes off the
    receivable at the document's rate, `at_payment` the same at the payment's rate; effective from `on`."""

    payment: str
    entity: str
    document: str
    amount: Decimal
    home: Decimal
    at_payment: Decimal
    on: date


class Applications:
    """All applications of a company, by payment and by document. At most one for each pair of them."""

    def __init__(self) -> None:
        self.by_payment: dict[str, tuple[Application, ...]] = {}
        self.by_document: dict[str, dict[str, Application]] = {}

    def put(self, payment: str, applications: Iterable[Application]) -> None:
        """Replace what a payment settles."""
        for old in self.by_payment.pop(payment, ()):
            self.by_document[old.document].pop(payment, None)
        new = tuple(applications)
        if new:
            self.by_payment[payment] = new
        for each in new:
            self.by_document.setdefault(each.document, {})[payment] = each

    def of_payment(self, payment: str) -> tuple[Application, ...]:
        return self.by_payment.get(payment, ())

    def of_document(self, document: str) -> list[Application]:
        return list(self.by_document.get(document, {}).values())

    def total(self, document: str) -> Decimal:
        """What is settled of a document over all time, in its currency."""
        return sum((each.amount for each in self.of_document(document)), Decimal(0))
