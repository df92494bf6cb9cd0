"""A person's hands at an export: what they type is what the file says, and the original stays as it is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.demo.csv_hands import NEW_REF, CsvHands, NoSuchLayout
from bot.demo.hands import Won

COLUMNS: dict[str, Any] = {
    "decimal": ",",
    "dates": "%d.%m.%Y",
    "customers": {"file": "kunden.csv", "ref": "nr", "fields": {"legal_name": "name"}},
    "deals": {
        "file": "deals.csv",
        "ref": "id",
        "fields": {"sold_to": "kunde", "stage": "stand", "won_on": "am", "amount": "betrag"},
        "stages": {"gewonnen": "won", "offen": "open"},
    },
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "kunden.csv").write_text("﻿nr;name\nK1;Müller & Söhne\n", encoding="utf-8")
    deals = "id;kunde;stand;am;betrag\nD1;K1;gewonnen;05.10.2026;1.200,50\nD2;K1;offen;;9,00"
    (folder / "deals.csv").write_text(deals, encoding="utf-8")
    return folder


async def test_won_deals_are_read_as_the_mapping_says(source: Path, tmp_path: Path) -> None:
    """Semicolons, a mark at the beginning, commas in numbers: all as the columns say."""
    hands = CsvHands.on_a_copy(source, tmp_path / "copy", COLUMNS)
    assert [Won("D1", "Müller & Söhne", date(2026, 10, 5), Decimal("1200.50"))] == await hands.won()


async def test_a_deal_that_is_won_is_a_new_row(source: Path, tmp_path: Path) -> None:
    """Also where the last row has no line end; the original stays as it is."""
    hands = CsvHands.on_a_copy(source, tmp_path / "copy", COLUMNS)
    before = (source / "deals.csv").read_bytes()

    await hands.win_deal("", date(2026, 11, 22))

    expected = ["id;kunde;stand;am;betrag", "D1;K1;gewonnen;05.10.2026;1.200,50", "D2;K1;offen;;9,00"]
    expected.append(f"{NEW_REF};K1;gewonnen;05.10.2026;1.200,50")
    assert expected == (tmp_path / "copy" / "deals.csv").read_text(encoding="utf-8").splitlines()
    assert before == (source / "deals.csv").read_bytes()


async def test_a_file_that_was_spoilt_is_mended_to_the_byte(source: Path, tmp_path: Path) -> None:
    hands = CsvHands.on_a_copy(source, tmp_path / "copy", COLUMNS)
    path = tmp_path / "copy" / "kunden.csv"
    before = path.read_bytes()

    await hands.spoil()
    assert ["﻿nr;name"] == path.read_text(encoding="utf-8").splitlines()
    await hands.mend()
    assert before == path.read_bytes()


def test_columns_without_deals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSuchLayout, match="deals"):
        CsvHands(tmp_path, {"customers": COLUMNS["customers"]})
