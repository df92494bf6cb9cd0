"""Writes keep the file as it was found, and never run over somebody else's save."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.canon.fields import Value
from connectors.canon.records import AnyRecord, Customer, Deal, DealLine, Invoice, InvoiceLine, Kind
from connectors.canon.values import Address, Money
from connectors.csv import connector as csv_connector
from connectors.csv import table as csv_table
from connectors.csv.connector import Csv
from connectors.csv.table import Table, store
from connectors.kit.contract import Create, Denied, Done, Moved, NotSent, Outcome, Update
from tests.unit.csv.conftest import Open

COLUMNS = "customers: {file: c.csv, ref: no, fields: {legal_name: name, notes: notes}}"


async def create(connector: Csv, record: AnyRecord, marker: str = "m1") -> Outcome:
    (outcome,) = await connector.write([Create(record=record, marker=marker, key=marker)], marker)
    return outcome


async def update(connector: Csv, kind: Kind, ref: str, after: Mapping[str, Value]) -> Outcome:
    version = (await connector.get(kind, [ref]))[ref].version  # type: ignore[union-attr]  # a row is no tombstone
    write = Update(kind=kind, ref=ref, version=version, before={}, after=after, key="k")
    (outcome,) = await connector.write([write], "k")
    return outcome


async def test_update_leaves_every_other_byte(tmp_path: Path, open_csv: Open) -> None:
    """Mark, line ends, quoting, blank and broken lines stay as they were."""
    before = '\ufeffno;name;notes;extra\r\n"1";"A ""quoted"" one";old;\r\n\r\nbroken;row\r\n2;Müller;"two\r\nlines";x'
    (tmp_path / "c.csv").write_bytes(before.encode())
    outcome = await update(open_csv(COLUMNS), Kind.CUSTOMER, "1", {"notes": 'says "no; never"'})
    assert isinstance(outcome, Done)
    after = before.replace('one";old;', 'one";"says ""no; never""";')
    assert after.encode() == (tmp_path / "c.csv").read_bytes()


async def test_first_append_brings_the_marker_column(tmp_path: Path, open_csv: Open) -> None:
    """The new row is quoted as the last one is, numbered on, and marked; no line end is added that was not there."""
    (tmp_path / "c.csv").write_bytes(b'no,name,notes\r\n"007","Acme",')
    outcome = await create(open_csv(COLUMNS), Customer(legal_name="Beta, Inc"))
    assert isinstance(outcome, Done)
    assert "008" == outcome.ref
    assert (
        b'no,name,notes,tieout_marker\r\n"007","Acme",,\r\n"008","Beta, Inc",,m1' == (tmp_path / "c.csv").read_bytes()
    )


async def test_marker_column_makes_no_version_old(tmp_path: Path, open_csv: Open) -> None:
    """The first append touches every line, and still nobody's update is stale for it."""
    (tmp_path / "c.csv").write_text("no,name,notes\n1,Acme,\n")
    connector = open_csv(COLUMNS)
    old = (await connector.get(Kind.CUSTOMER, ["1"]))["1"]
    await create(connector, Customer(legal_name="Beta"))
    write = Update(
        kind=Kind.CUSTOMER, ref="1", version=old.version, before={}, after={"notes": "x"}, key="k"  # type: ignore[union-attr]  # a row is no tombstone
    )  # fmt: skip
    assert isinstance((await connector.write([write], "k"))[0], Done)


async def test_same_marker_is_written_once(tmp_path: Path, open_csv: Open) -> None:
    """A repeat after a lost answer is refused, and names the first."""
    (tmp_path / "c.csv").write_text("no,name,notes\n")
    connector = open_csv(COLUMNS)
    first = await create(connector, Customer(legal_name="Beta"))
    again = await create(connector, Customer(legal_name="Beta"))
    assert isinstance(first, Done)
    assert isinstance(again, Denied)
    assert ("duplicate", first.ref) == (again.code, again.existing)


async def test_edit_by_hand_since_makes_it_moved(tmp_path: Path, open_csv: Open) -> None:
    """A row that somebody changed since it was read is not written over."""
    (tmp_path / "c.csv").write_text("no,name,notes\n1,Acme,\n")
    connector = open_csv(COLUMNS)
    old = (await connector.get(Kind.CUSTOMER, ["1"]))["1"]
    (tmp_path / "c.csv").write_text("no,name,notes\n1,Acme,by hand\n")
    write = Update(
        kind=Kind.CUSTOMER, ref="1", version=old.version, before={}, after={"notes": "ours"}, key="k"  # type: ignore[union-attr]  # a row is no tombstone
    )  # fmt: skip
    (outcome,) = await connector.write([write], "k")
    assert isinstance(outcome, Moved)
    assert outcome.current is not None
    assert "no,name,notes\n1,Acme,by hand\n" == (tmp_path / "c.csv").read_text()


async def test_save_between_read_and_replace_is_not_lost(
    tmp_path: Path, open_csv: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves the file while we prepare ours: theirs stays, and ours is made again on top of it."""
    file = tmp_path / "c.csv"
    file.write_text("no,name,notes\n1,Acme,\n")
    saves = iter(["no,name,notes\n1,Acme,\n2,By Hand,\n"])

    def store_after_a_save(table: Table) -> None:
        text = next(saves, None)
        if text is not None:
            file.write_text(text)
        store(table)

    monkeypatch.setattr(csv_connector, "store", store_after_a_save)
    outcome = await create(open_csv(COLUMNS), Customer(legal_name="Ours"))
    assert isinstance(outcome, Done)
    assert "no,name,notes,tieout_marker\n1,Acme,,\n2,By Hand,,\n3,Ours,,m1\n" == file.read_text()


async def test_saboteur_without_the_check_loses_the_save(
    tmp_path: Path, open_csv: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check right before the replace is what keeps the other's save: without it, it is gone."""
    file = tmp_path / "c.csv"
    file.write_text("no,name,notes\n1,Acme,\n")

    def careless(table: Table) -> None:
        file.write_text("no,name,notes\n1,Acme,\n2,By Hand,\n")
        file.write_bytes(table.as_bytes())

    monkeypatch.setattr(csv_connector, "store", careless)
    await create(open_csv(COLUMNS), Customer(legal_name="Ours"))
    assert "By Hand" not in file.read_text()


async def test_file_that_never_rests_is_not_sent(
    tmp_path: Path, open_csv: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three tries nothing was written, and it says so."""
    file = tmp_path / "c.csv"
    file.write_text("no,name,notes\n1,Acme,\n")

    def always_late(table: Table) -> None:
        file.write_text(file.read_text() + "9,x,\n")
        store(table)

    monkeypatch.setattr(csv_connector, "store", always_late)
    outcome = await create(open_csv(COLUMNS), Customer(legal_name="Ours"))
    assert isinstance(outcome, NotSent)
    assert "Ours" not in file.read_text()
    assert ["c.csv"] == os.listdir(tmp_path)


async def test_failed_replace_leaves_the_file_and_nothing_else(
    tmp_path: Path, open_csv: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full while we write: the old file stands, and no leavings beside it."""
    (tmp_path / "c.csv").write_text("no,name,notes\n1,Acme,\n")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv_table.os, "fsync", full)
    outcome = await create(open_csv(COLUMNS), Customer(legal_name="Ours"))
    assert isinstance(outcome, NotSent)
    assert "no,name,notes\n1,Acme,\n" == (tmp_path / "c.csv").read_text()
    assert ["c.csv"] == os.listdir(tmp_path)


async def test_what_has_no_column_is_denied(tmp_path: Path, open_csv: Open) -> None:
    """A value that the file cannot hold is not dropped silently."""
    (tmp_path / "c.csv").write_text("no,name,notes\n1,Acme,\n")
    connector = open_csv(COLUMNS)
    web = await create(connector, Customer(legal_name="Web", website="example.test"))
    address = await create(connector, Customer(legal_name="Web", addresses={"billing": Address(city="Leeds")}))
    assert isinstance(web, Denied)
    assert isinstance(address, Denied)
    assert ("website", "addresses.billing") == (web.field, address.field)


async def test_ref_column_is_not_changed(tmp_path: Path, open_csv: Open) -> None:
    """Where the name is the ref, renaming would cut every row that points at it."""
    (tmp_path / "c.csv").write_text("name,notes\nAcme,\n")
    connector = open_csv("customers: {file: c.csv, ref: name, fields: {legal_name: name, notes: notes}}")
    outcome = await update(connector, Kind.CUSTOMER, "Acme", {"legal_name": "Acme Ltd"})
    assert isinstance(outcome, Denied)
    assert "legal_name" == outcome.field
    assert frozenset({"notes"}) == connector.facts.kinds[Kind.CUSTOMER].writable


async def test_letter_outside_the_encoding_is_denied(tmp_path: Path, open_csv: Open) -> None:
    """A name in another script does not become question marks; its neighbours are written."""
    (tmp_path / "c.csv").write_bytes("no,name,notes\n1,Müller,\n".encode("cp1252"))
    connector = open_csv(COLUMNS)
    writes = [
        Create(record=Customer(legal_name=name), marker=f"m-{name}", key=name) for name in ("株式会社", "Märklin")
    ]
    outcomes = await connector.write(writes, "k")
    assert [Denied, Done] == [type(outcome) for outcome in outcomes]
    assert "Märklin" in (tmp_path / "c.csv").read_bytes().decode("cp1252")


async def test_deal_that_does_not_fit_one_row_is_denied(tmp_path: Path, open_csv: Open) -> None:
    """Two lines, another quantity, or an amount that is not the line's price: the file could not tell them."""
    (tmp_path / "d.csv").write_text("id,stage,value,product\n")
    connector = open_csv(
        "currency: USD\ndeals: {file: d.csv, ref: id, fields: {stage: stage, amount: value},"
        " line: {item: product, qty: 1, unit_price: value}, stages: {Won: won, New: open, Old: open}}"
    )
    ten = Money(Decimal(10), "USD")
    one = DealLine(key="1", item_name="x", unit_price=Decimal(10))
    two = DealLine(key="1", item_name="x", qty=Decimal(2), unit_price=Decimal(5))
    nine = DealLine(key="1", item_name="x", unit_price=Decimal(9))
    deals = [
        Deal(stage="Won", amount=ten, lines=(one,)),
        Deal(stage="Won", amount=ten, lines=(one, one)),
        Deal(stage="Won", amount=ten, lines=(two,)),
        Deal(stage="Won", amount=ten, lines=(nine,)),
        Deal(status="open", amount=ten),
        Deal(stage="Won", amount=Money(Decimal(10), "EUR")),
    ]
    outcomes = [await create(connector, deal, f"m{number}") for number, deal in enumerate(deals)]
    assert [Done, *[Denied] * 5] == [type(outcome) for outcome in outcomes]
    assert "id,stage,value,product,tieout_marker\nm0,Won,10,x,m0\n" == (tmp_path / "d.csv").read_text()


async def test_book_row_keeps_what_it_has_columns_for(tmp_path: Path, open_csv: Open) -> None:
    """An invoice row without line columns keeps the totals; the lines have no place in it."""
    (tmp_path / "i.csv").write_text("number,who,day,total\n")
    connector = open_csv(
        "currency: USD\ninvoices: {file: i.csv, ref: number,"
        " fields: {number: number, customer: who, date: day, total: total}}"
    )
    line = InvoiceLine(net=Decimal(10))
    outcome = await create(
        connector, Invoice(number="N1", customer="1", currency="USD", total=Decimal(10), lines=(line,))
    )
    assert isinstance(outcome, Done)
    assert "number,who,day,total,tieout_marker\nN1,1,,10,m1\n" == (tmp_path / "i.csv").read_text()


async def test_window_after_rows_were_sorted_gives_more_never_less(tmp_path: Path, open_csv: Open) -> None:
    """The second probe cannot miss our row because somebody sorted the file meanwhile."""
    (tmp_path / "c.csv").write_text("no,name,notes\n1,B,\n2,A,\n")
    connector = open_csv(COLUMNS)
    mark = await connector.mark(Kind.CUSTOMER)
    await create(connector, Customer(legal_name="Ours"))
    assert ["3"] == [record.ref for record in await connector.created_since(Kind.CUSTOMER, mark)]
    (tmp_path / "c.csv").write_text("no,name,notes,tieout_marker\n3,Ours,,m1\n2,A,,\n1,B,,\n")
    assert {"1", "2", "3"} == {record.ref for record in await connector.created_since(Kind.CUSTOMER, mark)}
