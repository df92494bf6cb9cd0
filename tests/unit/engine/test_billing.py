"""Won deals give rise to positions, or to a reason."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from connectors.canon.records import BillingStep, Deal, DealLine
from connectors.canon.values import Discount, Money
from worker.engine.billing import (
    BillingRules,
    NotBillable,
    Position,
    generation_to_bill,
    instalments,
    positions,
    split,
    won_on,
)

NEW_YORK = ZoneInfo("America/New_York")
RULES = BillingRules(zone=NEW_YORK, cut_over=date(2026, 9, 1))
SALES = Path(__file__).parents[4] / "shared" / "data" / "crm_sales" / "sales_pipeline.csv"


def D(text: str) -> Decimal:
    return Decimal(text)


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


def deal(**fields: object) -> Deal:
    given: dict[str, object] = {
        "ref": "d1",
        "sold_to": "c1",
        "status": "won",
        "won_at": datetime(2026, 10, 20, 16, 0, tzinfo=UTC),
        "amount": usd("1000.00"),
    }
    return Deal(**{**given, **fields})  # type: ignore[arg-type]  # a test's shorthand


def why(found: tuple[Position, ...] | NotBillable) -> tuple[str, str | None]:
    assert isinstance(found, NotBillable)
    return found.reason, found.field


def rules(**changes: object) -> BillingRules:
    return msgspec.structs.replace(RULES, **changes)


def test_a_deal_without_a_plan_has_one_final_position_of_the_whole() -> None:
    """Deposit and instalments are by plan; else the whole is billed at once, on the day of the win."""
    expected = (Position(deal="d1", seq=1, role="final", planned_on=date(2026, 10, 20), net=usd("1000.00")),)
    assert expected == positions(deal(), RULES)


def test_a_win_shortly_after_midnight_utc_is_the_day_before_in_new_york() -> None:
    """01:40 UTC on 1 November is still October where the books are kept."""
    late = deal(won_at=datetime(2026, 11, 1, 1, 40, tzinfo=UTC))
    assert (date(2026, 10, 31), date(2026, 11, 1)) == (won_on(late, NEW_YORK), won_on(late, ZoneInfo("UTC")))


def test_a_crm_that_keeps_only_a_date_is_taken_at_its_word() -> None:
    """A date has no zone to be moved by."""
    assert date(2026, 10, 31) == won_on(deal(won_at=msgspec.UNSET, won_on=date(2026, 10, 31)), NEW_YORK)


def test_a_thousand_in_three_parts_adds_up() -> None:
    """1,000 / 3 is 333.33, 333.34 and 333.33."""
    assert [D("333.33"), D("333.34"), D("333.33")] == [part.amount for part in split(usd("1000"), 3)]


@given(st.decimals(min_value=0, max_value=10**9, places=2), st.integers(min_value=1, max_value=60))
def test_parts_always_add_up_and_differ_by_a_cent_at_most(amount: Decimal, parts: int) -> None:
    """No cent is lost or made, whatever the amount and the number of parts."""
    found = [part.amount for part in split(Money(amount, "USD"), parts)]
    assert amount == sum(found)
    assert max(found) - min(found) <= D("0.01")


def test_rounding_each_part_by_itself_would_lose_a_cent() -> None:
    """The check above fails on the plain way to split."""
    plain = [(D("1000") / 3).quantize(D("0.01"))] * 3
    assert D("999.99") == sum(plain)


def test_a_plan_gives_a_position_for_each_step() -> None:
    """Set-up 3,000 and 24,000 in four quarters: 27,000 in five positions, as the deal says."""
    days = (date(2027, 2, 1), date(2027, 5, 1), date(2027, 8, 1), date(2027, 11, 1))
    setup = BillingStep(role="milestone", planned_on=date(2027, 1, 15), net=D("3000"))
    contract = deal(
        won_at=datetime(2027, 1, 15, 17, tzinfo=UTC),
        amount=usd("27000.00"),
        billing_plan=(setup, *instalments(usd("24000.00"), days)),
    )
    found = positions(contract, rules(basis="tcv"))
    assert isinstance(found, tuple)
    assert [(1, D("3000")), (2, D("6000")), (3, D("6000")), (4, D("6000")), (5, D("6000"))] == [
        (p.seq, p.net.amount) for p in found
    ]
    assert D("27000") == sum(p.net.amount for p in found)


def test_a_plan_that_does_not_add_up_is_held() -> None:
    """A plan of 900 for a deal of 1,000 bills nothing."""
    step = BillingStep(role="deposit", planned_on=date(2026, 10, 20), net=D("900"))
    assert ("held", "billing_plan") == why(positions(deal(billing_plan=(step,)), RULES))


def test_a_total_contract_value_without_a_plan_is_held() -> None:
    """Two years at once are not billed because nobody said when."""
    assert ("held", "billing_plan") == why(positions(deal(), rules(basis="tcv")))


def test_nothing_won_before_the_cut_over_is_billed() -> None:
    """The day before the cut-over is history; the day itself is not."""
    before = deal(won_at=msgspec.UNSET, won_on=date(2026, 8, 31))
    on_it = deal(won_at=msgspec.UNSET, won_on=date(2026, 9, 1))
    assert ("before_cut_over", None) == why(positions(before, RULES))
    assert isinstance(positions(on_it, RULES), tuple)


def test_deals_that_are_not_won_say_so() -> None:
    """Open, lost and reversed are three things."""
    found = [why(positions(deal(status=status), RULES))[0] for status in ("open", "lost", "reversed")]
    assert ["open", "lost", "reversed"] == found


def test_what_is_missing_is_named() -> None:
    """Each hold names the field that mends it; an amount of zero is not a missing one."""
    assert ("held", "sold_to") == why(positions(deal(sold_to=None), RULES))
    assert ("held", "amount") == why(positions(deal(amount=None, lines=(DealLine(key="1", currency="USD"),)), RULES))
    assert ("held", "currency") == why(positions(deal(amount=None), RULES))
    assert ("held", "won_at") == why(positions(deal(won_at=None, won_on=None), RULES))
    zero = positions(deal(amount=usd("0")), RULES)
    assert isinstance(zero, NotBillable)
    assert "The deal's amount is 0.00: there is nothing to bill." == zero.why


def test_lines_that_do_not_add_up_to_the_amount_hold_the_deal() -> None:
    """3 x 300 less 10% is 810, and the deal says 1,000."""
    line = DealLine(key="1", qty=D("3"), unit_price=D("300"), discount=Discount("percent", D("10")))
    found = positions(deal(lines=(line,)), RULES)
    assert isinstance(found, NotBillable)
    assert "The lines add up to USD 810.00, the deal's amount is USD 1,000.00." == found.why


def test_the_header_discount_and_shipping_are_part_of_the_sum() -> None:
    """1,050 less 80, with shipping of 30, is the deal's 1,000."""
    line = DealLine(key="1", unit_price=D("1050"))
    whole = deal(lines=(line,), discount=Discount("per_line", D("80")), shipping=D("30"))
    assert isinstance(positions(whole, RULES), tuple)


def test_two_currencies_in_one_deal_are_held() -> None:
    """A line in euros of a deal in dollars."""
    assert ("held", "currency") == why(positions(deal(lines=(DealLine(key="1", currency="EUR"),)), RULES))


def test_the_lines_are_the_amount_where_the_pair_says_so() -> None:
    """Without an amount of its own, the deal is worth its lines."""
    found = positions(deal(amount=None, lines=(DealLine(key="1", net=D("70"), currency="USD"),)), rules(basis="lines"))
    assert isinstance(found, tuple)
    assert [usd("70")] == [p.net for p in found]


def test_a_gross_deal_waits_for_its_tax() -> None:
    """Net is not known before tax is decided; once it is, the position holds it."""
    assert ("held", "tax") == why(positions(deal(), rules(basis="gross")))
    found = positions(deal(), rules(basis="gross"), net=usd("925.93"))
    assert isinstance(found, tuple)
    assert [usd("925.93")] == [p.net for p in found]


def test_a_position_has_one_live_document_at_most() -> None:
    """An open intent, a draft or a live document is the position's; a voided one has spent it."""
    assert 0 == generation_to_bill([])
    assert "live" == why_not(generation_to_bill([(0, "live")]))
    assert "live" == why_not(generation_to_bill([(0, "void"), (1, "open")], again=True))
    assert "spent" == why_not(generation_to_bill([(0, "void")]))
    assert 1 == generation_to_bill([(0, "void")], again=True)
    assert 2 == generation_to_bill([(0, "credited"), (1, "gone")], again=True)


def why_not(found: int | NotBillable) -> str:
    assert isinstance(found, NotBillable)
    return found.reason


# --------------------------------------------------------------------------- a public pipeline of 8,800 deals


def pipeline() -> list[Deal]:
    """The sample as deals: won ones with their day and value, the others without."""
    with SALES.open(newline="", encoding="utf-8") as file:
        return [sale(row) for row in csv.DictReader(file)]


def sale(row: dict[str, str]) -> Deal:
    stages = {"Won": "won", "Lost": "lost"}
    return Deal(
        ref=row["opportunity_id"],
        sold_to=row["account"] or None,
        status=stages.get(row["deal_stage"], "open"),  # type: ignore[arg-type]  # a status by its table
        won_on=date.fromisoformat(row["close_date"]) if row["close_date"] else None,
        amount=usd(row["close_value"]) if row["close_value"] else None,
    )


def totals(cut_over: date) -> dict[str, tuple[int, Decimal]]:
    """Positions by month of the win, and all together: number and net."""
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for each in pipeline():
        found = positions(each, rules(cut_over=cut_over))
        if isinstance(found, tuple):
            for position in found:
                sums[f"{position.planned_on:%Y-%m}"].append(position.net.amount)
                sums["all"].append(position.net.amount)
    return {month: (len(nets), sum(nets, D("0"))) for month, nets in sums.items()}


def test_a_public_pipeline_comes_to_its_control_totals() -> None:
    """4,238 won deals, 10,005,534.00; three months by themselves."""
    found = totals(date(2016, 1, 1))
    expected = {
        "2017-03": (531, D("1134672")),
        "2017-06": (531, D("1338466")),
        "2017-12": (511, D("1131573")),
        "all": (4238, D("10005534")),
    }
    assert expected == {month: found[month] for month in expected}


def test_the_cut_over_leaves_the_last_quarter_of_it() -> None:
    """From 1 October 2017: 1,196 deals, 2,802,496.00."""
    assert (1196, D("2802496")) == totals(date(2017, 10, 1))["all"]
