"""What is told about undo: the run that is meant, what a plan leaves out, and what stays after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.canon.records import Kind
from worker.api.views import LeftView
from worker.store import plans, runs, undoing
from worker.store.database import Unit
from worker.store.plans import PlanRow, StoredChange
from worker.store.runs import Run

LAST = "last"
LOOKED_BACK = 1_000  # runs among which an ending of an id is looked for
HALVES = "What belongs together was not done whole: what was made of it is taken back."
NOT_AGAIN = "None of this is made again by itself."
SAID = 5  # documents that are named one by one


async def run_meant(tx: Unit, pair_id: str, said: str) -> list[str]:
    """The runs of a pair that somebody may mean: by id, by its ending, or `last`, the last one that wrote something
    and is no undo itself."""
    if said == LAST:
        last = await undoing.last_written(tx, pair_id)
        return [last] if last is not None else []
    exact = await runs.get(tx, said)
    if exact is not None and exact.pair_id == pair_id:
        return [exact.id]
    ending = said.removeprefix("run_")
    return [
        run.id for run in await runs.recent(tx, pair_id, LOOKED_BACK) if len(ending) > 3 and run.id.endswith(ending)
    ]


def left_out(run: Run | None, titles: Mapping[str, str]) -> dict[str, Any]:
    """What a plan that takes a run back leaves as it is, for its view."""
    result = (run.result if run is not None else None) or {}
    found = tuple(
        LeftView(
            system=titles[each["side"]],
            kind=each["kind"],
            title=each["title"],
            what=each["what"],
            reason=each["reason"],
        )
        for each in result.get("left", ())
    )
    return {"left": found, "left_out": int(result.get("left_out", 0))}


async def what_stays(tx: Unit, row: PlanRow) -> tuple[str, ...]:
    """Sentences about what an undo that was carried out leaves behind; of any other plan, about groups that came to a
    half."""
    if row.undoes is None:
        halves = [s for s in await undoing.took_back(tx, row.id) if _is_document(s)]
        return (*_documents(halves), HALVES) if halves else ()
    done = await plans.read_changes(tx, row.id, ["done"])
    return (*_documents([s for s in done if _is_document(s)]), *_parted(done))


def _is_document(stored: StoredChange) -> bool:
    """Not the payment of zero that brings a credit note to its invoice: that goes without saying."""
    return stored.change.kind in (Kind.INVOICE, Kind.CREDIT_NOTE)


def _documents(done: Sequence[StoredChange]) -> list[str]:
    said = [_document(stored) for stored in done[:SAID]]
    return [*said, f"And {len(done) - SAID} more documents."] if len(done) > SAID else said


def _document(stored: StoredChange) -> str:
    change = stored.change
    if change.operation == "void":
        return f"Invoice {change.title} voided; its number stays used."
    if change.operation == "delete":
        return f"Draft {change.title} deleted."
    return f"Credit note posted {change.title}; the invoice stands."


def _parted(done: Sequence[StoredChange]) -> list[str]:
    inactive = sum(s.change.operation == "archive" for s in done)
    unlinked = sum(s.change.operation == "unlink" for s in done)
    ended = any(s.change.kind == "invoice" or s.change.operation == "create" for s in done)
    said = [f"{_records(inactive)} made inactive, not deleted."] if inactive else []
    said += [f"{_records(unlinked)} no longer linked, and left as {_was(unlinked)}."] if unlinked else []
    return [*said, NOT_AGAIN] if inactive or unlinked or ended else said


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


def _was(number: int) -> str:
    return "it is" if number == 1 else "they are"
