"""The report service: balance sheet, profit and loss, ageing, list of transactions, as of any day.

Shapes: Report.xsd of the vendor's SDK, and the samples on
https://developer.intuit.com/app/developer/qbo/docs/api/accounting/report-entities/ (balancesheet, aragingsummary,
aragingdetail, transactionlist, profitandloss). Balances come from the ledger, ageing from what was settled when.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from connectors.quickbooks.sandbox import accounts, faults
from connectors.quickbooks.sandbox.ageing import OpenItem, open_items
from connectors.quickbooks.sandbox.company import Company, Row, cents
from connectors.quickbooks.sandbox.schema import TRANSACTIONS

Params = Mapping[str, str]
Totals = Mapping[str, Decimal]
ZERO = Decimal(0)
TXN_NAMES = {"Invoice": "Invoice", "CreditMemo": "Credit Memo", "Payment": "Payment"}
_TXN_FILTER = {"Invoice": "Invoice", "CreditMemo": "CreditMemo", "ReceivePayment": "Payment", "Payment": "Payment"}


def money(value: Decimal) -> str:
    """As reports write it: two places, no thousands separator."""
    return format(cents(value), "f")


def run(company: Company, name: str, params: Params) -> dict[str, Any]:
    """A report by its name. Raises fault 500 for one that there is not, and 2010 for a parameter out of range."""
    make = REPORTS.get(name)
    if make is None:
        raise faults.unsupported_operation(f"report {name}")
    if params.get("accounting_method", "Accrual").lower() != "accrual":
        raise faults.unsupported_property("accounting_method")
    return make(company, params)


# --------------------------------------------------------------------------- periods and frames


def _day(params: Params, name: str) -> date | None:
    if not params.get(name):
        return None
    try:
        return date.fromisoformat(params[name])
    except ValueError as error:
        raise faults.unsupported_property(name) from error


def period(company: Company, params: Params) -> tuple[date, date]:
    """start_date and end_date, or a date_macro; without any, this calendar year to date."""
    today = company.today()
    if "date_macro" in params and "end_date" not in params:
        return _macro(params["date_macro"], today, company.settings.fiscal_year_start_month)
    end = _day(params, "end_date") or today
    return _day(params, "start_date") or end.replace(month=1, day=1), end


def _macro(text: str, today: date, first_month: int) -> tuple[date, date]:
    month = today.replace(day=1)
    last_month_end = month - timedelta(days=1)
    fiscal = date(today.year if today.month >= first_month else today.year - 1, first_month, 1)
    known = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "this month": (month, today.replace(day=monthrange(today.year, today.month)[1])),
        "this month-to-date": (month, today),
        "last month": (last_month_end.replace(day=1), last_month_end),
        "this calendar year": (date(today.year, 1, 1), date(today.year, 12, 31)),
        "this calendar year-to-date": (date(today.year, 1, 1), today),
        "last calendar year": (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
        "this fiscal year": (fiscal, fiscal.replace(year=fiscal.year + 1) - timedelta(days=1)),
        "this fiscal year-to-date": (fiscal, today),
        "last fiscal year": (fiscal.replace(year=fiscal.year - 1), fiscal - timedelta(days=1)),
        "all": (date(1900, 1, 1), today),
    }
    if text.lower() not in known:
        raise faults.unsupported_property("date_macro")
    return known[text.lower()]


def _cells(*values: str | Row) -> list[Row]:
    return [value if isinstance(value, dict) else {"value": value} for value in values]


def _data(*values: str | Row) -> Row:
    return {"ColData": _cells(*values), "type": "Data"}


def _section(title: str, rows: list[Row], total: str, value: Decimal, group: str | None = None) -> Row:
    made: Row = {"Header": {"ColData": _cells(title, "")}, "Rows": {"Row": rows}, "type": "Section"}
    if group is not None:
        made["group"] = group
    return {**made, "Summary": {"ColData": _cells(total, money(value))}}


def _report(company: Company, name: str, columns: list[Row], rows: list[Row], **header: Any) -> dict[str, Any]:
    options = [*header.pop("options", []), {"Name": "NoReportData", "Value": "false" if rows else "true"}]
    head = {"Time": company.now().isoformat(timespec="seconds"), "ReportName": name, **header}
    head |= {"Currency": company.settings.home_currency, "Option": options}
    return {"Header": head, "Columns": {"Column": columns}, "Rows": {"Row": rows} if rows else {}}


def _columns(*pairs: tuple[str, str]) -> list[Row]:
    return [{"ColTitle": title, "ColType": type} for title, type in pairs]


_GAAP = {"Name": "AccountingStandard", "Value": "GAAP"}

# --------------------------------------------------------------------------- balance sheet, profit and loss


def _account_rows(company: Company, totals: Totals, types: Sequence[str], sign: int) -> tuple[list[Row], Decimal]:
    """Data rows of the accounts of some types that are not zero, and their sum."""
    rows, total = [], ZERO
    for account in company.rows["Account"].values():
        value = sign * totals.get(account["Id"], ZERO)
        if account["AccountType"] in types and value != 0:
            rows.append(_data({"value": account["FullyQualifiedName"], "id": account["Id"]}, money(value)))
            total += value
    return rows, total


def _group(
    company: Company, totals: Totals, title: str, types: Sequence[str], sign: int, group: str
) -> tuple[list[Row], Decimal]:
    """A section of accounts, or nothing if it is empty."""
    rows, total = _account_rows(company, totals, types, sign)
    return ([_section(title, rows, f"Total {title}", total, group)] if rows else []), total


def _gather(parts: Iterable[tuple[list[Row], Decimal]]) -> tuple[list[Row], Decimal]:
    rows, total = [], ZERO
    for found, value in parts:
        rows.extend(found)
        total += value
    return rows, total


_CURRENT_ASSETS = (
    ("Bank Accounts", ("Bank",), "BankAccounts"),
    ("Accounts Receivable", ("Accounts Receivable",), "AR"),
    ("Other Current Assets", ("Other Current Asset",), "OtherCurrentAssets"),
)
_CURRENT_LIABILITIES = (
    ("Accounts Payable", ("Accounts Payable",), "AP"),
    ("Credit Cards", ("Credit Card",), "CreditCards"),
    ("Other Current Liabilities", ("Other Current Liability",), "OtherCurrentLiabilities"),
)


def balance_sheet(company: Company, params: Params) -> dict[str, Any]:
    """Balances at the end of end_date, from the ledger."""
    start, end = period(company, params)
    totals = company.ledger.totals(None, end)
    current, current_total = _gather(_group(company, totals, t, types, 1, g) for t, types, g in _CURRENT_ASSETS)
    fixed, fixed_total = _group(company, totals, "Fixed Assets", ("Fixed Asset", "Other Asset"), 1, "FixedAssets")
    assets = [_section("Current Assets", current, "Total Current Assets", current_total, "CurrentAssets"), *fixed]
    owed, owed_total = _gather(_group(company, totals, t, types, -1, g) for t, types, g in _CURRENT_LIABILITIES)
    long, long_total = _group(
        company, totals, "Long-Term Liabilities", ("Long Term Liability",), -1, "LongTermLiabilities"
    )
    inner = [
        _section("Current Liabilities", owed, "Total Current Liabilities", owed_total, "CurrentLiabilities"),
        *long,
    ]
    liabilities = _section("Liabilities", inner, "Total Liabilities", owed_total + long_total, "Liabilities")
    equity, equity_total = _equity(company, totals, end)
    both = owed_total + long_total + equity_total
    rows = [
        _section("ASSETS", assets, "TOTAL ASSETS", current_total + fixed_total, "TotalAssets"),
        _section("LIABILITIES AND EQUITY", [liabilities, equity], "TOTAL LIABILITIES AND EQUITY", both,
                 "TotalLiabilitiesAndEquity"),
    ]  # fmt: skip
    return _report(
        company, "BalanceSheet", _columns(("", "Account"), ("Total", "Money")), rows, ReportBasis="Accrual",
        StartPeriod=start.isoformat(), EndPeriod=end.isoformat(), SummarizeColumnsBy="Total", options=[_GAAP],
    )  # fmt: skip


def _net_income(company: Company, start: date | None, end: date) -> Decimal:
    totals = company.ledger.totals(start, end)
    kinds = {row["Id"]: row["Classification"] for row in company.rows["Account"].values()}
    return -sum((value for id, value in totals.items() if kinds[id] in ("Revenue", "Expense")), ZERO)


def _equity(company: Company, totals: Totals, end: date) -> tuple[Row, Decimal]:
    """Equity accounts, the earnings of closed fiscal years, and this year's net income."""
    fiscal, _ = _macro("this fiscal year", end, company.settings.fiscal_year_start_month)
    retained = accounts.named(company, accounts.RETAINED)
    rows, total = _account_rows(company, totals, ("Equity",), -1)
    earlier = _net_income(company, None, fiscal - timedelta(days=1))
    this_year = _net_income(company, fiscal, end)
    rows.append(_data({"value": retained["Name"], "id": retained["Id"]}, money(earlier)))
    rows.append({**_data("Net Income", money(this_year)), "group": "NetIncome"})
    total += earlier + this_year
    return _section("Equity", rows, "Total Equity", total, "Equity"), total


def profit_and_loss(company: Company, params: Params) -> dict[str, Any]:
    """What came in and went out in the period, on accrual."""
    start, end = period(company, params)
    totals = company.ledger.totals(start, end)
    rows: list[Row] = []

    def group(title: str, type: str, sign: int, name: str) -> Decimal:
        found, value = _account_rows(company, totals, (type,), sign)
        rows.append(_section(title, found, f"Total {title}", value, name))
        return value

    def line(title: str, name: str, value: Decimal) -> Decimal:
        rows.append({"Summary": {"ColData": _cells(title, money(value))}, "type": "Section", "group": name})
        return value

    income = group("Income", "Income", -1, "Income")
    goods = group("Cost of Goods Sold", "Cost of Goods Sold", 1, "COGS")
    gross = line("Gross Profit", "GrossProfit", income - goods)
    operating = line("Net Operating Income", "NetOperatingIncome", gross - group("Expenses", "Expense", 1, "Expenses"))
    other = group("Other Income", "Other Income", -1, "OtherIncome")
    other -= group("Other Expenses", "Other Expense", 1, "OtherExpenses")
    line("Net Other Income", "NetOtherIncome", other)
    line("Net Income", "NetIncome", operating + other)
    return _report(
        company, "ProfitAndLoss", _columns(("", "Account"), ("Total", "Money")), rows, ReportBasis="Accrual",
        StartPeriod=start.isoformat(), EndPeriod=end.isoformat(), SummarizeColumnsBy="Total", options=[_GAAP],
    )  # fmt: skip


# --------------------------------------------------------------------------- ageing


def _ageing_day(company: Company, params: Params) -> tuple[date, date]:
    """The day the figures are of, and the day that age is counted from (aging_method Current: today)."""
    as_of = _day(params, "report_date")
    if as_of is None:
        as_of = period(company, params)[1] if "date_macro" in params else company.today()
    counted = company.today() if params.get("aging_method", "Report_Date") == "Current" else as_of
    return as_of, counted


def _bands(params: Params) -> tuple[int, int]:
    try:
        return int(params.get("num_periods", "4")), int(Decimal(params.get("aging_period", "30")))
    except (ValueError, ArithmeticError) as error:
        raise faults.unsupported_property("num_periods") from error


def _titles(count: int, days: int) -> list[str]:
    """Current, 1 - 30, 31 - 60, 61 - 90, 91 and over."""
    between = [f"{n * days + 1} - {(n + 1) * days}" for n in range(count - 1)]
    return ["Current", *between, f"{(count - 1) * days + 1} and over"]


def _band(item: OpenItem, counted: date, count: int, days: int) -> int:
    """0: not due yet. An item is overdue from the day after it was due."""
    late = (counted - item.due).days
    return 0 if late <= 0 else min((late - 1) // days + 1, count)


def _wanted(params: Params) -> Callable[[str], bool]:
    chosen = {id for id in params.get("customer", "").split(",") if id}
    return lambda id: not chosen or id in chosen


def aged_receivables(company: Company, params: Params) -> dict[str, Any]:
    """One row for each customer that owes or is owed anything, in home currency, by how late it is."""
    as_of, counted = _ageing_day(company, params)
    count, days = _bands(params)
    wanted = _wanted(params)
    owed: dict[str, list[Decimal]] = {}
    for item in open_items(company, as_of):
        if wanted(item.customer["value"]):
            bands = owed.setdefault(item.customer["value"], [ZERO] * (count + 1))
            bands[_band(item, counted, count, days)] += item.home
    customers = company.rows["Customer"]
    order = sorted(owed, key=lambda id: customers[id]["FullyQualifiedName"].casefold())
    rows = [_aged_row(customers[id], owed[id]) for id in order]
    if rows:
        sums = [sum(column, ZERO) for column in zip(*owed.values(), strict=True)]
        cells = _cells("TOTAL", *(money(value) for value in [*sums, sum(sums, ZERO)]))
        rows.append({"Summary": {"ColData": cells}, "type": "Section", "group": "GrandTotal"})
    titles = [(title, "Money") for title in [*_titles(count, days), "Total"]]
    return _report(
        company, "AgedReceivables", _columns(("", "Customer"), *titles), rows, StartPeriod=as_of.isoformat(),
        EndPeriod=as_of.isoformat(), options=[{"Name": "report_date", "Value": as_of.isoformat()}],
    )  # fmt: skip


def _aged_row(customer: Row, bands: list[Decimal]) -> Row:
    shown = [money(value) if value != 0 else "" for value in bands]
    name = {"value": customer["FullyQualifiedName"], "id": customer["Id"]}
    return {"ColData": _cells(name, *shown, money(sum(bands, ZERO)))}


_DETAIL_COLUMNS: dict[str, str] = {
    "tx_date": "Date", "txn_type": "Transaction Type", "doc_num": "Num", "cust_name": "Customer",
    "due_date": "Due Date",
    "past_due": "Past Due", "currency": "Currency", "exch_rate": "Exchange Rate", "subt_amount": "Amount",
    "subt_open_bal": "Open Balance", "foreign_amount": "Foreign Amount", "foreign_open_bal": "Foreign Open Balance",
    "memo": "Memo/Description", "term_name": "Terms",
}  # fmt: skip
_DETAIL_DEFAULT = ("tx_date", "txn_type", "doc_num", "cust_name", "due_date", "subt_amount", "subt_open_bal")
_DETAIL_FOREIGN = ("currency", "exch_rate", "foreign_amount", "foreign_open_bal")


def _chosen(params: Params, known: Mapping[str, str], default: Sequence[str]) -> list[str]:
    if not params.get("columns"):
        return list(default)
    names = [name.strip() for name in params["columns"].split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise faults.unsupported_property(f"columns={name}")
    return [name for name in known if name in names]


_Cell: TypeAlias = Callable[[OpenItem, date], str | Row]


def _rate(item: OpenItem) -> Decimal:
    rate: Decimal = item.row.get("ExchangeRate", Decimal(1))
    return rate


_DETAIL_CELLS: dict[str, _Cell] = {
    "tx_date": lambda item, counted: str(item.row["TxnDate"]),
    "txn_type": lambda item, counted: {"value": TXN_NAMES[item.entity], "id": item.row["Id"]},
    "doc_num": lambda item, counted: str(item.row.get("DocNumber", item.row.get("PaymentRefNum", ""))),
    "cust_name": lambda item, counted: {"value": item.customer["name"], "id": item.customer["value"]},
    "due_date": lambda item, counted: item.due.isoformat(),
    "past_due": lambda item, counted: str((counted - item.due).days),
    "currency": lambda item, counted: str(item.row["CurrencyRef"]["value"]),
    "exch_rate": lambda item, counted: format(_rate(item), "f"),
    "subt_amount": lambda item, counted: money(item.amount * _rate(item)),
    "subt_open_bal": lambda item, counted: money(item.home),
    "foreign_amount": lambda item, counted: money(item.amount),
    "foreign_open_bal": lambda item, counted: money(item.open),
    "memo": lambda item, counted: str(item.row.get("PrivateNote", "")),
    "term_name": lambda item, counted: str(item.row.get("SalesTermRef", {}).get("name", "")),
}


def aged_receivable_detail(company: Company, params: Params) -> dict[str, Any]:
    """One row for each open document, in sections by how late it is, the oldest first."""
    as_of, counted = _ageing_day(company, params)
    count, days = _bands(params)
    default = (*_DETAIL_DEFAULT, *(_DETAIL_FOREIGN if company.settings.multi_currency else ()))
    names = _chosen(params, _DETAIL_COLUMNS, default)
    low, high = _day(params, "start_duedate"), _day(params, "end_duedate")
    wanted = _wanted(params)
    sections: list[list[OpenItem]] = [[] for _ in range(count + 1)]
    for item in open_items(company, as_of):
        inside = (low is None or item.due >= low) and (high is None or item.due <= high)
        if inside and wanted(item.customer["value"]):
            sections[_band(item, counted, count, days)].append(item)
    titles = _titles(count, days)
    rows = [
        _detail_section(titles[band], sections[band], names, counted)
        for band in reversed(range(count + 1))
        if sections[band]
    ]
    return _report(
        company, "AgedReceivableDetail", _columns(*((_DETAIL_COLUMNS[name], name) for name in names)), rows,
        EndPeriod=as_of.isoformat(), options=[{"Name": "report_date", "Value": as_of.isoformat()}],
    )  # fmt: skip


def _detail_section(title: str, items: list[OpenItem], names: list[str], counted: date) -> Row:
    label = title if title == "Current" else f"{title} days past due"
    sums = {
        "subt_amount": sum((item.amount * _rate(item) for item in items), ZERO),
        "subt_open_bal": sum((item.home for item in items), ZERO),
    }
    totals = [money(sums[name]) if name in sums else "" for name in names[1:]]
    return {
        "Header": {"ColData": _cells(label, *("" for _ in names[1:]))},
        "Rows": {"Row": [_data(*(_DETAIL_CELLS[name](item, counted) for name in names)) for item in items]},
        "Summary": {"ColData": _cells(f"Total for {label}", *totals)},
        "type": "Section",
    }


# --------------------------------------------------------------------------- list of transactions

_LIST_COLUMNS: dict[str, str] = {
    "tx_date": "Date", "txn_type": "Transaction Type", "doc_num": "Num", "is_no_post": "Posting", "name": "Name",
    "memo": "Memo/Description", "account_name": "Account", "other_account": "Split", "due_date": "Due Date",
    "currency": "Currency", "subt_nat_home_amount": "Amount",
}  # fmt: skip
_LIST_DEFAULT = (
    "tx_date", "txn_type", "doc_num", "is_no_post", "name", "memo", "account_name", "other_account",
    "subt_nat_home_amount",
)  # fmt: skip


def transaction_list(company: Company, params: Params) -> dict[str, Any]:
    """One row for each transaction of the period, voided ones with 0.00; Amount in home currency."""
    start, end = period(company, params)
    names = _chosen(params, _LIST_COLUMNS, _LIST_DEFAULT)
    found = list(_transactions(company, params, start, end))
    rows = [_data(*(_list_cell(company, name, entity, row) for name in names)) for entity, row in found]
    if params.get("group_by", "None").lower() in ("customer", "name"):
        rows = _by_customer(found, rows, names)
    return _report(
        company, "TransactionList", _columns(*((_LIST_COLUMNS[name], name) for name in names)), rows,
        StartPeriod=start.isoformat(), EndPeriod=end.isoformat(),
    )  # fmt: skip


def _transactions(company: Company, params: Params, start: date, end: date) -> Iterable[tuple[str, Row]]:
    entities: Sequence[str] = TRANSACTIONS
    if "transaction_type" in params:
        asked = [name.strip() for name in params["transaction_type"].split(",")]
        entities = [_TXN_FILTER[name] for name in asked if name in _TXN_FILTER]
    wanted = _wanted(params)
    number = params.get("docnum")
    found = [
        (entity, row)
        for entity in entities
        for row in company.rows[entity].values()
        if start <= date.fromisoformat(row["TxnDate"]) <= end and wanted(row["CustomerRef"]["value"])
    ]
    if number is not None:
        found = [(entity, row) for entity, row in found if row.get("DocNumber") == number]
    return sorted(found, key=lambda pair: (pair[1]["TxnDate"], int(pair[1]["Id"])))


def home_amount(entity: str, row: Row) -> Decimal:
    """In home currency, credit memos below zero."""
    amount = cents(row["TotalAmt"] * row.get("ExchangeRate", Decimal(1)))
    return -amount if entity == "CreditMemo" else amount


def _list_cell(company: Company, name: str, entity: str, row: Row) -> str | Row:
    match name:
        case "tx_date":
            return str(row["TxnDate"])
        case "txn_type":
            return {"value": TXN_NAMES[entity], "id": row["Id"]}
        case "doc_num":
            return str(row.get("DocNumber", row.get("PaymentRefNum", "")))
        case "is_no_post":
            return "Yes"
        case "name":
            return {"value": row["CustomerRef"]["name"], "id": row["CustomerRef"]["value"]}
        case "memo":
            return str(row.get("PrivateNote", ""))
        case "account_name":
            return _main_account(company, entity, row)
        case "other_account":
            return _split(company, entity, row)
        case "due_date":
            return str(row.get("DueDate", ""))
        case "currency":
            return str(row["CurrencyRef"]["value"])
    return money(home_amount(entity, row))


def _main_account(company: Company, entity: str, row: Row) -> Row:
    id = row["DepositToAccountRef"]["value"] if entity == "Payment" else accounts.receivable(
        company, row["CurrencyRef"]["value"]
    )  # fmt: skip
    return {"value": company.rows["Account"][id]["FullyQualifiedName"], "id": id}


def _split(company: Company, entity: str, row: Row) -> Row:
    main = _main_account(company, entity, row)["id"]
    others = {posting.account for posting in company.ledger.of(entity, row["Id"])} - {main}
    if len(others) != 1:
        return {"value": "-Split-", "id": ""}
    id = others.pop()
    return {"value": company.rows["Account"][id]["FullyQualifiedName"], "id": id}


def _by_customer(found: list[tuple[str, Row]], rows: list[Row], names: list[str]) -> list[Row]:
    groups: dict[str, tuple[Row, list[Row], list[Decimal]]] = {}
    for (entity, row), shown in zip(found, rows, strict=True):
        ref = row["CustomerRef"]
        _, lines, amounts = groups.setdefault(ref["value"], (ref, [], []))
        lines.append(shown)
        amounts.append(home_amount(entity, row))
    return [
        {
            "Header": {"ColData": [{"value": ref["name"], "id": ref["value"]}, *_cells(*("" for _ in names[1:]))]},
            "Rows": {"Row": lines},
            "Summary": {
                "ColData": _cells(f"Total for {ref['name']}", *("" for _ in names[2:]), money(sum(amounts, ZERO)))
            },
            "type": "Section",
        }
        for ref, lines, amounts in groups.values()
    ]


# --------------------------------------------------------------------------- sales by customer


def _sold(row: Row) -> Decimal:
    """A document's total without its tax, at its own rate."""
    tax = row.get("TxnTaxDetail", {}).get("TotalTax", ZERO)
    return cents((row["TotalAmt"] - tax) * row.get("ExchangeRate", Decimal(1)))


def customer_sales(company: Company, params: Params) -> dict[str, Any]:
    """What each customer bought in the period before tax, credit memos taken off, in home currency."""
    start, end = period(company, params)
    names: dict[str, str] = {}
    sold: dict[str, Decimal] = {}
    for entity, sign in (("Invoice", 1), ("CreditMemo", -1)):
        for row in company.rows[entity].values():
            if start <= date.fromisoformat(row["TxnDate"]) <= end:
                ref = row["CustomerRef"]
                names[ref["value"]] = ref["name"]
                sold[ref["value"]] = sold.get(ref["value"], ZERO) + sign * _sold(row)
    rows = [_data({"value": names[id], "id": id}, money(sold[id])) for id in sorted(sold, key=lambda id: names[id])]
    if rows:
        total = _cells("TOTAL", money(sum(sold.values(), ZERO)))
        rows.append({"Summary": {"ColData": total}, "type": "Section", "group": "GrandTotal"})
    return _report(
        company, "CustomerSales", _columns(("", "Customer"), ("Total", "Money")), rows, ReportBasis="Accrual",
        StartPeriod=start.isoformat(), EndPeriod=end.isoformat(), SummarizeColumnsBy="Total",
    )  # fmt: skip


REPORTS: dict[str, Callable[[Company, Params], dict[str, Any]]] = {
    "BalanceSheet": balance_sheet,
    "ProfitAndLoss": profit_and_loss,
    "AgedReceivables": aged_receivables,
    "AgedReceivableDetail": aged_receivable_detail,
    "TransactionList": transaction_list,
    "CustomerSales": customer_sales,
}
