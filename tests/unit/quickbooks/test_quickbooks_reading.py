"""Reading a company: the first listing, what changed, look-ups and totals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from quickbooks_world import KINDS, NOTHING, START, World, cursors_of, records_of

from connectors.canon.records import CreditNote, Customer, Invoice, Kind, Payment
from connectors.canon.values import Money
from connectors.kit.errors import BadSettings, TryLater, Unsupported
from connectors.kit.sandbox.faults import status
from connectors.quickbooks.connector import QuickBooks

DAY = 86_400.0


def fill(world: World) -> dict[str, str]:
    """Two customers, three invoices, a credit memo that is applied, and a payment that covers the rest."""
    books = world.sandbox
    acme = books.add_customer("Acme", email="ap@acme.test", terms="Net 30")
    books.add_customer("Sleeping", Active=False)
    item = books.add_item("Advice", price="150")
    ids = {"acme": acme, "item": item}
    for number in range(3):
        lines = [{"item": "Advice", "qty": 2, "price": "150"}]
        ids[f"invoice{number}"] = books.add_invoice("Acme", lines, date="2026-10-01", note="a note")
    ids["memo"] = books.add_credit_memo("Acme", [{"item": "Advice", "amount": "100"}], date="2026-10-02")
    books.apply_credit(ids["memo"], ids["invoice0"], "100", date="2026-10-03")
    ids["payment"] = books.add_payment("Acme", "200", date="2026-10-04", invoices={ids["invoice0"]: "200"})
    return ids


async def test_the_first_read_finds_everything(world: World) -> None:
    """All kinds, inactive customers too; the cursor is a time from before the listing began."""
    ids = fill(world)
    world.sandbox.clock.advance(60)
    pages = await world.pages(NOTHING)
    found = {kind: len(records_of(pages, kind)) for kind in KINDS}
    assert found[Kind.CUSTOMER] >= 2
    assert (found[Kind.INVOICE], found[Kind.CREDIT_NOTE], found[Kind.PAYMENT]) == (3, 1, 2)
    invoice = records_of(pages, Kind.INVOICE)[ids["invoice0"]]
    assert isinstance(invoice, Invoice)
    assert (invoice.net, invoice.balance, invoice.internal_note) == (Decimal(300), Decimal(0), "a note")
    assert all(cursor is not None and cursor <= "2026-10-05T17:31" for cursor in cursors_of(pages).values())
    assert {kind for page in pages for kind in page.scanned} == set(KINDS)


async def test_a_credit_comes_through_a_payment(world: World) -> None:
    """The credit memo says what is left of it; the payment of nothing says where it went."""
    ids = fill(world)
    pages = await world.pages(NOTHING)
    memo = records_of(pages, Kind.CREDIT_NOTE)[ids["memo"]]
    applied = [
        each
        for payment in records_of(pages, Kind.PAYMENT).values()
        if isinstance(payment, Payment)
        for each in payment.allocations
        if each.via is not None
    ]
    assert isinstance(memo, CreditNote)
    assert memo.remaining == Decimal(0)
    assert [(each.document, each.via, each.amount) for each in applied] == [
        (ids["invoice0"], ids["memo"], Decimal(100))
    ]


async def test_a_poll_without_news_is_one_call(world: World) -> None:
    """One change-data-capture call for all kinds, nothing read, and the cursors move on."""
    fill(world)
    world.sandbox.clock.advance(300)
    pages = await world.pages(NOTHING)
    world.sandbox.clock.advance(300)
    world.books = world.another()
    before = world.sandbox.calls
    quiet = await world.pages(cursors_of(pages))
    assert (world.sandbox.calls - before, quiet[0].records, quiet[0].gone) == (1, (), ())
    assert cursors_of(quiet) != cursors_of(pages)


async def test_changes_and_deletions_come_at_once(world: World) -> None:
    """An edit, a void and a deletion, in one call and the two that the translation needs."""
    ids = fill(world)
    pages = await world.pages(NOTHING)
    world.sandbox.clock.advance(300)
    world.sandbox.edit("Customer", ids["acme"], phone="(212) 555-0100")
    world.sandbox.void("Invoice", ids["invoice1"])
    world.sandbox.delete("Invoice", ids["invoice2"])
    news = await world.pages(cursors_of(pages))
    customer = records_of(news, Kind.CUSTOMER)[ids["acme"]]
    void = records_of(news, Kind.INVOICE)[ids["invoice1"]]
    assert isinstance(customer, Customer)
    assert isinstance(void, Invoice)
    assert (customer.phone, void.state, void.internal_note) == ("(212) 555-0100", "void", "a note")
    assert [(each.kind, each.ref) for page in news for each in page.gone] == [(Kind.INVOICE, ids["invoice2"])]


async def test_a_listing_of_many_pages_loses_nothing(world: World) -> None:
    """Customers made at different times and 30 in one and the same second, in pages of seven: all are told, and
    taking up again after any page loses none."""
    made = set()
    for number in range(60):
        made.add(world.sandbox.add_customer(f"Customer {number:02d}"))
        if number < 10 or number >= 40:
            world.sandbox.clock.advance(1)
    world.books = world.another(page="7")
    pages = await world.pages({Kind.CUSTOMER: None})
    assert made <= set(records_of(pages, Kind.CUSTOMER))
    for cut in range(1, len(pages)):
        seen = set(records_of(pages[:cut], Kind.CUSTOMER))
        rest = await world.pages({Kind.CUSTOMER: pages[cut - 1].cursors[Kind.CUSTOMER]})
        assert made <= seen | set(records_of(rest, Kind.CUSTOMER))
        assert not [page for page in rest if page.scanned]


async def test_an_edit_while_listing_is_seen_by_the_next_poll(world: World) -> None:
    """The cursor is older than the listing: what changed while it went on is told again."""
    for number in range(20):
        world.sandbox.add_customer(f"Customer {number:02d}")
        world.sandbox.clock.advance(1)
    world.sandbox.clock.advance(300)
    world.books = world.another(page="7")
    pages = []
    async for page in world.books.changes({Kind.CUSTOMER: None}):
        pages.append(page)
        world.sandbox.clock.advance(120)
        world.sandbox.edit("Customer", "Customer 00", phone=f"555-01{len(pages):02d}")
    news = await world.pages(cursors_of(pages))
    phones = [each.phone for each in records_of(news, Kind.CUSTOMER).values() if isinstance(each, Customer)]
    assert phones == [f"555-01{len(pages):02d}"]


async def test_an_answer_to_another_question_is_no_end_of_a_list(world: World) -> None:
    """A proxy gives an old answer, about tax codes: taken for an empty page of customers, the listing would be over and
    its cursor would leave them behind for good."""
    fill(world)
    other = {"QueryResponse": {"TaxCode": [{"Id": "NON"}], "maxResults": 1}, "time": "2026-10-01T09:00:00-07:00"}
    world.sandbox.faults.add(status(200, "GET", r"/query\?.*Customer", body=other))
    with pytest.raises(TryLater, match="another question"):
        [page async for page in world.books.changes({Kind.CUSTOMER: None})]


async def test_the_late_cursor_check_can_fail(world: World) -> None:
    """A cursor taken when the listing has ended misses the edit made while it went on."""
    world.sandbox.add_customer("Acme")
    pages = await world.pages({Kind.CUSTOMER: None})
    world.sandbox.edit("Customer", "Acme", phone="555-0100")
    world.sandbox.clock.advance(1)
    late = (world.sandbox.clock.now()).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    assert records_of(await world.pages({Kind.CUSTOMER: late}), Kind.CUSTOMER) == {}
    assert records_of(await world.pages(cursors_of(pages)), Kind.CUSTOMER) != {}


async def test_what_is_committed_late_is_told_by_the_next_poll(world: World) -> None:
    """An edit with the time of the last poll, or a little before it: the cursor stays the overlap behind."""
    world.sandbox.add_customer("Acme")
    world.sandbox.clock.advance(300)
    polled = await world.pages(cursors_of(await world.pages({Kind.CUSTOMER: None})))
    world.sandbox.edit("Customer", "Acme", phone="555-0100")
    news = records_of(await world.pages(cursors_of(polled)), Kind.CUSTOMER)
    assert ["555-0100"] == [each.phone for each in news.values() if isinstance(each, Customer)]


async def test_more_changes_than_capture_tells_are_listed(world: World) -> None:
    """1,000 objects are a cut answer: each kind is asked for alone, then listed."""
    pages = await world.pages(NOTHING)
    world.sandbox.clock.advance(300)
    world.sandbox.add_item("Advice", price="1")
    world.sandbox.add_customer("Acme")
    made = {world.sandbox.add_invoice("Acme", [{"item": "Advice", "amount": "1"}]) for _ in range(1005)}
    world.sandbox.clock.advance(300)
    news = await world.pages(cursors_of(pages))
    assert made == set(records_of(news, Kind.INVOICE))
    assert len(records_of(news, Kind.CUSTOMER)) == 1
    assert {kind for page in news for kind in page.scanned} == {Kind.INVOICE}
    world.sandbox.clock.advance(600)
    assert not records_of(await world.pages(cursors_of(news)), Kind.INVOICE)


@pytest.mark.parametrize("kind", [Kind.CUSTOMER, Kind.INVOICE])
async def test_an_old_cursor_is_made_good(world: World, kind: Kind) -> None:
    """Beyond 30 days capture refuses: customers come by when they changed, documents as a whole listing."""
    ids = fill(world)
    world.sandbox.clock.advance(DAY)
    pages = await world.pages(NOTHING)
    world.sandbox.clock.advance(10 * DAY)
    world.sandbox.edit("Customer", ids["acme"], phone="555-0100")
    world.sandbox.delete("Invoice", ids["invoice2"])
    world.sandbox.clock.advance(31 * DAY)
    news = await world.pages({kind: cursors_of(pages)[kind]})
    told = records_of(news, kind)
    if kind is Kind.CUSTOMER:
        assert set(told) == {ids["acme"]}
    else:
        assert (set(told), news[-1].scanned) == ({ids["invoice0"], ids["invoice1"]}, {Kind.INVOICE})


async def test_a_row_that_cannot_be_read_is_reported(world: World) -> None:
    """The others are told, and the bad one says what is wrong with it."""
    ids = fill(world)
    world.sandbox.company.rows["Invoice"][ids["invoice1"]]["TxnDate"] = "soon"
    pages = await world.pages({Kind.INVOICE: None})
    assert set(records_of(pages, Kind.INVOICE)) == {ids["invoice0"], ids["invoice2"]}
    assert [bad.ref for page in pages for bad in page.bad] == [ids["invoice1"]]


async def test_get_finds_what_is_visible(world: World) -> None:
    """Inactive customers too; what does not exist is left out."""
    ids = fill(world)
    sleeping = (await world.books.find(Kind.CUSTOMER, "display_name", ["Sleeping"]))["Sleeping"][0].ref
    found = await world.books.get(Kind.CUSTOMER, [ids["acme"], sleeping, "999"])
    assert set(found) == {ids["acme"], sleeping}


async def test_find_by_what_a_person_calls_it(world: World) -> None:
    """Names with quotes, with letters that the query language does not know, and by e-mail."""
    names = ["O'Brien & Söhne", "Łódź Sp. z o.o.", "100% Wool", "日本商会"]
    made = {name: world.sandbox.add_customer(name) for name in names}
    world.sandbox.add_customer("Acme", email="ap@acme.test")
    found = await world.books.find(Kind.CUSTOMER, "display_name", [*names, "Nobody"])
    assert {name: [each.ref for each in records] for name, records in found.items()} == {
        **{name: [ref] for name, ref in made.items()},
        "Nobody": [],
    }
    by_mail = await world.books.find(Kind.CUSTOMER, "emails.general", ["ap@acme.test"])
    assert len(by_mail["ap@acme.test"]) == 1
    with pytest.raises(Unsupported):
        await world.books.find(Kind.CUSTOMER, "notes", ["x"])


async def test_name_holders_are_customers_vendors_and_employees(world: World) -> None:
    """They share one name space, so a clash may be with any of them."""
    vendor = world.sandbox.add_vendor("Globex")
    holders = await world.books.name_holders(["Globex", "Acme"])
    assert ([(each.entity, each.ref) for each in holders["Globex"]], holders["Acme"]) == ([("Vendor", vendor)], [])


async def test_created_since_a_mark(world: World) -> None:
    """What was made in the mark's own second counts; other customers' documents do not."""
    fill(world)
    world.sandbox.add_customer("Other")
    world.sandbox.clock.advance(120.4)
    mark = await world.books.mark(Kind.INVOICE)
    lines = [{"item": "Advice", "amount": "1"}]
    ours = world.sandbox.add_invoice("Acme", lines)
    other = world.sandbox.add_invoice("Other", lines)
    acme = (await world.books.find(Kind.CUSTOMER, "display_name", ["Acme"]))["Acme"][0].ref
    everybody = await world.books.created_since(Kind.INVOICE, mark)
    assert {each.ref for each in everybody} == {ours, other}
    assert [each.ref for each in await world.books.created_since(Kind.INVOICE, mark, [acme])] == [ours]


async def test_a_fresh_time_is_a_mark_without_a_call(world: World) -> None:
    """A time told within the last minute serves; an older one does not."""
    await world.books.mark(Kind.INVOICE)
    before = world.sandbox.calls
    await world.books.mark(Kind.INVOICE)
    world.sandbox.clock.advance(61)
    await world.books.mark(Kind.INVOICE)
    assert world.sandbox.calls - before == 1


async def test_the_catalogue(world: World) -> None:
    """Currency, closing date, numbering, tax, terms and accounts, read once."""
    world.sandbox.close_books("2026-09-30")
    world.sandbox.preferences(custom_numbers=True)
    world.sandbox.add_tax_code("NY-GOODS", "8.25")
    catalogue = await world.books.catalogue()
    calls = world.sandbox.calls
    again = await world.books.catalogue()
    assert (catalogue, calls) == (again, world.sandbox.calls)
    assert (catalogue.home_currency, catalogue.locked_until, catalogue.numbering, catalogue.tax_regime) == (
        "USD", date(2026, 9, 30), "caller", "rates",
    )  # fmt: skip
    assert {"NY-GOODS": Decimal("8.25"), "NON": Decimal(0)}.items() <= {
        each.name: each.rate for each in catalogue.tax_codes
    }.items()
    assert {"income", "receivable", "bank"} <= {each.type for each in catalogue.accounts}
    assert "Net 30" in {each.name for each in catalogue.terms}
    assert world.books.kinds_for(await world.books.catalogue())[Kind.INVOICE].probe_many


async def test_the_books_own_totals(world: World) -> None:
    """Control balance, ageing, counts and net of October, from QuickBooks' reports and not from records."""
    fill(world)
    figures = await world.books.figures(date(2026, 10, 1), date(2026, 10, 31))
    assert figures is not None
    assert (figures.receivable_control, figures.invoiced_net) == (Decimal("600.00"), {"USD": Decimal("900.00")})
    assert sum(each.total for each in figures.ageing) == Decimal("600.00")
    counts = {each.kind: (each.number, each.voided, each.total) for each in figures.counts}
    assert counts == {
        Kind.INVOICE: (3, 0, Money(Decimal("900.00"), "USD")),
        Kind.CREDIT_NOTE: (1, 0, Money(Decimal("100.00"), "USD")),
        Kind.PAYMENT: (2, 0, Money(Decimal("200.00"), "USD")),
    }


@pytest.mark.parametrize(
    "wrong", [{"realm_id": ""}, {"realm_id": "my company"}, {"page": "0"}, {"page": "1001"}, {"batch": "31"}]
)
def test_wrong_settings_are_refused(wrong: dict[str, str]) -> None:
    """Before any call is made."""
    with pytest.raises(BadSettings):
        QuickBooks.open({"realm_id": "123"} | wrong, None)  # type: ignore[arg-type]  # nothing is reached with them


def test_the_clock_stands(world: World) -> None:
    """The tests' time is theirs."""
    assert world.sandbox.clock.now() >= START
