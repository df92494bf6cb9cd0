"""A person at the keyboard of a vendor in the moment between our read and our write."""

from __future__ import annotations

from typing import Any

from connectors.canon.fields import Value
from connectors.canon.records import Kind
from connectors.memory.faults import Call
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.rig import Rig, mapping

C = Kind.CUSTOMER
KEEPS = Knobs(optimistic_lock=False, history=True)
THEIRS, OURS, TYPED = "+1 212 555 0100", "+1 212 555 0199", "+1 212 555 0155"


def types_meanwhile(world: MemoryWorld, ref: str, point: str = "write", **fields: Value) -> None:
    """Somebody edits the record the moment our next call of this sort arrives."""

    def edit(at: MemoryWorld, call: Call) -> None:
        if call.point == point:
            at.hooks.remove(edit)
            at.edit(C, ref, **fields)

    world.hooks.append(edit)


async def about_to_write(rig: Rig, **books: Value) -> tuple[str, str]:
    """A linked customer whose telephone (or what is said) was edited in the books, previewed for the CRM."""
    await rig.pair_up(mapping("customers"))
    acme, there = await rig.linked("Acme", phone=THEIRS)
    rig.pass_time(60)
    rig.books.edit(C, there, **(books or {"phone": OURS}))
    await rig.preview()
    rig.crm.calls.clear()
    return acme, there


async def lost(rig: Rig) -> tuple[str, str]:
    """About to write a telephone while somebody types another one, and written."""
    acme, there = await about_to_write(rig)
    types_meanwhile(rig.crm, acme, phone=TYPED)
    run = await rig.apply()
    assert {"done": 1} == run.outcome
    return acme, there


def phones(rig: Rig, refs: tuple[str, str]) -> tuple[Any, Any]:
    return rig.see(rig.crm, refs[0]).phone, rig.see(rig.books, refs[1]).phone


def looks(rig: Rig) -> int:
    return sum(call.point == "history" for call in rig.crm.calls)


def writes(rig: Rig) -> int:
    return sum(call.point == "write" for call in rig.crm.calls)
