"""Writing to a company: batches, single calls, refusals, doubts and what is found afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from quickbooks_world import World

from connectors.canon.records import Customer, Invoice, InvoiceLine, Item, Kind, TaxLine
from connectors.canon.values import Money
from connectors.kit.contract import Act, Create, Denied, Done, InDoubt, Moved, NotSent, Outcome, Update
from connectors.kit.errors import Unsupported
from connectors.kit.sandbox.faults import drop_before, html_502, lose_answer, status


def marker(number: int) -> str:
    return "T-" + "".join(chr(ord("A") + int(digit)) for digit in f"{number:014d}")


def invoices(world: World, count: int) -> list[Create]:
    """Invoices of 10.00, 20.00, ... to one customer, with a marker each."""
    named = world.sandbox.company.named("Customer", "Acme")
    customer = named["Id"] if named is not None else world.sandbox.add_customer("Acme")
    item = world.sandbox.add_item(f"Advice {len(world.sandbox.company.rows['Item'])}", price="10")
    return [
        Create(
            record=Invoice(
                customer=customer,
                date=date(2026, 10, 5),
                currency="USD",
                lines=(InvoiceLine(item=item, qty=Decimal(n), unit_price=Decimal(10), net=Decimal(10 * n)),),
                internal_note=f"deal {n}",
            ),
            marker=marker(n),
            key=f"{n:032x}",
        )
        for n in range(1, count + 1)
    ]


def done(outcomes: Sequence[Outcome]) -> list[Done]:
    assert [Done] * len(outcomes) == [type(each) for each in outcomes], outcomes
    return [each for each in outcomes if isinstance(each, Done)]


def batches(world: World) -> int:
    return world.calls.counted["batch"]


async def test_thirty_invoices_are_one_call(world: World) -> None:
    """An outcome for each, in order, with what QuickBooks stored."""
    made = done(await world.books.write(invoices(world, 30), "a" * 32))
    assert batches(world) == 1
    stored = [each.stored for each in made if isinstance(each.stored, Invoice)]
    assert [each.total for each in stored] == [Decimal(10 * n) for n in range(1, 31)]
    assert [(each.marker, each.internal_note) for each in stored[:2]] == [
        (marker(1), "deal 1"),
        (marker(2), "deal 2"),
    ]
    assert world.sandbox.receivable(date(2026, 10, 31)) == sum(10 * n for n in range(1, 31))


async def test_more_than_a_batch_is_refused(world: World) -> None:
    """A caller that sends 31 is told so before anything is sent."""
    with pytest.raises(Unsupported):
        await world.books.write(invoices(world, 31), "a" * 32)
    world.books = world.another(batch="10")
    with pytest.raises(Unsupported):
        await world.books.write(invoices(world, 11), "a" * 32)


async def test_one_bad_item_does_not_hold_the_others(world: World) -> None:
    """A batch answers 200 and a fault for the one; what QuickBooks cannot take is not even sent."""
    writes = invoices(world, 3)
    writes[1] = Create(record=Invoice(customer="999", lines=writes[1].record.lines), marker=marker(8), key="b")
    writes[2] = Create(record=Invoice(customer="1", lines=()), marker=marker(9), key="c")
    first, second, third = await world.books.write(writes, "a" * 32)
    assert isinstance(first, Done)
    assert isinstance(second, Denied)
    assert isinstance(third, Denied)
    assert (second.code, second.field, third.field) == ("2500", "customer", "lines")


@pytest.mark.parametrize("fault", [lose_answer("POST", "/batch"), html_502("POST", "/batch")])
async def test_a_lost_answer_is_doubt_for_all(world: World, fault: object) -> None:
    """Nothing is sent again: exactly one batch arrived, whatever became of it."""
    writes = invoices(world, 5)
    world.sandbox.faults.add(fault)
    outcomes = await world.books.write(writes, "a" * 32)
    assert [InDoubt] * 5 == [type(each) for each in outcomes]
    arrived = [seen for seen in world.sandbox.requests if seen.path.endswith("/batch")]
    assert len(arrived) == 1


async def test_a_lost_batch_is_found_by_its_numbers_in_one_call(world: World) -> None:
    """Where others number documents, one query settles all thirty."""
    world.sandbox.preferences(custom_numbers=True)
    writes = invoices(world, 30)
    world.sandbox.faults.add(lose_answer("POST", "/batch"))
    await world.books.write(writes, "a" * 32)
    before = world.sandbox.calls
    found = await world.books.by_marker(Kind.INVOICE, [each.marker for each in writes])
    assert {marker: len(records) for marker, records in found.items()} == {each.marker: 1 for each in writes}
    assert world.sandbox.calls - before == 1


async def test_a_lost_batch_is_found_by_when_it_was_made(world: World) -> None:
    """Where QuickBooks numbers, the notes of what was made since the mark carry the markers."""
    writes = invoices(world, 30)
    mark = await world.books.mark(Kind.INVOICE)
    world.sandbox.faults.add(lose_answer("POST", "/batch"))
    await world.books.write(writes, "a" * 32)
    assert await world.books.by_marker(Kind.INVOICE, [each.marker for each in writes]) == {}
    since = await world.books.created_since(Kind.INVOICE, mark)
    assert {each.marker for each in since} == {each.marker for each in writes}


async def test_a_write_that_was_never_sent_left_nothing(world: World) -> None:
    """A connection dropped before the request is read: doubt, and the probe finds nothing."""
    writes = invoices(world, 2)
    mark = await world.books.mark(Kind.INVOICE)
    world.sandbox.faults.add(drop_before("POST", "/batch"))
    outcomes = await world.books.write(writes, "a" * 32)
    assert all(isinstance(each, InDoubt | NotSent) for each in outcomes)
    assert await world.books.created_since(Kind.INVOICE, mark) == []


async def test_throttled_is_not_sent(world: World) -> None:
    """Surely nothing happened; QuickBooks says nothing about when, so a minute."""
    writes = invoices(world, 2)
    world.sandbox.faults.add(status(429, method="POST", path="/batch"))
    outcomes = await world.books.write(writes, "a" * 32)
    assert [(each.next, each.wait_s) for each in outcomes if isinstance(each, NotSent)] == [("wait", 60.0)] * 2


async def test_a_cancelled_write_is_raised(world: World) -> None:
    """It is the caller's doubt, not an outcome."""
    writes = invoices(world, 2)
    await world.books.catalogue()
    task = asyncio.ensure_future(world.books.write(writes, "a" * 32))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_expired_token_is_renewed_once(world: World) -> None:
    """The write goes on with the new token."""
    writes = invoices(world, 2)
    world.sandbox.clock.advance(3700)
    done(await world.books.write(writes, "a" * 32))
    assert world.sandbox.authority.refreshes == 1


async def test_a_gone_login_asks_to_connect_again(world: World) -> None:
    """Disconnected in QuickBooks: nothing was sent, and a person has to log in."""
    writes = invoices(world, 2)
    await world.books.catalogue()
    world.sandbox.authority.chains.clear()
    outcomes = await world.books.write(writes, "a" * 32)
    assert [each.next for each in outcomes if isinstance(each, NotSent)] == ["reconnect"] * 2


async def test_an_update_changes_its_fields_alone(world: World) -> None:
    """Sparse: the phone goes, everything else stays."""
    ref = world.sandbox.add_customer("Acme", email="ap@acme.test", phone="555-0100", notes="key account")
    before = (await world.books.get(Kind.CUSTOMER, [ref]))[ref]
    assert isinstance(before, Customer)
    update = Update(
        kind=Kind.CUSTOMER,
        ref=ref,
        version=before.version,
        before={"phone": "555-0100"},
        after={"phone": None},
        key="k",
    )
    stored = done(await world.books.write([update], "a" * 32))[0].stored
    assert isinstance(stored, Customer)
    assert (stored.phone, stored.emails, stored.notes) == (None, {"general": "ap@acme.test"}, "key account")


async def test_an_old_version_is_moved(world: World) -> None:
    """Somebody was faster: nothing is overwritten, alone or in a batch."""
    refs = [world.sandbox.add_customer(name) for name in ("Acme", "Globex")]
    updates = [
        Update(kind=Kind.CUSTOMER, ref=ref, version="0", before={}, after={"notes": "ours"}, key=ref) for ref in refs
    ]
    for ref in refs:
        world.sandbox.edit("Customer", ref, notes="theirs")
    batch = await world.books.write(updates, "a" * 32)
    single = await world.books.write(updates[:1], "b" * 32)
    assert [Moved, Moved, Moved] == [type(each) for each in (*batch, *single)]
    assert {world.sandbox.company.read("Customer", ref)["Notes"] for ref in refs} == {"theirs"}


async def test_a_taken_name_says_who_has_it(world: World) -> None:
    """A customer, active or not, is named; a vendor has the name for good, and the reason says so."""
    existing = world.sandbox.add_customer("Acme", Active=False)
    world.sandbox.add_vendor("Globex")
    writes = [Create(record=Customer(legal_name=name), marker=name, key=name) for name in ("Acme", "Globex")]
    acme, globex = await world.books.write(writes, "a" * 32)
    assert isinstance(acme, Denied)
    assert isinstance(globex, Denied)
    assert (acme.code, acme.field, acme.existing) == ("6240", "display_name", existing)
    assert (globex.existing, "a vendor" in globex.reason) == (None, True)


async def test_a_closed_period_is_a_plain_no(world: World) -> None:
    """The date is to blame, and the person reads why."""
    writes = invoices(world, 1)
    world.sandbox.close_books("2026-10-31")
    outcome = (await world.books.write(writes, "a" * 32))[0]
    assert isinstance(outcome, Denied)
    assert (outcome.code, outcome.field, "closed" in outcome.reason) == ("6210", "date", True)


async def test_an_item_is_made_with_its_account(world: World) -> None:
    """By the account's name; without one it is denied and not sent."""
    good = Create(record=Item(name="Advice", item_kind="service", income_account="Services"), marker="m", key="k")
    bare = Create(record=Item(name="Other", item_kind="service"), marker="m", key="k")
    made, denied = await world.books.write([good, bare], "a" * 32)
    assert isinstance(made, Done)
    assert isinstance(denied, Denied)
    assert isinstance(made.stored, Item)
    assert (made.stored.income_account, denied.field) == ("Services", "income_account")


async def test_tax_by_a_rate_is_as_forecast(world: World) -> None:
    """An order with a discount and untaxed shipping comes out to the cent: tax 7.88, total 110.25."""
    world.sandbox.preferences(allow_shipping=True)
    world.sandbox.add_tax_code("NY-GOODS", "8.25")
    customer, item = world.sandbox.add_customer("Web sales"), world.sandbox.add_item("A")
    lines = (
        InvoiceLine(item=item, qty=Decimal(3), unit_price=Decimal("19.99"), net=Decimal("59.97"), tax_code="NY-GOODS"),
        InvoiceLine(item=item, qty=Decimal(1), unit_price=Decimal("45.00"), net=Decimal("40.50"), tax_code="NY-GOODS"),
        InvoiceLine(role="shipping", net=Decimal("6.90"), tax_code="NON"),
        InvoiceLine(role="discount", net=Decimal("-5.00")),
    )
    tax = TaxLine(code="NY-GOODS", rate=Decimal("8.25"), base=Decimal("95.47"), tax=Decimal("7.88"), decided_by="rule")
    record = Invoice(customer=customer, currency="USD", lines=lines, taxes=(tax,), tax=Decimal("7.88"))
    stored = done(await world.books.write([Create(record=record, marker=marker(1), key="k")], "a" * 32))[0].stored
    assert isinstance(stored, Invoice)
    assert (stored.net, stored.tax, stored.total) == (Decimal("102.37"), Decimal("7.88"), Decimal("110.25"))


async def test_voiding_one_and_many(world: World) -> None:
    """Alone by its own call, several in a batch: all end void, and none is emptied."""
    made = done(await world.books.write(invoices(world, 3), "a" * 32))
    acts = [Act(kind=Kind.INVOICE, ref=each.ref, version=each.version, operation="void", key=each.ref) for each in made]
    single = done(await world.books.write(acts[:1], "b" * 32))
    several = done(await world.books.write(acts[1:], "c" * 32))
    stored = [each.stored for each in (*single, *several) if isinstance(each.stored, Invoice)]
    assert [("void", Decimal(0), marker(n)) for n in (1, 2, 3)] == [
        (each.state, each.balance, each.marker) for each in stored
    ]
    assert world.sandbox.receivable(date(2026, 10, 31)) == 0


async def test_deleting_and_archiving(world: World) -> None:
    """A document is deleted; a customer cannot be, and is made inactive."""
    made = done(await world.books.write(invoices(world, 2), "a" * 32))
    gone = [
        Act(kind=Kind.INVOICE, ref=each.ref, version=each.version, operation="delete", key=each.ref) for each in made
    ]
    assert [each.stored for each in done(await world.books.write(gone, "b" * 32))] == [None, None]
    assert await world.books.get(Kind.INVOICE, [each.ref for each in made]) == {}
    customer = (await world.books.find(Kind.CUSTOMER, "display_name", ["Acme"]))["Acme"][0]
    archive = Act(kind=Kind.CUSTOMER, ref=customer.ref, version=customer.version, operation="archive", key="k")
    stored = done(await world.books.write([archive], "c" * 32))[0].stored
    assert isinstance(stored, Customer)
    assert (stored.active, stored.display_name is not None) == (False, True)


async def test_sending_marks_an_invoice_as_emailed(world: World) -> None:
    """E-mails go one by one; one without an address is a no, and the others go on."""
    writes = invoices(world, 2)
    made = done(await world.books.write(writes, "a" * 32))
    world.sandbox.edit("Invoice", made[0].ref, BillEmail={"Address": "ap@acme.test"})
    acts = [Act(kind=Kind.INVOICE, ref=each.ref, version=each.version, operation="send", key=each.ref) for each in made]
    sent, unsent = await world.books.write(acts, "b" * 32)
    assert isinstance(sent, Done)
    assert isinstance(sent.stored, Invoice)
    assert isinstance(unsent, Denied)
    assert sent.stored.emailed is True


async def test_a_repeated_requestid_makes_no_second(world: World) -> None:
    """QuickBooks says so, without saying for how long: we never rely on it, but it is sent."""
    writes = invoices(world, 2)
    first = done(await world.books.write(writes, "a" * 32))
    again = done(await world.books.write(writes, "a" * 32))
    assert [each.ref for each in first] == [each.ref for each in again]
    assert world.sandbox.receivable(date(2026, 10, 31)) == 30


async def test_a_foreign_document_needs_multicurrency(world: World) -> None:
    """A company that keeps one currency refuses another before anything is sent."""
    write = invoices(world, 1)[0]
    foreign = Invoice(customer="1", currency="EUR", lines=(InvoiceLine(item="1", net=Decimal(1)),))
    before = batches(world)
    outcome = (await world.books.write([Create(record=foreign, marker=write.marker, key="k")], "a" * 32))[0]
    assert isinstance(outcome, Denied)
    assert (outcome.field, batches(world)) == ("currency", before)


async def test_what_is_stored_is_what_the_next_poll_tells(world: World) -> None:
    """Our own writes come back as they were answered: they are no edit."""
    made = done(await world.books.write(invoices(world, 2), "a" * 32))
    found = await world.books.get(Kind.INVOICE, [each.ref for each in made])
    assert [each.stored for each in made] == [found[each.ref] for each in made]
    balances = [each.balance for each in (await world.books.find(Kind.CUSTOMER, "display_name", ["Acme"]))["Acme"]
                if isinstance(each, Customer)]  # fmt: skip
    assert balances == [Money(Decimal(30), "USD")]


async def test_a_line_by_account_finds_its_item(world: World) -> None:
    """One line for a whole deal names an account alone: the service that books to it stands on the invoice."""
    customer, item = world.sandbox.add_customer("Acme"), world.sandbox.add_item("Fees", account="Services")
    record = Invoice(customer=customer, lines=(InvoiceLine(net=Decimal("99.50"), income_account="Services"),))
    stored = done(await world.books.write([Create(record=record, marker=marker(1), key="k")], "a" * 32))[0].stored
    assert isinstance(stored, Invoice)
    assert isinstance(stored.lines, tuple)
    assert [(each.item, each.net) for each in stored.lines] == [(item, Decimal("99.50"))]
