"""Which tax code a line gets, or what is missing to decide it."""

from __future__ import annotations

import pytest

from connectors.canon.values import Address
from worker.engine.billing import Held
from worker.engine.mapping_model import TaxRule
from worker.engine.tax import TaxCase, TaxTable, decide, place

TABLE = TaxTable(
    (
        TaxRule(code="NY-GOODS", ship_to="US-NY", item_class="goods", status="taxable"),
        TaxRule(code="US-REST", ship_to="US", status="taxable"),
        TaxRule(code="NON", status="exempt"),
    )
)


def case(where: str | None = "US-NY", item: str | None = "goods", status: str | None = "taxable") -> TaxCase:
    return TaxCase(place=where, item_class=item, status=status)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (case(), "NY-GOODS"),
        (case(item="service"), "US-REST"),
        (case(where="US-TX"), "US-REST"),
        (case(where="US"), "US-REST"),
        (case(where=None, status="exempt"), "NON"),
    ],
)
def test_the_first_row_that_fits_decides(line: TaxCase, code: str) -> None:
    """A country covers its regions; a row without a condition takes any value, known or not."""
    assert code == decide(TABLE, line)


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (case(status=None), "tax_status", "The tax is not decided: no tax status."),
        (case(where=None), "ship_to", "The tax is not decided: no ship-to place."),
        (
            case(where=None, item=None, status=None),
            "tax_status",
            "The tax is not decided: no tax status and ship-to place and tax class.",
        ),
        (case(where="DE"), "tax", "No row of the tax table covers DE, goods, taxable."),
    ],
)
def test_what_no_row_covers_is_held_with_what_is_missing(line: TaxCase, field: str, reason: str) -> None:
    """The reason names what a person has to fill in, or that the table has no such row."""
    found = decide(TABLE, line)
    assert isinstance(found, Held)
    assert (field, reason) == (found.field, found.reason)


def test_a_region_is_not_the_beginning_of_another_country() -> None:
    """ "U" is no country of "US-NY", and "US" none of "USX"."""
    table = TaxTable((TaxRule(code="X", ship_to="US"),))
    assert isinstance(decide(table, case(where="USX")), Held)


def test_otherwise_can_be_a_code() -> None:
    """A table may end in a code instead of a hold, and a row may say hold."""
    assert "Z" == decide(TaxTable((), "Z"), case())
    assert isinstance(decide(TaxTable((TaxRule(code="hold"),), "Z"), case()), Held)


def test_an_address_gives_its_place() -> None:
    """Country and region, whether the system writes NY or US-NY; no country, no place."""
    found = [
        place(Address(region="NY", country="US")),
        place(Address(region="US-NY", country="us")),
        place(Address(country="KE")),
        place(Address(region="NY")),
        place(None),
    ]
    assert ["US-NY", "US-NY", "KE", None, None] == found
