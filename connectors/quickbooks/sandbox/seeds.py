"""Fills a sandbox from a folder of JSON or CSV files, one for each kind of record.

`customers`, `vendors`, `employees`, `items`, `tax_codes`, `rates`, `invoices`, `credit_memos`, `payments` (.json or
.csv), and `preferences.json`. A JSON file is a list of objects whose members are the arguments of the `add_...`
method; a CSV file has them as columns. Rows of `invoices.csv` and `credit_memos.csv` with the same number are the
lines of one document (columns item, text, qty, price, amount, tax belong to the line). In `payments.csv` the columns
invoices and credits say `1001=100.00;1002=50.00`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from connectors.quickbooks.sandbox.bookkeeping import Bookkeeping
from connectors.quickbooks.sandbox.faults import QuickBooksFault

_LINE_COLUMNS = ("item", "text", "qty", "price", "amount", "tax")
_ORDER = (
    "rates", "tax_codes", "customers", "vendors", "employees", "items", "invoices", "credit_memos", "payments",
)  # fmt: skip


def load(books: Bookkeeping, folder: Path) -> dict[str, int]:
    """How many records of each kind were made. Raises ValueError that names file and row for one that cannot be."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    preferences = folder / "preferences.json"
    if preferences.exists():
        books.preferences(**msgspec.json.decode(preferences.read_bytes(), type=dict[str, Any]))
    return {kind: _fill(books, kind, folder) for kind in _ORDER}


def _fill(books: Bookkeeping, kind: str, folder: Path) -> int:
    made = 0
    for where, fields in _records(kind, folder):
        try:
            _MAKERS[kind](books, fields)
        except (QuickBooksFault, KeyError, TypeError, ValueError, ArithmeticError) as wrong:
            raise ValueError(f"{where}: {wrong}") from wrong
        made += 1
    return made


def _records(kind: str, folder: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    as_json, as_csv = folder / f"{kind}.json", folder / f"{kind}.csv"
    if as_json.exists():
        rows = msgspec.json.decode(as_json.read_bytes(), type=list[dict[str, Any]])
        return [(f"{as_json.name}, record {number}", row) for number, row in enumerate(rows, 1)]
    if as_csv.exists():
        with as_csv.open(encoding="utf-8-sig", newline="") as file:
            rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
        numbered = [(f"{as_csv.name}, row {number}", row) for number, row in enumerate(rows, 2)]
        return _documents(numbered) if kind in ("invoices", "credit_memos") else numbered
    return []


def _documents(rows: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Rows with the same number become one document with several lines."""
    made: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, row in rows:
        head = {key: value for key, value in row.items() if key not in _LINE_COLUMNS}
        line = {key: row[key] for key in _LINE_COLUMNS if key in row}
        _, document = made.setdefault(row.get("number", where), (where, {**head, "lines": []}))
        document["lines"].append(line)
    return list(made.values())


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return dict(part.split("=", 1) for part in value.split(";"))
    return dict(value)


def _payment(books: Bookkeeping, fields: dict[str, Any]) -> None:
    for key in ("invoices", "credits"):
        if key in fields:
            fields[key] = _parts(fields[key])
    books.add_payment(**fields)


def _rate(books: Bookkeeping, fields: dict[str, Any]) -> None:
    books.set_rate(**{{"date": "on"}.get(key, key): value for key, value in fields.items()})


_MAKERS: dict[str, Callable[[Bookkeeping, dict[str, Any]], Any]] = {
    "rates": _rate,
    "tax_codes": lambda books, fields: books.add_tax_code(**fields),
    "customers": lambda books, fields: books.add_customer(**fields),
    "vendors": lambda books, fields: books.add_vendor(**fields),
    "employees": lambda books, fields: books.add_employee(**fields),
    "items": lambda books, fields: books.add_item(**fields),
    "invoices": lambda books, fields: books.add_invoice(**fields),
    "credit_memos": lambda books, fields: books.add_credit_memo(**fields),
    "payments": _payment,
}
