"""Tieout in a Slack channel, over HTTP: preview, apply, conflicts, schedules, reports, and what goes wrong."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator
from datetime import date
from io import BytesIO

import aiohttp
import openpyxl
import pytest

from bot import changes_file
from bot.sandbox import Fault, SlackSandbox
from bot.serve import running
from bot.settings import BotSettings
from connectors.canon.records import Customer, Kind
from connectors.memory.faults import Fault as VendorFault
from tests.flows.rig import Rig, deal, mapping
from tests.flows.slack_bench import ROOM, Bench, db_now, open_bench, settings_for, working
from worker.api import Problem, client
from worker.store import links, outbox
from worker.usecases.pull import pull_pair


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


async def phone_differs(bench: Bench) -> tuple[str, str]:
    """Betatech's phone was edited on both sides."""
    crm, books = await bench.rig.linked("Betatech", phone="+254 20 2710000")
    bench.rig.crm.edit(Kind.CUSTOMER, crm, phone="+254 20 2710001")
    bench.rig.books.edit(Kind.CUSTOMER, books, phone="+254 20 2711000")
    return crm, books


async def phone_changed(bench: Bench, name: str = "Betatech") -> tuple[str, str]:
    """One's phone was edited in the CRM."""
    crm, books = await bench.rig.linked(name, phone="+254 20 2710000")
    bench.rig.crm.edit(Kind.CUSTOMER, crm, phone="+254 20 2710001")
    return crm, books


# --------------------------------------------------------------------------- commands


async def test_preview_shows_the_plan_and_apply_carries_it_out_in_the_same_message(bench: Bench) -> None:
    """One message: progress, the table with its buttons, then the outcome in the past tense."""
    _, books = await phone_changed(bench)
    shown = await bench.previewed()
    assert "1 customer change." in bench.text(shown)
    assert "+254 20 2710000 -> +254 20 2710001" in bench.text(shown)
    await bench.presses("Apply 1", shown)
    done = await bench.until("^Applied   1 change made.")
    assert shown.ts == done.ts
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone
    assert "by @approver-1, 2026-11-10" in bench.text(done)


async def test_nothing_to_do_is_said_to_who_asked_alone(bench: Bench) -> None:
    """The channel hears nothing; the person reads what was compared."""
    await bench.rig.linked("Betatech")
    await bench.types("preview")
    await bench.until("^In step. 1 customer compared; last change seen 2026-11-10", user="operator")
    await bench.quiet()
    assert [] == bench.texts()


async def test_late_progress_does_not_hide_that_nothing_is_to_be_done(bench: Bench) -> None:
    """The run ends between the look and the letter about its progress: who asked still hears the end, once."""
    await bench.rig.linked("Betatech")
    await bench.types("preview")
    await bench.until("^In step.", user="operator")
    run = (await bench.bot.desk.api.history(bench.rig.pair.id))[0].run
    heard = len(bench.texts("operator"))
    async with bench.rig.db.read() as tx:
        channel = await outbox.knows(tx, f"run:{run.id}") or ""
    for what, body in (("run", {"run": run.id, "user": bench.user("operator")}), ("progress", {"run": run.id})):
        await bench.bot.desk.messages.say(bench.rig.pair.id, channel, f"run:{run.id}", what, body)
    await bench.quiet()
    assert (heard + 1, []) == (len(bench.texts("operator")), bench.texts())


async def test_a_preview_that_was_taken_away_stays_away(bench: Bench) -> None:
    """There was nothing in it: when the next one replaces it, nothing is said of it."""
    await bench.rig.linked("Betatech")
    for _ in range(3):
        await bench.types("preview")
        await bench.quiet()
    assert [] == bench.texts()


async def test_unknown_verb_gets_a_guess(bench: Bench) -> None:
    """The acknowledgement itself says what may have been meant."""
    await bench.types("recon", user="viewer")
    said = bench.texts("viewer")[-1]
    assert said == 'I don\'t know "recon". Did you mean /tieout reconcile? /tieout help lists everything.'


async def test_help_lists_the_commands(bench: Bench) -> None:
    """Every command with a word about it."""
    await bench.types("")
    assert "/tieout preview" in bench.texts("operator")[-1]


async def test_a_channel_without_a_pair_says_how_to_bind_one(bench: Bench) -> None:
    """Only an admin can; then the channel works."""
    await bench.types("preview", room="other")
    await bench.until("This channel has no pair yet. An admin binds one with /tieout pair acme", "operator", "other")
    await bench.types("pair acme", user="viewer", room="other")
    await bench.until("Only @admin may give a channel its pair", "viewer", "other")
    await bench.types("pair acme", user="admin", room="other")
    await bench.until("This channel is for acme now", "admin", "other")
    await bench.types("status", room="other")
    await bench.until("acme   0 customers linked", "operator", "other")


async def test_status_and_history_answer_who_asked(bench: Bench) -> None:
    """Both sides with what is known, and what was run."""
    await phone_changed(bench)
    await bench.previewed()
    await bench.types("status", user="viewer")
    assert "1 change in an open plan" in bench.text(await bench.until("acme   1 customer linked", "viewer"))
    await bench.types("history", user="viewer")
    assert "preview" in bench.text(await bench.until("The last", "viewer"))


# --------------------------------------------------------------------------- who may


async def test_apply_is_shown_to_all_and_refused_with_who_may(bench: Bench) -> None:
    """Nothing is written; the next person's press works."""
    _, books = await phone_changed(bench)
    shown = await bench.previewed()
    await bench.presses("Apply 1", shown, user="viewer")
    refused = await bench.until("Only @approver-1, @approver-2 or @admin may apply or discard a plan", "viewer")
    assert refused.only_for == bench.user("viewer")
    assert "+254 20 2710000" == bench.rig.see(bench.rig.books, books).phone
    await bench.presses("Apply 1", shown)
    await bench.until("^Applied")


async def test_a_double_click_applies_once(bench: Bench) -> None:
    """Two presses at the same time: one run; the other is told who was first."""
    await phone_changed(bench)
    shown = await bench.previewed()
    await asyncio.gather(bench.presses("Apply 1", shown), bench.presses("Apply 1", shown, user="approver-2"))
    await bench.until("^Applied")
    first = r"This plan is (being applied|applied) by @approver-[12]\."
    told = [bench.find(first, who) for who in ("approver-1", "approver-2")]
    assert 1 == sum(found is not None for found in told)
    history = await bench.bot.desk.api.history(bench.rig.pair.id)
    assert 1 == sum(each.run.what == "apply" for each in history)


async def test_a_plan_over_the_limit_needs_two(bench: Bench) -> None:
    """The first approver is noted and named, the second carries it out; one person pressing twice is one."""
    text = mapping(head={"guards": {"approvals": {"over": 1000, "currency": "USD", "approvers": 2}}})
    await bench.rig.pair_up(text)
    crm, _ = await bench.rig.linked("Nordwind")
    bench.rig.crm.add(deal(crm, "6120.00"))
    shown = await bench.previewed()
    assert "Needs 2 of @approver-1 or @approver-2 (over USD 1,000)" in bench.text(shown)
    await bench.presses("plan.apply", shown)
    await bench.until("Noted. It is carried out as soon as one more has agreed.", "approver-1")
    await bench.until("Agreed: @approver-1")
    await bench.presses("plan.apply", shown)
    await bench.quiet()
    assert [] == bench.rig.invoices()
    await bench.presses("plan.apply", shown, user="admin")
    await bench.until("Only @approver-1 or @approver-2 may approve a plan over its limit", "admin")
    await bench.presses("plan.apply", shown, user="approver-2")
    await bench.until("^Applied")
    assert "6120.00" == str(bench.rig.one_invoice().net)


async def test_who_changed_the_mapping_may_not_approve_what_it_lets_through(bench: Bench) -> None:
    """Where the mapping names itself under four_eyes."""
    accounts = {"crm": bench.rig.crm.name, "books": bench.rig.books.name}
    text = mapping(head={"four_eyes": ["mapping"]})
    await bench.rig.api.pair(text, "x", bench.user("approver-1"), accounts)
    await phone_changed(bench)
    shown = await bench.previewed()
    await bench.presses("Apply 1", shown)
    await bench.until("You saved the mapping that this plan follows", "approver-1")
    await bench.presses("Apply 1", shown, user="approver-2")
    await bench.until("^Applied")


# --------------------------------------------------------------------------- plans that are over


async def test_a_replaced_preview_loses_its_buttons_and_its_press_is_refused(bench: Bench) -> None:
    """The old message says so; a press that was on its way is told."""
    await phone_changed(bench)
    old = await bench.previewed()
    blocks = [dict(block) for block in old.blocks]
    new = await bench.previewed()
    assert new.ts != old.ts
    gone = await bench.until("Replaced by a newer preview.")
    assert gone.ts == old.ts
    old.blocks = blocks  # a screen that had not been redrawn
    await bench.presses("Apply 1", old)
    await bench.until("This plan is replaced by a newer preview", "approver-1")


async def test_discard_takes_the_buttons_away_and_the_change_comes_again(bench: Bench) -> None:
    """A discarded change is still there at the next preview."""
    await phone_changed(bench)
    shown = await bench.previewed()
    await bench.presses("Discard", shown)
    await bench.until("Discarded. What it would have changed comes again")
    again = await bench.previewed()
    assert "1 customer change." in bench.text(again)


async def test_a_part_is_chosen_in_a_modal(bench: Bench) -> None:
    """Customers without the invoices; none chosen is said under the boxes."""
    crm, books = await phone_changed(bench)
    bench.rig.crm.add(deal(crm, "100.00"))
    shown = await bench.previewed()
    assert "[Apply the 1 without money]" in bench.text(shown)
    await bench.presses("Choose...", shown)
    modal = await bench.becomes(lambda: bench.slack.modal("approver-1"))
    outcome = await bench.slack.submit("approver-1", modal, {"chosen": []})
    assert {"chosen"} == set(outcome.errors)
    await bench.slack.submit("approver-1", modal, {"chosen": ["books.customer.update"]})
    await bench.until("^Applied   1 change made; 1 not chosen.")
    assert [] == bench.rig.invoices()
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone


# --------------------------------------------------------------------------- conflicts


async def card(bench: Bench) -> tuple[str, str]:
    refs = await phone_differs(bench)
    await bench.types("preview")
    await bench.until(r"Betatech, phone: both sides changed[\s\S]*\[Keep Memory\]|\[Edit\.\.\.\]")
    await bench.quiet()
    return refs


async def test_a_conflict_is_settled_with_a_button_and_written_at_once(bench: Bench) -> None:
    """The card says who kept what and that it was written; the message above counts down."""
    _crm, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    needs = await bench.until("1 question needs a decision")
    assert shown.thread_ts == needs.ts
    await bench.presses("conflict.crm", shown)
    done = await bench.until(r"Betatech, phone: .*'s \+254 20 2710001 kept by @approver-1, 2026-11-10 .* Written to")
    assert done.ts == shown.ts
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone
    await bench.until("Nothing needs you.")


async def test_the_second_person_to_press_sees_who_was_first(bench: Bench) -> None:
    """Only the first answer counts."""
    _, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    blocks = [dict(block) for block in shown.blocks]
    await bench.presses("conflict.crm", shown)
    await bench.until("Written to")
    shown.blocks = blocks
    await bench.presses("conflict.books", shown, user="approver-2")
    await bench.until("@approver-1 was first: Betatech, phone is settled", "approver-2")
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone


async def test_a_value_that_changed_since_is_shown_again(bench: Bench) -> None:
    """The card shows the value of now; nothing is written."""
    _crm, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    bench.rig.books.edit(Kind.CUSTOMER, books, phone="+254 20 2717777")
    await pull_pair(await bench.rig.desk())
    await bench.presses("conflict.crm", shown)
    await bench.until("a value changed since this was asked", "approver-1")
    again = await bench.until(r"it changed since it was asked[\s\S]*2717777")
    assert again.ts == shown.ts
    assert "+254 20 2717777" == bench.rig.see(bench.rig.books, books).phone


async def test_a_press_on_a_card_that_was_not_redrawn_yet_is_not_taken(bench: Bench) -> None:
    """The answer belongs to the values that were on the screen, not to those of now."""
    _, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    blocks = [dict(block) for block in shown.blocks]
    bench.rig.books.edit(Kind.CUSTOMER, books, phone="+254 20 2717777")
    await pull_pair(await bench.rig.desk())
    await bench.presses("conflict.crm", shown)
    await bench.until("it changed since it was asked")
    shown.blocks = blocks  # an old screen
    await bench.presses("conflict.crm", shown, user="approver-2")
    await bench.until("a value changed since this was asked", "approver-2")
    await bench.quiet()
    number = (await bench.rig.question()).number
    await bench.types("preview")
    await bench.quiet()
    assert number == (await bench.rig.question()).number
    assert "+254 20 2717777" == bench.rig.see(bench.rig.books, books).phone


async def test_edit_writes_a_value_of_ones_own_to_both_sides(bench: Bench) -> None:
    """The modal shows both values; what is typed goes to both."""
    crm, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    await bench.presses("Edit...", shown)
    modal = await bench.becomes(lambda: bench.slack.modal("approver-1"))
    assert "+254 20 2711000" in bench.text(modal)
    await bench.slack.submit("approver-1", modal, {"typed": "+254 20 2719999"})
    await bench.until("a value of their own set by @approver-1.* Written to both sides")
    phones = {bench.rig.see(bench.rig.crm, crm).phone, bench.rig.see(bench.rig.books, books).phone}
    assert {"+254 20 2719999"} == phones


async def test_later_leaves_it_open_and_says_who(bench: Bench) -> None:
    """The buttons stay."""
    await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    await bench.presses("Later", shown)
    left = await bench.until("Left for later by @approver-1, 2026-11-10")
    assert "[Edit...]" in bench.text(left)


async def test_always_prefer_changes_the_mapping_and_is_for_admins(bench: Bench) -> None:
    """The next conflict of the field is decided by the rule."""
    crm, books = await card(bench)
    shown = await bench.until("Betatech, phone: both sides changed")
    element = next(e for b in shown.blocks if b["type"] == "actions" for e in b["elements"] if e["type"] == "overflow")
    option = element["options"][0]["value"]
    await bench.presses("conflict.more", shown, pick=option)
    await bench.until("Only @admin may change the mapping", "approver-1")
    await bench.presses("conflict.more", shown, user="admin", pick=option)
    await bench.until("kept by @admin.* Written to")
    await bench.quiet()
    bench.rig.crm.edit(Kind.CUSTOMER, crm, phone="+254 20 2718881")
    bench.rig.books.edit(Kind.CUSTOMER, books, phone="+254 20 2718882")
    shown = await bench.previewed()
    assert "+254 20 2718882 -> +254 20 2718881" in bench.text(shown)
    assert [] == await bench.rig.conflicts()


async def test_money_and_identity_are_never_always_preferred(bench: Bench) -> None:
    """The menu is not offered for a legal name."""
    text = mapping(
        customers={"fields": [{"crm": "name", "books": "legal_name", "authority": "ask"}], "match": ["email"]}
    )
    await bench.rig.pair_up(text)
    crm, books = await bench.rig.linked("Betatech", emails={"general": "a@example.test"})
    bench.rig.crm.edit(Kind.CUSTOMER, crm, legal_name="Beta One")
    bench.rig.books.edit(Kind.CUSTOMER, books, legal_name="Beta Two")
    await bench.types("preview")
    shown = await bench.until("legal name: both sides changed")
    assert "Always prefer" not in bench.text(shown)


async def test_conflicts_lists_cards_whose_buttons_work(bench: Bench) -> None:
    """The list is one's own; it is redrawn after a press."""
    _, books = await card(bench)
    await bench.types("conflicts", user="approver-2")
    mine = await bench.becomes(
        lambda: next((m for m in bench.seen("approver-2") if m.only_for and "Betatech" in bench.text(m)), None)
    )
    action = next(e for b in mine.blocks if b["type"] == "actions" for e in b["elements"])["action_id"]
    await bench.presses(action, mine, user="approver-2")
    await bench.until("kept by @approver-2.* Written to")
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone


async def test_an_unsure_match_is_settled_with_a_button(bench: Bench) -> None:
    """The candidate, how alike, and why; Same links the two, so that the field that differs is asked about next."""
    crm = bench.rig.crm.add(Customer(legal_name="Nordwind GmbH", phone="+49 30 1234567"))
    bench.rig.books.add(Customer(legal_name="Nordwind Handels GmbH", phone="+49 30 1234567"))
    await bench.types("preview")
    shown = await bench.until(r"60% alike: name 69% alike, same phone")
    await bench.presses("Same as Nordwind Handels GmbH", shown)
    await bench.until("Nordwind GmbH: said to be the same by @approver-1")
    await bench.quiet()
    async with bench.rig.db.read() as tx:
        found = await links.find_links(tx, bench.rig.pair.id, [("crm", Kind.CUSTOMER, crm)])
    assert 1 == len(found)


# --------------------------------------------------------------------------- schedules


async def test_a_schedule_is_set_in_words_listed_paused_and_removed(bench: Bench) -> None:
    """Each change is said in the channel; the list has buttons."""
    await bench.types("schedule sync every weekday at 9", user="viewer")
    await bench.until("Only .* may change the schedule", "viewer")
    await bench.types("schedule sync every weekday at 9", user="approver-1")
    await bench.until("Schedule set: sync weekdays at 09:00. Next: 2026-11-11 09:00 New York")
    await bench.types("schedule", user="approver-1")
    listed = await bench.until(r"1\. sync weekdays at 09:00", "approver-1")
    await bench.presses("Pause", listed)
    await bench.until("Schedule paused: sync weekdays at 09:00.")
    await bench.types("schedule change 1 to every day at 7:30pm", user="approver-1")
    await bench.until("Schedule changed: sync every day at 19:30.")
    await bench.types("schedule remove 1", user="approver-1")
    await bench.until("Schedule removed: sync every day at 19:30.")
    await bench.types("schedule", user="approver-1")
    await bench.until("Nothing is scheduled.", "approver-1")


async def test_words_that_say_no_time_get_an_example(bench: Bench) -> None:
    """What was written, and how to write it."""
    await bench.types("schedule sync sometimes", user="approver-1")
    await bench.until('"sometimes" says no time. Write it like every 15 minutes', "approver-1")


async def test_a_schedule_wakes_once_and_says_only_what_happened(bench: Bench) -> None:
    """A due sync runs once; with nothing to do the channel hears nothing, with something it does."""
    await bench.types("schedule preview every 30 minutes", user="approver-1")
    await bench.until("Schedule set")
    await phone_changed(bench)
    await bench.quiet()
    bench.rig.pass_time(31 * 60)
    await bench.until(r"^Preview   1 customer change.")
    await bench.quiet()
    history = await bench.bot.desk.api.history(bench.rig.pair.id)
    assert 1 == sum(each.run.requested_by == "schedule: every 30 minutes" for each in history)


async def test_a_scheduled_run_that_keeps_failing_says_so_once_a_day(bench: Bench) -> None:
    """The same cause edits the same message."""
    await bench.types("schedule preview every 30 minutes", user="approver-1")
    await bench.until("Schedule set")
    bench.rig.books.script.add(VendorFault(what="forbidden", point="changes", times=3))
    for left in (2, 1, 0):
        bench.rig.pass_time(31 * 60)
        await bench.poll(lambda left=left: bench.refusals_left() == left)  # type: ignore[misc]  # bound at once
        await bench.until("^Preview stopped")
        await bench.quiet()
    assert 1 == len([m for m in bench.seen() if "Preview stopped" in bench.text(m)])


async def test_the_digest_is_said_in_the_channel(bench: Bench) -> None:
    """How things stand, at the time that was set."""
    await bench.types("schedule digest every 60 minutes", user="approver-1")
    await bench.until("Schedule set: digest every hour")
    bench.rig.pass_time(61 * 60)
    await bench.until("^Digest   acme: 0 customers linked")


# --------------------------------------------------------------------------- reports


async def test_reconcile_brings_bridge_chart_and_workbook(bench: Bench) -> None:
    """The headline first; Slack's own chart; the workbook in the thread; a button that opens a plan."""
    crm, _ = await bench.rig.linked("Nordwind")
    bench.rig.crm.add(deal(crm, "240.00", won_on=date(2026, 11, 3)))
    await bench.types("reconcile 2026-11")
    shown = await bench.until("^November 2026")
    assert "data_visualization" in [block["type"] for block in shown.blocks]
    assert "won, net" in bench.text(shown)
    file = await bench.becomes(lambda: next(iter(bench.slack.files), None))
    assert "reconciliation-2026-11-v1.xlsx" == file.name
    assert "Summary" in openpyxl.load_workbook(BytesIO(file.content or b"")).sheetnames
    await bench.quiet()
    assert "[Plan the invoices]" in bench.text(shown)
    await bench.presses("Plan the invoices", shown, user="viewer")
    await bench.until(r"^Preview   1 invoice, USD 240.00 net")
    await bench.presses("Plan the invoices", shown, user="operator")
    await bench.until("@viewer pressed this already", "operator")


async def test_a_month_that_is_none_is_said_at_once(bench: Bench) -> None:
    """In the acknowledgement."""
    await bench.types("reconcile smarch")
    assert '"smarch" is no month.' in bench.texts("operator")[-1]


# --------------------------------------------------------------------------- Slack in trouble


async def test_a_lost_answer_is_looked_up_and_not_posted_again(bench: Bench) -> None:
    """Slack took the message, the connection broke: it is found by its metadata and edited."""
    await phone_changed(bench)
    bench.slack.faults.add(Fault(how="lose_answer", method="chat.postMessage"))
    shown = await bench.previewed()
    assert [shown.ts] == [m.ts for m in bench.seen() if "Preview" in bench.text(m)]


async def test_saboteur_without_the_look_up_it_would_be_posted_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above sees the second message."""

    async def blind(*_: object) -> None:
        return None

    monkeypatch.setattr(bench.bot.desk.sender, "_look_up", blind)
    await phone_changed(bench)
    bench.slack.faults.add(Fault(how="lose_answer", method="chat.postMessage"))
    await bench.previewed()
    assert 2 == len([m for m in bench.seen() if "Preview" in bench.text(m)])


async def test_500_and_429_come_again_later(bench: Bench) -> None:
    """Nothing is lost, in order."""
    await phone_changed(bench)
    bench.slack.faults.add(
        Fault(how="status", method="chat.postMessage", code=500),
        Fault(how="status", method="chat.postMessage", code=429, wait_s=1),
    )
    await bench.types("preview")
    for _ in range(4):
        await asyncio.sleep(0.4)
        bench.rig.pass_time(5)
    shown = await bench.until(r"^Preview   1 customer change.")
    await bench.quiet()
    assert 1 == sum(m.ts == shown.ts for m in bench.seen())


async def test_a_refused_message_is_set_aside_and_blocks_nothing(bench: Bench) -> None:
    """The next one arrives."""
    bench.slack.faults.add(Fault(how="error", method="chat.postMessage", error="restricted_action"))
    await phone_changed(bench)
    await bench.types("schedule digest every hour", user="approver-1")
    await bench.poll(lambda: bench.bot.desk.sender.figures.refused == 1)
    shown = await bench.previewed()
    assert "1 customer change." in bench.text(shown)
    assert {"refused": 1} == await bench.messages_api.counts()


async def test_blocks_that_slack_does_not_take_are_said_as_text(bench: Bench) -> None:
    """Folded, never refused."""
    await phone_changed(bench)
    bench.slack.faults.add(Fault(how="error", method="chat.postMessage", error="invalid_blocks"))
    await bench.types("preview")
    await bench.until("Preview: ")
    await bench.quiet()
    assert 1 == len([m for m in bench.seen() if not m.is_reply])


async def test_not_in_the_channel_is_said_to_who_asked(bench: Bench) -> None:
    """With what to type."""
    await bench.types("preview", room="private")
    await bench.until("This channel has no pair yet", "operator", "private")
    await bench.types("pair acme", user="admin", room="private")
    await bench.until("I am not in this channel. Type /invite @Tieout, then try again.", "admin", "private")
    bench.slack.remove_bot(ROOM)
    bench.slack.app.scopes.discard("chat:write.public")
    await phone_changed(bench)
    await bench.types("preview")
    await bench.until("I am not in this channel, so I cannot post here. Type /invite @Tieout", "operator")


async def test_buttons_survive_a_restart(bench: Bench) -> None:
    """Another bot process opens what the first one sealed, and the sender goes on."""
    _, books = await phone_changed(bench)
    shown = await bench.previewed()
    async with running(bench.rig.api._house, settings_for(bench.slack), db_now(bench.rig)) as second:
        bench.slack.app.request_url = second.events_url
        await bench.presses("Apply 1", shown)
        await bench.until("^Applied")
    assert "+254 20 2710001" == bench.rig.see(bench.rig.books, books).phone


async def test_bad_signatures_and_old_timestamps_get_401(bench: Bench) -> None:
    """Whatever the header says, and nothing happens."""
    url = bench.bot.events_url
    async with aiohttp.ClientSession() as session:
        for stamp in ("1", "not a number", "", "9999999999"):
            headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=00"}
            async with session.post(url, data={"command": "/tieout", "text": "sync"}, headers=headers) as answer:
                assert 401 == answer.status
        async with session.get(f"{bench.bot.url}/healthz") as answer:
            assert 200 == answer.status
        async with session.get(f"{bench.bot.url}/readyz") as answer:
            assert 200 == answer.status
        async with session.get(f"{bench.bot.url}/metrics") as answer:
            assert 'tieout_slack_requests_total{status="401"} 4.0' in await answer.text()


async def test_a_forged_button_is_refused_in_words(bench: Bench) -> None:
    """Its signature does not fit."""
    await phone_changed(bench)
    shown = await bench.previewed()
    element = next(e for b in shown.blocks if b["type"] == "actions" for e in b["elements"])
    element["value"] = element["value"][:-4] + "AAAA"
    await bench.presses("Apply 1", shown)
    await bench.until("This button was not made by this Tieout.", "approver-1")


async def test_an_old_button_says_so(bench: Bench) -> None:
    """A plan's buttons are good for as long as the plan."""
    await phone_changed(bench)
    shown = await bench.previewed()
    bench.rig.pass_time(25 * 3600)
    await bench.presses("Apply 1", shown)
    await bench.until("This button is too old to be pressed.", "approver-1")


async def test_a_run_that_fails_says_why_and_can_be_tried_again(bench: Bench) -> None:
    """What happened, what to do next, and a button that starts the same again, once."""
    await phone_changed(bench)
    bench.rig.books.script.add(VendorFault(what="forbidden", point="changes"))
    await bench.types("preview")
    shown = await bench.until("^Preview stopped")
    await bench.presses("Try again", shown, user="viewer")
    await bench.until("^Preview   1 customer change.")
    await bench.presses("Try again", shown, user="operator")
    await bench.until("@viewer pressed this already", "operator")


async def test_a_run_that_waits_says_for_what(bench: Bench) -> None:
    """It goes on by itself, in the same message."""
    await phone_changed(bench)
    bench.rig.books.script.add(VendorFault(what="throttle", point="changes", wait_s=600))
    await bench.types("preview")
    waits = await bench.until("^Preview waits")
    bench.rig.pass_time(601)
    shown = await bench.until("^Preview   1 customer change.")
    assert waits.ts == shown.ts


async def test_a_long_plan_is_folded_and_attached_in_full(bench: Bench) -> None:
    """Forty changes: eight rows, the rest as a workbook in the thread."""
    refs = [await bench.rig.linked(f"Customer {n}", phone="+254 20 2710000") for n in range(12)]
    for n, (crm, _) in enumerate(refs):
        bench.rig.crm.edit(Kind.CUSTOMER, crm, phone=f"+254 20 27101{n:02d}")
    shown = await bench.previewed()
    assert "8 of 12; all of them are in the thread." in bench.text(shown)
    file = await bench.becomes(lambda: next(iter(bench.slack.files), None))
    sheet = openpyxl.load_workbook(BytesIO(file.content or b"")).active
    assert sheet is not None
    assert 13 == sheet.max_row


async def test_a_plan_too_long_for_a_workbook_is_attached_as_csv(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few changes at a time, all of them, in order; the file's name and the line with it say what it is."""
    monkeypatch.setattr(changes_file, "WORKBOOK_CHANGES", 11)
    monkeypatch.setattr(client, "PAGE", 5)
    refs = [await bench.rig.linked(f"Customer {n}", phone="+254 20 2710000") for n in range(12)]
    for n, (crm, _) in enumerate(refs):
        bench.rig.crm.edit(Kind.CUSTOMER, crm, phone=f"+254 20 27101{n:02d}")
    await bench.previewed()
    file = await bench.becomes(lambda: next(iter(bench.slack.files), None))
    rows = list(csv.DictReader((file.content or b"").decode().splitlines()))
    plan = await bench.rig.api.current_plan(bench.rig.pair.id)
    assert plan is not None and 12 == plan.changes
    numbers = [f"'{change.fields[0].after}" for change in await bench.rig.api.changes(plan.id)]
    assert (numbers, True) == ([row["After"] for row in rows], file.name.endswith(".csv"))
    await bench.until("All 12 changes of the plan, as CSV: a workbook takes 11 at most.")


async def test_on_both_databases(both: Rig) -> None:
    """Preview, apply, conflict, settle, replaced preview: the same on PostgreSQL."""
    async with open_bench(both) as bench:
        _, books = await card(bench)
        shown = await bench.until("Betatech, phone: both sides changed")
        await bench.presses("conflict.crm", shown)
        await bench.until("Written to")
        assert "+254 20 2710001" == both.see(both.books, books).phone
        await phone_changed(bench, "Nordwind")
        first = await bench.previewed()
        await bench.previewed()
        replaced = await bench.until("Replaced by a newer preview.")
        assert first.ts == replaced.ts


async def test_socket_mode_needs_no_address(rig: Rig) -> None:
    """Commands and buttons come over the socket; acknowledgements go back over it."""
    async with SlackSandbox(limits=False) as slack:
        settings = settings_for(slack).model_copy(update={"app_token": slack.app.app_token, "signing_secret": None})
        async with running(rig.api._house, settings, db_now(rig)) as bot, working(rig):
            await bot.desk.api.bind(rig.pair.name, slack.world.channel(ROOM).id, "tests")
            bench = Bench(rig, slack, bot)
            _, books = await phone_changed(bench)
            shown = await bench.previewed()
            await bench.presses("Apply 1", shown)
            await bench.until("^Applied")
            assert "+254 20 2710001" == rig.see(rig.books, books).phone
            async with aiohttp.ClientSession() as session, session.post(bot.events_url) as answer:
                assert 404 == answer.status


async def test_what_is_missing_is_said_before_anything_starts(rig: Rig) -> None:
    """No token, or no way for Slack to reach the bot."""
    for settings, says in (
        (BotSettings(bot_token=None, signing_secret="s"), "There is no Slack token."),
        (BotSettings(bot_token="xoxb-1"), "Slack cannot reach this bot."),
    ):
        with pytest.raises(Problem, match=says):
            async with running(rig.api._house, settings):
                pass


async def test_a_store_that_is_gone_for_a_while_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender goes on when it is back; who types meanwhile reads what to do."""
    await phone_changed(bench)

    async def gone(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(bench.bot.desk.messages, "next", gone)
        patched.setattr(bench.bot.desk.api, "pair_of", gone)
        await bench.types("preview", user="viewer")
        await bench.until("The database cannot be reached at the moment. Nothing was lost", "viewer")
    shown = await bench.previewed()
    assert "1 customer change." in bench.text(shown)
