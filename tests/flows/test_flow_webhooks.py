"""Webhooks mark and wake, and nothing else: what they announce is read, once, however often they come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b

import msgspec
import pytest
from sqlalchemy import select

from connectors.canon.records import Kind
from connectors.kit.contract import Event, Token
from connectors.memory.connector import Memory
from connectors.memory.world import MemoryWorld, signature
from tests.flows.rig import Rig, deal, invoice, mapping, name, told
from worker.api import ChannelApi
from worker.store import runs, webhooks
from worker.store.tables import cursors, webhook_events
from worker.store.tables import runs as runs_table
from worker.usecases import pull as pull_module
from worker.usecases.take_webhook import Call, NotGenuine, Taken, Unknown, Unreadable, take_webhook

C, D = Kind.CUSTOMER, Kind.DEAL
SECRET = "between us"
ALONE = {"create": {"books": "always", "crm": "never"}, "apply": "auto"}


async def hooked(rig: Rig, customers: object = ALONE) -> tuple[str, str]:
    """One linked customer whose flow writes alone, at a CRM that sends webhooks: (crm ref, books ref)."""
    await rig.pair_up(mapping(customers=customers))
    refs = await rig.linked("Acme", notes="old")
    async with rig.db.write() as tx:
        await webhooks.subscribe(tx, rig.pair.crm.id, rig.office.vault.seal(Token(access=SECRET)))
    return refs


def told_since(world: MemoryWorld, since: int) -> Call:
    headers, body = world.webhook(SECRET, since)
    return Call(method="POST", url="https://tieout.example/webhooks/x", headers=headers, body=body)


def signed(*events: Event) -> Call:
    body = msgspec.json.encode(list(events))
    headers = {"X-Memory-Signature": signature(SECRET, body)}
    return Call(method="POST", url="https://tieout.example/webhooks/x", headers=headers, body=body)


async def deliver(rig: Rig, call: Call) -> Taken:
    return await take_webhook(rig.office, rig.pair.crm.id, call)


async def carried_out(rig: Rig) -> list[str]:
    """Be the worker of every run that webhooks asked for; their states."""
    async with rig.db.read() as tx:
        due = await runs.due(tx, "realtime")
    return [(await rig.advance(run_id)).state for run_id in due]


# --------------------------------------------------------------------------- announced, read, written


async def test_an_edit_that_is_announced_reaches_the_other_side(both: Rig) -> None:
    """Without anybody's sync."""
    crm, books = await hooked(both)
    head = both.crm.state.head
    both.crm.edit(C, crm, notes="new")
    taken = await deliver(both, told_since(both.crm, head))
    assert (1, 1, ["done"]) == (taken.fresh, len(taken.runs), await carried_out(both))
    assert "new" == both.see(both.books, books).notes


async def test_delivered_twice_is_written_once(both: Rig) -> None:
    """At once, and again after it was carried out."""
    crm, books = await hooked(both)
    head = both.crm.state.head
    both.crm.edit(C, crm, notes="new")
    call = told_since(both.crm, head)
    first, second = await deliver(both, call), await deliver(both, call)
    assert (1, 0, ()) == (first.fresh, second.fresh, second.runs)
    await carried_out(both)
    writes = both.writes()
    third = await deliver(both, call)
    assert (0, [], writes, "new") == (
        third.fresh, await carried_out(both), both.writes(), both.see(both.books, books).notes,
    )  # fmt: skip


async def test_out_of_order_the_newest_value_stands(rig: Rig) -> None:
    """What is read is what is there now, whichever event comes last."""
    crm, books = await hooked(rig)
    heads, calls = [rig.crm.state.head], []
    for notes in ("first", "second"):
        rig.crm.edit(C, crm, notes=notes)
        calls.append(told_since(rig.crm, heads[-1]))
        heads.append(rig.crm.state.head)
    for call in reversed(calls):
        await deliver(rig, call)
        await carried_out(rig)
    assert "second" == rig.see(rig.books, books).notes
    await rig.preview()
    assert (0, []) == (rig.plan.changes, await rig.dirty())


async def test_our_own_writes_announced_cause_nothing(both: Rig) -> None:
    """The vendor tells of everything that Tieout wrote: it is read, nothing moved, no plan is drawn."""
    await both.pair_up(mapping(customers=ALONE, payments={"apply": "auto"}, invoices={"apply": "auto"}))
    async with both.db.write() as tx:
        await webhooks.subscribe(tx, both.pair.crm.id, both.office.vault.seal(Token(access=SECRET)))
    crm = both.crm.add(told("Acme"))
    won = both.crm.add(deal(crm))
    for _ in range(3):
        await both.run("sync")
    assert "open" == both.see(both.crm, won, D).properties["invoice_status"]
    writes = both.writes()
    taken = await deliver(both, told_since(both.crm, 0))
    states = await carried_out(both)
    async with both.db.read() as tx:
        run = await runs.get(tx, taken.runs[0])
    assert (["done"], writes, []) == (states, both.writes(), await both.dirty())
    assert run is not None and run.result is not None and {"moved", "calls"} == set(run.result)
    assert 0 == run.result["moved"]


async def test_many_calls_are_one_run(rig: Rig) -> None:
    """While it waits for its turn; what comes after it began is another's."""
    crm, _ = await hooked(rig)
    asked = set()
    for number in range(20):
        head = rig.crm.state.head
        rig.crm.edit(C, crm, notes=f"edit {number}")
        asked.update((await deliver(rig, told_since(rig.crm, head))).runs)
    assert 1 == len(asked)
    await carried_out(rig)
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="after")
    assert asked.isdisjoint((await deliver(rig, told_since(rig.crm, head))).runs)


async def test_many_refs_are_one_delta_pull(rig: Rig) -> None:
    """More than are worth reading by id: the change feed tells them all."""
    await hooked(rig)
    head = rig.crm.state.head
    for number in range(pull_module.READ_BY_ID + 1):
        rig.crm.add(told(name(number)))
    await deliver(rig, told_since(rig.crm, head))
    before = len(rig.crm.calls)
    await carried_out(rig)
    reads = [call.point for call in rig.crm.calls[before:]]
    async with rig.db.read() as tx:
        left = await webhooks.announced(tx, rig.pair.crm.id)
    assert (0, [], pull_module.READ_BY_ID + 2) == (reads.count("get"), left, len(rig.names(rig.books)))


async def test_a_search_that_is_behind_hides_nothing_that_was_announced(rig: Rig) -> None:
    """The change feed does not show the edit yet: it is read by id."""
    crm, books = await hooked(rig)
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="new")
    call = told_since(rig.crm, head)
    async with rig.db.write() as tx:  # the feed has nothing to tell
        await tx.run(cursors.update().values(cursor=str(rig.crm.state.head + 100)))
    await deliver(rig, call)
    await carried_out(rig)
    assert "new" == rig.see(rig.books, books).notes


async def test_without_a_flow_that_writes_alone_it_is_dirty_and_nothing_is_planned(rig: Rig) -> None:
    """A plan that somebody looks at is not replaced for each call."""
    crm, _ = await hooked(rig, {"apply": "ask", "create": {"books": "always", "crm": "never"}})
    rig.crm.add(told("Beta"))
    shown = await rig.preview()
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="new")
    await deliver(rig, told_since(rig.crm, head))
    await carried_out(rig)
    current = await rig.api.current_plan(rig.pair.id)
    assert current is not None and (shown.id, "open") == (current.id, current.state)
    assert crm in [row.ref for row in await rig.dirty()]


async def test_a_deletion_that_is_announced_is_looked_at(rig: Rig) -> None:
    """The tombstone is read; a person is asked, as always."""
    crm, _ = await hooked(rig)
    head = rig.crm.state.head
    rig.crm.delete(C, crm)
    await deliver(rig, told_since(rig.crm, head))
    await carried_out(rig)
    question = await rig.question()
    assert ("removed", "Acme") == (question.what, question.title.split()[0])


async def test_a_worker_that_died_after_reading_still_plans(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker finds nothing that moved, and plans all the same."""
    from worker.jobs import runner

    crm, books = await hooked(rig)
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="new")
    await deliver(rig, told_since(rig.crm, head))
    with monkeypatch.context() as patch:

        async def die(*_: object) -> object:
            raise runner.LeaseLost("died")

        patch.setattr(runner, "_alone", die)
        await carried_out(rig)
    rig.pass_time(60)
    await carried_out(rig)
    assert "new" == rig.see(rig.books, books).notes


# --------------------------------------------------------------------------- what is not taken


async def test_a_call_that_is_not_the_vendors_is_refused_and_leaves_nothing(rig: Rig) -> None:
    """Wrong signature, changed body, no signature, a connection without webhooks, one that there is not."""
    crm, _ = await hooked(rig)
    good = told_since(rig.crm, 0)
    forged = [
        msgspec.structs.replace(good, headers={"X-Memory-Signature": "0" * 64}),
        msgspec.structs.replace(good, body=good.body.replace(crm.encode(), b"c999")),
        msgspec.structs.replace(good, headers={}),
    ]
    for call in forged:
        with pytest.raises(NotGenuine):
            await deliver(rig, call)
    with pytest.raises(NotGenuine):
        await take_webhook(rig.office, rig.pair.books.id, good)
    with pytest.raises(Unknown):
        await take_webhook(rig.office, "cn_nobody", good)
    async with rig.db.read() as tx:
        assert [] == await tx.rows(select(webhook_events.c.event_id))


async def test_a_body_that_cannot_be_read_is_refused(rig: Rig) -> None:
    """Signed, and yet nothing that the vendor's documentation knows."""
    await hooked(rig)
    body = b'{"what": 1}'
    call = Call(method="POST", url="", headers={"X-Memory-Signature": signature(SECRET, body)}, body=body)
    with pytest.raises(Unreadable):
        await deliver(rig, call)


async def test_events_of_another_account_are_nobodys(rig: Rig) -> None:
    """Of one that is not connected, or that has not agreed on this secret: nothing is marked anywhere."""
    crm, _ = await hooked(rig)
    strange = [
        Event(id=f"e{n}", account=account, kind=C, ref=crm, what="updated")
        for n, account in enumerate(("elsewhere", rig.books.name))
    ]
    taken = await deliver(rig, signed(*strange))
    assert (2, 0, ()) == (taken.events, taken.fresh, taken.runs)


async def test_one_address_serves_all_accounts_of_an_app(rig: Rig) -> None:
    """The call names the CRM, its event is of the books, which share the secret."""
    await hooked(rig)
    async with rig.db.write() as tx:
        await webhooks.subscribe(tx, rig.pair.books.id, rig.office.vault.seal(Token(access=SECRET)))
    ref = rig.books.all(C)[0].ref
    taken = await deliver(rig, signed(Event(id="e1", account=rig.books.name, kind=C, ref=ref, what="updated")))
    async with rig.db.read() as tx:
        heard = await webhooks.announced(tx, rig.pair.books.id)
    assert (1, [(C, ref)]) == (taken.fresh, [(event.kind, event.ref) for event in heard])


async def test_a_values_only_event_changes_nothing_by_itself(rig: Rig) -> None:
    """An event about a record that did not move, or that there is not: it is read, and that is all."""
    crm, _ = await hooked(rig)
    writes = rig.writes()
    events = [Event(id=f"e{ref}", account=rig.crm.name, kind=C, ref=ref, what="deleted") for ref in (crm, "c999")]
    await deliver(rig, signed(*events))
    assert (["done"], writes, [], []) == (
        await carried_out(rig), rig.writes(), await rig.dirty(), await rig.conflicts(),
    )  # fmt: skip


# --------------------------------------------------------------------------- what does not come


async def test_a_dropped_webhook_is_found_by_the_poll(rig: Rig) -> None:
    """Polling goes on."""
    crm, books = await hooked(rig)
    rig.crm.edit(C, crm, notes="new")
    await rig.run("sync")
    assert "new" == rig.see(rig.books, books).notes


async def test_three_polls_that_nothing_announced_are_said(rig: Rig) -> None:
    """And it is well again as soon as one comes."""
    crm, _ = await hooked(rig)
    api = ChannelApi(rig.api._house)
    for number in range(3):
        assert () == (await api.status(rig.pair.id)).notes
        rig.crm.edit(C, crm, notes=f"edit {number}")
        await rig.run("sync")
        rig.pass_time(3600)
    (note,) = (await api.status(rig.pair.id)).notes
    assert note.startswith("Memory's webhooks do not come: 3 reads found changes")
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="announced")
    await deliver(rig, told_since(rig.crm, head))
    assert () == (await api.status(rig.pair.id)).notes


async def test_a_webhook_that_is_slower_than_the_poll_is_no_failure(rig: Rig) -> None:
    """The poll is first each time, the event comes a minute later."""
    crm, _ = await hooked(rig)
    for number in range(6):
        head = rig.crm.state.head
        rig.crm.edit(C, crm, notes=f"edit {number}")
        await rig.run("sync")
        rig.pass_time(60)
        await deliver(rig, told_since(rig.crm, head))
        await carried_out(rig)
        rig.pass_time(3600)
    assert () == (await ChannelApi(rig.api._house).status(rig.pair.id)).notes


async def test_own_writes_are_no_reason_to_think_that_webhooks_fail(rig: Rig) -> None:
    """A poll sees them, and nothing moved by that."""
    _, books = await hooked(rig)
    for number in range(4):
        rig.books.edit(C, books, notes=f"edit {number}")
        await rig.run("sync")
        await rig.run("sync")
        rig.pass_time(3600)
    assert () == (await ChannelApi(rig.api._house).status(rig.pair.id)).notes


async def test_a_webhook_is_no_history_of_its_own(rig: Rig) -> None:
    """A hundred calls that led to nothing do not push the runs that people asked for out of sight."""
    await hooked(rig)
    await deliver(rig, told_since(rig.crm, 0))
    await carried_out(rig)
    assert "hear" not in [line.run.what for line in await rig.api.history(rig.pair.id)]
    async with rig.db.read() as tx:
        assert 1 == len(await tx.rows(select(runs_table.c.id).where(runs_table.c.what == "hear")))


# --------------------------------------------------------------------------- saboteurs


async def billed_twice(rig: Rig, act: Callable[[Call], Awaitable[object]]) -> int:
    """Invoices after a won deal was announced, and its call delivered twice, to somebody who acts on it."""
    crm, _ = await hooked(rig)
    await rig.pair_up(mapping(customers=ALONE, invoices={"apply": "auto"}))
    head = rig.crm.state.head
    rig.crm.add(deal(crm))
    call = told_since(rig.crm, head)
    for _ in range(2):
        await act(call)
    return len(rig.invoices())


async def test_a_won_deal_announced_twice_is_billed_once(rig: Rig) -> None:
    """What acts on a call is the plan that comes of it."""

    async def take(call: Call) -> None:
        await deliver(rig, call)
        await carried_out(rig)

    assert 1 == await billed_twice(rig, take)


async def test_saboteur_acting_on_the_call_itself_bills_twice(rig: Rig) -> None:
    """Whoever makes the invoice as soon as the call tells of the deal makes one for each delivery."""

    async def act(call: Call) -> None:
        for event in Memory.parse_webhook(call.body):
            if event.kind is D:
                rig.books.add(invoice(rig.books.all(C)[0].ref, "100.00"))

    assert 2 == await billed_twice(rig, act)


async def test_saboteur_without_remembered_ids_each_delivery_asks_for_a_run(rig: Rig) -> None:
    """Forgetting the events makes the second delivery news."""
    crm, _ = await hooked(rig)
    head = rig.crm.state.head
    rig.crm.edit(C, crm, notes="new")
    call = told_since(rig.crm, head)
    await deliver(rig, call)
    await carried_out(rig)
    async with rig.db.write() as tx:
        await tx.run(webhook_events.delete())
    assert 1 == len((await deliver(rig, call)).runs)


async def test_saboteur_echo_by_version_plans_our_own_writes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared by version instead of by content, what we wrote comes back as news."""
    from worker.store import mirror

    crm, books = await hooked(rig)
    rig.crm.edit(C, crm, notes="new")
    await rig.run("sync")

    def by_version(record: object) -> tuple[str, str]:
        body, _ = real(record)  # type: ignore[arg-type]  # it is a record
        return body, blake2b(body.encode(), digest_size=16).hexdigest()  # version and times in it

    real = mirror.digest_of
    monkeypatch.setattr(mirror, "digest_of", by_version)
    async with rig.db.write() as tx:
        await webhooks.subscribe(tx, rig.pair.books.id, rig.office.vault.seal(Token(access=SECRET)))
    call = told_since(rig.books, 0)
    taken = await take_webhook(rig.office, rig.pair.books.id, call)
    await carried_out(rig)
    async with rig.db.read() as tx:
        run = await runs.get(tx, taken.runs[0])
    assert run is not None and run.result is not None and 0 < run.result["moved"]
    assert books is not None
