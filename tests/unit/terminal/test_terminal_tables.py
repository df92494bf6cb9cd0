"""Views become words: the first line is enough, money comes first, nothing is hidden."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from terminal_views import NOON, PAIR, change, conflict, invoice, plan, run

from bot.terminal import tables
from bot.terminal.runs import Standstill, ended, how_it_ended, needs_a_person, report
from bot.terminal.screen import Exit
from bot.terminal.words import moment, value
from worker.api import views


def test_the_first_line_says_money_changes_questions_and_what_is_held_back() -> None:
    """It is the line that somebody reads on a phone."""
    shown = plan(
        counts={"books.invoice.create": 3, "books.customer.create": 2, "crm.customer.update": 6},
        documents=3,
        net={"USD": Decimal("18240.00")},
        tax={"USD": Decimal("0.00")},
        conflicts=2,
        waiting={"deal.po_number is missing": 1},
    )
    expected = (
        "3 invoices, USD 18,240.00 net (+ tax 0.00), to post in QuickBooks. 8 customer changes. "
        "2 questions need you. 1 held back."
    )
    assert expected == tables.essence(shown, PAIR)


def test_two_currencies_are_never_added() -> None:
    shown = plan(
        counts={"books.invoice.create": 2},
        documents=2,
        net={"USD": Decimal("100.00"), "EUR": Decimal("50.00")},
        tax={"USD": Decimal("8.00"), "EUR": Decimal("0.00")},
    )
    expected = "2 invoices, EUR 50.00 net (+ tax 0.00) and USD 100.00 net (+ tax 8.00), to post in QuickBooks."
    assert expected == tables.essence(shown, PAIR)


def test_money_has_its_currency_s_own_places() -> None:
    shown = plan(counts={"books.invoice.create": 1}, documents=1, net={"JPY": Decimal(1200)}, tax={"JPY": Decimal(0)})
    assert "1 invoice, JPY 1,200 net (+ tax 0), to post in QuickBooks." == tables.essence(shown, PAIR)


def test_nothing_to_do_is_one_sentence() -> None:
    assert "In step: nothing to change." == tables.essence(plan(), PAIR)


def test_a_voided_invoice_is_not_said_to_be_posted() -> None:
    assert "1 invoice to void in QuickBooks." == tables.essence(plan(counts={"books.invoice.void": 1}), PAIR)


def test_money_stands_first_in_a_preview_and_what_is_held_last() -> None:
    held = change(title="Cancity", state="held", reason="guard: too many")
    text = tables.preview(plan(held, change(), invoice("6120.00"), held=1, changes=2), PAIR)
    rows = [line.split()[1] for line in text.splitlines() if line.startswith("  QuickBooks")]
    assert ["invoice", "phone", "phone"] == rows
    assert "on hold: guard: too many" in text
    assert "tieout sync --confirm-held" in text


def test_a_preview_names_both_accounts_and_the_moment_with_year_and_zone() -> None:
    second = tables.preview(plan(invoice("1.00")), PAIR).splitlines()[1]
    assert "Acme Sales (HubSpot) and Acme Inc. (QuickBooks)     2026-11-23 09:04 New York" == second


def test_a_long_preview_shows_twenty_changes_and_says_how_many_there_are() -> None:
    many = plan(*(invoice("1.00", title=f"deal {n}") for n in range(31)))
    text = tables.preview(many, PAIR)
    assert (20, True) == (text.count("  QuickBooks"), "(20 of 31; --all shows everything)" in text)
    assert 31 == tables.preview(many, PAIR, everything=True).count("  QuickBooks")


def test_an_overwritten_edit_is_shown_before_it_is_lost() -> None:
    field = views.FieldView(path="legal_name", before="B", after="A", overwrites="B")
    text = tables.preview(plan(change(fields=(field,), why="legal_name: changed in the CRM")), PAIR)
    assert "  QuickBooks  name  Betatech  B -> A  changed in the CRM; overwrites B" == text.splitlines()[-1]


def test_empty_and_zero_and_not_told_look_different() -> None:
    """Saboteur: one word for all three hides a value that would be erased."""
    said = [value(None), value("0.00"), value({"absent": True}), value(0)]
    assert ["(empty)", "0.00", "(not told)", "0"] == said

    def merged(data: object) -> str:
        return str(data or "(empty)")

    assert len({merged(None), merged(0)}) < len({value(None), value(0)})


def test_values_read_as_people_write_them() -> None:
    address = {"lines": ["12 Mill Road"], "city": "Albany", "region": None, "postcode": "12207"}
    assert "12 Mill Road, Albany, 12207" == value(address)
    assert "Net 30" == value({"name": "Net 30", "ref": "3", "net_days": 30})
    assert "USD 1,200.00" == value({"amount": "1200", "currency": "USD"})


# ------------------------------------------------------------------ what was done


def test_the_outcome_is_in_the_past_tense_with_its_money() -> None:
    done = [invoice("6120.00", state="done"), invoice("240.00", state="done"), change(state="done")]
    expected = "2 invoices (USD 6,360.00 net) posted in QuickBooks. 1 customer changed in QuickBooks."
    assert expected == tables.outcome(done)


def test_what_was_not_done_is_said_with_its_reason() -> None:
    text = tables.outcome([invoice("5.00", state="rejected", reason='account "Sales - EU" does not exist')])
    assert "Nothing was written." == text.splitlines()[0]
    assert '1 refused:\n  QuickBooks  invoice  Q4 pumps  account "Sales - EU" does not exist' in text


@pytest.mark.parametrize("state", ["rejected", "stale", "held", "unknown", "intended", "planned", "discarded"])
def test_no_state_is_left_out_of_the_outcome(state: str) -> None:
    """Saboteur: an outcome that only counts what was done says nothing of this change."""
    text = tables.outcome([change(state=state, reason="because")])
    assert ("Betatech" in text, "because" in text) == (True, True)
    assert "Betatech" not in tables.outcome([])


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("done", Exit.DONE),
        ("rejected", Exit.FAILED),
        ("held", Exit.PERSON),
        ("stale", Exit.PERSON),
        ("unknown", Exit.PERSON),
    ],
)
def test_scripts_learn_how_a_sync_ended(state: str, expected: Exit) -> None:
    assert expected == how_it_ended(run(), [change(state="done"), change(state=state)], [])


def test_an_open_question_is_not_done() -> None:
    assert Exit.PERSON == how_it_ended(run(), [change(state="done")], [conflict()])


def test_a_run_that_waits_says_what_was_done_and_how_it_goes_on() -> None:
    waits = run("waiting", error="QuickBooks is busy")
    text = report(waits, [change(state="done"), invoice("7.00", state="planned")], [], PAIR)
    assert Exit.LATER == how_it_ended(waits, [change(state="done")], [])
    assert text.startswith("1 customer changed in QuickBooks.\n1 still to do:")
    assert "The apply waits: QuickBooks is busy." in text
    assert "It goes on by itself while tieout worker or tieout run is running" in text


def test_a_failed_run_says_what_to_do_next() -> None:
    failure = ended(run("failed", error="the login is gone", next_step="Connect the account again."))
    assert failure is not None
    assert (Exit.FAILED, "the login is gone.\nConnect the account again.") == (failure.code, failure.text())


@pytest.mark.parametrize(
    "said", [{"changes": 1}, {"held": 1}, {"conflicts": 1}, {"refused": "the books show 0 of 12 linked customers"}]
)
def test_a_preview_with_something_for_a_person_says_so_to_scripts(said: dict[str, object]) -> None:
    assert (Exit.DONE, Exit.PERSON) == (needs_a_person(plan()), needs_a_person(plan(**said)))


# ------------------------------------------------------------------ what needs a person


def test_a_conflict_shows_both_values_the_agreed_one_and_the_command_that_answers() -> None:
    lines = tables.conflicts([conflict()], PAIR).splitlines()
    assert [
        "1 question needs an answer.",
        "",
        "4  Betatech, phone: both sides changed since they agreed",
        "    HubSpot      +254 20 271 0001",
        "    QuickBooks   +254 20 271 1000",
        "    agreed then  +254 20 271 0000",
        "    asked 2026-11-23 09:04 New York",
        "    tieout conflicts settle 4 hubspot | quickbooks",
    ] == lines


ALL = conflict(
    what="everywhere",
    title="41 customers, phone",
    reason="the two differ, and were never compared before",
    base=None,
    candidates=tuple(views.CandidateView(ref="", title=n, crm=f"{n[0]}1", books=None) for n in ("Betatech", "Tilia")),
    choices=("crm", "books", "one-by-one"),
    records=41,
)


def test_a_question_about_a_field_shows_some_records_and_counts_the_rest() -> None:
    lines = tables.conflicts([ALL], PAIR).splitlines()
    assert [
        "4  41 customers, phone: the two differ, and were never compared before",
        "              HubSpot  QuickBooks",
        "    Betatech  B1       (empty)",
        "    Tilia     T1       (empty)",
        "    and 39 more",
        "    asked 2026-11-23 09:04 New York",
        "    tieout conflicts settle 4 hubspot | quickbooks | one-by-one",
    ] == lines[2:]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ("books", "QuickBooks kept everywhere by x, now. The next preview shows what that changes."),
        ("one-by-one", "to be looked at one by one by x, now. tieout conflicts lists them."),
    ],
)
def test_an_answer_for_all_says_what_comes_next(decision: str, expected: str) -> None:
    view = views.SettledView(number=4, title=ALL.title, decision=decision, by="x", first=True, moved=False, records=41)
    assert f"41 customers, phone: {expected}" == tables.settled(view, ALL, "now")


def test_a_saved_pair_says_what_it_asked() -> None:
    asked = msgspec.structs.replace(PAIR, asked=2)
    assert "\n2 questions about fields that differ: tieout conflicts\n" in tables.paired(asked)
    assert "question" not in tables.paired(PAIR)


def test_candidates_are_shown_with_score_and_reasons() -> None:
    candidate = views.CandidateView(ref="7", title="Beta Tech", score=96, reasons=("same tax id", "name 96% alike"))
    text = tables.card(conflict(what="match", candidates=(candidate,), choices=("same", "different")), PAIR)
    assert "1. Beta Tech (7, 96%): same tax id, name 96% alike" in text


@pytest.mark.parametrize(("said", "expected"), [("hubspot", "crm"), ("QuickBooks", "books"), ("crm", "crm")])
def test_a_side_is_named_by_its_system_or_its_side(said: str, expected: str) -> None:
    assert expected == tables.choice_of(conflict(), said)


def test_two_accounts_of_one_system_are_told_apart_by_side() -> None:
    same = conflict(crm_title="CSV files", books_title="CSV files")
    assert ["crm", "books"] == tables.answers(same)


def test_who_decided_what_stands_in_one_line() -> None:
    view = views.SettledView(
        number=4, title="Betatech, phone", decision="crm", by="terminal:alice", first=True, moved=False
    )
    expected = (
        "Betatech, phone: HubSpot's +254 20 271 0001 kept by terminal:alice, 2026-11-23 09:06 New York. "
        "The next sync carries it out."
    )
    assert expected == tables.settled(view, conflict(), "2026-11-23 09:06 New York")


@pytest.mark.parametrize(
    ("decision", "then"), [("books", "It stands on both sides."), ("crm", "The next sync carries it out.")]
)
def test_of_an_edit_that_was_lost_the_other_value_stands_already(decision: str, then: str) -> None:
    view = views.SettledView(number=4, title="Betatech, phone", decision=decision, by="x", first=True, moved=False)
    assert tables.settled(view, conflict(lost_at="crm"), "now").endswith(then)


def test_a_question_whose_values_moved_is_not_said_to_be_decided() -> None:
    view = views.SettledView(number=4, title="Betatech, phone", decision="crm", by="x", first=True, moved=True)
    assert "nothing was decided" in tables.settled(view, conflict(), "now")


def test_records_held_back_are_grouped_by_reason_with_their_place() -> None:
    row = views.WaitingView(
        side="crm", kind="deal", ref="D7", reason="close_value is no number", place="deals.csv, row 12"
    )
    text = tables.waiting([row, row], PAIR)
    assert ["2 records held back.", "", "2  close_value is no number"] == text.splitlines()[:3]
    assert "HubSpot  deal  D7  deals.csv, row 12" in text


# ------------------------------------------------------------------ undo


def test_an_undo_says_what_goes_back_and_what_is_left_and_why() -> None:
    """Documents by their verb; each thing left with its reason; what waits elsewhere is no part of it."""
    left = views.LeftView(
        system="QuickBooks", kind="customer", title="Betatech", what="phone", reason="changed in QuickBooks since"
    )
    void = change(kind="invoice", operation="void", title="1041", why="for Q4 pumps; its number stays used", fields=())
    shown = plan(
        void, counts={"books.invoice.void": 1}, undoes="run_7", left=(left,), left_out=1, waiting={"no deal owner": 3}
    )
    text = tables.preview(shown, PAIR)
    assert "Undo of run_7: 1 invoice to void in QuickBooks. 1 left as it is." == text.splitlines()[0]
    assert "void invoice  1041" in text
    assert ["Left as it is:", "  QuickBooks  phone  Betatech  changed in QuickBooks since"] == text.splitlines()[-2:]
    nothing = tables.preview(plan(undoes="run_7", left=(left,), left_out=1), PAIR)
    assert "Undo of run_7: 1 left as it is." == nothing.splitlines()[0]


# ------------------------------------------------------------------ history and audit


def test_history_says_when_what_who_and_how() -> None:
    entry = views.HistoryView(run=run("failed", error="the login is gone", outcome={"done": 3, "held": 1}), changes=4)
    last = tables.history([entry], PAIR).splitlines()[-1].split("  ")
    assert [
        "2026-11-23 09:04 New York", "apply", "terminal:alice", "failed", "3 done, 1 held", entry.run.id,
        "the login is gone",
    ] == [cell.strip() for cell in last if cell.strip()]  # fmt: skip


def test_a_broken_chain_is_named_with_its_entry() -> None:
    whole = views.ChainView(pair="acme", entries=214, head="ab", broken_at=None, reason=None)
    broken = views.ChainView(pair="beta", entries=9, head="cd", broken_at=5, reason="the hash does not fit")
    assert [
        "acme: 214 entries, the chain holds. Head ab",
        "beta: the chain breaks at entry 5: the hash does not fit",
    ] == tables.chains([whole, broken]).splitlines()


def test_the_moment_is_that_of_the_pair_s_zone() -> None:
    assert ("2026-11-23 14:04 London", "2026-11-23 19:34 Kolkata") == (
        moment(NOON, "Europe/London"),
        moment(NOON, "Asia/Kolkata"),
    )


def test_a_refused_plan_is_never_said_to_be_in_step() -> None:
    shown = plan(refused="the books show 0 of 12 linked customers")
    assert "Nothing is planned: the books show 0 of 12 linked customers." == tables.essence(shown, PAIR)


def test_waiting_counts_only_while_a_run_gets_no_further() -> None:
    """A rate limit lets some calls through each minute: that is progress, and one stays."""
    standstill = Standstill(0)
    halfway = views.ProgressView(step="Applying", done=7, total=14)
    further = views.ProgressView(step="Applying", done=9, total=14)
    said = [
        standstill.seconds(run("running", progress=halfway), 50),
        standstill.seconds(run("waiting", progress=halfway), 80),
        standstill.seconds(run("waiting", progress=further), 100),
        standstill.seconds(run("running", progress=halfway), 120),
        standstill.seconds(run("waiting", progress=halfway), 130),
    ]
    assert [0, 30, 0, 0, 30] == said


def test_a_value_of_one_s_own_is_named_in_the_answer() -> None:
    view = views.SettledView(number=4, title="Betatech, phone", decision="value", by="x", first=True, moved=False)
    assert "Betatech, phone: +1 set by x, now. The next sync carries it out." == tables.settled(
        view, conflict(), "now", "+1"
    )


DOCUMENT = {
    "what": "document", "kind": "deal", "title": "Q4 pumps: changed after it was billed", "base": None,
    "reason": "invoice 1042 says USD 100.00, the deal now USD 120.00", "choices": ("reissue", "leave"),
}  # fmt: skip


def test_a_document_that_its_deal_outgrew_can_be_reissued() -> None:
    """The command is there to be copied, and afterwards it is said what comes next."""
    question = conflict(**DOCUMENT)
    assert "tieout conflicts settle 4 reissue | leave" in tables.card(question, PAIR)
    view = views.SettledView(
        number=4, title=question.title, decision="reissue", by="tests", first=True, moved=False, records=1
    )
    said = "to be credited and re-issued by tests, today. The next preview shows it."
    assert f"{question.title}: {said}" == tables.settled(view, question, "today")


def test_something_half_done_says_what_to_do_by_hand() -> None:
    """With each member: what was made, and what was not and why."""
    members = tuple(
        views.CandidateView(ref="", title=title, reasons=(how,))
        for title, how in (("new", "invoice made"), ("credit", "credit note not made: no such account"))
    )
    said = tables.card(conflict(**{**DOCUMENT, "what": "half", "choices": ("leave",), "candidates": members}), PAIR)
    assert "put it right in QuickBooks by hand, so that one of them stands, and leave it then" in said
    assert "credit note not made: no such account" in said


def test_what_is_credited_is_no_part_of_what_is_posted() -> None:
    """Two sums, each with its document."""
    both = plan(
        counts={"books.invoice.create": 1, "books.credit_note.create": 1}, documents=2, net={"USD": Decimal("120.00")},
        tax={}, credited={"USD": Decimal("100.00")},
    )  # fmt: skip
    said = tables.essence(both, PAIR)
    assert "1 invoice, USD 120.00 net (+ tax 0.00), to post in QuickBooks." in said
    assert "1 credit note, USD 100.00 net, to post in QuickBooks." in said


# --------------------------------------------------------------------------- how long it takes


def _takes(seconds: int, **more: object) -> views.TakesView:
    said = {"calls": {"crm": 0, "books": 480}, "system": "QuickBooks", "at_most": 40, "per_s": 60, "batches": True}
    return views.TakesView(**{**said, "seconds": seconds, **more})  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("takes", "line"),
    [
        (_takes(720), "About 12 minutes: QuickBooks takes 40 batches a minute."),
        (_takes(3 * 3600, batches=False, at_most=500), "About 3 hours: QuickBooks takes 500 calls a minute."),
        (
            _takes(3 * 86400, system="HubSpot", at_most=250_000, per_s=86400, batches=False, used=12_000),
            "About 3 days: HubSpot takes 250,000 calls a day and 12,000 are used.",
        ),
        (
            _takes(90, system="HubSpot", at_most=190, per_s=10, batches=False),
            "About 2 minutes: HubSpot takes 190 calls in 10 seconds.",
        ),
    ],
)
def test_a_preview_says_how_long_it_will_take(takes: views.TakesView, line: str) -> None:
    """One line, the last: who reads it knows whether to wait."""
    assert line == tables.preview(plan(change(), takes=takes), PAIR).splitlines()[-1]


@pytest.mark.parametrize("said", [{"takes": None}, {"takes": _takes(60)}, {"takes": _takes(720), "state": "applied"}])
def test_what_takes_no_time_is_not_said(said: dict[str, object]) -> None:
    """Nor what is over."""
    assert tables.preview(plan(change()), PAIR) == tables.preview(plan(change(), **said), PAIR)
