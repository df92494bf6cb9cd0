"""The pretend vendor: its knobs, its people, its copies, its file."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.canon.records import (
    Customer,
    Deal,
    Invoice,
    InvoiceLine,
    Kind,
)
from connectors.canon.values import Money
from connectors.kit.contract import Create, Denied, Done, Replay, Tombstone, Update, Upsert
from connectors.kit.errors import BadSettings
from connectors.memory.connector import Memory
from connectors.memory.faults import Fault
from connectors.memory.vendor import Knobs
from connectors.memory.world import WORLDS, MemoryWorld
from tests.contract.harness import deps_in_process
from tests.unit.memory.conftest import Make

ON = date(2026, 10, 12)


def create(name: str, marker: str = "m1", **more: object) -> Create:
    return Create(record=Customer(legal_name=name, **more), marker=marker, key=marker)  # type: ignore[arg-type]  # fields


async def test_unknown_world_is_bad_settings() -> None:
    """A name that nobody made, with the names that there are."""
    with pytest.raises(BadSettings):
        Memory.open({"world": "nowhere"}, deps_in_process())


async def test_facts_follow_the_knobs(make: Make) -> None:
    """An opened connector declares what its world does."""
    _, plain = make()
    _, odd = make(optimistic_lock=False, drafts=False, marker="none", batch_write=1, settles_s=5)
    facts = odd.facts.kinds[Kind.INVOICE]
    assert (False, False, None, False, 1, 5) == (
        facts.optimistic_lock, facts.draft, facts.marker, facts.marker_searchable, facts.batch_write, facts.settles_s,
    )  # fmt: skip
    assert plain.facts.kinds[Kind.INVOICE].optimistic_lock


async def test_vendor_trims_and_rounds(make: Make) -> None:
    """What was stored is told in the answer, so that it is no edit later."""
    _, connector = make(trims=True, places=0)
    (trimmed,) = await connector.write([create("  Acme  ")], "k")
    deal = Deal(name="d", amount=Money(Decimal("10.50"), "USD"))
    (rounded,) = await connector.write([Create(record=deal, marker="m", key="k")], "k")
    assert isinstance(trimmed, Done)
    assert isinstance(rounded, Done)
    assert isinstance(trimmed.stored, Customer)
    assert isinstance(rounded.stored, Deal)
    assert ("Acme", Money(Decimal(11), "USD")) == (trimmed.stored.legal_name, rounded.stored.amount)


@pytest.mark.parametrize(("how", "value"), [("upper", "ACME"), ("stamp", "Acme (checked)")])
async def test_vendor_rewrites_late(make: Make, how: str, value: str) -> None:
    """Within `settles_s` of our write the vendor changes the value by itself, once."""
    world, connector = make(settles_s=10, rewrites={"legal_name": how})
    (done,) = await connector.write([create("Acme")], "k")
    assert isinstance(done, Done)
    world.advance(10)
    world.advance(100)
    (record,) = world.all(Kind.CUSTOMER)
    assert isinstance(record, Customer)
    assert value == record.legal_name


async def test_replay_gives_the_first_answer_while_it_is_remembered(make: Make) -> None:
    """The same key within the memory makes nothing new; after it, a second record."""
    world, connector = make(unique_names=False, repeat={Kind.CUSTOMER: Replay(60, "key")})
    first = await connector.write([create("A")], "k")
    again = await connector.write([create("A")], "k")
    world.advance(61)
    later = await connector.write([create("A")], "k")
    assert first == again
    assert first != later
    assert 2 == len(world.all(Kind.CUSTOMER))


async def test_upsert_overwrites_what_a_person_typed(make: Make) -> None:
    """Why an upsert is never sent again blind."""
    world, connector = make(unique_names=False, repeat={Kind.CUSTOMER: Upsert("marker")})
    (first,) = await connector.write([create("A", notes="ours")], "k")
    assert isinstance(first, Done)
    world.edit(Kind.CUSTOMER, first.ref, notes="by hand")
    (again,) = await connector.write([create("A", notes="ours")], "k2")
    assert isinstance(again, Done)
    assert isinstance(again.stored, Customer)
    assert (first.ref, "ours") == (again.ref, again.stored.notes)


@pytest.mark.parametrize(
    ("knobs", "invoice", "code"),
    [
        ({"drafts": False}, Invoice(customer="c1", date=ON, state="draft"), "no_drafts"),
        ({"locked_until": ON}, Invoice(customer="c1", date=ON), "period_closed"),
        ({}, Invoice(customer="c1", date=ON, currency="EUR"), "no_rate"),
        ({}, Invoice(customer="c9", date=ON), "unknown_customer"),
        ({}, Invoice(customer="c1"), "required"),
        (
            {},
            Invoice(customer="c1", date=ON, lines=(InvoiceLine(net=Decimal(1), tax_code="X"),)),
            "unknown_tax",
        ),
    ],
)
async def test_books_refuse_with_a_reason(make: Make, knobs: dict[str, object], invoice: Invoice, code: str) -> None:
    """No drafts, a closed period, no rate of the day, nobody to bill, no date, no such tax."""
    world, connector = make(**knobs)
    world.add(Customer(legal_name="A"))
    (outcome,) = await connector.write([Create(record=invoice, marker="m", key="k")], "k")
    assert isinstance(outcome, Denied)
    assert code == outcome.code
    assert [] == world.all(Kind.INVOICE)


async def test_merge_leaves_a_tombstone_and_moves_what_named_the_loser(make: Make) -> None:
    """The loser points at its survivor, and so does its invoice."""
    world, connector = make()
    keep, lose = world.add(Customer(legal_name="A")), world.add(Customer(legal_name="B"))
    ref = world.add(Invoice(customer=lose, date=ON, lines=(InvoiceLine(net=Decimal(5)),)))
    world.merge(Kind.CUSTOMER, lose, keep)
    stone = (await connector.get(Kind.CUSTOMER, [lose]))[lose]
    assert isinstance(stone, Tombstone)
    assert ("merged", keep) == (stone.how, stone.survivor)
    invoice = world.see(Kind.INVOICE, ref)
    assert isinstance(invoice, Invoice)
    assert keep == invoice.customer


async def test_hidden_is_not_deleted(make: Make) -> None:
    """What we may no longer see is left out everywhere, and no tombstone tells of it."""
    world, connector = make()
    ref = world.add(Customer(legal_name="A"))
    world.hide(Kind.CUSTOMER, ref)
    (page,) = [page async for page in connector.changes({Kind.CUSTOMER: None})]
    assert ((), ()) == (page.records, page.gone)
    assert {} == await connector.get(Kind.CUSTOMER, [ref])
    assert {} == await connector.find(Kind.CUSTOMER, "legal_name", ["A"])


async def test_search_is_late_and_get_is_not(make: Make) -> None:
    """A new record is found only when the index has seen it."""
    world, connector = make(search_delay_s=30)
    (done,) = await connector.write([create("A")], "k")
    assert isinstance(done, Done)
    assert {} == await connector.by_marker(Kind.CUSTOMER, ["m1"])
    assert {done.ref} == set(await connector.get(Kind.CUSTOMER, [done.ref]))
    world.advance(30)
    assert {"m1"} == set(await connector.by_marker(Kind.CUSTOMER, ["m1"]))


async def test_copy_shares_nothing(make: Make) -> None:
    """A snapshot goes its own way, scripted faults included; pickled it is the same world."""
    world, connector = make()
    world.add(Customer(legal_name="A"))
    world.script.add(Fault(what="doubt"))
    twin, thawed = world.copy("twin"), pickle.loads(pickle.dumps(world))
    await connector.write([create("B")], "k")
    await connector.write([create("B")], "k")
    assert (2, 1, 1) == tuple(len(each.all(Kind.CUSTOMER)) for each in (world, twin, thawed))
    assert (0, 1, 1) == tuple(len(each.script) for each in (world, twin, thawed))
    assert (world.all(Kind.CUSTOMER)[0],) == tuple(thawed.all(Kind.CUSTOMER))


async def test_world_in_a_file_is_shared(tmp_path: Path) -> None:
    """Two processes' worlds on one file see each other's work, knobs, late writes and answers."""
    path = tmp_path / "vendor.jsonl"
    first = MemoryWorld("a", Knobs(places=0, unique_names=False), path=path)
    second = MemoryWorld("b", path=path)
    ref = first.add(Customer(legal_name="A"))
    connector = Memory(second, deps_in_process())
    second.script.add(Fault(what="late", after_s=60))
    await connector.write([create("Late")], "k")
    late = Update(kind=Kind.CUSTOMER, ref=ref, version="1", before={}, after={"notes": "late"}, key="k")
    second.script.add(Fault(what="late", after_s=60))
    await connector.write([late], "k")
    first.advance(60)
    with second.turn():
        names = [(c.legal_name, c.notes) for c in second.all(Kind.CUSTOMER) if isinstance(c, Customer)]
    assert [("A", "late")] == names[:1]
    assert ["A", "Late"] == [name for name, _ in names]
    assert first.knobs == second.knobs


async def test_what_fields_held_is_kept_with_who_wrote(tmp_path: Path) -> None:
    """Newest first, in every process on one file; set to what it held is no step. Without the knob: nothing."""
    path = tmp_path / "vendor.jsonl"
    first = MemoryWorld("a", Knobs(history=True), path=path)
    ref = first.add(Customer(legal_name="A", notes="one"))
    first.edit(Kind.CUSTOMER, ref, phone="1")
    version = first.see(Kind.CUSTOMER, ref).version
    two = Update(kind=Kind.CUSTOMER, ref=ref, version=version, before={}, after={"notes": "two"}, key="k")
    await Memory(first, deps_in_process()).write([two], "k")
    second = MemoryWorld("b", path=path)
    told = await Memory(second, deps_in_process()).history(Kind.CUSTOMER, [ref, "nobody"], ["notes"])
    assert {ref: [("two", "app"), ("one", "person")]} == {
        each: [(past.value, past.by) for past in fields["notes"]] for each, fields in told.items()
    }
    plain = MemoryWorld("c")
    kept = await Memory(plain, deps_in_process()).history(
        Kind.CUSTOMER, [plain.add(Customer(legal_name="A"))], ["notes"]
    )
    assert [()] == [fields["notes"] for fields in kept.values()]


def test_world_in_a_file_outlives_a_killed_client(tmp_path: Path) -> None:
    """A client that is killed right after its write did not take the vendor along."""
    path = tmp_path / "vendor.jsonl"
    world = MemoryWorld("killed", path=path)
    child = os.fork()
    if child == 0:
        asyncio.run(Memory(MemoryWorld("client", path=path), deps_in_process()).write([create("A")], "k"))
        os.kill(os.getpid(), signal.SIGKILL)
    assert signal.SIGKILL == os.WTERMSIG(os.waitpid(child, 0)[1])
    with world.turn():
        assert ["A"] == [c.legal_name for c in world.all(Kind.CUSTOMER) if isinstance(c, Customer)]
        assert 1 == len(world.state.write_calls)


async def test_path_setting_opens_the_file(tmp_path: Path) -> None:
    """A fresh process names the file, and finds what was there."""
    path = tmp_path / "vendor.jsonl"
    MemoryWorld("x", path=path).add(Customer(legal_name="A"))
    connector = Memory.open({"world": "from file", "path": str(path)}, deps_in_process())
    WORLDS.pop("from file")
    (page,) = [page async for page in connector.changes({Kind.CUSTOMER: None})]
    assert 1 == len(page.records)
