"""All changes of a plan as a workbook, for the thread under a long preview."""

from __future__ import annotations

import io
from collections.abc import Sequence

import xlsxwriter

from bot.blocks.parts import shown
from bot.blocks.plan import what_it_does
from worker.api.views import ChangeView

HEAD = ("System", "What", "Record", "Field", "Before", "After", "Net", "Currency", "State", "Why")
WIDTHS = (16, 18, 34, 22, 30, 30, 14, 9, 12, 60)


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
    row = 0
    for change in changes:
        for field, before, after in _fields(change):
            row += 1
            cells = (change.system, what_it_does(change), change.title, field, before, after)
            for column, text in enumerate((*cells, None, change.currency, change.state, change.reason or change.why)):
                if text is not None:
                    sheet.write_string(row, column, text)
            if change.net is not None:
                sheet.write_number(row, 6, change.net, money)
    sheet.autofilter(0, 0, max(row, 1), len(HEAD) - 1)
    book.close()
    return data.getvalue()


def _fields(change: ChangeView) -> list[tuple[str, str, str]]:
    if change.operation == "create" or not change.fields:
        return [("", "", "")]
    return [(field.path, shown(field.before), shown(field.after)) for field in change.fields]
