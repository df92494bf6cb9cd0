"""Reads: one record, a query, changed data, company settings; and the same as it was before the last write."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from connectors.quickbooks.sandbox import faults, operations
from connectors.quickbooks.sandbox.company import Company, Row
from connectors.quickbooks.sandbox.query import Condition, Query, answer, instant, parse
from connectors.quickbooks.sandbox.schema import BY_PATH, ENTITIES

CDC_LIMIT = 1000
CDC_DAYS = 30


def read(company: Company, entity: str, id: str, *, stale: bool = False) -> Row:
    """One record. Raises fault 610."""
    if entity == "CompanyInfo":
        return company_info(company)
    if stale and company.before is not None and company.before[:2] == (entity, id):
        row = company.before[2]
        if row is None:
            raise faults.not_found()
        return row
    return company.read(entity, id)


def query(company: Company, text: str, *, stale: bool = False) -> dict[str, Any]:
    """The QueryResponse of a query. Raises faults 4000 and 4001."""
    asked = parse(text)
    rows: Iterable[Row] = _candidates(company, asked)
    if stale and company.before is not None and company.before[0] == asked.facts.name:
        _, id, old = company.before
        rows = [*(row for row in rows if row["Id"] != id), *([old] if old is not None else [])]
    return answer(asked, rows)


def _candidates(company: Company, asked: Query) -> Iterable[Row]:
    """Rows that can fulfil the query, by the narrowest index there is."""
    entity = asked.facts.name
    if entity == "CompanyInfo":
        return [company_info(company)]
    if entity == "Preferences":
        return [preferences(company)]
    if entity == "ExchangeRate":
        return _rates(company, asked)
    for condition in asked.conditions:
        found = _by_index(company, entity, condition)
        if found is not None:
            return found
    return company.rows[entity].values()


def _by_index(company: Company, entity: str, condition: Condition) -> Iterable[Row] | None:
    exact = condition.op in ("=", "IN")
    if condition.property == "Id" and exact:
        rows = company.rows[entity]
        return [rows[id] for id in dict.fromkeys(condition.values) if id in rows]
    if condition.property == "DocNumber" and exact:
        numbers = dict.fromkeys(condition.values)
        return [row for number in numbers for row in company.numbered(entity, number)]
    if condition.property == "CustomerRef" and exact:
        return [row for customer in dict.fromkeys(condition.values) for row in company.of_customer(entity, customer)]
    if condition.property in ("DisplayName", "Name") and exact:
        named = (company.named(entity, name) for name in dict.fromkeys(condition.values))
        return list({row["Id"]: row for row in named if row is not None}.values())
    if condition.property == "MetaData.LastUpdatedTime" and condition.op in (">", ">=", "="):
        return list(company.touched_since(entity, instant(condition.values[0])))
    return None


def _rates(company: Company, asked: Query) -> list[Row]:
    """The rates of the currencies and the day that the query names (today, if it names none)."""
    wanted = {c.property: c.values for c in asked.conditions}
    days = wanted.get("AsOfDate", (company.today().isoformat(),))
    codes = wanted.get("SourceCurrencyCode", tuple(company.rates))
    return [
        {"Id": code, **operations.rate_row(company, code, date.fromisoformat(day[:10]))}
        for code in codes
        for day in days
    ]


# --------------------------------------------------------------------------- changed data


def changes(company: Company, entities: str | None, since: str | None) -> dict[str, Any]:
    """Everything of some entities that changed or was deleted since a time: 30 days back at most, 1,000 objects at
    most, in no useful order when there are more.
    https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/change-data-capture"""
    if not entities:
        raise faults.missing("entities")
    if not since:
        raise faults.missing("changedSince")
    names = [_in_cdc(name.strip()) for name in entities.split(",")]
    start = _since(company, since)
    left = CDC_LIMIT
    responses: list[dict[str, Any]] = []
    for name in names:
        rows = _changed(company, name, start)[:left]
        left -= len(rows)
        count = {"startPosition": 1, "maxResults": len(rows), "totalCount": len(rows)}
        responses.append({name: rows, **count} if rows else {})
    return {"CDCResponse": [{"QueryResponse": responses}]}


def _in_cdc(name: str) -> str:
    known = BY_PATH.get(name.lower())
    if known is None or not ENTITIES[known].in_cdc:
        raise faults.business(f"Entity {name} is not supported by change data capture.", "entities")
    return known


def _since(company: Company, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise faults.invalid_number("changedSince", text) from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=company.zone)
    if moment < company.now() - timedelta(days=CDC_DAYS):
        raise faults.business(f"changedSince is more than {CDC_DAYS} days ago.", "changedSince")
    return moment


def _changed(company: Company, entity: str, since: datetime) -> list[Row]:
    if entity in ("CompanyInfo", "Preferences"):
        return []
    live = sorted(company.touched_since(entity, since), key=lambda row: int(row["Id"]))
    gone = [
        {"domain": "QBO", "status": "Deleted", "Id": id, "MetaData": {"LastUpdatedTime": at.isoformat()}}
        for id, at in company.gone[entity].items()
        if at >= since
    ]
    return [*gone, *live]


# --------------------------------------------------------------------------- the company itself

_BORN = "2020-01-01T00:00:00-08:00"


def _head(id: str) -> Row:
    times = {"CreateTime": _BORN, "LastUpdatedTime": _BORN}
    return {"Id": id, "SyncToken": "0", "domain": "QBO", "sparse": False, "MetaData": times}


def company_info(company: Company) -> Row:
    settings = company.settings
    month = date(2000, settings.fiscal_year_start_month, 1).strftime("%B")
    return {
        **_head("1"),
        "CompanyName": settings.name,
        "LegalName": settings.name,
        "Country": settings.country,
        "FiscalYearStartMonth": month,
        "DefaultTimeZone": settings.time_zone,
        "SupportedLanguages": "en",
        "CompanyAddr": {"Country": settings.country},
        "NameValue": [
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
            {"Name": "ItemCategoriesFeature", "Value": "true"},
        ],
    }


def preferences(company: Company) -> Row:
    settings = company.settings
    sales: Row = {
        "CustomTxnNumbers": settings.custom_numbers,
        "AllowDeposit": settings.allow_deposit,
        "AllowDiscount": settings.allow_discount,
        "AllowShipping": settings.allow_shipping,
        "AutoApplyCredit": False,
        "CustomField": [],
    }
    if settings.default_terms is not None:
        sales["DefaultTerms"] = {"value": settings.default_terms}
    taxes: Row = {"UsingSalesTax": settings.using_sales_tax}
    if settings.sales_tax_code is not None:
        taxes["TaxGroupCodeRef"] = {"value": settings.sales_tax_code}
    if settings.automated_tax:
        taxes["PartnerTaxEnabled"] = True
    accounting: Row = {"FirstMonthOfFiscalYear": date(2000, settings.fiscal_year_start_month, 1).strftime("%B")}
    if settings.books_closed is not None:
        accounting["BookCloseDate"] = settings.books_closed.isoformat()
    currency: Row = {
        "MultiCurrencyEnabled": settings.multi_currency,
        "HomeCurrency": {"value": settings.home_currency},
    }
    warns = {
        "Name": "SalesFormsPrefs.WarnDuplicateDocNumber",
        "Value": str(settings.warn_duplicate_numbers).lower(),
    }
    return {
        **_head("1"),
        "AccountingInfoPrefs": accounting,
        "SalesFormsPrefs": sales,
        "TaxPrefs": taxes,
        "CurrencyPrefs": currency,
        "OtherPrefs": {"NameValue": [warns]},
    }
