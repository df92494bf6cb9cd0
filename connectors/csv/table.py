"""One CSV file, kept as it was found: what is not changed goes back byte for byte.

A row is read by the csv module (https://docs.python.org/3/library/csv.html, RFC 4180 quoting, strict) and keeps
the text it stood in, so that quoting, line ends, encoding and byte order mark survive a write.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from connectors.csv.layout import bad, did_you_mean
from connectors.kit.errors import TryLater

if sys.platform != "win32":
    import fcntl

_BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t", "|")


class Row(msgspec.Struct, frozen=True):
    """One row: the line it begins in (from 1), its text with the line end, its cells (none: a blank line).
    `torn`: why the csv module could not read it."""

    line: int
    raw: str
    cells: tuple[str, ...]
    torn: str | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A file's rows; `rows[header]` is the header. `digest` is of its bytes."""

    path: Path
    digest: str
    encoding: str
    bom: bool
    delimiter: str
    header: int
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(cell.strip() for cell in self.rows[self.header].cells)

    @property
    def body(self) -> tuple[Row, ...]:
        """The rows below the header, without blank lines."""
        return tuple(row for row in self.rows[self.header + 1 :] if row.cells or row.torn is not None)

    def as_bytes(self) -> bytes:
        """The file as it would stand. Raises UnicodeEncodeError."""
        text = "".join(row.raw for row in self.rows)
        return (_BOM if self.bom else b"") + text.encode(self.encoding)


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def read_table(path: Path, encoding: str | None, wanted: Sequence[str], known: Table | None = None) -> Table:
    """The file, checked to have every wanted column. Raises BadSettings with the file, the header's line, the
    column, and what is near. `known`: how it was read before in this way; the same bytes are not read again."""
    data = _bytes_of(path)
    digest = digest_of(data)
    if known is not None and (known.path, known.digest) == (path, digest):
        return known
    bom = data.startswith(_BOM)
    text, used = _decoded(path, data[len(_BOM) :] if bom else data, encoding)
    delimiter, rows = _best(text, wanted)
    header = next((place for place, row in enumerate(rows) if any(cell.strip() for cell in row.cells)), None)
    if header is None:
        bad(f"{path.name} is empty: there is no header row.")
    table = Table(path=path, digest=digest, encoding=used, bom=bom, delimiter=delimiter, header=header, rows=rows)
    _check_columns(table, wanted)
    return table


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        near = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        bad(f"There is no file {path.name} in {path.parent}.{did_you_mean(path.name, near)}")
    except (PermissionError, IsADirectoryError) as error:
        bad(f"{path.name} cannot be read: {error.strerror}.")
    except OSError as error:  # a disk or a share that is away for a moment
        raise TryLater(f"{path.name} cannot be read: {error.strerror}", system="csv", operation="read") from error


def _decoded(path: Path, data: bytes, encoding: str | None) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        bad(f"{path.name} is in UTF-16: save it as CSV UTF-8.")
    for name in [encoding.removesuffix("-sig")] if encoding is not None else ["utf-8", "cp1252"]:
        try:
            return data.decode(name), name
        except UnicodeDecodeError as error:
            line, tried = data.count(b"\n", 0, error.start) + 1, name
    bad(f"{path.name}:{line} is not in {tried}: say its encoding, or save it as CSV UTF-8.")


def _best(text: str, wanted: Sequence[str]) -> tuple[str, tuple[Row, ...]]:
    """The delimiter under which the header has most of the wanted columns, and the rows under it."""
    head = next((line for line in io.StringIO(text, newline="") if line.strip()), "")

    def found(delimiter: str) -> int:
        cells = next(csv.reader([head], delimiter=delimiter), [])
        return len({cell.strip() for cell in cells} & set(wanted))

    delimiter = max(_DELIMITERS, key=found)
    return delimiter, tuple(_rows(text, delimiter))


class _Remembering:
    """Lines of a text, with those read since the last `taken`."""

    def __init__(self, text: str) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self._since: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._since.append(line)
        return line

    def taken(self) -> str:
        raw = "".join(self._since)
        self._since.clear()
        return raw


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    lines = _Remembering(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    at = 1
    while True:
        try:
            cells = tuple(next(reader))
            torn = None
        except StopIteration:
            return
        except csv.Error as error:
            cells, torn = (), str(error)
        raw = lines.taken()
        yield Row(at, raw, cells, torn)
        at = reader.line_num + 1


def _check_columns(table: Table, wanted: Sequence[str]) -> None:
    line, columns = table.rows[table.header].line, table.columns
    for name in wanted:
        times = columns.count(name)
        if times == 0:
            bad(f'{table.path.name}:{line} has no column "{name}".{did_you_mean(name, columns)}')
        if times > 1:
            bad(f'{table.path.name}:{line} has {times} columns "{name}": give each its own name.')


# --------------------------------------------------------------------------- writing


def _end(raw: str) -> str:
    body = raw.rstrip("\r\n")
    return raw[len(body) :]


def _raw_cells(raw: str, delimiter: str) -> list[str]:
    """The text of each cell of a row, quotes included."""
    cells, start, quoted, fresh = [], 0, False, True
    text = raw[: len(raw) - len(_end(raw))]
    for place, sign in enumerate(text):
        if sign == '"' and (fresh or quoted):
            quoted = not quoted
            fresh = not quoted  # a doubled quote closes and opens again
        elif sign == delimiter and not quoted:
            cells.append(text[start:place])
            start, fresh = place + 1, True
        else:
            fresh = False
    return [*cells, text[start:]]


def _cell_text(text: str, delimiter: str, *, quoted: bool) -> str:
    if quoted or any(sign in text for sign in (delimiter, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


def with_cells(table: Table, row: Row, cells: Mapping[str, str]) -> Table:
    """The table with some cells of a row replaced, quoted as the cells before them were."""
    columns, raws = table.columns, _raw_cells(row.raw, table.delimiter)
    new = list(row.cells)
    for name, text in cells.items():
        place = columns.index(name)
        if new[place] != text:
            raws[place] = _cell_text(text, table.delimiter, quoted=raws[place].startswith('"'))
            new[place] = text
    changed = Row(row.line, table.delimiter.join(raws) + _end(row.raw), tuple(new))
    return msgspec.structs.replace(table, rows=tuple(changed if r is row else r for r in table.rows))


def with_row(table: Table, cells: Mapping[str, str]) -> Table:
    """The table with a row added at its end, quoted as the last row is; other columns stay empty."""
    like = next((row for row in reversed(table.rows) if row.cells), table.rows[table.header])
    quoting = [raw.startswith('"') for raw in _raw_cells(like.raw, table.delimiter)]
    quoting += [False] * len(table.columns)
    new = tuple(cells.get(name, "") for name in table.columns)
    texts = [_cell_text(t, table.delimiter, quoted=q) for t, q in zip(new, quoting, strict=False)]
    rows, newline = list(table.rows), _end(table.rows[0].raw) or "\n"
    last = rows[-1]
    closed = _end(last.raw) != ""
    if not closed:
        rows[-1] = msgspec.structs.replace(last, raw=last.raw + newline)
    raw = table.delimiter.join(texts) + (newline if closed else "")
    return msgspec.structs.replace(table, rows=(*rows, Row(last.line + 1, raw, new)))


def with_column(table: Table, name: str) -> Table:
    """The table with an empty column added at the right of every row that is not blank."""

    def wider(place: int, row: Row) -> Row:
        if not row.cells:
            return row
        cell = name if place == table.header else ""
        end = _end(row.raw)
        raw = row.raw[: len(row.raw) - len(end)] + table.delimiter + cell + end
        return Row(row.line, raw, (*row.cells, cell))

    rows = tuple(wider(place, row) for place, row in enumerate(table.rows))
    return msgspec.structs.replace(table, rows=rows)


class Overtaken(Exception):
    """Somebody changed the file between our read and our write: nothing was written."""


def store(table: Table) -> None:
    """Put the table in the place of its file, all or nothing. Raises Overtaken if the file is no longer the one
    that was read, OSError if it cannot be written, UnicodeEncodeError if its encoding lacks a character."""
    data = table.as_bytes()
    path = table.path.resolve()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode)
        if digest_of(path.read_bytes()) != table.digest:
            raise Overtaken
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    # The file is already in its place: a folder that cannot be synced makes the write no less done.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One writer of ours at a time in a folder, among all processes of this machine."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
