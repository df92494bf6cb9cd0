"""The company's own totals, from its reports and counts: independent of anything we have stored.

Sources: developer.intuit.com, report entities: balancesheet, aragingsummary, transactionlist, customersales,
profitandloss.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from connectors.canon.records import Kind
from connectors.canon.values import Money, currency_places, to_places
from connectors.kit.contract import Count, Figures
from connectors.kit.errors import Refused
from connectors.quickbooks import query as q
from connectors.quickbooks import reports
from connectors.quickbooks.api import Api
from connectors.quickbooks.reports import Listed
from connectors.quickbooks.vendor import ENTITY
from connectors.quickbooks.wire import Wire

# How the transaction list calls them (docs, transactionlist, transaction_type).
_LISTED = {Kind.INVOICE: "Invoice", Kind.CREDIT_NOTE: "CreditMemo", Kind.PAYMENT: "ReceivePayment"}


def period(start: date, end: date) -> tuple[str, str]:
    return f"TxnDate >= '{start.isoformat()}'", f"TxnDate <= '{end.isoformat()}'"


async def figures(api: Api, start: date, end: date, home_currency: str) -> Figures:
    """Balances as of `end`; counts and sums of documents dated from `start` to `end`, both included."""
    dates = {"start_date": start.isoformat(), "end_date": end.isoformat()}
    balance = await api.report("BalanceSheet", **dates, accounting_method="Accrual")
    aged = await api.report("AgedReceivables", report_date=end.isoformat(), aging_method="Report_Date")
    net, sales = await invoiced_net(api, start, end, home_currency)
    return Figures(
        as_of=end,
        home_currency=home_currency,
        receivable_control=reports.receivable(balance),
        ageing=reports.ageing(aged),
        counts=tuple([await _count(api, kind, start, end, home_currency, net) for kind in _LISTED]),
        invoiced_net={home_currency: net},
        source=f"BalanceSheet, AgedReceivables, TransactionList, {sales}; counts by query",
    )


async def _listed(api: Api, what: str, start: date, end: date) -> list[Listed]:
    """All transactions of a type that are dated in the period."""
    dates = {"start_date": start.isoformat(), "end_date": end.isoformat()}
    return reports.listed(await api.report("TransactionList", **dates, transaction_type=what))


async def _count(api: Api, kind: Kind, start: date, end: date, home: str, net: Decimal) -> Count:
    """How many, by a counting query, and what they add up to, by the transaction list."""
    number = await api.count(q.count(ENTITY[kind], *period(start, end)), ENTITY[kind])
    found = await _listed(api, _LISTED[kind], start, end)
    voided = sum(1 for each in found if each.voided)
    return Count(
        kind=kind,
        number=number - voided,
        voided=voided,
        total=Money(sum((abs(each.amount) for each in found), Decimal(0)), home),
        net=Money(net, home) if kind is Kind.INVOICE else None,
    )


# What else is in the sales report: entity, its type in the transaction list, and the sign that takes it out.
_OTHER_SALES = (
    ("CreditMemo", "CreditMemo", 1),
    ("RefundReceipt", "CreditRefund", 1),
    ("SalesReceipt", "SalesReceipt", -1),
)


async def invoiced_net(api: Api, start: date, end: date, home_currency: str) -> tuple[Decimal, str]:
    """What was invoiced in the period, before tax, and the report that says so. QuickBooks has no report of that
    alone: sales are invoices and sales receipts less credit memos and refunds. Of those that the transaction list
    shows at all, the documents are read, as they stand in QuickBooks now, and put back."""
    net, report = await _sales(api, start, end)
    for entity, what, sign in _OTHER_SALES:
        if await _listed(api, what, start, end):
            net += sign * _sum(await api.all(entity, *period(start, end)), home_currency)
    return net, report


async def _sales(api: Api, start: date, end: date) -> tuple[Decimal, str]:
    """Sales by customer; where a company does not have that report, income of the profit and loss, which journals
    and deposits on income accounts also move."""
    asked = {"start_date": start.isoformat(), "end_date": end.isoformat(), "accounting_method": "Accrual"}
    try:
        return reports.grand_total(await api.report("CustomerSales", **asked)), "CustomerSales"
    except Refused:
        report = await api.report("ProfitAndLoss", **asked)
        return reports.section_total(report, "Income") or Decimal(0), "ProfitAndLoss (income)"


def _sum(documents: list[Wire], home_currency: str) -> Decimal:
    places = currency_places(home_currency)
    return sum((to_places(reports.net_of(each), places) for each in documents), Decimal(0))
