"""`/tieout audit` in a channel, and the head that stands with each report."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from io import BytesIO

import openpyxl
import pytest

from connectors.canon.records import Kind
from tests.flows.rig import Rig
from tests.flows.slack_bench import Bench, open_bench
from worker.api import Trail
from worker.store import audit


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def test_a_record_s_story_is_told_to_who_asked_alone(bench: Bench) -> None:
    crm, _ = await bench.rig.linked("Betatech", phone="+254 20 2710000")
    bench.rig.crm.edit(Kind.CUSTOMER, crm, phone="+254 20 2710001")
    shown = await bench.previewed()
    await bench.presses("Apply 1", shown)
    await bench.until("^Applied")
    await bench.types("audit betatech")
    said = await bench.until("phone: .254 20 2710000 -> .254 20 2710001", user="operator")
    assert "by @approver-1" in bench.text(said)
    assert bench.find("phone: .254 20 2710000 -> .254 20 2710001, entry", user="approver-2") is None


async def test_several_hits_are_asked_about_and_none_is_said(bench: Bench) -> None:
    await bench.rig.linked("Acme Ltd")
    await bench.rig.linked("Acme Scotland")
    await bench.types("audit acme")
    said = await bench.until("may be one of 2", user="operator")
    assert "crm:customer:" in bench.text(said)
    await bench.types("audit nobody at all")
    await bench.until("Nothing is called", user="operator")


async def test_a_story_s_file_comes_to_who_pressed_alone(bench: Bench) -> None:
    """In their direct messages with the bot, and nowhere in the channel; what a spreadsheet would run is text there."""
    crm, _ = await bench.rig.linked("Betatech", phone="+254 20 2710000", notes="old")
    bench.rig.crm.edit(Kind.CUSTOMER, crm, notes="=1+1")
    await bench.rig.done()
    async with bench.rig.db.write() as tx:
        said = audit.Entry(action="x", actor="t", subject=f"crm:customer:{crm}", why="=HYPERLINK(1)")
        await audit.append(tx, bench.rig.pair.id, [said])
    await bench.types("audit betatech")
    shown = await bench.until(r"\[Export CSV\]", user="operator")
    before = len(bench.seen())
    await bench.presses("Export CSV", shown, user="operator")
    await bench.until("comes in your messages with Tieout", user="operator")
    await bench.poll(lambda: bool(bench.slack.files))
    (file,) = bench.slack.files
    rows = list(csv.DictReader(io.StringIO((file.content or b"").decode())))
    (place,) = [bench.slack.world.channels[each] for each in file.channels]
    assert (f"audit-crm-customer-{crm}.csv", True, bench.user("operator")) == (file.name, place.is_im, place.im_user)
    assert ["link.matched", "customer.update", "x"] == [row["action"] for row in rows]
    assert ("'=HYPERLINK(1)", '{"notes":"=1+1"}') == (rows[2]["why"], rows[1]["after"])
    assert before == len(bench.seen())


async def test_a_workspace_that_gave_no_right_to_write_directly_is_told_how_to(bench: Bench) -> None:
    """The app was installed before the scope was asked for."""
    await bench.rig.linked("Betatech")
    bench.slack.app.scopes.discard("im:write")
    await bench.types("audit betatech")
    await bench.presses("Export CSV", await bench.until(r"\[Export CSV\]", user="operator"), user="operator")
    await bench.until("I may not write to you directly. An admin adds the scope im:write", user="operator")
    assert [] == bench.slack.files


async def test_the_head_is_posted_with_each_report(bench: Bench) -> None:
    """In the message and in the workbook; it is the one that `verify` takes."""
    await bench.rig.linked("Acme")
    await bench.types("reconcile 2026-10")
    said = await bench.until("Audit trail: entry ")
    await bench.quiet()
    head = bench.text(said).partition("Audit trail: entry ")[2].split()[0]
    book = openpyxl.load_workbook(BytesIO(bench.slack.files[-1].content or b""))
    rows = {str(row[0]): str(row[1]) for row in book["Summary"].iter_rows(max_col=2, values_only=True)}
    (chain,) = await Trail(bench.rig.api._house).verify(bench.rig.pair.id, [head])
    assert (f"entry {head}", None) == (rows["Audit trail"], chain.reason)
