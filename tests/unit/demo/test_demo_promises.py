"""Each promise's check: it holds on what is right, and each thing that can break it turns it red."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bot.demo import promises
from bot.demo.hands import Edit, Won
from bot.demo.snapshots import ADDRESS, Snapshot, deeds
from worker.api.views import ChainView, ChangeView, FieldView

DAY = date(2026, 10, 5)
PLACE = ("7 Weir Ln", "Albany", "NY", "12207")


def customer(name: str, **more: Any) -> dict[str, Any]:
    return {"legal_name": name, "phone": "+1 518 555 0101", ADDRESS: PLACE, **more}


def invoice(net: str, marker: str | None = "M1", **more: Any) -> dict[str, Any]:
    total = Decimal(net)
    return {"customer": "1", "date": DAY, "net": total, "total": total, "marker": marker, "void": False, **more}


def books(*invoices: dict[str, Any], **customers: dict[str, Any]) -> Snapshot:
    held = {("customer", ref[1:]): record for ref, record in customers.items()} or {
        ("customer", "1"): customer("Alder")
    }
    return Snapshot("books", {**held, **{("invoice", str(n)): each for n, each in enumerate(invoices)}})


def crm(**customers: dict[str, Any]) -> Snapshot:
    held = {("customer", ref[1:]): record for ref, record in customers.items()} or {
        ("customer", "7"): customer("Alder")
    }
    return Snapshot("crm", held)


def change(kind: str = "customer", operation: str = "update", **more: Any) -> ChangeView:
    given: dict[str, Any] = {
        "id": "ch_1", "side": "books", "system": "QuickBooks", "title": "Alder", "why": "", "ref": "1",
        "state": "planned", "reason": None, "net": None, "total": None, "currency": None, "fields": (), **more,
    }  # fmt: skip
    return ChangeView(kind=kind, operation=operation, **given)


WON = [Won("D1", "Alder", DAY, Decimal("100.00"))]


# --------------------------------------------------------------------------- no duplicate


def test_one_document_for_each_deal_is_no_duplicate() -> None:
    assert None is promises.no_duplicate(books(), WON, crm(), books(invoice("100.00")))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (books(), books(invoice("100.00"), invoice("100.00"))),
        (books(), books(invoice("100.00"), invoice("100.00", "M2"))),
        (books(invoice("100.00", None)), books(invoice("100.00", None), invoice("100.00"))),
        (books(), books(r1=customer("Alder"), r2=customer("ALDER"))),
    ],
    ids=["a marker twice", "a deal billed twice", "billed again beside the one by hand", "a customer twice"],
)
def test_whatever_stands_twice_is_a_duplicate(before: Snapshot, after: Snapshot) -> None:
    assert promises.no_duplicate(before, WON, crm(), after) is not None


# --------------------------------------------------------------------------- no lost edit

TYPED = Edit(said="a new phone", side="books", kind="customer", ref="1", path="phone", value="(518) 555-0101")


def test_an_edit_that_still_stands_is_not_lost_in_another_spelling() -> None:
    assert None is promises.no_lost_edit([TYPED], crm(), books(), [])


def test_an_edit_that_gave_way_is_on_record() -> None:
    """It was overwritten because somebody decided so: then its value is in the trail, else it is lost."""
    gone = books(r1=customer("Alder", phone="+1 212 555 0000"))
    gave_way = msgspec.structs.replace(TYPED, gives_way=True)

    assert None is promises.no_lost_edit([gave_way], crm(), gone, ['{"phone":"(518) 555-0101"}'])
    assert promises.no_lost_edit([gave_way], crm(), gone, []) is not None


def test_an_edit_that_nobody_decided_against_is_lost_even_if_it_is_on_record() -> None:
    gone = books(r1=customer("Alder", phone="+1 212 555 0000"))
    assert promises.no_lost_edit([TYPED], crm(), gone, ['{"phone":"(518) 555-0101"}']) is not None


# --------------------------------------------------------------------------- what you saw is what happens

SHOWN = change(fields=(FieldView(path="phone", before=None, after="+15185550199"),))
BEFORE, AFTER = books(), books(r1=customer("Alder", phone="+1 518 555 0199"))


def test_what_was_shown_was_done() -> None:
    assert None is promises.what_you_saw([SHOWN], deeds(BEFORE, AFTER), crm(), AFTER)


@pytest.mark.parametrize(
    ("shown", "after"),
    [
        ([SHOWN], BEFORE),
        ([], AFTER),
        ([SHOWN], books(r1=customer("Alder", phone="+1 518 555 0111"))),
        ([SHOWN], books(r1=customer("Alder", phone="+1 518 555 0199"), r2=customer("Birch"))),
        ([change("invoice", "create", ref=None, total=Decimal("100.00"))], books(invoice("100.01"))),
    ],
    ids=["shown, not done", "done, not shown", "another value", "something more", "a cent more"],
)
def test_anything_else_is_not_what_was_seen(shown: list[ChangeView], after: Snapshot) -> None:
    assert promises.what_you_saw(shown, deeds(BEFORE, after), crm(), after) is not None


# --------------------------------------------------------------------------- it settles, no echo


def test_a_last_run_that_does_or_asks_anything_has_not_settled() -> None:
    assert None is promises.settles(0, 0, 0)
    assert None not in [promises.settles(1, 0, 0), promises.settles(0, 1, 0), promises.settles(0, 0, 1)]


def test_our_own_writes_must_come_back_and_cause_nothing() -> None:
    """If none came back nothing was shown, which is no proof."""
    assert None is promises.no_echo(32, 0, 0)
    assert None not in [promises.no_echo(0, 0, 0), promises.no_echo(32, 1, 0), promises.no_echo(32, 0, 1)]


# --------------------------------------------------------------------------- money

BILLED = change("invoice", "create", ref=None, net=Decimal("100.00"), total=Decimal("100.00"))


def test_money_is_exact_if_net_and_total_are_the_deal_s_and_the_forecast_s() -> None:
    assert None is promises.money_exact([BILLED], WON, books(invoice("100.00")))


@pytest.mark.parametrize(
    "after",
    [books(invoice("100.01")), books(invoice("100.00", total=Decimal("100.01"))), books()],
    ids=["another net", "another total", "no invoice"],
)
def test_a_cent_away_is_not_exact(after: Snapshot) -> None:
    assert promises.money_exact([BILLED], WON, after) is not None


# --------------------------------------------------------------------------- guards, record, secrets


def test_a_terrible_plan_is_held_and_not_written() -> None:
    held = promises.Guarded(held=145, refused=None, changes=0, before=BEFORE, after=BEFORE)
    refused = promises.Guarded(held=0, refused="the crm shows 0 of 85", changes=0, before=BEFORE, after=BEFORE)
    assert [None, None] == [promises.guarded(held), promises.guarded(refused)]


def test_a_terrible_plan_that_went_through_breaks_the_promise() -> None:
    let_go = promises.Guarded(held=0, refused=None, changes=145, before=BEFORE, after=BEFORE)
    written = promises.Guarded(held=145, refused=None, changes=0, before=BEFORE, after=AFTER)
    assert None not in [promises.guarded(let_go), promises.guarded(written)]


def test_nothing_is_billed_from_before_the_cut_over() -> None:
    """An invoice that a person wrote earlier is theirs."""
    assert None is promises.nothing_before(DAY, books(invoice("1.00"), invoice("1.00", None, date=date(2025, 1, 1))))
    assert promises.nothing_before(date(2026, 10, 6), books(invoice("1.00"))) is not None


def test_every_change_is_on_record_and_the_chain_holds() -> None:
    sound = ChainView(pair="demo", entries=9, head="h", broken_at=None, reason=None)
    broken = msgspec.structs.replace(sound, broken_at=3, reason="entry 3 was changed")

    assert None is promises.on_record([sound], 4, 4)
    assert promises.on_record([sound], 4, 3) is not None
    assert promises.on_record([broken], 4, 4) is not None


def test_a_secret_in_any_place_is_found() -> None:
    places: dict[str, str | bytes] = {"a message": "hello", "the database": b"..."}
    assert None is promises.secrets_stay_in(["pat-1"], places)
    assert promises.secrets_stay_in(["pat-1"], {**places, "a log": "Bearer pat-1"}) is not None
    assert promises.secrets_stay_in(["pat-1"], {**places, "the database": b"\x00pat-1\x00"}) is not None


def test_deeds_tell_what_was_made_changed_and_deleted() -> None:
    before = books(invoice("1.00"), r1=customer("Alder"), r2=customer("Birch"))
    after = books(r1=customer("Alder", phone=None), r3=customer("Cedar"))
    expected = Counter({
        ("books", "customer", "update", "1"): 1,
        ("books", "customer", "create", "Cedar"): 1,
        ("books", "customer", "delete", "2"): 1,
        ("books", "invoice", "delete", "0"): 1,
    })  # fmt: skip
    assert expected == deeds(before, after)
