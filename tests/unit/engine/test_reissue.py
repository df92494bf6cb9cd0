"""Credit and re-issue, decided from values alone."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.records import Deal, Invoice, InvoiceLine, Kind, Payment
from connectors.canon.values import Money
from worker.engine.plan import Change, Relied, left_out, relied_digest, summed
from worker.engine.reissue import Credit, Posted, applied, credited, is_answer, reissued, why_not
from worker.engine.undo import open_day

DEAL = Deal(ref="d1", name="Q4 pumps")
OLD = Invoice(
    ref="i1",
    number="1042",
    customer="c1",
    state="posted",
    currency="USD",
    lines=(InvoiceLine(key="1", text="work", net=Decimal(100), tax_code="TAX"),),
    net=Decimal(100),
    total=Decimal(108),
    balance=Decimal(108),
)
USD_100 = Money(Decimal(100), "USD")
NEW = Change(
    id="new",
    flow="invoices",
    side="books",
    kind=Kind.INVOICE,
    operation="create",
    source_kind=Kind.DEAL,
    source_ref="d1",
    title="Q4 pumps",
    why="",
    needs=("customer",),
    requires=(Relied("crm", Kind.DEAL, "d1", relied_digest(DEAL)),),
)


def posted(**more: Any) -> Posted:
    invoice = msgspec.structs.replace(OLD, **more)
    return Posted(refs=("i1",), invoice=invoice, net=USD_100)


def how(deal: Deal | None = DEAL, first: int = 1) -> Credit:
    numbers = itertools.count(first)
    return Credit(
        deal=deal, deal_ref="d1", day=date(2026, 11, 10), marker="T-1", new_id=lambda p: f"{p}{next(numbers)}"
    )


def note(of: Posted, deal: Deal | None = DEAL) -> Change:
    return credited(of, how(deal), "the deal now says USD 120.00")


def test_the_two_stand_and_fall_together() -> None:
    """The new one first, voided again if need be; both rely on the old one as it was read."""
    new, credit = reissued(NEW, note(posted()), posted())
    relied = Relied("books", Kind.INVOICE, "i1", relied_digest(OLD))
    assert (new.group_id, 1, "void", ("customer",)) == (credit.group_id, new.group_seq, new.compensation, new.needs)
    assert (2, None, ("new",)) == (credit.group_seq, credit.compensation, credit.needs)
    assert relied in new.requires and relied in credit.requires
    assert [{"new", credit.id}] * 2 == [left_out([new, credit], {id_}) for id_ in ("new", credit.id)]
    assert [True, True, False] == [is_answer(c) for c in (new, credit, NEW)]


def test_a_credit_note_is_for_all_of_it() -> None:
    """Its net and its total are those of the invoice, dated in the open period."""
    made = note(posted())
    assert (USD_100, Decimal(108)) == (made.net, made.total)
    assert "Q4 pumps: credit for invoice 1042" == made.title


def test_a_deal_that_is_gone_is_no_reason_to_wait() -> None:
    """Then the credit note relies on the invoice alone."""
    made = note(posted(), None)
    assert [("books", Kind.INVOICE)] == [(r.side, r.kind) for r in made.requires]


def test_where_credit_is_not_applied_that_is_said() -> None:
    """Somebody has to do it by hand."""
    by_hand = msgspec.structs.replace(posted(), applied=False)
    assert note(by_hand).why.endswith("; apply it to the invoice by hand")
    assert "by hand" not in note(posted()).why


def test_where_a_payment_of_zero_applies_a_credit_it_follows_the_note_and_stands_alone() -> None:
    """It needs the note, moves no money, counts as no document, and is in no group: if it is refused, the rest
    stands."""
    paying = msgspec.structs.replace(posted(), applied=False, by_payment=True)
    credit = note(paying)
    (payment,) = applied(credit, paying, how(first=2))
    assert "by hand" not in credit.why
    assert ((credit.id,), "", None, None) == (payment.needs, payment.group_id, payment.net, payment.total)
    assert isinstance(payment.record, Payment)
    assert (Money(Decimal(0), "USD"), "i1", Decimal(108), f"@{credit.id}") == (
        payment.record.amount,
        payment.record.allocations[0].document,
        payment.record.allocations[0].amount,
        payment.record.allocations[0].via,
    )
    new, grouped = reissued(NEW, credit, paying)
    assert {payment.id} == left_out([new, grouped, payment], {payment.id})
    assert {"new", credit.id, payment.id} == left_out([new, grouped, payment], {"new"})
    assert (3, 1) == (summed([new, grouped, payment]).changes, summed([new, grouped, payment]).documents)
    assert not is_answer(payment)


def test_where_the_note_is_applied_when_it_is_made_nothing_follows_it() -> None:
    """Nor where only a person can apply it."""
    by_hand = msgspec.structs.replace(posted(), applied=False)
    assert [[], []] == [applied(note(each), each, how()) for each in (posted(), by_hand)]


@pytest.mark.parametrize(
    ("stands", "why"),
    [
        (posted(), None),
        (posted(balance=Decimal(60)), "part of invoice 1042 is settled: take that off first"),
        (posted(state="draft"), "invoice 1042 is not posted"),
        (Posted(refs=("i1",), invoice=None, net=USD_100), "invoice i1 cannot be read"),
        (msgspec.structs.replace(posted(), refs=("i1", "i2")), "2 documents stand for it: void one first"),
    ],
)
def test_what_cannot_be_credited_says_why(stands: Posted, why: str | None) -> None:
    """And nothing is drawn for it."""
    assert why == why_not(stands)


def test_the_day_is_in_the_open_period() -> None:
    """Today, or the first day after what is closed."""
    today = date(2026, 11, 10)
    found = [open_day(today, locked) for locked in (None, date(2026, 10, 31), today, date(2026, 11, 30))]
    assert [today, today, date(2026, 11, 11), date(2026, 12, 1)] == found
