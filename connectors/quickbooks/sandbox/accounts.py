"""The chart of accounts a new company has, and the accounts that the company posts to by itself."""

from __future__ import annotations

from connectors.quickbooks.sandbox import lists
from connectors.quickbooks.sandbox.company import Company, Row

RECEIVABLE = "Accounts Receivable (A/R)"
UNDEPOSITED = "Undeposited Funds"
CHECKING = "Checking"
SALES = "Sales of Product Income"
SERVICES = "Services"
SHIPPING = "Shipping Income"
DISCOUNTS = "Discounts given"
SALES_TAX = "Sales Tax Payable"
EXCHANGE = "Exchange Gain or Loss"
RETAINED = "Retained Earnings"
BANK_CHARGES = "Bank charges"
WITHHELD = "Withholding Tax Receivable"

CHART: tuple[tuple[str, str, str], ...] = (
    (CHECKING, "Bank", "Checking"),
    ("Card clearing", "Bank", "CashOnHand"),
    (RECEIVABLE, "Accounts Receivable", "AccountsReceivable"),
    (UNDEPOSITED, "Other Current Asset", "UndepositedFunds"),
    (WITHHELD, "Other Current Asset", "OtherCurrentAssets"),
    ("Inventory Asset", "Other Current Asset", "Inventory"),
    ("Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable"),
    (SALES_TAX, "Other Current Liability", "GlobalTaxPayable"),
    ("Opening Balance Equity", "Equity", "OpeningBalanceEquity"),
    (RETAINED, "Equity", "RetainedEarnings"),
    (SALES, "Income", "SalesOfProductIncome"),
    (SERVICES, "Income", "ServiceFeeIncome"),
    (SHIPPING, "Income", "OtherPrimaryIncome"),
    (DISCOUNTS, "Income", "DiscountsRefundsGiven"),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    (BANK_CHARGES, "Expense", "BankCharges"),
    ("Bad debts", "Expense", "BadDebts"),
    (EXCHANGE, "Other Expense", "ExchangeGainOrLoss"),
)
TERMS: tuple[tuple[str, int, int, int], ...] = (
    ("Due on receipt", 0, 0, 0),
    ("Net 15", 15, 0, 0),
    ("Net 30", 30, 0, 0),
    ("2% 10 Net 30", 30, 2, 10),
)
METHODS = ("Cash", "Check", "Credit Card", "Bank transfer")


def set_up(company: Company) -> None:
    """A new company's accounts, terms and payment methods."""
    for name, type, subtype in CHART:
        lists.add(company, "Account", Name=name, AccountType=type, AccountSubType=subtype)
    for name, days, percent, within in TERMS:
        discount = {"DiscountPercent": percent, "DiscountDays": within} if percent else {}
        lists.add(company, "Term", Name=name, Type="STANDARD", DueDays=days, **discount)
    for name in METHODS:
        kind = "CREDIT_CARD" if name == "Credit Card" else "NON_CREDIT_CARD"
        lists.add(company, "PaymentMethod", Name=name, Type=kind)


def named(company: Company, name: str) -> Row:
    row = company.named("Account", name)
    if row is None:
        raise KeyError(f"no account {name!r}")
    return row


def id_of(company: Company, name: str) -> str:
    found: str = named(company, name)["Id"]
    return found


def ref(company: Company, name: str) -> Row:
    return {"value": id_of(company, name), "name": name}


def receivable(company: Company, currency: str) -> str:
    """The receivable account of a currency; a foreign one gets its own when it is first needed, as the vendor does."""
    if currency == company.settings.home_currency:
        return id_of(company, RECEIVABLE)
    name = f"{RECEIVABLE} - {currency}"
    row = company.named("Account", name) or lists.add(
        company, "Account", Name=name, AccountType="Accounts Receivable", AccountSubType="AccountsReceivable",
        CurrencyRef={"value": currency},
    )  # fmt: skip
    found: str = row["Id"]
    return found
