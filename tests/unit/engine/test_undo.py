"""The reverse of a run, decided from values alone."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.canon.fields import FieldType
from connectors.canon.records import AnyRecord, Customer, Invoice, InvoiceLine, Kind
from worker.engine import undo as engine
from worker.engine.plan import Change, FieldChange, Relied, relied_digest
from worker.engine.undo import (
    Hanging,
    House,
    Now,
    Since,
    TakenBack,
    Written,
    credit_note,
    edits,
    take_back,
    why_credited,
)

EVERYTHING = frozenset({"create", "update", "void", "delete", "archive"})
HOUSE = House(
    titles={"crm": "HubSpot", "books": "QuickBooks"},
    operations={("books", kind): EVERYTHING for kind in Kind} | {("crm", kind): EVERYTHING for kind in Kind},  # type: ignore[arg-type, dict-item]  # a set of operations
    today=date(2026, 11, 10),
    locked_until=None,
    marker=lambda ref: f"T-{ref}",
    region="US",
)
POSTED = Invoice(
    ref="i1",
    number="1041",
    customer="c1",
    date=date(2026, 11, 9),
    state="posted",
    currency="USD",
    lines=(InvoiceLine(key="1", text="work", net=Decimal(100), tax_code="NON", position="p1"),),
    net=Decimal(100),
    total=Decimal(100),
    balance=Decimal(100),
)
ACME = Customer(ref="c1", legal_name="Acme", phone="+12125550101")


def change(id_: str, **more: Any) -> Change:
    said: dict[str, Any] = {
        "flow": "customers",
        "side": "books",
        "kind": Kind.CUSTOMER,
        "operation": "update",
        "source_kind": Kind.CUSTOMER,
        "source_ref": "h1",
        "title": "Acme",
        "why": "changed in the CRM",
        "ref": "c1",
    }
    return Change(id=id_, **{**said, **more})


def phone(before: Any = "+12125550100", after: Any = "+12125550101") -> FieldChange:
    return FieldChange(
        path="phone", rule="phone:phone", type=FieldType.PHONE, before=before, after=after, seen=after,
        seen_type=FieldType.PHONE,
    )  # fmt: skip


def done(made: Change, stored: AnyRecord | None = None, provenance: str = "created", ref: str = "c1") -> Written:
    return Written(change=made, ref=ref, stored=stored, provenance=provenance)


def reverse(*run: tuple[Written, Now], house: House = HOUSE) -> TakenBack:
    numbers = itertools.count(1)
    now = {written.change.id: stands for written, stands in run}
    return take_back([written for written, _ in run], now, house, lambda prefix: f"{prefix}_u{next(numbers)}")


def billed(**more: Any) -> Change:
    said = {"flow": "invoices", "kind": Kind.INVOICE, "operation": "create", "ref": None, "marker": "T-1"}
    told = {**said, "source_kind": Kind.DEAL, "source_ref": "d1", "title": "Q4 pumps", **more}
    return change(told.pop("id", "i"), **told)


def test_the_order_is_the_reverse_of_how_it_was_made() -> None:
    """Payment states, documents, customers; each the last one first. What hangs on an ended document goes after it."""
    customers = [
        (done(change(f"c{n}", operation="create", ref=None), ACME, ref=f"c{n}"), Now(target=ACME, linked="created"))
        for n in (1, 2)
    ]
    hangs = (Hanging(Kind.INVOICE, "i1", "invoice 1041"),)
    customers[0] = (customers[0][0], msgspec.structs.replace(customers[0][1], hanging=hangs))
    invoice = done(billed(), POSTED, ref="i1")
    marked = done(change("m", flow="payments", side="crm", kind=Kind.DEAL, fields=(phone(),)), ref="d1")
    taken = reverse(
        *customers, (invoice, Now(target=POSTED)), (marked, Now(target=Customer(ref="d1", phone="+12125550101")))
    )
    assert [("m", "update"), ("i", "void"), ("c2", "archive"), ("c1", "archive")] == [
        (c.undoes, c.operation) for c in taken.changes
    ]
    void, last = taken.changes[1], taken.changes[-1]
    assert ((void.id,), ()) == (last.needs, taken.changes[2].needs)
    assert (Relied("books", Kind.INVOICE, "i1", relied_digest(POSTED)),) == void.requires


def test_a_value_that_only_looks_different_is_no_edit() -> None:
    """The canonical key decides: QuickBooks writes the same number its own way."""
    target = Customer(ref="c1", phone="(212) 555-0101")
    taken = reverse((done(change("a", fields=(phone(),))), Now(target=target, source=ACME)))
    (field,) = taken.changes[0].fields
    assert ((), "(212) 555-0101", "+12125550100", "+12125550101") == (
        taken.left, field.before, field.after, field.seen,
    )  # fmt: skip


def test_what_the_vendor_made_of_a_value_counts_as_left_by_the_run() -> None:
    """It stored something else than it was sent, and that is what stands there."""
    stored = Customer(ref="c1", phone="2125559999")
    taken = reverse((done(change("a", fields=(phone(),)), stored), Now(target=stored, source=ACME)))
    assert (1, ()) == (len(taken.changes), taken.left)


@pytest.mark.parametrize(
    ("now", "field", "reason"),
    [
        (Now(target=None), phone(), "it is gone from QuickBooks"),
        (Now(target=Customer(ref="c1", phone="+12125550199")), phone(), "changed in QuickBooks since"),
        (
            Now(target=ACME, source=Customer(ref="h1", phone="+12125550199")),
            phone(),
            "changed in HubSpot since; the next preview brings that",
        ),
        (
            Now(target=ACME, since=(Since(id="x", run="run_2", undoes=None, rules=frozenset({"phone:phone"})),)),
            phone(),
            "written again by run run_2",
        ),
        (
            Now(target=ACME, since=(Since(id="x", run="run_2", undoes="a", rules=frozenset({"phone:phone"})),)),
            phone(),
            "undone already by run run_2",
        ),
        (Now(target=ACME), phone(before=msgspec.UNSET), "what it was before is not known"),
    ],
)
def test_why_a_field_is_left(now: Now, field: FieldChange, reason: str) -> None:
    taken = reverse((done(change("a", fields=(field,))), now))
    assert ((), [reason]) == (taken.changes, [left.reason for left in taken.left])


def test_a_later_run_that_wrote_another_field_is_no_reason() -> None:
    since = (Since(id="x", run="run_2", undoes=None, rules=frozenset({"notes:notes"})),)
    assert () == reverse((done(change("a", fields=(phone(),))), Now(target=ACME, since=since))).left


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"emailed": False, "sent_at": None}, None),
        ({"emailed": True}, "invoice 1041 was sent"),
        ({"sent_at": datetime(2026, 11, 9, tzinfo=UTC)}, "invoice 1041 was sent"),
        ({"fiscal_status": "cleared"}, "invoice 1041 was cleared (cleared)"),
        ({"period": "filed"}, "invoice 1041 is in a filed period"),
        ({"period": "open"}, None),
    ],
)
def test_what_somebody_has_seen_is_credited_and_not_voided(more: dict[str, Any], reason: str | None) -> None:
    invoice = msgspec.structs.replace(POSTED, **more)
    taken = reverse((done(billed(), invoice, ref="i1"), Now(target=invoice)))
    assert reason == why_credited(invoice, HOUSE)
    assert ["void" if reason is None else "create"] == [c.operation for c in taken.changes]


def test_where_there_are_no_credit_notes_a_sent_invoice_is_left() -> None:
    invoice = msgspec.structs.replace(POSTED, emailed=True)
    poor = msgspec.structs.replace(HOUSE, operations={("books", Kind.INVOICE): frozenset({"create", "void"})})
    (left,) = reverse((done(billed(), invoice, ref="i1"), Now(target=invoice)), house=poor).left
    assert "invoice 1041 was sent, and Tieout makes no credit notes in QuickBooks" == left.reason


@pytest.mark.parametrize(
    ("locked", "day"), [(None, "2026-11-10"), ("2026-10-31", "2026-11-10"), ("2026-11-30", "2026-12-01")]
)
def test_a_credit_note_is_dated_in_the_open_period(locked: str | None, day: str) -> None:
    until = date.fromisoformat(locked) if locked is not None else None
    assert date.fromisoformat(day) == msgspec.structs.replace(HOUSE, locked_until=until).open_day


def test_a_credit_note_takes_back_all_of_an_invoice() -> None:
    """Line for line; no billing position stands behind it."""
    note = credit_note(POSTED, date(2026, 11, 10))
    assert isinstance(note.lines, tuple) and isinstance(note.allocations, tuple)
    assert (["", None, Decimal(100), "NON"], [("i1", Decimal(100))]) == (
        [note.lines[0].key, note.lines[0].position, note.lines[0].net, note.lines[0].tax_code],
        [(each.document, each.amount) for each in note.allocations],
    )


def test_a_document_found_after_a_lost_answer_is_ours_only_with_our_marker() -> None:
    """Else somebody may have typed it."""
    theirs = done(billed(), POSTED, provenance="adopted", ref="i1")
    assert "may be somebody's own" in reverse((theirs, Now(target=POSTED))).left[0].reason
    ours = msgspec.structs.replace(POSTED, marker="T-1")
    assert ["void"] == [c.operation for c in reverse((theirs, Now(target=ours))).changes]


def test_what_the_books_compute_is_no_edit() -> None:
    """Nor is what they do not tell; what they did not tell when it was made was empty."""
    paid = msgspec.structs.replace(POSTED, balance=Decimal(40), version="7")
    assert [] == edits(POSTED, paid)
    assert ["memo"] == edits(POSTED, msgspec.structs.replace(POSTED, memo="for Ann"))
    assert [] == edits(msgspec.structs.replace(POSTED, memo="for Ann"), POSTED)
    assert ["emails.billing"] == edits(ACME, msgspec.structs.replace(ACME, emails={"billing": "ap@acme.com"}))


# --------------------------------------------------------------------------- groups


def reissue(**second: Any) -> list[tuple[Written, Now]]:
    """Two invoices that were made as a group, and the customer that was made for the first."""
    customer = change("c", operation="create", ref=None)
    first = billed(id="i1", group_id="g", title="one", needs=("c",))
    other = billed(id="i2", group_id="g", group_seq=2, title="two")
    hangs = (Hanging(Kind.INVOICE, "i1", "invoice 1041"),)
    stored = msgspec.structs.replace(POSTED, ref="i2", number="1042")
    return [
        (done(customer, ACME), Now(target=ACME, linked="created", hanging=hangs)),
        (done(first, POSTED, ref="i1"), Now(target=POSTED)),
        (done(other, stored, ref="i2"), Now(**{"target": stored, **second})),
    ]


def test_a_group_is_taken_back_as_a_group() -> None:
    """In one group again, so that nobody chooses half of it; a customer is in none."""
    taken = reverse(*reissue())
    assert (3, ()) == (len(taken.changes), taken.left)
    assert ["back:g", "back:g", ""] == [c.group_id for c in taken.changes]


def test_a_group_of_which_one_stays_is_left_whole() -> None:
    """And so is what only goes with it. Each with its reason."""
    taken = reverse(*reissue(applied=("payment of USD 5.00",)))
    assert () == taken.changes
    assert {
        "invoice made: it belongs to two, which is left as it is",
        "customer made: what hangs on it is left as it is",
    } < {f"{each.what}: {each.reason}" for each in taken.left}


def test_what_closes_a_half_takes_back_what_it_can() -> None:
    """There the group failed already: what can be taken back of it is."""
    run = reissue(applied=("payment of USD 5.00",))
    numbers = itertools.count(1)
    now = {written.change.id: stands for written, stands in run}
    taken = take_back([w for w, _ in run], now, HOUSE, lambda prefix: f"{prefix}{next(numbers)}", whole=False)
    assert ["void", "archive"] == [c.operation for c in taken.changes]


def test_saboteur_member_by_member_an_undo_takes_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the whole, one of the two is voided."""
    monkeypatch.setattr(engine._Taking, "keep_whole", lambda *_: None)
    assert "void" in [c.operation for c in reverse(*reissue(applied=("payment of USD 5.00",))).changes]
