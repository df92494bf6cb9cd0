"""What forgetting a person rests on, taken away piece by piece: each time something of theirs is left and found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Text

from tests.flows.rig import Rig
from tests.flows.test_flow_erase import NAME, erased_short, trail
from worker.store import audit, erasing
from worker.store.connections import Pair
from worker.store.database import Database
from worker.store.tables import metadata
from worker.usecases import erase_person


async def test_saboteur_rows_that_are_not_emptied_are_found(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> int:
        return 0

    monkeypatch.setattr(erasing, "empty", nothing)
    assert {"bases.crm", "changes.fields"} & await erased_short(rig, tmp_path)


async def test_saboteur_texts_that_are_not_searched_are_found(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "places", lambda _: [])

    async def nothing(*_: object) -> dict[str, dict[Any, Any]]:
        return {"reports": {}}

    monkeypatch.setattr(erasing, "take_out", nothing)
    assert "reports.body" in await erased_short(rig, tmp_path)


async def test_saboteur_a_reason_in_clear_stays_in_the_chain(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the trail was before reasons stood beside it."""
    async with rig.db.write() as tx:
        clear = audit.Entry(action="x", actor="t", subject="s", why=f"{NAME} said so", detail={"name": NAME})
        monkeypatch.setattr(audit, "_split", lambda entry: (msgspec.to_builtins(entry), {}))
        await audit.append(tx, rig.pair.id, [clear])
        monkeypatch.undo()
    assert "audit.entry" in await erased_short(rig, tmp_path)


async def test_saboteur_a_report_whose_change_is_not_on_record_breaks_the_trail(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> list[audit.Entry]:
        return []

    monkeypatch.setattr(erase_person, "_reports", nothing)
    await erased_short(rig, Path("nowhere"))
    (chain,) = await trail(rig).verify()
    assert True is (chain.reason or "").endswith("was changed after it was made")


async def test_saboteur_a_file_that_is_not_compacted_still_holds_the_text(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No table does any more: it stands in free pages and in the log."""

    async def never(_: Database) -> bool:
        return False

    monkeypatch.setattr(Database, "compact", never)
    assert {"tieout.db", "tieout.db-wal"} & await erased_short(rig, tmp_path)


# --------------------------------------------------------------------------- every place is known

# Texts in which nobody is named, or that are not Tieout's to empty.
_ELSEWHERE = {
    "audit.entry": "ids, numbers and code words; the rest by digest",
    "audit_values.value": "emptied by digest",
    "bases.books": "goes with its record, or is what the systems show",
    "bases.crm": "goes with its record, or is what the systems show",
    "cursors.cursor": "the vendors' own marks of time and place",
    "connections.catalogue": "the vendors' fields, accounts and taxes",
    "connections.name": "the company's own",
    "connections.settings": "the company's own",
    "mappings.saved_by": "who works with Tieout",
    "mappings.text": "the company's own settings",
    "plans.approved_by": "who works with Tieout",
    "plans.subset": "ids",
    "changes.needs": "ids",
    "approvals.covers": "ids",
    "conflicts.decided_by": "who works with Tieout",
    "decisions.decided_by": "who works with Tieout",
    "reports.made_by": "who works with Tieout",
    "runs.requested_by": "who works with Tieout",
    "schedules.created_by": "who works with Tieout",
    "schedules.words": "a time of day",
    "changes.outcome": "a code word: how a record came to be ours",
}


def unknown_places() -> set[str]:
    """Texts of the store that are neither searched nor known to name nobody."""
    pair = Pair(id="p", name="p", crm="c", books="b", channel=None, mapping_version=1)
    searched = {f"{place.table.name}.{name}" for place in erasing.places(pair) for name in place.columns}
    texts = {f"{t.name}.{c.name}" for t in metadata.sorted_tables for c in t.columns if isinstance(c.type, Text)}
    return texts - searched - set(_ELSEWHERE)


def test_each_text_of_the_store_is_searched_or_said_to_name_nobody() -> None:
    """Who adds a column decides."""
    assert set() == unknown_places()


def test_saboteur_a_column_that_nobody_thought_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "places", lambda _: [])
    assert "reports.body" in unknown_places()
