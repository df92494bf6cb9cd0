"""Values that may travel, and why others may not."""

from __future__ import annotations

import pytest

from connectors.canon.fields import Value
from connectors.canon.values import Address, TaxId, TaxIdentity
from worker.engine.check import CheckName, check, tax_scheme

GOOD: list[tuple[CheckName, Value, str | None]] = [
    ("email", "ap@nordwind.example", None),
    ("email", "first.last+tag@mail.example.co", None),
    ("phone", "+254 20 271 0001", None),
    ("phone", "(415) 555-0100", "US"),
    ("address", Address(("1 Main St",), city="Albany", postcode="12207-1234", country="US"), None),
    ("address", Address(("1 Kimathi St",), city="Nairobi", country="KE"), None),
    ("address", Address(postcode="10115"), "DE"),
    ("tax_id", TaxIdentity((TaxId("eu.vat", "DE136695976"),)), None),
    ("tax_id", TaxIdentity((TaxId("in_.gstin", "27AAPFU0939F1ZV"),)), None),
    ("tax_id", "DE136695976", None),
    ("tax_id", "12-3456789", "US"),
    ("tax_id", "whatever", None),
    ("tax_id", TaxIdentity(status="exempt"), None),
    ("currency", "KES", None),
]

BAD: list[tuple[CheckName, Value, str | None, str]] = [
    ("email", "ap at nordwind", None, '"ap at nordwind" is no e-mail address'),
    ("email", "ap@nordwind", None, '"nordwind" is no mail domain'),
    ("email", "a..p@nordwind.example", None, "a dot too many"),
    ("email", "ap@-x.example", None, "is no mail domain"),
    ("phone", "555-0100", None, "it has no country code"),
    ("phone", "12", "US", "no possible phone number of +1"),
    ("phone", "call me", "US", "is no phone number in US"),
    ("address", Address(("1 Main St",)), None, "names no country"),
    ("address", Address(country="XX"), None, '"XX" is no country code'),
    ("address", Address(city="Berlin", country="DE"), None, "no postcode, and one is needed in Germany"),
    ("address", Address(postcode="1220", country="US"), None, '"1220" is no ZIP code'),
    ("address", "1 Main St", None, "no address"),
    ("tax_id", TaxIdentity((TaxId("eu.vat", "DE136695977"),)), None, "DE136695977: its check digit fails"),
    ("tax_id", TaxIdentity((TaxId("de.vat", "13669597"),)), None, "8 characters are too many or too few"),
    ("tax_id", TaxIdentity((TaxId("os.vat", "1"),)), None, "nothing is known about"),
    ("tax_id", TaxIdentity((TaxId("us.ein", "**-***6789"),), masked=True), None, "stars"),
    ("tax_id", "***6789", None, "stars"),
    ("tax_id", "12-345678", "US", "is not written like a number of us.ein"),
    ("currency", "DEM", None, '"DEM" is no currency code in use'),
    ("currency", "usd", None, '"usd" is no currency code in use'),
]


@pytest.mark.parametrize(("name", "value", "region"), GOOD)
def test_what_passes(name: CheckName, value: Value, region: str | None) -> None:
    """Good values have no reason against them."""
    assert check(name, value, region) is None


@pytest.mark.parametrize(("name", "value", "region", "reason"), BAD)
def test_what_fails_says_why(name: CheckName, value: Value, region: str | None, reason: str) -> None:
    """The reason names the value and what is wrong with it."""
    assert reason in (check(name, value, region) or "")


@pytest.mark.parametrize("name", ["email", "phone", "address", "tax_id", "currency"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_emptiness_is_anothers_rule(name: CheckName, value: Value) -> None:
    """An empty value passes every check."""
    assert check(name, value) is None


def test_saboteur_a_check_of_digits_alone_lets_a_wrong_number_pass() -> None:
    """Nine digits after DE look right; only the scheme's own arithmetic finds the wrong one."""
    wrong = "DE136695977"
    assert len(wrong) == 11
    assert wrong[2:].isdigit()
    assert check("tax_id", wrong) is not None


@pytest.mark.parametrize(
    ("text", "region", "scheme"),
    [
        ("DE136695976", "US", "eu.vat"),
        ("EL094259216", None, "eu.vat"),
        ("123456789", "GB", "gb.vat"),
        ("27AAPFU0939F1ZV", "IN", "in_.gstin"),
        ("12-3456789", "US", "us.ein"),
        ("1234", None, None),
    ],
)
def test_a_numbers_scheme(text: str, region: str | None, scheme: str | None) -> None:
    """An EU prefix decides, else the country, else nobody."""
    assert tax_scheme(text, region) == scheme
