"""How a company is set up: preferences, accounts, tax codes and terms, as reading and writing need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec
from babel.core import Locale, get_global

from connectors.canon.fields import folded
from connectors.canon.records import Kind
from connectors.canon.values import Terms
from connectors.kit.contract import Account, Catalogue, FieldInfo, NamedTerms, TaxCode
from connectors.quickbooks.vendor import US_EXEMPT, US_TAXABLE
from connectors.quickbooks.wire import Wire, day, decimal, part, parts, ref, text

AccountType = Literal["income", "receivable", "bank", "other"]

# Finance.xsd, AccountTypeEnum. Undeposited Funds is an Other Current Asset.
_ACCOUNT_TYPE: dict[str, AccountType] = {
    "Income": "income",
    "Other Income": "income",
    "Accounts Receivable": "receivable",
    "Bank": "bank",
}

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)

# The customer's own fields of QuickBooks that a mapping may name as `properties.<name>`.
CUSTOMER_PROPERTIES = (
    "GivenName",
    "MiddleName",
    "FamilyName",
    "Suffix",
    "PrintOnCheckName",
    "AcctNum",
    "ResaleNum",
)


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /preferences` says that matters here. Defaults are the cautious ones: an absent switch is off."""

    home_currency: str | None = None
    multi_currency: bool = False
    custom_numbers: bool = False
    allow_discount: bool = False
    allow_shipping: bool = False
    uses_tax: bool = False
    automatic_tax: bool = False
    default_tax_code: str | None = None
    credits_apply_themselves: bool = False
    locked_until: date | None = None


def preferences_from(wire: Wire) -> Preferences:
    sales = part(wire, "SalesFormsPrefs")
    tax = part(wire, "TaxPrefs")
    currency = part(wire, "CurrencyPrefs")
    other = part(wire, "OtherPrefs")
    named = {text(pair, "Name"): text(pair, "Value") for pair in parts(other, "NameValue")}
    return Preferences(
        home_currency=ref(currency, "HomeCurrency"),
        multi_currency=currency.get("MultiCurrencyEnabled") is True,
        custom_numbers=sales.get("CustomTxnNumbers") is True,
        allow_discount=sales.get("AllowDiscount") is True,
        allow_shipping=sales.get("AllowShipping") is True,
        uses_tax=tax.get("UsingSalesTax") is True,
        automatic_tax=tax.get("PartnerTaxEnabled") is True,
        default_tax_code=ref(tax, "TaxGroupCodeRef"),
        credits_apply_themselves=named.get("SalesFormsPrefs.AutoApplyCredit") == "true"
        or sales.get("AutoApplyCredit") is True,
        locked_until=day(part(wire, "AccountingInfoPrefs"), "BookCloseDate"),
    )


class SoldItem(msgspec.Struct, frozen=True):
    """An item that a line may stand on, and the income account that it books to."""

    ref: str
    name: str
    account: str | None


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """A company's whole set-up. `paths` are the accounts' full names ("Sales:Consulting") by their refs; `items` are
    its services, known only where a line has to be given one."""

    realm_id: str
    name: str
    country: str | None
    time_zone: str | None = None
    fiscal_month: int
    preferences: Preferences
    accounts: tuple[Account, ...] = ()
    paths: dict[str, str] = {}
    tax_codes: tuple[TaxCode, ...] = ()
    terms: tuple[NamedTerms, ...] = ()
    items: tuple[SoldItem, ...] = ()

    @property
    def american(self) -> bool:
        """US companies mark lines TAX or NON; all others name a tax code on each line."""
        return self.country in (None, "US")

    def account(self, asked: str | None) -> Account | None:
        """The account with this id, name or full name."""
        return next(
            (each for each in self.accounts if asked is not None and asked in self._called(each)), None
        ) or next((each for each in self.accounts if asked is not None and folded(asked) in self._folded(each)), None)

    def _called(self, account: Account) -> tuple[str, ...]:
        return (account.ref, account.name, self.paths.get(account.ref, account.name))

    def _folded(self, account: Account) -> tuple[str, ...]:
        return tuple(folded(name) for name in self._called(account))

    def item_for(self, income_account: str | None) -> SoldItem | None:
        """The item that books to an account: the one that is called like it, else the only one."""
        account = self.account(income_account)
        if account is None:
            return None
        booking = [each for each in self.items if each.account == account.ref]
        called = [each for each in booking if folded(each.name) == folded(account.name)]
        return next(iter(called), booking[0] if len(booking) == 1 else None)

    def tax_code(self, asked: str) -> TaxCode | None:
        """The tax code with this id or name."""
        for each in self.tax_codes:
            if asked == each.ref or folded(asked) == folded(each.name):
                return each
        return None

    def terms_for(self, asked: Terms) -> NamedTerms | None:
        """The company's own terms: by id, by name, or the only ones with the same days and discount."""
        for each in self.terms:
            if asked.ref is not None and asked.ref == each.ref and _same_terms(asked, each):
                return each
        for each in self.terms:
            if asked.name is not None and folded(asked.name) == folded(each.name):
                return each
        same = [each for each in self.terms if asked.net_days is not None and _same_terms(asked, each)]
        return same[0] if len(same) == 1 else None


def _same_terms(asked: Terms, known: NamedTerms) -> bool:
    return (asked.net_days, asked.discount_percent, asked.discount_days) == (
        known.net_days,
        known.discount_percent,
        known.discount_days,
    )


def terms_from(wires: Iterable[Wire]) -> tuple[NamedTerms, ...]:
    """Terms with a number of days; date-driven ones ("due on the 20th") have a name only."""
    return tuple(_named_terms(wire) for wire in wires)


def _named_terms(wire: Wire) -> NamedTerms:
    days, discount_days = decimal(wire, "DueDays"), decimal(wire, "DiscountDays")
    percent = decimal(wire, "DiscountPercent")
    discounted = percent is not None and percent != 0
    return NamedTerms(
        ref=str(wire["Id"]),
        name=text(wire, "Name") or str(wire["Id"]),
        net_days=int(days) if days is not None else None,
        discount_percent=percent if discounted else None,
        discount_days=int(discount_days) if discounted and discount_days is not None else None,
    )


def accounts_from(wires: Sequence[Wire]) -> tuple[Account, ...]:
    return tuple(
        Account(
            ref=str(wire["Id"]),
            name=text(wire, "Name") or str(wire["Id"]),
            type=_ACCOUNT_TYPE.get(text(wire, "AccountType") or "", "other"),
        )
        for wire in wires
        if wire.get("Active") is not False
    )


def sold_items_from(wires: Sequence[Wire]) -> tuple[SoldItem, ...]:
    return tuple(
        SoldItem(str(wire["Id"]), text(wire, "Name") or "", ref(wire, "IncomeAccountRef"))
        for wire in wires
        if wire.get("Active") is not False
    )


def account_paths(wires: Sequence[Wire]) -> dict[str, str]:
    return {str(wire["Id"]): text(wire, "FullyQualifiedName") or text(wire, "Name") or "" for wire in wires}


def _combined(wire: Wire, rates: dict[str, Decimal]) -> Decimal | None:
    """The sum of a code's sales rates in percent; None if one of them is unknown."""
    details = parts(part(wire, "SalesTaxRateList"), "TaxRateDetail")
    found = [rates.get(ref(detail, "TaxRateRef") or "") for detail in details]
    total = Decimal(0)
    for rate in found:
        if rate is None:
            return None
        total += rate
    return total if found else None


def tax_codes_from(
    codes: Sequence[Wire], rates: Sequence[Wire], *, american: bool, prefs: Preferences
) -> tuple[TaxCode, ...]:
    """Tax codes with their combined rate; in US companies also the pseudo-codes of a line, TAX (the company's own
    rate) and NON. With automated sales tax the rate is None: QuickBooks computes it from the addresses."""
    values = {str(wire["Id"]): decimal(wire, "RateValue") for wire in rates}
    known = {key: value for key, value in values.items() if value is not None}
    made = [
        TaxCode(
            ref=str(wire["Id"]),
            name=text(wire, "Name") or str(wire["Id"]),
            rate=_rate_of(wire, known, prefs),
            taxable=wire.get("Taxable") is not False,
        )
        for wire in codes
        if wire.get("Active") is not False
    ]
    if not american:
        return tuple(made)
    own = next((each.rate for each in made if each.ref == prefs.default_tax_code), None)
    real = [each for each in made if each.name not in (US_TAXABLE, US_EXEMPT)]
    return (TaxCode(ref=US_TAXABLE, name=US_TAXABLE, rate=own), NOT_TAXED, *real)


def _rate_of(wire: Wire, rates: dict[str, Decimal], prefs: Preferences) -> Decimal | None:
    if wire.get("Taxable") is False:
        return Decimal(0)
    return None if prefs.automatic_tax else _combined(wire, rates)


NOT_TAXED = TaxCode(ref=US_EXEMPT, name=US_EXEMPT, rate=Decimal(0), taxable=False)


def fiscal_month(wire: Wire) -> int:
    """1-12 from `FiscalYearStartMonth` ("January")."""
    name = (text(wire, "FiscalYearStartMonth") or "January").casefold()
    return _MONTHS.index(name) + 1 if name in _MONTHS else 1


def country_code(name: str | None) -> str | None:
    """ISO 3166-1 alpha-2 for "US", "USA" or "United States"; anything else as it stands, since QuickBooks lets
    people type what they like."""
    if name is None:
        return None
    upper = name.strip().upper()
    territories = Locale("en").territories
    if len(upper) == 2 and upper in territories:
        return upper
    aliases = get_global("territory_aliases").get(upper)
    if aliases:
        return str(aliases[0])
    for code, label in territories.items():
        if len(code) == 2 and code.isalpha() and folded(label) == folded(name):
            return str(code)
    return name


def catalogue_from(company: Company) -> Catalogue:
    """The catalogue that a pair is set up from."""
    prefs = company.preferences
    regime: Literal["none", "rates", "automatic"] = "rates" if prefs.uses_tax else "none"
    return Catalogue(
        account_id=company.realm_id,
        account_name=company.name,
        home_currency=prefs.home_currency,
        country=company.country,
        time_zone=company.time_zone,
        fiscal_year_start_month=company.fiscal_month,
        locked_until=prefs.locked_until,
        tax_regime="automatic" if prefs.automatic_tax else regime,
        numbering="caller" if prefs.custom_numbers else "books",
        multi_currency=prefs.multi_currency,
        credits_apply_themselves=prefs.credits_apply_themselves,
        accounts=company.accounts,
        tax_codes=company.tax_codes,
        terms=company.terms,
        fields={Kind.CUSTOMER: tuple(FieldInfo(name=name, label=name) for name in CUSTOMER_PROPERTIES)},
    )
