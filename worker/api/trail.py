"""What is asked of the audit trail: whether it holds, one record's story, all of it as a file, a person forgotten."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.kit.errors import ConnectorError
from worker.api import views
from worker.api.client import Api, Problem
from worker.engine.erasing import ERASED
from worker.house import House
from worker.store import audit, connections, reports
from worker.store.audit import Posted, Told
from worker.store.connections import Pair
from worker.store.erasing import Key
from worker.usecases import tell_record
from worker.usecases.erase_person import BeingChanged, Erased, StillThere, erase_person
from worker.usecases.lift_settled import settled_as
from worker.usecases.office import open_desk
from worker.usecases.pull import refresh
from worker.usecases.tell_record import Found, Story, find_records

SEVERAL = 10
COLUMNS = (
    "seq", "at", "action", "actor", "subject", "source", "field", "why", "said", "before", "after", "run", "change",
    "request_id", "detail", "previous", "hash", "entry",
)  # fmt: skip


class Trail:
    """One process' way to the audit trail."""

    def __init__(self, house: House) -> None:
        self._house, self._api = house, Api(house)

    async def verify(self, pair_id: str | None = None, posted: Sequence[str] = ()) -> list[views.ChainView]:
        """Every pair's trail, or one's, walked from its first entry and compared with the heads that its reports know.
        `posted` are heads of that pair that somebody kept elsewhere, `entry:hash`."""
        return await self._api.verify_audit(pair_id, [self._posted(text) for text in posted])

    def _posted(self, text: str) -> Posted:
        try:
            return reports.posted(text, "the head that was given")
        except ValueError as error:
            raise Problem(str(error), "A report's last line has it.") from error

    # ----------------------------------------------------------------- one record

    async def story(self, pair_id: str, text: str) -> views.StoryView:
        """What is on record about the record that `text` names. Raises Problem if there is none, or several."""
        titles = await self._titles(pair_id)
        async with self._house.db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = self._one(await find_records(tx, pair, text), text, titles)
            story = await tell_record.tell_record(tx, pair, found)
            settled = await settled_as(tx, pair_id, found)
        if not story.told and found.title == found.ref:
            raise self._unknown(text)
        view = await self._api.find_pair(pair.name)
        told = _story(story, titles, view.time_zone)
        return told if settled is None else msgspec.structs.replace(told, settled=settled.was, again=settled.verb)

    async def export_story(self, pair_id: str, text: str) -> views.StoryFileView:
        """What is on record about one record, as CSV in the columns of `export`. Raises Problem as `story` does."""
        titles = await self._titles(pair_id)
        async with self._house.db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = self._one(await find_records(tx, pair, text), text, titles)
            story = await tell_record.tell_record(tx, pair, found)
        lines = _lines([COLUMNS, *(_row(told) for told in story.told)])
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"audit-{found.address}").strip("-")
        return views.StoryFileView(
            record=_record(found, titles), entries=len(story.told), name=f"{name[:100]}.csv", content=lines.encode()
        )

    async def erase(self, pair_id: str, text: str, by: str, *, still_there: bool = False) -> views.ErasedView:
        """Forget a person: all that Tieout itself keeps. Raises Problem as `story` does; if a system still shows the
        record (it is read again, as it may just have been deleted), unless `still_there` says that this is known; and
        while a plan is open that writes it."""
        titles = await self._titles(pair_id)
        try:
            found, gone = await self._erase(pair_id, text, by, titles, still_there=False)
        except StillThere as error:
            await self._look_again(pair_id, error.keys)
            try:
                found, gone = await self._erase(pair_id, text, by, titles, still_there=still_there)
            except StillThere as left:
                raise _still_there(left, titles) from left
        compact = await self._house.db.compact()
        return views.ErasedView(record=_record(found, titles), compact=compact, **msgspec.structs.asdict(gone))

    async def _erase(
        self, pair_id: str, text: str, by: str, titles: Mapping[str, str], *, still_there: bool
    ) -> tuple[Found, Erased]:
        async with self._house.db.write() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = self._one(await find_records(tx, pair, text), text, titles)
            try:
                return found, await erase_person(tx, pair, found, by, still_there=still_there)
            except BeingChanged as error:
                raise Problem("An open plan writes this record.", "Apply or discard it, then erase.") from error

    async def _look_again(self, pair_id: str, keys: Sequence[Key]) -> None:
        """Read records by their ids. A system that cannot be asked is taken to show them still."""
        with contextlib.suppress(ConnectorError):
            desk = await open_desk(self._house.office, pair_id)
            for side, kind, ref in keys:
                await refresh(desk, side, kind, [ref])

    def _one(self, found: Sequence[Found], text: str, titles: Mapping[str, str]) -> Found:
        if not found:
            raise self._unknown(text)
        if len(found) > 1:
            lines = [
                f"{each.address}  {each.title} ({each.kind.value.replace('_', ' ')} in {titles[each.side]})"
                for each in found[:SEVERAL]
            ]
            more = [f"and {len(found) - SEVERAL} more"] if len(found) > SEVERAL else []
            raise Problem(f'"{text}" may be one of {len(found)}:', "Ask again with one of these.", [*lines, *more])
        return found[0]

    def _unknown(self, text: str) -> Problem:
        return Problem(
            f'Nothing is called "{text}".', "Ask by name, by number, or by side, kind and id, like crm:customer:51."
        )

    async def _titles(self, pair_id: str) -> dict[str, str]:
        async with self._house.db.read() as tx:
            pair = await connections.get_pair(tx, pair_id)
        view = await self._api.find_pair(pair.name)
        names = {"crm": view.crm.title, "books": view.books.title}
        if names["crm"] != names["books"]:
            return names
        return {"crm": f"{names['crm']} (CRM)", "books": f"{names['books']} (books)"}

    # ----------------------------------------------------------------- all of it

    async def export(self, pair_id: str, write: Callable[[str], Any]) -> int:
        """The whole trail as CSV, a page at a time; how many entries. `entry` is the text that `hash` runs over, after
        `previous` and a line feed: the chain can be checked from the file alone."""
        number = 0
        write(_lines([COLUMNS]))
        async with self._house.db.read() as tx:
            pair: Pair = await connections.get_pair(tx, pair_id)
            async for page in audit.read(tx, pair.id):
                write(_lines([_row(told) for told in page]))
                number += len(page)
        return number


def _lines(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _row(told: Told) -> list[str]:
    entry = told.entry
    said = msgspec.structs.asdict(entry)
    shown: dict[str, Any] = {**said, "seq": told.seq, "at": told.at.isoformat(), "entry": told.text}
    shown |= {"previous": told.previous, "hash": told.hash}
    shown |= {name: ERASED for name in told.erased if name != "detail" or not entry.detail}
    return [_cell(shown[name], is_code=name in ("entry", "hash", "previous")) for name in COLUMNS]


def _cell(value: Any, *, is_code: bool) -> str:
    """Text, guarded unless it is to be compared letter by letter."""
    if value is None or value == {}:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if is_code else guarded(text)


def guarded(text: str) -> str:
    """A cell of a CSV file: what a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _still_there(error: StillThere, titles: Mapping[str, str]) -> Problem:
    lines = [f"{titles[side]} still shows {kind.value.replace('_', ' ')} {ref}" for side, kind, ref in error.keys]
    where = " and ".join(dict.fromkeys(titles[side] for side, _, _ in error.keys))
    return Problem(
        "What is erased here would be read again:",
        f"Delete it in {where} first. If it has to stay there, overwrite there what is "
        "personal, preview and apply, and erase with --still-there.",
        lines,
    )


def _record(found: Found, titles: Mapping[str, str]) -> views.RecordView:
    return views.RecordView(
        address=found.address,
        system=titles[found.side],
        kind=found.kind.value,
        ref=found.ref,
        title=found.title,
        others=found.others,
    )


def _story(story: Story, titles: dict[str, str], time_zone: str) -> views.StoryView:
    return views.StoryView(
        record=_record(story.record, titles),
        entries=tuple(_entry(told, story.approved) for told in story.told),
        titles=titles,
        time_zone=time_zone,
    )


def _entry(told: Told, approved: Mapping[str, str]) -> views.TrailView:
    entry = told.entry
    return views.TrailView(
        seq=told.seq,
        at=told.at,
        action=entry.action,
        actor=entry.actor,
        subject=entry.subject,
        source=entry.source,
        approved_by=approved.get(entry.change or ""),
        field=entry.field,
        why=entry.why,
        said=entry.said,
        fields=_fields(entry.before, entry.after),
        erased=bool(told.erased),
        run=entry.run,
        change=entry.change,
        request_id=entry.request_id,
        detail=entry.detail,
    )


def _fields(before: Any, after: Any) -> tuple[views.FieldView, ...]:
    was = before if isinstance(before, dict) else {}
    now = after if isinstance(after, dict) else {}
    return tuple(
        views.FieldView(path=path, before=was.get(path), after=now.get(path)) for path in dict.fromkeys([*was, *now])
    )
