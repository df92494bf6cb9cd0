"""A folder of CSV files under the contract, as a CRM and as books."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path

from connectors.canon.fields import read
from connectors.canon.records import AnyRecord, Customer, Deal, DealLine, Invoice, Item, Kind, Payment
from connectors.canon.values import Money, Price
from connectors.csv.connector import Csv
from connectors.csv.layout import read_layout
from connectors.csv.vendor import facts_of
from connectors.kit.contract import Connector
from tests.contract.harness import Calls, Harness, deps_in_process

COLUMNS = """
columns:
  currency: USD
  customers: {file: accounts.csv, ref: no, fields: {legal_name: account, notes: notes, properties.sector: sector}}
  items: {file: products.csv, ref: product, fields: {name: product, price: price, description: words}}
  deals:
    file: deals.csv
    ref: id
    fields: {name: title, sold_to: account, stage: stage, won_on: closed, amount: value, memo: memo}
    line: {item: product, qty: 1, unit_price: value}
    stages: {Won: won, Open: open}
  invoices:
    file: invoices.csv
    ref: number
    fields: {number: number, customer: account, date: date, due_date: due, total: total, memo: memo}
  payments:
    file: payments.csv
    ref: id
    fields: {customer: account, date: date, amount: amount, reference: reference}
    settles: {document: invoice, amount: amount}
"""
HEADERS = {
    Kind.CUSTOMER: ("accounts.csv", ("no", "account", "sector", "notes")),
    Kind.ITEM: ("products.csv", ("product", "price", "words")),
    Kind.DEAL: ("deals.csv", ("id", "title", "account", "stage", "closed", "value", "product", "memo")),
    Kind.INVOICE: ("invoices.csv", ("number", "account", "date", "due", "total", "memo")),
    Kind.PAYMENT: ("payments.csv", ("id", "account", "date", "amount", "invoice", "reference")),
}
ON = date(2026, 10, 12)
_TEXT_COLUMN = {
    Kind.CUSTOMER: "notes",
    Kind.ITEM: "words",
    Kind.DEAL: "memo",
    Kind.INVOICE: "memo",
    Kind.PAYMENT: "reference",
}


class CsvHarness(Harness):
    """A person with a spreadsheet: reads and writes whole files with the csv module."""

    name = "csv"
    kinds = tuple(HEADERS)
    text_path = {  # noqa: RUF012  # read only
        Kind.CUSTOMER: "notes",
        Kind.ITEM: "description",
        Kind.DEAL: "memo",
        Kind.INVOICE: "memo",
        Kind.PAYMENT: "reference",
    }
    find_path = {Kind.CUSTOMER: "legal_name", Kind.ITEM: "name", Kind.DEAL: "name"}  # noqa: RUF012  # read only

    facts = facts_of(read_layout(COLUMNS))

    async def start(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self._number = count(1)
        for file, header in HEADERS.values():
            (self.folder / file).write_text(",".join(header) + "\n")
        self._calls: list[Calls] = []
        self.connector = self._open()

    def _open(self) -> Connector:
        deps = deps_in_process()
        self._calls.append(deps.calls)  # type: ignore[arg-type]  # what deps_in_process put in
        return Csv.open({"folder": str(self.folder), "columns": COLUMNS}, deps)

    async def reopened(self) -> Connector:
        return self._open()

    async def close(self) -> None:
        self._temporary.cleanup()

    def sample(self, kind: Kind, label: str) -> AnyRecord:
        match kind:
            case Kind.CUSTOMER:
                return Customer(legal_name=f"{label} Ltd", properties={"sector": f'the "{label}", sector'})
            case Kind.ITEM:
                return Item(name=label, price=Price(Decimal("19.99"), "USD"))
            case Kind.DEAL:
                return self._deal(label, Decimal("1054.10"))
            case Kind.INVOICE:
                return self._invoice(label, Decimal("240.00"))
            case _:
                return self._payment(label, Decimal("12.50"))

    def _deal(self, label: str, amount: Decimal) -> Deal:
        line = DealLine(key="1", item_name="GTX", unit_price=amount)
        return Deal(
            name=label,
            sold_to="1",
            status="won",
            stage="Won",
            won_on=ON,
            amount=Money(amount, "USD"),
            lines=(line,),
        )

    def _invoice(self, label: str, total: Decimal) -> Invoice:
        return Invoice(number=f"N-{label}", customer="1", date=ON, due_date=ON, currency="USD", total=total)

    def _payment(self, label: str, amount: Decimal) -> Payment:
        return Payment(customer="1", date=ON, amount=Money(amount, "USD"), reference=label)

    def spoiled(self, kind: Kind) -> AnyRecord | None:
        match kind:
            case Kind.CUSTOMER:
                return Customer(legal_name="No Column", website="example.test")
            case Kind.ITEM:
                return Item(name="euro", price=Price(Decimal(1), "EUR"))
            case Kind.DEAL:
                return Deal(name="no such stage", stage="Nearly won")
            case Kind.INVOICE:
                return Invoice(number="N-po", customer="1", date=ON, po_number="no column")
            case _:
                return Payment(customer="1", date=ON, amount=Money(Decimal(1), "EUR"))

    def zero(self, kind: Kind) -> tuple[AnyRecord, str] | None:
        match kind:
            case Kind.ITEM:
                return Item(name="zero", price=Price(Decimal(0), "USD")), "price"
            case Kind.DEAL:
                return Deal(name="zero", stage="Open", amount=Money.zero("USD")), "amount"
            case Kind.INVOICE:
                return self._invoice("zero", Decimal(0)), "total"
            case _:
                return None

    def priced(self, kind: Kind, amount: Decimal, label: str) -> AnyRecord | None:
        makers: dict[Kind, Callable[[], AnyRecord]] = {
            Kind.ITEM: lambda: Item(name=label, price=Price(amount, "USD")),
            Kind.DEAL: lambda: self._deal(label, amount),
            Kind.INVOICE: lambda: self._invoice(label, amount),
            Kind.PAYMENT: lambda: self._payment(label, amount),
        }
        return makers[kind]() if kind in makers else None

    def amount_of(self, record: AnyRecord) -> Decimal | None:
        path = "price" if isinstance(record, Item) else "total" if isinstance(record, Invoice) else "amount"
        value = read(record, path)
        return value.amount if isinstance(value, Money | Price) else value if isinstance(value, Decimal) else None

    def _rows(self, kind: Kind) -> list[dict[str, str]]:
        with (self.folder / HEADERS[kind][0]).open(newline="") as file:
            return list(csv.DictReader(file))

    def _save(self, kind: Kind, rows: list[dict[str, str]]) -> None:
        header = list(rows[0]) if rows else list(HEADERS[kind][1])
        with (self.folder / HEADERS[kind][0]).open("w", newline="") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def _cells(self, kind: Kind, label: str) -> dict[str, str]:
        number = str(next(self._number))
        match kind:
            case Kind.CUSTOMER:
                return {"no": number, "account": f"{label} Ltd", "sector": "medical"}
            case Kind.ITEM:
                return {"product": label, "price": "550"}
            case Kind.DEAL:
                told = {"title": label, "stage": "Won", "closed": "2026-10-12", "value": "550", "product": "GTX"}
                return {"id": number, "account": "1", **told}
            case Kind.INVOICE:
                return {"number": f"N-{label}", "account": "1", "date": "2026-10-12", "total": "10.00"}
            case _:
                return {"id": number, "account": "1", "date": "2026-10-12", "amount": "10.00"}

    async def person_adds(self, kind: Kind, label: str) -> str:
        cells, rows = self._cells(kind, label), self._rows(kind)
        header = list(rows[0]) if rows else list(HEADERS[kind][1])
        self._save(kind, [*rows, {name: cells.get(name, "") for name in header}])
        return cells[HEADERS[kind][1][0]]

    async def person_edits(self, kind: Kind, ref: str, text: str) -> None:
        rows = self._rows(kind)
        for row in rows:
            if row[HEADERS[kind][1][0]] == ref:
                row[_TEXT_COLUMN[kind]] = text
        self._save(kind, rows)

    async def person_removes(self, kind: Kind, ref: str) -> None:
        self._save(kind, [row for row in self._rows(kind) if row[HEADERS[kind][1][0]] != ref])

    async def person_invoices(self, net: Decimal, on: date) -> str | None:
        rows = self._rows(Kind.INVOICE)
        row = {
            "number": "N-hand",
            "account": "1",
            "date": on.isoformat(),
            "due": "",
            "total": str(net),
            "memo": "",
        }
        self._save(Kind.INVOICE, [*rows, row])
        return "N-hand"

    async def advance(self, seconds: float) -> None:
        return None

    def write_calls(self) -> int:
        return sum(calls.writes for calls in self._calls)
