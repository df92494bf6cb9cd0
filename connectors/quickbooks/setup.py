"""How the company is set up, asked for when it is needed first and kept for as long as the connector lives."""

from __future__ import annotations

import msgspec

from connectors.kit.contract import NamedTerms
from connectors.quickbooks.api import Api
from connectors.quickbooks.company import (
    Company,
    Preferences,
    SoldItem,
    account_paths,
    accounts_from,
    country_code,
    fiscal_month,
    preferences_from,
    sold_items_from,
    tax_codes_from,
    terms_from,
)
from connectors.quickbooks.fields import Reading
from connectors.quickbooks.wire import text


class Setup:
    """Each part is one call, made once. What a person changes in QuickBooks meanwhile is seen by the next
    connector, or after `forget`."""

    def __init__(self, api: Api, realm_id: str) -> None:
        self._api = api
        self._realm_id = realm_id
        self.forget()

    def forget(self) -> None:
        """Ask again next time."""
        self._preferences: Preferences | None = None
        self._terms: tuple[NamedTerms, ...] | None = None
        self._company: Company | None = None
        self._items: tuple[SoldItem, ...] | None = None

    async def preferences(self, again: bool = False) -> Preferences:
        if self._preferences is None or again:
            self._preferences = preferences_from(await self._api.one("/preferences", "Preferences"))
        return self._preferences

    async def terms(self) -> tuple[NamedTerms, ...]:
        if self._terms is None:
            self._terms = terms_from(await self._api.all("Term"))
        return self._terms

    async def reading(self) -> Reading:
        """What reading records needs: two calls the first time."""
        prefs = await self.preferences()
        terms = {each.ref: each for each in await self.terms()}
        country = self._company.country if self._company is not None else None
        return Reading(home_currency=prefs.home_currency, country=country, terms=terms)

    async def company(self) -> Company:
        """What writing and the catalogue need: six calls the first time."""
        if self._company is None:
            self._company = await self._read_company()
        return self._company

    async def company_with_items(self) -> Company:
        """The same with its services, for documents with a line that names an account and no item."""
        if self._items is None:
            self._items = sold_items_from(await self._api.all("Item", "Type = 'Service'"))
        return msgspec.structs.replace(await self.company(), items=self._items)

    async def _read_company(self) -> Company:
        prefs = await self.preferences()
        info = await self._api.one(f"/companyinfo/{self._realm_id}", "CompanyInfo")
        accounts = await self._api.all("Account")
        codes, rates = await self._api.all("TaxCode"), await self._api.all("TaxRate")
        country = country_code(text(info, "Country"))
        return Company(
            realm_id=self._realm_id,
            name=text(info, "CompanyName") or self._realm_id,
            country=country,
            time_zone=text(info, "DefaultTimeZone"),
            fiscal_month=fiscal_month(info),
            preferences=prefs,
            accounts=accounts_from(accounts),
            paths=account_paths(accounts),
            tax_codes=tax_codes_from(codes, rates, american=country in (None, "US"), prefs=prefs),
            terms=await self.terms(),
        )
