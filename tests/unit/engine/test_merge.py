"""Edits told apart by a base on each side, and merged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.fields import FieldType, Value, key
from connectors.canon.records import Customer, Invoice, Kind
from connectors.canon.values import ABSENT, Address, TaxId, TaxIdentity, Terms
from connectors.kit.contract import Side
from worker.engine.mapping_model import Authority, Direction, FieldRule
from worker.engine.merge import (
    Agree,
    Ask,
    Base,
    Fill,
    Hold,
    Suspend,
    Take,
    Verdict,
    decide,
    flapping,
    late_rewrite,
    merge,
    merge_record,
    merge_values,
)
from worker.engine.transform import Conversion, Transform, ValueMap

T = FieldType
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def rule(
    direction: Direction = "two-way",
    authority: Authority = "ask",
    *,
    crm: tuple[str, FieldType] = ("notes", T.TEXT),
    books: tuple[str, FieldType] = ("notes", T.TEXT),
    transform: Transform | None = None,
    values: ValueMap | None = None,
    region: str | None = None,
    **more: Any,
) -> FieldRule:
    conversion = Conversion(crm_type=crm[1], books_type=books[1], transform=transform, values=values, region=region)
    return FieldRule(
        key=f"{crm[0]}:{books[0]}",
        crm=crm[0],
        books=books[0],
        crm_type=crm[1],
        books_type=books[1],
        authority=authority,
        direction=direction,
        conversion=conversion,
        **more,
    )


PHONE = rule(crm=("phone", T.PHONE), books=("phone", T.PHONE), region="US")


# --------------------------------------------------------------------------- the base of each side


def test_nothing_changed_is_agreement_even_where_the_sides_differ() -> None:
    """After an undo the two agree to differ until somebody edits."""
    verdict = merge(rule(), "ours", "theirs", Base("ours", "theirs"))
    assert verdict == Agree(base=Base("ours", "theirs"), moved=False, differs=True)


def test_a_vendors_trimming_is_no_edit() -> None:
    """The books cut a text to ten letters: it differs from the CRM's, but not from its own base."""
    base = Base("a long description", "a long des")
    assert merge(rule(), "a long description", "a long des", base) == Agree(base=base, moved=False, differs=True)


def one_value_base(field: FieldRule, crm: Value, books: Value, base: Value) -> set[str]:
    """The broken variant: one value for both sides, instead of one for each."""
    return {side for side, value in (("crm", crm), ("books", books)) if key(T.TEXT, value) != key(T.TEXT, base)}


def test_saboteur_a_base_of_one_value_sees_an_echo_as_an_edit() -> None:
    """With one value for both sides our own write, trimmed by the vendor, comes back as an edit in the books."""
    sent, stored = "a long description", "a long des"
    assert one_value_base(rule(), sent, stored, sent) == {"books"}
    settled = merge(rule(), sent, stored, Base(sent, stored))
    assert isinstance(settled, Agree)


def test_saboteur_a_base_of_one_value_makes_a_false_conflict() -> None:
    """A new edit in the CRM would be a conflict with an edit in the books that nobody made."""
    assert one_value_base(rule(), "a new text", "a long des", "a long description") == {"crm", "books"}
    verdict = merge(rule(), "a new text", "a long des", Base("a long description", "a long des"))
    assert isinstance(verdict, Take)
    assert verdict.source == "crm"


def test_another_way_to_write_the_same_is_no_edit() -> None:
    """Phone numbers are compared as E.164, texts folded."""
    base = Base("+1 415 555 0100", "(415) 555-0100")
    assert merge(PHONE, "+1-415-555-0100", "415.555.0100", base) == Agree(base=base, moved=False)


def test_one_edit_travels() -> None:
    """A change in the CRM is written to the books, with what both held."""
    verdict = merge(rule(authority="books"), "new", "old", Base("old", "old"))
    assert verdict == Take(
        source="crm", target="books", value="new", seen="new", before="old", why="changed in the CRM"
    )


def test_the_same_edit_on_both_sides_moves_the_base() -> None:
    """Both typed the same: nothing is written."""
    assert merge(rule(), "New", "new ", Base("old", "old")) == Agree(base=Base("New", "new "), moved=True)


def test_two_edits_are_asked_about() -> None:
    """Authority ask: a person decides, with what was agreed."""
    verdict = merge(rule(), "one", "other", Base("old", "old"))
    assert isinstance(verdict, Ask)
    assert (verdict.about, verdict.crm, verdict.books, verdict.base) == (
        "conflict", "one", "other", Base("old", "old"),
    )  # fmt: skip


@pytest.mark.parametrize(("authority", "value", "lost"), [("crm", "one", "other"), ("books", "other", "one")])
def test_the_authority_wins_and_the_lost_edit_is_kept(authority: Authority, value: str, lost: str) -> None:
    """What the authority lets go of is in the verdict, for the audit and for undo."""
    verdict = merge(rule(authority=authority), "one", "other", Base("old", "old"))
    assert isinstance(verdict, Take)
    assert (verdict.source, verdict.value, verdict.overwrites) == (authority, value, lost)


def test_authority_shifts_once_a_document_is_posted() -> None:
    """A legal name is the CRM's until the first posted document, then a person decides."""
    name = rule(authority="crm", after_posting="ask")
    assert isinstance(merge(name, "one", "other", Base("old", "old")), Take)
    assert isinstance(merge(name, "one", "other", Base("old", "old"), posted=True), Ask)


# --------------------------------------------------------------------------- absent, emptied, zero


def test_absent_suspends_the_field() -> None:
    """A field that is gone or hidden says nothing, whatever the base was."""
    verdict = merge(rule(), ABSENT, "x", Base("old", "old"))
    assert verdict == Suspend(side="crm", reason="notes is not to be seen in the CRM")


def test_emptied_is_an_edit_and_counts_for_the_guard() -> None:
    """Somebody emptied it: that travels, marked."""
    verdict = merge(rule(), None, "old", Base("old", "old"))
    assert isinstance(verdict, Take)
    assert (verdict.value, verdict.empties) == (None, True)


def test_saboteur_a_truth_test_takes_zero_for_empty() -> None:
    """A credit limit of zero is a value: testing by truth would not let it travel as one."""
    limit = rule(crm=("cost", T.DECIMAL), books=("cost", T.DECIMAL))
    zero = Decimal(0)
    assert not zero  # what a truth test would see
    verdict = merge(limit, zero, Decimal(5), Base(Decimal(5), Decimal(5)))
    assert isinstance(verdict, Take)
    assert (verdict.value, verdict.empties) == (zero, False)


def test_a_masked_tax_id_is_not_to_be_seen() -> None:
    """Stars are neither an edit nor ever written anywhere."""
    tax = rule(crm=("tax_identity", T.TAX_IDENTITY), books=("tax_identity", T.TAX_IDENTITY))
    full = TaxIdentity((TaxId("us.ein", "12-3456789"),))
    verdict = merge(tax, full, TaxIdentity((TaxId("us.ein", "**-***6789"),), masked=True), Base(full, full))
    assert isinstance(verdict, Suspend)
    assert verdict.side == "books"


# --------------------------------------------------------------------------- unbased


def test_unbased_and_equal_is_adopted() -> None:
    """First link: what is equal by key becomes the base."""
    assert merge(rule(), "Same", "same", None) == Agree(
        base=Base("Same", "same"), moved=True, why="equal when first compared"
    )


@pytest.mark.parametrize(("crm", "books", "source"), [("x", None, "crm"), ("", "x", "books")])
def test_unbased_and_one_side_empty_is_filled(crm: Value, books: Value, source: str) -> None:
    """A value fills the empty side."""
    verdict = merge(rule(), crm, books, None)
    assert isinstance(verdict, Fill)
    assert (verdict.source, verdict.value) == (source, "x")


def test_unbased_fills_only_where_the_direction_lets_it() -> None:
    """CRM to books: an empty CRM is not filled, it is asked about."""
    verdict = merge(rule("crm-to-books"), None, "x", None)
    assert isinstance(verdict, Ask)
    assert verdict.about == "unbased"


def test_unbased_and_different_is_one_question() -> None:
    """Never guessed: a default authority decides nothing that was never compared."""
    verdict = merge(msgspec.structs.replace(rule(authority="crm"), said=False), "one", "other", None)
    assert isinstance(verdict, Ask)
    assert (verdict.about, verdict.base) == ("unbased", None)


@pytest.mark.parametrize(("authority", "value"), [("crm", "one"), ("books", "other")])
def test_unbased_follows_whom_the_mapping_prefers(authority: Authority, value: str) -> None:
    """Said in the mapping: taken over at once, and what it overwrites is told."""
    verdict = merge(rule(authority=authority), "one", "other", None)
    assert isinstance(verdict, Take)
    assert (verdict.value, {verdict.value, verdict.overwrites}) == (value, {"one", "other"})
    assert verdict.why.startswith("never compared before; the mapping prefers")


@pytest.mark.parametrize("path", ["legal_name", "tax_identity", "emails.billing", "payment_terms"])
def test_identity_tax_and_money_are_asked_about_whatever_the_mapping_prefers(path: str) -> None:
    """The link itself may be wrong: then a name, a tax id or a billing address would go to a stranger."""
    named = rule(authority="crm", crm=(path, T.TEXT), books=(path, T.TEXT))
    assert isinstance(merge(named, "one", "other", None), Ask)


def test_a_preferred_side_that_is_empty_empties_nothing_at_first() -> None:
    """CRM to books, the CRM decides and tells nothing: a person is asked."""
    assert isinstance(merge(rule("crm-to-books", "crm"), None, "x", None), Ask)


# --------------------------------------------------------------------------- kept by a person


@pytest.mark.parametrize(("kept", "value"), [("crm", "one"), ("books", "other")])
def test_a_kept_side_is_written_over_the_other(kept: Side, value: str) -> None:
    """What was chosen counts as the edit, and the other as what it overwrites."""
    verdict = merge(rule(), "one", "other", Base("one", "other", kept))
    assert isinstance(verdict, Take)
    assert (verdict.source, verdict.value, {verdict.value, verdict.overwrites}) == (kept, value, {"one", "other"})


def test_an_edit_after_one_side_was_kept_is_a_conflict() -> None:
    """It was not seen by who decided; and the two had never agreed."""
    verdict = merge(rule(), "one", "typed since", Base("one", "other", "crm"))
    assert isinstance(verdict, Ask)
    assert (verdict.about, verdict.base) == ("conflict", None)


def test_a_kept_side_that_does_not_travel_stays_as_it_is() -> None:
    """CRM to books, the books' value kept although the CRM has the authority: the two agree to differ."""
    verdict = merge(rule("crm-to-books", "crm"), "one", "other", Base("one", "other", "books"))
    assert isinstance(verdict, Agree)
    assert (verdict.base, verdict.differs) == (Base("one", "other"), True)


def test_a_derived_value_takes_its_place_at_once() -> None:
    """What the books say of a deal is written over what stood in the CRM's field, which the verdict keeps."""
    settlement = rule("books-to-crm", "books", books=("state", T.CODE), derived=True)
    verdict = merge(settlement, "open", "paid", None)
    assert isinstance(verdict, Take)
    assert (verdict.value, verdict.overwrites) == ("paid", "open")


# --------------------------------------------------------------------------- one-way rules


def test_an_edit_on_the_receiving_side_is_taken_back_by_the_authority() -> None:
    """CRM to books, CRM decides: what was typed in the books is overwritten and kept in the verdict."""
    verdict = merge(rule("crm-to-books", "crm"), "old", "typed", Base("old", "old"))
    assert isinstance(verdict, Take)
    assert (verdict.source, verdict.value, verdict.overwrites) == ("crm", "old", "typed")


def test_an_edit_on_the_receiving_side_stays_where_that_side_decides() -> None:
    """CRM to books, books decide: the books keep their edit, and it is settled."""
    verdict = merge(rule("crm-to-books", "books"), "old", "typed", Base("old", "old"))
    assert isinstance(verdict, Agree)
    assert (verdict.base, verdict.moved, verdict.differs) == (Base("old", "typed"), True, True)


def test_an_edit_on_the_receiving_side_is_asked_about() -> None:
    """CRM to books, nobody decides: a person does."""
    assert isinstance(merge(rule("crm-to-books", "ask"), "old", "typed", Base("old", "old")), Ask)


# --------------------------------------------------------------------------- conversions


TERMS = rule(
    "two-way",
    "books",
    crm=("properties.terms", T.TEXT),
    books=("payment_terms", T.TERMS),
    values=ValueMap((("net30", "Net 30"), ("net14", "Net 14"))),
)


def test_values_meet_through_the_map_and_the_type() -> None:
    """`net30` in the CRM and the books' Net 30, with its id and days there, are the same."""
    verdict = merge(TERMS, "net30", Terms(name="Net 30", ref="7", net_days=30), None)
    assert isinstance(verdict, Agree)


def test_a_value_outside_the_map_holds_the_field() -> None:
    """No word is guessed: the field waits with that reason."""
    was = Terms(name="Net 30", ref="7", net_days=30)
    verdict = merge(TERMS, "net45", was, Base("net30", was))
    assert isinstance(verdict, Hold)
    assert verdict.reason == '"net45" is not in the value map (net30, net14)'
    assert verdict.side == "crm"


def test_what_fails_its_check_is_held() -> None:
    """A tax id with a wrong check digit does not travel."""
    tax = rule(crm=("properties.vat_id", T.TEXT), books=("tax_identity", T.TAX_IDENTITY), check="tax_id")
    verdict = merge(tax, "DE136695977", None, None)
    assert isinstance(verdict, Hold)
    assert "DE136695977" in verdict.reason


def test_a_status_without_a_number_is_no_question() -> None:
    """The CRM knows a tax number only: that the books say "taxable" differs from nothing."""
    tax = rule(crm=("properties.vat_id", T.TEXT), books=("tax_identity", T.TAX_IDENTITY))
    assert isinstance(merge(tax, None, TaxIdentity(status="taxable"), None), Agree)


def test_a_number_that_travels_leaves_the_status_alone() -> None:
    """The books' status, exemption and certificate stay as they are."""
    tax = rule(crm=("properties.vat_id", T.TEXT), books=("tax_identity", T.TAX_IDENTITY))
    held = TaxIdentity(status="exempt", certificate="C-1")
    wanted = TaxIdentity((TaxId("eu.vat", "DE136695976"),), status="exempt", certificate="C-1")
    first = merge(tax, "DE136695976", held, None)
    assert isinstance(first, Fill)
    assert first.value == wanted
    later = merge(tax, "DE136695976", held, Base(None, held))
    assert isinstance(later, Take)
    assert later.value == wanted


def test_a_lossy_one_way_transform_settles() -> None:
    """`first(3)`: equal as far as the books hold it, so nothing is ever planned again."""
    short = rule("crm-to-books", "crm", transform=Transform("first", ("3",)))
    assert isinstance(merge(short, "ABCDEF", "ABC", None), Agree)
    assert isinstance(merge(short, "ABCXYZ", "ABC", Base("ABCDEF", "ABC")), Agree)


# --------------------------------------------------------------------------- a person's word


def test_a_persons_choice_is_written_or_stays() -> None:
    """Keep books: written to the CRM where the rule lets it, else the two agree to differ."""
    kept = decide(rule(), "one", "other", "books")
    assert isinstance(kept, Take)
    assert (kept.target, kept.value, kept.overwrites) == ("crm", "other", "one")
    stays = decide(rule("crm-to-books"), "one", "other", "books")
    assert isinstance(stays, Agree)
    assert (stays.base, stays.differs) == (Base("one", "other"), True)


# --------------------------------------------------------------------------- records and groups


def test_a_record_is_merged_rule_by_rule() -> None:
    """Each rule that travels has its verdict; what stays home has none."""
    rules = [
        rule(crm=("legal_name", T.TEXT), books=("legal_name", T.TEXT)),
        PHONE,
        msgspec.structs.replace(rule(crm=("properties.notes", T.TEXT)), books=None),
    ]
    crm = Customer(ref="1", legal_name="Nordwind", phone="+1 415 555 0100")
    books = Customer(ref="9", legal_name="Nordwind", phone=None)
    decided = merge_record(rules, crm, books, {"phone:phone": Base(None, None)})
    assert [(one.key, type(verdict)) for one, verdict in decided] == [
        ("legal_name:legal_name", Agree),
        ("phone:phone", Take),
    ]


def test_an_address_merges_as_one() -> None:
    """City changed here, postcode there: a conflict, not a mixture."""
    address = rule(crm=("addresses.billing", T.ADDRESS), books=("addresses.billing", T.ADDRESS))
    was = Address(("1 Main St",), city="Albany", postcode="12207", country="US")
    crm = Customer(ref="1", addresses={"billing": msgspec.structs.replace(was, city="Troy")})
    books = Customer(ref="9", addresses={"billing": msgspec.structs.replace(was, postcode="12180")})
    ((_, verdict),) = merge_record([address], crm, books, {address.key: Base(was, was)})
    assert isinstance(verdict, Ask)


def grouped(authority: Authority) -> list[Verdict]:
    rules = [
        rule(authority=authority, crm=("payment_terms", T.TERMS), books=("payment_terms", T.TERMS)),
        rule(authority=authority, crm=("due_date", T.TEXT), books=("due_date", T.TEXT)),
    ]
    crm: dict[str, Value] = {"payment_terms": Terms(net_days=30), "due_date": "old"}
    books: dict[str, Value] = {"payment_terms": Terms(net_days=14), "due_date": "new"}
    bases = {rules[0].key: Base(Terms(net_days=14), Terms(net_days=14)), rules[1].key: Base("old", "old")}
    return [verdict for _, verdict in merge_values(Kind.INVOICE, rules, crm, books, bases)]


def test_fields_that_belong_together_go_together() -> None:
    """Terms changed in the CRM and the due date in the books: the group is a conflict, or wholly one side's."""
    assert [type(verdict) for verdict in grouped("ask")] == [Ask, Ask]
    by_books = grouped("books")
    assert [verdict.source for verdict in by_books if isinstance(verdict, Take)] == ["books", "books"]


def test_saboteur_merged_apart_a_group_becomes_a_mixture() -> None:
    """Rule by rule, each edit would travel its own way: terms of one side with the due date of the other."""
    terms = rule(crm=("payment_terms", T.TERMS), books=("payment_terms", T.TERMS))
    due = rule(crm=("due_date", T.TEXT), books=("due_date", T.TEXT))
    apart = [
        merge(terms, Terms(net_days=30), Terms(net_days=14), Base(Terms(net_days=14), Terms(net_days=14))),
        merge(due, "old", "new", Base("old", "old")),
    ]
    assert [verdict.source for verdict in apart if isinstance(verdict, Take)] == ["crm", "books"]
    assert Invoice(ref="1").payment_terms is ABSENT


# --------------------------------------------------------------------------- after a write


def test_late_rewriting_counts_within_its_time_and_only_if_it_says_the_same() -> None:
    """The vendor put our number into its own form half a minute later; a person's number is an edit."""
    said: dict[str, Any] = {"written_at": NOON, "settles_s": 60, "region": "US"}
    soon, late = NOON + timedelta(seconds=30), NOON + timedelta(seconds=61)
    assert late_rewrite(T.PHONE, "+14155550100", "(415) 555-0100", seen_at=soon, **said)
    assert not late_rewrite(T.PHONE, "+14155550100", "(415) 555-0100", seen_at=late, **said)
    assert not late_rewrite(T.PHONE, "+14155550100", "(415) 555-0199", seen_at=soon, **said)


def test_more_than_three_writes_in_an_hour_are_flapping() -> None:
    """The fourth holds the field; an hour later it is free again."""
    written = [NOON - timedelta(minutes=minutes) for minutes in (1, 10, 20, 50)]
    assert flapping(written, NOON)
    assert not flapping(written[1:], NOON)
    assert not flapping(written, NOON + timedelta(minutes=15))


# --------------------------------------------------------------------------- whatever the values

TEXTS = st.sampled_from([None, "", "a", "A ", "b", "c"])
DIRECTIONS = st.sampled_from(["two-way", "crm-to-books", "books-to-crm"])
AUTHORITIES = st.sampled_from(["crm", "books", "ask"])
RULES = st.builds(rule, DIRECTIONS, AUTHORITIES)
BASES = st.none() | st.builds(Base, TEXTS, TEXTS)
_MIRROR: dict[str, Any] = {
    "crm": "books", "books": "crm", "ask": "ask",
    "two-way": "two-way", "crm-to-books": "books-to-crm", "books-to-crm": "crm-to-books",
}  # fmt: skip


def shape(verdict: Verdict, *, mirrored: bool) -> tuple[Any, ...]:
    """What a verdict comes to, seen from the one side or the other."""

    def side(name: Side) -> Side:
        turned: Side = _MIRROR[name] if mirrored else name
        return turned

    match verdict:
        case Agree():
            base = (verdict.base.crm, verdict.base.books)
            return ("agree", base[::-1] if mirrored else base, verdict.moved, verdict.differs)
        case Take():
            return ("take", side(verdict.source), verdict.value, verdict.overwrites, verdict.empties)
        case Fill():
            return ("fill", side(verdict.source), verdict.value)
        case Ask():
            return ("ask", verdict.about)
        case _:
            return (type(verdict).__name__, side(verdict.side))


@given(RULES, TEXTS, TEXTS, BASES)
def test_it_commutes(field: FieldRule, crm: Value, books: Value, base: Base | None) -> None:
    """With the sides exchanged the verdict is the same, with the sides exchanged."""
    other = rule(_MIRROR[field.direction], _MIRROR[field.authority])
    turned = Base(base.books, base.crm) if base is not None else None
    assert shape(merge(field, crm, books, base), mirrored=False) == shape(
        merge(other, books, crm, turned), mirrored=True
    )


def applied(verdict: Verdict, crm: Value, books: Value, base: Base | None) -> tuple[Value, Value, Base | None]:
    """Both sides and the base once a verdict has been carried out, by a vendor who stores what it is sent."""
    match verdict:
        case Agree():
            return crm, books, verdict.base
        case Take() | Fill():
            seen, written = verdict.seen, verdict.value
            after = Base(seen, written) if verdict.source == "crm" else Base(written, seen)
            return after.crm, after.books, after
        case _:
            return crm, books, base


def lost_edits(field: FieldRule, before: Base, after: tuple[Value, Value], verdict: Verdict, base: Base) -> list[Side]:
    """Sides whose edit since base stands nowhere any more, although the mapping's authority did not say so."""
    lost: list[Side] = []
    sides: tuple[Side, Side] = ("crm", "books")
    for side, mine, was in zip(sides, (before.crm, before.books), (base.crm, base.books), strict=True):
        edited = key(T.TEXT, mine) != key(T.TEXT, was)
        stands = key(T.TEXT, mine) in {key(T.TEXT, value) for value in after}
        allowed = (
            isinstance(verdict, Take)
            and field.authority == verdict.source != side
            and key(T.TEXT, verdict.overwrites) == key(T.TEXT, mine)
        )
        if edited and not stands and not allowed:
            lost.append(side)
    return lost


@given(RULES, TEXTS, TEXTS, st.builds(Base, TEXTS, TEXTS))
def test_no_edit_is_lost(field: FieldRule, crm: Value, books: Value, base: Base) -> None:
    """What was typed since base stands on some side, or the authority let it go and the verdict keeps it."""
    verdict = merge(field, crm, books, base)
    here, there, _ = applied(verdict, crm, books, base)
    assert lost_edits(field, Base(crm, books), (here, there), verdict, base) == []


def test_saboteur_last_writer_wins_loses_an_edit() -> None:
    """The same question, asked of a merge that always takes the CRM, finds the loss."""
    field, base = rule(authority="ask"), Base("old", "old")
    broken = Take(source="crm", target="books", value="one", seen="one", before="other", why="newest")
    here, there, _ = applied(broken, "one", "other", base)
    assert lost_edits(field, Base("one", "other"), (here, there), broken, base) == ["books"]


@given(RULES, TEXTS, TEXTS, BASES)
def test_it_settles(field: FieldRule, crm: Value, books: Value, base: Base | None) -> None:
    """Once a verdict is carried out, the next merge agrees and moves nothing; what was asked stays the same
    question."""
    verdict = merge(field, crm, books, base)
    here, there, then = applied(verdict, crm, books, base)
    again = merge(field, here, there, then)
    if isinstance(verdict, Ask):
        assert again == verdict
    else:
        assert isinstance(again, Agree)
        assert not again.moved


@given(RULES, TEXTS, TEXTS, BASES, st.sampled_from(["crm", "books"]))
def test_a_persons_word_settles_it(field: FieldRule, crm: Value, books: Value, base: Base | None, keep: Side) -> None:
    """After a decision nothing is asked again."""
    here, there, then = applied(decide(field, crm, books, keep), crm, books, base)
    assert isinstance(merge(field, here, there, then), Agree)
