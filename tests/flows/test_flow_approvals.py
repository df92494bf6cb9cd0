"""A plan that needs several people needs them wherever it is applied: nobody is alone in a terminal either."""

from __future__ import annotations

import pytest

from tests.flows.rig import Rig, deal, mapping, told
from worker.api import Problem
from worker.engine.mapping import parse
from worker.usecases.approve_plan import needs_two

TWO = {"guards": {"approvals": {"over": 1000, "currency": "USD", "approvers": 2}}}


async def _sold(rig: Rig, amount: str) -> None:
    await rig.pair_up(mapping(head=TWO))
    rig.crm.add(deal(rig.crm.add(told("Acme")), amount))
    await rig.preview()


async def _applied_by(rig: Rig, name: str, **how: bool) -> str:
    return await rig.api.apply(rig.plan.id, rig.plan.fingerprint, name, **how)


async def test_over_the_limit_one_person_is_not_enough(rig: Rig) -> None:
    """Nor the same person twice; the second one's word carries it out, in both names."""
    await _sold(rig, "1500.00")
    for _ in range(2):
        with pytest.raises(Problem, match="1 of 2 people agreed: one"):
            await _applied_by(rig, "one")
    assert ([], "open") == (rig.invoices(), (await rig.api.plan(rig.plan.id)).state)
    await rig.advance(await _applied_by(rig, "two"))
    assert (1, "one, two") == (len(rig.invoices()), (await rig.api.plan(rig.plan.id)).approved_by)


async def test_under_the_limit_one_person_is_enough(rig: Rig) -> None:
    """The rule is for large sums."""
    await _sold(rig, "900.00")
    await rig.advance(await _applied_by(rig, "one"))
    assert 1 == len(rig.invoices())


async def test_what_a_guard_holds_counts_once_it_is_confirmed(rig: Rig) -> None:
    """Two people who agree to the rest have not agreed to what is held: it is another approval."""
    await _sold(rig, "1500.00")
    with pytest.raises(Problem, match="1 of 2"):
        await _applied_by(rig, "one")
    with pytest.raises(Problem, match="1 of 2 people agreed: two"):
        await _applied_by(rig, "two", confirm_held=True)
    assert [] == rig.invoices()


async def test_a_void_needs_two_where_four_eyes_names_it(rig: Rig) -> None:
    """Whatever its sum; and no void needs them where it does not."""
    await rig.pair_up(mapping(head={"four_eyes": ["void"]}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    run = await rig.advance(await _applied_by(rig, "one"))
    undo = await rig.run("undo", undoes=run.id)
    rig.plan = await rig.api.plan(undo.plan_id or "", limit=None)
    with pytest.raises(Problem, match="1 of 2 people agreed: one"):
        await _applied_by(rig, "one")
    await rig.advance(await _applied_by(rig, "two"))
    assert "void" == rig.one_invoice().state


def test_which_changes_need_two() -> None:
    """Credit notes, and documents that are voided or deleted, where the mapping names them."""
    kinds = ["books.credit_note.create", "books.invoice.void", "books.invoice.delete", "books.invoice.create",
             "books.customer.archive"]  # fmt: skip
    for names, needs in (("credit_note", "10000"), ("void", "01100"), ("mapping", "00000")):
        said = parse(mapping(head={"four_eyes": [names]}))
        assert needs == "".join(str(int(needs_two([kind], said))) for kind in kinds)


async def test_whoever_saved_the_mapping_does_not_approve_what_it_lets_through(rig: Rig) -> None:
    """Where the mapping names itself under four_eyes."""
    await rig.pair_up(mapping(head={"four_eyes": ["mapping"]}))
    rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.preview()
    with pytest.raises(Problem, match="somebody else has to approve"):
        await _applied_by(rig, "tests")
    await rig.advance(await _applied_by(rig, "another"))
    assert ["Acme"] == rig.names(rig.books)
