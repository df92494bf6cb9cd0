"""The contract, fulfilled by a folder of CSV files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar

import msgspec

from connectors.canon.fields import field_type, key, read
from connectors.canon.records import AnyRecord, Kind, kind_of
from connectors.canon.values import ABSENT
from connectors.csv.books import entries, figures_of
from connectors.csv.cells import BadCell
from connectors.csv.fields import MARKER, Reading, RowWriter, read_rows
from connectors.csv.layout import Layout, Sheet, bad, base_path, read_layout
from connectors.csv.table import Overtaken, Table, alone_in, read_table, store, with_cells, with_column, with_row
from connectors.csv.vendor import BATCH_WRITE, PAGE, facts_of
from connectors.kit.contract import (
    Act,
    Catalogue,
    Connector,
    Create,
    Denied,
    Deps,
    Done,
    Facts,
    FieldInfo,
    Figures,
    Moved,
    NotSent,
    Outcome,
    Page,
    Tombstone,
    Update,
    Wanted,
    Write,
)
from connectors.kit.errors import BadSettings, TryLater

_CUSTOMER_AT: dict[Kind, str] = {
    Kind.DEAL: "sold_to",
    Kind.INVOICE: "customer",
    Kind.CREDIT_NOTE: "customer",
    Kind.PAYMENT: "customer",
}
_TRIES = 3


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file as read: `cursor` names its content, and that of what its records refer to by name."""

    table: Table
    reading: Reading
    cursor: str


class Csv(Connector):
    """One folder. Files are read again when their content changed; ask an opened connector for its `facts`: what
    can be written follows from the columns."""

    facts: ClassVar[Facts] = facts_of()

    def __init__(self, folder: Path, layout: Layout, deps: Deps) -> None:
        self._folder = folder
        self._layout = layout
        self._deps = deps
        self._loaded: dict[Kind, Loaded] = {}

    @classmethod
    def open(cls, settings: Mapping[str, str], deps: Deps) -> Csv:
        missing = [name for name in ("folder", "columns") if not settings.get(name)]
        if missing:
            bad(f"{missing[0]} is missing.")
        layout = read_layout(settings["columns"])
        tuned: type[Csv] = type(cls.__name__, (cls,), {"facts": facts_of(layout)})
        return tuned(Path(settings["folder"]), layout, deps)

    @classmethod
    def tuned(cls, settings: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
        """The settings with the mapping's `columns` section, where it has one."""
        if not wanted.columns:
            return dict(settings)
        return {**settings, "columns": msgspec.json.encode(wanted.columns).decode()}

    # ------------------------------------------------------------------ reading

    def _sheet(self, kind: Kind) -> Sheet | None:
        return self._layout.sheets.get(kind)

    async def _load(self, kind: Kind) -> Loaded | None:
        """The kind's file, read in a thread; None if the layout has no such file."""
        self._deps.calls.count("read", write=False)
        return await asyncio.to_thread(self._load_now, kind)

    def _load_now(self, kind: Kind) -> Loaded | None:
        sheet = self._sheet(kind)
        if sheet is None:
            return None
        known = self._loaded.get(kind)
        before = known.table if known is not None else None
        table = read_table(self._folder / sheet.file, self._layout.encoding, sheet.columns, before)
        items = self._item_refs(kind)
        cursor = _cursor(table, items, self._layout)
        if known is None or known.cursor != cursor:
            reading = read_rows(table, sheet, self._layout, items)
            self._loaded[kind] = Loaded(table=table, reading=reading, cursor=cursor)
        return self._loaded[kind]

    def _item_refs(self, kind: Kind) -> frozenset[str]:
        """The refs that a line's item may name; none for kinds without lines."""
        sheet, items = self._sheet(kind), self._sheet(Kind.ITEM)
        if kind is Kind.ITEM or items is None or sheet is None or "item" not in sheet.line:
            return frozenset()
        loaded = self._load_now(Kind.ITEM)
        return frozenset(loaded.reading.records) if loaded is not None else frozenset()

    async def changes(self, cursors: Mapping[Kind, str | None]) -> AsyncIterator[Page]:
        for kind, cursor in cursors.items():
            loaded = await self._load(kind)
            if loaded is None:
                continue
            if loaded.cursor == cursor:
                yield Page(cursors={kind: cursor})
                continue
            for page in _pages(kind, loaded):
                yield page

    async def get(self, kind: Kind, refs: Sequence[str]) -> dict[str, AnyRecord | Tombstone]:
        loaded = await self._load(kind)
        records = loaded.reading.records if loaded is not None else {}
        return {ref: records[ref] for ref in refs if ref in records}

    async def find(self, kind: Kind, path: str, values: Sequence[str]) -> dict[str, list[AnyRecord]]:
        loaded, compare = await self._load(kind), field_type(kind, path)
        if loaded is None or compare is None:
            return {}
        wanted: dict[object, list[str]] = {}
        for value in values:
            wanted.setdefault(key(compare, value), []).append(value)
        found: dict[str, list[AnyRecord]] = {}
        for record in loaded.reading.records.values():
            has = read(record, path)
            same = key(compare, has) if has is not ABSENT else None
            for value in wanted.get(same, []) if same is not None else []:
                found.setdefault(value, []).append(record)
        return found

    async def by_marker(self, kind: Kind, markers: Sequence[str]) -> dict[str, list[AnyRecord]]:
        loaded, wanted = await self._load(kind), set(markers)
        found: dict[str, list[AnyRecord]] = {}
        for record in loaded.reading.records.values() if loaded is not None else ():
            if record.marker is not None and record.marker in wanted:
                found.setdefault(record.marker, []).append(record)
        return found

    async def mark(self, kind: Kind) -> str:
        loaded = await self._load(kind)
        refs = list(loaded.reading.records) if loaded is not None else []
        return f"{len(refs)}:{_digest(refs)}"

    async def created_since(self, kind: Kind, mark: str, customers: Sequence[str] = ()) -> list[AnyRecord]:
        """Rows below those that stood there at `mark`. If somebody sorted or removed rows since, all rows: more
        than was asked for, never less."""
        loaded = await self._load(kind)
        records = list(loaded.reading.records.values()) if loaded is not None else []
        count, _, digest = mark.partition(":")
        old = [record.ref for record in records[: int(count)]]
        new = records[int(count) :] if _digest(old) == digest else records
        at = _CUSTOMER_AT.get(kind)
        if not customers or at is None:
            return new
        return [record for record in new if getattr(record, at) in customers]

    # ------------------------------------------------------------------ writing

    async def write(self, writes: Sequence[Write], key: str) -> list[Outcome]:
        if not writes:
            return []
        if len(writes) > BATCH_WRITE:
            return [Denied(f"At most {BATCH_WRITE} rows are written at once.", code="too_many") for _ in writes]
        self._deps.calls.count("write", write=True)
        return await asyncio.to_thread(self._write_now, tuple(writes))

    def _write_now(self, writes: tuple[Write, ...]) -> list[Outcome]:
        try:
            with alone_in(self._folder):
                for _ in range(_TRIES):
                    try:
                        return self._attempt(writes)
                    except Overtaken:
                        continue
        except PermissionError as error:
            return [NotSent(f"The file cannot be written: {error.strerror}.", next="allow") for _ in writes]
        except OSError as error:
            return [NotSent(f"The file cannot be written: {error.strerror}.") for _ in writes]
        except BadSettings as error:
            return [NotSent(error.message, next="allow") for _ in writes]
        except TryLater as error:
            return [NotSent(error.message) for _ in writes]
        return [NotSent("Somebody else keeps changing the file.", wait_s=5) for _ in writes]

    def _attempt(self, writes: tuple[Write, ...]) -> list[Outcome]:
        kind = _kind(writes[0])
        loaded, sheet = self._load_now(kind), self._sheet(kind)
        if loaded is None or sheet is None:
            return [Denied(f"No file holds {kind} records.", code="unsupported") for _ in writes]
        draft = Draft(loaded, sheet, self._layout)
        answers = [draft.take(write) for write in writes]
        if draft.table is not loaded.table:
            store(draft.table)
        stored = self._stored(kind)
        return [_done(stored, answer) if isinstance(answer, str) else answer for answer in answers]

    def _stored(self, kind: Kind) -> Mapping[str, AnyRecord]:
        """What stands in the file after a write; nothing if it has become unreadable since: the write is done all the
        same."""
        try:
            loaded = self._load_now(kind)
        except (BadSettings, TryLater):
            return {}
        return loaded.reading.records if loaded is not None else {}

    # ------------------------------------------------------------------ settings and figures

    async def catalogue(self) -> Catalogue:
        for kind in self._layout.sheets:
            await self._load(kind)
        sheets = self._layout.sheets
        deals = sheets.get(Kind.DEAL)
        stages = deals.stages if deals is not None else {}
        return Catalogue(
            account_id=str(self._folder.resolve()),
            account_name=self._folder.resolve().name,
            home_currency=self._layout.currency,
            numbering="caller",
            stages={stage: "won" if m == "won" else "open" if m == "open" else "lost" for stage, m in stages.items()},
            fields={kind: _own_fields(sheet) for kind, sheet in sheets.items()},
            columns={kind: _told(sheet) for kind, sheet in sheets.items()},
        )

    async def figures(self, start: date, end: date) -> Figures | None:
        if Kind.INVOICE not in self._layout.sheets:
            return None
        return await asyncio.to_thread(self._figures_now, start, end)

    def _figures_now(self, start: date, end: date) -> Figures:
        rows = []
        for kind in (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.PAYMENT):
            sheet = self._sheet(kind)
            if sheet is not None:
                table = read_table(self._folder / sheet.file, self._layout.encoding, sheet.columns)
                rows += list(entries(table, sheet, self._layout))
        return figures_of(rows, self._layout, start, end)


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:16]


def _cursor(table: Table, items: frozenset[str], layout: Layout) -> str:
    meaning = msgspec.json.encode(layout).decode()
    return _digest([table.digest, *sorted(items), meaning])


def _pages(kind: Kind, loaded: Loaded) -> list[Page]:
    """All of a file. Only the last page moves the cursor: whoever stops before begins again."""
    records = list(loaded.reading.records.values())
    starts = range(0, len(records), PAGE) if records else (0,)
    pages = [Page(records=tuple(records[start : start + PAGE])) for start in starts]
    last = msgspec.structs.replace(
        pages[-1],
        bad=tuple(loaded.reading.bad),
        cursors={kind: loaded.cursor},
        scanned=frozenset({kind}) if loaded.reading.complete else frozenset(),
    )
    return [*pages[:-1], last]


def _done(stored: Mapping[str, AnyRecord], ref: str) -> Outcome:
    record = stored.get(ref)
    return Done(ref, record.version if record is not None else None, record)


def _kind(write: Write) -> Kind:
    return kind_of(write.record) if isinstance(write, Create) else write.kind


def _own_fields(sheet: Sheet) -> tuple[FieldInfo, ...]:
    own = {path.partition(".")[2]: column for path, column in sheet.fields.items() if path.startswith("properties.")}
    return tuple(FieldInfo(name=name, label=label, writable=label != sheet.ref) for name, label in own.items())


def _told(sheet: Sheet) -> frozenset[str]:
    paths = {base_path(path) for path in sheet.fields if not path.startswith("properties.")}
    if sheet.stages:
        paths |= {"status"} if sheet.kind is Kind.DEAL else {"state"}
    return frozenset(paths | ({"lines"} if sheet.line else set()))


class Draft:
    """The next content of a file, write by write. `table` stays the one that was read until a write fits."""

    def __init__(self, loaded: Loaded, sheet: Sheet, layout: Layout) -> None:
        self.table = loaded.table
        self._sheet = sheet
        self._reading = loaded.reading
        self._rows = dict(loaded.reading.rows)
        self._markers = {r.marker: r.ref for r in loaded.reading.records.values() if r.marker is not None}
        self._refs = {problem.ref for problem in loaded.reading.bad} | set(loaded.reading.records)
        self._writer = RowWriter(sheet, layout)

    def take(self, write: Write) -> str | Outcome:
        """Fit a write in: the ref of its row, or why not."""
        try:
            match write:
                case Create():
                    return self._create(write)
                case Update():
                    return self._update(write)
                case Act():
                    return Denied(f"A row in a file cannot be {write.operation}ed.", code="unsupported")
        except BadCell as problem:
            where = f"{self._sheet.file}: {problem.column}: " if problem.column else f"{self._sheet.file}: "
            return Denied(where + problem.reason, code="bad_value", field=problem.path)

    def _create(self, write: Create) -> str | Outcome:
        cells = self._writer.created(write.record)
        if write.marker in self._markers:
            return Denied("It was written before.", "duplicate", "marker", self._markers[write.marker])
        ref = cells.get(self._sheet.ref, "").strip() or self._new_ref(write)
        if ref in self._refs:
            return Denied(f'Another row has {self._sheet.ref} "{ref}".', "duplicate", self._sheet.ref, ref)
        self._encodable(cells)
        table = self.table if MARKER in self.table.columns else with_column(self.table, MARKER)
        self.table = with_row(table, cells | {self._sheet.ref: ref, MARKER: write.marker})
        self._markers[write.marker] = ref
        self._refs.add(ref)
        return ref

    def _new_ref(self, write: Create) -> str:
        """The next number where all rows are numbered, else the marker."""
        if write.record.ref:
            return write.record.ref
        known = [ref for ref in self._refs if ref is not None]
        if known and all(ref.isascii() and ref.isdigit() for ref in known):
            return str(max(int(ref) for ref in known) + 1).zfill(max(len(ref) for ref in known))
        return write.marker

    def _update(self, write: Update) -> str | Outcome:
        current = self._reading.records.get(write.ref)
        if current is None:
            return Denied(f'No row has {self._sheet.ref} "{write.ref}".', code="gone")
        if current.version != write.version:
            return Moved(current)
        cells = self._writer.updated(write.after)
        self._encodable(cells)
        self._change(self._rows[write.ref].line, cells)
        return write.ref

    def _change(self, line: int, cells: Mapping[str, str]) -> None:
        row = next(row for row in self.table.rows if row.line == line)
        if any(row.cells[self.table.columns.index(name)] != text for name, text in cells.items()):
            self.table = with_cells(self.table, row, cells)

    def _encodable(self, cells: Mapping[str, str]) -> None:
        for column, text in cells.items():
            try:
                text.encode(self.table.encoding)
            except UnicodeEncodeError as error:
                letter = text[error.start]
                raise BadCell(column, f'"{letter}" does not exist in the encoding of the file') from None
