"""A person is forgotten whole: after a life with Tieout, and once both systems have deleted them, no table and no file
of its folder holds a value of theirs, and the trail still holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, cast, select
from sqlalchemy.types import Text

from connectors.canon.records import Kind
from connectors.canon.values import Address
from connectors.memory.faults import Fault
from tests.flows.rig import Rig, deal, told
from worker.api import ChannelApi, Messages, Problem, Trail
from worker.store.tables import metadata, mirror

C, D, I = Kind.CUSTOMER, Kind.DEAL, Kind.INVOICE
NAME, MAIL = "Zebediah Quillfeather", "zeb.q@quillfeather.example"
PHONES = ("+12025550147", "+12025550158", "+12025550169")
STREET, NOTE = "14 Marrowbone Crescent", "pays late since the divorce"
PLANTED = ("quillfeather", "zeb.q@", "2025550147", "2025550158", "2025550169", "marrowbone", "divorce")


def trail(rig: Rig) -> Trail:
    return Trail(rig.api._house)


async def left_in_tables(rig: Rig) -> dict[str, list[str]]:
    """table.column -> which of the planted values still stand there; every column of every table."""
    found: dict[str, list[str]] = {}
    async with rig.db.read() as tx:
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, LargeBinary):
                    continue
                rows = await tx.rows(select(cast(column, Text)))
                text = "\n".join(str(row[0]) for row in rows).casefold()
                squeezed = "".join(char for char in text if char.isalnum() or char in "@.")
                hits = [word for word in PLANTED if word in text or word in squeezed]
                if hits:
                    found[f"{table.name}.{column.name}"] = hits
    return found


def left_in_files(folder: Path) -> dict[str, list[str]]:
    files = {path.name: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()}
    found = {name: [word for word in PLANTED if word.encode() in data] for name, data in files.items()}
    return {name: hits for name, hits in found.items() if hits}


async def lived(rig: Rig) -> tuple[str, str]:
    """Everything that Tieout does with a person: (crm ref, books ref)."""
    await ChannelApi(rig.api._house).bind(rig.pair.name, "C0FINANCE", "tests")
    said: dict[str, Any] = {
        "emails": {"general": MAIL},
        "addresses": {"billing": Address(lines=(STREET,), city="Salem", country="US")},
    }
    crm = rig.crm.add(told(NAME, phone=PHONES[0], **said))
    sold = rig.crm.add(deal(crm, name=f"Roof for {NAME}"))
    rig.crm.add(told(f"{NAME} Junior", phone="+12025550111"))
    await rig.preview()
    rig.books.script.add(Fault(what="refuse", kind=C, reason=f"the name {NAME.upper()} is taken"))
    await rig.apply()
    rig.crm.edit(C, crm, notes="not yet")
    await rig.settled()
    (books,) = [record.ref for record in rig.books.all(C)]
    rig.crm.edit(C, crm, phone=PHONES[1], notes=NOTE)
    rig.books.edit(C, books, phone=PHONES[2])
    await rig.done()
    await rig.settle("books")
    await rig.settled()
    rig.crm.edit(C, crm, phone=PHONES[0])
    run = await rig.done()
    await rig.run("reconcile", month="2026-11")
    back = await rig.run("undo", undoes=run.id)
    await rig.apply(await rig.api.plan(str(back.plan_id)))
    await said_in_slack(rig)
    assert sold
    return crm, books


async def said_in_slack(rig: Rig) -> None:
    """Letters that were delivered, one that Slack refused."""
    messages = Messages(rig.api._house)
    await messages.say(rig.pair.id, "C0FINANCE", "answer:1", "answer", {"user": "U1", "text": NAME.lower()})
    await messages.say(rig.pair.id, "C0FINANCE", "said:1", "plain", {"text": f"Ring {PHONES[0]} or write to {MAIL}"})
    for _ in range(60):
        for letter in await messages.next():
            if letter.message == "said:1":
                await messages.refused(letter.id, f"no room for {NAME}")
            else:
                await messages.sent(letter.id, "1.2")


async def gone(rig: Rig) -> None:
    """Both systems deleted the person and what was theirs; the next preview saw it."""
    for kind in (I, C):
        for record in rig.books.all(kind):
            rig.books.delete(kind, record.ref)
    for kind in (D, C):
        for record in rig.crm.all(kind):
            rig.crm.delete(kind, record.ref)
    await rig.preview()
    if rig.plan.changes + rig.plan.held:
        await rig.api.discard(rig.plan.id, "tests")


async def test_after_a_whole_life_nothing_of_the_person_is_left(rig: Rig, tmp_path: Path) -> None:
    crm, _ = await lived(rig)
    await gone(rig)
    before = await left_in_tables(rig)
    assert {"audit_values.value", "changes.fields", "changes.title", "conflicts.crm", "mirror.body", "bases.crm",
            "outbox.body", "outbox.error", "reports.body"} <= set(before)  # fmt: skip
    assert not {name for name in before if name.startswith("audit.")}
    erased = await trail(rig).erase(rig.pair.id, NAME, "alice")
    assert {} == await left_in_tables(rig)
    assert {} == left_in_files(tmp_path)
    assert (True, True, ()) == (erased.values > 5, erased.reports == 1, erased.named_in)
    assert [None] == [chain.reason for chain in await trail(rig).verify()]
    story = await trail(rig).story(rig.pair.id, f"crm:customer:{crm}")
    assert "record.erased" in {entry.action for entry in story.entries}


# --------------------------------------------------------------------------- shorter lives


async def short(rig: Rig) -> tuple[str, str, str]:
    """Linked, their number changed, a report made: (crm ref, books ref, the run that changed it)."""
    crm, books = await rig.linked(NAME, phone=PHONES[0], notes=NOTE)
    rig.crm.add(deal(crm, name="Roof"))
    await rig.done()
    rig.crm.edit(C, crm, phone=PHONES[1])
    run = await rig.done()
    await rig.run("reconcile", month="2026-11")
    return crm, books, run.id


async def test_what_a_system_still_shows_is_to_be_deleted_there_first(rig: Rig) -> None:
    """Both systems are named; one that only lost sight of it counts as showing it. Nothing is erased."""
    crm, books, _ = await short(rig)
    rig.books.hide(C, books)
    before = await left_in_tables(rig)
    with pytest.raises(Problem) as refused:
        await trail(rig).erase(rig.pair.id, NAME, "alice")
    assert [f"Memory (CRM) still shows customer {crm}", f"Memory (books) still shows customer {books}"] == list(
        refused.value.details
    )
    assert "--still-there" in str(refused.value.next_step)
    assert before == await left_in_tables(rig)


async def test_an_open_plan_that_writes_them_comes_first(rig: Rig) -> None:
    crm, books, _ = await short(rig)
    rig.crm.edit(C, crm, phone=PHONES[2])
    await rig.preview()
    with pytest.raises(Problem, match="An open plan writes this record"):
        await trail(rig).erase(rig.pair.id, f"books:customer:{books}", "alice", still_there=True)


async def test_one_that_has_to_stay_keeps_what_the_systems_show_and_nothing_else(rig: Rig) -> None:
    """Overwritten in both, as books ask for that keep who was billed. The next sync finds nothing to do, an undo
    no value to put back."""
    crm, books, run = await short(rig)
    for world, ref in ((rig.crm, crm), (rig.books, books)):
        world.edit(C, ref, legal_name="Former customer 7", phone=None, notes=None)
    await rig.settled()
    erased = await trail(rig).erase(rig.pair.id, f"crm:customer:{crm}", "alice", still_there=True)
    (posted,) = rig.books.all(I)
    assert (f"books:invoice:{posted.ref}",) == erased.named_in
    assert {"mirror.body": ["quillfeather"]} == await left_in_tables(rig)
    async with rig.db.read() as tx:
        bodies = [body for (body,) in await tx.rows(select(mirror.c.body).where(mirror.c.kind == C.value))]
    assert [True, True] == ["Former customer 7" in body for body in bodies]
    assert 0 == (await rig.preview()).changes
    back = await rig.run("undo", undoes=run)
    assert ("done", []) == (back.state, [c for c in await rig.api.changes(str(back.plan_id)) if c.kind == "customer"])
    assert [None] == [chain.reason for chain in await trail(rig).verify()]


async def test_others_that_name_them_are_told_and_left(rig: Rig) -> None:
    """A deal and an invoice that their systems still show: to be changed there, as far as the law lets them."""
    crm, books, _ = await short(rig)
    named = rig.crm.add(deal(rig.crm.add(told("Acme")), name=f"Roof, ask {NAME}", status="open"))
    for world, ref in ((rig.crm, crm), (rig.books, books)):
        world.delete(C, ref)
    await rig.preview()
    await rig.api.discard(rig.plan.id, "tests")
    erased = await trail(rig).erase(rig.pair.id, f"crm:customer:{crm}", "alice")
    (posted,) = rig.books.all(I)
    assert (f"books:invoice:{posted.ref}", f"crm:deal:{named}") == erased.named_in
    assert {"mirror.body"} == set(await left_in_tables(rig))


async def erased_short(rig: Rig, tmp_path: Path) -> set[str]:
    """Where a short life is left after it was erased."""
    crm, _, _ = await short(rig)
    await gone(rig)
    await trail(rig).erase(rig.pair.id, f"crm:customer:{crm}", "alice")
    return {*await left_in_tables(rig), *left_in_files(tmp_path)}


async def test_a_short_life_is_erased(rig: Rig, tmp_path: Path) -> None:
    """And what the systems tell afterwards does not bring it back."""
    assert set() == await erased_short(rig, tmp_path)
    await rig.preview()
    assert {} == await left_in_tables(rig)
