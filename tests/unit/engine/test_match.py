"""Which record is which: sure only on strong evidence and one candidate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.records import AnyRecord, Customer, Invoice, InvoiceLine, Item, Kind, Payment
from connectors.canon.values import Address, Money, TaxId, TaxIdentity
from worker.engine.match import (
    Absent,
    Adopt,
    Hold,
    Index,
    InvoiceIndex,
    Match,
    OpenIntent,
    Sought,
    Wanted,
    adopt,
    match_all,
    match_invoice,
    match_invoices,
    parked,
    twins,
)
from worker.engine.names import split_name

VAT = TaxIdentity((TaxId("eu.vat", "DE136695976"),))
BERLIN = Address(("Hauptstr. 1",), city="Berlin", postcode="10115", country="DE")
HAMBURG = Address(("Alsterweg 2",), city="Hamburg", postcode="20095", country="DE")


def customer(ref: str, name: str | None = None, **more: Any) -> Customer:
    fields: dict[str, Any] = dict(more)
    email, address = fields.pop("email", None), fields.pop("address", None)
    return Customer(
        ref=ref,
        legal_name=name,
        emails={"general": email} if email is not None else {},
        addresses={"billing": address} if address is not None else {},
        **fields,
    )


def matched(record: AnyRecord, *others: AnyRecord, **more: Any) -> Match:
    return Index(others, "DE", more.pop("evidence", None)).match(record, **more)


# --------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "words", "forms"),
    [
        ("Nordwind GmbH & Co. KG", ("nordwind",), {"gmbh", "kg"}),
        ("The Acme Company, Inc.", ("acme",), {"inc"}),
        ("Müller & Söhne", ("muller", "and", "sohne"), set()),
        ("Straße S.A.", ("strasse",), {"sa"}),
        ("Betatech Ltd", ("betatech",), {"ltd"}),
        ("Limited Company", ("limited", "company"), set()),
        ("O'Brien LLC", ("obrien",), {"llc"}),
    ],
)
def test_names_without_their_legal_forms(text: str, words: tuple[str, ...], forms: set[str]) -> None:
    """Accents, punctuation and legal forms do not part two names."""
    assert split_name(text) == (words, forms)


# --------------------------------------------------------------------------- sure


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (customer("c", "Old name", tax_identity=VAT), customer("b", "New name", tax_identity=VAT), "same tax id"),
        (
            customer("c", "Acme Inc.", email="AP@acme.example"),
            customer("b", "Acme", email="ap@acme.example"),
            "same e-mail",
        ),
        (customer("c", "Nordwind GmbH", address=BERLIN), customer("b", "nordwind", address=BERLIN), "same name"),
        (customer("c", "GTX Pro", phone="030 1234567"), customer("b", "GTXPro", phone="+49301234567"), "same phone"),
    ],
)
def test_strong_evidence_and_one_candidate_is_the_same(one: Customer, other: Customer, reason: str) -> None:
    """Tax id; e-mail with a like name; name with place; name with phone."""
    match = matched(one, other, customer("x", "Somebody else"))
    assert (match.verdict, match.ref) == ("same", "b")
    assert reason in match.reasons


def test_our_marker_beats_everything() -> None:
    """A record that carries the marker is it, though another looks more like it."""
    match = matched(
        customer("c", "Acme", tax_identity=VAT),
        customer("b1", "Acme", tax_identity=VAT),
        customer("b2", "Renamed", marker="m-1"),
        marker="m-1",
    )
    assert (match.verdict, match.ref, match.score) == ("same", "b2", 100)


def test_a_tax_id_is_one_in_either_spelling() -> None:
    """With the country's letters as eu.vat, or without as de.vat."""
    plain = TaxIdentity((TaxId("de.vat", "136 695 976"),))
    assert matched(customer("c", "A", tax_identity=VAT), customer("b", "B", tax_identity=plain)).verdict == "same"


# --------------------------------------------------------------------------- asked


def test_two_candidates_are_asked_about_never_guessed() -> None:
    """Both carry the tax id: a person chooses."""
    match = matched(
        customer("c", "Acme", tax_identity=VAT),
        customer("b1", "Acme North", tax_identity=VAT),
        customer("b2", "Acme South", tax_identity=VAT),
    )
    assert (match.verdict, match.ref) == ("ask", None)
    assert [one.ref for one in match.candidates] == ["b1", "b2"]


def test_at_most_three_candidates_are_shown() -> None:
    """The best three."""
    others = [customer(f"b{number}", "Acme") for number in range(5)]
    assert [one.ref for one in matched(customer("c", "Acme"), *others).candidates] == ["b0", "b1", "b2"]


def first_of_the_best(candidates: Sequence[Any]) -> str | None:
    """The broken variant: takes the best, whatever else there is."""
    return candidates[0].ref if candidates else None


def test_saboteur_the_best_candidate_is_not_the_one() -> None:
    """Taking the best of two would link one of two companies at random."""
    others = [customer("b1", "Acme", address=BERLIN), customer("b2", "Acme", address=BERLIN)]
    index = Index(others)
    one = customer("c", "Acme", address=BERLIN)
    assert first_of_the_best(index.candidates(one)) == "b1"
    assert index.match(one).verdict == "ask"


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (customer("c", "Acme"), customer("b", "Acme"), "same name"),
        (customer("c", "Betasoloin"), customer("b", "Betasolion"), "name 90% alike"),
        (customer("c", "Nordwind", address=BERLIN), customer("b", "Nordwind", address=HAMBURG), "other postcode"),
        (customer("c", "Acme Inc", address=BERLIN), customer("b", "Acme Ltd", address=BERLIN), "other legal form"),
        (customer("c", "Acme", email="x@y.example"), customer("b", "Zeta", email="x@y.example"), "same e-mail"),
        (customer("c", "Acme", phone="030 1234567"), customer("b", "Zeta", phone="030 1234567"), "same phone"),
        (
            customer("c", "Acme", tax_identity=VAT, address=BERLIN),
            customer("b", "Acme", tax_identity=TaxIdentity((TaxId("eu.vat", "DE129273398"),)), address=BERLIN),
            "other tax id",
        ),
        (
            customer("c", "Acme", tax_identity=VAT),
            customer("b", "Acme", tax_identity=VAT, active=False),
            "inactive there",
        ),
        (
            customer("c", "Acme", tax_identity=VAT, active=False),
            customer("b", "Acme", tax_identity=VAT),
            "inactive here",
        ),
    ],
)
def test_weak_or_contradicted_evidence_is_asked_about(one: Customer, other: Customer, reason: str) -> None:
    """With the reasons in words, what speaks against it too."""
    match = matched(one, other)
    assert match.verdict == "ask"
    assert reason in match.candidates[0].reasons


def test_a_name_alone_is_sure_where_the_mapping_says_so() -> None:
    """`match: [name]`: a side that knows nothing but names."""
    evidence = ("marker", "name")
    assert matched(customer("c", "Acme Inc"), customer("b", "ACME"), evidence=evidence).verdict == "same"


def test_evidence_that_the_mapping_leaves_out_is_not_looked_at() -> None:
    """Without `tax_id` in `match`, a tax id links nothing."""
    one, other = customer("c", "Acme", tax_identity=VAT), customer("b", "Zeta", tax_identity=VAT)
    assert matched(one, other, evidence=("marker", "email")).verdict == "none"


def test_what_is_linked_already_is_never_sure() -> None:
    """The counterpart belongs to another: a second one is not made without asking."""
    one, other = customer("c", "Acme", tax_identity=VAT), customer("b", "Acme", tax_identity=VAT)
    match = matched(one, other, taken={"b"})
    assert match.verdict == "ask"
    assert "already linked to another record" in match.candidates[0].reasons
    assert matched(customer("c", "Acme"), customer("b", "Acme"), taken={"b"}).verdict == "none"


def test_nothing_like_it() -> None:
    """No candidate, no question."""
    assert matched(customer("c", "Acme"), customer("b", "Zeta Pumps")) == Match(verdict="none")


def test_two_records_that_want_the_same_are_both_asked_about() -> None:
    """Whoever came first would otherwise take it."""
    index = Index([customer("b", "Acme", tax_identity=VAT)])
    found = match_all([customer("c1", "Acme", tax_identity=VAT), customer("c2", "Acme", tax_identity=VAT)], index)
    assert {ref: one.verdict for ref, one in found.items()} == {"c1": "ask", "c2": "ask"}


def test_saboteur_one_after_the_other_links_twice() -> None:
    """Matched apart, both would be sure of the same counterpart."""
    index = Index([customer("b", "Acme", tax_identity=VAT)])
    apart = [index.match(customer(ref, "Acme", tax_identity=VAT)) for ref in ("c1", "c2")]
    assert [(one.verdict, one.ref) for one in apart] == [("same", "b"), ("same", "b")]


NAMES = st.sampled_from(["Acme", "Acme Inc", "Acme Ltd", "Zeta", "Zeta GmbH", "Betatech"])
CUSTOMERS = st.builds(
    lambda name, email, address, tax: customer("", name, email=email, address=address, tax_identity=tax),
    NAMES,
    st.sampled_from([None, "a@x.example", "b@x.example"]),
    st.sampled_from([None, BERLIN, HAMBURG]),
    st.sampled_from([None, VAT]),
)


@given(st.lists(CUSTOMERS, max_size=5), st.lists(CUSTOMERS, max_size=5))
def test_no_counterpart_is_given_twice(crm: list[Customer], books: list[Customer]) -> None:
    """Whatever the records, a candidate is sure for one record at most."""
    ours = [customer_with_ref(record, f"c{number}") for number, record in enumerate(crm)]
    theirs = [customer_with_ref(record, f"b{number}") for number, record in enumerate(books)]
    same = [one.ref for one in match_all(ours, Index(theirs)).values() if one.verdict == "same"]
    assert len(same) == len(set(same))


def customer_with_ref(record: Customer, ref: str) -> Customer:
    return msgspec.structs.replace(record, ref=ref)


# --------------------------------------------------------------------------- twins and many


def test_new_records_that_look_the_same_are_found_before_anything_is_made() -> None:
    """Typed twice in the CRM: one question, not two customers."""
    found = twins([customer("c1", "GTX Pro"), customer("c2", "Zeta"), customer("c3", "GTXPro Inc.")])
    assert [(one.refs, one.reasons) for one in found] == [(("c1", "c3"), ("same name",))]


def test_twins_form_groups() -> None:
    """One by name, another by e-mail: all three belong together."""
    found = twins(
        [
            customer("c1", "Acme", email="a@x.example"),
            customer("c2", "Acme"),
            customer("c3", "Acme Trading", email="a@x.example"),
        ]
    )
    assert [one.refs for one in found] == [("c1", "c2", "c3")]


def test_ten_thousand_compare_few() -> None:
    """Blocking: a record is compared with those that share something rare, not with all."""
    others = [
        customer(f"b{number}", f"Company {number:05d} Trading", email=f"{number}@x.example") for number in range(3000)
    ]
    index = Index(others)
    one = customer("c", "Company 01234 Trading", email="1234@x.example")
    compared = list(index._near(next(iter(Index([one])._cards))))
    assert len(compared) < 60
    assert index.match(one).ref == "b1234"


# --------------------------------------------------------------------------- items


def test_items_meet_by_sku_or_name() -> None:
    """A SKU with a like name, or the same name with or without spaces."""
    index = Index([Item(ref="1", name="GTX Pro", sku="G-1"), Item(ref="2", name="GTX Plus Pro", sku="G-2")])
    assert index.match(Item(ref="c", name="GTXPro")).ref == "1"
    assert index.match(Item(ref="c", name="GTX Plus Pro (new)", sku="g-2")).ref == "2"
    assert index.match(Item(ref="c", name="GTX Pro", sku="G-9")).verdict == "ask"


@pytest.mark.parametrize(("said", "ref"), [("GTXPro", "1"), ("gtx plus pro", "2"), ("G-2", "2")])
def test_the_item_that_a_line_names(said: str, ref: str) -> None:
    """By name or SKU, as people type it."""
    index = Index([Item(ref="1", name="GTX Pro", sku="G-1"), Item(ref="2", name="GTX Plus Pro", sku="G-2")])
    assert (index.item(said).verdict, index.item(said).ref) == ("same", ref)


def test_a_mistyped_item_is_asked_about() -> None:
    """Alike is not the same."""
    index = Index([Item(ref="1", name="MG Advanced")])
    assert index.item("MG Advance").verdict == "ask"
    assert index.item("Something else").verdict == "none"


# --------------------------------------------------------------------------- invoices of old deals

WON = date(2026, 9, 1)


def invoice(ref: str, **more: Any) -> Invoice:
    said: dict[str, Any] = {
        "customer": "b", "currency": "USD", "date": WON, "net": Decimal(100), "total": Decimal(108), "state": "posted"
    }  # fmt: skip
    return Invoice(ref=ref, **(said | more))


def wanted(**more: Any) -> Wanted:
    said: dict[str, Any] = {"customer": "b", "currency": "USD", "net": Decimal(100), "won_on": WON}
    return Wanted(**(said | more))


def test_one_invoice_of_the_amount_in_the_window_is_it() -> None:
    """Same customer, same net, within 30 days."""
    index = InvoiceIndex([invoice("1", date=WON + timedelta(days=30)), invoice("2", net=Decimal(99))])
    found = match_invoice(wanted(), index)
    assert (found.verdict, found.ref) == ("same", "1")
    assert found.reasons == ("same customer", "same net", "30 days apart")


def test_gross_counts_where_the_deal_is_gross() -> None:
    """Gross is compared with the total."""
    found = match_invoice(wanted(net=None, gross=Decimal(108)), InvoiceIndex([invoice("1")]))
    assert (found.verdict, found.reasons[1]) == ("same", "same total")


@pytest.mark.parametrize(
    "other",
    [
        {"date": WON + timedelta(days=31)},
        {"net": Decimal("100.01")},
        {"customer": "x"},
        {"currency": "EUR"},
        {"state": "void"},
    ],
)
def test_what_is_no_invoice_of_the_deal(other: dict[str, Any]) -> None:
    """A day too late, a cent too much, another customer or currency, or void."""
    assert match_invoice(wanted(), InvoiceIndex([invoice("1", **other)])).verdict == "none"


def test_a_reference_decides_between_several() -> None:
    """Two of the same amount: the one with the deal's PO number."""
    several = InvoiceIndex([invoice("1"), invoice("2", po_number="PO-7781")])
    assert match_invoice(wanted(), several).verdict == "ask"
    found = match_invoice(wanted(references=("PO-7781",)), several)
    assert (found.verdict, found.ref) == ("same", "2")


def test_a_reference_is_found_in_words_not_in_pieces() -> None:
    """PO 7781 stands in a line's text; 7781 in 177815 does not."""
    lines = (InvoiceLine(text="Your order PO 7781 of May"),)
    several = InvoiceIndex([invoice("1", memo="177815"), invoice("2", lines=lines)])
    assert match_invoice(wanted(references=("7781",)), several).ref == "2"


def test_a_reference_with_another_amount_is_asked_about() -> None:
    """It may be the deal's, at another price."""
    found = match_invoice(
        wanted(references=("PO-7781",)), InvoiceIndex([invoice("1", po_number="PO-7781", net=Decimal(90))])
    )
    assert found.verdict == "ask"
    assert "other amount" in found.candidates[0].reasons


def test_many_deals_share_no_invoice() -> None:
    """The one with the reference takes its invoice, the other what is left; with equal right both are asked about."""
    index = InvoiceIndex([invoice("1"), invoice("2", po_number="PO-7781")])
    found = match_invoices({"d1": wanted(), "d2": wanted(references=("PO-7781",))}, index)
    assert {key: one.ref for key, one in found.items()} == {"d1": "1", "d2": "2"}
    both = match_invoices({"d1": wanted(), "d2": wanted()}, InvoiceIndex([invoice("1")]))
    assert [one.verdict for one in both.values()] == ["ask", "ask"]


def test_an_invoice_of_another_deal_is_not_looked_at() -> None:
    """Taken is taken."""
    assert match_invoice(wanted(), InvoiceIndex([invoice("1")]), taken={"1"}).verdict == "none"


# --------------------------------------------------------------------------- after a lost answer

MARKER = "tie-4f2a"
SOUGHT = Sought(
    kind=Kind.INVOICE, marker=MARKER, customer="b", currency="USD", total=Decimal(108), note=f"Tieout {MARKER}"
)


def anyone(ref: str) -> bool:
    return True


def nobody(ref: str) -> bool:
    return False


def test_exactly_one_by_marker_and_free_is_adopted() -> None:
    """Both probes find it: it is one record, not two."""
    ours = invoice("1", marker=MARKER)
    assert adopt(SOUGHT, [ours], [ours], anyone) == Adopt("1")


def test_none_is_absent() -> None:
    """Neither probe found anything like it."""
    assert adopt(SOUGHT, [], [invoice("1", total=Decimal(50))], anyone) == Absent()


@pytest.mark.parametrize("more", [{"total": Decimal(107)}, {"customer": "x"}, {"currency": "EUR"}])
def test_our_marker_on_something_else_is_held(more: dict[str, Any]) -> None:
    """Adopted only if customer, currency and total agree."""
    found = adopt(SOUGHT, [invoice("1", marker=MARKER, **more)], [], anyone)
    assert isinstance(found, Hold)
    assert found.candidates == ("1",)


def test_two_with_our_marker_are_held() -> None:
    """It was made twice: a person must see that."""
    found = adopt(SOUGHT, [invoice("1", marker=MARKER), invoice("2", marker=MARKER)], [], anyone)
    assert isinstance(found, Hold)
    assert found.candidates == ("1", "2")


def test_what_belongs_to_another_is_never_adopted() -> None:
    """By marker: held. In the window: it is somebody else's, and ours is absent."""
    assert isinstance(adopt(SOUGHT, [invoice("1", marker=MARKER)], [], nobody), Hold)
    assert adopt(SOUGHT, [], [invoice("1")], nobody) == Absent()


def test_the_window_finds_what_has_no_marker() -> None:
    """A unique record made since, with customer, currency and total: adopted; the note decides where it is told."""
    assert adopt(SOUGHT, [], [invoice("1")], anyone) == Adopt("1")
    assert adopt(SOUGHT, [], [invoice("1"), invoice("2", internal_note=f"Tieout {MARKER}")], anyone) == Adopt("2")
    typed = adopt(SOUGHT, [], [invoice("1", internal_note="as agreed by phone")], anyone)
    assert isinstance(typed, Hold)


def test_two_in_the_window_are_held() -> None:
    """Somebody typed the same invoice at the same time."""
    assert isinstance(adopt(SOUGHT, [], [invoice("1"), invoice("2")], anyone), Hold)


def test_saboteur_the_first_in_the_window_may_be_a_persons() -> None:
    """Adopting the first hit would take a person's invoice for ours; the order of the probe would decide."""
    window = [invoice("1", internal_note="as agreed"), invoice("2", internal_note=f"Tieout {MARKER}")]
    assert window[0].ref != "2"
    assert adopt(SOUGHT, [], window, anyone) == Adopt("2")
    assert adopt(SOUGHT, [], window[::-1], anyone) == Adopt("2")


def test_a_payment_and_a_customer_are_compared_in_their_own_terms() -> None:
    """A payment by its amount, a customer by its name."""
    paid = Sought(kind=Kind.PAYMENT, marker="m", customer="b", currency="USD", total=Decimal(5))
    payment = Payment(ref="1", customer="b", amount=Money(Decimal("5.00"), "USD"))
    assert adopt(paid, [], [payment], anyone) == Adopt("1")
    named = Sought(kind=Kind.CUSTOMER, marker="m", name="Nordwind GmbH")
    assert adopt(named, [], [customer("1", "nordwind  gmbh"), customer("2", "Zeta")], anyone) == Adopt("1")


def test_what_cannot_be_compared_is_not_adopted() -> None:
    """A new record and nothing to tell it by: a person is asked."""
    assert isinstance(adopt(Sought(kind=Kind.CUSTOMER, marker="m"), [], [customer("1", "Zeta")], anyone), Hold)


SINCE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("record", "waits"),
    [
        (customer("1", "Acme", marker="m"), True),
        (customer("1", "Acme", created_at=SINCE), True),
        (customer("1", "Acme", created_at=SINCE - timedelta(seconds=1)), False),
        (customer("1", "Acme"), True),
        (invoice("1", created_at=SINCE), False),
    ],
)
def test_what_may_be_an_open_intents_own_waits(record: AnyRecord, waits: bool) -> None:
    """It carries the marker, or was made since where the kind keeps none."""
    assert parked(record, [OpenIntent(kind=Kind.CUSTOMER, marker="m", carries_marker=False, since=SINCE)]) is waits


def test_where_markers_are_kept_only_the_marker_parks() -> None:
    """A person's new record is not held up by ours."""
    intent = OpenIntent(kind=Kind.CUSTOMER, marker="m", carries_marker=True, since=SINCE)
    assert not parked(customer("1", "Acme", created_at=SINCE), [intent])


def test_an_invoice_is_called_by_its_number() -> None:
    """The system's own id only where there is no number."""
    index = InvoiceIndex([invoice("88", number="1091"), invoice("89")])
    assert ("invoice 1091", "invoice 89") == (index.title("88"), index.title("89"))
