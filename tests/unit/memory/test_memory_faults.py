"""What a test can script to go wrong, and what it leaves at the vendor."""

from __future__ import annotations

import asyncio

import pytest

from connectors.canon.records import Customer, Kind
from connectors.kit.contract import Create, Denied, Done, InDoubt, Moved, NotSent, Outcome, Update
from connectors.kit.errors import NotAllowed, Reconnect, TryLater
from connectors.memory.connector import Memory
from connectors.memory.faults import Fault, What
from connectors.memory.world import MemoryWorld
from tests.unit.memory.conftest import Make


def three() -> list[Create]:
    return [Create(record=Customer(legal_name=name), marker=f"m-{name}", key=name) for name in ("A", "B", "C")]


async def outcomes(connector: Memory) -> list[type[Outcome]]:
    return [type(outcome) for outcome in await connector.write(three(), "k")]


def names(world: MemoryWorld) -> list[object]:
    return [record.legal_name for record in world.all(Kind.CUSTOMER) if isinstance(record, Customer)]


@pytest.mark.parametrize(
    ("what", "answered", "left"),
    [
        ("lose", InDoubt, ["A", "B", "C"]),
        ("cut", InDoubt, ["A", "B"]),
        ("doubt", InDoubt, []),
        ("late", InDoubt, []),
        ("refuse", Denied, []),
        ("stale", Moved, []),
        ("throttle", NotSent, []),
        ("expired", NotSent, []),
        ("forbidden", NotSent, []),
        ("down", InDoubt, []),
    ],
)
async def test_fault_answers_and_leaves(make: Make, what: What, answered: type, left: list[str]) -> None:
    """Each fault gives its outcome to every write of the call, and commits what it says and no more."""
    world, connector = make()
    world.script.add(Fault(what=what, first=2))
    assert [answered] * 3 == await outcomes(connector)
    assert left == names(world)
    assert [Denied] * len(left) + [Done] * (3 - len(left)) == await outcomes(connector)


async def test_late_write_lands_after_its_client_gave_up(make: Make) -> None:
    """It is not there before its time, and then it is, marker and all."""
    world, connector = make()
    world.script.add(Fault(what="late", after_s=60))
    await connector.write(three(), "k")
    world.advance(59)
    assert [] == names(world)
    world.advance(1)
    assert ["A", "B", "C"] == names(world)
    assert {"m-B"} == set(await connector.by_marker(Kind.CUSTOMER, ["m-B"]))


async def test_late_update_lands_on_the_version_it_was_sent_with(make: Make) -> None:
    """A person's edit in between makes a late update old: it changes nothing."""
    world, connector = make()
    ref = world.add(Customer(legal_name="A"))
    version = world.see(Kind.CUSTOMER, ref).version
    world.script.add(Fault(what="late", after_s=60))
    late = Update(kind=Kind.CUSTOMER, ref=ref, version=version, before={}, after={"notes": "late"}, key="k")
    await connector.write([late], "k")
    world.edit(Kind.CUSTOMER, ref, notes="by hand")
    world.advance(60)
    (record,) = world.all(Kind.CUSTOMER)
    assert isinstance(record, Customer)
    assert "by hand" == record.notes


async def test_fault_of_one_item_leaves_its_neighbours(make: Make) -> None:
    """`item` picks one write of the batch."""
    world, connector = make()
    world.script.add(Fault(what="refuse", item=1))
    assert [Done, Denied, Done] == await outcomes(connector)
    assert ["A", "C"] == names(world)


async def test_fault_waits_for_its_turn(make: Make) -> None:
    """`skip` lets calls pass, `times` repeats; other kinds and operations are not meant."""
    world, connector = make(unique_names=False)
    world.script.add(Fault(what="doubt", skip=1, times=2), Fault(what="refuse", kind=Kind.DEAL))
    found = [(await outcomes(connector))[0] for _ in range(4)]
    assert [Done, InDoubt, InDoubt, Done] == found
    assert 1 == len(world.script)


@pytest.mark.parametrize(
    ("what", "error"), [("throttle", TryLater), ("down", TryLater), ("expired", Reconnect), ("forbidden", NotAllowed)]
)
async def test_read_faults_are_errors(make: Make, what: What, error: type[Exception]) -> None:
    """A read that fails raises what happens next, and works again afterwards."""
    world, connector = make()
    world.script.add(Fault(what=what, point="get"))
    with pytest.raises(error):
        await connector.get(Kind.CUSTOMER, ["c1"])
    assert {} == await connector.get(Kind.CUSTOMER, ["c1"])


@pytest.mark.parametrize(("what", "left"), [("hang", ["A", "B", "C"]), ("stall", [])])
async def test_cancellation_is_raised_and_leaves_doubt(make: Make, what: What, left: list[str]) -> None:
    """Who gives up waiting cannot tell from the outside whether it happened."""
    world, connector = make()
    world.script.add(Fault(what=what))
    arrived = asyncio.Event()
    world.hooks.append(lambda there, call: arrived.set())
    task = asyncio.create_task(connector.write(three(), "k"))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == names(world)


async def test_hook_slips_a_persons_edit_before_our_write(make: Make) -> None:
    """Between our read and our write somebody edits the record: it has moved."""
    world, connector = make()
    ref = world.add(Customer(legal_name="A"))
    version = world.see(Kind.CUSTOMER, ref).version
    world.hooks.append(lambda there, call: there.edit(Kind.CUSTOMER, ref, notes="by hand") and None)
    write = Update(kind=Kind.CUSTOMER, ref=ref, version=version, before={}, after={"notes": "ours"}, key="k")
    (outcome,) = await connector.write([write], "k")
    assert isinstance(outcome, Moved)
