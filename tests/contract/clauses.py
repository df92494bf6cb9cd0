"""The contract, clause by clause. Each is a coroutine over a harness and a kind, and its docstring is the promise.

`applies` says for which systems a clause speaks; a system that declares nothing promises nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import TypeAlias

import msgspec

from connectors.canon.fields import FIELDS, Value, field_type, key, read
from connectors.canon.records import AnyRecord, Customer, Item, Kind
from connectors.canon.values import ABSENT
from connectors.kit.contract import (
    Act,
    Connector,
    Create,
    Denied,
    Done,
    InDoubt,
    Moved,
    Nothing,
    NotSent,
    Outcome,
    Page,
    Replay,
    Tombstone,
    Unique,
    Update,
    Upsert,
    Write,
)
from connectors.kit.errors import ConnectorError
from tests.contract.harness import Harness

Run: TypeAlias = Callable[[Harness, Kind], Awaitable[None]]
Applies: TypeAlias = Callable[[Harness, Kind], bool]
# What a vendor computes or numbers by itself, so that it cannot be expected to keep ours.
COMPUTED = frozenset({
    "number", "balance", "overdue", "unapplied", "remaining", "net", "tax", "total", "display_name", "state",
})  # fmt: skip


class Clause(msgspec.Struct, frozen=True):
    """One promise. `applies` None: to every kind of every system."""

    name: str
    run: Run
    applies: Applies


CLAUSES: dict[str, Clause] = {}


def clause(applies: Applies | None = None) -> Callable[[Run], Run]:
    """Enter a coroutine into the contract under its own name."""

    def enter(run: Run) -> Run:
        name: str = run.__name__  # type: ignore[attr-defined]  # a coroutine function has a name
        CLAUSES[name] = Clause(name, run, applies if applies is not None else lambda _h, _k: True)
        return run

    return enter


# --------------------------------------------------------------------------- little words


def creates(h: Harness, kind: Kind) -> bool:
    return "create" in h.of(kind).operations


def updates(h: Harness, kind: Kind) -> bool:
    return "update" in h.of(kind).operations and kind in h.text_path


def removes(h: Harness, kind: Kind) -> bool:
    return h.removable(kind)


def locks(h: Harness, kind: Kind) -> bool:
    return updates(h, kind) and h.of(kind).optimistic_lock


def finds(h: Harness, kind: Kind) -> bool:
    return kind in h.find_path


async def pages(connector: Connector, kind: Kind, cursor: str | None) -> list[Page]:
    return [page async for page in _changes(connector, kind, cursor)]


def _changes(connector: Connector, kind: Kind, cursor: str | None) -> AsyncIterator[Page]:
    return connector.changes({kind: cursor})


def cursor_after(found: list[Page], kind: Kind, before: str | None = None) -> str | None:
    for page in found:
        before = page.cursors.get(kind, before)
    return before


def seen(found: list[Page]) -> dict[str, AnyRecord]:
    """The last state of each record, those told gone since left out."""
    state: dict[str, AnyRecord] = {}
    for page in found:
        state |= {record.ref: record for record in page.records}
        for stone in page.gone:
            state.pop(stone.ref, None)
    return state


async def added(h: Harness, kind: Kind, count: int) -> list[str]:
    refs = [await h.person_adds(kind, f"seen {number}") for number in range(count)]
    await h.advance(h.of(kind).search_delay_s + 1)
    return refs


def creating(record: AnyRecord, marker: str) -> Create:
    return Create(record=record, marker=marker, key=f"key-{marker}")


async def one(connector: Connector, write: Write) -> Outcome:
    outcomes = await connector.write([write], write.key)
    assert len(outcomes) == 1
    return outcomes[0]


async def stored(h: Harness, record: AnyRecord, marker: str) -> Done:
    outcome = await one(h.connector, creating(record, marker))
    assert isinstance(outcome, Done), outcome
    return outcome


async def standing(h: Harness, kind: Kind, label: str) -> str:
    """The ref of a record that stands at the vendor: made by us if we can, else by a person."""
    if creates(h, kind):
        return (await stored(h, h.sample(kind, label), f"m-{label}")).ref
    return (await added(h, kind, 1))[0]


async def got(h: Harness, kind: Kind, ref: str) -> AnyRecord:
    found = (await h.connector.get(kind, [ref]))[ref]
    assert not isinstance(found, Tombstone)
    return found


def keyed(kind: Kind, path: str, value: Value) -> object:
    type_of_field = field_type(kind, path)
    assert type_of_field is not None, path
    return key(type_of_field, value) if value is not ABSENT else ABSENT


def differing(kind: Kind, one_: AnyRecord, other: AnyRecord, leave_out: frozenset[str] = frozenset()) -> set[str]:
    """Paths whose values differ by canonical key."""
    paths = set(FIELDS[kind]) - leave_out
    return {path for path in paths if keyed(kind, path, read(one_, path)) != keyed(kind, path, read(other, path))}


def lost(kind: Kind, sent: AnyRecord, back: AnyRecord) -> set[str]:
    """Paths that were told when sent and came back otherwise."""
    paths = {path for path in FIELDS[kind] if read(sent, path) not in (ABSENT, None)} - COMPUTED
    return {path for path in paths if keyed(kind, path, read(sent, path)) != keyed(kind, path, read(back, path))}


# --------------------------------------------------------------------------- reading


@clause()
async def a_full_listing_is_complete_and_stable(h: Harness, kind: Kind) -> None:
    """Without a cursor everything there is comes, is declared complete, and comes the same way again."""
    refs = await added(h, kind, 7)
    first, second = await pages(h.connector, kind, None), await pages(h.connector, kind, None)
    assert set(refs) <= set(seen(first)), "records are missing"
    assert kind in first[-1].scanned, "the last page does not say that the listing is complete"
    assert set(seen(first)) == set(seen(second))
    assert all(differing(kind, record, seen(second)[ref]) == set() for ref, record in seen(first).items())


@clause()
async def pages_are_no_larger_than_declared(h: Harness, kind: Kind) -> None:
    """No page holds more records than `page`."""
    await added(h, kind, 7)
    assert max(len(page.records) for page in await pages(h.connector, kind, None)) <= h.of(kind).page


@clause()
async def resuming_after_any_page_loses_nothing(h: Harness, kind: Kind) -> None:
    """Whoever stores some pages, dies, and goes on from their cursors has seen everything."""
    refs = await added(h, kind, h.two_pages)
    whole = await pages(h.connector, kind, None)
    for stop in range(len(whole) + 1):
        before = whole[:stop]
        rest = await pages(await h.reopened(), kind, cursor_after(before, kind))
        assert set(refs) <= set(seen([*before, *rest])), f"lost after page {stop}"


@clause()
async def an_unchanged_account_gives_nothing_new(h: Harness, kind: Kind) -> None:
    """Once the declared overlap has passed, a poll of an unchanged account gives no records."""
    await added(h, kind, 4)
    cursor = cursor_after(await pages(h.connector, kind, None), kind)
    await h.advance(h.of(kind).overlap_s + h.of(kind).search_delay_s + 60)
    settled = await pages(h.connector, kind, cursor)
    await h.advance(h.of(kind).overlap_s + h.of(kind).search_delay_s + 60)
    quiet = await pages(h.connector, kind, cursor_after(settled, kind, cursor))
    assert [record.ref for page in quiet for record in page.records] == []


@clause(lambda h, k: k in h.text_path)
async def an_edit_appears_after_its_cursor(h: Harness, kind: Kind) -> None:
    """What a person edits after a cursor comes with the next poll, as it is now."""
    refs = await added(h, kind, 4)
    cursor = cursor_after(await pages(h.connector, kind, None), kind)
    await h.advance(2)
    await h.person_edits(kind, refs[1], "edited by hand")
    await h.advance(h.of(kind).search_delay_s + 1)
    record = seen(await pages(h.connector, kind, cursor)).get(refs[1])
    assert record is not None, "the edit did not come"
    assert read(record, h.text_path[kind]) == "edited by hand"


@clause()
async def an_addition_appears_after_its_cursor(h: Harness, kind: Kind) -> None:
    """What a person adds after a cursor comes with the next poll."""
    await added(h, kind, 2)
    cursor = cursor_after(await pages(h.connector, kind, None), kind)
    await h.advance(2)
    ref = await h.person_adds(kind, "late")
    await h.advance(h.of(kind).search_delay_s + 1)
    assert ref in seen(await pages(h.connector, kind, cursor))


@clause(lambda h, k: removes(h, k) and h.of(k).tombstones)
async def a_deletion_is_told(h: Harness, kind: Kind) -> None:
    """Where tombstones are declared, a deletion comes with the next poll as one."""
    refs = await added(h, kind, 3)
    cursor = cursor_after(await pages(h.connector, kind, None), kind)
    await h.advance(2)
    await h.person_removes(kind, refs[0])
    await h.advance(h.of(kind).search_delay_s + h.sweep_s + 1)
    told = [stone.ref for page in await pages(h.connector, kind, cursor) for stone in page.gone]
    assert refs[0] in told


@clause(removes)
async def a_deletion_is_missing_from_a_complete_listing(h: Harness, kind: Kind) -> None:
    """A listing that is declared complete does not hold what was deleted."""
    refs = await added(h, kind, 3)
    await h.person_removes(kind, refs[0])
    await h.advance(h.of(kind).search_delay_s + h.sweep_s + 1)
    whole = await pages(await h.reopened(), kind, None)
    assert kind in whole[-1].scanned, "not declared complete"
    assert set(refs) & set(seen(whole)) == set(refs[1:])


@clause()
async def get_leaves_out_what_is_not_visible(h: Harness, kind: Kind) -> None:
    """`get` gives what is there by its ref, and leaves out a ref that means nothing."""
    refs = await added(h, kind, 2)
    unknown = refs[0] + "000999"
    found = await h.connector.get(kind, [refs[0], unknown, refs[1]])
    assert set(found) == set(refs)
    assert {ref: record.ref for ref, record in found.items()} == {ref: ref for ref in refs}


@clause(lambda h, k: h.of(k).batch_read <= 200)
async def get_takes_more_than_one_call_holds(h: Harness, kind: Kind) -> None:
    """More refs than one vendor call takes are read in several."""
    refs = await added(h, kind, h.of(kind).batch_read + 1)
    assert set(await h.connector.get(kind, refs)) == set(refs)


@clause(removes)
async def get_of_a_deleted_record_is_no_record(h: Harness, kind: Kind) -> None:
    """A deleted record's ref gives a tombstone or nothing."""
    refs = await added(h, kind, 1)
    await h.person_removes(kind, refs[0])
    found = (await h.connector.get(kind, refs)).get(refs[0])
    assert found is None or isinstance(found, Tombstone)


@clause(finds)
async def find_is_exact(h: Harness, kind: Kind) -> None:
    """`find` gives the record whose field equals the value, and none that merely begins the same."""
    refs = await added(h, kind, 3)
    path = h.find_path[kind]
    value = read(await got(h, kind, refs[1]), path)
    assert isinstance(value, str)
    found = await h.connector.find(kind, path, [value, value[:-1], "nobody has this"])
    assert {asked: [record.ref for record in hits] for asked, hits in found.items() if hits} == {value: [refs[1]]}


# --------------------------------------------------------------------------- writing


@clause(creates)
async def create_stores_what_was_given(h: Harness, kind: Kind) -> None:
    """What is created reads back equal by canonical key, in the answer and on a later read."""
    sample = h.sample(kind, "given")
    done = await stored(h, sample, "m-given")
    assert done.stored is not None
    assert lost(kind, sample, done.stored) == set()
    back = await got(h, kind, done.ref)
    assert lost(kind, sample, back) == set()
    assert (done.ref, done.version) == (back.ref, back.version)


@clause(lambda h, k: creates(h, k) and h.of(k).marker is not None)
async def the_marker_reads_back(h: Harness, kind: Kind) -> None:
    """Where a place for the marker is declared, it is stored and read back."""
    done = await stored(h, h.sample(kind, "marked"), "m-marked")
    assert (await got(h, kind, done.ref)).marker == "m-marked"


@clause(updates)
async def update_changes_only_what_it_names(h: Harness, kind: Kind) -> None:
    """An update sets its fields and no others."""
    path = h.text_path[kind]
    ref = await standing(h, kind, "kept")
    before = await got(h, kind, ref)
    outcome = await one(h.connector, updating(h, kind, before, "set by us"))
    assert isinstance(outcome, Done), outcome
    after = await got(h, kind, ref)
    assert read(after, path) == "set by us"
    assert differing(kind, before, after, frozenset({path})) == set()
    assert outcome.version == after.version


def updating(h: Harness, kind: Kind, before: AnyRecord, text: str | None) -> Update:
    path = h.text_path[kind]
    return Update(
        kind=kind,
        ref=before.ref,
        version=before.version,
        before={path: read(before, path)},
        after={path: text},
        key=f"key-{before.ref}-{text}",
    )


@clause(lambda h, k: updates(h, k) and h.of(k).history > 0)
async def history_tells_what_a_write_passed_over(h: Harness, kind: Kind) -> None:
    """Where history is declared, it tells what a person typed before our write, newest first, and that it was another
    who wrote. A ref that means nothing is left out."""
    path, ref = h.text_path[kind], await standing(h, kind, "passed over")
    await h.advance(2)
    await h.person_edits(kind, ref, "by a person")
    await h.advance(2)
    assert isinstance(await one(h.connector, updating(h, kind, await got(h, kind, ref), "by us")), Done)
    told = await h.connector.history(kind, [ref, f"{ref}000999"], [path])
    assert set(told) == {ref}
    assert [past.value for past in told[ref][path][:2]] == ["by us", "by a person"]
    ours, theirs = told[ref][path][:2]
    assert ours.at > theirs.at
    assert ours.by is None or ours.by != theirs.by


@clause(locks)
async def an_old_version_is_moved(h: Harness, kind: Kind) -> None:
    """Where an optimistic lock is declared, an update with an old version writes nothing."""
    ref = await standing(h, kind, "locked")
    old = await got(h, kind, ref)
    await h.advance(2)
    await h.person_edits(kind, ref, "by a person")
    outcome = await one(h.connector, updating(h, kind, old, "by us"))
    assert isinstance(outcome, Moved), outcome
    assert read(await got(h, kind, ref), h.text_path[kind]) == "by a person"


@clause(lambda h, k: creates(h, k) and h.of(k).batch_write >= 3 and h.spoiled(k) is not None)
async def one_bad_item_does_not_spoil_a_batch(h: Harness, kind: Kind) -> None:
    """Outcomes stand in the order of the writes, and a refused one leaves its neighbours alone."""
    spoiled = h.spoiled(kind)
    assert spoiled is not None
    good = [h.sample(kind, "left"), h.sample(kind, "right")]
    batch = [creating(good[0], "m-left"), creating(spoiled, "m-bad"), creating(good[1], "m-right")]
    first, bad, last = await h.connector.write(batch, "key-batch")
    assert isinstance(first, Done), first
    assert isinstance(last, Done), last
    assert isinstance(bad, Denied), bad
    backs = [await got(h, kind, first.ref), await got(h, kind, last.ref)]
    assert [lost(kind, sent, back) for sent, back in zip(good, backs, strict=True)] == [set(), set()]


@clause(creates)
async def a_batch_larger_than_declared_stores_nothing(h: Harness, kind: Kind) -> None:
    """More writes than `batch_write` at once are refused whole."""
    size = h.of(kind).batch_write + 1
    batch = [creating(h.sample(kind, f"many {number}"), f"m-many-{number}") for number in range(size)]
    arrived = h.write_calls()
    try:
        outcomes = await h.connector.write(batch, "key-many")
    except (ConnectorError, ValueError):
        outcomes = []
    assert [outcome for outcome in outcomes if isinstance(outcome, Done)] == []
    assert h.write_calls() - arrived <= 1, "it was cut into several calls"


@clause(creates)
async def a_lost_answer_is_in_doubt(h: Harness, kind: Kind) -> None:
    """If the vendor did it and the answer is lost, the outcome is in doubt."""
    if await h.lose_next_answer(kind):
        outcome = await one(h.connector, creating(h.sample(kind, "doubted"), "m-doubt"))
        assert isinstance(outcome, InDoubt), outcome


@clause(lambda h, k: creates(h, k) and h.of(k).marker_searchable)
async def the_marker_finds_a_lost_write(h: Harness, kind: Kind) -> None:
    """First probe: after a lost answer exactly one record carries the marker, and others are not confused."""
    await stored(h, h.sample(kind, "other"), "m-other")
    await h.lose_next_answer(kind)
    await one(h.connector, creating(h.sample(kind, "probed"), "m-probe"))
    await h.advance(h.of(kind).search_delay_s + 1)
    found = await h.connector.by_marker(kind, ["m-probe", "m-none"])
    assert {marker: len(records) for marker, records in found.items() if records} == {"m-probe": 1}
    assert lost(kind, h.sample(kind, "probed"), found["m-probe"][0]) == set()


@clause(creates)
async def the_window_finds_a_lost_write(h: Harness, kind: Kind) -> None:
    """Second probe: what was made since the mark holds exactly the one record whose answer was lost."""
    await stored(h, h.sample(kind, "early"), "m-early")
    await h.advance(max(60, h.of(kind).overlap_s))
    mark = await (await h.reopened()).mark(kind)
    await h.advance(1)
    await h.lose_next_answer(kind)
    await one(h.connector, creating(h.sample(kind, "windowed"), "m-window"))
    await h.advance(h.of(kind).search_delay_s + 1)
    made = await h.connector.created_since(kind, mark)
    assert len(made) == 1, [record.ref for record in made]
    assert lost(kind, h.sample(kind, "windowed"), made[0]) == set()


@clause(updates)
async def a_write_is_never_sent_twice(h: Harness, kind: Kind) -> None:
    """A lost answer makes no second call, for a create or an update."""
    before = await got(h, kind, await standing(h, kind, "once"))
    writes: list[Write] = [updating(h, kind, before, "once")]
    if creates(h, kind):
        writes.append(creating(h.sample(kind, "once more"), "m-more"))
    for write in writes:
        if await h.lose_next_answer(kind):
            arrived = h.write_calls()
            await one(h.connector, write)
            assert h.write_calls() - arrived == 1


@clause(creates)
async def too_many_calls_is_not_sent(h: Harness, kind: Kind) -> None:
    """A write that the vendor turned away for its rate surely did not happen, and may be sent later."""
    if await h.throttle_next_write(kind):
        outcome = await one(h.connector, creating(h.sample(kind, "throttled"), "m-throttled"))
        assert isinstance(outcome, NotSent), outcome
        assert outcome.next == "wait"
        await h.advance(90)
        await stored(h, h.sample(kind, "throttled"), "m-throttled-2")


@clause(lambda h, k: creates(h, k) and not _unsure_replay(h, k))
async def a_repeat_does_what_is_declared(h: Harness, kind: Kind) -> None:
    """The same create sent again gives the first answer, updates it, is refused, or makes a second record: as
    `repeat` says."""
    write = creating(h.sample(kind, "twice"), "m-twice")
    first, second = await one(h.connector, write), await one(h.connector, write)
    assert isinstance(first, Done)
    match h.of(kind).repeat:
        case Replay() | Upsert():
            assert isinstance(second, Done), second
            assert first.ref == second.ref
        case Unique():
            assert isinstance(second, Denied), second
            assert first.ref == second.existing
        case Nothing():
            assert isinstance(second, Done), second
            assert first.ref != second.ref


def _unsure_replay(h: Harness, kind: Kind) -> bool:
    repeat = h.of(kind).repeat
    return isinstance(repeat, Replay) and repeat.memory_s == 0


@clause(lambda h, k: updates(h, k) and k not in h.text_required)
async def emptied_is_not_absent(h: Harness, kind: Kind) -> None:
    """A field that is emptied reads back as known to be empty, and nothing else is emptied with it."""
    ref = await standing(h, kind, "emptied")
    filled = await one(h.connector, updating(h, kind, await got(h, kind, ref), "to be emptied"))
    assert isinstance(filled, Done), filled
    before = await got(h, kind, ref)
    outcome = await one(h.connector, updating(h, kind, before, None))
    assert isinstance(outcome, Done), outcome
    after = await got(h, kind, ref)
    assert read(after, h.text_path[kind]) is None
    assert differing(kind, before, after, frozenset({h.text_path[kind]})) == set()


@clause(lambda h, k: creates(h, k) and h.zero(k) is not None)
async def zero_is_not_empty(h: Harness, kind: Kind) -> None:
    """A zero that was written reads back as zero."""
    zero = h.zero(kind)
    assert zero is not None
    record, path = zero
    done = await stored(h, record, "m-zero")
    assert keyed(kind, path, read(record, path)) == keyed(kind, path, read(await got(h, kind, done.ref), path))


@clause(lambda h, k: creates(h, k) and h.priced(k, Decimal(1), "asked") is not None)
async def money_is_exact(h: Harness, kind: Kind) -> None:
    """Amounts survive to the last cent."""
    for number, text in enumerate(("0.01", "1054.10", "99999999.99", "1234567.89")):
        record = h.priced(kind, Decimal(text), f"priced {number}")
        assert record is not None
        done = await stored(h, record, f"m-priced-{number}")
        assert h.amount_of(await got(h, kind, done.ref)) == Decimal(text)


@clause(lambda h, k: creates(h, k) and bool({"void", "delete", "archive"} & h.of(k).operations))
async def an_act_does_what_it_says(h: Harness, kind: Kind) -> None:
    """A declared void, delete or archive is Done, and afterwards the record is void, or gone, or inactive."""
    for operation in sorted({"void", "delete", "archive"} & h.of(kind).operations):
        done = await stored(h, h.sample(kind, f"to {operation}"), f"m-{operation}")
        before = await got(h, kind, done.ref)
        act = Act(kind=kind, ref=done.ref, version=before.version, operation=operation, key=f"key-{operation}")
        outcome = await one(h.connector, act)
        assert isinstance(outcome, Done), (operation, outcome)
        after = (await h.connector.get(kind, [done.ref])).get(done.ref)
        if operation == "void":
            assert getattr(after, "state", None) == "void"
        else:
            inactive = isinstance(after, Customer | Item) and after.active is False
            assert after is None or isinstance(after, Tombstone) or inactive


# --------------------------------------------------------------------------- the account


def first_kind(h: Harness, kind: Kind) -> bool:
    return kind is h.kinds[0]


@clause(first_kind)
async def the_catalogue_tells(h: Harness, kind: Kind) -> None:
    """The account names itself the same way each time, tells a currency where it keeps books, and names only
    fields that exist."""
    first, again = await h.connector.catalogue(), await (await h.reopened()).catalogue()
    assert first.account_id != ""
    assert first.account_id == again.account_id
    if "books" in h.facts.sides:
        assert first.home_currency is not None
    for named, columns in first.columns.items():
        assert columns - set(FIELDS[named]) - {"lines"} == set()


@clause(lambda h, k: k is Kind.INVOICE and k in h.kinds)
async def figures_are_the_vendors_own(h: Harness, kind: Kind) -> None:
    """Figures count what stands at the vendor, also what this connector never read or wrote."""
    on = date(2026, 10, 12)
    before = await h.connector.figures(date(2026, 10, 1), date(2026, 10, 31))
    assert before is not None
    if await h.person_invoices(Decimal("1234.56"), on) is None:
        return
    await h.advance(2)
    after = await h.connector.figures(date(2026, 10, 1), date(2026, 10, 31))
    assert after is not None
    assert before.receivable_control is not None
    assert after.receivable_control == before.receivable_control + Decimal("1234.56")
    counted = [{c.kind: c.number for c in figures.counts}.get(kind, 0) for figures in (before, after)]
    assert counted[1] == counted[0] + 1


@clause(first_kind)
async def a_webhook_with_a_wrong_signature_is_refused(h: Harness, kind: Kind) -> None:
    """The vendor's own webhook call is accepted and read; one that was tampered with, or signed with another
    secret, is not."""
    call = await h.webhook()
    if call is None:
        return
    verify = type(h.connector).verify_webhook
    told = {"method": call.method, "url": call.url, "headers": call.headers, "now": call.now}
    assert verify(secret=call.secret, body=call.body, **told) is True
    assert verify(secret=call.secret, body=call.body + b" ", **told) is False
    assert verify(secret=call.secret + "x", body=call.body, **told) is False
    assert verify(secret=call.secret, body=call.body, **{**told, "headers": {}}) is False
    assert call.ref in [event.ref for event in type(h.connector).parse_webhook(call.body)]
