"""The columns section is checked once, and what is wrong with it is said in full."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.canon.records import Kind
from connectors.csv.connector import Csv
from connectors.csv.layout import read_layout
from connectors.kit.contract import Wanted
from connectors.kit.errors import BadSettings

CUSTOMERS = "customers: {file: a.csv, ref: no, fields: {legal_name: account}}"


def test_section_is_read_with_and_without_its_heading() -> None:
    """A mapping's section may be handed over with its `columns:` line or without it."""
    assert read_layout(f"columns:\n  {CUSTOMERS}") == read_layout(CUSTOMERS)


def test_stages_named_yes_and_no_stay_words() -> None:
    """YAML would read a stage called No as false."""
    layout = read_layout("deals: {file: d.csv, ref: id, fields: {stage: s}, stages: {Yes: won, No: lost}}")
    assert {"Yes": "won", "No": "lost"} == layout.sheets[Kind.DEAL].stages


def test_number_in_a_line_is_a_constant() -> None:
    """`qty: 1` says that every line has one."""
    layout = read_layout("deals: {file: d.csv, ref: id, fields: {name: n}, line: {item: product, qty: 1}}")
    assert {"item": "product", "qty": Decimal(1)} == layout.sheets[Kind.DEAL].line
    assert ("id", "n", "product") == layout.sheets[Kind.DEAL].columns


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("customers: {file: a.csv, ref: no, fields: {legal_nam: account}}", 'Did you mean "legal_name"?'),
        ("custmers: {file: a.csv, ref: no, fields: {legal_name: account}}", 'Did you mean "customers"?'),
        ("customers: {file: a.csv, fields: {legal_name: account}}", "customers: ref is missing."),
        ("customers: {file: ../a.csv, ref: no, fields: {legal_name: account}}", "without a path"),
        ("deals: {file: d.csv, ref: id, fields: {amount: value}}", "amount has no currency"),
        ("deals: {file: d.csv, ref: id, fields: {stage: s}, stages: {Won: wun}}", 'cannot mean "wun"'),
        (f"decimal: ';'\n{CUSTOMERS}", 'decimal ";" is not known'),
        (f"encoding: utf-16\n{CUSTOMERS}", 'encoding "utf-16" is not known'),
        ("customers: {file: a.csv, ref: no, fields: {legal_name: account}", "cannot be read in line"),
        ("currency: USD", "name no file"),
        ("just a text", "must say which file"),
    ],
)
def test_what_is_wrong_is_said(columns: str, said: str) -> None:
    """A word that is not known, a part that is missing, a value that cannot be: each is named."""
    with pytest.raises(BadSettings) as caught:
        read_layout(columns)
    assert said in caught.value.message


def test_mapping_brings_its_columns_along() -> None:
    """A pair's mapping puts its columns section into the connection's settings."""
    wanted = Wanted(columns={"customers": {"file": "a.csv", "ref": "no", "fields": {"legal_name": "account"}}})
    tuned = Csv.tuned({"folder": "here"}, wanted)
    assert read_layout(CUSTOMERS) == read_layout(tuned["columns"])
    assert {"folder": "here"} == Csv.tuned({"folder": "here"}, Wanted())
