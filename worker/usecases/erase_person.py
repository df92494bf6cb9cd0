"""Forget a person: everything that Tieout itself keeps of them, and nothing of what the two systems hold.

A record that its system still shows would be read again, so it is to be deleted there first; or, where it has to stay
(books keep who was billed), what was overwritten there is forgotten here with `still_there`; what it shows is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from connectors.canon.records import Kind
from connectors.kit.contract import Side
from worker.engine.erasing import Person, telling
from worker.store import audit, erasing, links, reports
from worker.store.audit import Entry, Told
from worker.store.connections import Pair
from worker.store.database import Unit
from worker.store.erasing import Key
from worker.usecases.tell_record import Found, address, everything_of, parsed
from worker.usecases.verify_trail import REPORT_ERASED, digest_of


class StillThere(Exception):
    """Systems still show these records: whatever is erased here would be read again."""

    def __init__(self, keys: Collection[Key]) -> None:
        super().__init__(f"{len(keys)} records are still there")
        self.keys = tuple(keys)


class BeingChanged(Exception):
    """An open plan means to write the person's record, or is doing so."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgotten: `values` beside the trail, `rows` elsewhere, `reports` among them. `inactive`: records that
    their system only put away; `named_in`: records that are still shown and name the person."""

    values: int
    rows: int
    reports: int
    inactive: tuple[str, ...]
    named_in: tuple[str, ...]


async def erase_person(tx: Unit, pair: Pair, found: Found, by: str, *, still_there: bool = False) -> Erased:
    """Empty what is about the record and its counterpart alone, take the person's values out of all else, forget
    what stands beside the trail. That it was done is on record, by whom and when, without saying what it was.
    Raises StillThere (not with `still_there`) and BeingChanged."""
    subjects, told = await everything_of(tx, pair, found)
    keys = _keys(found.kind, subjects)
    stands = await erasing.standing(tx, pair, keys)
    shown = [key for key, gone in stands.items() if gone is None]
    if shown and not still_there:
        raise StillThere(shown)
    if await erasing.open_plans(tx, pair, keys):
        raise BeingChanged
    linked = [link.id for link in (await links.find_links(tx, pair.id, keys)).values()]
    values = await erasing.known_values(tx, pair, keys, linked) | _said(told)
    person = Person(values - await erasing.shown_values(tx, pair, shown))
    rows = await erasing.empty(tx, pair, keys, linked, [key for key in stands if key not in shown])
    taken = await erasing.take_out(tx, pair, person)
    digests = {digest for each in told for digest in audit.digests_of(each.text).values()}
    number = await audit.erase(tx, pair.id, [*digests, *await erasing.entries_naming(tx, pair, person)])
    rows += sum(len(each) for each in taken.values())
    left = await erasing.left_at_systems(tx, pair, person)
    redone = [report_id for (report_id,) in taken["reports"]]
    detail = {"values": number, "rows": rows}
    entry = Entry(action="record.erased", actor=by, subject=found.address, detail=detail)
    await audit.append(tx, pair.id, [*await _reports(tx, pair, redone, by), entry])
    return Erased(
        values=number,
        rows=rows,
        reports=len(redone),
        inactive=_addresses(key for key, gone in stands.items() if gone == "archived"),
        named_in=_addresses(left),
    )


def _keys(kind: Kind, subjects: Iterable[str]) -> list[Key]:
    """The person's own records: theirs on either side, and what was merged into them. A deal's documents are not."""
    return [key for key in (parsed(subject) for subject in subjects) if key is not None and key[1] is kind]


def _addresses(keys: Iterable[tuple[Side, Kind, str]]) -> tuple[str, ...]:
    return tuple(sorted(address(*key) for key in keys))


def _said(told: Iterable[Told]) -> set[str]:
    """What the trail itself says of who the person is."""
    found: set[str] = set()
    for each in told:
        entry = each.entry
        for data in (entry.before, entry.after):
            if entry.field is not None:
                found |= telling({entry.field.rpartition(":")[2]: data})
            elif isinstance(data, dict):
                found |= telling(data)
    return found


async def _reports(tx: Unit, pair: Pair, redone: Collection[str], by: str) -> list[Entry]:
    """A report without a name is another text: the trail knows that too, or it would call it changed."""
    bodies = await reports.bodies(tx, pair.id) if redone else {}
    return [
        Entry(action=REPORT_ERASED, actor=by, subject=report_id, detail={"body": digest_of(bodies[report_id])})
        for report_id in sorted(redone)
    ]
