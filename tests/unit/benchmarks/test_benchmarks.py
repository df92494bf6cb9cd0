"""Each benchmark runs at a tiny size and gives its figures. How long anything takes is never looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import contacts_pull, csv_calls, first_sync, linked_plan, made_up, slack_latency
from benchmarks.__main__ import main, table
from benchmarks.apart import Failed, measured
from benchmarks.figures import Figure, figure
from benchmarks.machine import here


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    found = {each.name: each for each in figures}
    assert len(figures) == len(found)
    return found


def test_the_csv_example_is_counted_at_the_vendors_door() -> None:
    """Full batches and one read of each thing are the least; the second run writes nothing."""
    found = by_name(csv_calls.measure(csv_calls.Size(won=10)))
    above, least = found["CSV example, calls above the least"], found["CSV example, the least calls"]
    assert round(least.value * (1 + above.value / 100)) == found["CSV example, calls of preview and apply"].value
    assert found["CSV example, writes of the second run"].value == 0


def test_a_pull_gives_its_figures() -> None:
    """Every contact is read once; what changed afterwards is read again, and nothing else."""
    found = by_name(contacts_pull.measure(contacts_pull.Size(contacts=250, changed=20)))
    assert found["pull, records per second"].note == "250 contacts, 5 calls"
    assert found["pull of what changed, seconds"].note == "20 changed, 20 read"
    assert found["reads of contacts per 1,000 changed"].value == 50  # one search for 20


def test_a_first_sync_makes_every_customer() -> None:
    """As many customers are made as there are companies, in full batches."""
    found = by_name(first_sync.measure(first_sync.Size(customers=35)))
    assert found["first sync, seconds"].note == "35 of 35 made"
    assert found["first sync, calls to QuickBooks"].note == "2 full batches"


def test_planning_gives_the_changes_it_was_given() -> None:
    """As many changes are planned as customers were edited, however many are linked."""
    found = by_name(linked_plan.measure(linked_plan.Size(large=60, small=30, changed=10, times=1)))
    assert found["planning, seconds, many linked"].note == "10 changes of 60 linked"
    assert found["planning, seconds, few linked"].note == "10 changes of 30 linked"
    assert "planning, ratio" in found


def test_the_bot_answers_while_its_worker_is_busy() -> None:
    """Every command is acknowledged, and every press comes to its message and to the books."""
    size = slack_latency.Size(customers=450, rate=10, seconds=0.5, presses=1, batch_s=0.8)
    found = by_name(slack_latency.measure(size))
    assert 0 == found["commands without acknowledgement"].value
    assert found["acknowledgement, p99"].note.startswith("5 commands at 10 a second, 450 customers being made")
    assert found["press to edited message, max"].note.startswith("1 presses")
    assert "of 450 customers by then" in found["press during a bulk apply to write, max"].note


async def _holds(megabytes: int) -> int:
    return len(bytearray(megabytes * 1024 * 1024))


async def _breaks() -> None:
    raise RuntimeError("on purpose")


def test_peak_memory_is_that_of_the_work() -> None:
    """A process that holds 200 MB shows it, and one after it does not."""
    large, small = measured(_holds, 200), measured(_holds, 1)
    assert large.value == 200 * 1024 * 1024
    assert large.peak_mb - small.peak_mb > 150


def test_work_that_breaks_is_no_figure() -> None:
    """A process that fails gives an error, and not a measurement."""
    with pytest.raises(Failed, match="_breaks"):
        measured(_breaks)


def test_a_missed_aim_is_said() -> None:
    """The table tells met from missed, and says nothing where there is no aim."""
    figures = [figure("a", 2, "s", 3), figure("b", 4, "s", 3), figure("c", 5, "s")]
    assert [True, False, None] == [each.met for each in figures]
    lines = table(figures).splitlines()[2:]
    assert [True, False, False] == [" met" in line for line in lines]
    assert [False, True, False] == ["missed" in line for line in lines]


def test_the_figures_are_kept_with_what_they_depend_on(tmp_path: Path) -> None:
    """Machine, versions, date and commit stand beside the figures."""
    path = tmp_path / "kept" / "figures.json"
    sizes, linked_plan.SMALL = linked_plan.SMALL, linked_plan.Size(large=20, small=10, changed=5, times=1)
    try:
        assert 0 == main(["linked_plan", "--small", "--json", str(path)])
    finally:
        linked_plan.SMALL = sizes
    kept = json.loads(path.read_text())
    assert {"date", "small", "setting", "figures", "took_s"} == set(kept)
    assert {"machine", "versions", "commit", "load"} == set(kept["setting"])
    assert ["linked_plan"] == list(kept["figures"])


def test_the_setting_names_the_machine() -> None:
    """No figure without its machine and versions."""
    setting = here()
    assert setting.machine.cores >= 1
    assert {"python", "sqlite", "SQLAlchemy"} <= set(setting.versions)


def test_made_up_companies_are_unlike_each_other() -> None:
    """Ten thousand numbers give ten thousand names, postcodes aside."""
    assert 10_000 == len({made_up.name(n) for n in range(10_000)})
    assert 10_000 == len({made_up.phone(n) for n in range(10_000)})
