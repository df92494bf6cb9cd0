"""What somebody typed into a field after we had read it and before our write landed on it. Pure.

A vendor without an optimistic lock lets our write pass over such an edit and tells nobody; where it keeps history the
edit is found there, and a person decides what is to stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from connectors.canon.fields import FieldType, Value, from_json, key, read, to_json
from connectors.canon.records import AnyRecord
from connectors.canon.values import ABSENT
from connectors.kit.contract import Past, Side
from worker.engine.mapping_model import FieldRule
from worker.engine.plan import Change, FieldChange
from worker.engine.questions import Question

CLOCKS_DIFFER = timedelta(seconds=2)  # two of a vendor's servers, one of which stamps the record and one the field


class LostEdit(msgspec.Struct, frozen=True, kw_only=True):
    """`value` was typed into a field that held `before`, and `written` stands over it."""

    field: FieldChange
    value: Value
    before: Value
    written: Value


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """An update that is done: the record as it was read right before, and as it was stored (None: not told)."""

    change: Change
    before: AnyRecord
    stored: AnyRecord | None

    def written(self, path: str, sent: Value) -> Value:
        told = read(self.stored, path) if self.stored is not None else ABSENT
        return told if told is not ABSENT else sent


def lost_edits(
    passed: Passed, histories: Mapping[str, Sequence[Past]], region: str | None = None
) -> tuple[LostEdit, ...]:
    """Of the fields that an update wrote, those that hid somebody's edit. `histories`: path -> newest first."""
    found = []
    for field in passed.change.fields:
        before = field.before if field.before is not ABSENT else read(passed.before, field.path)
        written = passed.written(field.path, field.after)
        edit = LostEdit(field=field, value=ABSENT, before=before, written=written)
        value = _lost(edit, _since(histories.get(field.path, ()), passed.before.updated_at), region)
        if value is not ABSENT:
            found.append(msgspec.structs.replace(edit, value=value))
    return tuple(found)


def _since(past: Sequence[Past], read_at: datetime | None) -> list[Past]:
    """What is not older than the record as it was read: both times are the vendor's."""
    return [each for each in past if read_at is None or each.at >= read_at - CLOCKS_DIFFER]


def _lost(edit: LostEdit, past: Sequence[Past], region: str | None) -> Value:
    """The value right before ours, if it is neither what we had read nor what we wrote. A write of several of the
    vendor's properties may be told in steps: those are one writer's."""
    kind = edit.field.type
    ours = {key(kind, value, region) for value in (edit.field.after, edit.written)}
    own = next((n for n, each in enumerate(past) if key(kind, each.value, region) in ours), None)
    if own is None:
        return ABSENT
    others = (each for each in past[own + 1 :] if each.by is None or each.by != past[own].by)
    last = next(others, None)
    if last is None or key(kind, last.value, region) in ours | {key(kind, edit.before, region)}:
        return ABSENT
    return last.value


def lost_question(change: Change, rule: FieldRule, edit: LostEdit, other: Value, system: str) -> Question:
    """Which value is to stand: the one that was lost at `system`, or `other`, which the other side holds. `base`
    shows what was there before, and keeps where the edit was lost and what stands there now."""
    crm, books = (edit.value, other) if change.side == "crm" else (other, edit.value)
    ref = change.ref if change.side == "crm" else change.source_ref
    return Question(
        what="field",
        kind=change.kind,
        side="crm",
        ref=ref or "",
        title=f"{change.title}, {rule.path('books')}",
        reason=f"somebody typed this in {system} while Tieout was writing, and it was overwritten",
        rule=rule.key,
        link_id=change.link_id,
        crm=to_json(crm),
        books=to_json(books),
        base={"crm": to_json(edit.before), "lost_at": change.side, "written": to_json(edit.written)},
    )


def is_back(question: Question, rule: FieldRule, now: Mapping[Side, Value]) -> bool:
    """Whether the value that was lost stands there again: then nothing is to be decided."""
    side = question.lost_at
    if side is None:
        return False
    kind = rule.crm_type if side == "crm" else rule.books_type
    lost = from_json(kind or FieldType.TEXT, question.crm if side == "crm" else question.books)
    return rule.conversion.unchanged(side, now[side], lost)
