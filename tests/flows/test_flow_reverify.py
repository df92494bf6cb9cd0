"""What the change feeds do not tell: records read again by id, those verified longest ago; and what is gone, cannot
be seen, or was merged away without a word."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from connectors.canon.records import Kind
from connectors.kit.contract import Facts, KindFacts
from connectors.memory.vendor import Knobs
from connectors.memory.world import MemoryWorld
from tests.flows.conftest import Open
from tests.flows.rig import NoQueue, Rig, deal, mapping, name, told
from worker.api import ChannelApi
from worker.jobs.sweeper import sweep_once
from worker.store import mirror, runs
from worker.store.tables import cursors, link_members, links
from worker.store.tables import mirror as mirror_table
from worker.usecases.reverify import affordable, start_due_verifications

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE
DAY_S = 86_400.0


async def silently(rig: Rig) -> None:
    """The feeds say nothing of what happened until now: their cursors are past it."""
    async with rig.db.write() as tx:
        for side, world in (("crm", rig.crm), ("books", rig.books)):
            where = cursors.c.connection_id == getattr(rig.pair, side).id
            await tx.run(update(cursors).where(where).values(cursor=str(world.state.head)))
    rig.pass_time(3600)


async def verified(rig: Rig, **request: Any) -> dict[str, dict[str, int]]:
    run = await rig.run("verify", **request)
    assert run.state == "done", run.error
    found: dict[str, dict[str, int]] = run.result["verified"]
    return found


async def notes(rig: Rig) -> tuple[str, ...]:
    return (await ChannelApi(rig.api._house).status(rig.pair.id)).notes


# --------------------------------------------------------------------------- what differs


async def test_what_no_feed_announced_is_said_and_planned_not_overwritten(both: Rig) -> None:
    """It is an edit like any other: it travels, or it is asked about."""
    crm, books = await both.linked("Acme", notes="old", phone="+1 212 555 0100")
    both.crm.edit(C, crm, notes="silent", phone="+1 212 555 0101")
    both.books.edit(C, books, phone="+1 212 555 0102")
    await silently(both)
    await both.preview()
    assert (0, []) == (both.plan.changes, await both.dirty())
    writes = both.writes()
    found = await verified(both)
    assert ((1, 1), writes) == ((found["crm"]["silent"], found["books"]["silent"]), both.writes())
    assert (
        "1 record changed without Memory announcing it.",
        "1 record changed without Memory announcing it.",
    ) == await notes(both)
    await both.done()
    assert ("silent", "+1 212 555 0102", 1) == (
        both.see(both.books, books).notes, both.see(both.books, books).phone, len(await both.conflicts()),
    )  # fmt: skip


async def test_what_the_feed_tells_is_no_finding(rig: Rig) -> None:
    """An edit that nobody had pulled yet is read first, in the usual way."""
    crm, _ = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="new")
    found = await verified(rig)
    assert ({"crm": 0, "books": 0}, ()) == ({side: one["silent"] for side, one in found.items()}, await notes(rig))
    assert crm in [row.ref for row in await rig.dirty()]


async def test_nothing_differs_nothing_is_dirty(rig: Rig) -> None:
    """And nothing is written."""
    await rig.linked("Acme", notes="old")
    writes = rig.writes()
    await verified(rig)
    assert ([], writes, ()) == (await rig.dirty(), rig.writes(), await notes(rig))


async def test_a_posted_invoice_that_changed_silently_is_found(rig: Rig) -> None:
    """Documents have no link; they are verified all the same."""
    won = rig.crm.add(deal(rig.crm.add(told("Acme"))))
    await rig.settled()
    rig.books.void(I, rig.one_invoice().ref)
    await silently(rig)
    found = await verified(rig)
    assert 1 == found["books"]["silent"]
    await rig.settled()
    assert "open" != rig.see(rig.crm, won, D).properties["invoice_status"]


# --------------------------------------------------------------------------- whose turn it is


async def test_longest_ago_comes_first_and_all_come_in_turn(both: Rig) -> None:
    """Ten records, four a day: after three days each was read, and none twice before its turn."""
    await both.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
    for number in range(5):
        both.crm.add(told(name(number)))
    await both.settled()
    read = []
    for _ in range(3):
        both.pass_time(DAY_S)
        found = await verified(both, records=4)
        read.append(sum(side["read"] for side in found.values()))
    async with both.db.read() as tx:
        at = await tx.rows(
            select(links.c.verified_at)
            .join(link_members, link_members.c.link_id == links.c.id)
            .where(links.c.kind == C.value)
        )
        seen = await tx.rows(select(mirror_table.c.ref).where(mirror_table.c.verified_at.is_(None)))
    assert ([4, 4, 4], [], []) == (read, seen, [row for row in at if row[0] is None])


async def test_once_a_day_for_each_pair(both: Rig) -> None:
    """The sweeper asks; not on the first day, and not again until a day later."""
    asked, queue = [], NoQueue()
    for day in range(4):
        for second in range(2):
            await sweep_once(both.db, queue, {}, 3.0 * (day + second))  # type: ignore[arg-type]  # nobody reads it
            asked.append(len(await _asked(both)))
        both.pass_time(DAY_S)
    assert [0, 0, 1, 1, 2, 2, 3, 3] == asked


async def _asked(rig: Rig) -> list[str]:
    async with rig.db.read() as tx:
        return [run.id for run in await runs.recent(tx, rig.pair.id) if (run.what, run.lane) == ("verify", "bulk")]


async def test_it_can_be_switched_off(rig: Rig) -> None:
    """None a day is none."""
    rig.pass_time(2 * DAY_S)
    async with rig.db.write() as tx:
        assert [] == await start_due_verifications(tx, 0)


def test_the_days_budget_is_kept() -> None:
    """At most a fiftieth of the calls that a vendor allows a day."""

    def facts(*rates: tuple[int, float]) -> Facts:
        kinds = {C: KindFacts(batch_read=10)}
        return Facts(system="x", title="X", sides=frozenset(), logins=(), kinds=kinds, rates=rates)

    assert [200, 200, 100, 0] == [
        affordable(200, facts()),
        affordable(200, facts((500, 60))),
        affordable(200, facts((500, 60), (500, DAY_S))),
        affordable(200, facts((40, DAY_S))),
    ]


# --------------------------------------------------------------------------- what is gone, or is not to be seen


@pytest.mark.parametrize("how", ["delete", "archive"])
async def test_gone_without_a_word_is_found_and_asked_about(both: Rig, how: str) -> None:
    """The tombstone is read by id."""
    crm, _ = await both.linked("Acme")
    getattr(both.crm, how)(C, crm)
    await silently(both)
    found = await verified(both)
    assert (1, ("1 record went without Memory announcing it.",)) == (found["crm"]["gone"], await notes(both))
    await both.preview()
    assert ("removed", 0) == ((await both.question()).what, both.plan.changes)


async def test_a_merge_without_a_word_moves_the_link(both: Rig) -> None:
    """To the survivor."""
    await both.pair_up(mapping(customers={"create": {"books": "never", "crm": "never"}}))
    crm, books = await both.linked("Acme")
    other = both.crm.add(told("Acme Holding"))
    await both.preview()
    both.crm.merge(C, crm, other)
    await silently(both)
    await verified(both)
    await both.settled()
    async with both.db.read() as tx:
        rows = await tx.rows(select(link_members.c.ref).where(link_members.c.side == "crm"))
    assert ([(other,)], "Acme Holding") == (rows, both.see(both.books, books).legal_name)


@pytest.mark.parametrize("first", ["read", "listed"])
async def test_not_to_be_seen_removes_nothing(both: Rig, first: str) -> None:
    """A vendor that tells of deletions does not show a record, and does not say that it is gone: permission, most
    likely. Read by id, listed anew, and listed anew again, nothing follows from it; shown again, the link goes on."""
    await both.pair_up(mapping(customers={"removed": {"crm": "deactivate", "books": "ask"}}))
    crm, books = await both.linked("Acme", notes="old")
    both.crm.hide(C, crm)
    both.pass_time(3600)
    found = await verified(both) if first == "read" else None
    for _ in range(3):
        async with both.db.write() as tx:
            await mirror.suspect(tx, both.pair.crm.id, C, [crm])  # the next listings are whole ones
        await both.preview()
        assert (0, []) == (both.plan.changes, await both.conflicts())
    assert found is None or (1, 0) == (found["crm"]["unseen"], found["crm"]["gone"])
    async with both.db.read() as tx:
        mine = (mirror_table.c.connection_id == both.pair.crm.id, mirror_table.c.ref == crm)
        held = await tx.scalar(select(mirror_table.c.gone).where(*mine))
    assert ("unreachable", "Acme") == (held, both.see(both.books, books).legal_name)
    both.crm.hide(C, crm, hidden=False)
    both.crm.edit(C, crm, notes="back")
    await both.settled()
    assert "back" == both.see(both.books, books).notes


async def test_without_tombstones_two_complete_listings_and_a_read_decide(opened: Open) -> None:
    """Missing once, by id or in a listing, is a suspicion."""
    async with opened(crm=Knobs(tombstones=False)) as rig:
        await rig.pair_up(mapping())
        crm, _ = await rig.linked("Acme")
        rig.crm.delete(C, crm)
        await silently(rig)
        found = await verified(rig)
        asked = []
        for _ in range(2):
            await rig.preview()
            asked.append([question.what for question in await rig.conflicts()])
    assert (1, [["removed"]]) == (found["crm"]["unseen"], asked[-1:])
    assert found["crm"]["gone"] == 0


async def test_what_two_listings_leave_out_and_a_read_shows_is_there(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that tells nothing of deletions, and whose listings forget a record: it is read by id before anybody
    calls it gone."""
    async with opened(crm=Knobs(tombstones=False)) as rig:
        await rig.pair_up(mapping())
        crm, _ = await rig.linked("Acme")
        listing = MemoryWorld.listing

        def forgetful(world: MemoryWorld, kind: Kind, after: int) -> Any:
            return [row for row in listing(world, kind, after) if world is rig.books or row.record.ref != crm]

        monkeypatch.setattr(MemoryWorld, "listing", forgetful)
        async with rig.db.write() as tx:
            await mirror.suspect(tx, rig.pair.crm.id, C, [crm])  # the next listings are whole ones
        for _ in range(3):
            await rig.preview()
            assert (0, []) == (rig.plan.changes, await rig.conflicts())
        async with rig.db.read() as tx:
            assert [crm] == list(await mirror.load(tx, rig.pair.crm.id, C, [crm]))


async def test_what_a_listing_that_broke_off_did_not_show_is_not_gone(opened: Open) -> None:
    """Five records, listings that fail after the first page, again and again: nobody is asked about the rest, and the
    side does not look empty."""
    from connectors.memory.faults import Fault

    async with opened(crm=Knobs(tombstones=False, page=2)) as rig:
        await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
        for number in range(5):
            rig.crm.add(told(name(number)))
        await rig.settled()
        async with rig.db.write() as tx:
            await mirror.suspect(tx, rig.pair.crm.id, C, [rig.crm.all(C)[-1].ref])  # the next listings are whole ones
        for _ in range(3):
            rig.crm.script.add(Fault(what="down", point="changes", kind=C, skip=1))
            run = await rig.run("preview", patience=1)
            assert run.state == "waiting"
            rig.pass_time(3600)
        missed = await _missed(rig)
        await rig.settled()
        assert (1, [], 5) == (missed, await rig.conflicts(), len(rig.names(rig.books)))


async def _missed(rig: Rig) -> int:
    async with rig.db.read() as tx:
        rows = await tx.rows(select(mirror_table.c.ref).where(mirror.unseen()))
    return len(rows)


# --------------------------------------------------------------------------- saboteurs


async def test_saboteur_absence_in_a_failed_listing_taken_for_deletion(opened: Open) -> None:
    """Were the part of a listing that came a whole one, what it did not show would be missed, and soon be gone."""
    async with opened(crm=Knobs(tombstones=False, page=2)) as rig:
        await rig.pair_up(mapping(customers={"create": {"books": "always", "crm": "never"}}))
        for number in range(5):
            rig.crm.add(told(name(number)))
        await rig.settled()
        connection_id = rig.pair.crm.id
        async with rig.db.write() as tx:
            scan = (await mirror._scan_numbers(tx, connection_id))[C.value]
            refs = [ref for ref in await mirror.all_refs(tx, connection_id) if ref[0] is C][:2]
            held = await mirror.load(tx, connection_id, C, [ref for _, ref in refs])
            await mirror.store_records(tx, connection_id, list(held.values()), [])
            await mirror._finish_scan(tx, connection_id, C, scan + 1)
        assert 3 == await _missed(rig)


async def test_saboteur_trusting_the_feed_never_finds_a_silent_edit(rig: Rig) -> None:
    """Pulls alone, as many as one likes, do not see it."""
    crm, books = await rig.linked("Acme", notes="old")
    rig.crm.edit(C, crm, notes="silent")
    await silently(rig)
    for _ in range(5):
        await rig.run("sync")
    assert ("old", []) == (rig.see(rig.books, books).notes, await rig.dirty())


async def test_saboteur_one_read_that_shows_nothing_taken_for_deletion(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that cannot be seen would be asked about as if somebody had removed it."""
    from connectors.kit.contract import Tombstone
    from worker.store import connections

    crm, _ = await rig.linked("Acme")
    rig.crm.hide(C, crm)
    rig.pass_time(3600)

    async def gone(tx: Any, connection_id: str, kind: Kind, refs: Any) -> None:
        listeners = await connections.listeners(tx, connection_id)
        await mirror.store_tombstones(tx, connection_id, [Tombstone(kind, ref, "deleted") for ref in refs], listeners)

    monkeypatch.setattr(mirror, "lose_sight", gone)
    await verified(rig)
    await rig.preview()
    assert "removed" == (await rig.question()).what
