"""What stands in which column: the `columns:` section of a mapping file, checked once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec
import yaml

from connectors.canon.fields import ALIASES, FIELDS, FieldType, canonical_path, field_type
from connectors.canon.records import Kind
from connectors.kit.errors import BadSettings

SECTIONS: dict[str, Kind] = {
    "customers": Kind.CUSTOMER,
    "items": Kind.ITEM,
    "deals": Kind.DEAL,
    "invoices": Kind.INVOICE,
    "payments": Kind.PAYMENT,
    "credit_notes": Kind.CREDIT_NOTE,
}
_ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")
_SHEET_KEYS = ("file", "ref", "fields", "line", "stages", "settles")
_LINE_KEYS = ("item", "text", "qty", "unit", "unit_price", "net", "tax_class", "tax_code")
_SETTLES_KEYS = ("document", "amount", "withheld", "on")
_MEANINGS: dict[Kind, tuple[str, ...]] = {
    Kind.DEAL: ("open", "won", "lost", "reversed"),
    Kind.INVOICE: ("draft", "pending_approval", "posted", "void"),
    Kind.CREDIT_NOTE: ("draft", "pending_approval", "posted", "void"),
    Kind.PAYMENT: ("posted", "void"),
}
ADDRESS_PARTS = ("lines", "city", "region", "postcode", "country", "attention")


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its kind, the column that names its rows, canonical path -> column. `line` and `settles` hold a
    column's name, or a number for a constant. `stages` says what a stage or state in the file means."""

    kind: Kind
    file: str
    ref: str
    fields: Mapping[str, str]
    line: Mapping[str, str | Decimal] = {}
    stages: Mapping[str, str] = {}
    settles: Mapping[str, str] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the file must have, each once."""
        named = (self.ref, *self.fields.values(), *self.line.values(), *self.settles.values())
        return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """All files. `encoding` None: found out from the file. `dates` as strptime writes it."""

    encoding: str | None = None
    decimal: str = "."
    dates: str = "%Y-%m-%d"
    currency: str | None = None
    sheets: Mapping[Kind, Sheet] = {}


def bad(message: str) -> NoReturn:
    raise BadSettings(message, system="csv", operation="columns")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean "x"?', or nothing if nothing is near. Upper and lower case count as near."""
    known = list(known)
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f' Did you mean "{folded[near[0]]}"?' if near else ""


def read_layout(text: str) -> Layout:
    """The layout in a text (YAML or JSON), with or without its `columns:` line. Raises BadSettings."""
    try:
        told = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # knows plain text alone, safer than SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" in line {mark.line + 1}" if mark is not None else ""
        bad(f"The columns cannot be read{at}: {getattr(error, 'problem', None) or error}.")
    if isinstance(told, dict) and isinstance(told.get("columns"), dict):
        told = told["columns"]
    if not isinstance(told, dict):
        bad("The columns must say which file holds customers, items, deals, invoices, payments or credit notes.")
    return _layout(told)


def _layout(told: dict[str, Any]) -> Layout:
    _only(told, ("encoding", "decimal", "dates", "currency", *SECTIONS), "columns")
    layout = Layout(
        encoding=_one_of(told.get("encoding"), _ENCODINGS, "encoding"),
        decimal=_one_of(told.get("decimal"), (".", ","), "decimal") or ".",
        dates=told.get("dates") or "%Y-%m-%d",
        currency=_plain(told.get("currency")),
        sheets={kind: _sheet(name, kind, told[name]) for name, kind in SECTIONS.items() if name in told},
    )
    if not layout.sheets:
        bad("The columns name no file: say at least which file holds the customers or the deals.")
    _need_currency(layout)
    return layout


def _sheet(name: str, kind: Kind, told: Any) -> Sheet:
    if not isinstance(told, dict):
        bad(f"{name}: say file, ref and fields.")
    _only(told, _SHEET_KEYS, name)
    missing = [word for word in ("file", "ref", "fields") if not told.get(word)]
    if missing:
        bad(f"{name}: {missing[0]} is missing.")
    line = {word: _constant(value) for word, value in _part(told, "line", name, _LINE_KEYS).items()}
    return Sheet(
        kind=kind,
        file=_file_name(name, told["file"]),
        ref=told["ref"],
        fields=_fields(name, kind, told["fields"]),
        line=line,
        stages=_stages(name, kind, told.get("stages") or {}),
        settles=_part(told, "settles", name, _SETTLES_KEYS),
    )


def _part(told: dict[str, Any], key: str, name: str, known: Iterable[str]) -> dict[str, str]:
    part = told.get(key) or {}
    if not isinstance(part, dict):
        bad(f"{name}: {key} must say what stands in which column.")
    _only(part, known, f"{name}: {key}")
    return part


def _file_name(name: str, file: str) -> str:
    if "/" in file or "\\" in file or file in (".", ".."):
        bad(f'{name}: "{file}" must be the name of a file in the folder, without a path.')
    return file


def _fields(name: str, kind: Kind, told: Any) -> dict[str, str]:
    if not isinstance(told, dict):
        bad(f"{name}: fields must say path: column.")
    for path, column in told.items():
        if not isinstance(column, str) or not column:
            bad(f"{name}: fields: {path} names no column.")
        if not _known_path(kind, path):
            known = (*FIELDS[kind], *ALIASES.get(kind, {}))
            bad(f'{name}: there is no field "{path}".{did_you_mean(path, known)}')
    return {_canonical(kind, path): column for path, column in told.items()}


def _canonical(kind: Kind, path: str) -> str:
    return canonical_path(kind, path)


def base_path(path: str) -> str:
    """The canonical path that a column belongs to: `addresses.billing` for `addresses.billing.city`."""
    head, *rest = path.split(".")
    if head == "tax_identity":
        return head
    return f"addresses.{rest[0]}" if head == "addresses" and rest else path


def _known_path(kind: Kind, path: str) -> bool:
    if path == "currency" or field_type(kind, path) is not None:
        return True
    head, *rest = path.split(".")
    if kind is Kind.CUSTOMER and head == "tax_identity":
        return len(rest) > 0
    in_address = kind is Kind.CUSTOMER and head == "addresses" and len(rest) == 2
    return in_address and field_type(kind, base_path(path)) is not None and rest[1] in ADDRESS_PARTS


def _stages(name: str, kind: Kind, told: Any) -> dict[str, str]:
    meanings = _MEANINGS.get(kind, ())
    if not isinstance(told, dict):
        bad(f"{name}: stages must say stage: meaning.")
    for stage, meaning in told.items():
        if meaning not in meanings:
            bad(f'{name}: stages: "{stage}" cannot mean "{meaning}"; known: {", ".join(meanings) or "none"}.')
    return dict(told)


def _need_currency(layout: Layout) -> None:
    for name, kind in SECTIONS.items():
        sheet = layout.sheets.get(kind)
        if sheet is None or layout.currency is not None or "currency" in sheet.fields:
            continue
        money = [path for path in sheet.fields if field_type(kind, path) is FieldType.MONEY]
        if money:
            bad(f"{name}: {money[0]} has no currency: set currency, or map a column to it.")


def _constant(value: str) -> str | Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        return value


def _plain(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in ("", "null", "~") else None


def _one_of(value: Any, known: tuple[str, ...], what: str) -> str | None:
    word = _plain(value)
    if word is not None and word not in known:
        bad(f'{what} "{word}" is not known; use one of {", ".join(known)}.')
    return word


def _only(told: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = tuple(known)
    for word in told:
        if word not in known:
            bad(f'{where}: "{word}" is not known.{did_you_mean(word, known)}')
