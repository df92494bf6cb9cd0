"""The classes of edits, counted: disjoint ones are merged, clashing ones asked about, and nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.canon.values import Address
from tests.machine.classes import SIZES, Outcome, edit_classes, table
from worker.engine import merge
from worker.usecases import propose_linked

SMALL = {what: size // 10 for what, size in SIZES.items()}


def as_promised(outcome: Outcome, sizes: dict[str, int]) -> bool:
    """Every class came out as it must, and the next plan has nothing to do."""
    expected = {
        # merged, asked, written, lost, mixed: for each of a class
        "edited in the CRM": (1, 0, 1, 0, 0),
        "edited in the books": (1, 0, 1, 0, 0),
        "two fields, one on each side": (1, 0, 2, 0, 0),
        "one field, differently": (0, 1, 0, 0, 0),
        "one field, alike": (1, 0, 0, 0, 0),
        "deleted on one side, edited on the other": (0, 1, 0, 0, 0),
        "two parts of one address": (0, 1, 0, 0, 0),
    }
    wanted = {what: (n, *(n * each for each in expected[what])) for what, n in sizes.items()}
    asked = sum(row.asked for row in outcome.rows)
    rest = outcome.questions, outcome.made, outcome.next_plan, outcome.next_writes
    return {row.what: msgspec.structs.astuple(row)[1:] for row in outcome.rows} == wanted and rest == (asked, 0, 0, 0)


async def test_each_class_at_ten_thousand_customers(sqlite_urls: Callable[[], str], tmp_path: Path) -> None:
    """1,200 changes are written, 200 questions asked, nothing lost, no false conflict."""
    outcome = await edit_classes(sqlite_urls(), tmp_path)
    assert as_promised(outcome, SIZES), table(outcome)
    assert (1_200, 200) == (sum(row.written for row in outcome.rows), outcome.questions)


async def test_each_class_on_postgresql(postgres_urls: Callable[[], Awaitable[str]], tmp_path: Path) -> None:
    """A tenth of each."""
    outcome = await edit_classes(await postgres_urls(), tmp_path, 1_000, SMALL)
    assert as_promised(outcome, SMALL), table(outcome)


# --------------------------------------------------------------------------- broken on purpose


@pytest.fixture
def run_small(sqlite_urls: Callable[[], str], tmp_path: Path) -> Callable[[], Any]:
    return lambda: edit_classes(sqlite_urls(), tmp_path, 1_000, SMALL)


async def test_saboteur_whoever_plans_last_wins(run_small: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What both edited is overwritten: an edit is lost for each, and nobody is asked."""
    monkeypatch.setattr(merge, "_both_edited", lambda field, base: merge._take(field, "crm", "last", overwrites=True))
    outcome = await run_small()
    row = outcome.row("one field, differently")
    assert (10, 0) == (row.lost, row.asked)
    assert not as_promised(outcome, SMALL)


async def test_saboteur_groups_merged_apart(run_small: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An address merged part by part is one where nobody lives."""
    real = merge._both_edited

    def apart(field: Any, base: Any) -> Any:
        if not isinstance(field.crm, Address):
            return real(field, base)
        parts = {part: getattr(field.crm, part) for part in Address.__struct_fields__}
        parts |= {part: now for part in parts if (now := getattr(field.books, part)) != getattr(base.books, part)}
        take = merge._take(field, "crm", "part by part", overwrites=True)
        return msgspec.structs.replace(take, value=Address(**parts))

    monkeypatch.setattr(merge, "_both_edited", apart)
    outcome = await run_small()
    assert 5 == outcome.row("two parts of one address").mixed
    assert not as_promised(outcome, SMALL)


async def test_saboteur_records_compared_whole(run_small: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a record one value, edits of two fields would clash: a hundred false conflicts."""
    real = propose_linked.merge_record

    def whole(*args: Any, **more: Any) -> Any:
        decided = real(*args, **more)
        sources = {verdict.source for _, verdict in decided if isinstance(verdict, merge.Take)}
        if len(sources) < 2:
            return decided
        return [(rule, _asked(v) if isinstance(v, merge.Take) else v) for rule, v in decided]

    def _asked(take: merge.Take) -> merge.Ask:
        crm, books = (take.seen, take.before) if take.source == "crm" else (take.before, take.seen)
        return merge.Ask(about="conflict", reason="the record changed", crm=crm, books=books, base=None)

    monkeypatch.setattr(propose_linked, "merge_record", whole)
    outcome = await run_small()
    assert 10 == outcome.row("two fields, one on each side").asked
    assert not as_promised(outcome, SMALL)


async def test_saboteur_a_deletion_that_wins(run_small: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart of what is deleted goes too, with what was typed into it."""
    real = propose_linked._removed

    def gone(scope: Any, *args: Any) -> None:
        unseen: tuple[Any, ...] = (*args[:-1], [])  # the last are the fields that were edited since
        real(msgspec.structs.replace(scope, removed={"crm": "deactivate", "books": "deactivate"}), *unseen)

    monkeypatch.setattr(propose_linked, "_removed", gone)
    outcome = await run_small()
    row = outcome.row("deleted on one side, edited on the other")
    assert (5, 0) == (row.lost, row.asked)
    assert not as_promised(outcome, SMALL)
