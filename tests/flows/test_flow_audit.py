"""The audit trail told: who or what decided, when, why, from what to what; and that nobody can rewrite it unseen."""

from __future__ import annotations

import csv
import hashlib
import io

import msgspec
import pytest
from sqlalchemy import delete, select, update

from bot.terminal.tables import chains, story
from connectors.canon.records import Kind
from connectors.memory.faults import Fault
from tests.flows.rig import Rig, deal, mapping, told
from worker.api import Problem, Trail
from worker.api.views import StoryView, TrailView
from worker.store import audit
from worker.store.tables import audit as rows
from worker.store.tables import audit_heads, audit_values
from worker.store.tables import reports as report_rows
from worker.usecases import reconcile_period, verify_trail

C = Kind.CUSTOMER
OLD, NEW, OTHER = "+12025550100", "+12025550111", "+12025550122"


def trail(rig: Rig) -> Trail:
    return Trail(rig.api._house)


async def told_of(rig: Rig, record: str) -> StoryView:
    return await trail(rig).story(rig.pair.id, record)


def of(found: StoryView, action: str) -> TrailView:
    (entry,) = [entry for entry in found.entries if entry.action == action]
    return entry


# --------------------------------------------------------------------------- what is on record


async def test_an_applied_change_says_who_why_from_what_to_what_and_the_vendor_s_request(rig: Rig) -> None:
    crm, _ = await rig.linked("Acme", phone=OLD)
    rig.crm.edit(C, crm, phone=NEW)
    run = await rig.done()
    entry = of(await told_of(rig, "Acme"), "customer.update")
    assert ("tests", "tests", run.id, "phone: changed in the CRM") == (
        entry.actor, entry.approved_by, entry.run, entry.why,
    )  # fmt: skip
    assert [("phone", OLD, NEW)] == [(f.path, f.before, f.after) for f in entry.fields]
    assert "r2" == entry.request_id  # the vendor's second write: the first made the customer


async def test_a_link_made_by_matching_is_on_record_with_its_reason(rig: Rig) -> None:
    crm, books = await rig.linked("Acme")
    for name in (f"crm:customer:{crm}", f"books:customer:{books}"):
        entry = of(await told_of(rig, name), "link.matched")
        assert ("tieout", "same name", True) == (entry.actor, entry.why, entry.run is not None)


async def test_a_refusal_is_the_source_s_story_in_the_vendor_s_own_words(rig: Rig) -> None:
    crm = rig.crm.add(told("Acme"))
    rig.crm.add(deal(crm))
    await rig.preview()
    rig.books.script.add(Fault(what="refuse", kind=C, reason="the name is taken"))
    run = await rig.apply()
    found = await told_of(rig, "Acme")
    entry = of(found, "customer.refused")
    assert (f"crm:customer:{crm}", "the name is taken", run.id) == (entry.subject, entry.said, entry.run)
    assert "the name is taken" in story(found)


async def test_a_decision_says_what_stood_on_both_sides_and_what_was_chosen(rig: Rig) -> None:
    crm, books = await rig.linked("Acme", phone=OLD)
    rig.crm.edit(C, crm, phone=NEW)
    rig.books.edit(C, books, phone=OTHER)
    await rig.preview()
    await rig.settle("crm")
    found = await told_of(rig, "Acme")
    entry = of(found, "conflict.settled")
    assert ("tests", {"conflict": 1, "choice": "crm"}) == (entry.actor, entry.detail)
    assert {"crm": NEW, "books": OTHER, "value": NEW} == {f.path: f.before or f.after for f in entry.fields}
    assert "Question 1 about the phone answered: Memory (CRM)'s value, by tests" in story(found)


async def test_approvals_guards_mappings_accounts_and_discarded_plans_are_on_record(rig: Rig) -> None:
    """What is about no single record: in the export."""
    guarded = {"guards": {"changed_in_24_h": {"share": "1%", "at_least": 1}}}
    await rig.pair_up(mapping(head=guarded))
    refs = [(await rig.linked(f"Company {n}"))[0] for n in ("Alder", "Birch", "Cedar")]
    for ref in refs:
        rig.crm.edit(C, ref, notes="all at once")
    await rig.preview()
    await rig.api.discard(rig.plan.id, "tests")
    await rig.preview()
    assert 3 == rig.plan.held
    await rig.apply(confirm_held=True)
    await rig.api.connect("memory", {"world": rig.crm.name, "clock": "house"}, by="alice")
    said = {row["action"]: row for row in await exported(rig)}
    assert {"account.paired", "mapping.saved", "plan.proposed", "plan.approved", "plan.discarded"} <= set(said)
    guard = said["guard.confirmed"]
    assert ("tests", '{"changes":3}', True) == (guard["actor"], guard["detail"], len(guard["why"]) > 10)
    assert ("alice", "2") == (
        said["account.connected"]["actor"],
        str(msgspec.json.decode(said["mapping.saved"]["detail"])["version"]),
    )


async def test_a_merge_at_the_vendor_keeps_the_story_together(rig: Rig) -> None:
    """The survivor's story has what happened to the record that went into it."""
    gone, _ = await rig.linked("Acme", phone=OLD)
    rig.crm.edit(C, gone, phone=NEW)
    await rig.done()
    survivor = rig.crm.add(told("Acme Group", phone=NEW))
    rig.crm.merge(C, gone, survivor)
    await rig.preview()
    found = await told_of(rig, f"crm:customer:{survivor}")
    assert ["link.matched", "customer.update", "link.moved"] == [entry.action for entry in found.entries][:3]


# --------------------------------------------------------------------------- which record


async def test_a_record_is_found_by_name_number_or_address_and_several_are_asked_about(rig: Rig) -> None:
    acme, _ = await rig.linked("Acme Ltd")
    await rig.linked("Acme Ltd Scotland")
    rig.crm.add(deal(acme, name="Pumps"))
    await rig.settled()
    number = str(rig.one_invoice().number)
    for text, title in (("acme ltd", "Acme Ltd"), (f"#{number}", number), ("scotland", "Acme Ltd Scotland")):
        assert title == (await told_of(rig, text)).record.title
    deals = await told_of(rig, "Pumps")
    assert ["invoice.create", "deal.update"] == [entry.action for entry in deals.entries]
    with pytest.raises(Problem) as several:
        await told_of(rig, "acme")
    assert ('"acme" may be one of 2:', 2) == (several.value.message, len(several.value.details))
    for line in several.value.details:
        assert line.split()[0] == (await told_of(rig, line.split()[0])).record.address
    with pytest.raises(Problem, match="Nothing is called"):
        await told_of(rig, "Nobody & Sons")


# --------------------------------------------------------------------------- as a file, and a person forgotten


async def exported(rig: Rig) -> list[dict[str, str]]:
    parts: list[str] = []
    await trail(rig).export(rig.pair.id, parts.append)
    return list(csv.DictReader(io.StringIO("".join(parts))))


async def test_the_export_holds_every_entry_and_proves_its_own_chain(rig: Rig) -> None:
    crm, _ = await rig.linked("Acme", phone=OLD)
    rig.crm.edit(C, crm, phone=NEW)
    await rig.done()
    found = await exported(rig)
    previous = audit.GENESIS
    for row in found:
        assert previous == row["previous"]
        previous = hashlib.sha256(f"{previous}\n{row['entry']}".encode()).hexdigest()
        assert previous == row["hash"]
    assert ([*range(1, len(found) + 1)], {"phone": NEW}) == (
        [int(row["seq"]) for row in found],
        msgspec.json.decode(next(row["after"] for row in found if row["action"] == "customer.update")),
    )


async def test_what_a_spreadsheet_would_run_is_text(rig: Rig) -> None:
    async with rig.db.write() as tx:
        await audit.append(tx, rig.pair.id, [audit.Entry(action="x", actor="=1+1", subject="s", why="@SUM(A1)")])
    assert [("'=1+1", "'@SUM(A1)")] == [(r["actor"], r["why"]) for r in await exported(rig) if r["action"] == "x"]


async def test_the_export_is_written_page_by_page(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the whole trail in memory."""
    monkeypatch.setattr(audit, "PAGE", 7)
    async with rig.db.write() as tx:
        await audit.append(
            tx, rig.pair.id, [audit.Entry(action="x", actor="t", subject="s", after=n) for n in range(30)]
        )
    parts: list[str] = []
    number = await trail(rig).export(rig.pair.id, parts.append)
    assert (number, True) == (33, max(part.count("\n") for part in parts) <= 7)
    assert [None] == [chain.reason for chain in await trail(rig).verify()]


async def test_a_person_is_erased_the_chain_holds_and_the_erasure_is_on_record(rig: Rig) -> None:
    """From both sides' entries, once both deleted them, and from nobody else's."""
    crm, books = await rig.linked("Jane Doe", phone=OLD)
    other, _ = await rig.linked("Acme", phone=OTHER)
    rig.crm.edit(C, crm, phone=NEW)
    rig.crm.edit(C, other, notes="kept")
    await rig.done()
    for world, ref in ((rig.crm, crm), (rig.books, books)):
        world.delete(C, ref)
    erased = await trail(rig).erase(rig.pair.id, "jane doe", "alice")
    found = await told_of(rig, f"books:customer:{books}")
    kept = of(await told_of(rig, "Acme"), "customer.update")
    async with rig.db.read() as tx:
        left = [row[0] for row in await tx.rows(select(audit_values.c.value))]
    entry = of(found, "customer.update")
    assert ("Jane Doe", "alice") == (
        erased.record.title,
        of(await told_of(rig, f"crm:customer:{crm}"), "record.erased").actor,
    )
    assert (True, (), None) == (entry.erased, entry.fields, entry.why)
    assert [("notes", "kept")] == [(f.path, f.after) for f in kept.fields]
    assert not any(phone in str(value) for phone in (OLD, NEW) for value in left)
    assert [None] == [chain.reason for chain in await trail(rig).verify()]


# --------------------------------------------------------------------------- a trail that was rewritten


async def rewrite(rig: Rig, keep: int) -> None:
    """Cut the trail off after some entries and make the head agree: nothing inside the chain gives it away."""
    async with rig.db.write() as tx:
        await tx.run(delete(rows).where(rows.c.seq > keep))
        last = await tx.first(rows.select().where(rows.c.seq == keep))
        assert last is not None
        await tx.run(update(audit_heads).values(seq=keep, hash=last["hash"]))


async def reported(rig: Rig) -> str:
    """The head that a report of this month carries."""
    run = await rig.run("reconcile", month="2026-11")
    view = await rig.api.report(str(run.result["report_id"]))
    head: str = view.figures["header"]["trail"]
    assert (True, True) == (head in view.trail, view.trail_holds)
    return head


async def test_a_cut_off_trail_with_a_rewritten_head_is_found_by_a_report(rig: Rig) -> None:
    await rig.linked("Acme")
    await reported(rig)
    await rewrite(rig, 2)
    (chain,) = await trail(rig).verify()
    assert (3, True) == (chain.broken_at, "the report of 2026-11, version 1, knows an entry" in (chain.reason or ""))
    assert "the chain breaks at entry 3" in chains([chain])


async def test_saboteur_without_the_posted_heads_a_cut_off_trail_passes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the reports away too is found out by the head that stands in Slack, and only by that."""
    await rig.linked("Acme")
    head = await reported(rig)
    await rewrite(rig, 2)
    async with rig.db.write() as tx:
        await tx.run(delete(report_rows))
    assert [None] == [chain.reason for chain in await trail(rig).verify()]
    (chain,) = await trail(rig).verify(rig.pair.id, [head])
    assert (3, True) == (chain.broken_at, "the head that was given knows an entry" in (chain.reason or ""))
    assert head.partition(":")[0].isdigit()
    with pytest.raises(Problem, match="is no head"):
        await trail(rig).verify(rig.pair.id, ["17:abc"])


async def test_a_report_that_was_changed_or_taken_away_is_found(rig: Rig) -> None:
    await reported(rig)
    async with rig.db.write() as tx:
        body = await tx.scalar(report_rows.select().with_only_columns(report_rows.c.body))
        await tx.run(update(report_rows).values(body=str(body).replace('"zone"', '"zone" ')))
    (chain,) = await trail(rig).verify()
    assert True is (chain.reason or "").endswith("version 1, was changed after it was made")
    async with rig.db.write() as tx:
        await tx.run(delete(report_rows))
    (chain,) = await trail(rig).verify()
    assert True is (chain.reason or "").endswith("version 1, is gone")


async def test_a_report_says_that_the_trail_does_not_hold(rig: Rig) -> None:
    """In its first line, in its header, in the workbook's rows."""
    await rig.linked("Acme")
    async with rig.db.write() as tx:
        await tx.run(update(rows).where(rows.c.seq == 2).values(entry='{"action":"nothing"}'))
    run = await rig.run("reconcile", month="2026-11")
    view = await rig.api.report(str(run.result["report_id"]))
    assert (True, False) == (
        view.headline.endswith("The audit trail does not hold: entry 2 was changed (entry 2)."),
        view.trail_holds,
    )
    assert view.trail.startswith("DOES NOT HOLD: entry 2 was changed")


async def test_saboteur_a_report_that_does_not_look_says_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        return None

    monkeypatch.setattr(reconcile_period, "verify_trail", never)
    await rig.linked("Acme")
    async with rig.db.write() as tx:
        await tx.run(update(rows).where(rows.c.seq == 2).values(entry='{"action":"nothing"}'))
    run = await rig.run("reconcile", month="2026-11")
    assert (await rig.api.report(str(run.result["report_id"]))).trail_holds
    async with rig.db.read() as tx:
        assert await verify_trail.verify_trail(tx, rig.pair.id) is not None
