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
                records |= {(kind, row[ref]): {"name": row[ref], **row} for row in self._rows(section)}
        return Snapshot("crm", records)

    async def calls(self) -> Calls:
        return Calls()

    async def won(self) -> list[Won]:
        deals = self._columns["deals"]
        fields, form = deals["fields"], str(self._columns.get("dates", "%Y-%m-%d"))
        wins = {word for word, meaning in deals.get("stages", {}).items() if meaning == "won"}
        found = []
        for row in self._rows("deals"):
            amount = self._amount(row[str(fields["amount"])])
            if row[str(fields["stage"])] in wins and amount is not None:
                day = datetime.strptime(row[str(fields["won_on"])], form).date()  # noqa: DTZ007  # a day has no zone
                found.append(Won(row[str(deals["ref"])], row[str(fields["sold_to"])], day, amount))
        return found

    async def win_deal(self, customer: str, on: date) -> Edit:
        """The newest won deal is typed in again under a new number: a customer buys the same once more."""
        newest = max(await self.won(), key=lambda won: (won.on, won.ref))
        deals = self._columns["deals"]
        row = dict(next(row for row in self._rows("deals") if row[str(deals["ref"])] == newest.ref))
        row[str(deals["ref"])] = NEW_REF
        path = self._path("deals")
        with path.open("a", encoding=self._encoding, newline="") as file:
            csv.DictWriter(file, fieldnames=list(row)).writerow(row)
        said = f"the row {NEW_REF} is added: {newest.customer} buys for {newest.amount:,} once more"
        return Edit(said=said, side="crm", kind="deal", ref=NEW_REF, path=str(deals["ref"]), value=NEW_REF)

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
        return str(self._columns.get("encoding", "utf-8"))

    def _path(self, section: str) -> Path:
        return self._folder / str(self._columns[section]["file"])

    def _rows(self, section: str) -> list[dict[str, str]]:
        text = self._path(section).read_text(encoding=self._encoding)
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def _amount(self, text: str) -> Decimal | None:
        point = str(self._columns.get("decimal", "."))
        plain = text.replace("." if point == "," else ",", "").replace(point, ".")
        try:
            return Decimal(plain)
        except InvalidOperation:
            return None
