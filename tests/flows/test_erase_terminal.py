"""`tieout audit erase` on the sandboxes of HubSpot and QuickBooks, in processes of their own: QuickBooks deletes no
customer, it only makes them inactive."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tests.flows.terminal import Terminal, Vendor, books, crm, paired, tieout

__all__ = ["books", "crm", "paired", "tieout"]  # fixtures
NAME, ADDRESS = "Betatech Inc", "books:customer:"
FORMER = {"DisplayName": "Former customer", "CompanyName": "Former customer", "phone": ""}


def rows_naming(path: Path, *words: str) -> dict[str, int]:
    """table.column -> in how many rows."""
    found: dict[str, int] = {}
    with contextlib.closing(sqlite3.connect(path)) as store:
        for (table,) in store.execute("select name from sqlite_master where type = 'table'").fetchall():
            cursor = store.execute(f'select * from "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, str) and any(word in value.lower() for word in words):
                        found[f"{table}.{name}"] = found.get(f"{table}.{name}", 0) + 1
    return found


def files_naming(folder: Path, *words: str) -> list[str]:
    found = {path.name: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()}
    return sorted(name for name, data in found.items() if any(word.encode() in data for word in words))


def test_a_person_is_forgotten_once_both_systems_put_them_away(
    paired: Terminal, crm: Vendor, books: Vendor, tmp_path: Path
) -> None:
    paired.expect(0, "sync --yes")
    company = next(c["id"] for c in crm.state()["companies"] if c["properties"]["name"] == NAME)
    crm.hand("edit", object="companies", id=company, properties={"phone": "+12025550999"})
    crm.hand("clock/advance", seconds=60)
    paired.expect(0, "sync --yes")
    refused = paired.expect(1, "audit", "erase", NAME, "--yes")
    assert "HubSpot still shows customer" in refused.err and "QuickBooks still shows customer" in refused.err
    assert "--still-there" in refused.err
    crm.hand("archive", object="companies", id=company)
    customer = next(c["Id"] for c in books.state()["entities"]["Customer"] if c["DisplayName"] == NAME)
    books.hand("edit", entity="Customer", id=customer, fields=dict(FORMER, Active=False))
    paired("sync --yes")  # HubSpot says that the company is gone when it is written to
    unasked = paired.expect(3, "audit", "erase", ADDRESS + customer, "--still-there")
    assert f"tieout audit erase {ADDRESS}{customer} --still-there --yes" in unasked.err
    done = paired.expect(0, "audit", "erase", ADDRESS + customer, "--still-there", "--yes")
    assert f"Only put away, and kept by its system: crm:customer:{company}" in done.out
    assert "The chain still holds." in done.out
    assert f"Still named by what the systems show: {ADDRESS}{customer}. Change it there." in done.out  # on its checks
    assert [] == files_naming(tmp_path / "data", "2025550999")
    assert {"mirror.body": 1} == rows_naming(tmp_path / "data" / "tieout.db", NAME.lower())
