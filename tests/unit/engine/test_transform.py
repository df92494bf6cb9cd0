"""Values on their way from one side to the other."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.fields import FieldType, Value, key
from connectors.canon.values import ABSENT, Address, Money, Price, TaxId, TaxIdentity, Terms
from worker.engine.transform import (
    TRANSFORMS,
    Conversion,
    Transform,
    Unconvertible,
    ValueMap,
    convertible,
    is_empty,
    parse_transform,
    terms_from_text,
)

T = FieldType


def between(crm: FieldType, books: FieldType, region: str | None = None) -> Conversion:
    return Conversion(crm_type=crm, books_type=books, region=region)


@pytest.mark.parametrize(
    ("said", "crm", "books"),
    [
        ("phone(US)", "(415) 555-0100", "+14155550100"),
        ("phone", "+254 20 271 0000", "+254202710000"),
        ("upper", "acme", "ACME"),
        ("lower", "ACME", "acme"),
        ("trim", " acme ", "acme"),
        ("prefix(AC-)", "17", "AC-17"),
        ("suffix( (C))", "Acme", "Acme (C)"),
        ("country", "Kenya", "KE"),
        ("country", "united states", "US"),
        ("country", "de", "DE"),
        ("first(3)", "ABCDEF", "ABC"),
        ("digits", "DE 136-695", "136695"),
    ],
)
def test_named_transforms(said: str, crm: str, books: str) -> None:
    """Each does what its name says, from the CRM to the books."""
    assert parse_transform(said).to_books(crm) == books


@pytest.mark.parametrize(
    ("said", "books", "crm"),
    [("prefix(AC-)", "AC-17", "17"), ("suffix(X)", "17X", "17"), ("country", "KE", "Kenya"), ("upper", "A", "A")],
)
def test_the_way_back(said: str, books: str, crm: str) -> None:
    """Those with an inverse come back."""
    assert parse_transform(said).to_crm(books) == crm


INVERTIBLE = sorted(name for name, named in TRANSFORMS.items() if named.to_crm is not None and name != "country")


@given(st.sampled_from(INVERTIBLE), st.text("aBc 1-", min_size=1, max_size=8).filter(lambda text: text.strip() != ""))
def test_what_is_called_invertible_comes_back_the_same(name: str, text: str) -> None:
    """There and back gives a value with the same canonical key."""
    transform = Transform(name, ("x-",) if name in ("prefix", "suffix") else ("US",) if name == "phone" else ())
    there = transform.to_books(text)
    if isinstance(there, Unconvertible):
        assert name == "phone"
        return
    back = transform.to_crm(there)
    assert isinstance(back, str)
    kind = T.PHONE if name == "phone" else T.TEXT
    assert key(kind, text, "US") == key(kind, back, "US")


def test_saboteur_first_does_not_come_back() -> None:
    """Were `first` called invertible, the promise above would break: the cut letters are gone."""
    first = Transform("first", ("3",))
    assert not first.invertible
    assert key(T.TEXT, first.to_books("ABCDEF")) != key(T.TEXT, "ABCDEF")  # type: ignore[arg-type]  # a text here
    assert first.to_crm("ABC") == Unconvertible("first(3) has no way back to the CRM")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("fone(US)", 'there is no transform "fone(US)"'),
        ("prefix", "prefix needs an argument, like prefix(AC-)"),
        ("upper(x)", "upper takes no argument"),
        ("first(x)", 'first needs a number of letters, not "x"'),
        ("phone(ZZ)", '"ZZ" is no country code, like phone(US)'),
    ],
)
def test_what_is_no_transform_is_refused_in_words(said: str, reason: str) -> None:
    """The reason says what to write instead."""
    with pytest.raises(ValueError) as refused:
        parse_transform(said)
    assert str(refused.value) == reason


def test_errors_are_values() -> None:
    """What cannot be converted is told, not raised."""
    assert parse_transform("country").to_books("Atlantis") == Unconvertible('"Atlantis" is no country')
    assert parse_transform("prefix(A-)").to_crm("17") == Unconvertible('"17" does not begin with "A-"')
    assert parse_transform("phone(US)").to_books("n/a") == Unconvertible('"n/a" is no phone number')


def test_a_value_map_goes_both_ways() -> None:
    """Compared folded, given as written."""
    terms = ValueMap((("net30", "Net 30"), ("net14", "Net 14")))
    assert (terms.to_books("NET30"), terms.to_crm("net 14")) == ("Net 30", "net14")
    assert terms.one_to_one


def test_a_value_map_with_two_ways_back_is_not_one_to_one() -> None:
    """Going back says which words it could be."""
    shared = ValueMap((("net30", "Net 30"), ("thirty", "Net 30")))
    assert (shared.one_to_one, shared.shared) == (False, ("Net 30",))
    assert shared.to_books("thirty") == "Net 30"
    back = shared.to_crm("Net 30")
    assert isinstance(back, Unconvertible)
    assert "net30, thirty" in back.reason


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (T.DECIMAL, "110.250", Decimal("110.25")),
        (T.DAY, "2026-11-23", date(2026, 11, 23)),
        (T.FLAG, "Yes", True),
        (T.TERMS, "2/10 net 30", terms_from_text("2/10 net 30")),
        (T.CODE, "USD", "USD"),
    ],
)
def test_text_becomes_typed_and_text_again(kind: FieldType, text: str, value: Value) -> None:
    """A property's text is the books' typed value, and back it means the same."""
    conversion = between(T.TEXT, kind)
    assert conversion.to_books(text) == value
    back = conversion.to_crm(value)
    assert not isinstance(back, Unconvertible)
    assert conversion.same(back, value)
    assert conversion.same(text, value)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (T.DECIMAL, "about ten", '"about ten" is not a number'),
        (T.DAY, "soon", '"soon" is not a day (2026-11-23)'),
        (T.FLAG, "maybe", '"maybe" is not yes or no'),
        (T.MONEY, "12.00", '"12.00" names no currency'),
    ],
)
def test_text_that_is_not_of_the_type_is_held(kind: FieldType, text: str, reason: str) -> None:
    """The reason names the text and what it should be."""
    assert between(T.TEXT, kind).to_books(text) == Unconvertible(reason)


def test_the_other_parts_of_a_value_are_kept() -> None:
    """An amount takes the currency, a price its tax flag, from what the books hold."""
    assert between(T.TEXT, T.MONEY).to_books("12.50", Money(Decimal(1), "EUR")) == Money(Decimal("12.50"), "EUR")
    held = Price(Decimal(1), "EUR", includes_tax=True)
    assert between(T.TEXT, T.PRICE).to_books("2", held) == Price(Decimal(2), "EUR", includes_tax=True)


def test_terms_by_name_say_their_days() -> None:
    """So that a name in the CRM and typed terms in the books are compared as terms."""
    assert terms_from_text("Net 30") == Terms(name="Net 30", net_days=30)
    assert terms_from_text("Due on receipt").net_days == 0
    discounted = terms_from_text("2/10 net 30")
    assert (discounted.discount_percent, discounted.discount_days, discounted.net_days) == (Decimal(2), 10, 30)


def test_an_id_of_one_system_does_not_reach_the_other() -> None:
    """The ref of payment terms means nothing at the other side."""
    conversion = between(T.TERMS, T.TERMS)
    assert conversion.to_crm(Terms(name="Net 30", ref="7", net_days=30)) == Terms(name="Net 30", net_days=30)


def test_a_tax_number_as_text_finds_its_scheme() -> None:
    """By an EU prefix, else by the pair's country, else by what the books hold; never by guessing."""
    assert between(T.TEXT, T.TAX_IDENTITY).to_books("DE 136 695 976") == TaxIdentity(
        (TaxId("eu.vat", "DE 136 695 976"),)
    )
    assert between(T.TEXT, T.TAX_IDENTITY, "US").to_books("12-3456789") == TaxIdentity((TaxId("us.ein", "12-3456789"),))
    held = TaxIdentity((TaxId("no.mva", "1"),))
    assert between(T.TEXT, T.TAX_IDENTITY).to_books("2", held) == TaxIdentity((TaxId("no.mva", "2"),))
    assert isinstance(between(T.TEXT, T.TAX_IDENTITY).to_books("2"), Unconvertible)


def test_an_emptied_tax_number_leaves_the_status() -> None:
    """What the CRM cannot say it does not take away."""
    held = TaxIdentity((TaxId("eu.vat", "DE136695976"),), status="exempt")
    assert between(T.TEXT, T.TAX_IDENTITY).to_books(None, held) == TaxIdentity(status="exempt")


def test_stars_are_never_written() -> None:
    """A tax id read with stars does not travel, and is not written over."""
    masked = TaxIdentity((TaxId("us.ein", "**-***6789"),), masked=True)
    assert isinstance(between(T.TEXT, T.TAX_IDENTITY).to_crm(masked), Unconvertible)
    assert isinstance(between(T.TEXT, T.TAX_IDENTITY, "US").to_books("12-3456789", masked), Unconvertible)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_empty_stays_empty_whatever_the_transform(value: Value) -> None:
    """A prefix is not put before nothing."""
    conversion = Conversion(crm_type=T.TEXT, books_type=T.TEXT, transform=Transform("prefix", ("AC-",)))
    assert conversion.to_books(value) is None
    assert conversion.to_books(ABSENT) is ABSENT


def test_empty_is_neither_absent_nor_zero_nor_no() -> None:
    """Only what is known to be empty is empty."""
    assert [is_empty(T.TEXT, value) for value in (None, "", " ")] == [True, True, True]
    assert is_empty(T.ADDRESS, Address())
    assert [is_empty(T.DECIMAL, Decimal(0)), is_empty(T.FLAG, False), is_empty(T.TEXT, ABSENT)] == [False] * 3


def test_what_converts() -> None:
    """An address cannot be read out of one text; a link between records means nothing at the other system."""
    assert convertible(T.ADDRESS, T.TEXT)
    assert not convertible(T.TEXT, T.ADDRESS)
    assert not convertible(T.REF, T.REF)
    assert convertible(T.MONEY, T.DECIMAL)
    assert not convertible(T.DAY, T.MONEY)


def test_a_phone_in_a_property_meets_a_phone() -> None:
    """Written differently, it is the same number."""
    assert between(T.TEXT, T.PHONE, "US").same("(415) 555-0100", "+14155550100")
