"""The table between wire names and canonical paths."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.values import ABSENT
from connectors.kit.errors import Unsupported
from connectors.kit.table import (
    DAY,
    DECIMAL,
    DECIMAL_TEXT,
    FLAG,
    FLAG_TEXT,
    INSTANT,
    INSTANT_MS,
    TEXT,
    Form,
    Table,
    Unreadable,
    Wire,
    to_canon,
    to_wire,
)

TABLE = Table(
    [
        Wire("legal_name", "CompanyName"),
        Wire("emails.billing", "BillEmail.Address"),
        Wire("active", "Active", FLAG),
        Wire("credit_limit", "Terms.Limit.Amount", DECIMAL),
        Wire("balance", "Balance", DECIMAL, writable=False),
    ]
)


def test_a_whole_record() -> None:
    """Each field comes from its wire name, however deep."""
    wire = {
        "CompanyName": "Acacia Ltd",
        "BillEmail": {"Address": "ap@acacia.test"},
        "Active": False,
        "Terms": {"Limit": {"Amount": 0}},
        "Balance": Decimal("0.00"),
        "Other": 1,
    }
    assert {
        "legal_name": "Acacia Ltd",
        "emails.billing": "ap@acacia.test",
        "active": False,
        "credit_limit": Decimal(0),
        "balance": Decimal("0.00"),
    } == to_canon(TABLE, wire)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({}, ABSENT),
        ({"BillEmail": {}}, ABSENT),
        ({"BillEmail": None}, None),
        ({"BillEmail": {"Address": None}}, None),
        ({"BillEmail": {"Address": ""}}, None),
    ],
)
def test_absent_is_not_empty(wire: dict[str, Any], value: object) -> None:
    """A key left out is not told; null, "" and a null parent are empty."""
    assert value is to_canon(TABLE, wire)["emails.billing"]


def test_what_was_not_asked_for_is_absent() -> None:
    """A vendor that answers null for what was not asked has not told anything."""
    assert {
        path: value
        for path, value in to_canon(TABLE, {"CompanyName": None, "Active": "true"}, asked={"Active"}).items()
        if value is not ABSENT
    } == {"active": True}


def test_a_vendor_that_leaves_empty_fields_out() -> None:
    """The table, or one entry, may say that a missing key means empty."""
    table = Table([Wire("a", "A"), Wire("b", "B.C"), Wire("c", "C", missing="absent")], missing="empty")
    assert to_canon(table, {}) == {"a": None, "b": None, "c": ABSENT}


def test_writing_names_only_what_is_set() -> None:
    """Nested where the vendor nests; ABSENT is left out; None empties."""
    values = {"emails.billing": None, "credit_limit": Decimal("10.50"), "legal_name": ABSENT, "active": False}
    assert {"BillEmail": {"Address": None}, "Terms": {"Limit": {"Amount": Decimal("10.50")}}, "Active": False} == (
        to_wire(TABLE, values)
    )


def test_emptied_in_the_vendors_way() -> None:
    """Some vendors empty with ""."""
    assert to_wire(Table([Wire("a", "p.a")], empty=""), {"a": None}) == {"p": {"a": ""}}


@pytest.mark.parametrize("path", ["balance", "nowhere"])
def test_what_may_not_be_written_is_refused(path: str) -> None:
    """A read-only or unknown field is said, not dropped."""
    with pytest.raises(Unsupported, match=path):
        to_wire(TABLE, {path: "1"})


def test_a_path_stands_once() -> None:
    """Two entries for one path would overwrite each other."""
    with pytest.raises(ValueError, match="twice"):
        Table([Wire("a", "A"), Wire("a", "B")])


def test_what_the_table_knows() -> None:
    """Facts that a connector declares from it."""
    assert (("CompanyName", "BillEmail.Address", "Active", "Terms.Limit.Amount", "Balance"), {"balance"}) == (
        TABLE.names,
        set(TABLE.paths - TABLE.writable),
    )


GOOD: list[tuple[Form, Any, Any, Any]] = [
    (TEXT, "x", "x", "x"),
    (TEXT, 7, "7", "7"),
    (DECIMAL, Decimal("1.10"), Decimal("1.10"), Decimal("1.10")),
    (DECIMAL, "12", Decimal(12), Decimal(12)),
    (DECIMAL, 0, Decimal(0), Decimal(0)),
    (DECIMAL_TEXT, "1E+3", Decimal(1000), "1000"),
    (DAY, "2026-11-30", date(2026, 11, 30), "2026-11-30"),
    (DAY, "2026-11-30T23:30:00-08:00", date(2026, 11, 30), "2026-11-30"),
    (INSTANT, "2026-11-30T01:00:00-08:00", datetime(2026, 11, 30, 9, tzinfo=UTC), "2026-11-30T09:00:00.000Z"),
    (INSTANT, "2026-11-30T09:00:00.5Z", datetime(2026, 11, 30, 9, 0, 0, 500000, UTC), "2026-11-30T09:00:00.500Z"),
    (INSTANT_MS, "1700000000001", datetime(2023, 11, 14, 22, 13, 20, 1000, UTC), "1700000000001"),
    (INSTANT_MS, 0, datetime(1970, 1, 1, tzinfo=UTC), "0"),
    (FLAG, True, True, True),
    (FLAG, "False", False, False),
    (FLAG_TEXT, "true", True, "true"),
]


@pytest.mark.parametrize(("form", "wire", "canon", "back"), GOOD)
def test_forms_both_ways(form: Form, wire: Any, canon: Any, back: Any) -> None:
    """What is read, and what is written for it; zero and false are values."""
    table = Table([Wire("a", "A", form)])
    assert ({"a": canon}, {"A": back}) == (to_canon(table, {"A": wire}), to_wire(table, {"a": canon}))


BAD: list[tuple[Form, Any]] = [
    (TEXT, ["x"]),
    (TEXT, True),
    (DECIMAL, 0.1),
    (DECIMAL, "1,000"),
    (DECIMAL, "NaN"),
    (DECIMAL, True),
    (DECIMAL, {"amount": 1}),
    (DAY, "30.11.2026"),
    (DAY, "2026-11-301"),
    (DAY, 20261130),
    (INSTANT, "2026-11-30T01:00:00"),
    (INSTANT, "yesterday"),
    (INSTANT_MS, "soon"),
    (INSTANT_MS, "9" * 30),
    (FLAG, "yes"),
    (FLAG, 1),
]


@pytest.mark.parametrize(("form", "wire"), BAD)
def test_nothing_is_guessed(form: Form, wire: Any) -> None:
    """A value that is not of its form is named, with the vendor's word for the field."""
    with pytest.raises(Unreadable) as raised:
        to_canon(Table([Wire("a", "P.A", form)]), {"P": {"A": wire}})
    assert (raised.value.path, raised.value.wire) == ("a", "P.A")


def test_a_parent_that_is_no_object_is_unreadable() -> None:
    """A text where an object should be is named too."""
    with pytest.raises(Unreadable):
        to_canon(Table([Wire("a", "P.A")]), {"P": "text"})


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_amounts_survive_as_text(amount: Decimal) -> None:
    """Any amount comes back as it was written."""
    table = Table([Wire("a", "A", DECIMAL_TEXT)])
    assert {"a": amount} == to_canon(table, to_wire(table, {"a": amount}))


INSTANTS = (
    st.integers(0, 4 * 10**9)
    .map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    .flatmap(lambda second: st.integers(0, 999_999).map(lambda us: second.replace(microsecond=us)))
)


@given(INSTANTS)
def test_instants_survive_to_the_millisecond(moment: datetime) -> None:
    """Both forms of an instant come back as they were written."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    table = Table([Wire("a", "A", INSTANT), Wire("b", "B", INSTANT_MS)])
    values = {"a": moment, "b": moment}
    assert values == to_canon(table, to_wire(table, values))
