"""All changes of a plan as a file, for the thread under a long preview: a workbook, or CSV where they are too many."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec
import xlsxwriter

from bot.blocks.parts import shown
from bot.blocks.plan import what_it_does
from worker.api.trail import guarded
from worker.api.views import ChangeView

HEAD = ("System", "What", "Record", "Field", "Before", "After", "Net", "Currency", "State", "Why")
WIDTHS = (16, 18, 34, 22, 30, 30, 14, 9, 12, 60)
WORKBOOK_CHANGES = 50_000  # a workbook of so many takes two seconds to write, and a while to open

Cell: TypeAlias = str | Decimal | None
Pages: TypeAlias = AsyncIterator[Sequence[ChangeView]]


class ChangesFile(msgspec.Struct, frozen=True, kw_only=True):
    """`ending` is how its name ends, `comment` what is said with it."""

    ending: str
    content: bytes
    comment: str


async def changes_file(number: int, pages: Pages) -> ChangesFile:
    """A workbook of up to 50,000 changes, CSV beyond. A workbook is made beside the loop: who presses a button
    meanwhile is answered."""
    if number > WORKBOOK_CHANGES:
        comment = f"All {number:,} changes of the plan, as CSV: a workbook takes {WORKBOOK_CHANGES:,} at most."
        return ChangesFile(ending="csv", content=await changes_csv(pages), comment=comment)
    changes = [change async for page in pages for change in page]
    content = await asyncio.to_thread(changes_workbook, changes)
    return ChangesFile(ending="xlsx", content=content, comment=f"All {len(changes):,} changes of the plan.")


async def changes_csv(pages: Pages) -> bytes:
    """UTF-8, a row as soon as its change is read. What a spreadsheet would take for a formula gets an apostrophe."""
    data = io.BytesIO()
    text = io.TextIOWrapper(data, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    async for page in pages:
        writer.writerows(_plain(row) for change in page for row in _rows(change))
    text.flush()
    return data.getvalue()


def _plain(row: Sequence[Cell]) -> list[str]:
    return ["" if cell is None else f"{cell:f}" if isinstance(cell, Decimal) else guarded(cell) for cell in row]


def changes_workbook(changes: Sequence[ChangeView]) -> bytes:
    """One row for each field of each change. Text never becomes a formula."""
    data = io.BytesIO()
    book = xlsxwriter.Workbook(data, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet("Changes")
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    sheet.write_row(0, 0, HEAD, book.add_format({"bold": True, "bottom": 1}))
    sheet.freeze_panes(1, 0)
    money = book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"})
    number = 0
    for number, row in enumerate((row for change in changes for row in _rows(change)), 1):
        for column, cell in enumerate(row):
            if isinstance(cell, Decimal):
                sheet.write_number(number, column, cell, money)
            elif cell is not None:
                sheet.write_string(number, column, cell)
    sheet.autofilter(0, 0, max(number, 1), len(HEAD) - 1)
    book.close()
    return data.getvalue()


def _rows(change: ChangeView) -> Iterator[tuple[Cell, ...]]:
    """In the columns of `HEAD`."""
    for field, before, after in _fields(change):
        yield (
            change.system, what_it_does(change), change.title, field, before, after,
            change.net, change.currency, change.state, change.reason or change.why,
        )  # fmt: skip


def _fields(change: ChangeView) -> list[tuple[str, str, str]]:
    if change.operation == "create" or not change.fields:
        return [("", "", "")]
    return [(field.path, shown(field.before), shown(field.after)) for field in change.fields]
