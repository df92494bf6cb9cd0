"""A person's hands at a folder of CSV files that stands for the CRM: a copy, so that the original stays as it is."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from bot.demo.hands import Edit, Won
from bot.demo.snapshots import Calls, Snapshot

NEW_REF = "NEW-BY-HAND-1"
NEWLINE = "\n"


class NoSuchLayout(ValueError):
    """The mapping does not say where customers and deals stand."""


class CsvHands:
    """Somebody who edits the export. `columns`: the mapping's section that says what stands in which column."""

    title = "the CSV export"
    seen_after_s = 0.0

    def __init__(self, folder: Path, columns: Mapping[str, Any]) -> None:
        missing = [kind for kind in ("customers", "deals") if kind not in columns]
        if missing:
            raise NoSuchLayout(f"the mapping's columns say nothing of {' and '.join(missing)}")
        self._folder, self._columns = folder, columns
        self._kept: bytes | None = None

    @classmethod
    def on_a_copy(cls, source: Path, folder: Path, columns: Mapping[str, Any]) -> CsvHands:
        shutil.copytree(source, folder, copy_function=shutil.copyfile)
        return cls(folder, columns)

    @property
    def folder(self) -> Path:
        return self._folder

    async def look(self) -> Snapshot:
        """Rows as they stand: whatever changes in a file is a change."""
        records: dict[tuple[str, str], dict[str, Any]] = {}
        for kind, section in (("customer", "customers"), ("item", "items"), ("deal", "deals")):
            if section in self._columns:
                ref = str(self._columns[section]["ref"])
                records |= {
                    (kind, row[ref]): {**row, "name": row[self._called(section)]} for row in self._rows(section)
                }
        return Snapshot("crm", records)

    def _called(self, section: str) -> str:
        """The column that holds a record's name, else the one that holds its ref."""
        fields = self._columns[section].get("fields", {})
        return str(fields.get("legal_name") or fields.get("name") or self._columns[section]["ref"])

    async def calls(self) -> Calls:
        return Calls()

    async def won(self) -> list[Won]:
        deals = self._columns["deals"]
        fields, ref, form = deals["fields"], str(deals["ref"]), str(self._columns.get("dates", "%Y-%m-%d"))
        wins = {word for word, meaning in deals.get("stages", {}).items() if meaning == "won"}
        names = {ref: str(record["name"]) for ref, record in (await self.look()).of("customer").items()}
        found = []
        for row in self._rows("deals"):
            amount = self._amount(row[str(fields["amount"])])
            if row[str(fields["stage"])] in wins and amount is not None:
                day = datetime.strptime(row[str(fields["won_on"])], form).date()  # noqa: DTZ007  # a day has no zone
                whose = row[str(fields["sold_to"])]
                found.append(Won(row[ref], names.get(whose, whose), day, amount))
        return found

    async def win_deal(self, customer: str, on: date) -> Edit:
        """The newest won deal is typed in again under a new number: its customer buys the same once more."""
        newest = max(await self.won(), key=lambda won: (won.on, won.ref))
        ref, path = str(self._columns["deals"]["ref"]), self._path("deals")
        row = next(row for row in self._rows("deals") if row[ref] == newest.ref)
        text = self._text("deals")
        line = io.StringIO()
        writer = csv.DictWriter(line, list(row), delimiter=_delimiter(text), lineterminator="\n")
        writer.writerow({**row, ref: NEW_REF})
        with path.open("ab") as file:
            file.write(f"{'' if text.endswith(NEWLINE) else NEWLINE}{line.getvalue()}".encode(self._plain_encoding))
        said = f"the row {NEW_REF} is added: {newest.customer} buys for {newest.amount:,} once more"
        return Edit(said=said, side="crm", kind="deal", ref=NEW_REF, path=ref, value=NEW_REF)

    async def spoil(self) -> str:
        """The customers' file is saved with its head alone."""
        path = self._path("customers")
        self._kept = path.read_bytes()
        path.write_bytes(self._kept.splitlines(keepends=True)[0])
        return f"somebody saves {path.name} with nothing but its first line"

    async def mend(self) -> None:
        if self._kept is not None:
            self._path("customers").write_bytes(self._kept)

    async def wait(self, seconds: float) -> None:
        return None

    # ----------------------------------------------------------------- files

    @property
    def _encoding(self) -> str:
        """As the mapping says; else UTF-8, with or without a mark."""
        said = str(self._columns.get("encoding", "utf-8"))
        return "utf-8-sig" if said == "utf-8" else said

    @property
    def _plain_encoding(self) -> str:
        return self._encoding.removesuffix("-sig")

    def _path(self, section: str) -> Path:
        return self._folder / str(self._columns[section]["file"])

    def _text(self, section: str) -> str:
        return self._path(section).read_bytes().decode(self._encoding)

    def _rows(self, section: str) -> list[dict[str, str]]:
        text = self._text(section)
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))

    def _amount(self, text: str) -> Decimal | None:
        point = str(self._columns.get("decimal", "."))
        plain = text.replace("." if point == "," else ",", "").replace(point, ".")
        try:
            return Decimal(plain)
        except InvalidOperation:
            return None


def _delimiter(text: str) -> str:
    """The one that the head of the file has most of."""
    head = text.partition(NEWLINE)[0]
    return max(",;\t|", key=head.count)
