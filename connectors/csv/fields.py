"""Rows <-> records, by what the layout says stands in which column."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors.canon.fields import FIELDS, FieldType, Value, assemble, field_type, read
from connectors.canon.records import (
    Allocation,
    AnyRecord,
    CreditNote,
    Deal,
    DealLine,
    Invoice,
    InvoiceLine,
    Kind,
    Payment,
    kind_of,
)
from connectors.canon.values import ABSENT, Address, Money, Price, TaxId, TaxIdentity
from connectors.csv.cells import BadCell, number, number_text, text_of, value_of
from connectors.csv.layout import ADDRESS_PARTS, Layout, Sheet, base_path, did_you_mean
from connectors.csv.table import Row, Table
from connectors.kit.contract import BadRow

MARKER = "tieout_marker"
# Fields that are never None: an empty cell tells nothing.
_NEVER_EMPTY = frozenset({"status", "state", "on_hold", "item_kind", "active"})
_ALLOWED: dict[str, tuple[str, ...]] = {
    "status": ("open", "won", "lost", "reversed"),
    "state": ("draft", "pending_approval", "posted", "void"),
    "item_kind": ("goods", "service", "shipping", "discount", "deposit", "expense"),
}
_STAGED: dict[Kind, tuple[str, str]] = {
    Kind.DEAL: ("stage", "status"),
    Kind.INVOICE: ("state", "state"),
    Kind.CREDIT_NOTE: ("state", "state"),
    Kind.PAYMENT: ("state", "state"),
}
_DOCUMENT_SUMS = ("net", "tax", "total", "balance", "remaining", "unapplied")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds: records by ref with the row each stands in, and what could not be read. `complete`:
    every row told its ref, so a ref that is missing is missing."""

    records: Mapping[str, AnyRecord]
    rows: Mapping[str, Row]
    bad: tuple[BadRow, ...]
    complete: bool


def read_rows(table: Table, sheet: Sheet, layout: Layout, items: Collection[str]) -> Reading:
    """All rows of a table as records. `items` are the refs that a line's item may name."""
    places = {name: place for place, name in enumerate(table.columns)}
    seen = Counter(ref for row in table.body if (ref := _cell(row, places, sheet.ref)) is not None)
    reader = RowReader(sheet, layout, places, items)
    records: dict[str, AnyRecord] = {}
    rows: dict[str, Row] = {}
    bad: list[BadRow] = []
    for row in table.body:
        try:
            record = reader.record(row, table.path.name, seen)
        except BadCell as problem:
            bad.append(_bad_row(table, sheet, row, problem, places))
            continue
        records[record.ref] = record
        rows[record.ref] = row
    return Reading(records=records, rows=rows, bad=tuple(bad), complete=all(problem.ref for problem in bad))


def _bad_row(table: Table, sheet: Sheet, row: Row, problem: BadCell, places: Mapping[str, int]) -> BadRow:
    where = f"{table.path.name}:{row.line}" + (f":{problem.column}" if problem.column else "")
    return BadRow(sheet.kind, where, problem.reason, _cell(row, places, sheet.ref))


def _cell(row: Row, places: Mapping[str, int], column: str) -> str | None:
    """A cell's text; None if it is empty, or the row does not fit the header."""
    if len(row.cells) != len(places):
        return None
    return row.cells[places[column]].strip() or None


class RowReader:
    """Reads the rows of one sheet."""

    def __init__(self, sheet: Sheet, layout: Layout, places: Mapping[str, int], items: Collection[str]) -> None:
        self._sheet = sheet
        self._layout = layout
        self._places = places
        self._items = items

    def record(self, row: Row, file: str, seen: Mapping[str, int]) -> AnyRecord:
        """The record in a row. Raises BadCell."""
        ref = self._ref(row, seen)
        fields = self._fields(row)
        kind = self._sheet.kind
        more: dict[str, Any] = {
            "ref": ref,
            "version": self._version(row),
            "source": f"{file}:{row.line}",
            "marker": _cell(row, self._places, MARKER) if MARKER in self._places else None,
            "properties": {path.partition(".")[2]: v for path, v in fields.items() if path.startswith("properties.")},
        }
        plain = {path: value for path, value in fields.items() if not path.startswith("properties.")}
        return self._with_parts(row, assemble(kind, plain, **more))

    def _ref(self, row: Row, seen: Mapping[str, int]) -> str:
        if row.torn is not None:
            raise BadCell("", f"the row cannot be read: {row.torn}")
        if len(row.cells) != len(self._places):
            raise BadCell("", f"the row has {len(row.cells)} columns, the header {len(self._places)}")
        ref = _cell(row, self._places, self._sheet.ref)
        if ref is None:
            raise BadCell(self._sheet.ref, "is empty: nothing names this row")
        if seen[ref] > 1:
            raise BadCell(self._sheet.ref, f'"{ref}" stands in {seen[ref]} rows; none of them was read')
        return ref

    def _version(self, row: Row) -> str:
        cells = [cell for name, cell in zip(self._places, row.cells, strict=True) if name != MARKER]
        return hashlib.sha256("\x1f".join(cells).encode()).hexdigest()[:16]

    def _currency(self, row: Row) -> str | None:
        column = self._sheet.fields.get("currency")
        told = _cell(row, self._places, column) if column is not None else None
        return told if told is not None else self._layout.currency

    def _fields(self, row: Row) -> dict[str, Value]:
        kind, currency = self._sheet.kind, self._currency(row)
        fields: dict[str, Value] = {}
        parts: dict[str, dict[str, str | None]] = {}
        for path, column in self._sheet.fields.items():
            base = base_path(path)
            if base != path:
                parts.setdefault(base, {})[path] = _cell(row, self._places, column)
            elif path != "currency" or field_type(kind, path) is not None:
                fields[path] = self._value(row, path, column, currency)
        fields |= {base: _joined(base, told) for base, told in parts.items()}
        self._add_meaning(row, fields)
        if "currency" in FIELDS[kind] and kind is not Kind.CUSTOMER:
            fields.setdefault("currency", currency)
        return {path: v for path, v in fields.items() if not (v is None and path in _NEVER_EMPTY)}

    def _value(self, row: Row, path: str, column: str, currency: str | None) -> Value:
        kind_of_field = field_type(self._sheet.kind, path)
        text = row.cells[self._places[column]]
        try:
            value = value_of(kind_of_field or FieldType.TEXT, text, self._layout, currency)
        except ValueError as reason:
            raise BadCell(column, str(reason)) from None
        staged = path == _STAGED.get(self._sheet.kind, ("", ""))[0] and len(self._sheet.stages) > 0
        if path in _ALLOWED and value is not None and value not in _ALLOWED[path] and not staged:
            raise BadCell(column, f'"{text}" is none of {", ".join(_ALLOWED[path])}')
        return value

    def _add_meaning(self, row: Row, fields: dict[str, Value]) -> None:
        """What the stage means, and what follows from it."""
        kind = self._sheet.kind
        said_at, means_at = _STAGED.get(kind, ("", ""))
        if self._sheet.stages and said_at in self._sheet.fields:
            stage = fields[said_at]
            if stage is not None:
                fields[means_at] = self._meaning(str(stage), self._sheet.fields[said_at])
        elif means_at == "state":
            fields.setdefault("state", "posted")
        if kind is Kind.DEAL and "status" in fields and fields["status"] != "won":
            for path in ("won_on", "won_at"):
                if path in fields:
                    fields[path] = None

    def _meaning(self, stage: str, column: str) -> str:
        meaning = self._sheet.stages.get(stage)
        if meaning is None:
            raise BadCell(column, f'nothing says what stage "{stage}" means.{did_you_mean(stage, self._sheet.stages)}')
        return meaning

    def _with_parts(self, row: Row, record: AnyRecord) -> AnyRecord:
        if isinstance(record, Payment) and record.amount is None:
            raise BadCell(self._sheet.fields.get("amount", ""), "is empty: a payment has an amount")
        if isinstance(record, Payment | CreditNote) and self._sheet.settles:
            return msgspec.structs.replace(record, allocations=self._allocations(row, record))
        if isinstance(record, Deal) and self._sheet.line:
            return msgspec.structs.replace(record, lines=self._deal_lines(row))
        if isinstance(record, Invoice | CreditNote) and self._sheet.line:
            return msgspec.structs.replace(record, lines=self._invoice_lines(row))
        return record

    def _line_text(self, row: Row, part: str) -> str | None:
        where = self._sheet.line.get(part)
        if where is None or isinstance(where, Decimal):
            return None if where is None else number_text(where, self._layout)
        return _cell(row, self._places, where)

    def _number(self, row: Row, parts: Mapping[str, str | Decimal], part: str) -> Decimal | None:
        where = parts.get(part)
        if where is None or isinstance(where, Decimal):
            return where
        text = _cell(row, self._places, where)
        try:
            return number(text, self._layout.decimal) if text is not None else None
        except ValueError as reason:
            raise BadCell(where, str(reason)) from None

    def _deal_lines(self, row: Row) -> tuple[DealLine, ...] | Any:
        """The row's line; ABSENT while it has no price, which is not a price of zero."""
        qty, price = self._number(row, self._sheet.line, "qty"), self._number(row, self._sheet.line, "unit_price")
        net = self._number(row, self._sheet.line, "net")
        if price is None:
            return ABSENT
        name = self._line_text(row, "item")
        line = DealLine(
            key="1",
            item=name if name in self._items else None,
            item_name=name,
            text=self._line_text(row, "text"),
            qty=qty if qty is not None else Decimal(1),
            unit=self._line_text(row, "unit"),
            unit_price=price,
            net=net if net is not None else ABSENT,
            currency=self._currency(row),
            tax_class=self._line_text(row, "tax_class"),
        )
        return (line,)

    def _invoice_lines(self, row: Row) -> tuple[InvoiceLine, ...] | Any:
        qty, price = self._number(row, self._sheet.line, "qty"), self._number(row, self._sheet.line, "unit_price")
        net = self._number(row, self._sheet.line, "net")
        if net is None and price is not None:
            net = price * (qty if qty is not None else Decimal(1))
        if net is None:
            return ABSENT
        name = self._line_text(row, "item")
        line = InvoiceLine(
            key="1",
            item=name if name in self._items else None,
            item_name=name,
            text=self._line_text(row, "text"),
            qty=qty,
            unit_price=price,
            net=net,
            tax_code=self._line_text(row, "tax_code"),
        )
        return (line,)

    def _allocations(self, row: Row, record: Payment | CreditNote) -> tuple[Allocation, ...]:
        settles = self._sheet.settles
        document = _cell(row, self._places, settles["document"]) if "document" in settles else None
        if document is None:
            return ()
        amount = self._number(row, settles, "amount")
        whole = record.amount.amount if isinstance(record, Payment) and isinstance(record.amount, Money) else None
        withheld = self._number(row, settles, "withheld")
        if amount is None and whole is None:
            raise BadCell(settles.get("amount", settles["document"]), "does not say how much was settled")
        return (
            Allocation(
                document=document,
                amount=amount if amount is not None else whole or Decimal(0),
                withheld=withheld if withheld is not None else Decimal(0),
            ),
        )


def _joined(base: str, told: Mapping[str, str | None]) -> Value:
    """An address or a tax identity from the cells of its parts; None if all are empty."""
    if all(text is None for text in told.values()):
        return None
    if base == "tax_identity":
        ids = [(path.partition(".")[2], text) for path, text in told.items() if text is not None]
        return TaxIdentity(ids=tuple(TaxId(scheme, text) for scheme, text in ids))
    parts = {path.rpartition(".")[2]: text for path, text in told.items()}
    lines = parts.pop("lines", None)
    return Address(lines=tuple(lines.splitlines()) if lines is not None else (), **parts)


# --------------------------------------------------------------------------- writing


class RowWriter:
    """Says what has to stand in which cell. Raises BadCell for what the file has no place for."""

    def __init__(self, sheet: Sheet, layout: Layout) -> None:
        self._sheet = sheet
        self._layout = layout

    def created(self, record: AnyRecord) -> dict[str, str]:
        """Column -> text for a new row, all that the record tells."""
        cells: dict[str, str] = {}
        for path, value in self._told(record):
            if self._implied(path, value, record):
                continue
            for column, text in self.cells(path, value).items():
                self._agree(cells, column, text)
        for column, text in self._line_cells(record):
            self._agree(cells, column, text)
        return cells

    def updated(self, after: Mapping[str, Value]) -> dict[str, str]:
        """Column -> text for the fields of an update."""
        cells: dict[str, str] = {}
        for path, value in after.items():
            if value is not ABSENT:
                for column, text in self.cells(path, value).items():
                    self._agree(cells, column, text)
        if self._sheet.ref in cells:
            path = next(path for path, column in self._sheet.fields.items() if column == self._sheet.ref)
            raise BadCell(self._sheet.ref, "the column also names the row: it cannot be changed", path)
        return cells

    def _agree(self, cells: dict[str, str], column: str, text: str) -> None:
        if cells.setdefault(column, text) != text:
            raise BadCell(column, f'would have to hold "{cells[column]}" and "{text}"')

    def _told(self, record: AnyRecord) -> Iterator[tuple[str, Value]]:
        for path in FIELDS[kind_of(record)]:
            value = read(record, path)
            if value is not ABSENT and (value is not None or self._columns(path)):
                yield path, value
        for name, text in record.properties.items():
            yield f"properties.{name}", text

    def _columns(self, path: str) -> dict[str, str]:
        return {p: column for p, column in self._sheet.fields.items() if base_path(p) == path}

    def _implied(self, path: str, value: Value, record: AnyRecord) -> bool:
        """The file tells it although no column holds it."""
        if self._columns(path):
            return False
        if path == "status" and "stage" in self._sheet.fields and isinstance(record, Deal):
            return record.stage is not ABSENT and record.stage is not None
        if path in _DOCUMENT_SUMS:
            return True
        return (path, value) in (("state", "posted"), ("active", True), ("currency", self._layout.currency))

    def cells(self, path: str, value: Value) -> dict[str, str]:
        """Column -> text for one field."""
        if path == "status" and "status" not in self._sheet.fields:
            return {self._stage_column(): self._stage_for(value)}
        columns = self._columns(path)
        if not columns:
            raise BadCell("", f"no column holds {path}", path)
        try:
            _all_parts_kept(path, value, columns)
            cells = {column: self._text(p, path, value) for p, column in columns.items()}
        except ValueError as reason:
            raise BadCell(next(iter(columns.values())), str(reason), path) from None
        return cells | self._currency_cell(path, value)

    def _stage_column(self) -> str:
        if "stage" not in self._sheet.fields:
            raise BadCell("", "no column holds status", "status")
        return self._sheet.fields["stage"]

    def _stage_for(self, status: Value) -> str:
        stages = [stage for stage, meaning in self._sheet.stages.items() if meaning == status]
        if len(stages) != 1:
            many = "no stage means" if not stages else f"{' and '.join(stages)} mean"
            raise BadCell(self._stage_column(), f"{many} {status}: set the stage", "status")
        return stages[0]

    def _text(self, column_path: str, path: str, value: Value) -> str:
        if column_path != path:
            return _part_text(column_path, value)
        said_at, means_at = _STAGED.get(self._sheet.kind, ("", ""))
        if path == said_at and self._sheet.stages and value is not None:
            if said_at == means_at:
                return self._state_for(value)
            if value not in self._sheet.stages:
                raise ValueError(f'nothing says what stage "{value}" means')
        return text_of(value, self._layout)

    def _state_for(self, state: Value) -> str:
        words = [word for word, meaning in self._sheet.stages.items() if meaning == state]
        if not words:
            raise ValueError(f"no word in the file means {state}")
        return words[0]

    def _currency_cell(self, path: str, value: Value) -> dict[str, str]:
        if not isinstance(value, Money | Price) or value.currency is None:
            return {}
        if "currency" in self._sheet.fields:
            return {self._sheet.fields["currency"]: value.currency}
        if value.currency != self._layout.currency:
            raise BadCell("", f"the file is in {self._layout.currency}, not in {value.currency}", path)
        return {}

    def _line_cells(self, record: AnyRecord) -> Iterator[tuple[str, str]]:
        lines = record.lines if isinstance(record, Deal | Invoice | CreditNote) else ABSENT
        if lines is not ABSENT and self._sheet.line and len(lines) > 0:
            if len(lines) > 1:
                raise BadCell("", "the file holds one line a row", "lines")
            yield from self._one_line(lines[0])
        if isinstance(record, Payment | CreditNote) and self._sheet.settles:
            yield from self._settled(record)

    def _one_line(self, line: DealLine | InvoiceLine) -> Iterator[tuple[str, str]]:
        for part, column in self._sheet.line.items():
            value = getattr(line, part, None)
            if part == "item":
                value = line.item if line.item is not None else line.item_name
            if isinstance(column, Decimal):
                if value is not None and value != column:
                    raise BadCell("", f"every line of the file has {part} {column}", "lines")
            elif value is not None and value is not ABSENT:
                yield column, text_of(value, self._layout)

    def _settled(self, record: Payment | CreditNote) -> Iterator[tuple[str, str]]:
        allocations = record.allocations if record.allocations is not ABSENT else ()
        if len(allocations) > 1:
            raise BadCell("", "the file holds one settled document a row", "allocations")
        for allocation in allocations:
            for part, column in self._sheet.settles.items():
                yield column, text_of(getattr(allocation, part), self._layout)


def _all_parts_kept(path: str, value: Value, columns: Mapping[str, str]) -> None:
    """Raises ValueError if a composite value says something that none of its columns takes."""
    if path in columns:
        return
    if isinstance(value, Address):
        lost = [part for part in ADDRESS_PARTS if getattr(value, part) and f"{path}.{part}" not in columns]
    elif isinstance(value, TaxIdentity):
        lost = [tax_id.scheme for tax_id in value.ids if f"{path}.{tax_id.scheme}" not in columns]
    else:
        return
    if lost:
        raise ValueError(f"no column holds its {lost[0]}")


def _part_text(path: str, value: Value) -> str:
    if value is None:
        return ""
    part = path.rpartition(".")[2]
    if isinstance(value, Address):
        return "\n".join(value.lines) if part == "lines" else getattr(value, part) or ""
    if isinstance(value, TaxIdentity):
        scheme = path.partition(".")[2]
        return next((i.value for i in value.ids if i.scheme == scheme), "")
    raise ValueError("the value has no parts")
