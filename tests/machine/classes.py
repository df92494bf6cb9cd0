"""The classes of edits at ten thousand customers: for each, how many were brought to the other side, asked about, lost.

`edit_classes` does it all and counts; `table` prints the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from tabulate import tabulate

from connectors.canon.fields import Value, read
from connectors.canon.records import Customer, Kind
from connectors.canon.values import Address
from connectors.kit.contract import Side
from tests.flows.rig import Rig, mapping, name, open_rig, told
from worker.store.conflicts import Conflict, open_conflicts

C = Kind.CUSTOMER
Member: TypeAlias = tuple[str, str]  # a linked customer: its ref in the CRM, and in the books
Typing: TypeAlias = tuple[Side, str, Value]  # side, path, what somebody typed there

SIZES = {
    "edited in the CRM": 500,
    "edited in the books": 500,
    "two fields, one on each side": 100,
    "one field, differently": 100,
    "one field, alike": 100,
    "deleted on one side, edited on the other": 50,
    "two parts of one address": 50,
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One class. `merged`: both sides say all that was typed; `asked`: an open question says it; `written`: changes of
    the plan; `lost`: typed values that are at neither side; `mixed`: records that say what nobody typed."""

    what: str
    records: int
    merged: int
    asked: int
    written: int
    lost: int
    mixed: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All classes; how many questions are open, what the first sync made, and what the next plan would do."""

    rows: tuple[Row, ...]
    customers: int
    questions: int
    made: int
    next_plan: int
    next_writes: int

    def row(self, what: str) -> Row:
        return next(row for row in self.rows if row.what == what)


def _address(number: int, **more: str) -> Address:
    said = {"lines": (f"{number} Main St",), "city": "New York", "postcode": f"{10_000 + number}", "country": "US"}
    return Address(**{**said, **more})  # type: ignore[arg-type]  # the lines are no text


def _phone(number: int, digit: int = 0) -> str:
    return f"+1 {212 + digit} {200 + number // 10_000} {number % 10_000:04}"


def _typed(what: str, n: int) -> list[Typing]:
    """What people type into customer number n of a class."""
    city, postcode = _address(n, city="Boston"), _address(n, postcode="99999")
    typings: dict[str, list[Typing]] = {
        "edited in the CRM": [("crm", "notes", f"crm {n}")],
        "edited in the books": [("books", "notes", f"books {n}")],
        "two fields, one on each side": [("crm", "phone", _phone(n, 1)), ("books", "notes", f"books {n}")],
        "one field, differently": [("crm", "phone", _phone(n, 1)), ("books", "phone", _phone(n, 2))],
        "one field, alike": [("crm", "phone", _phone(n, 1)), ("books", "phone", _phone(n, 1))],
        "two parts of one address": [("crm", "addresses.billing", city), ("books", "addresses.billing", postcode)],
        "deleted on one side, edited on the other": [("crm" if n % 2 else "books", "notes", f"edited {n}")],
    }
    return typings[what]


async def edit_classes(
    url: str,
    folder: Path,
    customers: int = 10_000,
    sizes: Mapping[str, int] = SIZES,
    told_of: Callable[[str], None] | None = None,
) -> Outcome:
    """Link so many customers, let people type, preview and apply once, and count what became of it."""
    say = told_of if told_of is not None else lambda _: None
    async with open_rig(url, folder) as rig:
        await rig.pair_up(mapping("customers"))
        for n in range(customers):
            known: dict[str, Any] = {"phone": _phone(n), "notes": f"old {n}", "addresses": {"billing": _address(n)}}
            for world in (rig.crm, rig.books):
                world.add(told(name(n), **known))
        say("made")
        made = (await rig.preview()).changes
        say("linked")
        chosen = _people_type(rig, sizes)
        plan = await rig.preview()
        say("planned")
        written = [change.ref for change in await rig.changes(plan)]
        await rig.apply()
        say("applied")
        async with rig.db.read() as tx:
            asked = await open_conflicts(tx, rig.pair.id)
        rows = tuple(_row(rig, what, chosen[what], asked, written) for what in sizes)
        before = rig.writes()
        following = await rig.preview()
        await rig.apply()
        return Outcome(
            rows=rows,
            customers=customers,
            questions=len(asked),
            made=made,
            next_plan=following.changes + following.held,
            next_writes=rig.writes() - before,
        )


def _people_type(rig: Rig, sizes: Mapping[str, int]) -> dict[str, list[int]]:
    """The numbers of the customers of each class. Both worlds name customer n alike: c(n+1)."""
    chosen: dict[str, list[int]] = {}
    start = 0
    for what, size in sizes.items():
        chosen[what] = list(range(start, start + size))
        start += size
        for n in chosen[what]:
            typings = _typed(what, n)
            for side, path, value in typings:
                (rig.crm if side == "crm" else rig.books).edit(C, _ref(n), **{path: value})
            if what.startswith("deleted"):
                (rig.books if typings[0][0] == "crm" else rig.crm).delete(C, _ref(n))
    return chosen


def _ref(n: int) -> str:
    return f"c{n + 1}"


def _row(rig: Rig, what: str, numbers: Iterable[int], asked: list[Conflict], written: list[str]) -> Row:
    questions = {(c.question.ref, c.question.what) for c in asked}
    refs = {_ref(n) for n in numbers}
    seen = [_seen(rig, what, n) for n in numbers]
    return Row(
        what=what,
        records=len(seen),
        merged=sum(each["merged"] for each in seen),
        asked=sum((ref, kind) in questions for ref in refs for kind in ("field", "removed")),
        written=sum(ref in refs for ref in written),
        lost=sum(each["lost"] for each in seen),
        mixed=sum(each["mixed"] for each in seen),
    )


def _seen(rig: Rig, what: str, n: int) -> dict[str, int]:
    """How customer n stands on both sides now."""
    records = [_record(rig, side, n) for side in ("crm", "books")]
    typings = _typed(what, n)
    paths = dict.fromkeys(path for _, path, _ in typings)
    says = {path: [read(record, path) for record in records if record is not None] for path in paths}
    allowed = {path: [value for _, at, value in typings if at == path] for path in paths}
    merged = None not in records and all(value == now for _, path, value in typings for now in says[path])
    lost = sum(value not in says[path] for _, path, value in typings)
    mixed = any(now not in [*allowed[path], _was(path, n)] for path in paths for now in says[path])
    return {"merged": int(merged), "lost": lost, "mixed": int(mixed)}


def _was(path: str, n: int) -> Value:
    return {"notes": f"old {n}", "phone": _phone(n), "addresses.billing": _address(n)}[path]


def _record(rig: Rig, side: Side, n: int) -> Customer | None:
    row = (rig.crm if side == "crm" else rig.books).state.row(C, _ref(n))
    return row.record if row is not None and row.gone is None and isinstance(row.record, Customer) else None


def table(outcome: Outcome) -> str:
    """The counts as people read them."""
    head = ("class", "records", "merged", "asked", "written", "lost", "mixed")
    return tabulate([msgspec.structs.astuple(row) for row in outcome.rows], headers=head, tablefmt="github")
