"""Values that records are made of. Everything is frozen; nothing here does I/O.

Three things that look alike are kept apart: `ABSENT` (the system did not tell: hidden, not asked for, not
known to it), `None` (known to be empty) and zero. Never test a datum by its truth.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import msgspec
from babel.core import get_global

ABSENT = msgspec.UNSET
Absent = msgspec.UnsetType


def currency_places(currency: str) -> int:
    """Decimal places of an ISO 4217 currency (USD 2, JPY 0, KWD 3). Source: CLDR, as Babel ships it."""
    fractions = get_global("currency_fractions")
    digits: int = fractions.get(currency, fractions["DEFAULT"])[0]
    return digits


def to_places(amount: Decimal, places: int) -> Decimal:
    """Round half up, as invoices are rounded, to `places` decimals."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


class Money(msgspec.Struct, frozen=True, order=False):
    """An exact amount in one currency. Adding two currencies raises ValueError."""

    amount: Decimal
    currency: str

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(Decimal(0), currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def rounded(self) -> Money:
        return Money(to_places(self.amount, currency_places(self.currency)), self.currency)

    def __str__(self) -> str:
        return f"{self.currency} {self.rounded().amount:,}"


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """A postal address, merged as one. `country` is ISO 3166-1 alpha-2 where the system knows it."""

    lines: tuple[str, ...] = ()
    city: str | None = None
    region: str | None = None
    postcode: str | None = None
    country: str | None = None
    attention: str | None = None


class TaxId(msgspec.Struct, frozen=True, omit_defaults=True):
    """One registration number. `scheme` as python-stdnum names it: `eu.vat`, `gb.vat`, `us.ein`, `in_.gstin`."""

    scheme: str
    value: str
    verified: bool | None = None


TaxStatus = Literal["taxable", "exempt", "reverse_charge", "zero", "out_of_scope"]


class TaxIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tax ids, status and place of supply: one group. `masked` was read with stars in it: never written back."""

    ids: tuple[TaxId, ...] = ()
    status: TaxStatus | None = None
    exempt_reason: str | None = None
    certificate: str | None = None
    expires: date | None = None
    place_of_supply: str | None = None
    gst_treatment: str | None = None
    masked: bool = False


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """Payment terms. `name` is how the system calls them ("Net 30"); `ref` its id there."""

    name: str | None = None
    ref: str | None = None
    net_days: int | None = None
    end_of_month: bool = False
    discount_percent: Decimal | None = None
    discount_days: int | None = None


class Price(msgspec.Struct, frozen=True):
    """A unit price with its currency and whether tax is in it: one group."""

    amount: Decimal
    currency: str | None
    includes_tax: bool = False


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody at a customer."""

    name: str
    email: str | None = None
    phone: str | None = None
    role: Literal["buyer", "billing", "dunning", "ship_to", "other"] = "other"
    primary: bool = False
    ref: str | None = None


class Discount(msgspec.Struct, frozen=True):
    """A reduction: `percent` (0-100), or an amount `per_unit` or `per_line`."""

    kind: Literal["percent", "per_unit", "per_line"]
    value: Decimal
