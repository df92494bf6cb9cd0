"""Edit...: a person settles a conflict with a value of their own, and it is written to both sides."""

from __future__ import annotations

import msgspec
import pytest

from connectors.canon.records import Kind
from connectors.canon.values import Address
from tests.flows.rig import Rig
from worker.api import Problem
from worker.engine import own_value
from worker.usecases import settle_conflict

OURS = "+254 20 2710009"


async def in_conflict(rig: Rig) -> tuple[str, str]:
    crm, books = await rig.linked("Betatech", phone="+254 20 2710000")
    rig.crm.edit(_kind(), crm, phone="+254 20 2710001")
    rig.books.edit(_kind(), books, phone="+254 20 2711000")
    await rig.preview()
    return crm, books


def _kind() -> Kind:
    return Kind.CUSTOMER

    return Kind.CUSTOMER


async def test_own_value_is_written_to_both_sides_and_then_nothing_is_left(rig: Rig) -> None:
    """Both sides hold what was typed; the next run plans nothing and writes nothing."""
    crm, books = await in_conflict(rig)
    await rig.settle("value", value=OURS)
    plan = await rig.preview()
    assert {("crm", "update"), ("books", "update")} == {(c.side, c.operation) for c in await rig.changes(plan)}
    await rig.apply()
    assert (OURS, OURS) == (rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone)
    before = rig.writes()
    assert 0 == (await rig.preview()).changes
    assert [] == await rig.conflicts()
    assert before == rig.writes()


async def test_own_value_waits_for_the_second_side_when_the_first_alone_was_written(rig: Rig) -> None:
    """Written to one side only (the other was left out): the next plan writes the other, not the first again."""
    crm, books = await in_conflict(rig)
    await rig.settle("value", value=OURS)
    await rig.preview()
    await rig.apply(part=("crm.customer.update",))
    assert (OURS, "+254 20 2711000") == (rig.see(rig.crm, crm).phone, rig.see(rig.books, books).phone)
    plan = await rig.preview()
    assert ["books"] == [c.side for c in await rig.changes(plan)]
    await rig.apply()
    assert OURS == rig.see(rig.books, books).phone
    assert 0 == (await rig.preview()).changes


async def test_an_edit_after_the_decision_is_asked_about_again(rig: Rig) -> None:
    """Somebody edits a side after the decision: nothing of theirs is overwritten, the question comes again."""
    _crm, books = await in_conflict(rig)
    await rig.settle("value", value=OURS)
    rig.books.edit(_kind(), books, phone="+254 20 2715555")
    plan = await rig.preview()
    assert 0 == plan.changes
    assert "+254 20 2715555" == (await rig.question()).books
    assert "+254 20 2715555" == rig.see(rig.books, books).phone


async def test_an_edit_between_plan_and_apply_is_left_out(rig: Rig) -> None:
    """The plan's write to a side that moved meanwhile is stale, not made."""
    _crm, books = await in_conflict(rig)
    await rig.settle("value", value=OURS)
    await rig.preview()
    rig.books.edit(_kind(), books, phone="+254 20 2715555")
    await rig.apply()
    assert "+254 20 2715555" == rig.see(rig.books, books).phone


async def test_an_answer_to_values_that_changed_is_not_taken(rig: Rig) -> None:
    """The question shows the values of now, and stays open."""
    _crm, books = await in_conflict(rig)
    rig.books.edit(_kind(), books, phone="+254 20 2715555")
    await rig.run("preview")
    number = (await rig.question()).number
    rig.books.edit(_kind(), books, phone="+254 20 2716666")
    desk = await rig.desk()
    from worker.usecases.pull import pull_pair

    await pull_pair(desk)
    settled = await rig.api.settle(rig.pair.id, number, "value", "U1", OURS)
    assert settled.moved
    assert "+254 20 2716666" == (await rig.question()).books


async def test_a_value_that_is_none_is_refused_in_words(rig: Rig) -> None:
    """What cannot be read or fails the field's check is not taken."""
    await in_conflict(rig)
    rule = next(r for r in (await rig.desk()).mapping.rules(_kind()) if r.books == "phone")
    one_way = msgspec.structs.replace(rule, direction="crm-to-books")
    said = own_value.own_value(one_way, OURS, None, None, None)
    assert "this field cannot be edited here: change it in one of the two systems, then keep that one" == said
    checked = msgspec.structs.replace(rule, check="phone")
    assert '"12" is no phone number in KE' not in str(own_value.own_value(checked, OURS, None, None, "KE"))
    assert isinstance(own_value.own_value(checked, "call me", None, None, "KE"), str)


async def test_an_address_is_typed_in_parts(rig: Rig) -> None:
    """The whole address goes to both sides."""
    at = Address(("1 Main St",), "Nairobi", None, "00100", "KE")
    crm, books = await rig.linked("Betatech", addresses={"billing": at})
    rig.crm.edit(_kind(), crm, **{"addresses.billing": msgspec.structs.replace(at, lines=("2 Main St",))})
    rig.books.edit(_kind(), books, **{"addresses.billing": msgspec.structs.replace(at, lines=("3 Main St",))})
    await rig.preview()
    typed = Address(("4 Main St", "Floor 2"), "Nairobi", None, "00100", "KE")
    await rig.settle("value", value=msgspec.json.encode(typed).decode())
    await rig.done()
    assert typed == rig.see(rig.crm, crm).addresses["billing"]
    assert typed == rig.see(rig.books, books).addresses["billing"]
    assert 0 == (await rig.preview()).changes


async def test_a_bad_value_leaves_the_question_open(rig: Rig) -> None:
    """Nothing is decided by an answer that cannot be taken."""
    at = Address(("1 Main St",), "Nairobi", None, "00100", "KE")
    crm, books = await rig.linked("Betatech", addresses={"billing": at})
    rig.crm.edit(_kind(), crm, **{"addresses.billing": msgspec.structs.replace(at, lines=("2 Main St",))})
    rig.books.edit(_kind(), books, **{"addresses.billing": msgspec.structs.replace(at, lines=("3 Main St",))})
    await rig.preview()
    with pytest.raises(Problem):
        await rig.settle("value", value="somewhere")
    assert 1 == len(await rig.conflicts())


async def test_saboteur_a_decision_without_memory_overwrites_an_edit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a decision did not remember what was shown, a later edit would be written over: the check above sees it."""
    from worker.usecases import propose_linked

    def forgetful(rule, said, crm, books):  # type: ignore[no-untyped-def]  # the broken variant
        return tuple(s for s, v in (("crm", crm), ("books", books)) if v != said.wanted(rule, s))

    monkeypatch.setattr(propose_linked, "still_to_write", forgetful)
    _crm, books = await in_conflict(rig)
    await rig.settle("value", value=OURS)
    rig.books.edit(_kind(), books, phone="+254 20 2715555")
    await rig.preview()
    await rig.apply()
    assert OURS == rig.see(rig.books, books).phone  # their edit is lost


def test_the_choices_are_those_of_the_use_case() -> None:
    """Fields take a value of one's own."""
    assert "value" in settle_conflict.CHOICES["field"]
