"""The file with all changes of a plan: a workbook up to 50,000 of them, CSV beyond, the same rows in both."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

import pytest
from openpyxl import load_workbook

from bot import changes_file as module
from bot.changes_file import HEAD, ChangesFile, changes_csv, changes_file, changes_workbook
from tests.unit.bot import looks
from worker.api.views import ChangeView, FieldView

TWO = (FieldView(path="phone", before=None, after="1"), FieldView(path="notes", before="a\nb", after=None))
CHANGES = (
    looks.INVOICE,
    looks.NEW,
    looks.change(title="Käse & Söhne", fields=TWO),
    looks.change(state="held", reason="guard: 6 customers would be removed", fields=TWO[:1]),
)


async def _pages(changes: Sequence[ChangeView], size: int = 2) -> AsyncIterator[Sequence[ChangeView]]:
    for at in range(0, len(changes), size):
        yield changes[at : at + size]


def _read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def _in_workbook(content: bytes) -> list[list[str]]:
    sheet = load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    return [["" if cell is None else str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]


async def test_both_files_have_the_same_rows() -> None:
    """The same columns, a row for each field of each change."""
    table, sheet = _read(await changes_csv(_pages(CHANGES))), _in_workbook(changes_workbook(CHANGES))
    assert [row[:6] + row[7:] for row in sheet] == [row[:6] + row[7:] for row in table]
    assert (list(HEAD), 6, "6120.00", "6120.0") == (table[0], len(table), table[1][6], sheet[1][6])


async def test_text_never_becomes_a_formula() -> None:
    """What somebody typed at a vendor is opened in a spreadsheet."""
    evil = looks.change(
        title="=cmd|'/c calc'!A1", why="@SUM(1)", fields=(FieldView(path="x", before="+1", after="-1"),)
    )
    row = _read(await changes_csv(_pages([evil])))[1]
    assert ["'=cmd|'/c calc'!A1", "'+1", "'-1", "'@SUM(1)"] == [row[2], row[4], row[5], row[9]]


@pytest.mark.parametrize(
    ("most", "ending", "comment"),
    [
        (4, "xlsx", "All 4 changes of the plan."),
        (3, "csv", "All 4 changes of the plan, as CSV: a workbook takes 3 at most."),
    ],
)
async def test_beyond_fifty_thousand_it_is_csv(
    monkeypatch: pytest.MonkeyPatch, most: int, ending: str, comment: str
) -> None:
    """The bound itself is still a workbook."""
    assert 50_000 == module.WORKBOOK_CHANGES
    monkeypatch.setattr(module, "WORKBOOK_CHANGES", most)
    made: ChangesFile = await changes_file(4, _pages(CHANGES))
    assert (ending, comment) == (made.ending, made.comment)
    assert made.content.startswith(b"PK" if ending == "xlsx" else b"System,What,Record")
