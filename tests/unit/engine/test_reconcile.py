"""A month that ties, what breaks it, and each category by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from connectors.canon.records import Allocation, CreditNote, Invoice, InvoiceLine, Kind, Payment
from connectors.canon.values import Money
from connectors.kit.contract import Count, Figures
from tests.fixtures.october_2026_records import (
    DEALS,
    FIGURES,
    HEADER,
    LEDGER,
    QUARTERS,
    RULES,
    D,
    invoice,
    noon,
    paid,
    won,
)
from tests.fixtures.october_2026_records import oct as october
from worker.engine.billing import PositionDocument
from worker.engine.mapping_model import Expected
from worker.engine.reconcile import (
    Accepted,
    Category,
    Ledger,
    LedgerDeal,
    Opening,
    Period,
    ReceivableEntry,
    Report,
    Waiting,
    changed,
    ledger_deal,
    reconcile,
)

OCTOBER = reconcile(LEDGER, HEADER)


def figures_of(report: Report, number: int, currency: str | None = None) -> dict[str, Decimal]:
    bridge = report.bridge(number, currency)  # type: ignore[arg-type]  # 1 to 4
    return {line.label: line.amount for line in bridge.lines}


# --------------------------------------------------------------------------- the month that ties


def test_won_to_invoiced() -> None:
    """26,820.00 won in 8 deals, 18,448.40 invoiced in 7 invoices, each difference in its category."""
    bridge = OCTOBER.bridge(1, "USD")
    assert (D("26,820.00"), 8) == (bridge.start, bridge.start_count)
    assert {
        "missing": D("-240.00"),
        "later instalment": D("-9,000.00"),
        "cut-off out": D("-4,160.00"),
        "not billable": D("-500.00"),
        "cut-off in": D("5,250.00"),
        "amount differs": D("-50.00"),
        "charge not in the deal": D("28.40"),
        "no deal, expected": D("300.00"),
    } == figures_of(OCTOBER, 1, "USD")
    assert (D("18,448.40"), D("18,448.40"), D("18,448.40"), 7, D("0.00")) == (
        bridge.expected,
        bridge.read,
        bridge.independent,
        bridge.read_count,
        bridge.unexplained,
    )


def test_euros_by_themselves_and_in_home_currency() -> None:
    """EUR 1,000.00 won and invoiced; at the books' 1.0800 it adds 1,080.00 to the home bridge."""
    euro, home = OCTOBER.bridge(1, "EUR"), OCTOBER.bridge(1)
    assert (D("1,000.00"), D("1,000.00"), D("0.00")) == (euro.start, euro.expected, euro.unexplained)
    assert (D("27,900.00"), D("19,528.40"), D("0.00")) == (home.start, home.expected, home.unexplained)


def test_net_to_gross() -> None:
    """18,448.40 and tax of 420.00 + 156.00 + 64.00 is 19,088.40; with the euros 20,168.40, as the books say."""
    dollars, home = OCTOBER.bridge(2, "USD"), OCTOBER.bridge(2)
    assert (D("18,448.40"), {"NY-GOODS": D("640.00")}) == (dollars.start, figures_of(OCTOBER, 2, "USD"))
    assert (D("19,088.40"), D("19,088.40")) == (dollars.expected, dollars.read)
    assert (D("20,168.40"), D("0.00")) == (home.expected, home.unexplained)


def test_receivables() -> None:
    """From 3,900.00 through invoices, credit, cash, withholding, charges and exchange to 8,368.40."""
    bridge = OCTOBER.bridge(3)
    assert {
        "invoices": D("20,168.40"),
        "credit notes": D("-200.00"),
        "cash": D("-15,449.50"),
        "withheld": D("-48.00"),
        "bank charges": D("-15.00"),
        "realised FX": D("12.50"),
    } == figures_of(OCTOBER, 3)
    assert (D("3,900.00"), D("8,368.40"), D("8,368.40"), D("8,368.40"), D("0.00")) == (
        bridge.start,
        bridge.expected,
        bridge.read,
        bridge.independent,
        bridge.unexplained,
    )


def test_ageing() -> None:
    """Not due 6,876.00, 61-90 days 1,500.00, unapplied 7.60: the control account's 8,368.40."""
    aged = OCTOBER.ageing
    assert [("61-90", D("1,500.00")), ("not due", D("6,876.00"))] == sorted(
        (name, total) for name, total in aged.buckets.items() if total != 0
    )
    assert {
        "1039": (77, D("1,500.00")),
        "1043": (0, D("3,670.00")),
        "1044": (0, D("2,106.00")),
        "1047": (0, D("300.00")),
        "1049": (0, D("800.00")),
    } == {each.number: (each.days_overdue, each.home) for each in aged.documents}
    assert (D("8,376.00"), D("7.60"), D("8,368.40"), D("8,368.40")) == (
        aged.total,
        aged.unapplied,
        aged.net,
        aged.aged_total,
    )


def test_the_number_series_is_whole() -> None:
    """1041 to 1049: nine of nine, one void; the credit note's series beside it."""
    invoices, notes = OCTOBER.completeness.series
    assert ("1041", "1049", 9, 9, 1, (), ()) == (
        invoices.first,
        invoices.last,
        invoices.found,
        invoices.of,
        invoices.voided,
        invoices.gaps,
        invoices.repeats,
    )
    assert ("CN-12", 1, 1) == (notes.first, notes.found, notes.of)


def test_everything_is_in_exactly_one_line() -> None:
    """Nine won deals and eight posted invoices, each once, and each by its name."""
    found = OCTOBER.completeness
    assert {
        "D1": None, "D2": Category.MISSING, "D3": Category.LATER_INSTALMENT, "D4": Category.CUT_OFF_OUT,
        "D5": Category.NOT_BILLABLE, "D7": None, "D8": None, "D9": None, "D10": None,
    } == {each.ref: each.line for each in found.deals}  # fmt: skip
    assert {
        "1041": None, "1042": None, "1043": Category.CUT_OFF_IN, "1044": Category.AMOUNT_DIFFERS,
        "1045": Category.CHARGE_NOT_IN_DEAL, "1046": None, "1047": Category.NO_DEAL_EXPECTED, "1049": None,
    } == {each.label: each.line for each in found.documents}  # fmt: skip
    assert found.whole
    assert not [check.what for check in found.checks if check.passed is False]


def test_what_is_left_out_is_counted_with_its_reason() -> None:
    """No population disappears."""
    found = {(each.what, each.reason): each.count for each in OCTOBER.completeness.excluded}
    assert {
        ("won deals", "won before the period"): 1,
        ("invoices", "void"): 1,
        ("invoices", "dated before the period"): 2,
        ("invoices", "dated after the period"): 1,
    } == found


def test_three_items_stay_open() -> None:
    """The belts to bill, the conveyor carried to November, the valves invoiced at less."""
    assert {"missing:D2": 25, "cut-off out:D4": 0, "amount differs:i1044": 19} == {
        item.id: item.age_days for item in OCTOBER.open_items
    }
    assert {"bill", "next month", "credit and re-issue, correct the deal, or accept"} == {
        item.closes_by for item in OCTOBER.open_items
    }


def test_weeks_add_up_to_the_month() -> None:
    """The chart's bars are the bridge's totals."""
    weeks = OCTOBER.weeks
    assert [date(2026, 10, day) for day in (1, 5, 12, 19, 26)] == [week.start for week in weeks]
    assert (D("27,900.00"), D("19,528.40"), D("15,449.50")) == (
        sum(week.won for week in weeks),
        sum(week.invoiced for week in weeks),
        sum(week.paid for week in weeks),
    )


def test_november_carries_what_october_left() -> None:
    """The conveyor comes in by its invoice of 2 November; the belts are carried as still to bill."""
    header = replace(
        HEADER,
        period=Period(date(2026, 11, 1), date(2026, 11, 30)),
        as_of=date(2026, 11, 30),
        read_at=datetime(2026, 12, 3, 14, 0, tzinfo=UTC),
    )
    report = reconcile(replace(LEDGER, figures=None), header)
    assert {"cut-off in": D("4,160.00")} == figures_of(report, 1)
    assert ["missing:D2"] == [item.id for item in report.carried]
    assert (D("8,368.40"), D("12,528.40")) == (report.bridge(3).start, report.bridge(3).expected)


# --------------------------------------------------------------------------- saboteurs: one mirrored row is gone


def without(name: str, ref: str) -> Report:
    """October with one record missing from the mirror."""
    records = getattr(LEDGER, name)
    left = tuple(record for record in records if record.ref != ref)
    assert len(left) == len(records) - 1
    return reconcile(replace(LEDGER, **{name: left}), HEADER)


@pytest.mark.parametrize("ref", [row.ref for row in LEDGER.invoices if row.number not in ("1048", "1050")])
def test_an_invoice_that_the_mirror_lost_is_unexplained(ref: str) -> None:
    """Whichever posted invoice is missing, old ones too, the control account no longer agrees."""
    report = without("invoices", ref)
    assert report.bridge(3).unexplained != 0
    assert not report.ties


@pytest.mark.parametrize("ref", ["i1041", "i1043", "i1047", "i1049"])
def test_an_invoice_of_the_month_breaks_the_first_two_bridges_as_well(ref: str) -> None:
    """Its deal then looks unbilled, and the books' own total says that it is not."""
    report = without("invoices", ref)
    assert report.bridge(1, "USD").unexplained != 0
    assert report.bridge(2).unexplained != 0
    assert "invoices read" in [check.what for check in report.completeness.checks if check.passed is False]


def test_a_number_that_no_document_has_is_a_gap() -> None:
    """The void one is missing: eight of nine, and 1048 is named."""
    assert ("1048",) == without("invoices", "i1048").completeness.series[0].gaps


def test_a_number_that_a_credit_note_has_is_no_gap() -> None:
    """Books that number both kinds in one series: 1048 is on the credit note."""
    notes = tuple(replace(note, number="1048") for note in LEDGER.credit_notes[:1])
    left = tuple(row for row in LEDGER.invoices if row.ref != "i1048")
    found = reconcile(replace(LEDGER, invoices=left, credit_notes=notes), HEADER).completeness.series[0]
    assert ((), 1) == (found.gaps, found.elsewhere)


@pytest.mark.parametrize("ref", [row.ref for row in LEDGER.payments])
def test_a_payment_that_the_mirror_lost_is_unexplained(ref: str) -> None:
    """Its cash, and what it settled, are missing from the roll-forward."""
    assert without("payments", ref).bridge(3).unexplained != 0


def test_a_credit_note_that_the_mirror_lost_is_unexplained() -> None:
    """200.00 too much is owed."""
    assert D("-200.00") == without("credit_notes", "n12").bridge(3).unexplained


@pytest.mark.parametrize("ref", ["D1", "D3", "D6", "D7", "D8", "D10"])
def test_a_deal_that_the_mirror_lost_is_unexplained(ref: str) -> None:
    """Its invoice is linked to a position that nobody knows: it is in no line, and its amount is left over."""
    left = tuple(entry for entry in LEDGER.deals if entry.deal.ref != ref)
    report = reconcile(replace(LEDGER, deals=left), HEADER)
    failed = {check.what for check in report.completeness.checks if check.passed is False}
    assert report.bridge(1, "USD").unexplained != 0
    assert {"posted invoices in exactly one line", "links to what was not read"} <= failed


def test_a_deal_without_documents_shows_in_the_crms_own_count() -> None:
    """Nothing in the books can miss it: only the CRM's count can."""
    left = tuple(entry for entry in LEDGER.deals if entry.deal.ref != "D2")
    told = Figures(
        as_of=HEADER.as_of, home_currency="USD", counts=(Count(kind=Kind.DEAL, number=9),), source="search count"
    )
    whole = reconcile(replace(LEDGER, crm_figures=told), HEADER)
    report = reconcile(replace(LEDGER, deals=left, crm_figures=told), HEADER)
    assert whole.completeness.whole
    assert ["won deals read"] == [check.what for check in report.completeness.checks if check.passed is False]


def test_a_deal_twice_in_the_mirror_is_found() -> None:
    """It would count twice in the start."""
    report = reconcile(replace(LEDGER, deals=(*LEDGER.deals, LEDGER.deals[0])), HEADER)
    failed = [check for check in report.completeness.checks if check.passed is False]
    assert ["won deals in exactly one line"] == [check.what for check in failed]
    assert ("Q4 pumps",) == failed[0].detail
    assert D("-6,120.00") == report.bridge(1, "USD").unexplained


def test_without_figures_nothing_is_independently_checked() -> None:
    """The bridges still add up from what was read, and say that nobody else confirmed it."""
    report = reconcile(replace(LEDGER, figures=None), HEADER)
    assert [None] * len(report.bridges) == [bridge.unexplained for bridge in report.bridges]
    assert report.ties
    by_name = {check.what: check.passed for check in report.completeness.checks}
    assert (None, None, True) == (
        by_name["invoices read"],
        by_name["aged total less unapplied"],
        by_name["won deals in exactly one line"],
    )


def test_a_vendor_that_tells_home_totals_only_checks_the_home_bridge() -> None:
    """One figure in dollars for all currencies says nothing about the dollars alone."""
    figures = replace(FIGURES, invoiced_net={"USD": D("19,528.40")})
    report = reconcile(replace(LEDGER, figures=figures), HEADER)
    assert (None, None, D("0.00")) == (
        report.bridge(1, "USD").unexplained,
        report.bridge(1, "EUR").unexplained,
        report.bridge(1).unexplained,
    )


# --------------------------------------------------------------------------- each category by itself

POSTED = invoice("2001", "b-D1", october(20), "1,000.00")
DEAL = won("X", "Hoses", "1,000.00", noon(october(19)))


def ledger(
    deal: LedgerDeal | None = None,
    invoices: tuple[Invoice, ...] = (),
    links: dict[str, str] | None = None,
    **more: object,
) -> Ledger:
    """A month with at most one deal; `links` by invoice ref to position key."""
    rows = tuple(PositionDocument(position=key, ref=ref) for ref, key in (links or {}).items())
    return Ledger(
        home_currency="USD",
        cut_over=date(2026, 9, 1),
        deals=() if deal is None else (deal,),
        invoices=invoices,
        links=rows,
        **more,  # type: ignore[arg-type]  # a test's shorthand
    )


def items(made: Ledger) -> list[tuple[Category, Decimal]]:
    """The items of bridge 1, which must explain what was read to the cent."""
    report = reconcile(made, HEADER)
    bridge = report.bridge(1)
    assert bridge.read == bridge.expected
    assert report.completeness.whole
    return [(item.category, item.amount.amount) for item in report.items]


def entry(deal: object = DEAL, **more: object) -> LedgerDeal:
    return ledger_deal(deal, RULES, **more)  # type: ignore[arg-type]  # a test's shorthand


LINKED = {"i2001": "X/1"}

CASES: dict[str, tuple[Ledger, list[tuple[Category, Decimal]]]] = {
    "agrees": (ledger(entry(), (POSTED,), LINKED), []),
    "missing": (ledger(entry()), [(Category.MISSING, D("-1000"))]),
    "held": (ledger(entry(waiting={"X/1": Waiting(why="No PO.", who="o1")})), [(Category.WAITING, D("-1000"))]),
    "held for its data": (
        ledger(entry(replace(DEAL, sold_to=None))),
        [(Category.WAITING, D("-1000"))],
    ),
    "without an amount": (ledger(entry(replace(DEAL, amount=None))), [(Category.WAITING, D("0"))]),
    "drafted": (ledger(entry(), (replace(POSTED, state="draft"),), LINKED), [(Category.WAITING, D("-1000"))]),
    "accepted": (
        ledger(entry(accepted=Accepted(reason="Pilot", by="a", agreed_by="b"))),
        [(Category.NOT_BILLABLE, D("-1000"))],
    ),
    "reversed, not invoiced": (
        ledger(entry(replace(DEAL, status="reversed"))),
        [(Category.REVERSED_DEAL, D("-1000"))],
    ),
    "reversed, invoiced": (
        ledger(entry(replace(DEAL, status="lost"), was_won=True), (POSTED,), LINKED),
        [(Category.REVERSED_DEAL, D("0"))],
    ),
    "voided": (ledger(entry(), (replace(POSTED, state="void"),), LINKED), [(Category.VOIDED, D("-1000"))]),
    "voided and billed again": (
        ledger(
            entry(),
            (replace(POSTED, state="void"), replace(POSTED, ref="i2002", number="2002")),
            LINKED | {"i2002": "X/1"},
        ),
        [],
    ),
    "two live documents": (
        ledger(entry(), (POSTED, replace(POSTED, ref="i2002", number="2002")), LINKED | {"i2002": "X/1"}),
        [(Category.DUPLICATE, D("1000"))],
    ),
    "a twin without a deal": (
        ledger(entry(), (POSTED, invoice("2002", "b-D1", october(22), "1,000.00", origin="person")), LINKED),
        [(Category.DUPLICATE, D("1000"))],
    ),
    "four days later is no twin": (
        ledger(entry(), (POSTED, invoice("2002", "b-D1", october(24), "1,000.00", origin="person")), LINKED),
        [(Category.NO_DEAL_UNEXPECTED, D("1000"))],
    ),
    "expected by its number": (
        ledger(None, (replace(POSTED, number="POS-17"),), expected=(Expected(number="POS-*"),)),
        [(Category.NO_DEAL_EXPECTED, D("1000"))],
    ),
    "amount differs": (
        ledger(entry(), (replace(POSTED, net=D("1200"), total=D("1200")),), LINKED),
        [(Category.AMOUNT_DIFFERS, D("200"))],
    ),
    "five cents": (
        ledger(entry(), (replace(POSTED, net=D("1000.05"), total=D("1000.05")),), LINKED),
        [(Category.ROUNDING, D("0.05"))],
    ),
    "six cents": (
        ledger(entry(), (replace(POSTED, net=D("1000.06"), total=D("1000.06")),), LINKED),
        [(Category.AMOUNT_DIFFERS, D("0.06"))],
    ),
    "a charge and a difference": (
        ledger(
            entry(),
            (
                replace(
                    POSTED,
                    net=D("978.40"),
                    total=D("978.40"),
                    lines=(
                        InvoiceLine(key="1", net=D("950")),
                        InvoiceLine(key="2", role="shipping", net=D("28.40")),
                    ),
                ),
            ),
            LINKED,
        ),
        [(Category.CHARGE_NOT_IN_DEAL, D("28.40")), (Category.AMOUNT_DIFFERS, D("-50"))],
    ),
    "invoiced before it was won": (
        ledger(entry(), (replace(POSTED, date=date(2026, 9, 30)),), LINKED),
        [(Category.CUT_OFF_OUT, D("-1000"))],
    ),
    "two deals on one invoice are compared together": (
        replace(
            ledger(entry(), (replace(POSTED, net=D("1500"), total=D("1500")),)),
            deals=(entry(), entry(won("Y", "Clamps", "500.00", noon(october(19))))),
            links=(PositionDocument(position="X/1", ref="i2001"), PositionDocument(position="Y/1", ref="i2001")),
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_difference_is_in_its_category(name: str) -> None:
    """One deal, one invoice, and the one line between them."""
    made, expected = CASES[name]
    assert expected == items(made)


def test_a_win_is_not_missing_for_three_working_days() -> None:
    """Won on Saturday 31 October: waiting to Wednesday, missing from Thursday on, or Friday with a holiday between."""
    made = ledger(entry(won("X", "Hoses", "1,000.00", noon(october(31)))))
    holiday = replace(made, holidays=frozenset({date(2026, 11, 3)}))
    wednesday, thursday = (replace(HEADER, read_at=datetime(2026, 11, n, 23, 0, tzinfo=UTC)) for n in (4, 5))
    assert [Category.WAITING, Category.MISSING, Category.WAITING] == [
        reconcile(made, wednesday).items[0].category,
        reconcile(made, thursday).items[0].category,
        reconcile(holiday, thursday).items[0].category,
    ]


def test_history_is_never_billed_but_shown() -> None:
    """A deal of October under a cut-over of November: out by the cut-over, in again by its linked invoice."""
    rules = replace(RULES, cut_over=date(2026, 11, 1))
    old = ledger_deal(DEAL, rules)
    unmatched = replace(ledger(old), cut_over=date(2026, 11, 1))
    matched = replace(ledger(old, (POSTED,), LINKED), cut_over=date(2026, 11, 1))
    stray = replace(ledger(None, (POSTED,)), cut_over=date(2026, 11, 1))
    assert [(Category.BEFORE_CUT_OVER, D("-1000"))] == items(unmatched)
    assert [] == items(matched)
    assert [(Category.BEFORE_CUT_OVER, D("1000"))] == items(stray)


def test_a_planned_instalment_of_an_older_deal_comes_in_by_its_plan() -> None:
    """Billed in time it is one line; not billed, it comes in by the plan and goes out as missing."""
    deal = won("X", "Contract", "12,000.00", noon(date(2026, 9, 15)), billing_plan=QUARTERS)
    posted = replace(POSTED, net=D("3000"), total=D("3000"))
    assert [(Category.EARLIER_PLAN, D("3000"))] == items(ledger(entry(deal), (posted,), LINKED))
    assert [(Category.EARLIER_PLAN, D("3000")), (Category.MISSING, D("-3000"))] == items(ledger(entry(deal)))


def test_credit_and_reissue_is_no_duplicate() -> None:
    """The second stands for the position; the first, credited in full, is a difference that is closed already."""
    note = CreditNote(
        ref="n1", number="CN-1", date=october(21), state="posted", total=D("1000"), net=D("1000"), corrects=("i2001",)
    )
    made = ledger(
        entry(),
        (POSTED, replace(POSTED, ref="i2002", number="2002", date=october(22))),
        LINKED | {"i2002": "X/1"},
        credit_notes=(note,),
    )
    report = reconcile(made, HEADER)
    assert [("amount differs:i2001", D("1000"), False)] == [(i.id, i.amount.amount, i.open) for i in report.items]
    assert () == report.open_items


def test_a_reversed_deal_shows_what_is_at_stake() -> None:
    """Nothing moves in the bridge, and the posted 1,000.00 is named."""
    made, _ = CASES["reversed, invoiced"]
    assert [(Money(D("1000"), "USD"), "credit or restore")] == [
        (item.exposure, item.closes_by) for item in reconcile(made, HEADER).items
    ]


def test_foreign_deals_without_a_rate_are_left_out_and_counted() -> None:
    """The home bridge never takes a CRM's rate, nor one: it says what it leaves out."""
    euros = entry(won("X", "Schläuche", "1,000.00", noon(october(19)), currency="EUR"))
    report = reconcile(ledger(euros), HEADER)
    assert (D("1000"), D("0")) == (report.bridge(1, "EUR").start, report.bridge(1).start)
    assert ["EUR 1,000.00 net, in the bridge of EUR only: the books give no rate"] == [
        each.reason for each in report.completeness.excluded
    ]
    with_rate = reconcile(replace(ledger(euros), rates={"EUR": D("1.1")}), HEADER)
    assert D("1100.00") == with_rate.bridge(1).start


# --------------------------------------------------------------------------- receivables

Change = Callable[[Ledger], Ledger]

OLD = invoice("1900", "b-old1", date(2026, 9, 1), "500.00")


def owed(made: Ledger) -> tuple[Decimal, dict[str, Decimal], Decimal]:
    """Start, lines and end of bridge 3, which must be what the open documents add up to."""
    report = reconcile(made, HEADER)
    bridge = report.bridge(3)
    return bridge.start, figures_of(report, 3), bridge.expected


def test_discounts_and_write_offs_have_lines_of_their_own() -> None:
    """490.00 cash, 5.00 taken as discount, 5.00 written off: nothing is owed."""
    payment = paid(
        "p1",
        "b-old1",
        october(5),
        "490.00",
        Allocation(document="i1900", amount=D("490"), discount=D("5"), written_off=D("5")),
    )
    lines = {"cash": D("-490.00"), "discounts taken": D("-5"), "write-offs": D("-5")}
    assert (D("500"), lines, D("0")) == owed(ledger(None, (OLD,), payments=(payment,)))


def test_an_older_invoice_that_was_voided_leaves_the_opening() -> None:
    """The signed opening holds it; the void takes it out in this month."""
    opening = Opening(receivable=D("500.00"), documents={"i1900": D("500.00")}, source="September, version 1")
    made = ledger(None, (replace(OLD, state="void"),), opening=opening)
    assert (D("500.00"), {"voids of older invoices": D("-500.00")}, D("0.00")) == owed(made)


def test_entries_on_the_account_are_read_and_explained() -> None:
    """Refunds of credit, revaluation and journals move the balance and are named."""
    entries = (
        ReceivableEntry(kind="refund", ref="r1", on=october(9), amount=D("20"), why="Refund of credit"),
        ReceivableEntry(kind="revaluation", ref="v1", on=october(31), amount=D("-3"), why="Closing rate"),
        ReceivableEntry(kind="journal", ref="j1", on=october(31), amount=D("7"), why="Correction"),
        ReceivableEntry(kind="journal", ref="j2", on=date(2026, 11, 1), amount=D("99"), why="Next month"),
    )
    lines = {"refunds of credit": D("20"), "revaluation": D("-3"), "manual journals": D("7")}
    assert (D("500"), lines, D("524")) == owed(ledger(None, (OLD,), entries=entries))


def test_money_that_came_later_was_owed_at_the_end() -> None:
    """A payment of November does not lower October, whatever the vendor's balance says today."""
    payment = paid("p1", "b-old1", date(2026, 11, 3), "500.00", Allocation(document="i1900", amount=D("500")))
    made = ledger(None, (replace(OLD, balance=D("0")),), payments=(payment,))
    assert (D("500"), {}, D("500")) == owed(made)
    assert [D("500")] == [each.home for each in reconcile(made, HEADER).ageing.documents]


def test_a_balance_that_the_books_do_not_confirm_is_named() -> None:
    """The books say 400.00 open, the allocations 500.00: something was not read."""
    report = reconcile(ledger(None, (replace(OLD, balance=D("400")),)), HEADER)
    check = next(each for each in report.completeness.checks if each.what == "balances that the books confirm")
    assert (False, ("1900: 500.00 rebuilt, 400 said",)) == (check.passed, check.detail)


# --------------------------------------------------------------------------- books -> CRM payment fields


def marked(value: Decimal | None, *, cash: bool = True) -> list[tuple[Category, Decimal]]:
    payment: tuple[Payment, ...] = ()
    if cash:
        payment = (paid("p1", "b", october(25), "400", Allocation(document="i2001", amount=D("400"))),)
    made = ledger(entry(marked=value), (POSTED,), LINKED, payments=payment)
    report = reconcile(made, HEADER)
    bridge = report.bridge(4)
    assert bridge.read == bridge.expected
    return [(item.category, item.amount.amount) for item in report.items]


def test_what_the_crm_says_of_payments_is_compared() -> None:
    """Paid and not marked, marked otherwise, marked and not paid; nothing where both say the same."""
    assert [] == marked(D("400"))
    assert [(Category.NOT_MARKED, D("-400"))] == marked(None)
    assert [(Category.MARKED_OTHERWISE, D("-100"))] == marked(D("300"))
    assert [(Category.MARKED_UNPAID, D("300"))] == marked(D("300"), cash=False)


def test_without_a_mapped_field_there_is_no_fourth_bridge() -> None:
    """October's pair maps none."""
    assert {1, 2, 3} == {bridge.number for bridge in OCTOBER.bridges}


# --------------------------------------------------------------------------- versions


def test_a_new_version_shows_only_the_difference() -> None:
    """The belts are billed: one item goes, one figure of the bridge with it, and a day's age is no difference."""
    later = replace(HEADER, version=2, as_of=date(2026, 11, 1), read_at=datetime(2026, 11, 9, 14, 0, tzinfo=UTC))
    assert changed(OCTOBER, reconcile(LEDGER, later)).nothing
    billed = invoice("1051", "b-D3", october(31), "240.00")
    made = replace(
        LEDGER,
        figures=None,
        invoices=(*LEDGER.invoices, billed),
        links=(*LEDGER.links, PositionDocument(position="D2/1", ref="i1051")),
    )
    difference = changed(reconcile(replace(LEDGER, figures=None), HEADER), reconcile(made, later))
    assert (["missing:D2"], [], []) == (
        [item.id for item in difference.gone],
        [item.id for item in difference.added],
        [item.id for item in difference.different],
    )
    moved = {(f.bridge, f.label): (f.before, f.after) for f in difference.figures if f.home and f.bridge == 1}
    assert {
        (1, "missing"): (D("-240.00"), None),
        (1, "invoiced, net, expected"): (D("19,528.40"), D("19,768.40")),
    } == moved


def test_the_same_ledger_gives_the_same_report() -> None:
    """Nothing in it depends on the clock, on order of sets, or on chance."""
    assert reconcile(LEDGER, HEADER) == OCTOBER
    assert len(DEALS) == len(LEDGER.deals)
