"""What is asked of the audit trail: whether it holds, one record's story, all of it as a file, a person forgotten."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from worker.api import views
from worker.api.client import Api, Problem
from worker.house import House
from worker.store import audit, connections, reports
from worker.store.audit import Posted, Told
from worker.store.connections import Pair
from worker.usecases import tell_record
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
        if not story.told and found.title == found.ref:
            raise self._unknown(text)
        view = await self._api.find_pair(pair.name)
        return _story(story, titles, view.time_zone)

    async def erase(self, pair_id: str, text: str, by: str) -> views.ErasedView:
        """Forget a person's values. Raises Problem as `story` does."""
        titles = await self._titles(pair_id)
        async with self._house.db.write() as tx:
            pair = await connections.get_pair(tx, pair_id)
            found = self._one(await find_records(tx, pair, text), text, titles)
            gone = await tell_record.erase_record(tx, pair, found, by)
        return views.ErasedView(record=_record(found, titles), values=gone)

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
    shown |= dict.fromkeys(told.erased, "(erased)")
    return [_cell(shown[name], is_code=name in ("entry", "hash", "previous")) for name in COLUMNS]


def _cell(value: Any, *, is_code: bool) -> str:
    """Text; what a spreadsheet would take for a formula gets an apostrophe."""
    if value is None or value == {}:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not is_code else text


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
