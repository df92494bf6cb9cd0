"""One card for a field that many records differ in: its buttons, and what is shown before anything is written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.sandbox import Message
from tests.flows.rig import Rig, mapping, name, told
from tests.flows.slack_bench import Bench, open_bench

CARD = "customers, phone: the two differ, and were never compared before"


@pytest.fixture
async def bench(rig: Rig) -> AsyncIterator[Bench]:
    async with open_bench(rig) as made:
        yield made


def here(number: int) -> str:
    return f"+254 20 27100{number:02}"


def there(number: int) -> str:
    return f"+254 20 27110{number:02}"


def add(bench: Bench, number: int) -> None:
    bench.rig.crm.add(told(name(number), phone=here(number)))
    bench.rig.books.add(told(name(number), phone=there(number)))


async def card(bench: Bench, many: int = 3) -> Message:
    for number in range(many):
        add(bench, number)
    await bench.types("preview")
    shown = await bench.until(rf"^{many} {CARD}")
    await bench.quiet()
    return shown


def phones(bench: Bench) -> set[tuple[str, str]]:
    rig = bench.rig
    return {(rig.see(rig.crm, f"c{n}").phone, rig.see(rig.books, f"c{n}").phone) for n in (1, 2, 3)}


async def test_one_card_shows_the_values_and_one_press_shows_what_it_changes(bench: Bench) -> None:
    """Kept everywhere: nothing is written yet, the plan is shown; Apply writes it."""
    shown = await card(bench)
    assert "1 question needs a decision" in bench.text(await bench.until("1 question needs a decision"))
    assert f"{here(1)}" in bench.text(shown) and there(2) in bench.text(shown)
    await bench.presses("conflict.crm", shown)
    done = await bench.until("^3 customers, phone: Memory .CRM. kept everywhere by @approver-1, 2026-11-10")
    assert (shown.ts, True) == (done.ts, "The next preview shows what that changes." in bench.text(done))
    plan = await bench.until(r"^Preview   3 customer changes\.[\s\S]*\[Apply 3\]")
    assert {(here(n), there(n)) for n in range(3)} == phones(bench)
    await bench.quiet()
    await bench.presses("Apply 3", plan)
    await bench.until("^Applied   3 changes made")
    assert {(here(n), here(n)) for n in range(3)} == phones(bench)


async def test_the_preview_counts_one_question_and_its_records(bench: Bench) -> None:
    """It has something else to write, and says so."""
    for number in range(3):
        add(bench, number)
    bench.rig.crm.add(told(name(9), notes="n"))
    bench.rig.books.add(told(name(9)))
    assert "1 customer change. 1 needs you (3 records)." in bench.text(await bench.previewed())


async def test_one_by_one_gives_each_its_own_card(bench: Bench) -> None:
    """They come at once, without a preview."""
    await bench.presses("conflict.one_by_one", await card(bench))
    await bench.until("^3 customers, phone: to be looked at one by one, said by @approver-1")
    await bench.until("3 questions need a decision")
    for number in range(3):
        await bench.until(rf"^{name(number)}, phone: the two differ[\s\S]*\[Edit\.\.\.\]")
    assert {(here(n), there(n)) for n in range(3)} == phones(bench)


async def test_the_card_follows_the_count(bench: Bench) -> None:
    """One more is linked: the same message, another number; an old screen's press is not taken."""
    shown = await card(bench)
    blocks = [dict(block) for block in shown.blocks]
    add(bench, 7)
    await bench.types("preview")
    again = await bench.until(rf"^4 {CARD}")
    assert shown.ts == again.ts
    await bench.quiet()
    again.blocks = blocks
    await bench.presses("conflict.crm", again)
    await bench.until("a value changed since this was asked", "approver-1")
    assert 4 == (await bench.rig.question()).records


async def test_always_prefer_settles_the_card_and_shows_what_it_overwrites(bench: Bench) -> None:
    """By an admin; the rule holds from then on."""
    shown = await card(bench)
    element = next(e for b in shown.blocks if b["type"] == "actions" for e in b["elements"] if e["type"] == "overflow")
    option = element["options"][1]["value"]
    await bench.presses("conflict.more", shown, user="admin", pick=option)
    await bench.until("^3 customers, phone: Memory .books. kept everywhere by @admin")
    plan = await bench.until(r"^Preview   3 customer changes\.[\s\S]*\[Apply 3\]")
    assert f"{here(1)} -> {there(1)}" in bench.text(plan)
    await bench.quiet()
    add(bench, 7)
    await bench.previewed()
    assert [] == await bench.rig.conflicts()


async def test_a_saved_mapping_puts_its_card_in_the_channel_at_once(bench: Bench) -> None:
    """Nobody has to ask for a preview first."""
    names = [{"crm": "name", "books": "legal_name", "authority": "crm"}]
    await bench.rig.pair_up(mapping(customers={"fields": names}))
    for number in range(3):
        add(bench, number)
    await bench.rig.settled()
    await bench.rig.pair_up(mapping())
    await bench.until(rf"^3 {CARD}")
