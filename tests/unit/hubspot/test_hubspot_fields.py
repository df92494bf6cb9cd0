"""HubSpot's properties and the canonical fields, without a wire."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.canon.records import Customer, Kind
from connectors.canon.values import ABSENT, Address, Discount, Price
from connectors.hubspot import fields
from connectors.hubspot.fields import parse_properties, shape_of, to_properties
from connectors.hubspot.reading import merged_away, primary_of, stage_status, told_status
from connectors.hubspot.settings import read_settings
from connectors.hubspot.vendor import COMPANY, CONTACT, DEAL, FACTS, KIND_OF, KINDS, LINE_ITEM, PRODUCT
from connectors.hubspot.wire import AssociationType, Rec, To
from connectors.kit.errors import BadSettings, Unsupported
from connectors.kit.table import Unreadable

COMPANY_SHAPE = shape_of(COMPANY)
CONTACT_SHAPE = shape_of(CONTACT)


def test_a_company_is_a_customer_with_one_billing_address() -> None:
    """Name, phone, domain and the parts of the address arrive; the country's English name becomes its code."""
    rec = Rec(
        "12",
        {"name": "Acacia Ltd", "phone": "", "domain": "acacia.test", "city": "Nairobi", "country": "Kenya"},
        created_at="2026-01-02T03:04:05.678Z",
        updated_at="2026-02-02T03:04:05Z",
    )
    found = fields.customer(COMPANY_SHAPE, rec)
    assert found.ref == "12"
    assert found.legal_name == "Acacia Ltd"
    assert found.phone is None
    assert found.website == "acacia.test"
    assert found.addresses == {"billing": Address(city="Nairobi", country="KE")}
    assert found.version == "2026-02-02T03:04:05Z"
    assert found.created_at == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert found.currency is ABSENT


def test_a_contact_carries_its_type_in_its_ref() -> None:
    """Company 51 and contact 51 are two customers."""
    found = fields.customer(
        CONTACT_SHAPE, Rec("51", {"firstname": "Ana", "lastname": "de la Cruz", "email": "a@x.test"})
    )
    assert found.ref == "contact:51"
    assert found.is_person is True
    assert found.legal_name == "Ana de la Cruz"
    assert found.emails == {"general": "a@x.test"}


@pytest.mark.parametrize(
    ("ref", "expected"), [("12", (COMPANY, "12")), ("company:12", (COMPANY, "12")), ("contact:51", (CONTACT, "51"))]
)
def test_a_ref_names_its_object(ref: str, expected: tuple[object, str]) -> None:
    """What `ref_of` writes, and the long form for companies, is read back."""
    assert fields.object_of(Kind.CUSTOMER, ref) == expected


@pytest.mark.parametrize(("kind", "ref"), [(Kind.CUSTOMER, "deal:1"), (Kind.INVOICE, "1"), (Kind.DEAL, "quote:1")])
def test_a_foreign_ref_is_refused(kind: Kind, ref: str) -> None:
    """A ref of another kind is never sent to the wrong object."""
    with pytest.raises(Unsupported):
        fields.object_of(kind, ref)


@pytest.mark.parametrize("name", ["Ana", "Ana Cruz", "Ana Maria de Souza", "", None])
def test_splitting_a_name_and_joining_it_gives_the_name_again(name: str | None) -> None:
    """Only the seam may move, never the name."""
    assert fields.full_name(fields.split_name(name)) == (name or None)


@pytest.mark.parametrize("code", ["IT", "US", "GB", "KE", "CI", "TR"])
def test_a_country_comes_back_as_it_went(code: str) -> None:
    """A code is written as the name that people see in HubSpot and read back as the code."""
    assert fields.country_code(fields.country_name(code)) == code


def test_an_unknown_country_stays_as_it_was_typed() -> None:
    """Free text is told, not guessed at."""
    assert fields.country_code("Ruritania") == "Ruritania"
    assert fields.country_code("USA") == "US"


def test_an_address_update_sends_only_what_differs() -> None:
    """The country that a person spelt in their own way is not rewritten because the street changed."""
    before = Address(lines=("1 High St",), city="Rome", country="IT")
    after = Address(lines=("2 High St",), city="Rome", country="IT")
    sent = to_properties(COMPANY_SHAPE, {"addresses.billing": after}, {"addresses.billing": before})
    assert sent == {"address": "2 High St"}


def test_an_emptied_address_clears_each_part() -> None:
    """None empties, and HubSpot is told so with empty text."""
    sent = to_properties(COMPANY_SHAPE, {"addresses.billing": None})
    assert sent == dict.fromkeys(("address", "address2", "city", "state", "zip", "country"), "")


def test_absent_is_not_sent_and_none_clears() -> None:
    """What nobody told is left alone."""
    assert to_properties(COMPANY_SHAPE, {"legal_name": ABSENT, "phone": None}) == {"phone": ""}


def test_a_field_without_a_place_is_unsupported() -> None:
    """HubSpot keeps no balance; a write of it never becomes something else."""
    with pytest.raises(Unsupported):
        to_properties(COMPANY_SHAPE, {"balance": None})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1E+3"), "1000"),
        (True, "true"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, tzinfo=UTC).date(), "2026-01-02"),
        (None, ""),
        (Decimal(0), "0"),
    ],
)
def test_own_properties_take_any_value(value: object, expected: str) -> None:
    """Numbers without exponent, dates as HubSpot takes them, zero is not empty."""
    assert to_properties(shape_of(DEAL), {"properties.x": value}) == {"x": expected}  # type: ignore[dict-item]  # any value


def test_a_product_has_a_price_in_the_home_currency() -> None:
    """A price of zero is a price; no price is None."""
    shape = shape_of(PRODUCT)
    assert fields.item(shape, Rec("1", {"price": "0"}), "EUR").price == Price(Decimal(0), "EUR")
    assert fields.item(shape, Rec("1", {"price": None}), "EUR").price is None


def test_a_value_that_is_no_number_is_unreadable() -> None:
    """It is reported, never guessed."""
    with pytest.raises(Unreadable):
        fields.item(shape_of(PRODUCT), Rec("1", {"price": "12,50"}), "EUR")
    with pytest.raises(Unreadable):
        fields.deal_line(Rec("1", {"price": "NaN"}))


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ({"hs_discount_percentage": "10", "discount": "1"}, Discount("percent", Decimal(10))),
        ({"hs_discount_percentage": "0", "discount": "1.5"}, Discount("per_unit", Decimal("1.5"))),
        ({"discount": "0"}, None),
        ({}, None),
    ],
)
def test_a_line_has_one_discount(props: dict[str, str | None], expected: Discount | None) -> None:
    """The percentage counts if there is one, else the amount per unit."""
    assert fields.line_discount(props) == expected


def test_a_line_tells_what_hubspot_tells() -> None:
    """Quantity, price and net are exact; a net that HubSpot does not tell stays untold."""
    line = fields.deal_line(Rec("9", {"quantity": "2.5", "price": "0.10", "amount": "0.25", "hs_product_id": "7"}))
    assert (line.qty, line.unit_price, line.net, line.item) == (Decimal("2.5"), Decimal("0.10"), Decimal("0.25"), "7")
    assert fields.deal_line(Rec("9", {})).net is ABSENT
    assert fields.deal_line(Rec("9", {})).qty == Decimal(1)


def test_own_properties_and_those_that_stand_for_a_field() -> None:
    """`company:ap_email=emails.billing,vat_id` reads two more properties, one of them as a canonical field."""
    extras = parse_properties("company: ap_email=emails.billing , vat_id; deal:po=po_number")
    shape = shape_of(COMPANY, extras["company"])
    found = fields.customer(shape, Rec("1", {"ap_email": "ap@x.test", "vat_id": "IT1"}))
    assert found.emails == {"billing": "ap@x.test"}
    assert found.properties == {"vat_id": "IT1"}
    assert to_properties(shape, {"emails.billing": "new@x.test"}) == {"ap_email": "new@x.test"}
    assert extras["deal"] == (("po", "po_number"),)


def test_a_property_that_is_not_told_is_absent() -> None:
    """A custom property that somebody deleted is no emptied field."""
    shape = shape_of(COMPANY, parse_properties("company:vat_id")["company"])
    assert fields.customer(shape, Rec("1", {"name": "x"})).properties == {}
    assert fields.customer(shape, Rec("1", {"vat_id": None})).properties == {"vat_id": None}


@pytest.mark.parametrize("text", ["vat_id", "quote:x", "company:Vat Id", "company:x=balance", "deal:x=amount"])
def test_settings_that_cannot_be_read_say_so(text: str) -> None:
    """A person mends the setting before anything is read."""
    with pytest.raises(BadSettings):
        parse_properties(text)


@pytest.mark.parametrize(
    "given",
    [{"customers": "leads"}, {"burst": "0"}, {"sweep_min": "often"}, {"base_url": "http://api.hubapi.com"}],
)
def test_a_wrong_setting_is_named(given: dict[str, str]) -> None:
    """The message names the setting."""
    with pytest.raises(BadSettings, match=next(iter(given))):
        read_settings(given)


def test_what_is_declared_writable_can_be_written() -> None:
    """Each canonical path of the facts has a place in one of the kind's objects."""
    objects = {Kind.CUSTOMER: (COMPANY, CONTACT), Kind.ITEM: (PRODUCT,), Kind.DEAL: (DEAL,)}
    composed = {"addresses.billing", "legal_name", "price"}
    for kind, facts in KINDS.items():
        known = {path for o in objects[kind] for path in shape_of(o).table.writable} | composed
        assert facts.writable - known == frozenset()


def test_empty_fields_of_a_new_record_are_left_out() -> None:
    """A new company carries what is known of it, and nothing that HubSpot has no place for."""
    record = Customer(legal_name="Acacia", phone=None, credit_limit=None, emails={"general": "x@y.test"})
    assert fields.record_values(COMPANY_SHAPE, record) == {"legal_name": "Acacia"}
    assert fields.record_values(CONTACT_SHAPE, record) == {"legal_name": "Acacia", "emails.general": "x@y.test"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"isClosed": "true", "probability": "1.0"}, "won"),
        ({"isClosed": "true", "probability": "0.0"}, "lost"),
        ({"isClosed": "false", "probability": "1.0"}, "open"),
        ({}, "open"),
    ],
)
def test_a_stage_is_won_when_closed_and_certain(metadata: dict[str, str], expected: str) -> None:
    """Metadata values are text."""
    assert stage_status(metadata) == expected


def test_a_deals_own_words_on_its_status() -> None:
    """Only if both properties are told; else the pipeline is asked."""
    assert told_status({"hs_is_closed": "true", "hs_is_closed_won": "true"}) == "won"
    assert told_status({"hs_is_closed": "true", "hs_is_closed_won": "false"}) == "lost"
    assert told_status({"hs_is_closed": "false", "hs_is_closed_won": "false"}) == "open"
    assert told_status({"hs_is_closed": "true"}) is None


def test_the_primary_company_wins_over_the_first() -> None:
    """A deal with several companies is sold to the primary one."""
    ends = [To(1, [AssociationType(341)]), To(2, [AssociationType(341), AssociationType(5)])]
    assert primary_of(ends, 5) == "2"
    assert primary_of(ends[:1], 5) == "1"
    assert primary_of([], 5) is None


def test_a_survivor_names_what_was_merged_into_it() -> None:
    """Each old id becomes a tombstone that points at the survivor."""
    rec = Rec("9", {"hs_merged_object_ids": "7;8;9"})
    assert [(t.ref, t.how, t.survivor) for t in merged_away(CONTACT, rec)] == [
        ("contact:7", "merged", "contact:9"),
        ("contact:8", "merged", "contact:9"),
    ]


def test_the_facts_speak_of_a_crm() -> None:
    """One side, three kinds, and a line item is no kind of its own."""
    assert FACTS.sides == {"crm"}
    assert set(FACTS.kinds) == {Kind.CUSTOMER, Kind.ITEM, Kind.DEAL}
    assert KIND_OF[LINE_ITEM.name] is Kind.DEAL
