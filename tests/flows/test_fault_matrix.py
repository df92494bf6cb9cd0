"""Every fault at every call of every flow: in the end both systems hold what they hold when nothing goes wrong.

`python -m benchmarks.faults` tries all of it; here each fault happens at each kind of call at least once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faults
from benchmarks.faults import FLOWS, MARKERS, ON_READS, ON_WRITES, Case, Ended, Marker, Stage, play, spread, staged
from connectors.canon.records import Kind
from connectors.kit.contract import Denied, Done, InDoubt, NotSent, Outcome
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from tests.flows.conftest import Open
from tests.flows.rig import Rig, mapping, name, told
from worker.engine.match import Absent
from worker.usecases import apply_plan, settle_doubts

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE
BILLED = "deals are billed"


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, Marker], tuple[Stage, list[Case]]]:
    """Flows that are set up already."""
    return {}


@pytest.fixture
def set_up(known: Any, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A flow, played once without a fault, and everything that can go wrong in it."""

    async def made(flow: str, marker: Marker) -> tuple[Stage, list[Case]]:
        if (flow, marker) not in known:
            stage = await staged(FLOWS[flow], marker, sqlite_template, tmp_path_factory.mktemp("pair"))
            known[flow, marker] = stage, await faults.cases(stage)
        found: tuple[Stage, list[Case]] = known[flow, marker]
        return found

    return made


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("flow", FLOWS)
async def test_a_fault_changes_nothing_in_the_end(set_up: Any, flow: str, marker: Marker) -> None:
    """Same records on both sides, none twice, none lost; no call of unknown fate, nothing to look at, no question,
    and the next run proposes nothing."""
    stage, found = await set_up(flow, marker)
    ended = [await play(stage, case) for case in spread(found, list(FLOWS).index(flow), marker)]
    assert [] == [each for each in ended if not each.is_right]


async def test_each_fault_is_tried_at_each_point(set_up: Any) -> None:
    """What `spread` leaves out of one flow it takes in another: nothing is left out of all of them."""
    wanted, tried = set(), set()
    for turn, flow in enumerate(FLOWS):
        for marker in MARKERS:
            _, found = await set_up(flow, marker)
            wanted |= {_what_and_where(case) for case in found}
            tried |= {_what_and_where(case) for case in spread(found, turn, marker)}
    assert set() == wanted - tried
    assert {what for what, point in tried if point == "write"} == set(ON_WRITES)
    assert {what for what, point in tried if point == "changes"} == set(ON_READS)


async def test_a_run_that_looks_again_finds_nothing(set_up: Any) -> None:
    """Own writes come back and cause nothing, also those whose answer was lost."""
    stage, found = await set_up(BILLED, "searchable")
    lost = [case for case in found if case.what == "lose"]
    ended = [await play(stage, case, look_again=True) for case in lost]
    assert ([], True) == ([each for each in ended if not each.is_right], bool(ended))


def _what_and_where(case: Case) -> tuple[str, str]:
    fault = case.faults[-1][1]
    return fault.what, fault.point


# --------------------------------------------------------------------------- the check can fail


@pytest.fixture
async def billed(set_up: Any) -> Stage:
    stage: Stage
    stage, _ = await set_up(BILLED, "searchable")
    return stage


async def _after(stage: Stage, *what: Fault) -> Ended:
    return await play(stage, Case(tuple(("books", fault) for fault in what)))


async def test_saboteur_a_create_sent_again_blind_makes_two(billed: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lost answer nobody looks."""
    lost = Fault(what="lose", kind=I)
    assert (await _after(billed, lost)).is_right
    monkeypatch.setattr(settle_doubts, "adopt", lambda *looked: Absent())
    assert 3 == (await _after(billed, lost)).duplicates


@pytest.mark.parametrize(
    ("fault", "heard", "taken_for"),
    [
        (Fault(what="throttle", kind=I), NotSent, lambda change: Denied("busy")),
        (Fault(what="expired", kind=I), NotSent, lambda change: Denied("no login")),
        (Fault(what="cut", kind=I, first=1), InDoubt, lambda change: Done(f"lost-{change.id}", "1", None)),
        (Fault(what="doubt", kind=I), InDoubt, lambda change: Done(f"lost-{change.id}", "1", None)),
        (Fault(what="doubt", kind=I), InDoubt, lambda change: Denied("it did not work")),
    ],
)
async def test_saboteur_an_answer_taken_for_another_loses_what_was_not_done(
    billed: Stage, monkeypatch: pytest.MonkeyPatch, fault: Fault, heard: type, taken_for: Any
) -> None:
    """429 and 401 are nobody's fault, and a line that was cut is no yes and no no: whoever takes them for one leaves
    invoices unmade, and the check sees it."""
    assert (await _after(billed, fault)).is_right
    honest = apply_plan._record

    async def mistaken(desk: Any, run_id: str, actor: str, sent: Any, said: Sequence[Outcome]) -> None:
        taken = [taken_for(s.change) if isinstance(o, heard) else o for s, o in zip(sent.changes, said, strict=True)]
        await honest(desk, run_id, actor, sent, taken)

    monkeypatch.setattr(apply_plan, "_record", mistaken)
    assert (await _after(billed, fault)).lost > 0


async def test_a_fault_that_never_happened_proves_nothing(billed: Stage) -> None:
    """A case whose fault finds no call is not right."""
    assert not (await _after(billed, Fault(what="lose", kind=D))).is_right


# --------------------------------------------------------------------------- one bad write in a batch


ALWAYS = {"create": {"books": "always", "crm": "never"}}


async def _with_one_taken(rig: Rig, number: int) -> list[str]:
    """So many customers to be made in the books, the name of one of which is taken by a record out of sight."""
    await rig.pair_up(mapping(customers=ALWAYS))
    names = [name(n) for n in range(number)]
    rig.books.hide(C, rig.books.add(told(names[3])))
    for each in names:
        rig.crm.add(told(each))
    await rig.preview()
    return names


def _created(rig: Rig) -> Sequence[int]:
    """How many customers each create call held."""
    return [call.items for call in rig.books.calls if call.operation == "create" and call.kind is C]


async def test_a_batch_refused_whole_is_halved_until_the_bad_one_stands_alone(opened: Open) -> None:
    """A vendor that takes all or nothing and does not say whose fault it is: nine are made, one is refused with the
    vendor's words, and nobody waits for anybody."""
    async with opened(books=Knobs(all_or_nothing=True)) as rig:
        names = await _with_one_taken(rig, 10)
        run = await rig.apply()
        assert ({"done": 9, "rejected": 1}, sorted(names)) == (run.outcome, rig.names(rig.books))
        assert [10, 5, 3, 2, 1, 1, 5] == _created(rig)
        (refused,) = await rig.api.changes(rig.plan.id, ["rejected"])
        assert "Another record has this name" in (refused.reason or "")
        writes = rig.writes()
        await rig.preview()
        assert (0, writes) == (rig.plan.changes, rig.writes())


async def test_a_batch_of_bad_ones_ends_too(opened: Open) -> None:
    """Every write is refused: each is sent alone once, and then no more."""
    async with opened(books=Knobs(all_or_nothing=True)) as rig:
        await rig.pair_up(mapping(customers=ALWAYS))
        for n in range(4):
            rig.books.hide(C, rig.books.add(told(name(n))))
            rig.crm.add(told(name(n)))
        await rig.preview()
        run = await rig.apply()
        assert ({"rejected": 4}, [4, 2, 1, 1, 2, 1, 1]) == (run.outcome, _created(rig))


async def test_saboteur_a_refused_batch_that_is_not_halved_makes_nobody(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nine good ones are left over with the bad one."""
    monkeypatch.setattr(apply_plan, "_halves", lambda refused: [])
    async with opened(books=Knobs(all_or_nothing=True)) as rig:
        await _with_one_taken(rig, 10)
        with pytest.raises(AssertionError, match="settle"):
            await rig.settled()
